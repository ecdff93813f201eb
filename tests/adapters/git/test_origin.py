"""Where a repository comes from: what passes, what is hidden, and what git makes of it."""

import asyncio
import base64
import logging
import os
import shlex
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import threading
from contextlib import ExitStack
from http.server import (
    BaseHTTPRequestHandler,
    SimpleHTTPRequestHandler,
    ThreadingHTTPServer,
)
from importlib.util import find_spec
from pathlib import Path

import pytest

from pyconfserve.adapters.git.origin import Access, Origin
from pyconfserve.adapters.git.process import Git
from pyconfserve.errors import BackendError, BackendUnavailable, SettingsError

pytestmark = pytest.mark.skipif(find_spec("git") is None, reason="pip install 'pyconfserve[git]'")
needs_ssh = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="apt-get install openssh-client")

PROJECT = Path(__file__).parents[3]
SECRET = "canary-7f3a"
ED25519 = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"  # github.com's
ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_ALL": "C", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}


def git(*arguments, config=None, **environment):
    """Run git as process.py does: nothing of the machine's configuration."""
    pairs = {"GIT_CONFIG_COUNT": str(len(config or {}))}
    for number, (key, value) in enumerate((config or {}).items()):
        pairs |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    environment = ENVIRONMENT | pairs | environment
    return subprocess.run(["git", *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=30)


@pytest.fixture
def make_repository(tmp_path):
    """A function that makes a repository of one commit, with a working folder or bare."""

    def make(name, *, bare=True):
        done = git("init", "-q", "-b", "main", *(["--bare"] if bare else []), tmp_path / name)
        assert (done.returncode, done.stderr) == (0, "")
        folder = tmp_path / name if bare else tmp_path / name / ".git"
        tree = git("-C", folder, "hash-object", "-t", "tree", "-w", "/dev/null").stdout.strip()
        person = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
        commit = git("-C", folder, "commit-tree", "-m", "one", tree, **person).stdout.strip()
        git("-C", folder, "update-ref", "refs/heads/main", commit)
        return tmp_path / name

    return make


@pytest.fixture
def private(tmp_path):
    """The folder for keys, its name not kind to ssh's options."""
    folder = tmp_path / "a b%h#c'd"
    folder.mkdir(mode=0o700)
    return str(folder)


@pytest.fixture(autouse=True)
def no_authorities(monkeypatch):
    """Nothing of the machine's certificates."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH"):
        monkeypatch.delenv(name, raising=False)


ALLOWED = {
    # what is configured: host, protocols, what git is given
    "https://example.com/org/repo.git": ("example.com", "https", "https://example.com/org/repo.git"),
    "HTTPS://example.com:8443/r": ("example.com", "https", "https://example.com:8443/r"),
    "http://git_lab/r": ("git_lab", "http:https", "http://git_lab/r"),
    "https://[2001:db8::1]:80/r": ("2001:db8::1", "https", "https://[2001:db8::1]:80/r"),
    "https://example.com/a%20b/-r": ("example.com", "https", "https://example.com/a%20b/-r"),
    "ssh://git@example.com/~u/r": ("example.com", "ssh", "ssh://git@example.com/~u/r"),
    "ssh://me%40corp.com@example.com:2022/r": ("example.com", "ssh", "ssh://me%40corp.com@example.com:2022/r"),
    "ssh://[::1]:22/r": ("::1", "ssh", "ssh://[::1]:22/r"),
    "git@example.com:org/repo.git": ("example.com", "ssh", "git@example.com:org/repo.git"),
    "example.com:/srv/a b.git": ("example.com", "ssh", "example.com:/srv/a b.git"),
    "me@corp@example.com:r": ("example.com", "ssh", "me@corp@example.com:r"),
    "git@[::1]:r": ("::1", "ssh", "git@[::1]:r"),
    "git://example.com:9418/r": ("example.com", "git", "git://example.com:9418/r"),
    "file:///srv/r.git": ("", "file", "file:///srv/r.git"),
    "file://localhost/srv/r.git": ("", "file", "file:///srv/r.git"),
    "file:/srv/a%20b": ("", "file", "file:///srv/a%20b"),
    "file:///srv/a b": ("", "file", "file:///srv/a%20b"),
    "/srv/a b%20c": ("", "file", "file:///srv/a%20b%2520c"),
    "//srv/../r": ("", "file", "file:///r"),
    "/srv/ext::r": ("", "file", "file:///srv/ext%3A%3Ar"),
    "/srv/http://r": ("", "file", "file:///srv/http%3A/r"),
}


@pytest.mark.parametrize("uri", ALLOWED, ids=ALLOWED)
def test_every_listed_form_passes(uri):
    """Each is given to git in one spelling."""
    origin = Origin(uri)
    assert (origin.host, origin.protocols, origin.url) == ALLOWED[uri]
    assert origin.is_local == (origin.host == "")
    assert origin.uri == (uri if origin.is_local else origin.url)


def test_a_relative_path_is_made_absolute(tmp_path, monkeypatch):
    """git runs in another folder than the server."""
    monkeypatch.chdir(tmp_path)
    expected = [f"file://{tmp_path}/r.git", f"file://{tmp_path}/r.git", f"file://{tmp_path.parent}/r.git"]
    assert expected == [Origin(uri).url for uri in ("r.git", "./r.git", "../r.git")]


BLANKS = "expected a URI without blanks around it"
OPTION = "expected a printable URI that is no option"
PROGRAM = "expected a URI that starts no program"
SCHEME = "expected https, http, ssh, git or file as the URI's scheme"
FORM = "expected https, http, ssh, git, file or user@host:path"
HOST = "expected a host, and a port from 1 to 65535 if any"
USER = "expected letters, digits and _.+=~@- as the URI's user"
PASSWORD = "expected no password in the URI, it has a setting of its own"
PATH = "expected a path after the host that is no option"
PLAIN = "expected a URL without blanks and control characters"
QUERY = "expected a URL without a query and a fragment"
FILE = "expected an absolute path after file:"
REFUSED = {
    "": BLANKS,
    " https://h/r": BLANKS,
    "https://h/r\n": BLANKS,
    "/srv/r ": BLANKS,
    "https://h/r\nx": OPTION,
    "/srv/\x00": OPTION,
    "/srv/\x1b[0m": OPTION,
    "--upload-pack=touch x": OPTION,
    "-u": OPTION,
    "ext::sh -c touch% x": PROGRAM,
    "ext://sh": PROGRAM,
    "fd::17/foo": PROGRAM,
    "http::http://h/r": PROGRAM,
    "x::y": PROGRAM,
    "::y": PROGRAM,
    "a_b::y": PROGRAM,
    "ftp://h/r": SCHEME,
    "gopher://h/r": SCHEME,
    "git+ssh://h/r": SCHEME,
    "javascript://h/r": SCHEME,
    "data:text/plain,x": FORM,
    "javascript:alert(1)": FORM,
    "DATA:x": FORM,
    "https:h/r": "after https: two slashes are missing",
    "ssh:r": FORM,
    ":r": FORM,
    "git@:r": FORM,
    "https:///r": HOST,
    "https://-h/r": HOST,
    "https://h:/r": HOST,
    "https://h:0/r": HOST,
    "https://h:65536/r": HOST,
    "https://h:8_0/r": HOST,
    "https://h:+80/r": HOST,
    "https://h:٨٠/r": HOST,
    "https://h:x/r": HOST,
    "https://h%2fx/r": HOST,
    "https://{application}/r": HOST,
    "https://$HOME/r": HOST,
    "https://h?x/r": HOST,
    "https://good\\/r": HOST,
    "https://münchen/r": HOST,
    "https://[::1/r": HOST,
    "https://[abc:22]/r": HOST,
    "https://h/r?token=x": QUERY,
    "https://h/r#x": QUERY,
    "https://h/a b": PLAIN,
    "https://h/%0ar": PLAIN,
    "ssh://-oProxyCommand=touch/x": HOST,
    "ssh://%2doProxyCommand=touch/x": HOST,
    "ssh://git@-oProxyCommand=touch/x": HOST,
    "ssh://h%20-x/r": HOST,
    "ssh://h%2fr/x": HOST,
    "ssh://-l@h/r": USER,
    "ssh://%2dl@h/r": USER,
    "ssh://a;b@h/r": USER,
    "ssh://u:pw@h/r": PASSWORD,
    "ssh://u%3apw@h/r": PASSWORD,
    "ssh://h": PATH,
    "ssh://h/": PATH,
    "ssh://h/-x": PATH,
    "ssh://h/%2dx": PATH,
    "ssh://h/a%00b": PLAIN,
    "-oProxyCommand=touch@h:r": OPTION,
    "a@-h:r": HOST,
    "h;x:r": HOST,
    "h:-x": PATH,
    "h:": PATH,
    "[abc:22]:r": HOST,
    "u:pw@h:r": FORM,
    "git://u@h/r": "expected git:// without a user",
    "git://u:pw@h/r": "expected git:// without a user",
    "git://h:x/r": HOST,
    "git://h/a%0ab": PLAIN,
    "file://h/r": "expected file:/// and a path",
    "file://": FILE,
    "file:r": FILE,
    "file:": FILE,
    "file:///a%00b": FILE,
}


@pytest.mark.parametrize("uri", REFUSED, ids=[ascii(uri) for uri in REFUSED])
def test_every_other_form_is_refused(uri):
    """With a text that quotes nothing."""
    with pytest.raises(SettingsError) as caught:
        Origin(uri)
    assert REFUSED[uri] == str(caught.value)


KEY = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n-----END OPENSSH PRIVATE KEY-----"
REFUSED_ACCESS = {
    "a colon in a user of http": ("https://h/r", Access("a:b", "c"), "a user name without a colon"),
    "an escaped colon in the URL": ("https://a%3ab:c@h/r", Access(), "a user name without a colon"),
    "two lines of password": ("https://h/r", Access("a", "b\nc"), "credentials of one line of text"),
    "nul in a passphrase": ("git@h:r", Access(passphrase="a\0"), "credentials of one line of text"),
    "half a character": ("https://h/r", Access("a", "b\udc80"), "credentials of one line of text"),
    "two lines of proxy": ("https://h/r", Access(proxies={"https": "http://p\n"}), "proxies on one line"),
    "not a number": ("https://h/r", Access(timeout=float("nan")), "a timeout in seconds"),
    "an option as user": ("ssh://h/r", Access("-oProxyCommand=x"), "letters and digits as the user name"),
    "a key alone": ("git@h:r", Access(host_key=ED25519), "a host key in base64 and its algorithm"),
    "an algorithm alone": ("git@h:r", Access(host_key_algorithm="ssh-ed25519"), "a host key in base64 and its algorithm"),
    "another algorithm": ("git@h:r", Access(host_key=ED25519, host_key_algorithm="ssh-rsa"), "a host key in base64 and its algorithm"),
    "an unknown algorithm": ("git@h:r", Access(host_key=ED25519, host_key_algorithm="ssh-ed"), "a host key in base64 and its algorithm"),
    "a key of two lines": ("git@h:r", Access(host_key=f"{ED25519}\n", host_key_algorithm="ssh-ed25519"), "a host key in base64 and its algorithm"),
    "a variable in a path": ("git@h:r", Access(known_hosts_file="/${HOME}/x"), 'a path without " \\ $'),
    "a quote in a path": ("git@h:r", Access(private_key='/a"b'), 'a path without " \\ $'),
    "a key that is not PEM": ("git@h:r", Access(private_key=f"PuTTY-User-Key-File-3\n{SECRET}"), 'a path without " \\ $'),
}


@pytest.mark.parametrize("name", REFUSED_ACCESS, ids=REFUSED_ACCESS)
def test_malformed_access_is_refused(name):
    """When it is configured, not when it is used."""
    uri, access, problem = REFUSED_ACCESS[name]
    with pytest.raises(SettingsError) as caught:
        Origin(uri, access)
    assert f"expected {problem}" == str(caught.value)


def basic(text):
    """The header for `user:password`."""
    return f"Authorization: Basic {base64.b64encode(text.encode()).decode()}"


USUAL = {"http.followRedirects": "initial", "http.lowSpeedLimit": "1000", "http.lowSpeedTime": "10"}
KNOWN = USUAL | {"http.followRedirects": "false"}
PROXIES = {"http": "http://u:p@proxy:1", "https": "http://proxy:2"}
CONFIGS = {
    "nothing": ("https://h/r", Access(), USUAL),
    "user and password": ("https://h:8443/r", Access("bob", "pw"), KNOWN | {"http.https://h:8443/.extraHeader": basic("bob:pw")}),
    "a password alone": ("http://h/r", Access(password="pw"), KNOWN | {"http.http://h/.extraHeader": basic(":pw")}),
    "of the URL, decoded": ("https://bob%40corp:p%3A%C3%A4+@h/r", Access(), KNOWN | {"http.https://h/.extraHeader": basic("bob@corp:p:ä+")}),
    "a token as user of the URL": ("https://token@h/r", Access(), KNOWN | {"http.https://h/.extraHeader": basic("token:")}),
    "a user in the URL, its password apart": ("https://bob@h/r", Access(password="pw"), KNOWN | {"http.https://h/.extraHeader": basic("bob:pw")}),
    "settings before the URL": ("https://bob:1@h/r", Access("eve", "2"), KNOWN | {"http.https://h/.extraHeader": basic("eve:2")}),
    "no password of another user": ("https://bob:1@h/r", Access("eve"), KNOWN | {"http.https://h/.extraHeader": basic("eve:")}),
    "IPv6": ("https://[::1]/r", Access("bob", "pw"), KNOWN | {"http.https://[::1]/.extraHeader": basic("bob:pw")}),
    "a short timeout": ("https://h/r", Access(timeout=0.5), USUAL | {"http.lowSpeedTime": "1"}),
    "a long timeout": ("https://h/r", Access(timeout=61.9), USUAL | {"http.lowSpeedTime": "61"}),
    "any certificate": ("https://h/r", Access(skip_ssl_validation=True), USUAL | {"http.sslVerify": "false"}),
    "a proxy for http": ("http://h/r", Access(proxies=PROXIES), USUAL | {"http.proxy": "http://u:p@proxy:1"}),
    "a proxy for https": ("https://h/r", Access(proxies=PROXIES), USUAL | {"http.proxy": "http://proxy:2"}),
    "a proxy for the other": ("https://h/r", Access(proxies={"http": "http://p"}), USUAL),
    "a host without proxy": ("https://GIT.corp/r", Access(proxies=PROXIES, no_proxy=("x", "git.CORP")), USUAL | {"http.proxy": ""}),
    "a domain without proxy": ("https://git.corp/r", Access(proxies=PROXIES, no_proxy=("*.corp",)), USUAL | {"http.proxy": ""}),
    "another domain": ("https://corp.org/r", Access(proxies=PROXIES, no_proxy=("*.corp", "corp")), USUAL | {"http.proxy": "http://proxy:2"}),
    "ssh": ("git@h:r", Access("bob", "pw", skip_ssl_validation=True), {}),
    "git": ("git://h/r", Access("bob", "pw"), {}),
    "file": ("/r", Access("bob", "pw", proxies=PROXIES), {}),
}


@pytest.mark.parametrize("name", CONFIGS, ids=CONFIGS)
def test_config_says_how_to_reach_a_web_server(name):
    """And is empty for everything else."""
    uri, access, expected = CONFIGS[name]
    assert expected == Origin(uri, access).config()


@pytest.mark.parametrize(("uri", "access", "expected"), [
    ("https://bob:pw@h/r", Access(skip_ssl_validation=True), ["the certificate of h is NOT VERIFIED"]),
    ("bob@h:r", Access(strict_host_key_checking=False), ["the host key of h is NOT VERIFIED"]),
    ("https://h/r", Access(strict_host_key_checking=False), []),
    ("bob@h:r", Access(skip_ssl_validation=True), []),
], ids=["certificate", "host key", "https", "ssh"])  # fmt: skip
def test_what_is_not_verified_is_said_once(uri, access, expected, caplog, private):
    """When it is configured, as a warning."""
    origin = Origin(uri, access)
    origin.config(), origin.environment(private)
    assert [(logging.WARNING, text) for text in expected] == [(r.levelno, r.getMessage()) for r in caplog.records]


class Redirecting(BaseHTTPRequestHandler):
    """Sends whoever asks to the same port by another name, and keeps what it was told."""

    def do_GET(self):
        host, port = self.headers["Host"].split(":")
        self.server.told.append((host, self.headers["Authorization"]))
        self.send_response(301 if host == "127.0.0.1" else 404)
        self.send_header("Location", f"http://localhost:{port}{self.path}")
        self.end_headers()

    def log_message(self, *arguments):
        """Nothing: tests are quiet."""


@pytest.fixture
def redirecting():
    """A server on a free port, its `told` a list of host and credentials."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Redirecting) as server:
        server.told = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_git_sends_the_credentials_to_their_host_alone(redirecting):
    """A redirect is followed without credentials only: git would take them along."""
    place = f"127.0.0.1:{redirecting.server_port}/r.git"
    for uri in (f"http://{place}", f"http://bob:{SECRET}@{place}"):
        origin = Origin(uri)
        assert git("ls-remote", origin.url, config=origin.config()).returncode == 128
    header = basic(f"bob:{SECRET}").partition(": ")[2]
    assert [("127.0.0.1", None), ("localhost", None), ("127.0.0.1", header)] == redirecting.told


def test_no_proxy_wins_over_a_proxy_of_the_environment(redirecting):
    """An empty http.proxy is no proxy, whatever http_proxy says."""
    origin = Origin(f"http://localhost:{redirecting.server_port}/r", Access(no_proxy=("localhost",)))
    git("ls-remote", origin.url, config=origin.config(), http_proxy="http://127.0.0.1:9")
    assert redirecting.told == [("localhost", None)]


@pytest.mark.parametrize("name", ["plain.git", "a b%20c%d.git", "ä'\"#;$HOME.git", "a\\b.git"])
@pytest.mark.parametrize("form", ["path", "url"])
def test_git_reads_a_folder_of_any_name(name, form, make_repository, private):
    """git decodes file:// URLs, so that theirs are encoded."""
    folder = make_repository(name)
    origin = Origin(str(folder) if form == "path" else folder.as_uri())
    done = git("ls-remote", origin.url, **origin.environment(private), GIT_ALLOW_PROTOCOL=origin.protocols)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[1::2] == ["HEAD", "refs/heads/main"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder to another user")
@pytest.mark.parametrize(("name", "bare", "asked"), [
    ("r.git", True, "r.git"),
    ("r.git", True, "r"),
    ("r", False, "r"),
    ("r", False, "r/.git"),
    ('a b"#;\\.git', True, 'a b"#;\\.git'),
], ids=["bare", "without .git", "working folder", "its .git", "odd name"])  # fmt: skip
def test_a_repository_of_another_user_can_be_read(name, bare, asked, make_repository, private):
    """upload-pack believes a configuration file about owners, and no variable."""
    folder = make_repository(name, bare=bare)
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, 12345, 12345)
    origin = Origin(str(folder.parent / asked))
    environment = origin.environment(private)
    assert "dubious ownership" in git("ls-remote", origin.url, config={"safe.directory": "*"}).stderr
    done = git("ls-remote", origin.url, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert {"GIT_CONFIG_GLOBAL": f"{private}/gitconfig"} == environment


@pytest.mark.parametrize("uri", ["https://bob:pw@h/r", "http://h/r", "git://h/r"])
def test_other_protocols_need_no_environment(uri, private):
    """Neither variables nor files."""
    assert Origin(uri, Access(passphrase="x", private_key=KEY)).environment(private) == {}
    assert os.listdir(private) == []


USUAL_SSH = {
    "batchmode": "yes", "stricthostkeychecking": "true", "connecttimeout": "10", "serveraliveinterval": "5",
    "serveralivecountmax": "1", "numberofpasswordprompts": "1", "passwordauthentication": "no",
    "kbdinteractiveauthentication": "no", "controlpath": None, "identitiesonly": "no",
}  # fmt: skip
PINNED = {"host_key": ED25519, "host_key_algorithm": "ssh-ed25519"}
EFFECTIVE = {
    "nothing": ({}, {}),
    "a timeout": ({"timeout": 3.5}, {"connecttimeout": "3", "serveraliveinterval": "1"}),
    "a timeout below a second": ({"timeout": 0.1}, {"connecttimeout": "1", "serveraliveinterval": "1"}),
    "any host key": ({"strict_host_key_checking": False}, {"stricthostkeychecking": "false", "userknownhostsfile": "/dev/null"}),
    "nothing local": ({"ignore_local_ssh_settings": True}, {"userknownhostsfile": "/dev/null", "globalknownhostsfile": "/dev/null", "identityfile": "none", "identityagent": "none"}),
    "a user": ({"username": "bob"}, {"user": "bob"}),
    "a password": ({"username": "bob", "password": "pw"}, {"user": "bob", "batchmode": "no", "passwordauthentication": "yes"}),
    "a passphrase": ({"passphrase": "pw"}, {"batchmode": "no"}),
    "a key in a file": ({"private_key": "/a b/100%h.pem"}, {"identityfile": "/a b/100%%h.pem", "identitiesonly": "yes"}),
    "a key before a password": ({"private_key": "/k", "password": "pw"}, {"identityfile": "/k", "identitiesonly": "yes"}),
    "a file of known hosts": ({"known_hosts_file": "/a b"}, {"userknownhostsfile": "/a b"}),
    "a pinned host": (PINNED, {"globalknownhostsfile": "/dev/null"}),
}


@needs_ssh
@pytest.mark.parametrize("name", EFFECTIVE, ids=EFFECTIVE)
def test_ssh_understands_what_it_is_told(name, private):
    """`ssh -G` shows the options that are in effect."""
    settings, expected = EFFECTIVE[name]
    command = Origin("ssh://example.com/r", Access(**settings)).environment(private)["GIT_SSH_COMMAND"]
    done = subprocess.run(["sh", "-c", f"{command} -G example.com true"], capture_output=True, text=True, timeout=30)
    effective = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    expected = USUAL_SSH | expected
    assert (done.returncode, done.stderr) == (0, "")
    assert expected == {key: effective.get(key) for key in expected}


@needs_ssh
def test_ssh_opens_the_key_that_is_named(private):
    """Its tokens are not put into our paths: the log of a connection to nobody says so."""
    command = Origin("git@h:r", Access(private_key=f"{private}/100%h")).environment(private)["GIT_SSH_COMMAND"]
    done = subprocess.run(["sh", "-c", f"{command} -v -oProxyCommand=true h true"], capture_output=True, text=True, timeout=30)
    assert f"identity file {private}/100%h type -1" in done.stderr


def words_of(origin, folder):
    """The words of GIT_SSH_COMMAND."""
    return shlex.split(origin.environment(folder)["GIT_SSH_COMMAND"])


def test_local_settings_are_left_out_on_request(private):
    """Then no configuration file is read."""
    origins = [Origin("git@h:r", Access(ignore_local_ssh_settings=ignored)) for ignored in (True, False)]
    assert [words_of(origins[0], private)[1:3], "-F" in words_of(origins[1], private)] == [["-F", "/dev/null"], False]


def test_the_user_of_the_uri_wins(private):
    """As for Java's server."""
    assert not [word for word in words_of(Origin("git@h:r", Access("bob")), private) if "User=" in word]


def test_paths_are_absolute(tmp_path, monkeypatch, private):
    """Relative ones are of the server's folder, ~ is the home of its user."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/x")
    words = words_of(Origin("git@h:r", Access(private_key="k", known_hosts_file="~/h")), private)
    assert {f'-oIdentityFile="{tmp_path}/k"', '-oUserKnownHostsFile="/home/x/h"'} <= set(words)


@needs_ssh
@pytest.mark.parametrize(("uri", "host"), [
    ("git@Example.com:r", "example.com"),
    ("ssh://example.com:22/r", "example.com"),
    ("ssh://example.com:2222/r", "[example.com]:2222"),
    ("ssh://[::1]/r", "::1"),
    ("ssh://[::1]:2222/r", "[::1]:2222"),
], ids=["scp", "usual port", "port", "IPv6", "IPv6 and port"])  # fmt: skip
def test_a_host_key_is_found_by_ssh(uri, host, private):
    """`ssh-keygen -F` looks a host up as ssh does."""
    Origin(uri, Access(**PINNED)).environment(private)
    done = subprocess.run(["ssh-keygen", "-F", host, "-f", f"{private}/known_hosts"], capture_output=True, text=True, timeout=30)
    assert f"{host} ssh-ed25519 {ED25519}" == done.stdout.splitlines()[-1]


@needs_ssh
@pytest.mark.parametrize("mend", [
    lambda text: text,
    lambda text: text.replace("\n", "\\n"),
    lambda text: text.replace("\n", "\r\n"),
    lambda text: text.replace("\n", "\\r\\n"),
    lambda text: f"  {text.strip()}".replace("\n", "\n  "),
], ids=["as it is", "properties", "windows", "windows properties", "indented"])  # fmt: skip
@pytest.mark.parametrize("passphrase", ["", "it's a \"$HOME\" `x` \\n ä"], ids=["open", "encrypted"])
def test_ssh_reads_a_private_key_from_settings(mend, passphrase, tmp_path, private):
    """And asks our script for its passphrase, without a terminal."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "", "-f", key], check=True, timeout=30)
    access = Access(private_key=mend(key.read_text()), passphrase=passphrase)
    environment = ENVIRONMENT | Origin("git@h:r", access).environment(private)
    command = ["ssh-keygen", "-y", "-f", f"{private}/ssh-key"]
    quiet = {"capture_output": True, "stdin": subprocess.DEVNULL, "start_new_session": True, "timeout": 30}
    done = subprocess.run(command, env=environment, text=True, **quiet)
    assert (0, key.with_suffix(".pub").read_text().split()[:2]) == (done.returncode, done.stdout.split())
    assert stat.S_IMODE(os.stat(f"{private}/ssh-key").st_mode) == 0o600


@pytest.mark.parametrize(("settings", "prompt", "expected"), [
    ({"passphrase": "one", "password": "two"}, "Enter passphrase for key '/k': ", "one\n"),
    ({"passphrase": "one", "password": "two"}, "bob@h's password: ", "two\n"),
    ({"password": "-n %s\\n"}, "bob@h's password: ", "-n %s\\n\n"),
    ({"passphrase": "one", "password": "two", "private_key": "/k"}, "bob@h's password: ", "\n"),
], ids=["passphrase", "password", "as it is", "no password beside a key"])  # fmt: skip
def test_the_script_answers_what_ssh_asks(settings, prompt, expected, private):
    """A server never gets a passphrase for a password."""
    environment = Origin("bob@h:r", Access(**settings)).environment(private)
    answer = subprocess.run([environment["SSH_ASKPASS"], prompt], env=environment, capture_output=True, text=True, timeout=30)
    assert expected == answer.stdout
    assert (environment["SSH_ASKPASS_REQUIRE"], environment["DISPLAY"]) == ("force", ":0")
    assert stat.S_IMODE(os.stat(environment["SSH_ASKPASS"]).st_mode) == 0o700


def test_nothing_is_asked_without_a_secret(private):
    """There is no script then."""
    assert list(Origin("git@h:r").environment(private)) == ["GIT_SSH_COMMAND"]


def test_files_are_written_anew(tmp_path, private):
    """A link in their place is replaced and not followed, and a rest of a crash is no obstacle."""
    target = tmp_path / "target"
    target.write_text("old")
    for name in ("known_hosts", "known_hosts.new"):
        os.symlink(target, f"{private}/{name}")
    origin = Origin("git@h:r", Access(**PINNED))
    assert origin.environment(private) == origin.environment(private)
    assert (target.read_text(), os.listdir(private)) == ("old", ["known_hosts"])
    assert f"h ssh-ed25519 {ED25519}\n" == Path(private, "known_hosts").read_text()
    assert stat.S_IMODE(os.lstat(f"{private}/known_hosts").st_mode) == 0o600


def test_a_folder_that_is_gone_is_a_failure_of_the_backend(tmp_path):
    """Its message has no path."""
    with pytest.raises(BackendError, match=r"\Agitconfig: no such file or directory\Z"):
        Origin("/r").environment(str(tmp_path / "gone"))


def test_a_folder_that_ssh_cannot_be_told_is_refused(tmp_path):
    """No quoting keeps ssh from putting variables in."""
    folder = tmp_path / "${HOME}"
    folder.mkdir()
    with pytest.raises(SettingsError, match="expected a path without"):
        Origin("git@h:r", Access(**PINNED)).environment(str(folder))


CANARIES = Access(
    username=f"u-{SECRET}", password=SECRET, passphrase=SECRET, private_key=KEY,
    proxies={"http": f"http://u:{SECRET}@p", "https": f"http://u:{SECRET}@p"}, skip_ssl_validation=True, strict_host_key_checking=False,
)  # fmt: skip
SECRETIVE = [f"https://u:{SECRET}@h/r", f"http://{SECRET}@h/r", "git@h:r", "git://h/r", "/r"]
LEAKY = [
    f"ssh://u:{SECRET}@h/r", f"u:{SECRET}@h:r", f"git://u:{SECRET}@h/r", f"ftp://u:{SECRET}@h/r", f"https://u:{SECRET}@h:x/r",
    f"https://u:a/{SECRET}@h/r", f"https://h:{SECRET}/r", f"https://u:{SECRET}@/r", f"https://h/r?token={SECRET}", f"ext::{SECRET}",
    f"https://u:{SECRET}@h/a b", f"https://u:{SECRET}\n@h/r", f"ssh://{SECRET}%3a@h/r", f"file://{SECRET}@h/r", f"data:{SECRET}",
]  # fmt: skip


def shown(error):
    """All texts of an error and of those behind it."""
    while error:
        yield from (str(error), repr(error), *map(repr, vars(error).values()))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@pytest.mark.parametrize("uri", SECRETIVE)
@pytest.mark.parametrize("access", [Access(), CANARIES], ids=["in the URI", "in settings"])
def test_no_secret_is_shown(uri, access, private, caplog):
    """Neither by what an origin says of itself, nor by logs, nor in files but the key."""
    caplog.set_level(0)
    origin = Origin(uri, access)
    origin.config()
    command = origin.environment(private).get("GIT_SSH_COMMAND", "")
    public = [value for name, value in vars(origin).items() if not name.startswith("_")]
    files = [path.read_text() for path in Path(private).iterdir() if path.name != "ssh-key"]
    assert SECRET not in f"{origin!r} {origin} {access!r} {access} {public} {command.replace('-oUser=u-' + SECRET, '')} {files} {caplog.text}"


@pytest.mark.parametrize("uri", LEAKY)
def test_no_secret_is_in_an_error(uri):
    """Whatever is wrong with the URI around it."""
    with pytest.raises(SettingsError) as caught:
        Origin(uri, CANARIES)
    assert SECRET not in " ".join(shown(caught.value))


def test_its_representation_is_what_was_configured():
    """Without credentials."""
    assert "Origin('https://h/r')" == repr(Origin(f"https://u:{SECRET}@h/r")) == str(Origin("https://h/r"))


@pytest.mark.parametrize(("path", "flags", "expected"), [
    ("", ["-S", "-s", "-E"], "MissingDependency: the git backend needs git: pip install 'pyconfserve[git]'"),
    ("/nowhere", [], "MissingDependency: the git backend needs the program git"),
], ids=["no GitPython", "no git"])  # fmt: skip
def test_what_is_missing_is_named(path, flags, expected):
    """In a Python of its own; importing the module needs neither."""
    script = f"import sys; sys.path.insert(0, {str(PROJECT)!r})\nfrom pyconfserve.adapters.git.origin import Origin\nprint('git' in sys.modules)\nOrigin('/r')"
    environment = {"PATH": path or os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, *flags, "-c", script], env=environment, capture_output=True, text=True, timeout=30)
    assert ("False\n", f"pyconfserve.errors.{expected}") == (done.stdout, done.stderr.splitlines()[-1])


def test_the_environment_is_left_as_it_was():
    """GitPython is imported quietly, and what others said of that stays."""
    script = f"import os, sys; sys.path.insert(0, {str(PROJECT)!r})\nfrom pyconfserve.adapters.git.address import require_gitpython\nrequire_gitpython()\nprint(os.environ.get('GIT_PYTHON_REFRESH'))"
    for given, expected in ({}, "None"), ({"GIT_PYTHON_REFRESH": "raise"}, "raise"):
        environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"} | given
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=30)
        assert (f"{expected}\n", "") == (done.stdout, done.stderr)


def test_a_private_authority_of_the_environment_is_handed_on(monkeypatch):
    """By OpenSSL's variables, which git does not read."""
    assert "http.sslCAInfo" not in Origin("https://h/r").config()
    monkeypatch.setenv("SSL_CERT_FILE", "/a/ca.pem")
    monkeypatch.setenv("SSL_CERT_DIR", "/a")
    found = Origin("https://h/r").config()
    assert (found["http.sslCAInfo"], found["http.sslCAPath"]) == ("/a/ca.pem", "/a")
    assert Origin("git://h/r").config() == {}


class Absent(SimpleHTTPRequestHandler):
    """Knows no path, and says nothing of it."""

    def send_head(self):
        self.send_error(404)

    def log_message(self, *arguments):
        """Nothing: tests are quiet."""


@pytest.mark.skipif(shutil.which("openssl") is None, reason="apt-get install openssl")
@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "GIT_SSL_CAINFO"])
def test_git_believes_a_private_authority(name, tmp_path, monkeypatch):
    """And is refused its certificate without that."""
    key, certificate = f"{tmp_path}/key", f"{tmp_path}/ca.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, "-keyout", key, "-out", certificate], check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), Absent) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        uri = f"https://127.0.0.1:{server.server_port}/r"
        said = []
        for value in (None, certificate):
            if value:
                monkeypatch.setenv(name, value)
            runner = Git(str(tmp_path))
            done = runner.run("ls-remote", uri, env={"GIT_ALLOW_PROTOCOL": "https"}, config=Origin(uri).config())
            said.append(str(done.reason("it")))
        server.shutdown()
        thread.join()
    assert said == ["it: its certificate is not valid", "it: there is no such repository"]


@pytest.fixture
def silent():
    """The port of a host that answers no connection: its queue is full."""
    with ExitStack() as opened:
        listener = opened.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            one = opened.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


NEVER = lambda: False  # noqa: E731


@pytest.mark.parametrize("scheme", ["http", "https", "git"])
def test_a_host_that_is_silent_is_given_up_in_time(scheme, silent):
    """git waits for as long as the system does."""
    assert not Origin(f"{scheme}://127.0.0.1:{silent}/r", Access(timeout=0.3)).answers(NEVER)


def test_a_proxy_that_is_silent_is_given_up_in_time(silent, monkeypatch):
    """That is who git connects to, by settings or by the environment."""
    place = f"127.0.0.1:{silent}"
    by_settings = Access(timeout=0.3, proxies={"https": f"http://u:p@{place}"})
    assert not Origin("https://localhost:9/r", by_settings).answers(NEVER)
    by_environment = Access(timeout=0.3)
    monkeypatch.setenv("https_proxy", place)
    monkeypatch.setenv("no_proxy", "")
    assert not Origin("https://localhost:9/r", by_environment).answers(NEVER)
    monkeypatch.setenv("no_proxy", "localhost")
    assert Origin("https://localhost:9/r", by_environment).answers(NEVER)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9/r", "http://no.such.host.invalid/r", "git@h:r", "/r"])
def test_what_fails_by_itself_is_left_to_git(uri):
    """A refusal, an unknown host, and what has a bound of its own."""
    assert Origin(uri, Access(timeout=5)).answers(NEVER)


def test_waiting_ends_with_the_server(silent):
    """It is not kept by a host that is silent."""
    assert Origin(f"http://127.0.0.1:{silent}/r", Access(timeout=600)).answers(lambda: True)


def test_a_fetch_from_a_silent_host_says_so(silent, make_backend):
    """As where it goes silent later."""
    backend = make_backend(f"http://127.0.0.1:{silent}/r", access=Access(timeout=0.3))
    with pytest.raises(BackendUnavailable, match=r"\Aorigin cannot be fetched: it did not answer in time\Z"):
        asyncio.run(backend.open())
