"""serve --tls-cert: a folder over https."""

import json
import select
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pytest

from pyconfserve import __version__
from pyconfserve.http.passwords import hash_token

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="certificates are made by openssl"
)
STOPPED = "INFO pyconfserve.serve: stopped\n"
READ_AGAIN = "INFO pyconfserve.tls: the TLS files were read again\n"
PATIENCE = 20  # seconds for what takes a fraction of one
GET = b"GET /orders/prod HTTP/1.1\r\nHost: localhost\r\n"
LAST = b"Connection: close\r\n\r\n"


@pytest.fixture
def certificate(tmp_path):
    """A function that makes NAME.pem and NAME.key, for localhost and by itself."""

    def make(name, subject="localhost"):
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-nodes", "-days", "2"),
                *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
                *("-subj", f"/CN={subject}"),
                *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
                *("-keyout", f"{name}.key.new", "-out", f"{name}.pem.new"),
            ],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )
        for end in ("key", "pem"):
            (tmp_path / f"{name}.{end}.new").chmod(0o600)
            (tmp_path / f"{name}.{end}.new").replace(tmp_path / f"{name}.{end}")

    return make


def port_of(serving):
    return int(serving.first_line.rpartition(":")[2])


def ask(serving, cafile, headers=LAST, client=None):
    """(status, subject of the server's certificate); raises ssl.SSLError."""
    context = ssl.create_default_context(cafile=cafile)
    if client is not None:
        context.load_cert_chain(f"{client}.pem", f"{client}.key")
    with (
        socket.create_connection(("127.0.0.1", port_of(serving)), PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(GET + headers)
        answer = b""
        while data := connection.recv(65536):
            answer += data
        [[(_, subject)]] = connection.getpeercert()["subject"]
    return int(answer.split()[1]), subject


def logged(serving):
    """The next line on standard error."""
    ready, _, _ = select.select([serving.process.stderr], [], [], PATIENCE)
    assert ready, "nothing was logged in time"
    return serving.process.stderr.readline().decode()


def wait_until(is_so):
    """Ask again and again until it is so."""
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end, "it did not come about in time"


FILES = ("--tls-cert", "cert.pem", "--tls-key", "cert.key")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_first_line_says_https(serve, folder, certificate, tmp_path, workers):
    """And TLS it is, which plain HTTP does not get past."""
    certificate("cert")
    serving = serve("cfg", "--port", "0", "--workers", workers, *FILES)
    port = port_of(serving)
    expected = f"pyconfserve {__version__} serving cfg on https://127.0.0.1:{port}\n"
    assert expected == serving.first_line
    assert ask(serving, tmp_path / "cert.pem") == (200, "localhost")
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as plain:
        plain.sendall(GET + LAST)
        received = b""
        try:
            while data := plain.recv(1024):
                received += data
        except ConnectionError:
            pass
    assert b"HTTP" not in received
    assert serving.end(signal.SIGTERM) == (0, "", STOPPED)


def test_users_beyond_this_machine_are_safe_with_tls(
    serve, folder, certificate, tmp_path
):
    """Nothing is warned of."""
    certificate("cert")
    users = [{"name": "anna", "token": hash_token("secret"), "applications": "*", "profiles": "*"}]
    (tmp_path / "users.json").write_text(json.dumps({"users": users}))
    serving = serve(
        *("cfg", "--port", "0", "--host", "0.0.0.0", "--users", "users.json", *FILES)
    )
    known = b"Authorization: Bearer secret\r\n" + LAST
    assert ask(serving, tmp_path / "cert.pem", known)[0] == 200
    assert ask(serving, tmp_path / "cert.pem")[0] == 401
    assert serving.end(signal.SIGTERM) == (0, "", STOPPED)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_clients_show_a_certificate(serve, folder, certificate, tmp_path, workers):
    """With --tls-client-ca, one by those authorities."""
    for name in ("cert", "known", "strange"):
        certificate(name)
    arguments = ("cfg", "--port", "0", "--workers", workers, *FILES)
    serving = serve(*arguments, "--tls-client-ca", "known.pem")
    cafile = tmp_path / "cert.pem"
    assert ask(serving, cafile, client=tmp_path / "known")[0] == 200
    for client in (None, tmp_path / "strange"):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(serving, cafile, client=client)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("has_signal", [True, False], ids=["SIGHUP", "by itself"])
def test_a_new_certificate_needs_no_restart(
    serve, folder, certificate, tmp_path, workers, has_signal
):
    """All workers serve it, and one line says so."""
    certificate("cert", "old")
    serving = serve("cfg", "--port", "0", "--workers", workers, *FILES)
    assert ask(serving, tmp_path / "cert.pem") == (200, "old")
    certificate("cert", "new")
    if has_signal:
        serving.signal(signal.SIGHUP)

    def is_new():
        try:
            return {ask(serving, tmp_path / "cert.pem") for _ in range(8)} == {
                (200, "new")
            }
        except ssl.SSLError:  # still the old one, which the new file does not vouch for
            return False

    wait_until(is_new)
    if workers == "2":
        assert logged(serving) == READ_AGAIN
        assert serving.end(signal.SIGTERM) == (0, "", STOPPED)
    else:
        assert serving.end(signal.SIGTERM) == (0, "", READ_AGAIN + STOPPED)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_broken_certificate_changes_nothing(
    serve, folder, certificate, tmp_path, workers
):
    """The old one is served on, and one line says why."""
    certificate("cert", "old")
    shutil.copy(tmp_path / "cert.pem", tmp_path / "ca.pem")
    serving = serve("cfg", "--port", "0", "--workers", workers, *FILES)
    (tmp_path / "cert.pem").write_text("broken")
    serving.signal(signal.SIGHUP)
    assert logged(serving) == (
        "ERROR pyconfserve.tls: the TLS files in use are kept: cert.pem: holds no "
        "certificate in PEM\n"
    )
    for _ in range(4):
        assert ask(serving, tmp_path / "ca.pem") == (200, "old")
    assert serving.end(signal.SIGTERM) == (0, "", STOPPED)


def test_other_files_need_no_restart(serve, folder, certificate, tmp_path):
    """SIGHUP finds them by the settings; TLS itself neither comes nor goes."""
    for name in ("one", "two"):
        certificate(name, name)

    def write(**settings):
        text = json.dumps({f"pyfly.config-server.{key}": settings[key] for key in settings})
        (tmp_path / "new.json").write_text(text)
        (tmp_path / "new.json").replace(tmp_path / "settings.json")

    write(port=0, **{"tls.cert": "one.pem", "tls.key": "one.key"})
    serving = serve("cfg", "--settings", "settings.json")
    assert ask(serving, tmp_path / "one.pem") == (200, "one")
    write(port=0, **{"tls.cert": "two.pem", "tls.key": "two.key"})
    serving.signal(signal.SIGHUP)

    def is_new():
        try:
            return ask(serving, tmp_path / "two.pem") == (200, "two")
        except ssl.SSLError:
            return False

    wait_until(is_new)
    write(port=0)
    serving.signal(signal.SIGHUP)
    assert logged(serving) == (
        "WARNING pyconfserve.serve: a restart is needed for tls.cert, tls.key\n"
    )
    assert ask(serving, tmp_path / "two.pem") == (200, "two")
