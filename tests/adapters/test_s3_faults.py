"""S3 when it fails: each failure as it comes over the wire, and what is told of it."""

import asyncio
import json
import logging
import shutil
import subprocess

import pytest
from backend_contract import NAMES, bundle, change, found_stored, same, stored
from s3_server import KEYS, Gate, S3Server, plain, put_all, values
from store_servers import Relay, free_ports, until

from pyconfserve.adapters.s3 import S3ConfigBackend
from pyconfserve.adapters.s3_client import Bucket
from pyconfserve.adapters.s3_tree import S3Tree
from pyconfserve.environment.overlay import make_lookup
from pyconfserve.errors import (
    BackendDenied,
    BackendError,
    BackendMisconfigured,
    BackendUnavailable,
    ValueTooLarge,
    VersionConflict,
)

FILES = {"main/orders-prod.yml": "a: 1\n", "main/other.yml": "b: 1\n", "big.txt": "text"}
NEVER = 3600.0  # seconds between looks: what is seen was asked for
RIGHTS = "the access key has no right to it: it needs s3:ListBucket and s3:GetObject, and to save s3:PutObject and s3:DeleteObject"
REGION = "the bucket is elsewhere: set its region, or the right endpoint"
CLOCK = "the clock of this machine is wrong: set it, or have it set by NTP"
LACKS = "it lacks what is asked, such as conditional writes"
PATH = "main/orders-prod.yml"
KEY = f"/{PATH}"


@pytest.fixture
def gate(s3_server):
    """What stands before the server."""
    with Gate(s3_server) as gate:
        yield gate


@pytest.fixture
def connect():
    """Makes backends, and closes them in the end."""
    made = []

    def connect(uri, **options):
        made.append(S3ConfigBackend(uri, **{"poll": NEVER, **options}))
        return made[-1]

    yield connect
    for backend in made:
        asyncio.run(backend.close())


@pytest.fixture
def bucket(s3_server):
    return s3_server.bucket(FILES)


ANSWERS = {
    "denied": ((403, "AccessDenied"), BackendDenied, RIGHTS),
    "disabled": ((403, "AllAccessDisabled"), BackendDenied, RIGHTS),
    "key": ((403, "InvalidAccessKeyId"), BackendDenied, "the access key is not known"),
    "secret": ((403, "SignatureDoesNotMatch"), BackendDenied, "the secret of the access key is wrong"),
    "expired": ((400, "ExpiredToken"), BackendDenied, "the credentials have expired"),
    "clock": ((403, "RequestTimeTooSkewed"), BackendMisconfigured, CLOCK),
    "region": ((301, "PermanentRedirect"), BackendMisconfigured, REGION),
    "signed-for-another-region": ((400, "AuthorizationHeaderMalformed"), BackendMisconfigured, REGION),
    "no-bucket": ((404, "NoSuchBucket"), BackendMisconfigured, "there is no such bucket"),
    "not-there": ((404, ""), BackendMisconfigured, "there is no such bucket"),
    "checksums": ((501, "NotImplemented"), BackendMisconfigured, LACKS),
    "slow-down": ((503, "SlowDown"), BackendUnavailable, "it asks for fewer requests"),
    "internal": ((500, "InternalError"), BackendUnavailable, "it failed, and may recover"),
    "proxy": ((502, "", "<html>"), BackendUnavailable, "it failed, and may recover"),
    "strange": ((418, "Teapot"), BackendError, "it refused the request (418)"),
    "no-s3": ((200, "", "<html><p>Welcome</p></html>"), BackendMisconfigured, "what answers there is no S3"),
    "cut": ("cut", BackendUnavailable, "it is away"),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "kind", "words"), ANSWERS.values(), ids=ANSWERS)
def test_what_cannot_be_listed(gate, bucket, connect, answer, kind, words):
    """The error says what to do, and nothing that the endpoint said."""
    gate.refuse("GET", answer)
    gate.refuse("HEAD", answer)  # boto3 asks for the region
    backend = connect(f"s3://{bucket}", **gate.options())
    with pytest.raises(kind) as caught:
        asyncio.run(backend.open())
    assert (type(caught.value), str(caught.value)) == (kind, f"s3://{bucket}: {words}")
    with pytest.raises(kind):
        backend.health()


SAVES = {
    "denied": ((403, "AccessDenied"), BackendDenied, RIGHTS),
    "lacks-conditions": ((501, "NotImplemented"), BackendMisconfigured, LACKS),
    "too-large": ((400, "EntityTooLarge"), ValueTooLarge, "the file is larger than the bucket takes"),
    "too-large-for-a-proxy": ((413, ""), ValueTooLarge, "the file is larger than the bucket takes"),
    "slow-down": ((503, "SlowDown"), BackendUnavailable, "it asks for fewer requests"),
    "cut": ("cut", BackendUnavailable, "it is away"),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "kind", "words"), SAVES.values(), ids=SAVES)
def test_what_cannot_be_saved(gate, bucket, connect, answer, kind, words):
    """What was stored is served on; no client is told where it is."""
    backend = connect(f"s3://{bucket}", **gate.options())
    gate.refuse("PUT", answer)
    with pytest.raises(kind) as caught:
        change(backend, {"a": 2})
    assert (type(caught.value), str(caught.value)) == (kind, f"s3://{bucket}: {PATH}: {words}")
    assert caught.value.public == words
    assert values(backend, "orders", "prod")["orders-prod"] == {"a": 1}


@pytest.mark.parametrize("answer", [(412, "PreconditionFailed"), (409, "ConditionalRequestConflict"), (404, "NoSuchKey")], ids=["precondition", "at-once", "gone"])
def test_a_condition_that_fails_is_tried_again(gate, bucket, connect, answer):
    """It is judged anew, as often as others come between."""
    backend = connect(f"s3://{bucket}", **gate.options())
    gate.refuse("PUT", answer, times=3)
    change(backend, {"a": 2})
    assert values(backend, "orders", "prod")["orders-prod"] == {"a": 2}
    assert [one for one in gate.asked if one.startswith("PUT")] == [f"PUT /{bucket}{KEY}"] * 4


def test_a_save_whose_answer_was_lost_is_found(gate, bucket, connect):
    """It counts as made, once; nobody sends it again."""
    backend = connect(f"s3://{bucket}", **gate.options())
    version = found_stored(backend).version
    gate.refuse("PUT", "lose", times=1)
    changed = change(backend, {"a": 2}, same(version))
    assert changed.version == found_stored(backend).version != version
    assert stored(backend, *NAMES) == {"a": 2}
    assert sum(one.startswith("PUT") for one in gate.asked) == 1


def test_equal_bytes_of_another_are_no_save_of_ours(gate, s3_server, bucket, connect):
    """Who wrote them is told by the change that is kept beside them."""
    backend = connect(f"s3://{bucket}", **gate.options())
    gate.refuse("PUT", "cut", times=1)

    def work(_):
        put_all(s3_server.client(), bucket, {"main/orders-prod.yml": "a: 2\n"})
        return {"a": 2}

    with pytest.raises(BackendUnavailable) as caught:
        change(backend, work)
    assert str(caught.value) == f"s3://{bucket}: {PATH}: it is away"


def test_an_object_that_may_not_be_read(gate, bucket, connect):
    """Who asks for it is told; all else is served."""
    gate.refuse(f"GET /{bucket}{KEY}", (403, "AccessDenied"), times=2)
    backend = connect(f"s3://{bucket}", **gate.options())
    assert values(backend, "other") == {"other-default": {"b": 1}}
    with pytest.raises(BackendDenied) as caught:
        values(backend, "orders", "prod")
    assert (str(caught.value), caught.value.public) == (f"s3://{bucket}: {PATH}: {RIGHTS}", RIGHTS)
    assert values(backend, "orders", "prod")["orders-prod"] == {"a": 1}


def test_one_failure_is_none(gate, bucket, connect):
    """It may have been a connection that was kept for too long."""
    backend = connect(f"s3://{bucket}", **gate.options())
    asyncio.run(backend.open())
    gate.refuse("GET", "cut", times=1)
    asyncio.run(backend.refresh())
    assert "problem" not in backend.health()


def test_objects_that_change_all_the_time(gate, bucket, connect):
    """No state is served that never was."""
    gate.refuse(f"GET /{bucket}{KEY}", (412, "PreconditionFailed"), times=10)
    backend = connect(f"s3://{bucket}", **gate.options())
    with pytest.raises(BackendUnavailable) as caught:
        asyncio.run(backend.open())
    assert str(caught.value) == f"s3://{bucket}: its objects change faster than they are read"
    asyncio.run(backend.open())
    gate.refuse(f"GET /{bucket}/big.txt", (412, "PreconditionFailed"), times=3)
    with pytest.raises(BackendUnavailable) as caught:
        plain(backend, "big.txt")
    assert str(caught.value) == f"s3://{bucket}: a file changes faster than it is read"


def test_while_it_is_away_the_last_state_is_served(s3_server, bucket, connect, caplog):
    """With what is wrong in health and once in the log; then it is followed again."""
    with Relay(s3_server.port) as relay:
        options = {**s3_server.options(), "endpoint": f"http://127.0.0.1:{relay.port}"}
        backend = connect(f"s3://{bucket}", **options)
        asyncio.run(backend.open())
        relay.cut()
        problem = f"s3://{bucket}: it is away"
        for _ in range(2):
            with pytest.raises(BackendUnavailable):
                asyncio.run(backend.refresh())
        backend.look_again()
        assert values(backend, "orders", "prod")["orders-prod"] == {"a": 1}
        assert backend.health() == {"store": f"s3://{bucket}", "files": 3, "read-seconds-ago": 0, "problem": problem}
        with pytest.raises(BackendUnavailable):
            change(backend, {"a": 2})
        with pytest.raises(BackendUnavailable):
            plain(backend, "big.txt")
        warned = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
        assert warned == [problem]
        relay.mend()
        put_all(s3_server.client(), bucket, {"main/orders-prod.yml": "a: 3"})
        backend.look_again()
        until(lambda: values(backend, "orders", "prod")["orders-prod"] == {"a": 3})
        assert "problem" not in backend.health()


def test_a_start_from_the_snapshot_file(s3_server, bucket, connect, tmp_path):
    """What was there when it was last read is served, and followed when it is back."""
    file = tmp_path / "state"
    with Relay(s3_server.port) as relay:
        options = {**s3_server.options(), "endpoint": f"http://127.0.0.1:{relay.port}", "snapshot_file": file}
        first = connect(f"s3://{bucket}", **options)
        asyncio.run(first.save(bundle({"ö": "…"}, "new")))
        asyncio.run(first.close())
        assert file.stat().st_mode & 0o777 == 0o600
        assert [*tmp_path.iterdir()] == [file]
        relay.cut()
        second = connect(f"s3://{bucket}", **options)
        asyncio.run(second.open())
        assert values(second, "new", "prod")["new-prod"] == {"ö": "…"}
        assert values(second, "orders", "prod")["orders-prod"] == {"a": 1}
        about = second.health()
        assert about["read-seconds-ago"] < 60
        expected = {"store": f"s3://{bucket}", "files": 4, "problem": f"s3://{bucket}: it is away"}
        assert {**about, "read-seconds-ago": 0} == {**expected, "read-seconds-ago": 0}
        for ask in (lambda: plain(second, "big.txt"), lambda: change(second, {"a": 2})):
            with pytest.raises(BackendUnavailable):
                ask()
        relay.mend()
        put_all(s3_server.client(), bucket, {"main/orders-prod.yml": "a: 3"})
        second.look_again()
        until(lambda: values(second, "orders", "prod")["orders-prod"] == {"a": 3})
        assert plain(second, "big.txt") == b"text"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, "is of another store"),
        ({"state": None}, "is corrupt"),
        ({"state": {"objects": {"a": [1, 2]}, "ignored": 0}}, "is corrupt"),
        ({"state": {"objects": {"a": ["e", 1, 1.0, "*"]}, "ignored": 0}}, "is corrupt"),
        ({"state": {"objects": {"a": ["e", float("inf"), 1.0, None]}, "ignored": 0}}, "is corrupt"),
        ({"state": {"objects": {}}}, "is corrupt"),
    ],
    ids=["endpoint", "none", "object", "bytes", "endless", "half"],
)
def test_a_snapshot_file_that_is_not_served(s3_server, bucket, connect, tmp_path, change, problem):
    """Of the same bucket at another endpoint, or changed by hand."""
    file = tmp_path / "state"
    first = connect(f"s3://{bucket}", **s3_server.options(), snapshot_file=file)
    asyncio.run(first.open())
    asyncio.run(first.close())
    nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"
    document = json.loads(file.read_text()) | change
    if change:
        document["store"] = f"s3://{bucket} at {nowhere}"
    file.write_text(json.dumps(document))
    second = connect(f"s3://{bucket}", **{**s3_server.options(), "endpoint": nowhere}, snapshot_file=file)
    with pytest.raises(BackendMisconfigured) as caught:
        asyncio.run(second.open())
    assert str(caught.value) == f"the snapshot file {problem}"


def test_an_endpoint_of_the_environment_is_another_store(s3_server, bucket, connect, tmp_path, monkeypatch):
    """What boto3 finds there counts as one of the settings."""
    options = {**s3_server.options(), "endpoint": "", "snapshot_file": tmp_path / "state"}
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    first = connect(f"s3://{bucket}", **options)
    asyncio.run(first.open())
    asyncio.run(first.close())
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_ports(1)[0]}")
    second = connect(f"s3://{bucket}", **options)
    with pytest.raises(BackendMisconfigured) as caught:
        asyncio.run(second.open())
    assert str(caught.value) == "the snapshot file is of another store"


def test_one_that_does_not_answer(s3_server, bucket, connect):
    """It is given up in time, and answers do not wait for it."""
    with Relay(s3_server.port) as relay:
        options = {**s3_server.options(), "endpoint": f"http://127.0.0.1:{relay.port}"}
        backend = connect(f"s3://{bucket}", timeout=0.3, **options)
        asyncio.run(backend.open())
        relay.freeze()
        with pytest.raises(BackendUnavailable) as caught:
            asyncio.run(backend.refresh())
        assert str(caught.value) == f"s3://{bucket}: it did not answer in time"
        assert stored(backend, *NAMES) == {"a": 1}


def test_a_state_that_is_too_old_is_no_health(s3_server, bucket):
    """It is served on all the same."""
    clock = [1000.0]
    server = Bucket(f"s3://{bucket}", **s3_server.options())
    tree = S3Tree(server, poll=NEVER, stale_after=60.0, now=lambda: clock[0])
    tree.open()
    gone = Bucket("s3://nobody-has-this", **s3_server.options())
    server.name = gone.name
    with pytest.raises(BackendMisconfigured):
        tree.look()
    clock[0] += 60.0
    assert tree.health()["read-seconds-ago"] == 60
    clock[0] += 1.0
    with pytest.raises(BackendUnavailable) as caught:
        tree.health()
    assert str(caught.value) == f"s3://{bucket}: there is no such bucket; what is served is 61 s old"
    assert tree.read("main/other.yml").data == b"b: 1\n"
    tree.close()
    gone.close()


def test_a_look_that_never_ends_is_no_health(s3_server, bucket):
    """As an endpoint may answer for hours, byte by byte."""
    clock = [1000.0]
    server = Bucket(f"s3://{bucket}", **s3_server.options())
    tree = S3Tree(server, poll=NEVER, stale_after=60.0, now=lambda: clock[0])
    tree.open()
    clock[0] += NEVER + 60.0
    assert tree.health()["read-seconds-ago"] == 3660
    clock[0] += 1.0
    with pytest.raises(BackendUnavailable) as caught:
        tree.health()
    assert str(caught.value) == f"s3://{bucket}: its answer does not end; what is served is 3661 s old"
    tree.close()


def test_no_credentials(monkeypatch, connect):
    """Nobody is asked with none."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    backend = connect("s3://conf", endpoint="http://127.0.0.1:9")
    with pytest.raises(BackendDenied) as caught:
        asyncio.run(backend.open())
    assert str(caught.value) == "s3://conf: no access key was found: set one, or give this machine a role"


def listing(keys, more=""):
    """A page, with what follows its objects."""
    one = '<Contents><Key>{}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"1"</ETag><Size>4</Size></Contents>'
    last = "false" if not more else "true"
    return 200, "", f"<ListBucketResult><IsTruncated>{last}</IsTruncated>{''.join(map(one.format, keys))}{more}</ListBucketResult>"


TOKEN = "<NextContinuationToken>t</NextContinuationToken>"
PAGES = {
    "no-token": listing(["a.txt"], more="<Next/>"),
    "the-same-token": listing([], more=TOKEN),
    "empty-token": listing(["a.txt"], more="<NextContinuationToken/>"),
    "no-etag": (200, "", listing(["a.txt"])[2].replace("ETag", "Tag")),
    "no-size": (200, "", listing(["a.txt"])[2].replace("4<", "four<")),
    "no-time": (200, "", listing(["a.txt"])[2].replace("2026", "soon")),
}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_a_listing_that_is_none(gate, connect, page):
    """It ends, is not taken for a part of one, and is told as what it is."""
    backend = connect("s3://conf", **gate.options())
    gate.refuse("GET", page)
    with pytest.raises(BackendMisconfigured) as caught:
        asyncio.run(backend.open())
    assert str(caught.value) == "s3://conf: what answers there is no S3"
    assert len(gate.asked) <= 2


def test_a_save_whose_answer_is_none(gate, bucket, connect):
    """An ETag is what the next save rests on."""
    backend = connect(f"s3://{bucket}", **gate.options())
    gate.refuse("PUT", (200, "", ""))
    with pytest.raises(BackendMisconfigured) as caught:
        change(backend, {"a": 2})
    assert str(caught.value) == f"s3://{bucket}: {PATH}: what answers there is no S3"


def test_a_listing_of_two_moments(gate, connect):
    """What changed between its pages is listed again, as it all stood at one moment."""
    first = "GET /conf?list-type=2&prefix=&encoding-type=url"
    pages = [[f"{start}{number}.txt" for number in range(501)] for start in "ab"]
    gate.refuse(first, listing(["a.txt", *pages[0]], more=TOKEN), times=1)
    gate.refuse(first, listing(pages[0], more=TOKEN))
    gate.refuse("GET /conf?list-type=2", listing(["b.txt", *pages[1]]))
    backend = connect("s3://conf", **gate.options())
    asyncio.run(backend.open())
    assert backend.health()["files"] == 1003
    assert len(gate.asked) == 2 * 4


def test_an_object_that_the_endpoint_refuses(gate, bucket, connect):
    """One that is encrypted with a key of others, say: all else is served."""
    gate.refuse(f"GET /{bucket}{KEY}", (400, "InvalidRequest"))
    backend = connect(f"s3://{bucket}", **gate.options())
    assert values(backend, "other") == {"other-default": {"b": 1}}
    with pytest.raises(BackendError) as caught:
        values(backend, "orders", "prod")
    assert str(caught.value) == f"s3://{bucket}: {PATH}: it refused the request (400)"


def test_nobody_is_there(connect):
    """A start without a store fails."""
    backend = connect("s3://conf", endpoint=f"http://127.0.0.1:{free_ports(1)[0]}", **KEYS)
    with pytest.raises(BackendUnavailable) as caught:
        asyncio.run(backend.open())
    assert str(caught.value) == "s3://conf: it is away"
    with pytest.raises(BackendUnavailable):
        values(backend, "orders")


def test_a_server_that_begins_anew_is_empty(connect):
    """What it lost is seen, and nothing breaks."""
    with S3Server() as server:
        name = server.bucket(FILES)
        backend = connect(f"s3://{name}", **server.options())
        assert values(backend, "other") == {"other-default": {"b": 1}}
        server.kill()
        server.start()
        server.client().create_bucket(Bucket=name)
        asyncio.run(backend.refresh())
        assert (values(backend, "other"), asyncio.run(backend.list())) == ({}, [])
        asyncio.run(backend.save(bundle({"a": 1})))
        assert stored(backend, *NAMES) == {"a": 1}


def test_no_secret_is_told(gate, bucket, connect, caplog):
    """Neither in errors nor in logs, whatever the endpoint says."""
    caplog.set_level(logging.DEBUG, "pyconfserve")
    backend = connect(f"s3://{bucket}", **gate.options())
    asyncio.run(backend.open())
    gate.refuse("", (403, "SignatureDoesNotMatch"))
    told = []
    for work in (backend.refresh(), backend.save(bundle({"a": 1}))):
        with pytest.raises(BackendDenied) as caught:
            asyncio.run(work)
        told.append(f"{caught.value} {caught.value!r}")
    text = " ".join([*told, caplog.text, str(backend.health()), repr(backend)])
    assert [secret for secret in KEYS.values() if secret in text] == []


def test_a_removal_beside_a_save_that_others_change(gate, s3_server, bucket, connect):
    """The save is made; what it hides is left to them."""
    put_all(s3_server.client(), bucket, {"main/orders-prod.json": "{}"})
    backend = connect(f"s3://{bucket}", **gate.options())
    gate.refuse("DELETE", (412, "PreconditionFailed"))
    change(backend, {"a": 5})
    assert stored(backend, *NAMES) == {"a": 5}
    tree = S3Tree(Bucket(f"s3://{bucket}", **gate.options()))
    with pytest.raises(VersionConflict) as caught:
        tree.change({"main/other.yml": None}, "")
    words = "the files were changed by someone else meanwhile"
    assert (str(caught.value), caught.value.public) == (f"s3://{bucket}: main/other.yml: {words}", words)
    tree.close()


def test_a_store_that_does_not_tell_what_changed(s3_server, bucket, connect):
    """Who knows of a save keeps no answer from before it, and waits a second for it."""
    with Relay(s3_server.port) as relay:
        options = {**s3_server.options(), "endpoint": f"http://127.0.0.1:{relay.port}"}
        backend = connect(f"s3://{bucket}", **options)
        found = asyncio.run(backend.sources(make_lookup("orders", "prod")))
        relay.freeze()
        put_all(s3_server.client(), bucket, {"main/orders-prod.yml": "a: 3"})
        backend.look_again()
        assert backend.stamp(found.seen) is None
        assert values(backend, "orders", "prod")["orders-prod"] == {"a": 1}
        backend.look_again()
        assert backend.stamp(found.seen) == found.stamp  # nobody waits for longer
        relay.mend()
        until(lambda: backend.stamp(found.seen) not in (None, found.stamp))
        assert values(backend, "orders", "prod")["orders-prod"] == {"a": 3}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("apt-get install openssl")
    folder = tmp_path_factory.mktemp("tls")
    pair = folder / "server.pem", folder / "server.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=s3", "-addext", "subjectAltName=IP:127.0.0.1",
         "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature",
         "-out", pair[0], "-keyout", pair[1]],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    return pair


def test_tls(pair, connect):
    """Who is trusted is asked, and nobody else."""
    with S3Server(tls=pair) as server:
        name = server.bucket(FILES)
        backend = connect(f"s3://{name}", **server.options(), ca_file=str(pair[0]))
        assert values(backend, "other") == {"other-default": {"b": 1}}
        backend = connect(f"s3://{name}", **server.options())
        with pytest.raises(BackendMisconfigured) as caught:
            asyncio.run(backend.open())
        assert str(caught.value) == f"s3://{name}: TLS failed: is its certificate to be trusted?"


def test_a_redirect_is_asked_about_once(gate, bucket, connect):
    """boto3 asks where the bucket is; an endpoint that sends that away, too, is told."""
    for method in ("GET", "HEAD"):
        gate.refuse(method, (301, "PermanentRedirect"))
    backend = connect(f"s3://{bucket}", **gate.options())
    with pytest.raises(BackendMisconfigured):
        asyncio.run(backend.open())
    assert [one.split()[0] for one in gate.asked] == ["GET", "HEAD"]
