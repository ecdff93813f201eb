"""webhooks: which deliveries are signed, which came before, what they are about."""

import base64
import hashlib
import hmac
import json
from pathlib import Path

import pytest

from pyconfserve.errors import (
    ConfigError,
    InvalidRequest,
    Unauthenticated,
    UnsupportedMedia,
)
from pyconfserve.http.messages import Request, joined
from pyconfserve.http.webhooks import Replays, applications_of, verify

RECORDED = Path(__file__).parents[1] / "cases" / "spring" / "monitor.json"
POSTS = {
    case["id"]: case
    for case in json.loads(RECORDED.read_text("utf-8"))["cases"]
    if case["method"] == "POST"
}
SECRET = "It's a secret"
NOW = 1_700_000_000.25  # seconds
BODY = b'{"commits": [{"modified": ["orders.yml"]}]}'
HUB, BITBUCKET = "X-Hub-Signature-256", "X-Hub-Signature"
FORM = "application/x-www-form-urlencoded"
EVENTS = {
    "github": ("X-GitHub-Event", "push"),
    "gitea": ("X-Gitea-Event", "push"),
    "forgejo": ("X-Forgejo-Event", "push"),
    "gogs": ("X-Gogs-Event", "push"),
    "bitbucket": ("X-Event-Key", "repo:push"),
    "gitlab": ("X-Gitlab-Event", "Push Hook"),
    "gitee": ("X-Git-Oschina-Event", "Push Hook"),
}
HEX = {
    "gitea": "X-Gitea-Signature",
    "forgejo": "X-Forgejo-Signature",
    "gogs": "X-Gogs-Signature",
}
PREFIXED = {"github": HUB, "bitbucket": BITBUCKET}


def delivery(*fields, body=BODY, content_type="application/json"):
    """A delivery with these headers, as it comes from the wire."""
    named = [("Content-Type", content_type), *fields]
    headers = joined((name.lower(), value) for name, value in named)
    return Request("POST", "/monitor", "", headers, body)


def mac(body=BODY, secret=SECRET, algorithm="sha256"):
    """The HMAC of a body in hex."""
    return hmac.new(secret.encode(), body, algorithm).hexdigest()


def gitee(stamp, secret=SECRET):
    """The headers of Gitee for a time, which may be text that is none."""
    signed = f"{stamp}\n{secret}".encode()
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return ("X-Gitee-Timestamp", f"{stamp}"), ("X-Gitee-Token", base64.b64encode(digest).decode())  # fmt: skip


def signed(sender, body=BODY, secret=SECRET):
    """The headers that a sender signs a body with, its event not among them."""
    if sender in PREFIXED:
        return [(PREFIXED[sender], f"sha256={mac(body, secret)}")]
    if sender in HEX:
        return [(HEX[sender], mac(body, secret))]
    return [("X-Gitlab-Token", secret)] if sender == "gitlab" else [*gitee(int(NOW * 1000), secret)]  # fmt: skip


def is_accepted(request, secrets=(SECRET,)):
    """Whether a delivery counts as signed at NOW."""
    try:
        verify(request, secrets, now=NOW)
    except Unauthenticated:
        return False
    return True


# signatures


@pytest.mark.parametrize("sender", EVENTS)
@pytest.mark.parametrize("secrets", [[SECRET], ["other", SECRET], {SECRET, ""}], ids=["one", "second", "set"])  # fmt: skip
def test_a_delivery_signed_by_its_sender_is_accepted(sender, secrets):
    """Each sender in its own way, with any of the secrets."""
    assert is_accepted(delivery(EVENTS[sender], *signed(sender)), secrets)


@pytest.mark.parametrize("sender", EVENTS)
def test_without_an_event_the_signature_says_who_sends(sender):
    """A script of one's own signs like any of them."""
    assert is_accepted(delivery(*signed(sender)))


@pytest.mark.parametrize("sender", EVENTS)
@pytest.mark.parametrize("secrets", [[], ["other"], ["", "other"]], ids=str)
def test_another_secret_is_refused(sender, secrets):
    """And any at all where none is configured."""
    assert not is_accepted(delivery(EVENTS[sender], *signed(sender)), secrets)


@pytest.mark.parametrize("sender", EVENTS)
@pytest.mark.parametrize("secret", ["", " ", "\t"], ids=["empty", "blank", "tab"])
def test_an_empty_secret_is_no_secret(sender, secret):
    """Not even for a delivery that is signed with it."""
    request = delivery(EVENTS[sender], *signed(sender, secret=secret))
    assert not is_accepted(request, [secret])


@pytest.mark.parametrize("sender", EVENTS)
def test_a_missing_signature_is_refused(sender):
    """An event alone proves nothing."""
    assert not is_accepted(delivery(EVENTS[sender]))


@pytest.mark.parametrize("sender", EVENTS)
def test_a_signature_that_is_there_twice_is_refused(sender):
    """Even when both are the same, and when one of the two is right."""
    once = signed(sender)
    assert not is_accepted(delivery(EVENTS[sender], *once, *once))
    assert not is_accepted(delivery(EVENTS[sender], *once, (once[-1][0], "x")))
    assert not is_accepted(delivery(EVENTS[sender], (once[-1][0], "x"), *once))


def test_two_halves_of_a_secret_are_refused():
    """A GitLab secret with `, ` in it cannot be told from two headers."""
    halves = ("X-Gitlab-Token", "a"), ("X-Gitlab-Token", "b")
    assert not is_accepted(delivery(*halves), ["a, b"])


@pytest.mark.parametrize("sender", [*HEX, *PREFIXED])
@pytest.mark.parametrize(
    "change",
    [
        lambda value: value[:-1],
        lambda value: value[:-2],
        lambda value: value + "0",
        lambda value: value[:-1] + "g",
        lambda value: value[:-1] + "é",
        lambda value: value + "☃",
        lambda value: value.upper(),
        lambda value: value.replace(mac(), mac().upper()),
        lambda value: value.replace(mac(), mac(algorithm="sha1")),
        lambda value: "sha1=" + mac(algorithm="sha1"),
        lambda value: "sha1=" + mac(),
        lambda value: "sha512=" + mac(algorithm="sha512"),
        lambda value: "SHA256=" + mac(),
        lambda value: "sha256=" + value,
        lambda value: mac() if value != mac() else "sha256=" + mac(),
        lambda value: " " + value,
        lambda value: base64.b64encode(bytes.fromhex(mac())).decode(),
        lambda value: "sha256=",
        lambda value: "",
        lambda value: SECRET,
    ],
    ids=[
        "a digit short", "a byte short", "a digit long", "non-hex", "latin", "non-latin", "upper case", "upper-case hex",
        "sha1 hex", "sha1=", "sha1= with sha256", "sha512=", "upper-case prefix", "prefix twice", "other form", "blank",
        "base64", "prefix only", "empty", "the secret",
    ],
)  # fmt: skip
def test_a_signature_in_another_form_is_refused(sender, change):
    """Only what the sender itself would send is a signature."""
    ((name, value),) = signed(sender)
    assert not is_accepted(delivery(EVENTS[sender], (name, change(value))))


def test_github_s_sha_1_counts_for_nothing():
    """Not alone; and beside SHA-256, whether it is right or wrong."""
    right = (BITBUCKET, "sha1=" + mac(algorithm="sha1"))
    wrong = (BITBUCKET, "sha1=" + "0" * 40)
    assert not is_accepted(delivery(EVENTS["github"], right))
    for beside in (right, wrong):
        assert is_accepted(delivery(EVENTS["github"], beside, *signed("github")))


@pytest.mark.parametrize("sender", [*HEX, *PREFIXED])
@pytest.mark.parametrize(
    "body",
    [BODY[:-1] + b" ", BODY + b"\n", BODY[:-1], json.dumps(json.loads(BODY), separators=(",", ":")).encode(), b""],
    ids=["one byte", "one more", "one less", "written again", "empty"],
)  # fmt: skip
def test_another_body_is_refused(sender, body):
    """The raw bytes are signed, not what they mean."""
    assert not is_accepted(delivery(EVENTS[sender], *signed(sender), body=body))


@pytest.mark.parametrize("claimed", EVENTS)
@pytest.mark.parametrize("sender", EVENTS)
def test_only_the_sender_s_own_signature_counts(claimed, sender):
    """A right signature under another sender's header is none."""
    request = delivery(EVENTS[claimed], *signed(sender))
    assert is_accepted(request) is (claimed == sender)


@pytest.mark.parametrize("sender", ["forgejo", "gitea", "gogs"])
def test_descendants_are_taken_for_themselves(sender):
    """Those that also send the events of their ancestors, Gogs without a signature of
    GitHub's kind, are verified by their own.
    """
    ancestry = ["forgejo", "gitea", "gogs", "github"]
    events = [EVENTS[name] for name in ancestry[ancestry.index(sender) :]]
    assert is_accepted(delivery(*reversed(events), *signed(sender)))
    assert not is_accepted(delivery(*reversed(events), *signed("github")))


def test_nobody_is_not_a_sender():
    """A delivery that claims nothing is refused with what was expected."""
    with pytest.raises(Unauthenticated) as caught:
        verify(delivery(), [SECRET], now=NOW)
    assert str(caught.value) == "a delivery is signed in the way of a known sender"
    assert caught.value.status == 401


def test_a_refusal_quotes_nothing_that_was_sent():
    """It names the header, and neither secret nor signature."""
    with pytest.raises(Unauthenticated) as caught:
        verify(
            delivery(EVENTS["gitlab"], ("X-Gitlab-Token", "guess")), [SECRET], now=NOW
        )
    assert str(caught.value) == "x-gitlab-token is not the signature expected"


@pytest.mark.parametrize("token", ["", SECRET[:-1], SECRET + "x", SECRET.upper(), mac(), f"sha256={mac()}", "☃"])  # fmt: skip
def test_a_gitlab_token_is_the_whole_secret(token):
    """Nothing shorter, longer or in another case."""
    assert not is_accepted(delivery(EVENTS["gitlab"], ("X-Gitlab-Token", token)))


def test_secrets_may_hold_any_letter():
    """Headers are read as Latin-1, secrets are sent as UTF-8."""
    secret = "schlüssel ☃"
    token = ("X-Gitlab-Token", secret.encode("utf-8").decode("latin-1"))
    assert is_accepted(delivery(EVENTS["gitlab"], token), [secret])
    assert is_accepted(delivery(EVENTS["github"], *signed("github", secret=secret)), [secret])  # fmt: skip


@pytest.mark.parametrize(
    ("off", "expected"),
    [(0, True), (3600_000, True), (-3600_000, True), (3600_001, False), (-3600_001, False), (-NOW * 1000, False)],
)  # fmt: skip
def test_gitee_s_time_is_within_an_hour(off, expected):
    """Of now, to the millisecond, before or after it."""
    stamp = int(NOW * 1000 + off)
    assert is_accepted(delivery(EVENTS["gitee"], *gitee(stamp))) is expected


@pytest.mark.parametrize("stamp", ["", "x", "+1700000000250", "1_700_000_000_250", "1700000000250.0", "-1", "1" * 16, "1700000000", "١٧٠٠٠٠٠٠٠٠٢٥٠"])  # fmt: skip
def test_gitee_s_time_is_a_number_of_milliseconds(stamp):
    """A right signature of any other text is refused, without an error of ours."""
    with pytest.raises(Unauthenticated) as caught:
        verify(delivery(EVENTS["gitee"], *gitee(stamp)), [SECRET], now=NOW)
    assert str(caught.value) == "x-gitee-timestamp is not a time within one hour of now"


def test_gitee_s_time_is_signed():
    """Another time, none, two, or the secret instead of a signature."""
    stamp, token = gitee(int(NOW * 1000))
    other = ("X-Gitee-Timestamp", f"{int(NOW * 1000) + 1}")
    assert not is_accepted(delivery(EVENTS["gitee"], other, token))
    assert not is_accepted(delivery(EVENTS["gitee"], token))
    assert not is_accepted(delivery(EVENTS["gitee"], stamp, stamp, token))
    assert not is_accepted(delivery(EVENTS["gitee"], stamp, ("X-Gitee-Token", SECRET)))
    assert not is_accepted(delivery(EVENTS["gitee"], ("X-Gitee-Token", SECRET)))


def test_gitee_does_not_sign_the_body():
    """Which is its rule: the time is all that it proves."""
    assert is_accepted(delivery(EVENTS["gitee"], *signed("gitee"), body=b"{}"))


def test_a_form_is_signed_raw():
    """As it was sent, before it is decoded."""
    body = b"path=team%2Forders.yml"
    signature = signed("github", body)
    assert is_accepted(delivery(EVENTS["github"], *signature, body=body, content_type=FORM))  # fmt: skip
    decoded = b"path=team/orders.yml"
    assert not is_accepted(delivery(EVENTS["github"], *signature, body=decoded, content_type=FORM))  # fmt: skip


# replays


IDS = [
    "X-GitHub-Delivery",
    "X-Forgejo-Delivery",
    "X-Gitea-Delivery",
    "X-Gogs-Delivery",
    "X-Request-UUID",
    "Idempotency-Key",
    "X-Request-Id",
]


@pytest.mark.parametrize("name", IDS)
def test_the_same_id_is_a_replay(name):
    """From the second time on, whatever the body is."""
    replays = Replays()
    first, again = delivery((name, "1")), delivery((name, "1"), body=b"{}")
    other = delivery((name, "2"))
    assert [replays.is_replay(one) for one in (first, again, first, other)] == [False, True, True, False]  # fmt: skip


def test_ids_of_different_senders_differ():
    """One sender's id says nothing about another's."""
    replays = Replays()
    assert [False] * len(IDS) == [replays.is_replay(delivery((name, "1"))) for name in IDS]  # fmt: skip


@pytest.mark.parametrize("field", [[], [("X-GitHub-Delivery", "")], [("X-Gitlab-Event-UUID", "1")]], ids=["none", "empty", "shared"])  # fmt: skip
def test_a_delivery_without_an_id_is_no_replay(field):
    """Nor one with an id that several deliveries share."""
    replays = Replays()
    assert [replays.is_replay(delivery(*field)) for _ in range(2)] == [False, False]


def test_only_the_last_ids_are_remembered():
    """The one unseen for longest is forgotten first."""
    replays = Replays(most=2)
    seen = [replays.is_replay(delivery(("X-GitHub-Delivery", one))) for one in "abacab"]
    assert seen == [False, False, True, False, True, False]


def test_a_million_ids_cost_no_memory():
    """A thousand are remembered unless said otherwise, however long they are."""
    replays = Replays()
    requests = [delivery(("X-Request-Id", f"{number}" * 100)) for number in range(1025)]
    assert not any(map(replays.is_replay, requests))
    assert [replays.is_replay(requests[1]), replays.is_replay(requests[0])] == [True, False]  # fmt: skip


# applications


def form(text):
    """A form as a browser sends it."""
    return delivery(body=text.encode("latin-1"), content_type=FORM)


def answer(request):
    """Status and content of what a delivery is answered with; the content of an error
    is not compared.
    """
    try:
        return 200, applications_of(request)
    except ConfigError as error:
        return error.status, None


def github(**commit):
    """A push to GitHub with one commit."""
    return delivery(EVENTS["github"], body=json.dumps({"commits": [commit]}).encode())


@pytest.mark.parametrize("case", POSTS.values(), ids=POSTS)
def test_deliveries_are_about_what_was_recorded(case):
    """Status and names, in their order, as the Java server gives them."""
    headers = joined((name.lower(), value) for name, value in case["request_headers"].items())  # fmt: skip
    request = Request("POST", "/monitor", "", headers, case["request_body"].encode())
    content = json.loads(case["body"]) if case["status"] == 200 else None
    assert (case["status"], content) == answer(request)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("README.md", ["README"]),
        ("a-b-c", ["a-b-c", "a-b", "a"]),
        ("application-a-b.yml", ["application-a-b", "application-a", "*"]),
        ("x/application.properties", ["*"]),
        ("applications.yml", ["applications"]),
        ("team-a/orders.yml", ["orders"]),
        ("v1.2/orders", ["orders"]),
        ("a\\b/c\\d.yml", ["d"]),
        ("großhandel.yml", ["großhandel"]),
        (".gitignore", [""]),
        ("-a.yml", ["-a", ""]),
        ("x" * 255 + ".yml", ["x" * 255]),
        ("x" * 256 + ".yml", []),
        ("-" * 500_000, []),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_file_gives_its_prefixes(path, expected):
    """The same from a commit and from a `path`."""
    assert expected == applications_of(github(added=[path]))
    assert expected == applications_of(delivery(body=json.dumps({"path": path}).encode()))  # fmt: skip


def test_each_name_is_there_once():
    """Where it came first: commits in their order, added before removed and modified."""
    commits = [
        {"modified": ["c.yml", "a.yml"], "removed": ["b.yml"], "added": ["a.yml"]},
        {"modified": None, "added": [None, "d.yml", "c-prod.yml"]},
        {},
    ]
    request = delivery(EVENTS["gitlab"], body=json.dumps({"commits": commits}).encode())
    assert applications_of(request) == ["a", "b", "c", "d", "c-prod"]


def test_a_push_about_very_many_is_about_all():
    """So that an answer stays small."""
    files = [f"app{number}.yml" for number in range(4097)]
    assert files[:-1] == [f"{name}.yml" for name in applications_of(github(added=files[:-1]))]  # fmt: skip
    assert applications_of(github(added=files)) == ["*"]


@pytest.mark.parametrize(
    ("fields", "content", "expected"),
    [
        ([("X-GitHub-Event", "ping")], {"commits": [{"added": ["a"]}]}, []),
        ([("X-GitHub-Event", "push"), ("X-GitHub-Event", "push")], {"commits": [{"added": ["a"]}]}, []),
        ([("X-Gitlab-Event", "Tag Push Hook")], {"commits": [{"added": ["a"]}]}, []),
        ([("X-Gitea-Event", "issues")], {"commits": []}, []),
        ([("X-Gitea-Event", "push")], {"commits": []}, ["*"]),
        ([("X-Gitea-Event", "push")], {"commits": {}}, []),
        ([("X-Forgejo-Event", "push")], {"commits": [{}]}, ["*"]),
        ([], {"commits": [{"added": ["a"]}]}, []),
        ([EVENTS["github"]], {"commits": "a"}, []),
        ([EVENTS["github"]], {"commits": [{"added": ["a"]}], "path": "b"}, ["a"]),
        ([EVENTS["github"]], {"commits": [], "path": "b"}, ["b"]),
        ([EVENTS["gitlab"]], {"commits": [{"added": ["a"]}], "path": "b"}, ["b"]),
        ([EVENTS["gitlab"]], {"commits": [{"added": ["a"]}], "path": []}, []),
        ([EVENTS["gitlab"]], {"commits": [{"added": ["a"]}], "path": {}}, ["a"]),
        ([EVENTS["gitea"], EVENTS["gogs"], EVENTS["github"]], {"commits": [{"added": ["a"]}]}, ["a"]),
        ([EVENTS["gitea"], EVENTS["gogs"]], {"commits": [{"added": ["a"]}]}, ["*"]),
        ([EVENTS["bitbucket"]], {"push": {"changes": []}}, []),
        ([EVENTS["bitbucket"], ("X-Request-Id", "r")], {"push": {"changes": []}}, []),
        ([EVENTS["bitbucket"], ("X-Hook-UUID", "u")], {"push": [], "changes": []}, []),
        ([("X-Event-Key", "repo:fork"), ("X-Hook-UUID", "u")], {"push": {"changes": []}}, []),
        ([("X-Event-Key", "repo:refs_changed"), ("X-Request-Id", "r")], {}, []),
        ([("X-Event-Key", "repo:refs_changed"), ("X-Hook-UUID", "u")], {"changes": []}, []),
        ([("X-Event-Key", "pr:merged")], {"changes": []}, []),
        ([("X-Event-Key", "pr:merged"), ("X-Hook-UUID", "u")], {}, []),
    ],
    ids=str,
)  # fmt: skip
def test_senders_are_asked_in_spring_s_order(fields, content, expected):
    """GitHub, then a `path`, then the others; what fits no sender is about nothing."""
    request = delivery(*fields, body=json.dumps(content).encode())
    assert expected == applications_of(request)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("path=a&path=b,c", ["a", "b", "c"]),
        ("path=a%2C+b.yml,%C3%BC", ["a", "b", "ü"]),
        ("x=1&path=a&payload=%7B%7D", ["a"]),
        ("path=&path=a", ["a"]),
    ],
)
def test_a_form_is_a_list_of_paths(text, expected):
    """Of one field or several, by commas."""
    assert expected == applications_of(form(text))


def test_the_query_is_not_read():
    """No one signs it."""
    request = form("path=a")._replace(query="path=b")
    assert applications_of(request) == ["a"]


PATH_RULE = "path: expected the path of a file, without '*' or '..'"


@pytest.mark.parametrize("path", ["*", "*.yml", "a,*", "../orders.yml", "a/../b", "..", "..\\a", "a..b"])  # fmt: skip
def test_a_path_that_no_file_has_is_refused(path):
    """In a form and in JSON."""
    items = path.split(",")
    for request in (form(f"path={path}"), delivery(body=json.dumps({"path": items}).encode())):  # fmt: skip
        with pytest.raises(InvalidRequest) as caught:
            applications_of(request)
        assert str(caught.value) == PATH_RULE


def test_a_dotted_file_of_a_commit_refuses_nothing():
    """Someone else's file does not stop a push."""
    assert applications_of(github(added=["a..b.md", "c.yml"])) == ["a..b", "c"]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (form("paths=a"), "path: expected a form with this field"),
        (form(""), "path: expected a form with this field"),
        (form("path=%FF"), "body: expected a form of at most 1000 fields in UTF-8"),
        (form("path=\xff"), "body: expected a form of at most 1000 fields in UTF-8"),
        (form("&" * 1000), "body: expected a form of at most 1000 fields in UTF-8"),
        (delivery(body=b""), "body: expected a map at the top at line 1, column 1"),
        (delivery(body=b'{"path": NaN}'), "body: expected a value at line 1, column 10"),
        (delivery(body=b'{"a":' * 60), "body: nested more than 50 deep at line 1, column 251"),
        (delivery(body=b'{"path": "\xff"}'), "body: expected UTF-8"),
        (delivery(body='{"path": "a"}'.encode("utf-16")), "body: expected UTF-8"),
        (delivery(body=b'{"path": [1]}'), "path: expected a list of texts"),
        (delivery(EVENTS["github"], body=b'{"commits": [1]}'), "commits: expected a list of maps"),
        (delivery(EVENTS["github"], body=b'{"commits": [null]}'), "commits: expected a list of maps"),
        (github(added="a"), "added: expected a list of texts"),
        (github(removed=[{}]), "removed: expected a list of texts"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)  # fmt: skip
def test_a_broken_body_is_refused(request_, expected):
    """With the place of the fault, and without its content."""
    with pytest.raises(InvalidRequest) as caught:
        applications_of(request_)
    assert str(caught.value) == expected


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON ; charset=utf-8", "application/vnd.github+json"])  # fmt: skip
def test_json_has_many_names(content_type):
    """Upper case, parameters and a suffix; a byte-order mark is skipped."""
    request = delivery(body=b'\xef\xbb\xbf{"path": "a"}', content_type=content_type)
    assert applications_of(request) == ["a"]


@pytest.mark.parametrize("content_type", ["", "text/json", "application/+json", "application/yaml", "application/jsonx", "multipart/form-data", "json"])  # fmt: skip
def test_other_types_are_unsupported(content_type):
    """Neither guessed nor read."""
    with pytest.raises(UnsupportedMedia) as caught:
        applications_of(delivery(body=b'{"path": "a"}', content_type=content_type))
    assert str(caught.value) == "expected a body of application/json, or a form"


def test_github_s_form_says_what_to_change():
    """GitHub can send its JSON inside of a form, which Spring does not read either."""
    with pytest.raises(UnsupportedMedia) as caught:
        applications_of(form("payload=%7B%7D"))
    assert str(caught.value) == "expected a webhook with content type application/json"
