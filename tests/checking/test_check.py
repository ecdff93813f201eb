"""check: what is wrong with a tree of files, rule by rule, whole lines at a time."""

import gc

import pytest

from pyconfserve.checking.check import Rules, check
from pyconfserve.checking.inventory import list_root
from pyconfserve.environment.formats.document import Document
from pyconfserve.environment.overlay import OWN, SPRING
from pyconfserve.errors import BackendUnavailable
from pyconfserve.files import DictTree
from pyconfserve.locations import Place


def refuse(schema):
    raise AssertionError("no schema is asked for here")


def found(
    files, dialect=OWN, patterns=("",), make_schema=refuse, tree=DictTree, **rules
):
    """The lines that say what is wrong with *files*, texts by path."""
    contents = {
        path: text if isinstance(text, bytes) else text.encode()
        for path, text in files.items()
    }
    listed, problems = list_root("", tree(contents))
    places = [Place(listed, pattern) for pattern in patterns]
    _, others = check(
        places, Rules(dialect, dialect.default_label, make_schema, **rules)
    )
    return [
        f"{problem.place}: {'error' if problem.is_error else 'warning'}: {problem.text}"
        for problem in sorted({*problems, *others})
    ]


NEVER_READ = "no request can reach a file of this"

CASES = {
    "nothing": ({}, []),
    "clean": ({"orders.yml": "a: 1", "orders-prod.yml": "a: 2", "application.yml": "b: x"}, []),
    "yaml that is none": ({"a.yml": "a: !x 1"}, ["a.yml:1:4: error: a tag that is not known here"]),
    "json that is none": ({"a.json": '{"a": 1,}'}, ["a.json:1:9: error: expected a key in double quotes"]),
    "toml that is none": ({"a.toml": "a = \n"}, ["a.toml:1:5: error: not TOML"]),
    "properties that are none": ({"a.properties": "a=\\u12"}, ["a.properties:1:3: error: \\u is not followed by four hex digits"]),
    "no utf-8": ({"a.yml": b"a: 1\nb: \xff"}, ["a.yml:2:4: error: not UTF-8 text"]),
    "too large": ({"a.yml": b"#" * (3 << 20) + b"#"}, ["a.yml:1:1: error: larger than 3145728 bytes"]),
    "a key of yaml twice": ({"a.yml": "a: 1\na: 2"}, ["a.yml:2:1: error: a key is there twice"]),
    "a key of json twice": ({"a.json": '{"a": 1,\n "a": 2}'}, ["a.json:2:2: error: a key is there twice"]),
    "a key of toml twice": ({"a.toml": "a = 1\na = 2\n"}, ["a.toml:2:6: error: not TOML"]),
    "a key of properties twice": ({"a.properties": "x=1\n  x = 2"}, ["a.properties:2:3: error: x is there twice: line 1 has it too"]),
    "in two documents": ({"a.properties": "x=1\n#---\nx=2\ny=1", "b.yml": "a.b: 1\n---\na:\n  b: 2"}, []),
    "two spellings in yaml": ({"a.yml": "a.b: 1\na:\n  b: 2"}, ["a.yml:3:3: error: a.b is there twice: line 1 has it too"]),
    "two spellings in json": ({"a.json": '{"a.b": 1,\n "a": {"b": 2}}'}, ["a.json:2:13: error: a.b is there twice, in two spellings"]),
    "a block that looks like keys": ({"a.yml": "a.b: 1\nt: |\n  a.b: 1\n  a.b: 2\n"}, []),
    "a legacy key": ({"a.yml": "spring.profiles: dev"}, ["a.yml:1:18: error: spring.profiles is no longer read: use spring.config.activate.on-profile"]),
    "a malformed condition": ({"a.yml": "spring.config.activate.on-profile: a & b | c"}, ["a.yml:1:36: error: a profile expression mixes & and | without parentheses"]),
    "a bad include": ({"a.yml": "spring.profiles.include: '-'"}, ["a.yml:1:26: error: spring.profiles.include does not name a profile"]),
    "a placeholder": ({"a.yml": "x: 1\ny: a${db.hots}b"}, ["a.yml:2:4: error: ${db.hots} has no value in any answer, and no default"]),
    "a placeholder of another file": ({"a.yml": "y: ${x}", "application-prod.yml": "x: 1"}, []),
    "a placeholder of shared files": ({"application.yml": "y: ${x}", "a.yml": "x: 1", "b.yml": "z: 1"}, []),
    "a placeholder of another application": ({"a.yml": "y: ${x}", "b.yml": "x: 1"}, ["a.yml:1:4: error: ${x} has no value in any answer, and no default"]),
    "a placeholder with a default": ({"a.yml": "y: ${x:1}${z:}"}, []),
    "a placeholder in a default": ({"a.yml": "y: ${x:${z}}"}, ["a.yml:1:4: error: ${z} has no value in any answer, and no default"]),
    "a placeholder of the environment": ({"a.yml": "y: ${DB_PASSWORD}${spring.application.name}${random.int}"}, []),
    "an escaped placeholder": ({"a.yml": "y: '\\${x}'"}, []),
    "a text and a number": ({"a.yml": "x: 5", "a-prod.yml": "x: five"}, ["a-prod.yml:1:4: error: x is a text here and a number in a.yml:1:4"]),
    "a list and a text": ({"a.yml": "x: [1]", "a-prod.yml": "x: one"}, ["a-prod.yml:1:4: error: x is a text here and a list in a.yml:1:5"]),
    "a map and a number": ({"a.yml": "x:\n  y: 1", "a-prod.yml": "x: 2"}, ["a-prod.yml:1:4: error: x is a number here and a map in a.yml:2:6"]),
    "a boolean and a map": ({"a.yml": "x: true", "a-prod.yml": "x:\n  y: 1"}, ["a-prod.yml:2:6: error: x is a map here and true or false in a.yml:1:4"]),
    "types of documents": ({"a.yml": "x: 1\n---\nspring.config.activate.on-profile: eu\nx: one"}, ["a.yml:4:4: error: x is a text here and a number in a.yml:1:4"]),
    "an integer and a float": ({"a.yml": "x: 1", "a-prod.yml": "x: 1.5"}, []),
    "a text of properties": ({"a.yml": "x: 1\ny: [a]", "a-prod.properties": "x=2\ny=b,c"}, []),
    "what is filled in later": ({"a.yml": "x: 1\ny: 2\nz: 3", "a-prod.yml": "x: ${X}\ny: '{cipher}00'\nz:"}, []),
    "names of loggers": ({"a.yml": "logging.level.org: INFO", "a-prod.yml": "logging.level.org.x: WARN"}, []),
    "types of other labels": ({"v1/a.yml": "x: 1", "v2/a-prod.yml": "x: one"}, []),
    "a redundant value": ({"a.yml": "x: 1", "a-prod.yml": "x: 1"}, ["a-prod.yml:1:4: warning: x is the same as in a.yml:1:4, which it lies over"]),
    "a redundant list": ({"a.yml": "x: [1, 2]", "a-prod.yml": "x: [1, 2]"}, ["a-prod.yml:1:5: warning: x is the same as in a.yml:1:5, which it lies over"]),
    "a longer list": ({"a.yml": "x: [1, 2]", "a-prod.yml": "x: [1, 2, 3]"}, []),
    "another type": ({"a.yml": "x: 1", "a-prod.yml": "x: 1.0"}, []),
    "one between": ({"application.yml": "x: 1", "a.yml": "x: 2", "a-prod.yml": "x: 1"}, []),
    "redundant under one label": ({"a.yml": "x: 1", "a-prod.yml": "x: 1", "v2/a.yml": "x: 2"}, []),
    "shared and redundant": ({"application.yml": "x: 1", "application-prod.yml": "x: 1", "a.yml": "x: 2"}, ["application-prod.yml:1:4: warning: x is the same as in application.yml:1:4, which it lies over"]),
    "never active": ({"a.yml": "spring.config.activate.on-profile: b & !b"}, ["a.yml:1:36: warning: no request can make this document active"]),
    "never active in this file": ({"a-b.yml": "spring.config.activate.on-profile: '!b'", "a.yml": "{}"}, ["a-b.yml:1:36: warning: no request can make this document active"]),
    "a profile that has no name": ({"a.yml": "spring.config.activate.on-profile: '-x'"}, ["a.yml:1:36: warning: no request can make this document active"]),
    "a cloud platform": ({"a.yml": "spring.config.activate.on-cloud-platform: none"}, ["a.yml:1:43: warning: a document for a cloud platform is never active here"]),
    "a name of no application": ({"-x-.yml": "a: 1"}, [f"-x-.yml:1:1: error: {NEVER_READ} name"]),
    "a reserved name": ({"_x.yml": "a: 1", "actuator.yml": "a: 1"}, [f"_x.yml:1:1: error: {NEVER_READ} name", f"actuator.yml:1:1: error: {NEVER_READ} name"]),
    "a folder of no label": ({"a#b/x.yml": "a: 1"}, [f"a#b/x.yml:1:1: error: {NEVER_READ} place"]),
    "an unreached file is read": ({"a#b/x.yml": "a: 1\na: 1"}, [f"a#b/x.yml:1:1: error: {NEVER_READ} place", "a#b/x.yml:2:1: error: a key is there twice"]),
    "a capital suffix": ({"a.YML": "a: 1"}, ["a.YML:1:1: error: .YML is no suffix of configuration: .yml is"]),
    "a misspelled suffix": ({"a.ymal": "", "a.propertes": ""}, ["a.propertes:1:1: error: .propertes is no suffix of configuration: .properties is", "a.ymal:1:1: error: .ymal is no suffix of configuration: .yaml is"]),
    "other files": ({"nginx.conf": "", "a.xml": "", "README.md": "", "Makefile": "", "a.jsonl": "", ".hidden.YML": ""}, []),
    "another format": ({"a.json": "{}", "a.yml": "x: 1"}, ["a.json:1:1: error: is never read: a.yml beside it is read instead"]),
    "two names of one bundle": ({"a.yml": "x: 1", "a-default.yml": "x: 2"}, ["a.yml:1:1: error: is never read: a-default.yml beside it is read instead"]),
    "another format in a label": ({"v2/a.json": "{}", "a.yml": "x: 1"}, []),
    "a near profile": (
        {f"{name}-{profile}.yml": "" for name in "abcd" for profile in ("production", "eu1", "eu2")} | {"a-prodution.yml": "", "b-eu3.yml": ""},
        ["a-prodution.yml:1:1: warning: profile prodution has 1 file: is production meant, which has 4?"],
    ),
    "a profile as used as the near one": ({f"{name}-{profile}.yml": "" for name in "abcd" for profile in ("test", "rest")}, []),
}  # fmt: skip


@pytest.mark.parametrize(("files", "lines"), CASES.values(), ids=CASES)
def test_what_is_wrong_in_our_own_dialect(files, lines):
    """Each rule finds its mistake where it is, and nothing else."""
    assert found(files) == lines


SPRING_CASES = {
    "json and toml": ({"a.json": "{}", "a.toml": ""}, ["a.json:1:1: warning: no answer has the keys of .json files under --spring", "a.toml:1:1: warning: no answer has the keys of .toml files under --spring"]),
    "two formats": ({"a.yml": "x: 1", "a.properties": "y=1"}, []),
    "a layer of another format": ({"a.yml": "x: [1]", "a.yaml": "x: one"}, ["a.yml:1:5: error: x is a list here and a text in a.yaml:1:4"]),
    "an import": ({"a.yml": "spring.config.import: b.yml\nx: 1", "b.yml": "x: one"}, ["b.yml:1:4: error: x is a text here and a number in a.yml:2:4"]),
    "an import of itself": ({"a.yml": "spring.config.import: a.yml\nx: 1"}, []),
    "an application between shared files": ({"application.yml": "x: 1", "application-prod.yml": "x: 1", "a.yml": "x: 2"}, []),
    "shared and redundant": ({"application.yml": "x: 1", "application-prod.yml": "x: 1"}, ["application-prod.yml:1:4: warning: x is the same as in application.yml:1:4, which it lies over"]),
    "latin-1": ({"a.properties": b"x=\xe4"}, []),
}  # fmt: skip


@pytest.mark.parametrize(("files", "lines"), SPRING_CASES.values(), ids=SPRING_CASES)
def test_what_is_wrong_in_springs_dialect(files, lines):
    """Where its rules are others."""
    assert found(files, SPRING) == lines


PATTERNS = {
    "by application": (("{application}/",), {"a/a.yml": "x: ${y}", "a/application.yml": "y: 1"}, []),
    "of another application": (("{application}/",), {"a/b.yml": "x: 1"}, [f"a/b.yml:1:1: error: {NEVER_READ} place"]),
    "outside of the pattern": (("cfg/*/",), {"a.yml": "x: 1", "cfg/eu/a.yml": "x: 1"}, [f"a.yml:1:1: error: {NEVER_READ} place"]),
    "by label": (("{label}/cfg/",), {"v2/cfg/a.yml": "x: one", "v2/cfg/a-prod.yml": "x: 1"}, ["v2/cfg/a-prod.yml:1:4: error: x is a number here and a text in v2/cfg/a.yml:1:4"]),
    "two tiers": (("top/", "low/"), {"top/a.yml": "x: 1", "low/a.yml": "x: one"}, ["top/a.yml:1:4: error: x is a number here and a text in low/a.yml:1:4"]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("patterns", "files", "lines"), PATTERNS.values(), ids=PATTERNS
)
def test_search_locations(patterns, files, lines):
    """Their patterns say which file is reached, and their order what lies over what."""
    assert found(files, patterns=patterns) == lines


def test_a_file_that_two_search_locations_lead_to_is_not_below_itself(tmp_path):
    """As a label's folder of one of them, and as the other."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "a.yml").write_text("x: 1\n")
    trees = [list_root(str(folder))[0] for folder in (tmp_path, tmp_path / "shared")]
    places = [Place(tree, "") for tree in trees]
    assert check(places, Rules(SPRING, "master", refuse))[1] == set()


def test_what_is_ignored():
    """Files by name or path, placeholders by name."""
    files = {
        "docker-compose.yml": "a: 1\na: 1",
        "x/y.yml": "a: [",
        "a.yml": "u: ${vault.user}\nv: ${other}",
    }
    assert found(
        files, ignored_files=["docker-*", "x/*"], ignored_placeholders=["vault.*"]
    ) == ["a.yml:2:4: error: ${other} has no value in any answer, and no default"]


class CountingTree(DictTree):
    """A tree that counts how often a file is read, and cannot read one of them."""

    counts = None

    def read(self, path, limit=0):
        self.counts[path] = self.counts.get(path, 0) + 1
        if path == "shut.yml":
            raise BackendUnavailable("shut.yml: permission denied")
        return super().read(path)


def test_a_file_that_cannot_be_read_is_an_error():
    """Of its own; the others are checked, and each file is read once."""
    CountingTree.counts = {}
    files = {
        "shut.yml": "",
        "a.yml": "x: !y z",
        "a-prod.yml": "x: 1",
        "application.yml": "",
        "v2/a.yml": "",
        "b.yml": "",
    }
    assert found(files, tree=CountingTree) == [
        "a.yml:1:4: error: a tag that is not known here",
        "shut.yml:1:1: error: cannot be read: permission denied",
    ]
    assert CountingTree.counts == dict.fromkeys(files, 1)


def test_one_application_is_held_at_a_time():
    """And the shared files, however many there are; progress is told after each."""
    names = [f"app{number}" for number in range(20)]
    contents = {
        f"{name}{profile}.yml": b"x: 1"
        for name in (*names, "application")
        for profile in ("", "-prod")
    }
    listed, _ = list_root("", DictTree(contents))
    gc.collect()
    before = sum(type(one) is Document for one in gc.get_objects())
    seen = []

    def look(done, total):
        held = sum(type(one) is Document for one in gc.get_objects()) - before
        seen.append((done, total, held))

    check([Place(listed)], Rules(OWN, "main", refuse), look)
    assert seen == [(done, 42, 4) for done in range(4, 44, 2)] + [(42, 42, 4)]


HOSTILE = {
    "aliases": "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)),
    "depth": "[" * 5000,
    "conditions": "spring.config.activate.on-profile: [" + ", ".join(f"p{n}" for n in range(2_000)) + "]",
    "negations": "spring.config.activate.on-profile: '" + "!" * 500 + "a'",
    "placeholders": "a: '" + "${" * 50_000 + "}" * 40_000 + "'",
    "placeholders in defaults": "a: '" + "${a:" * 50_000 + "}" * 50_000 + "'",
    "documents": "a: 1\n---\n" * 99,
    "keys": "".join(f"a.b{n}.c: 1\n" for n in range(30_000)),
    "blanks": "a.b: |\n" + "".join(" " * (n % 500 + 1) + "x.y:\n" for n in range(3000)),
    "groups": "spring.profiles.group:\n" + "".join(f"  g{n}: g{n + 1}\n" for n in range(50)),
}  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_end_in_time(text):
    """Whatever is said of them."""
    assert all(
        line.startswith("a") for line in found({"a.yml": text, "a-prod.yml": "x: 1"})
    )


@pytest.mark.parametrize(
    "text",
    [
        '{"' + "." * 1_000_000 + '": 1}',
        '{"a": "' + "." * 2_000_000 + '"}',
        "[" * 100_000,
    ],
    ids=["key", "text", "depth"],
)
def test_hostile_json_ends_in_time(text):
    """Whatever is said of it."""
    assert len(found({"a.json": text})) <= 1
