"""Plain files over the routes; the recorded answers are in test_spring_answers."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from pathlib import Path

import pytest
from settling import settle

from pyconfserve import ConfigServer, FilesystemConfigBackend, InMemoryConfigBackend
from pyconfserve.answers import Answers
from pyconfserve.bundles import LARGEST_PLAIN_FILE
from pyconfserve.environment.overlay import make_lookup
from pyconfserve.http.access import Access
from pyconfserve.http.messages import Request, Response
from pyconfserve.http.rights import ALL_RIGHTS, READ
from pyconfserve.http.routes import Routes
from pyconfserve.http.users import EVERYONE, User

CASES = json.loads((Path(__file__).parents[1] / "cases/paths.json").read_text())
DATE = "Fri, 01 Mar 2024 00:00:00 GMT"
SECONDS = 1709251200


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with plain files, and links that lead out of it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("what nobody may read")
    folder = tmp_path / "cfg"
    (folder / "conf.d").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / ".git/config").write_text("[core]")
    (folder / "app.json").write_text('{"host": "h", "loop": "${loop}"}')
    (folder / "nginx.conf").write_text("server ${host} ${no:x} \\${kept}")
    (folder / "nginx-prod.conf").write_text("prod")
    (folder / "loop.conf").write_text("${loop}")
    (folder / "latin.txt").write_bytes("é".encode("latin-1"))
    (folder / "lnk.yml").symlink_to(outside / "secret")
    (folder / "dl").symlink_to(outside)
    (folder / "loop.yml").symlink_to("loop.yml")
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, (SECONDS, SECONDS))
    return folder


def ask(root: Path | None, target: str, **headers: str) -> Response:
    backend = FilesystemConfigBackend(root) if root else InMemoryConfigBackend()
    path, _, query = target.partition("?")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.run(
        Routes(ConfigServer(backend)).handle(Request("GET", path, query, named))
    )


ROWS = [case for case in CASES if case["kind"] == "R"]


@pytest.mark.parametrize("case", ROWS, ids=[case["source"] + case["target"][:40] for case in ROWS])  # fmt: skip
def test_what_lies_outside_is_not_served(case: dict[str, object], root: Path) -> None:
    """Every published traversal, and ours: 400 or 404, and nothing of the file."""
    response = ask(root, str(case["target"]))
    expected = case["expect"]
    assert response.status in (expected if isinstance(expected, list) else [expected])
    assert b"what nobody" not in response.body


@pytest.mark.parametrize(
    ("target", "headers", "status", "body"),
    [
        ("/app/default/main/nginx.conf", {}, 200, b"server h x ${kept}"),
        ("/app/default/main/nginx.conf?resolvePlaceholders=no", {}, 200, b"server ${host} ${no:x} \\${kept}"),
        ("/app/default/main/nginx.conf", {"accept": "application/octet-stream"}, 200, b"server ${host} ${no:x} \\${kept}"),
        ("/app/prod/main/nginx.conf", {}, 200, b"prod"),
        ("/app/default/nginx.conf?useDefaultLabel", {}, 200, b"server h x ${kept}"),
        ("/app/default/main/latin.txt", {"accept_charset": "latin-1"}, 200, "é".encode()),
        ("/app/default/main/latin.txt", {"accept_charset": "no-such"}, 200, "\ufffd".encode()),
        ("/app/default/main/nginx.conf", {"if_modified_since": DATE}, 304, b""),
        ("/app/default/main/nginx.conf", {"if_modified_since": "yesterday"}, 200, b"server h x ${kept}"),
        ("/app/default/main/nginx.conf", {"if_modified_since": DATE, "if_none_match": '"x"'}, 200, b"server h x ${kept}"),
    ],
)  # fmt: skip
def test_a_file_is_answered(
    root: Path, target: str, headers: dict[str, str], status: int, body: bytes
) -> None:
    """As text filled in, as it is when asked for bytes, or not at all when known."""
    response = ask(root, target, **headers)
    assert (status, body) == (response.status, response.body)


@pytest.mark.parametrize(
    ("target", "headers", "status", "message"),
    [
        ("/app/default/main/none.txt", {}, 404, "no such file"),
        ("/app/default/main/conf.d", {}, 404, "no such file"),
        ("/app/default/main/.git/config", {}, 404, "no such file"),
        ("/app/default/main/nginx.conf", {"if_unmodified_since": "Thu, 29 Feb 2024 00:00:00 GMT"}, 412, "the file was modified since"),
        ("/app/default/main/loop.conf", {}, 400, "resolvePlaceholders: a placeholder leads back to itself"),
        ("/app/default/main/nginx.conf?resolvePlaceholders=maybe", {}, 400, "resolvePlaceholders: expected true or false"),
        ("/app/default/x?" + "a=1&" * 101, {}, 400, "query: more than 100 parameters"),
    ],
)  # fmt: skip
def test_a_file_is_refused(
    root: Path, target: str, headers: dict[str, str], status: int, message: str
) -> None:
    """Each for a reason that the message names."""
    response = ask(root, target, **headers)
    assert (status, message) == (response.status, json.loads(response.body)["message"])


def test_an_answer_that_is_known_is_not_sent_again(root: Path) -> None:
    """The ETag of the answer is that of its very bytes."""
    first = dict(ask(root, "/app/default/main/nginx.conf").headers)
    second = ask(root, "/app/default/main/nginx.conf", if_none_match=first["ETag"])
    assert (second.status, second.body) == (304, b"")
    assert (first["Last-Modified"], first["X-Content-Type-Options"]) == (DATE, "nosniff")


def test_the_first_location_wins(tmp_path: Path) -> None:
    """As for bundles; the label's folder is before the location's own."""
    for name, text in (("one/v2/a.txt", "1v2"), ("one/b.txt", "1"), ("two/a.txt", "2"), ("two/b.txt", "2")):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    places = [tmp_path / "one", tmp_path / "two"]
    routes = Routes(ConfigServer(FilesystemConfigBackend(places[0], places)))
    targets = ["/x/y/v2/a.txt", "/x/y/v1/a.txt", "/x/y/v1/b.txt"]
    found = [asyncio.run(routes.handle(Request("GET", t))).body for t in targets]
    assert found == [b"1v2", b"2", b"1"]


def test_a_file_above_the_limit_is_named(root: Path) -> None:
    """It is the owner's to mend: 500, with the file's name."""
    with (root / "big.bin").open("wb") as file:
        file.truncate(LARGEST_PLAIN_FILE + 1)
    response = ask(root, "/app/default/main/big.bin")
    message = f"big.bin: larger than {LARGEST_PLAIN_FILE} bytes"
    assert (500, message) == (response.status, json.loads(response.body)["message"])


def test_a_backend_without_files_has_none() -> None:
    """Memory and backends of three methods answer 404."""
    assert ask(None, "/app/default/main/nginx.conf").status == 404


@pytest.mark.parametrize("charset", ["idna", "undefined", "punycode", "unicode_escape", "utf-7", "x" * 4000])
def test_a_charset_is_one_of_a_few(root: Path, charset: str) -> None:
    """Python has codecs that fail on what others replace, or take seconds for a file."""
    response = ask(root, "/app/default/main/latin.txt", accept_charset=charset)
    assert (200, "\ufffd".encode()) == (response.status, response.body)


# kept by stamp


BYTES = {"accept": "application/octet-stream"}


class Counting(FilesystemConfigBackend):
    """A folder that counts the files asked of it, and is looked at for each request."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, refresh_interval=0)
        self.files = 0

    async def file(self, lookup, path):  # type: ignore[no-untyped-def]
        self.files += 1
        return await super().file(lookup, path)


@pytest.fixture
def counting(root: Path) -> tuple[Counting, Routes]:
    """A folder whose files are counted, and routes over it."""
    backend = Counting(root)
    settle(root)
    return backend, Routes(ConfigServer(backend))


def asked(target: str, **headers: str) -> Request:
    path, _, query = target.partition("?")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("GET", path, query, named)


NGINX = "/app/default/main/nginx.conf"


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        (NGINX, {}),
        (NGINX, BYTES),
        (f"{NGINX}?resolvePlaceholders=no", {}),
        (NGINX, {"accept_charset": "latin-1"}),
        ("/app/prod/main/nginx.conf", {}),
        ("/app/default/nginx.conf?useDefaultLabel", {}),
    ],
    ids=["text", "bytes", "unfilled", "charset", "profile", "no label"],
)  # fmt: skip
def test_a_file_is_read_once(
    counting: tuple[Counting, Routes], target: str, headers: dict[str, str]
) -> None:
    """Later it is the very same answer, given without a task."""
    backend, routes = counting
    request = asked(target, **headers)
    assert routes.ready(request) is None
    first = asyncio.run(routes.handle(request))
    assert first.status == 200
    assert routes.ready(request) is first
    assert asyncio.run(routes.handle(request)) is first
    assert backend.files == 1


def test_each_form_of_a_file_is_kept_apart(counting: tuple[Counting, Routes]) -> None:
    """Bytes, text, text filled in, by charset and for each who may have another."""
    _, routes = counting
    latin = "/app/default/main/latin.txt"
    table = [(asked(NGINX), b"server h x ${kept}"), (asked(NGINX, **BYTES), b"server ${host} ${no:x} \\${kept}"),
             (asked(f"{NGINX}?resolvePlaceholders=no"), b"server ${host} ${no:x} \\${kept}"),
             (asked("/app/prod/main/nginx.conf"), b"prod"), (asked(latin), "\ufffd".encode()),
             (asked(latin, accept_charset="latin-1"), "é".encode()), (asked(latin, **BYTES), b"\xe9")]  # fmt: skip
    for _ in range(2):
        found = [asyncio.run(routes.handle(request)).body for request, _ in table]
        assert found == [body for _, body in table]
    ready = [routes.ready(request) for request, _ in table]
    assert [response and response.body for response in ready] == found


def _edit(root: Path) -> None:
    (root / "nginx.conf").write_text("edited")


def _override(root: Path) -> None:
    (root / "main").mkdir()
    (root / "main/nginx.conf").write_text("edited")


def _add_variant(root: Path) -> None:
    (root / "nginx-dev.conf").write_text("edited")


def _fill(root: Path) -> None:
    (root / "app.json").write_text('{"host": "edited"}')


@pytest.mark.parametrize(
    ("change", "body"),
    [
        (_edit, b"edited"),
        (_override, b"edited"),
        (_add_variant, b"edited"),
        (_fill, b"server edited x ${kept}"),
    ],
)
def test_a_change_on_disk_is_seen(root: Path, counting, change, body) -> None:  # type: ignore[no-untyped-def]
    """Of the file, of one that goes before it, and of what fills it in."""
    _, routes = counting
    request = asked("/app/dev/main/nginx.conf")
    assert asyncio.run(routes.handle(request)).body == b"server h x ${kept}"
    change(root)
    assert routes.ready(request) is None
    assert asyncio.run(routes.handle(request)).body == body


def test_a_file_that_goes_is_not_found(root: Path, counting: tuple[Counting, Routes]) -> None:  # fmt: skip
    """At once."""
    _, routes = counting
    assert asyncio.run(routes.handle(asked(NGINX))).status == 200
    (root / "nginx.conf").unlink()
    assert routes.ready(asked(NGINX)) is None
    assert asyncio.run(routes.handle(asked(NGINX))).status == 404


def test_a_file_in_a_wildcard_folder_is_seen(tmp_path: Path) -> None:
    """A folder that comes, and is before the one that has the file."""
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        places = [f"{tmp_path}/*/"]
        if name == "b":
            backend = FilesystemConfigBackend(tmp_path, places, refresh_interval=0)
            routes = Routes(ConfigServer(backend))
        (tmp_path / name / "x.txt").write_text(name)
        assert asyncio.run(routes.handle(asked("/app/default/main/x.txt"))).body == name.encode()  # fmt: skip


CONDITIONS = [
    ({"if_modified_since": DATE}, 304),
    ({"if_modified_since": "Thu, 29 Feb 2024 00:00:00 GMT"}, 200),
    ({"if_modified_since": "yesterday"}, 200),
    ({"if_modified_since": DATE, "if_none_match": '"x"'}, 200),
    ({"if_none_match": '"x", *'}, 304),
    ({"if_unmodified_since": DATE}, 200),
    ({"if_unmodified_since": DATE, "if_none_match": '"x"'}, 200),
    ({"if_unmodified_since": "Thu, 29 Feb 2024 00:00:00 GMT"}, 412),
    ({"if_unmodified_since": "Thu, 29 Feb 2024 00:00:00 GMT", "if_none_match": "*"}, 412),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "status"), CONDITIONS)
def test_conditions_count_for_what_is_kept(counting, headers, status) -> None:  # type: ignore[no-untyped-def]
    """As for what is not; a refusal is made by the slower way."""
    _, routes = counting
    first = asyncio.run(routes.handle(asked(NGINX, **headers)))
    assert status == first.status
    asyncio.run(routes.handle(asked(NGINX)))
    ready = routes.ready(asked(NGINX, **headers))
    assert ready == (None if status == 412 else first)
    assert status == asyncio.run(routes.handle(asked(NGINX, **headers))).status


def test_rights_are_judged_each_time(root: Path) -> None:
    """On the path, too: who may read the bundle may not read what is another's."""

    class Known:
        user = None

        def remembered(self, authorization: str) -> User | None:
            return self.user

    authority = Known()
    backend = FilesystemConfigBackend(root)
    access = Access(authority=authority)  # type: ignore[arg-type]
    routes = Routes(ConfigServer(backend), access=access)
    request = asked(NGINX, authorization="Basic x")
    settle(root)
    authority.user = EVERYONE(ALL_RIGHTS)
    assert asyncio.run(routes.handle(request)).status == 200
    assert routes.ready(request) is not None
    reads = frozenset({READ})
    for user in (
        User("no right", frozenset()),
        User("another profile", reads, ("app",), ("prod",)),
        User("other files", reads, files=("conf.d/*",)),
    ):
        authority.user = user
        assert routes.ready(request) is None
        assert asyncio.run(routes.handle(request)).status == 403
    authority.user = User("this file", reads, files=("nginx.*",))
    assert routes.ready(request) is not None


def test_files_count_within_the_limit_of_answers(root: Path) -> None:
    """They drive out what was used longest ago."""
    server = ConfigServer(FilesystemConfigBackend(root))
    answers = Answers(server, 100_000)
    routes = Routes(server)
    routes._answers = answers
    for number in range(10):
        (root / f"{number}.txt").write_bytes(b"x" * 20_000)
    settle(root)
    for number in range(10):
        asyncio.run(routes.handle(asked(f"/app/default/main/{number}.txt")))
    kept = [routes.ready(asked(f"/app/default/main/{number}.txt")) for number in range(10)]  # fmt: skip
    assert [response is not None for response in kept] == [False] * 6 + [True] * 4


def test_names_count_within_the_limit_of_answers(root: Path) -> None:
    """One request may have eight kilobytes of them, for a file of some bytes."""
    server = ConfigServer(FilesystemConfigBackend(root))
    routes = Routes(server)
    routes._answers = Answers(server, 50_000)
    settle(root)
    many = [",".join(f"{chr(97 + at)}{item}{'x' * 220}" for item in range(32)) for at in range(10)]  # fmt: skip
    for profiles in many:
        assert asyncio.run(routes.handle(asked(f"/app/{profiles}/main/nginx.conf"))).status == 200  # fmt: skip
    assert len(routes._answers._kept) == 4


def test_a_file_depends_on_few_paths(root: Path) -> None:
    """However many profiles might have had their own: folders tell of those."""
    profiles = ",".join(f"p{item}" for item in range(32))
    lookup = make_lookup("app", profiles, "main")
    found = asyncio.run(FilesystemConfigBackend(root).file(lookup, "nginx.conf"))
    assert found is not None
    [(_, paths)] = found.seen  # type: ignore[misc, attr-defined]
    assert paths == ("main", "", "nginx.conf")


def test_a_file_comes_in_gzip(root: Path) -> None:
    """Text that is long enough; what gzip makes no smaller stays as it is."""
    (root / "long.txt").write_text("long " * 1000)
    (root / "noise.bin").write_bytes(os.urandom(2000))
    for path, headers, coding in (
        ("long.txt", {}, "gzip"),
        ("noise.bin", BYTES, None),
        ("nginx.conf", {}, None),
    ):
        target = f"/app/default/main/{path}"
        plain = ask(root, target, **headers)
        packed = ask(root, target, accept_encoding="gzip", **headers)
        assert coding == dict(packed.headers).get("Content-Encoding")
        body = gzip.decompress(packed.body) if coding else packed.body
        assert plain.body == body
        assert dict(packed.headers)["Vary"] == "Accept, Accept-Charset, Accept-Encoding"


def test_a_large_file_is_worked_on_off_the_loop(root: Path) -> None:
    """Text of a megabyte, with placeholders: the loop goes on meanwhile."""
    (root / "large.txt").write_text("${host} " + "x " * 500_000)
    response = ask(root, "/app/default/main/large.txt")
    assert response.body == b"h " + b"x " * 500_000
