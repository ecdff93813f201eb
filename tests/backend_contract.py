"""What every backend keeps: a test file inherits BackendContract and gives a `backend`.

    class TestRedis(BackendContract):
        @pytest.fixture
        def backend(self, tmp_path):
            return RedisConfigBackend(...)

The backend is empty, and takes saves under the labels `main` and `v2`.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from pyconfserve.backend import ConfigBackend, ConfigSource, VersionedBackend
from pyconfserve.environment.patching import patched
from pyconfserve.errors import (
    BackendUnavailable,
    ConfigNotFound,
    Forbidden,
    InvalidRequest,
    VersionConflict,
)
from pyconfserve.versions import ANY, ANYTHING, Changed, Expected

BAD_APPLICATIONS = {
    "empty": "",
    "blank": " ",
    "leading-slash": "(_)spam",
    "fragment": "foo#",
    "encoded-fragment": "foo%23",
    "parent": "../app",
    "dots": "..",
    "inner-parent": "a/../b",
    "inner-dots": "a..b",
    "absolute": "/etc/passwd",
    "empty-part": "a//b",
    "hidden": ".git",
    "inner-hidden": "a/.git",
    "list": "a,b",
    "backslash": "a\\b",
    "semicolon": "a;b",
    "question": "a?b",
    "null-byte": "a\x00b",
    "newline": "a\nb",
    "dash-first": "-a",
    "dot-last": "a.",
    "not-composed": "cafe\u0301",
    "surrogate": "a\ud800",
    "256-bytes": "é" * 128,
}
BAD_PROFILES = {
    "empty": "",
    "dots": "..",
    "encoded-dots": "%2e%2e",
    "list-with-dots": "bar,..,foo",
    "list-with-encoded-dots": "bar,%2e%2e,foo",
    "encoded-slash": "bar%2Ffoo",
    "parent": "../default",
    "slash": "a/b",
    "escaped-slash": "a(_)b",
    "list": "a,b",
    "blank": "a b",
    "underscore-first": "_a",
    "dash-last": "a-",
    "newline": "a\n",
    "null-byte": "a\x00",
    "256-bytes": "a" * 256,
}
BAD_LABELS = {
    "empty": "",
    "dots": "..(_)..",
    "parent": "..(_)spam",
    "absolute": "(_)spam",
    "encoded-parentheses": "..%28_%29..",
    "all-encoded": "%2E%2E%28%5F%29%2E%2E",
    "parent-slash": "../",
    "encoded-slash": "..%2F",
    "encoded-parent": "%2E%2E%2F",
    "option": "--output=x",
    "revision": "main~1",
    "caret": "^main",
    "reflog": "main@{0}",
    "range": "a..b",
    "hidden": ".git",
    "inner-hidden": "a/.b",
    "lock": "main.lock",
    "empty-part": "a//b",
    "glob": "ma*n",
    "colon": "a:b",
    "blank": "a b",
    "newline": "main\n",
    "fragment": "a#b",
    "semicolon": "a;b",
    "slash-last": "a/",
    "256-bytes": "a" * 256,
}
BAD_PROPERTIES = {
    "list": ["a"],
    "text": "a",
    "number-as-key": {1: "a"},
    "number-as-inner-key": {"a": [{None: "b"}]},
    "not-a-number": {"a": float("nan")},
    "infinity": {"a": {"b": float("-inf")}},
    "surrogate": {"a": "\ud800"},
    "surrogate-in-key": {"\udfff": "a"},
    "bytes": {"a": b"b"},
    "object": {"a": object()},
    "long-integer": {"a": 2**1024},
    "long-key": {"a" * 512: {"b" * 512: 1}},
    "deep": {"a": eval("[" * 51 + "]" * 51)},
    "many": {"a": [0] * 200_001},
}
VALUES = {
    "true": True,
    "false": False,
    "zero": 0,
    "int": -17,
    "big": 2**1023,
    "float": 0.1,
    "whole-float": 100.0,
    "large-float": 1e300,
    "small-float": -5e-324,
    "text": "plain",
    "empty": "",
}
LOOKALIKES = [
    "true", "yes", "Off", "null", "~", "NULL", "", " ", "=", "<<", "017", "0o17", "0x1F",
    "0b1", "1_000", "1.0", "1e3", "1.0E7", ".5", ".inf", "-.INF", ".nan", "+1", "1:30", "1:30.5",
    "2024-01-01", "2024-01-01T00:00:00Z", "12:30:00", "- a", "a: b", "a #b", "#a", "? a", "&a", "*a",
    "!a", "!!int 1", "|", ">", "%a", "@a", "`a`", "{a}", "[a]", "{", "]", ",", "'", '"', "\\", "a\\nb",
    "---", "...", "--- a", "#---", "!---", " leading", "trailing ", "\tleading", "trailing\t",
    "two\nlines", "\nfirst", "last\n", "last\n\n", "a\r\nb", "a\rb", "a\x00b", "\x07", "\x1b[0m", "\x7f",
    "\x85", "\u2028", "\u2029", "\ufeff", "\ufffe", "\xa0", "${a:b}", "#{a}", "{cipher}abc", "a=b", "a\\",
    "word " * 4000, "x" * 20_000, "line one\n  indented\n\nlast",
]  # fmt: skip
UNICODE = "Zürich 東京 🙂 עברית e\u0301 \U0010ffff"


def bundle(properties=None, application="orders", profile="prod", label="main"):
    """A source of these properties under names that rarely matter."""
    return ConfigSource(application, profile, label, properties or {})


def stored(backend, *names):
    """The properties that a fetch of *names* gives, None when it gives nothing."""
    source = asyncio.run(backend.fetch(*names))
    return None if source is None else dict(source.properties)


def round_trip(backend, properties):
    """What is fetched after a save of *properties*."""
    source = bundle(properties)
    asyncio.run(backend.save(source))
    return stored(backend, source.application, source.profile, source.label)


def listed(backend):
    """The names that the backend lists, sorted."""
    return sorted(
        (source.application, source.profile, source.label)
        for source in asyncio.run(backend.list())
    )


def properties(backend, *names):
    """What a fetch gives, of NAMES where none are named; None for nothing."""
    found = asyncio.run(backend.fetch(*(names or NAMES)))
    return None if found is None else dict(found.properties)


def is_up_to_date(backend):
    """Whether a look at its store succeeds now."""
    with suppress(BackendUnavailable):
        asyncio.run(backend.refresh())
        return True
    return False


class BackendContract:
    """The tests; a subclass overrides the fixture `backend`."""

    @pytest.fixture
    def backend(self):
        """A new, empty backend."""
        raise NotImplementedError

    def test_is_a_config_backend(self, backend):
        """The interface is recognised without inheritance."""
        assert isinstance(backend, ConfigBackend)

    def test_what_is_saved_is_fetched_flat(self, backend):
        """Nested properties come back flat, in their order, under the names they were
        saved by."""
        nested = {"b": {"d": 1, "c": ["x", {"y": True}]}, "a.flat": "z"}
        asyncio.run(backend.save(bundle(nested)))
        expected = bundle({"b.d": 1, "b.c[0]": "x", "b.c[1].y": True, "a.flat": "z"})
        found = asyncio.run(backend.fetch("orders", "prod", "main"))
        assert expected == found
        assert list(expected.properties) == list(found.properties)

    @pytest.mark.parametrize(
        "names",
        [("orders", "dev"), ("other", "prod"), ("orders", "prod", "v2"), ("order", "s-prod")],
        ids=["profile", "application", "label", "cut"],
    )  # fmt: skip
    def test_what_was_not_saved_is_absent(self, backend, names):
        """Each of the three names tells bundles apart."""
        asyncio.run(backend.save(bundle({"a": 1})))
        assert stored(backend, *names) is None

    def test_an_empty_backend_has_nothing(self, backend):
        """Nothing is fetched and nothing is listed, and asking makes nothing."""
        assert stored(backend, "orders", "prod") is None
        assert listed(backend) == []

    def test_the_label_is_main_when_none_is_named(self, backend):
        """`fetch` and ConfigSource have the same default."""
        asyncio.run(backend.save(ConfigSource("orders", "prod", properties={"a": 1})))
        assert stored(backend, "orders", "prod") == {"a": 1}
        assert stored(backend, "orders", "prod", "main") == {"a": 1}

    def test_labels_are_isolated(self, backend):
        """A save under one label leaves the other's bundle as it was."""
        asyncio.run(backend.save(bundle({"a": "main"})))
        asyncio.run(backend.save(bundle({"a": "v2"}, label="v2")))
        assert stored(backend, "orders", "prod", "main") == {"a": "main"}
        assert stored(backend, "orders", "prod", "v2") == {"a": "v2"}
        asyncio.run(backend.save(bundle({"b": "main"})))
        assert stored(backend, "orders", "prod", "v2") == {"a": "v2"}

    def test_bundles_are_listed_by_name(self, backend):
        """Every bundle is listed once, however often it was saved."""
        names = [
            ("application", "default", "main"),
            ("order-service", "prod", "main"),
            ("orders", "default", "main"),
            ("orders", "eu-west", "main"),
            ("orders", "prod", "main"),
            ("orders", "prod", "v2"),
        ]
        for name in [*names, *names]:
            asyncio.run(backend.save(ConfigSource(*name, {"a": 1})))
        assert names == listed(backend)

    def test_a_slash_in_a_name_may_be_written_as_spring_does(self, backend):
        """`(_)` stands for `/`, and what comes back has the slash."""
        asyncio.run(backend.save(bundle({"a": 1}, application="team(_)orders")))
        expected = bundle({"a": 1}, application="team/orders")
        found = asyncio.run(backend.fetch("team/orders", "prod", "main"))
        assert expected == found
        assert found == asyncio.run(backend.fetch("team(_)orders", "prod", "main"))

    def test_names_and_values_are_unicode(self, backend):
        """Letters of any script in names, any character in keys and values."""
        source = bundle({UNICODE: UNICODE, "a": {"é": ["🙂"]}}, "café-東京", "größe")
        asyncio.run(backend.save(source))
        expected = {UNICODE: UNICODE, "a.é[0]": "🙂"}
        assert expected == stored(backend, "café-東京", "größe")
        assert listed(backend) == [("café-東京", "größe", "main")]

    def test_values_keep_their_types(self, backend):
        """A number stays a number of its kind, a text stays a text."""
        found = round_trip(backend, VALUES)
        assert found == VALUES
        expected = {key: type(value) for key, value in VALUES.items()}
        assert expected == {key: type(value) for key, value in found.items()}

    def test_a_text_that_looks_like_something_else_stays_text(self, backend):
        """Numbers, dates, markup, line ends and control characters come back as the text
        they were."""
        texts = {f"key{number}": text for number, text in enumerate(LOOKALIKES)}
        assert texts == round_trip(backend, texts)

    def test_a_key_that_looks_like_something_else_stays_that_key(self, backend):
        """Keys are texts too, as hard to write down as values."""
        keys = {key: number for number, key in enumerate(LOOKALIKES) if len(key) < 1024}
        assert keys == round_trip(backend, keys)

    def test_null_and_empty_collections(self, backend):
        """null and an empty list are the empty text, an empty map is nothing at all."""
        nested = {"null": None, "list": [], "map": {}, "in": [None, [], {"a": {}}]}
        expected = {"null": "", "list": "", "in[0]": "", "in[1]": ""}
        assert expected == round_trip(backend, nested)

    def test_a_save_replaces_the_bundle_whole(self, backend):
        """Keys that the new properties do not have are gone."""
        round_trip(backend, {"a": {"b": 1, "c": [1, 2, 3]}, "d": 4})
        expected = {"a.c[0]": 9}
        assert expected == round_trip(backend, {"a": {"c": [9]}})

    def test_an_empty_bundle_is_there(self, backend):
        """A bundle without properties is stored and listed, not absent."""
        assert round_trip(backend, {}) == {}
        assert listed(backend) == [("orders", "prod", "main")]

    @pytest.mark.parametrize(
        "names",
        [
            *(pytest.param((bad, "prod", "main"), id=f"application-{name}") for name, bad in BAD_APPLICATIONS.items()),
            *(pytest.param(("orders", bad, "main"), id=f"profile-{name}") for name, bad in BAD_PROFILES.items()),
            *(pytest.param(("orders", "prod", bad), id=f"label-{name}") for name, bad in BAD_LABELS.items()),
        ],
    )  # fmt: skip
    def test_malformed_names_are_refused(self, backend, names):
        """Neither a fetch nor a save takes a name that could reach something else."""
        with pytest.raises(InvalidRequest):
            asyncio.run(backend.fetch(*names))
        with pytest.raises(InvalidRequest):
            asyncio.run(backend.save(ConfigSource(*names, {"a": 1})))
        assert listed(backend) == []

    @pytest.mark.parametrize(
        "properties", BAD_PROPERTIES.values(), ids=BAD_PROPERTIES.keys()
    )
    def test_what_no_format_can_hold_is_refused(self, backend, properties):
        """Such properties leave the bundle as it was."""
        round_trip(backend, {"a": "before"})
        with pytest.raises(InvalidRequest) as caught:
            asyncio.run(backend.save(bundle(properties)))
        assert caught.value.field == "properties"
        assert stored(backend, "orders", "prod") == {"a": "before"}

    def test_saves_of_different_bundles_side_by_side_are_all_kept(self, backend):
        """No save is lost to another one."""

        async def save_all():
            saves = [
                backend.save(bundle({"number": number}, f"app{number}"))
                for number in range(40)
            ]
            await asyncio.gather(*saves)

        asyncio.run(save_all())
        found = [stored(backend, f"app{number}", "prod") for number in range(40)]
        assert [{"number": number} for number in range(40)] == found
        expected = sorted((f"app{number}", "prod", "main") for number in range(40))
        assert expected == listed(backend)

    def test_saves_of_one_bundle_side_by_side_leave_one_of_them_whole(self, backend):
        """What is read during and after them is always one save, never a mixture."""
        versions = [
            {f"key{key}": number for key in range(50 + number)} for number in range(40)
        ]

        async def save_and_read():
            await backend.save(bundle(versions[0]))
            saves = [backend.save(bundle(version)) for version in versions]
            reads = [backend.fetch("orders", "prod", "main") for _ in range(40)]
            return (await asyncio.gather(*saves, *reads))[len(saves) :]

        found = [dict(source.properties) for source in asyncio.run(save_and_read())]
        found.append(stored(backend, "orders", "prod"))
        assert [properties for properties in found if properties not in versions] == []

    def test_fetched_and_saved_properties_are_copies(self, backend):
        """Changing them afterwards does not change what is stored."""
        mine = {"a": 1, "b": {"c": [2]}}
        asyncio.run(backend.save(bundle(mine)))
        mine["b"]["c"].append(3)
        mine["d"] = 4
        fetched = asyncio.run(backend.fetch("orders", "prod")).properties
        if isinstance(fetched, dict):
            fetched["e"] = 5
        assert stored(backend, "orders", "prod") == {"a": 1, "b.c[0]": 2}


NAMES = ("orders", "prod", "main")
ABSENT = Expected(others=frozenset({ANY}))
PRESENT = Expected(versions=frozenset({ANY}))


def same(*versions):
    """What is expected of one who has seen one of *versions*."""
    return Expected(versions=frozenset(versions))


def change(backend, work, expected=ANYTHING):
    """What a change of NAMES gives; *work* may be the properties themselves."""
    properties = work
    if not callable(work):
        work = lambda _: properties  # noqa: E731
    return asyncio.run(backend.change(*NAMES, work, expected))


def found_stored(backend):
    """What is stored under NAMES."""
    return asyncio.run(backend.stored(*NAMES))


async def count_up(backend, times):
    """Add one to `count` as often as that succeeds; gives how often it did."""
    successes = 0
    for _ in range(times):
        found = await backend.stored(*NAMES)
        counted = {"count": int(found.properties["count"]) + 1}
        await asyncio.sleep(0)  # a turn for the others
        try:
            await backend.change(
                *NAMES, lambda _, new=counted: new, same(found.version)
            )
            successes += 1
        except VersionConflict:
            pass
    return successes


class VersionedContract(BackendContract):
    """What a backend keeps that knows versions of its bundles."""

    def test_it_knows_versions(self, backend):
        """The capability is recognised without inheritance."""
        assert isinstance(backend, VersionedBackend)

    def test_what_is_changed_is_stored_under_the_version_that_was_told(self, backend):
        """A first change is new; each has another version, which a read gives, too."""
        assert found_stored(backend) is None
        first = change(backend, {"a": {"b": 1}, "c": [True]})
        assert (first.is_new, first.version) == (True, found_stored(backend).version)
        assert dict(found_stored(backend).properties) == {"a.b": 1, "c[0]": True}
        second = change(backend, {"a": 2})
        assert second == Changed(found_stored(backend).version, is_new=False)
        assert first.version != second.version
        assert stored(backend, *NAMES) == {"a": 2}

    def test_a_save_changes_the_version(self, backend):
        """A save that names no version is seen by who expects one."""
        version = change(backend, {"a": 1}).version
        asyncio.run(backend.save(bundle({"a": 2})))
        with pytest.raises(VersionConflict) as caught:
            change(backend, {"a": 3}, same(version))
        assert caught.value.version == found_stored(backend).version != version

    @pytest.mark.parametrize("is_there", [True, False], ids=["stored", "absent"])
    @pytest.mark.parametrize(
        ("make", "when_stored", "when_absent"),
        [
            (lambda _: ANYTHING, True, True),
            (lambda _: PRESENT, True, False),
            (lambda _: ABSENT, False, True),
            (lambda version: same(version), True, False),
            (lambda version: same("x", version), True, False),
            (lambda _: same("x"), False, False),
            (lambda _: same(), False, False),
            (lambda version: Expected(others=frozenset({version})), False, True),
            (lambda _: Expected(others=frozenset({"x"})), True, True),
            (lambda version: Expected(frozenset({version}), frozenset({ANY})), False, False),
        ],
        ids=["anything", "present", "absent", "same", "one-of", "other", "none-of", "not-this", "not-that", "both"],
    )  # fmt: skip
    def test_a_change_is_made_when_what_is_stored_is_expected(
        self, backend, make, when_stored, when_absent, is_there
    ):
        """Else nothing changes, and the present version is told."""
        version = change(backend, {"a": 1}).version if is_there else None
        before = found_stored(backend)
        if when_stored if is_there else when_absent:
            change(backend, {"a": 2}, make(version))
            assert stored(backend, *NAMES) == {"a": 2}
            return
        with pytest.raises(VersionConflict) as caught:
            change(backend, {"a": 2}, make(version))
        assert (version, before) == (caught.value.version, found_stored(backend))

    def test_a_patch_keeps_the_rest_in_its_order_and_of_its_types(self, backend):
        """What the patch does not name is as it was."""
        tree = {
            "z": {"b": 1.5, "a": True},
            "list": [1, {"x": "1"}],
            "n": "017",
            "e": "",
        }
        change(backend, tree)
        patch = {"z.a": None, "z": {"c": 3}, "n": 4, "new.key": "v"}
        change(backend, lambda stored: patched(stored(), patch))
        expected = {"z.b": 1.5, "z.c": 3, "list[0]": 1, "list[1].x": "1", "n": 4, "e": "", "new.key": "v"}  # fmt: skip
        found = dict(found_stored(backend).properties)
        assert {**expected} == found
        kept = [
            key for key in found if key in ("z.b", "list[0]", "list[1].x", "n", "e")
        ]
        assert kept == ["z.b", "list[0]", "list[1].x", "n", "e"]
        assert [type(value) for value in expected.values()] == [type(found[key]) for key in expected]  # fmt: skip

    def test_who_gives_back_what_is_stored_changes_nothing(self, backend):
        """The version stays."""
        version = change(backend, {"a": {"b": 1}}).version
        assert Changed(version) == change(backend, lambda stored: stored())
        assert version == found_stored(backend).version

    def test_a_removed_bundle_is_absent(self, backend):
        """It is fetched and listed no more; a second removal finds nothing."""
        version = change(backend, {"a": 1}).version
        assert Changed(None) == change(backend, lambda _: None, same(version))
        assert (found_stored(backend), stored(backend, *NAMES)) == (None, None)
        assert listed(backend) == []
        with pytest.raises(ConfigNotFound):
            change(backend, lambda _: None)
        with pytest.raises(ConfigNotFound):
            change(backend, lambda _: None, same(version))

    @pytest.mark.parametrize(
        "properties", BAD_PROPERTIES.values(), ids=BAD_PROPERTIES.keys()
    )
    def test_a_change_to_what_no_format_can_hold_is_refused(self, backend, properties):
        """The bundle stays as it was."""
        change(backend, {"a": "before"})
        before = found_stored(backend)
        with pytest.raises(InvalidRequest):
            change(backend, properties)
        assert before == found_stored(backend)

    def test_work_that_fails_changes_nothing(self, backend):
        """Its error is what is raised."""
        change(backend, {"a": 1})
        before = found_stored(backend)

        def refuse(_):
            raise Forbidden("not here")

        with pytest.raises(Forbidden):
            change(backend, refuse)
        assert before == found_stored(backend)

    def test_malformed_names_have_no_version(self, backend):
        """They are refused as in a fetch and a save."""
        for names in (("..", "prod", "main"), ("orders", "a/b", "main"), ("orders", "prod", "-x")):  # fmt: skip
            with pytest.raises(InvalidRequest):
                asyncio.run(backend.stored(*names))
            with pytest.raises(InvalidRequest):
                asyncio.run(backend.change(*names, lambda _: {"a": 1}))

    def test_of_a_hundred_who_create_one_does(self, backend):
        """All others are told the version of that one."""

        async def create(number):
            try:
                changed = await backend.change(*NAMES, lambda _: {"by": number}, ABSENT)
            except VersionConflict as error:
                return None, error.version
            return number, changed.version

        async def create_all():
            return await asyncio.gather(*map(create, range(100)))

        done = asyncio.run(create_all())
        (winner,) = [number for number, _ in done if number is not None]
        assert {version for _, version in done} == {found_stored(backend).version}
        assert stored(backend, *NAMES) == {"by": winner}

    def test_a_counter_counts_every_success_of_tasks(self, backend):
        """No increment is lost to another, and some are refused."""

        async def count_all():
            return sum(await asyncio.gather(*[count_up(backend, 6) for _ in range(5)]))

        change(backend, {"count": 0})
        successes = asyncio.run(count_all())
        assert stored(backend, *NAMES) == {"count": successes}
        assert 6 <= successes < 30

    def test_a_counter_counts_every_success_of_threads(self, backend):
        """So it does for the loops of several threads."""
        change(backend, {"count": 0})
        with ThreadPoolExecutor(4) as threads:
            counts = [
                threads.submit(asyncio.run, count_up(backend, 6)) for _ in range(4)
            ]
        assert stored(backend, *NAMES) == {"count": sum(one.result() for one in counts)}
