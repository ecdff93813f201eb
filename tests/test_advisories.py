"""Each published vulnerability of servers like this one, by its number, as a request.

The tables are those of Spring Cloud Config, GitPython and git. Where an advisory is
about a store that is not served here, its class is tested instead.
"""

import asyncio
import json
import logging
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from witness import witnessed

from pyconfserve.auto_configuration import build_backend, build_server
from pyconfserve.backend import ConfigSource, InMemoryConfigBackend
from pyconfserve.environment.overlay import OWN, SPRING
from pyconfserve.errors import (
    BackendError,
    BackendMisconfigured,
    BackendUnavailable,
    SettingsError,
)
from pyconfserve.filesystem import FilesystemConfigBackend
from pyconfserve.http.messages import Request
from pyconfserve.http.monitor import Monitor
from pyconfserve.http.routes import Routes
from pyconfserve.server import ConfigServer
from pyconfserve.settings import Settings
from pyconfserve.spring_settings import read_spring

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "adapters/git"))  # real_git
SECRET = "canary-5f1c"
JSON = {"content-type": "application/json"}
BYTES = {"accept": "application/octet-stream"}
FILES = {"app.yml": "a: 1\n", "foo.txt": "plain"}
OUTSIDE = ("etc/passwd", "etc.yml", "secret", "secret.yml", "spam.yml", "foo.txt")


def ask(routes, target, method="GET", headers=None, body=b""):
    """The answer to one request."""
    path, _, query = target.partition("?")
    given = (JSON if method == "POST" else {}) | (headers or {})
    request = Request(method, path, query, given, body, "a")
    return asyncio.run(answer(routes, request))


async def answer(routes, request):
    return routes.ready(request) or await routes.handle(request)


def not_refused(routes, targets, *, methods=("GET", "HEAD", "POST"), headers=None):
    """(method, target, status) of each that is not 400, or whose answer is a leak."""
    found = []
    for method in methods:
        for target in targets:
            got = ask(routes, target, method, headers, b"{}" * (method == "POST"))
            if got.status != 400 or SECRET.encode() in got.body:
                found.append((method, target, got.status))
    return found


def not_found(routes, targets, **options):
    """The same for those that are plain files, which take no POST."""
    return not_refused(routes, targets, methods=("GET", "HEAD"), **options)


def of_folder(folder):
    root = folder / "cfg"
    root.mkdir()
    for name, text in FILES.items():
        (root / name).write_text(text)
    return FilesystemConfigBackend(root)


def of_git(folder):
    pytest.importorskip("git", reason="pip install 'pyconfserve[git]'")
    from real_git import Origin

    from pyconfserve.adapters.git import GitConfigBackend

    origin = Origin(folder / "origin", files=FILES)
    return GitConfigBackend(origin.uri, clone_dir=str(folder / "clone"), refresh_rate=0)


@pytest.fixture(scope="module", params=[of_folder, of_git], ids=["folder", "git"])
def routes(request, tmp_path_factory):
    """Routes over files, with secrets beside them."""
    folder = tmp_path_factory.mktemp("advisories")
    for name in OUTSIDE:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"a: {SECRET}\n")
    made = request.param(folder)
    server = ConfigServer(made)
    asyncio.run(server.open())
    yield Routes(server, all_routes=True)
    asyncio.run(server.close())


@pytest.fixture
def clone(tmp_path):
    """Where a clone goes."""
    return tmp_path / "clone"


@pytest.fixture
def git(tmp_path):
    """`git(uri, …)` makes a backend; without GitPython the test is skipped."""
    pytest.importorskip("git", reason="pip install 'pyconfserve[git]'")
    from pyconfserve.adapters.git import GitConfigBackend

    made = []

    def make(uri, **options):
        made.append(GitConfigBackend(uri, refresh_rate=0, **options))
        return made[-1]

    yield make
    for backend in made:
        asyncio.run(backend.close())


@pytest.fixture
def make_origin(tmp_path):
    """`make_origin(name, files)` makes a bare repository."""
    pytest.importorskip("git", reason="pip install 'pyconfserve[git]'")
    from real_git import Origin

    return lambda name="origin", files=FILES: Origin(tmp_path / name, files=files)


# Spring Cloud Config

UPWARDS = ["..%252f", "..%252F", "%252e%252e%252f", "..%2f", "%2e%2e%2f", "..%255c", "..%5c", "..(_)", "..%28_%29"]  # fmt: skip


def climbs(template):
    """*template* with every way upwards that is known, up to eight folders high."""
    return [template.format(up * times) for up in UPWARDS for times in (1, 2, 8)]


def test_cve_2019_3799_a_path_that_is_escaped_twice(routes):
    """The path of a plain file leads nowhere else, however its dots are written."""
    published = "/test/pathtraversal/master/..%252f..%252f..%252f..%252f../etc/passwd"
    targets = [published, *climbs("/app/default/main/{}etc/passwd"), *climbs("/app/default/{}secret?useDefaultLabel")]  # fmt: skip
    assert not_found(routes, targets) == []


def test_cve_2020_5405_the_same_in_the_label(routes):
    """Which the mend before had left out; as a label of every route."""
    published = "/a/b/%252f..%252f..%252f..%252fetc/passwd"
    places = ["/app/default/{}etc/passwd", "/app/default/{}etc/foo.txt"]
    targets = [published, *(target for place in places for target in climbs(place))]
    assert not_found(routes, targets) == []
    assert not_refused(routes, climbs("/app/default/{}etc")) == []
    assert not_found(routes, climbs("/{}etc/app-default.yml")) == []


def test_cve_2020_5410_the_same_in_the_application(routes):
    """Whose `%23` cut off what would have been put behind it."""
    published = "/..%252F..%252F..%252F..%252Fetc%252Fpasswd%23foo/development"
    targets = [published, *climbs("/{}etc%252Fpasswd%23foo/default"), *climbs("/{}secret%23/default/main"), "/app%23/default"]  # fmt: skip
    assert not_refused(routes, targets) == []
    assert not_found(routes, climbs("/{}secret%23-default.yml")) == []


class Vault(InMemoryConfigBackend):
    """A store that wants a token of each request, and may fail it."""

    token = "nobody's"

    def __init__(self, error=None):
        super().__init__()
        self.error = error

    def for_request(self, token, state):
        own = Vault(self.error)
        own.token = token
        return own

    async def fetch(self, application, profile, label="main"):
        await asyncio.sleep(0)  # so that requests overtake each other
        if self.error is not None:
            raise self.error
        if (application, profile) != ("app", "default"):
            return None
        return ConfigSource(application, profile, label, {"seen by": self.token})


@pytest.mark.parametrize("error", [BackendUnavailable("the store refused"), RuntimeError("broken")], ids=["foreseen", "unforeseen"])  # fmt: skip
def test_cve_2023_20859_a_token_that_is_refused_is_not_logged(caplog, error):
    """Nor told, when the store fails in the middle."""
    caplog.set_level(1)
    headers = {"x-config-token": SECRET, "authorization": f"Bearer {SECRET}"}
    got = ask(Routes(ConfigServer(Vault(error))), "/app/default", headers=headers)
    assert got.status in (500, 503)
    assert SECRET not in caplog.text + got.body.decode()


def test_cve_2025_22232_a_token_is_for_its_request_alone():
    """Many at once have their own answers, and who sends none has that of nobody."""
    tokens = ["", *(f"token-{number}" for number in range(20))] * 3
    routes = Routes(ConfigServer(Vault()))

    async def seen_by(token):
        headers = {"x-config-token": token} if token else {}
        got = await answer(routes, Request("GET", "/app/default", "", headers))
        return json.loads(got.body)["propertySources"][0]["source"]["seen by"]

    async def all_at_once():
        await seen_by("")  # so that there is an answer that is kept
        return await asyncio.gather(*map(seen_by, tokens))

    assert asyncio.run(all_at_once()) == [token or Vault.token for token in tokens]


def test_cve_2026_22739_the_same_in_the_profile(routes):
    """Which was never judged in eleven years; in lists of them, too."""
    published = ["/application/..%2F..%2F..%2F..%2F..%2Fetc", "/application/default%2C..%2F..%2Fetc"]  # fmt: skip
    targets = [*published, *climbs("/app/{}etc"), *climbs("/app/default,{}etc/main")]
    assert not_refused(routes, targets) == []
    assert not_found(routes, climbs("/app/{}etc/main/foo.txt")) == []
    assert not_found(routes, climbs("/app-{}etc.yml")) == []


HOSTS = (
    "http://{profile}:8080/r", "http://localhost:{profile}/r", "https://{application}/r", "https://{label}.example/r",
    "https://user@{profile}/r", "ssh://git@{profile}/r", "git@{profile}:r", "{application}:r", "https://{profile}@h/r",
    "{profile}://h/r", "file://{profile}/r",
)  # fmt: skip


@pytest.mark.parametrize("uri", HOSTS)
def test_cve_2026_22739_no_name_is_a_host(uri):
    """A client would choose whom this server talks to."""
    pytest.importorskip("git", reason="pip install 'pyconfserve[git]'")
    spring = read_spring({"spring.cloud.config.server.git.uri": uri}, {}, is_asked=True)
    with pytest.raises(SettingsError):
        build_server(Settings(**spring.fields), spring)


HEADERS = {
    "x-project-id": "other", "x-tenant-id": "other", "x-config-project": "other", "x-goog-user-project": "other",
    "x-forwarded-host": "other", "x-forwarded-prefix": "/etc", "x-forwarded-for": "127.0.0.1", "forwarded": "host=other",
    "x-original-url": "/_list", "x-rewrite-url": "/_list", "x-http-method-override": "POST", "x-method-override": "POST",
    "x-http-method": "POST", "x-config-token": "other", "x-config-state": "other", "x-encrypt-key": "other",
    "content-location": "/_list", "referer": "/_list", "cookie": "tenant=other", "accept-language": "other",
}  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_cve_2026_40981_no_header_selects_what_is_read(routes, name):
    """Whatever it says, the answer is the same, byte for byte."""
    for target in ("/app/default", "/app-default.yml", "/app/default/main/foo.txt"):
        plain = ask(routes, target)
        assert plain.status == 200
        assert plain == ask(routes, target, headers={name: HEADERS[name]})


@pytest.mark.parametrize("headers", [{}, BYTES], ids=["as text", "as bytes"])
def test_cve_2026_40982_plain_files_judge_every_name(routes, headers):
    """As text and as bytes; the names beside a key are judged, too."""
    places = ("/{}spam/default/main/foo.txt", "/app/{}spam/main/foo.txt", "/app/default/{}spam/foo.txt", "/app/default/main/{}secret")  # fmt: skip
    targets = [target for place in places for target in climbs(place)]
    assert not_found(routes, targets, headers=headers) == []
    keys = [f"/key/{name}/default" for name in ("..%2Fapp", "foo%23", "foo%2523")]
    assert not_refused(routes, keys, methods=["GET"]) == []
    names = [key.replace("/key/", place) for key in keys for place in ("/encrypt/", "/decrypt/")]  # fmt: skip
    assert not_refused(routes, names, methods=["POST"]) == []


def test_cve_2026_41002_a_link_in_the_place_of_the_clone(git, make_origin, clone, tmp_path):  # fmt: skip
    """It is refused; a clone of ours is closed to others from its first moment."""
    origin, elsewhere = make_origin(), tmp_path / "elsewhere"
    elsewhere.mkdir()
    clone.symlink_to(elsewhere)
    with pytest.raises(BackendMisconfigured):
        asyncio.run(git(origin.uri, clone_dir=str(clone)).open())
    assert os.listdir(elsewhere) == []
    clone.unlink()
    with witnessed() as deeds:
        asyncio.run(git(origin.uri, clone_dir=str(clone)).open())
    assert next(event for event, what in deeds if what == str(clone)) == "os.mkdir"
    assert stat.S_IMODE(clone.stat().st_mode) == 0o700


def test_cve_2026_41002_a_link_that_comes_later(git, make_origin, clone, tmp_path):
    """Nothing is saved to where it leads, and what was served is served on."""
    backend = git(make_origin().uri, clone_dir=str(clone))
    routes, elsewhere = Routes(ConfigServer(backend)), tmp_path / "elsewhere"
    before = ask(routes, "/app/default")
    elsewhere.mkdir()
    clone.rename(tmp_path / "aside")
    clone.symlink_to(elsewhere)
    assert ask(routes, "/app/default/main", "POST", body=b"{}").status in (500, 503)
    assert before.body == ask(routes, "/app/default").body
    assert not {"HEAD", "config", "objects", "refs"} & set(os.listdir(elsewhere))


def test_cve_2026_41004_no_level_shows_a_password(git, caplog):
    """Not the lowest of any logger, nor an answer, nor health."""
    caplog.set_level(1)
    for logger in (logging.getLogger(name) for name in ("git", "pyconfserve", "asyncio")):  # fmt: skip
        logger.setLevel(1)
    try:
        server = ConfigServer(git(f"http://user:{SECRET}@127.0.0.1:9/x.git"))
        routes = Routes(server, all_routes=True)
        got = [ask(routes, target) for target in ("/app/default", "/health", "/_list")]
        saved = ask(routes, "/app/default", "POST", body=b"{}")
    finally:
        for name in ("git", "pyconfserve", "asyncio"):
            logging.getLogger(name).setLevel(logging.NOTSET)
    assert {one.status for one in (*got, saved)} <= {500, 502, 503}
    shown = caplog.text + "".join(str(one) for one in (*got, saved)) + repr(server.backend)  # fmt: skip
    assert SECRET not in shown


def test_cve_2026_47836_a_folder_swapped_for_a_link(tmp_path):
    """While it is swapped to and fro, an answer is the folder's or nothing."""
    root, outside = tmp_path / "cfg", tmp_path / "outside"
    for place, text in ((root / "main", "a: 1\n"), (outside, f"a: {SECRET}\n")):
        place.mkdir(parents=True)
        (place / "app.yml").write_text(text)
        (place / "foo.txt").write_text(text)
    (tmp_path / "link").symlink_to(outside)
    routes = Routes(ConfigServer(FilesystemConfigBackend(root, refresh_interval=0)))
    is_over, swaps = threading.Event(), []

    def swap():
        while not is_over.is_set():
            os.rename(root / "main", tmp_path / "aside")
            os.rename(tmp_path / "link", root / "main")
            swaps.append(1)
            os.rename(root / "main", tmp_path / "link")
            os.rename(tmp_path / "aside", root / "main")

    async def read():
        found = []
        targets = ("/app/default", "/app-default.yml", "/app/default/main/foo.txt")
        while len(found) < 300 or len(swaps) < 300:
            for target in targets:
                found.append(await answer(routes, Request("GET", target)))
        return found

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        found = asyncio.run(read())
    finally:
        is_over.set()
        swapper.join()
    assert {one.status for one in found} <= {200, 404}
    assert 200 in {one.status for one in found}
    assert SECRET.encode() not in b"".join(one.body for one in found)


@pytest.mark.parametrize("secrets", [[], [""], ["s3cret"]], ids=["none", "blank", "one"])  # fmt: skip
def test_cve_2026_47837_an_unsigned_webhook_is_refused(secrets):
    """Also where no secret was set: that is no leave to come in."""
    server = ConfigServer(InMemoryConfigBackend())
    routes = Routes(server, monitor=Monitor(server, secrets))
    body = b'{"path": "*"}'
    sent = [{}, {"x-github-event": "push"}, {"x-hub-signature": "sha1="}, {"x-hub-signature-256": "sha256="}, {"x-gitlab-token": ""}]  # fmt: skip
    statuses = [ask(routes, "/monitor", "POST", headers, body).status for headers in sent]  # fmt: skip
    assert statuses == [401] * len(sent)


@pytest.mark.parametrize("arguments", [(), ("--spring",), ("serve",)], ids=["bare", "spring", "serve"])  # fmt: skip
def test_cve_2026_47894_nothing_is_served_that_nobody_named(tmp_path, arguments):
    """Not the folder that the server was started in, nor what lies in it."""
    (tmp_path / "config").mkdir()
    for place in ("application.yml", "config/application.yml"):
        (tmp_path / place).write_text(f"password: {SECRET}\n")
    command = [sys.executable, "-m", "pyconfserve", *arguments]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=30)  # fmt: skip
    assert (done.returncode, done.stdout) == (2, b"")


def test_cve_2026_47894_nor_by_the_library(tmp_path, monkeypatch):
    """Without a place it serves an empty one."""
    (tmp_path / "application.yml").write_text(f"password: {SECRET}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    assert asyncio.run(build_backend(Settings()).list()) == []


# mends of Spring Cloud Config that have no number


def test_spring_3235_a_value_stays_one_value(tmp_path):
    """Placeholders are filled in before the text of a file is made of the values."""
    values = {"one": "x\ny: injected", "two": "${one}", "three": "a\n---\nb: 1", "four": '"\nz=1', "five": "${six:\nq: 1}"}  # fmt: skip
    (tmp_path / "app.json").write_text(json.dumps(values))
    routes = Routes(ConfigServer(FilesystemConfigBackend(tmp_path)))
    for suffix in ("yml", "json", "properties"):
        text = ask(routes, f"/app-default.{suffix}").body.decode()
        again = tmp_path / suffix
        again.mkdir()
        (again / f"app.{suffix}").write_text(text)
        read = Routes(ConfigServer(FilesystemConfigBackend(again)))
        [source] = json.loads(ask(read, "/app/default").body)["propertySources"]
        filled = values | {"two": values["one"], "five": "\nq: 1"}
        assert source["source"] == filled


def test_spring_53e049a81_the_servers_own_environment_is_nobodys(tmp_path, monkeypatch):
    """No placeholder finds it, in whatever is served."""
    monkeypatch.setenv("PLANTED", SECRET)
    asked = "${PLANTED} ${env.PLANTED} ${systemEnvironment['PLANTED']} #{systemProperties} ${PLANTED:x} ${user.home} $PLANTED %PLANTED% ${HOME}"  # fmt: skip
    (tmp_path / "app.json").write_text(json.dumps({"a": asked, "b": "${a}"}))
    (tmp_path / "foo.txt").write_text(asked)
    routes = Routes(ConfigServer(FilesystemConfigBackend(tmp_path)))
    targets = ("/app/default", "/app-default.yml", "/app-default.json", "/app-default.properties", "/app/default/main/foo.txt")  # fmt: skip
    found = [ask(routes, target) for target in targets]
    assert {one.status for one in found} == {200}
    text = b"".join(one.body for one in found).decode()
    assert SECRET not in text
    assert os.environ.get("HOME", "/nobody") not in text


def test_spring_2681_labels_and_files_at_once(git, make_origin):
    """There is no working tree that a request for another label could change."""
    labels = [f"label-{number}" for number in range(6)]
    origin = make_origin()
    for label in labels:
        origin.commit({"app.yml": f"a: {label}\n", "foo.txt": label}, label)
    routes = Routes(ConfigServer(git(origin.uri)))

    async def read(label):
        environment = await answer(routes, Request("GET", f"/app/default/{label}"))
        file = await answer(routes, Request("GET", f"/app/default/{label}/foo.txt"))
        [source] = json.loads(environment.body)["propertySources"]
        return source["source"]["a"], file.body.decode()

    async def all_at_once():
        return await asyncio.gather(*map(read, labels * 20))

    assert asyncio.run(all_at_once()) == [(label, label) for label in labels * 20]


@pytest.mark.parametrize("dialect", [OWN, SPRING], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("accept_empty", [None, True, False])
def test_spring_3227_nothing_turns_the_judgement_of_profiles_off(dialect, accept_empty):
    """No dialect and no setting; there is none that is named for it."""
    server = ConfigServer(InMemoryConfigBackend(), dialect=dialect, accept_empty=accept_empty)  # fmt: skip
    targets = ["/app/..", "/app/a%2Fb", "/app/a(_)b", "/app/a,..", "/app/-a"]
    assert not_found(Routes(server), targets) == []
    assert [name for name in Settings.__dataclass_fields__ if re.search("profile|strict|lenient", name)] == []  # fmt: skip


@pytest.mark.parametrize("name", ["actuator", "_list", "_bundle", "_x"])
@pytest.mark.parametrize("all_routes", [False, True], ids=["few routes", "all routes"])
def test_names_of_routes_are_no_applications(name, all_routes):
    """`/actuator/env` without an actuator is no environment, whatever was stored."""
    backend = InMemoryConfigBackend()
    asyncio.run(backend.save(ConfigSource("application", "env", "main", {"a": SECRET})))
    backend._bundles[name, "env", "main"] = {"a": SECRET}
    routes = Routes(ConfigServer(backend), all_routes=all_routes)
    targets = [f"/{name}/env", f"/{name}/env/main", f"/app,{name}/env", f"/{name}-env.yml", f"/{name}/env/main/foo.txt"]  # fmt: skip
    assert [ask(routes, target).status for target in targets] == [404] * len(targets)
    assert ask(routes, f"/{name}/env", "POST", body=b"{}").status == 409


# GitPython and git

LABELS = {
    "CVE-2023-41040, reads files beside the repository": ("../../x", "..", "/etc/passwd", "refs/../../x", "x/../../y"),
    "GHSA-2f96-g7mh-g2hx, short for an option": ("--upl=x", "-ux", "-u", "--up", "-"),
    "GHSA-6p8h, --output writes a file": ("--output=PWN", "-oPWN", "--output", "-o"),
    "GHSA-3f7w, options of checkout and archive": ("--bundle-uri=x", "--exec=x", "--remote=x", "--help", "--"),
    "GHSA-hh9p, options that read files": ("--pathspec-from-file=x", "--template=x", "--index-output=x"),
    "GHSA-5xxx, more of these": ("--separate-git-dir=x", "--contents=x", "--file=x", "--config-env=x=y"),
    "GHSA-whh4, --no-index": ("--no-index", "--ext-diff"),
    "git 2.39, a commit that is not one": ("^main", "main^{commit}", "main^", "main~1", "main..v1", "main...v1", "@"),
    "git 2.39, searched in history": (":/one", "HEAD^{/re}", "main^{/.*}", "main@{0}", "@{1.day.ago}", "@{-1}", "a@{b"),
    "git 2.39, taken for paths": ("a*", "a?b", "a[b", ":(top)x", "main:app.yml", ":app.yml"),
    "cat-file --batch, two lines": ("a\nb", "main\n", "a\x00b", "a b", "a\tb"),
    "GitPython 3.1.48, a ref outside of its folder": ("../x", "a/../../x", ".x", "x.lock", "a//b", "x."),
}  # fmt: skip


@pytest.mark.parametrize("advisory", LABELS)
def test_no_label_reaches_a_command(routes, tmp_path, monkeypatch, advisory):
    """400 on every route, reading and writing; no process is even started for it."""
    monkeypatch.chdir(tmp_path)
    ask(routes, "/app/default/main/foo.txt")
    escaped = ["".join(f"%{byte:02X}" for byte in label.replace("/", "(_)").encode()) for label in LABELS[advisory]]  # fmt: skip
    with witnessed() as deeds:
        wrong = [
            not_refused(routes, [f"/app/default/{label}" for label in escaped]),
            not_found(routes, [f"/{label}/app-default.yml" for label in escaped]),
            not_found(routes, [f"/app/default/{label}/foo.txt" for label in escaped]),
        ]
    assert (wrong, os.listdir(tmp_path)) == ([[], [], []], [])
    assert [event for event, _ in deeds if event in ("subprocess.Popen", "open")] == []


URIS = {
    "CVE-2022-24439": ("ext::sh -c touch% PWN", "ext::sh -c 'touch PWN'", "EXT::sh -c touch% PWN"),
    "CVE-2023-40267": ("ext::touch% PWN", "fd::17/foo", "http::http://h/r", "testgit::x"),
    "GHSA-rpm5-65cw-6hj4": ("--upload-pack=touch PWN", "--upload_pack=touch PWN", "-u touch PWN"),
    "GHSA-2f96-g7mh-g2hx": ("--upl=touch PWN", "-utouch PWN", "-ctouch PWN", "--config=core.sshCommand=x"),
    "GHSA-r9mr, --template": ("--template=hooks", "--bundle-uri=x", "--separate-git-dir=x"),
    "CVE-2017-1000117": ("ssh://-oProxyCommand=touch%20PWN/x", "-oProxyCommand=touch PWN@h:r", "ssh://git@-oProxyCommand=x/r"),
    "CVE-2026-44244": ("https://h/r\n[core]\n\thooksPath = PWN", "/srv/r\n[core]", "https://h/r\r[core]", "a@h:r\n\tsshCommand=x"),
    "GHSA-rwj8-pgh3-r573": ("https://$HOME/x", "https://${HOME}.example/x", "https://%HOME%/x"),
    "protocols that are not ours": ("gopher://h/x", "ftp://h/x", "jar:file:/x", "data:text/plain,x", "javascript:x"),
}  # fmt: skip


@pytest.mark.parametrize("advisory", URIS)
def test_no_uri_is_a_command(tmp_path, monkeypatch, advisory):
    """It is refused with the settings, before there is a process."""
    pytest.importorskip("git", reason="pip install 'pyconfserve[git]'")
    monkeypatch.chdir(tmp_path)
    with witnessed() as deeds:
        for uri in URIS[advisory]:
            with pytest.raises(SettingsError):
                build_backend(Settings(backend_type="git", git_uri=uri))
    assert os.listdir(tmp_path) == []
    assert [what for event, what in deeds if event == "subprocess.Popen"] == []


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A working folder with programs that leave a mark when they are run."""
    place, mark = tmp_path / "planted", tmp_path / "mark"
    (place / "hooks").mkdir(parents=True)
    names = ("git", "git.exe", "sh", "ssh", "hooks/post-checkout", "hooks/reference-transaction", "hooks/pre-commit", "hooks/post-update")  # fmt: skip
    for name in names:
        (place / name).write_text(f"#!/bin/sh\ntouch {mark}\n")
        (place / name).chmod(0o755)
    monkeypatch.chdir(place)
    return place, mark


def serve_and_save(backend):
    """The statuses of a read and of a save."""
    routes = Routes(ConfigServer(backend))
    return [ask(routes, "/app/default").status, ask(routes, "/app/default/main", "POST", body=b"{}").status]  # fmt: skip


@pytest.mark.parametrize("path", ["{}", ":{}", ".:{}"], ids=["usual", "empty", "dot"])
def test_cve_2023_40590_and_2024_22190_git_is_not_the_one_in_the_folder(git, make_origin, planted, monkeypatch, path):  # fmt: skip
    """Not even where PATH begins with the folder that the server was started in."""
    uri = make_origin().uri
    monkeypatch.setenv("PATH", path.format(os.environ["PATH"]))
    assert serve_and_save(git(uri)) == [200, 200]
    assert not planted[1].exists()


def test_ghsa_r9mr_no_template_and_no_hook_is_run(git, make_origin, planted, clone, monkeypatch):  # fmt: skip
    """Whatever the server's own environment tells git."""
    place, mark = planted
    told = {
        "GIT_TEMPLATE_DIR": str(place),
        "GIT_EXEC_PATH": str(place),
        "GIT_EXTERNAL_DIFF": str(place / "sh"),
        "GIT_SSH_COMMAND": str(place / "ssh"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.hooksPath",
        "GIT_CONFIG_VALUE_0": str(place / "hooks"),
        "GIT_CONFIG_PARAMETERS": f"'core.hooksPath={place}/hooks'",
    }
    uri = make_origin().uri
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    backend = git(uri, clone_dir=str(clone))
    assert serve_and_save(backend) == [200, 200]
    assert not (clone / "hooks").exists()
    shutil.copytree(place / "hooks", clone / "hooks")  # by somebody, later
    assert ask(Routes(ConfigServer(backend)), "/app/default/main", "POST", body=b'{"b": 2}').status == 200  # fmt: skip
    assert not mark.exists()


def test_cve_2026_44244_no_uri_writes_a_line_of_the_config(git, clone):
    """What git reads there is one value, whatever it holds."""
    from real_git import run_git

    from pyconfserve.adapters.git.origin import Access

    uri = 'git@127.0.0.1:r"] [core] hooksPath = x ; # \\ \\n\\t[include] path=x'
    with pytest.raises(BackendError):  # nobody is there
        asyncio.run(git(uri, clone_dir=str(clone), access=Access(timeout=0.5)).open())
    options = ("config", "--file", f"{clone}/config")
    keys = run_git(clone, *options, "--name-only", "--list").split()
    assert keys == ["core.repositoryformatversion", "core.bare", "remote.origin.url", "remote.origin.fetch"]  # fmt: skip
    assert run_git(clone, *options, "remote.origin.url") == uri


def test_ghsa_94p4_no_variable_of_a_uri_is_filled_in(git, make_origin, monkeypatch):
    """A folder may be called so, and then it is that folder."""
    make_origin("planted", {"app.yml": f"a: {SECRET}\n"})
    origin = make_origin("$PLANTED")
    monkeypatch.setenv("PLANTED", "planted")
    got = ask(Routes(ConfigServer(git(origin.uri))), "/app/default")
    assert json.loads(got.body)["propertySources"][0]["source"] == {"a": 1}


MODULES = {
    "harmless": ('[submodule "x"]\n\tpath = sub\n\turl = https://127.0.0.1:9/x\n\tupdate = checkout\n', [200, 404, 404]),
    "a name upwards": ('[submodule "../../x"]\n\tpath = sub\n\turl = https://h/x\n', [503, 503, 404]),
    "a url that is a program": ('[submodule "x"]\n\tpath = sub\n\turl = ext::touch PWN\n\tupdate = !touch PWN\n', [503, 503, 404]),
    "a url that is an option": ('[submodule "x"]\n\tpath = sub\n\turl = -u./PWN\n', [503, 503, 404]),
    "a path that is an option": ('[submodule "x"]\n\tpath = --upload-pack=x\n\turl = https://h/x\n', [503, 503, 404]),
    "a file that is included": ("[include]\n\tpath = /etc/passwd\n", [200, 404, 404]),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_ghsa_wvpp_submodules_are_not_looked_at(git, make_origin, planted, name):
    """Their names and urls are text in a file; a repository that means harm is refused."""
    from real_git import SUBMODULE

    text, expected = MODULES[name]
    origin = make_origin()
    origin.commit({"sub": (SUBMODULE, "ab" * 20), ".gitmodules": text})
    routes = Routes(ConfigServer(git(origin.uri)))
    targets = ("/app/default", "/app/default/main/sub/x", "/app/default/main/.gitmodules")  # fmt: skip
    with witnessed() as deeds:
        assert [ask(routes, target).status for target in targets] == expected
    started = [what for event, what in deeds if event == "subprocess.Popen"]
    assert [what for what in started if "submodule" in what or what[0] != "git"] == []
    assert sorted(os.listdir(planted[0])) == ["git", "git.exe", "hooks", "sh", "ssh"]
    assert not planted[1].exists()
