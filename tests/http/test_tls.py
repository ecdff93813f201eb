"""tls and secured: certificates that are read again, and what a client of TLS gets."""

import asyncio
import datetime
import gc
import ipaddress
import json
import logging
import os
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import warnings
import weakref
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from held_backend import HeldBackend

from pyconfserve.backend import InMemoryConfigBackend
from pyconfserve.errors import SettingsError
from pyconfserve.http.connection import Deadlines
from pyconfserve.http.listener import Listener
from pyconfserve.http.routes import Routes
from pyconfserve.http.tls import Certificates
from pyconfserve.server import ConfigServer

GET = b"GET /app/default HTTP/1.1\r\nHost: a\r\n\r\n"
HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
UP = b'{"status":"UP"}'
PATIENCE = 10  # seconds after which a test that waits has failed
PASSWORD = "correct horse"
REFUSED = (ssl.SSLError, ConnectionError)  # a reset may be faster than the reason


# certificates


class OpenSSL:
    """Certificates by the program openssl."""

    def __init__(self, folder):
        self.folder = folder

    def run(self, *arguments):
        """Run openssl in the folder of the files."""
        subprocess.run(
            ["openssl", *arguments],
            cwd=self.folder,
            check=True,
            capture_output=True,
            timeout=30,
        )

    def authority(self, name):
        """A root of its own: NAME.pem and NAME.key."""
        usage = "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"
        made = ["-x509", "-out", f"{name}.pem", "-days", "2", "-addext", usage]
        self.run(*self._key(name, "ec"), *made)

    def issue(self, name, authority, kind="ec"):
        """NAME.pem by AUTHORITY for localhost, and NAME.key."""
        (self.folder / "names").write_text(
            "subjectAltName=DNS:localhost,IP:127.0.0.1\n"
            "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        )
        self.run(*self._key(name, kind), "-out", f"{name}.csr")
        signed = [
            "-CA",
            f"{authority}.pem",
            "-CAkey",
            f"{authority}.key",
            "-CAcreateserial",
        ]
        files = ["-in", f"{name}.csr", "-out", f"{name}.pem", "-extfile", "names"]
        self.run("x509", "-req", "-days", "2", *signed, *files)

    def lock(self, name, password):
        """NAME.locked: the key of NAME, which the password opens."""
        files = ["-in", f"{name}.key", "-out", f"{name}.locked"]
        self.run("pkey", "-aes256", "-passout", f"pass:{password}", *files)

    @staticmethod
    def _key(name, kind):
        made = (
            ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
            if kind == "ec"
            else ["rsa:1024"]
        )
        return [
            "req",
            "-newkey",
            *made,
            "-nodes",
            "-keyout",
            f"{name}.key",
            "-subj",
            f"/CN={name}",
        ]


class Cryptography:
    """Certificates by the library of this name."""

    def __init__(self, folder):
        self.folder = folder
        self.issuers = {}

    def authority(self, name):
        """A root of its own: NAME.pem and NAME.key."""
        self.issuers[name] = self._make(name, name, "ec")

    def issue(self, name, authority, kind="ec"):
        """NAME.pem by AUTHORITY for localhost, and NAME.key."""
        self._make(name, authority, kind)

    def lock(self, name, password):
        """NAME.locked: the key of NAME, which the password opens."""
        from cryptography.hazmat.primitives import serialization as forms

        key = forms.load_pem_private_key(
            (self.folder / f"{name}.key").read_bytes(), None
        )
        how = forms.BestAvailableEncryption(password.encode())
        text = key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, how)
        (self.folder / f"{name}.locked").write_bytes(text)

    def _make(self, name, authority, kind):
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives import serialization as forms
        from cryptography.hazmat.primitives.asymmetric import ec, rsa

        key = (
            ec.generate_private_key(ec.SECP256R1())
            if kind == "ec"
            else rsa.generate_private_key(65537, 1024)
        )
        now = datetime.datetime.now(datetime.UTC)
        hosts = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        issuer = self.issuers.get(authority, key)
        is_root = name == authority
        usage = x509.KeyUsage(True, False, False, False, False, is_root, is_root, False, False)  # fmt: skip
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(
                x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
            )
            .issuer_name(
                x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, authority)])
            )
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
            .add_extension(
                x509.BasicConstraints(name == authority, None), critical=True
            )
            .add_extension(usage, critical=True)
            .add_extension(own, critical=False)
            .add_extension(above, critical=False)
        )
        cert = builder.sign(issuer, hashes.SHA256())
        plain = key.private_bytes(
            forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption()
        )
        (self.folder / f"{name}.key").write_bytes(plain)
        (self.folder / f"{name}.key").chmod(0o600)
        (self.folder / f"{name}.pem").write_bytes(cert.public_bytes(forms.Encoding.PEM))
        return key


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder of certificates: `site` and `renewed` for servers, `friend`, `stranger`."""
    folder = tmp_path_factory.mktemp("certificates")
    if shutil.which("openssl"):
        maker = OpenSSL(folder)
    else:
        pytest.importorskip(
            "cryptography",
            reason="apt install openssl, or pip install 'pyconfserve[crypto]'",
        )
        maker = Cryptography(folder)
    for authority in ("root", "other"):
        maker.authority(authority)
    for name, authority in [
        ("site", "root"),
        ("renewed", "root"),
        ("friend", "root"),
        ("stranger", "other"),
    ]:
        maker.issue(name, authority)
    maker.issue("weak", "root", "rsa")
    maker.lock("site", PASSWORD)
    return folder


@pytest.fixture
def pki(made, tmp_path):
    """The same certificates in a folder of the test's own, changed long ago."""
    for path in made.iterdir():
        copy = tmp_path / path.name
        shutil.copy(path, copy)
        copy.chmod(0o600)
    return tmp_path


def replace(path, source):
    """Give *path* the contents of *source* in one step, as tools that renew do."""
    new = path.with_suffix(".new")
    shutil.copy(source, new)
    new.chmod(0o600)
    os.replace(new, path)


def certificates(pki, **more):
    """The certificates of `site`."""
    return Certificates(str(pki / "site.pem"), str(pki / "site.key"), **more)


class Clock:
    """A clock that stands until it is set."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


BROKEN = {
    "no certificate file": ("site.pem", Path.unlink, "site.pem: cannot be read: no such file or directory"),
    "no key file": ("site.key", Path.unlink, "site.key: cannot be read: no such file or directory"),
    "no client ca file": ("root.pem", Path.unlink, "root.pem: cannot be read: no such file or directory"),
    "a certificate that is none": ("site.pem", "hello", "site.pem: holds no certificate in PEM"),
    "a certificate that is cut off": ("site.pem", lambda path: path.write_bytes(path.read_bytes()[:200]), "site.pem: holds no certificate in PEM"),
    "a certificate in DER": ("site.pem", b"\x30\x82\xff\x80", "site.pem: holds no certificate in PEM"),
    "an empty certificate": ("site.pem", "", "site.pem: holds no certificate in PEM"),
    "a key that is none": ("site.key", "hello", "site.key: holds no private key in PEM"),
    "a key that is broken": ("site.key", "-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n", "site.key: is refused by OpenSSL: not what it should be"),
    "a client ca that is none": ("root.pem", "hello", "root.pem: holds no certificate in PEM"),
    "a key that a group may write": ("site.key", lambda path: path.chmod(0o620), "site.key: others than its owner may write it"),
    "a key that anyone may write": ("site.key", lambda path: path.chmod(0o602), "site.key: others than its owner may write it"),
    "a client ca that anyone may write": ("root.pem", lambda path: path.chmod(0o646), "root.pem: others than its owner may write it"),
    "a pipe": ("site.key", lambda path: (path.unlink(), os.mkfifo(path)), "site.key: is no regular file"),
    "a folder": ("site.pem", lambda path: (path.unlink(), path.mkdir()), "site.pem: is no regular file"),
}  # fmt: skip


def spoil(path, how):
    """Change a file: by a function, or to these contents."""
    if callable(how):
        how(path)
    else:
        path.write_bytes(how if isinstance(how, bytes) else how.encode())


@pytest.mark.parametrize(("name", "how", "problem"), BROKEN.values(), ids=BROKEN)
def test_a_file_that_will_not_do_is_named(pki, name, how, problem):
    """The error says which file it is, and what is wrong with it."""
    spoil(pki / name, how)
    with pytest.raises(SettingsError) as caught:
        certificates(pki, client_ca=str(pki / "root.pem"))
    assert f"{pki}/{problem}" == str(caught.value)


def test_a_key_of_another_certificate_is_refused(pki):
    """Certificate and key must belong together."""
    with pytest.raises(SettingsError) as caught:
        Certificates(str(pki / "site.pem"), str(pki / "renewed.key"))
    expected = f"{pki}/renewed.key: is not the key of the certificate in {pki}/site.pem"
    assert expected == str(caught.value)


def test_a_weak_key_is_refused(pki):
    """What clients would not take is not served."""
    with pytest.raises(SettingsError) as caught:
        Certificates(str(pki / "weak.pem"), str(pki / "weak.key"))
    assert f"{pki}/weak.pem: is refused by OpenSSL: ee key too small" == str(
        caught.value
    )


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        (None, "is encrypted, and no password for it is set"),
        ("", "is encrypted, and no password for it is set"),
        ("battery staple", "is not opened by the password that is set"),
        ("battery staple " * 100, "is not opened by the password that is set"),
    ],
    ids=["none", "empty", "wrong", "too long"],
)
def test_a_wrong_password_is_not_quoted(pki, password, problem):
    """A key that does not open is an error, in which no password stands."""
    with pytest.raises(SettingsError) as caught:
        Certificates(str(pki / "site.pem"), str(pki / "site.locked"), password=password)
    assert f"{pki}/site.locked: {problem}" == str(caught.value)
    assert "staple" not in repr(caught.value.__cause__)


def test_a_password_opens_the_key(pki):
    """An encrypted key is served with its password, which is shown nowhere."""
    found = Certificates(
        str(pki / "site.pem"), str(pki / "site.locked"), password=PASSWORD
    )
    assert isinstance(found.context(), ssl.SSLContext)
    assert PASSWORD not in repr(found)


def test_one_file_may_hold_both(pki):
    """Without a key file the key stands beside the certificate, with any text around."""
    both = pki / "both.pem"
    both.write_bytes(
        "für uns\n".encode()
        + (pki / "site.key").read_bytes()
        + (pki / "site.pem").read_bytes()
    )
    both.chmod(0o600)
    assert isinstance(Certificates(str(both)).context(), ssl.SSLContext)


@pytest.mark.parametrize(
    ("mode", "is_warned_of"),
    [(0o600, False), (0o640, False), (0o644, True), (0o444, True)],
    ids=["owner", "group", "anyone", "Kubernetes"],
)
def test_a_key_that_anyone_may_read_is_warned_of(pki, caplog, mode, is_warned_of):
    """It is served, as some platforms mount it so, but not in silence."""
    (pki / "site.key").chmod(mode)
    certificates(pki)
    expected = [f"others may read the key of TLS: chmod o-r {pki}/site.key"]
    assert expected * is_warned_of == caplog.messages


def test_what_is_agreed_with_clients(pki, monkeypatch):
    """TLS 1.2 at least, HTTP/1.1, no renegotiation, no compression, no log of keys."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(pki / "log"))
    context = certificates(pki).context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    for option in (ssl.OP_NO_RENEGOTIATION, ssl.OP_NO_COMPRESSION):
        assert option in context.options
    assert (context.verify_mode, context.keylog_filename) == (ssl.CERT_NONE, None)


# reading again


def test_files_are_looked_at_once_a_second(pki):
    """Handshakes within a second share a context; after it a change shows."""
    clock = Clock()
    found = certificates(pki, clock=clock)
    first = found.context()
    replace(pki / "site.pem", pki / "renewed.pem")
    replace(pki / "site.key", pki / "renewed.key")
    clock.now += 0.9
    assert found.context() is first
    clock.now += 0.2
    assert found.context() is not first


def test_files_that_stay_are_not_read_again(pki):
    """Sessions can be resumed as long as the files stay what they are."""
    threading.Event().wait(0.06)  # until a change would show in the stamps
    clock = Clock()
    found = certificates(pki, clock=clock)
    first = found.context()
    clock.now += 5
    assert found.context() is first


def test_a_change_that_stamps_may_not_show_is_found(pki, caplog):
    """What was read just after it changed is read once more."""
    clock = Clock()
    found = certificates(pki, clock=clock)
    first = found.context()
    (pki / "site.key").touch()
    found.reload()
    second = found.context()
    found.reload()
    assert len({id(context) for context in (first, second, found.context())}) == 3


def test_a_reload_does_not_wait(pki, caplog):
    """`reload` looks at once, and what it took is in the log."""
    caplog.set_level(logging.INFO, "pyconfserve")
    found = certificates(pki, clock=Clock())
    first = found.context()
    replace(pki / "site.pem", pki / "renewed.pem")
    replace(pki / "site.key", pki / "renewed.key")
    found.reload()
    assert found.context() is not first
    assert caplog.messages == ["the TLS files were read again"]


def test_nobody_waits_for_another_thread_that_reads(pki):
    """While a reload goes on in a thread, handshakes take the context there is."""
    clock = Clock()
    found = certificates(pki, clock=clock)
    before = found.context()
    replace(pki / "site.pem", pki / "renewed.pem")
    replace(pki / "site.key", pki / "renewed.key")
    has_begun, may_end = threading.Event(), threading.Event()

    def slow_clock():
        has_begun.set()
        assert may_end.wait(PATIENCE)
        return clock.now

    clock.now += 5
    found._clock = slow_clock
    thread = threading.Thread(target=found.reload)
    thread.start()
    assert has_begun.wait(PATIENCE)
    found._clock = clock
    assert found.context() is before
    may_end.set()
    thread.join(PATIENCE)
    assert found.context() is not before


@pytest.mark.parametrize(("name", "how", "problem"), BROKEN.values(), ids=BROKEN)
def test_broken_new_files_leave_the_old_in_force(pki, caplog, name, how, problem):
    """They are said to be broken once, and taken when they are mended."""
    caplog.set_level(logging.INFO, "pyconfserve")
    clock = Clock()
    found = certificates(pki, client_ca=str(pki / "root.pem"), clock=clock)
    before = found.context()
    kept = (pki / name).read_bytes()
    spoil(pki / name, how)
    for _ in range(3):
        clock.now += 1
        assert found.context() is before
    if (pki / name).is_dir():
        (pki / name).rmdir()
    (pki / "kept").write_bytes(kept)
    replace(pki / name, pki / "kept")
    clock.now += 1
    assert found.context() is not before
    expected = [
        f"the TLS files in use are kept: {pki}/{problem}",
        "the TLS files were read again",
    ]
    assert expected == caplog.messages


def test_what_was_out_of_reach_is_tried_again(pki, caplog):
    """New files that could not be opened for a moment are taken at the next look."""
    caplog.set_level(logging.INFO, "pyconfserve")
    clock = Clock()
    found = certificates(pki, clock=clock)
    before = found.context()
    replace(pki / "site.pem", pki / "renewed.pem")
    replace(pki / "site.key", pki / "renewed.key")
    threading.Event().wait(0.06)  # until a change would show in the stamps
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        for _ in range(2):
            clock.now += 1
            assert found.context() is before
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    clock.now += 1
    assert found.context() is not before
    assert [
        f"the TLS files in use are kept: {pki}/site.pem: cannot be read: too many open files",
        "the TLS files were read again",
    ] == caplog.messages


def test_half_of_a_new_pair_is_not_taken(pki, caplog):
    """While only the certificate is new, the old pair is served."""
    found = certificates(pki, clock=Clock())
    before = found.context()
    replace(pki / "site.pem", pki / "renewed.pem")
    found.reload()
    assert found.context() is before
    replace(pki / "site.key", pki / "renewed.key")
    found.reload()
    assert found.context() is not before
    assert [
        f"the TLS files in use are kept: {pki}/site.key: is not the key of the certificate in {pki}/site.pem"
    ] == caplog.messages


# a server, and its clients


class Secure:
    """A listener with TLS that runs in a thread until `stop`, and ways to talk to it."""

    def __init__(self, make_loop, server, tls, deadlines):
        self.loop = make_loop()
        self.problems = []
        self.loop.set_exception_handler(
            lambda _, context: self.problems.append(context)
        )
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.listener = self.run(self._start(server, tls, deadlines))

    async def _start(self, server, tls, deadlines):
        listener = Listener(Routes(server), tls=tls, deadlines=deadlines)
        self.address = await listener.start("127.0.0.1", 0)
        return listener

    def begin(self, coroutine):
        """A future of *coroutine*, which runs on the listener's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def run(self, coroutine):
        """The result of *coroutine*, run on the listener's loop."""
        return self.begin(coroutine).result(PATIENCE)

    def call(self, function, *arguments):
        """Call *function* on the listener's loop and wait for what it gives."""

        async def called():
            return function(*arguments)

        return self.run(called())

    def wait_until(self, holds):
        """Wait until *holds()* is true, a turn of the loop at a time."""
        give_up = time.monotonic() + PATIENCE
        while not self.call(holds):
            assert time.monotonic() < give_up, "waited in vain"

    def dial(self):
        """A connected socket, without TLS, whose waits end in an error."""
        sock = socket.create_connection(self.address, timeout=PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def connect(self, context):
        """A client that has shaken hands."""
        client = Client(self.dial(), context)
        try:
            client.shake_hands()
        except BaseException:
            client.close()
            raise
        return client

    def exchange(self, context, *pieces):
        """All that is answered to *pieces*, until the server ends the connection."""
        with self.connect(context) as client:
            with suppress(OSError):  # refused and closed before all was sent
                for piece in pieces:
                    client.send(piece)
                client.end()
            return client.read_all()

    def stop(self):
        """Close the listener and its loop, also after a failed test."""
        for client in self.call(
            lambda: [*self.listener.handshakes, *self.listener.connections]
        ):
            self.call(client.abort)
        self.run(self.listener.close())
        self.run(self.loop.shutdown_default_executor())
        self.run(_end_tasks())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE)
        self.loop.close()
        assert self.problems == []


async def _end_tasks():
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)


class Client:
    """A client of TLS that may end its sending half, as `ssl.SSLSocket` cannot."""

    def __init__(self, sock, context, session=None):
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self.incoming, self.outgoing, server_hostname="localhost", session=session
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Close the socket, without a word."""
        self.sock.close()

    def _flush(self):
        if self.outgoing.pending:
            self.sock.sendall(self.outgoing.read())

    def _do(self, action, *arguments):
        while True:
            try:
                done = action(*arguments)
                self._flush()
                return done
            except ssl.SSLWantReadError:
                self._flush()
                data = self.sock.recv(1 << 16)
                if not data:
                    raise ConnectionAbortedError(
                        "the end, which TLS did not tell"
                    ) from None
                self.incoming.write(data)

    def begin(self):
        """Send the first message of the handshake; True when the server answers it."""
        with suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        self._flush()
        data = self.sock.recv(1 << 16)
        self.incoming.write(data)
        return bool(data)

    def shake_hands(self):
        """Do the handshake."""
        self._do(self.tls.do_handshake)

    def send(self, data):
        """Encrypt and send."""
        self._do(self.tls.write, data)

    def recv(self, count=1 << 16):
        """What comes next, b"" when the server has ended TLS."""
        try:
            return self._do(self.tls.read, count)
        except ssl.SSLZeroReturnError:  # so it is when both have
            return b""

    def receive(self, end):
        """All that comes, up to *end*."""
        data = b""
        while not data.endswith(end):
            part = self.recv()
            assert part, "closed too early"
            data += part
        return data

    def ask(self):
        """Do the handshake, and ask; in TLS 1.3 a client hears later if it was refused."""
        self.shake_hands()
        self.send(HEALTH)
        return self.recv()

    def read_all(self):
        """All that comes until the server ends TLS."""
        parts = []
        while part := self.recv():
            parts.append(part)
        return b"".join(parts)

    def end(self):
        """Tell that nothing more is sent, in the way of TLS."""
        with suppress(ssl.SSLError):
            self.tls.unwrap()
        self._flush()

    def hang_up(self):
        """End the sending half of the socket, of which TLS does not know."""
        self.sock.shutdown(socket.SHUT_WR)


def loops():
    """asyncio's own loop, and uvloop's where it is installed."""
    found = [asyncio.new_event_loop]
    with suppress(ImportError):
        import uvloop

        found.append(uvloop.new_event_loop)
    return found


@pytest.fixture(params=loops(), ids=lambda loop: loop.__module__.partition(".")[0])
def serve(request, pki, caplog):
    """`serve(server, tls=…, deadlines=…)` starts a listener for one test.

    Nothing that happens in it may end in a warning.
    """
    started = []
    caplog.set_level(logging.WARNING)

    def start(server=None, *, tls=None, deadlines=None):
        server = server or ConfigServer(InMemoryConfigBackend())
        started.append(
            Secure(request.param, server, tls or certificates(pki), deadlines)
        )
        return started[-1]

    yield start
    for served in started:
        served.stop()
    assert [
        record.message for record in caplog.records if record.name == "asyncio"
    ] == []


def trusting(pki, name=None, version=None):
    """What a client takes and shows: the root, its own certificate, one version of TLS."""
    context = ssl.create_default_context(cafile=str(pki / "root.pem"))
    if name:
        context.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
    if version:
        with warnings.catch_warnings():  # of versions that are not to be used any more
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # else the client itself refuses
    return context


@pytest.fixture
def server():
    """A server with one bundle."""
    return saved({"a": 1})


def saved(properties):
    """A server with this bundle as app/default."""
    server = ConfigServer(InMemoryConfigBackend())
    asyncio.run(server.save("app", "default", properties))
    return server


def statuses(replies):
    """The statuses of answers."""
    return [reply.status for reply in replies]


V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


# what is spoken


@pytest.mark.parametrize("version", [V1_2, V1_3], ids=["1.2", "1.3"])
def test_new_versions_are_spoken(serve, server, pki, replies, version):
    """TLS 1.2 and 1.3 carry the same answers as a plain socket, and agree on HTTP/1.1."""
    context = trusting(pki, version=version)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with serve(server).connect(context) as client:
        agreed = (
            client.tls.version(),
            client.tls.selected_alpn_protocol(),
            client.tls.compression(),
        )
        client.send(GET + HEALTH)
        client.end()
        found = replies(client.read_all())
    assert (version.name.replace("_", "."), "http/1.1", None) == agreed
    assert (statuses(found), found[1].body) == ([200, 200], UP)
    assert json.loads(found[0].body)["propertySources"][0]["source"] == {"a": 1}


@pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=["1.0", "1.1"]
)
def test_old_versions_are_refused(serve, pki, version):
    """TLS 1.0 and 1.1 end in the handshake, and the server says why."""
    served = serve()
    with pytest.raises(ssl.SSLError) as caught:
        served.connect(trusting(pki, version=version))
    assert caught.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"
    assert served.exchange(trusting(pki), LAST).endswith(UP)


def test_nothing_is_agreed_on_anew(serve, pki):
    """A client that wants to renegotiate is refused."""
    if not shutil.which("openssl"):
        pytest.skip("apt install openssl")
    host, port = serve().address
    done = subprocess.run(
        ["openssl", "s_client", "-tls1_2", "-connect", f"{host}:{port}"],
        input=b"R\n", capture_output=True, timeout=PATIENCE,
    )  # fmt: skip
    assert b"RENEGOTIATING" in done.stdout + done.stderr
    assert b"no renegotiation" in done.stderr


def test_curl_is_served(serve, pki):
    """A client that is not Python's gets its answer."""
    if not shutil.which("curl"):
        pytest.skip("apt install curl")
    url = f"https://localhost:{serve().address[1]}/health"
    done = subprocess.run(
        ["curl", "-sS", "-4", "--noproxy", "*", "--cacert", pki / "root.pem", url, url],
        capture_output=True, timeout=PATIENCE,
    )  # fmt: skip
    expected = (UP * 2, b"")
    assert expected == (done.stdout, done.stderr)


@pytest.mark.parametrize("data", [HEALTH, b"\0", b"\x16\x03\x01\x00\x05hello", b"\x80" * 100_000], ids=["HTTP", "a byte", "a record", "noise"])  # fmt: skip
def test_what_is_not_tls_is_closed(serve, data):
    """Plain HTTP gets no HTTP back: the connection ends, and nothing is logged of it."""
    served = serve(deadlines=Deadlines(handshake=0.3, linger=0.2))
    with served.dial() as client:
        found = b""
        with suppress(ConnectionError):
            client.sendall(data)
            while part := client.recv(4096):
                found += part
    assert b"HTTP" not in found
    served.wait_until(lambda: not served.listener.handshakes)


# certificates of clients


@pytest.mark.parametrize("version", [V1_2, V1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize(
    ("name", "is_let_in"),
    [(None, False), ("stranger", False), ("friend", True)],
    ids=["none", "by another authority", "by ours"],
)
def test_clients_show_a_certificate(serve, pki, name, is_let_in, version):
    """With a client CA, only who shows a certificate of it gets an answer."""
    served = serve(tls=certificates(pki, client_ca=str(pki / "root.pem")))
    context = trusting(pki, name, version)
    if is_let_in:
        assert served.exchange(context, LAST).endswith(UP)
    else:
        with Client(served.dial(), context) as client, pytest.raises(REFUSED):
            client.ask()
        served.wait_until(lambda: not served.listener.handshakes)
        assert len(served.listener.connections) == 0


def test_a_refused_client_hears_why(serve, pki):
    """What it has sent already does not destroy the reason."""
    served = serve(tls=certificates(pki, client_ca=str(pki / "root.pem")))
    with served.connect(trusting(pki, version=V1_3)) as client:
        for _ in range(20):
            client.send(b"x" * 10_000)
        with pytest.raises(ssl.SSLError) as caught:
            client.recv()
    assert caught.value.reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED"


def test_without_a_client_ca_nobody_is_asked(serve, pki):
    """A certificate that a client has is not looked at."""
    assert serve().exchange(trusting(pki, "stranger"), LAST).endswith(UP)


# renewal


def shown(client):
    """The certificate that a client was shown."""
    return ssl.DER_cert_to_PEM_cert(client.tls.getpeercert(binary_form=True))


def plain(path):
    """The certificate in a file, as `shown` has it."""
    return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(path.read_text()))


def test_a_renewed_pair_is_served_without_a_restart(serve, pki):
    """New connections see it, those that are open go on."""
    clock = Clock()
    served = serve(tls=certificates(pki, clock=clock))
    with served.connect(trusting(pki)) as old:
        old.send(HEALTH)
        old.receive(UP)
        first = shown(old)
        replace(pki / "site.pem", pki / "renewed.pem")
        replace(pki / "site.key", pki / "renewed.key")
        clock.now += 1
        with served.connect(trusting(pki)) as new:
            assert shown(new) == plain(pki / "renewed.pem") != first
            for client in (old, new):
                client.send(HEALTH)
                assert client.receive(UP).startswith(b"HTTP/1.1 200 ")


def test_a_changed_client_ca_counts_for_new_connections(serve, pki):
    """Who is let in changes without a restart, also for sessions that are resumed."""
    clock = Clock()
    (pki / "ca.pem").write_bytes((pki / "root.pem").read_bytes())
    served = serve(tls=certificates(pki, client_ca=str(pki / "ca.pem"), clock=clock))
    context = trusting(pki, "friend", V1_2)
    with served.connect(context) as old:
        session = old.tls.session
        with Client(served.dial(), context, session) as resumed:
            resumed.shake_hands()
            assert resumed.tls.session_reused
        replace(pki / "ca.pem", pki / "other.pem")
        clock.now += 1
        with Client(served.dial(), context, session) as again, pytest.raises(REFUSED):
            again.ask()
        assert served.exchange(trusting(pki, "stranger"), LAST).endswith(UP)
        old.send(LAST)
        assert old.read_all().endswith(UP)


def test_a_broken_new_pair_stops_nobody(serve, pki, caplog):
    """The old one is served on, and the log says so once."""
    clock = Clock()
    served = serve(tls=certificates(pki, clock=clock))
    (pki / "site.pem").write_text("hello")
    for _ in range(3):
        clock.now += 1
        assert served.exchange(trusting(pki), LAST).endswith(UP)
    assert [f"the TLS files in use are kept: {pki}/site.pem: holds no certificate in PEM"] == caplog.messages  # fmt: skip


# deadlines and the cap


@pytest.mark.parametrize("sent", [b"", b"\x16", b"\x16\x03\x01\x01\x00\x01"], ids=["silence", "a byte", "a record begun"])  # fmt: skip
def test_a_handshake_has_a_deadline(serve, sent):
    """Who does not finish it in time is closed in silence."""
    served = serve(deadlines=Deadlines(handshake=0.2))
    with served.dial() as client:
        client.sendall(sent)
        begun = time.monotonic()
        assert client.recv(1) == b""
    assert time.monotonic() - begun < 2
    served.wait_until(lambda: not served.listener.handshakes)


def test_a_byte_now_and_then_finishes_no_handshake(serve, pki):
    """The deadline is for the whole of it."""
    served = serve(deadlines=Deadlines(handshake=0.3))
    with Client(served.dial(), trusting(pki)) as client:
        with suppress(ssl.SSLWantReadError):
            client.tls.do_handshake()
        hello = client.outgoing.read()
        client.sock.settimeout(0.02)
        for number in range(len(hello) - 1):
            with suppress(ConnectionError):
                client.sock.sendall(hello[number : number + 1])
            try:
                assert client.sock.recv(1) == b""
                break
            except ConnectionError:
                break
            except TimeoutError:
                continue
        assert number < 100


def test_deadlines_of_http_hold_behind_tls(serve, pki, replies):
    """A slow head is 408, and an idle connection is closed as TLS closes."""
    served = serve(deadlines=Deadlines(head=0.2, idle=0.2))
    context = trusting(pki)
    with served.connect(context) as slow, served.connect(context) as idle:
        slow.send(GET[:-2])
        assert statuses(replies(slow.read_all())) == [408]
        assert idle.read_all() == b""


CAPPED = """
import asyncio, resource, ssl, sys
from pyconfserve.backend import InMemoryConfigBackend
from pyconfserve.http.listener import Listener
from pyconfserve.http.routes import Routes
from pyconfserve.http.tls import Certificates
from pyconfserve.server import ConfigServer

resource.setrlimit(resource.RLIMIT_NOFILE, (66, 66))  # 64 of them are reserved
cert, key, root = sys.argv[1:]

async def main():
    tls = Certificates(cert, key)
    trust = ssl.create_default_context(cafile=root)
    listener = Listener(Routes(ConfigServer(InMemoryConfigBackend())), tls=tls)
    address = await listener.start("127.0.0.1", 0)
    silent = [await asyncio.open_connection(*address) for _ in range(2)]
    while len(listener.handshakes) < 2:
        await asyncio.sleep(0)
    reader, writer = await asyncio.open_connection(*address)
    try:
        print(await reader.read())
    except ConnectionError:
        print(b"")
    writer.close()
    silent[0][1].close()
    while len(listener.handshakes) > 1:
        await asyncio.sleep(0)
    reader, writer = await asyncio.open_connection(*address, ssl=trust, server_hostname="localhost")
    writer.write(b"GET /health HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
    print((await reader.readline()).decode().strip())
    print(len(listener.handshakes), len(listener.connections))
    late, other = await asyncio.open_connection(*address)
    try:
        print(await late.read())
    except ConnectionError:
        print(b"")
    for each in [silent[1][1], writer, other]:
        each.close()
    await listener.close()

asyncio.run(asyncio.wait_for(main(), 10))
"""


def test_handshakes_take_places(pki):
    """Handshakes and connections have one cap; above it a socket is closed at once."""
    pytest.importorskip("resource")
    done = subprocess.run(
        [sys.executable, "-c", CAPPED, pki / "site.pem", pki / "site.key", pki / "root.pem"],
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    expected = ["b''", "HTTP/1.1 200 OK", "1 1", "b''"]
    assert (expected, "") == (done.stdout.splitlines(), done.stderr)


# HTTP behind TLS


def test_pipelined_requests_are_answered_in_order(serve, server, pki, replies):
    """Each answer stands where its request stood."""
    wanted = [HEALTH, GET, b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", GET, LAST]
    found = replies(serve(server).exchange(trusting(pki), b"".join(wanted)))
    assert statuses(found) == [200, 200, 404, 200, 200]
    assert [found[index].body for index in (0, 4)] == [UP, UP]


def test_bytes_may_come_one_by_one(serve, server, pki, replies):
    """A handshake and a request are understood in any pieces."""
    served = serve(server)
    with Client(served.dial(), trusting(pki)) as client:
        flush = client.sock.sendall
        client.sock = SimpleNamespace(
            sendall=lambda data: [
                flush(data[index : index + 1]) for index in range(len(data))
            ],
            recv=lambda _, recv=client.sock.recv: recv(1),
            close=client.sock.close,
        )
        client.shake_hands()
        client.send(LAST)
        [reply] = replies(client.read_all())
    assert (reply.status, reply.body) == (200, UP)


def test_head_has_no_body(serve, server, pki, replies):
    """HEAD tells the length of what GET gives."""
    served = serve(server)
    [got] = replies(served.exchange(trusting(pki), GET))
    data = served.exchange(trusting(pki), GET.replace(b"GET", b"HEAD"))
    [headed] = replies(data, with_bodies=False)
    assert (got.headers, b"") == (headed.headers, headed.body)


@pytest.mark.parametrize("version", [V1_2, V1_3], ids=["1.2", "1.3"])
def test_a_large_last_answer_is_whole(serve, pki, replies, version):
    """An answer that closes its connection is written whole before."""
    served = serve(saved({"a": "x" * 20_000_000}))
    last = GET.replace(b"Host", b"Connection: close\r\nHost")
    with served.connect(trusting(pki, version=version)) as client:
        client.send(last)
        [reply] = replies(client.read_all())
    assert len(reply.body) > 20_000_000


def test_a_slow_reader_gets_every_answer(serve, pki, replies):
    """Answers wait for their reader: what is written stops, and goes on."""
    served = serve(saved({"a": "x" * 1_000_000}))
    with served.connect(trusting(pki)) as client:
        client.send(GET * 40 + HEALTH)
        served.wait_until(
            lambda: any(each.get_write_buffer_size() for each in transports(served))
        )
        client.end()
        found = replies(client.read_all())
    assert statuses(found) == [200] * 41
    assert found[-1].body == UP


def transports(served):
    """The transports of the listener's connections."""
    return [connection._transport for connection in served.listener.connections]


def test_no_more_is_encrypted_than_is_taken(serve, pki):
    """Of a large answer only a part waits in the socket's transport, the rest as it is kept."""
    served = serve(saved({"a": "x" * 20_000_000}))
    with served.connect(trusting(pki)) as client:
        client.send(GET)
        client.recv()
        served.wait_until(
            lambda: any(each.get_write_buffer_size() for each in transports(served))
        )
        [transport] = transports(served)
        assert served.call(transport._transport.get_write_buffer_size) < 300_000
        assert served.call(transport.get_write_buffer_size) > 1_000_000
        assert not served.call(
            transport._transport.is_reading
        )  # nor is more of it wanted


def test_a_client_that_does_not_read_is_cut_off(serve, pki):
    """Who takes nothing of an answer within the deadline gets no more of it."""
    served = serve(saved({"a": "x" * 20_000_000}), deadlines=Deadlines(writing=0.2))
    with served.connect(trusting(pki)) as client:
        client.send(GET)
        client.recv()
        served.wait_until(lambda: not served.listener.connections)


def test_a_byte_now_and_then_does_not_take_an_answer(serve, pki):
    """The deadline is for the whole of what is unsent, however slowly a client takes it."""
    served = serve(saved({"a": "x" * 20_000_000}), deadlines=Deadlines(writing=0.4))
    sock = socket.socket()
    sock.settimeout(PATIENCE)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 15)  # it flows evenly
    sock.connect(served.address)
    with Client(sock, trusting(pki)) as client:
        client.shake_hands()
        client.send(HEALTH)
        client.receive(UP)
        [transport] = transports(served)
        theirs = transport.get_extra_info("socket")
        served.call(theirs.setsockopt, socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 15)
        client.send(GET)
        client.recv()
        until = time.monotonic() + 2
        with suppress(ConnectionError):
            while time.monotonic() < until and sock.recv(1 << 14):
                threading.Event().wait(0.005)
        assert not served.listener.connections


def test_only_so_much_is_read_ahead(serve, pki):
    """A client that sends without end while it is answered is not read without end."""
    backend = HeldBackend()
    served = serve(ConfigServer(backend))
    with served.connect(trusting(pki)) as client:
        client.send(GET)
        assert backend.is_asked.wait(5)
        client.sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.send(b"\0" * 50_000_000)


@pytest.mark.parametrize("how", [Client.end, Client.hang_up], ids=["TLS", "socket"])
def test_reading_goes_on_when_an_answer_is_made(serve, pki, replies, how):
    """What was left unread while an answer was made is read and answered after it."""
    backend = HeldBackend()
    served = serve(ConfigServer(backend))
    long, count = HEALTH.replace(b"Host", b"X: " + b"x" * 1000 + b"\r\nHost"), 400
    with served.connect(trusting(pki)) as client:
        client.send(GET)
        assert backend.is_asked.wait(5)
        client.send(long * count)
        how(client)
        served.call(backend.may_answer.set)
        found = replies(client.read_all())
    assert [404] + [200] * count == statuses(found)


def test_the_end_of_a_socket_is_behind_what_it_sent(serve, pki, replies):
    """What is not decrypted yet when the socket ends is answered all the same."""
    backend = HeldBackend()
    served = serve(ConfigServer(backend))
    long, count = HEALTH.replace(b"Host", b"X: " + b"x" * 7000 + b"\r\nHost"), 100
    with served.connect(trusting(pki)) as client:
        client.send(GET)
        assert backend.is_asked.wait(5)
        [transport] = transports(served)
        client.sock.settimeout(0.5)
        sent = threading.Thread(target=client.send, args=(long * count,))
        sent.start()
        served.wait_until(lambda: not transport._transport.is_reading())
        held = transport._incoming.pending
        assert held
        served.call(transport.eof_received)  # as uvloop tells of it before the rest
        assert transport._incoming.pending == held
        served.call(backend.may_answer.set)
        found = replies(client.read_all())
        sent.join(PATIENCE)
    assert len(found) > (64 * 1024 + held) // len(long)
    assert {200, 404} == set(statuses(found))


@pytest.mark.parametrize("version", [V1_2, V1_3], ids=["1.2", "1.3"])
def test_an_error_is_read_by_who_still_sends(serve, pki, replies, version):
    """What a client sends after its error does not destroy the answer."""
    served = serve()
    with served.connect(trusting(pki, version=version)) as client:
        client.send(b"\0\r\n\r\n")
        for _ in range(40):
            client.send(b"x" * 65536)
        [reply] = replies(client.read_all())
    assert reply.status == 400


def test_a_broken_record_ends_the_connection(serve, pki):
    """Bytes that do not decrypt are no request, and the client is told."""
    served = serve()
    with served.connect(trusting(pki)) as client:
        client.send(HEALTH)
        client.receive(UP)
        client.sock.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        with pytest.raises(ssl.SSLError) as caught:
            client.recv()
    assert caught.value.reason == "SSLV3_ALERT_BAD_RECORD_MAC"
    served.wait_until(lambda: not served.listener.connections)


# the end of a client


@pytest.mark.parametrize("how", [Client.end, Client.hang_up], ids=["of TLS", "of the socket"])  # fmt: skip
def test_a_half_closing_client_gets_all_answers(serve, pki, replies, how):
    """Who ends its sending half while it is being answered still reads every answer."""
    backend = HeldBackend()
    served = serve(ConfigServer(backend))
    with served.connect(trusting(pki)) as client:
        client.send(GET + HEALTH)
        assert backend.is_asked.wait(5)
        how(client)
        served.call(backend.may_answer.set)
        found = replies(client.read_all())
    assert (statuses(found), found[-1].body) == ([404, 200], UP)


@pytest.mark.parametrize("is_answered", [True, False], ids=["idle", "in the handshake"])
def test_a_client_that_leaves_is_forgotten(serve, pki, is_answered):
    """A socket that just ends, in whatever state, leaves nothing behind."""
    served = serve()
    if is_answered:
        client = served.connect(trusting(pki))
        client.send(HEALTH)
        client.receive(UP)
        client.close()
    else:
        with Client(served.dial(), trusting(pki)) as client:
            client.begin()
    served.wait_until(
        lambda: not (served.listener.connections or served.listener.handshakes)
    )


def test_a_client_that_is_reset_is_forgotten(serve, pki):
    """An answer to no one is thrown away, and the server goes on."""
    backend = HeldBackend()
    served = serve(ConfigServer(backend))
    client = served.connect(trusting(pki))
    client.send(GET)
    assert backend.is_asked.wait(5)
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()  # a reset
    served.wait_until(lambda: not served.listener.connections)
    served.call(backend.may_answer.set)
    assert served.exchange(trusting(pki), LAST).endswith(UP)


def test_who_does_not_leave_is_left(serve, pki):
    """After the last answer a client has a moment to close, then the connection is over."""
    served = serve(deadlines=Deadlines(idle=0.4, linger=0.1))
    with served.connect(trusting(pki)) as client:
        client.send(LAST)
        assert client.receive(UP).startswith(b"HTTP/1.1 200 ")
        assert client.recv() == b""
        served.wait_until(lambda: not served.listener.connections)


def test_who_leaves_after_the_last_answer_is_not_waited_for(serve, pki):
    """When its socket ends as well, the connection is over at once."""
    served = serve(deadlines=Deadlines(linger=PATIENCE * 2))
    with served.connect(trusting(pki)) as client:
        client.send(LAST)
        assert client.read_all().endswith(UP)
        client.hang_up()
        served.wait_until(lambda: not served.listener.connections)


def test_a_refused_client_that_stays_is_left(serve, pki):
    """It has a moment to read why, not the time of a handshake."""
    served = serve(deadlines=Deadlines(idle=0.4, linger=0.1))
    with served.dial() as client:
        client.sendall(HEALTH)
        served.wait_until(lambda: served.listener.handshakes)
        served.wait_until(lambda: not served.listener.handshakes)


def test_what_a_client_held_is_free_when_it_is_gone(serve, pki):
    """At once, not when Python comes to look for cycles: OpenSSL's memory does not count there."""
    served = serve()
    gc.collect()
    gc.disable()
    try:
        with served.connect(trusting(pki)) as client:
            client.send(HEALTH)
            client.receive(UP)
            held = [weakref.ref(transport) for transport in transports(served)]
        served.wait_until(lambda: not served.listener.connections)
        served.wait_until(lambda: held[0]() is None)
    finally:
        gc.enable()


# the end of the listener


def test_requests_in_flight_are_answered(serve, pki, replies):
    """What had been asked before the end is answered, and told that it was the last."""
    backend = HeldBackend()
    served = serve(ConfigServer(backend))
    with served.connect(trusting(pki)) as client, served.connect(trusting(pki)) as idle:
        client.send(GET + HEALTH)
        assert backend.is_asked.wait(5)
        closing = served.begin(served.listener.close())
        assert idle.read_all() == b""
        served.call(backend.may_answer.set)
        found = replies(client.read_all())
    closing.result(5)
    assert statuses(found) == [404, 200]
    assert [reply.headers.get("Connection") for reply in found] == [None, "close"]


def test_a_drain_ends_silent_handshakes(serve):
    """Who has not said a word is closed at once."""
    served = serve()
    with served.dial() as client:
        served.wait_until(lambda: served.listener.handshakes)
        begun = time.monotonic()
        served.run(served.listener.close())
        assert time.monotonic() - begun < 1
        with suppress(ConnectionError):
            assert client.recv(1) == b""


@pytest.mark.parametrize("version", [V1_2, V1_3], ids=["1.2", "1.3"])
def test_a_handshake_that_has_begun_is_finished(serve, pki, replies, version):
    """Who finishes it at once, and asks, is answered, and told that it was the last."""
    served = serve()
    with Client(served.dial(), trusting(pki, version=version)) as client:
        client.begin()
        closing = served.begin(served.listener.close())
        served.wait_until(lambda: served.listener.is_draining)
        client.shake_hands()
        client.send(HEALTH)
        [reply] = replies(client.read_all())
    closing.result(5)
    assert (reply.headers["Connection"], reply.body) == ("close", UP)


@pytest.mark.parametrize(
    "finishes", [True, False], ids=["asks nothing", "goes no further"]
)
def test_a_drain_waits_a_moment_for_handshakes(serve, pki, finishes):
    """Who takes longer, or asks nothing, does not hold up the end."""
    served = serve(deadlines=Deadlines(linger=0.2))
    with Client(served.dial(), trusting(pki)) as client:
        client.begin()
        closing = served.begin(served.listener.close())
        served.wait_until(lambda: served.listener.is_draining)
        if finishes:
            client.shake_hands()
        closing.result(2)


def test_a_drain_has_a_deadline(serve, pki, caplog):
    """Who is not done in time is cut off, and that is logged."""
    backend = HeldBackend()
    served = serve(ConfigServer(backend), deadlines=Deadlines(drain=0.1))
    with served.connect(trusting(pki)) as client:
        client.send(GET)
        assert backend.is_asked.wait(5)
        served.run(served.listener.close())
        with suppress(*REFUSED):
            assert client.recv(1) == b""
    assert caplog.messages == ["1 connections were cut off"]


def test_no_accepted_request_is_lost_under_load(serve, server, pki, replies):
    """While the server stops, whoever has heard from it is answered.

    All others find the port closed, or their socket before they have sent a request.
    """
    served = serve(server)
    answered, lost = [], []
    has_begun = threading.Event()

    def ask(context):
        while True:
            with suppress(ConnectionError):
                client = Client(served.dial(), context)
                with client:
                    if client.begin():
                        answered_one(client)
                        continue
            return

    def answered_one(client):
        try:
            client.shake_hands()
            client.send(LAST)
            answered.extend(statuses(replies(client.read_all())))
        except OSError as error:
            lost.append(error)
        if len(answered) > 60:
            has_begun.set()

    threads = [threading.Thread(target=ask, args=(trusting(pki),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert has_begun.wait(PATIENCE)
    served.run(served.listener.close())
    for thread in threads:
        thread.join(PATIENCE)
    assert (lost, set(answered)) == ([], {200})
