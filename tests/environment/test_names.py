"""names: what may be the name of an application, a profile, a label or a path."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from pyconfserve.environment import names
from pyconfserve.errors import InvalidRequest, PathEscapes

CASES = Path(__file__).parents[1] / "cases"
LABELS = json.loads((CASES / "labels.json").read_text("utf-8"))
TARGETS = json.loads((CASES / "paths.json").read_text("utf-8"))

BAD_APPLICATION = (
    "application: expected letters, digits and -_.+@~,"
    " beginning and ending with a letter, a digit, _ or ~"
)
BAD_PROFILE = (
    "profile: expected letters, digits and -_.+@~,"
    " beginning and ending with a letter or a digit"
)
BAD_LABEL = "label: expected the name of a branch or a tag, without revision syntax"
BAD_PART = "label: a part is empty, begins with a dot or ends with .lock"
BAD_PATH = "path: a segment holds a character that no path may hold"
ESCAPES = "path: a segment holds '..', a slash, an escape or a control byte"


def refusal(validate, *arguments):
    """The type and the whole message of the error that *validate* raises."""
    with pytest.raises(InvalidRequest) as caught:
        validate(*arguments)
    return type(caught.value), str(caught.value)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("orders", "orders"),
        ("caf%C3%A9", "café"),
        ("café", "café"),
        ("a%20b", "a b"),
        ("%28_%29", "(_)"),
        ("", ""),
        (".git", ".git"),
    ],
)
def test_a_segment_is_decoded_once(raw, text):
    """A segment becomes its text; whether that is a name is judged later."""
    assert text == names.decode_segment(raw)


@pytest.mark.parametrize(
    "raw",
    [".", "%2e", "..", "...", "a..b", "%2e%2E", "a%2Fb", "a/b", "a%5Cb", "a\\b", "%252e", "%23", "%3B", "%3F", "%00", "%1f", "%7f", "a%0Ab", "a\nb"],
)
def test_a_segment_that_could_reach_another_file_escapes(raw):
    """Slashes, dots, second escapes and control bytes are refused after decoding."""
    assert (PathEscapes, ESCAPES) == refusal(names.decode_segment, raw)


@pytest.mark.parametrize("raw", ["%", "%2", "%zz", "a%2 b", "%u002e"])
def test_a_broken_escape_is_refused(raw):
    """A percent sign without two hex digits is no segment."""
    problem = "path: a percent sign is followed by two hex digits"
    assert (InvalidRequest, problem) == refusal(names.decode_segment, raw)


@pytest.mark.parametrize("raw", ["%ff", "%c0%ae", "%e0%80%ae", "%ed%a0%80", "%F5%80%80%80", "%41\ud800"])
def test_a_segment_that_is_not_utf8_is_refused(raw):
    """Overlong forms, surrogates and stray bytes are not decoded."""
    problem = "path: the decoded bytes are not UTF-8"
    assert (InvalidRequest, problem) == refusal(names.decode_segment, raw)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("orders", "orders"),
        ("a", "a"),
        ("order-service_2.1+x@y~", "order-service_2.1+x@y~"),
        ("_hidden_", "_hidden_"),
        ("~home", "~home"),
        (" two words ", "two words"),
        ("team(_)orders", "team/orders"),
        ("team(_)a(_)b", "team/a/b"),
        ("café", "café"),
        ("заказы", "заказы"),
        ("注文2", "注文2"),
        ("x" * 255, "x" * 255),
    ],
)
def test_an_application_is_canonical(text, name):
    """Outer blanks go, `(_)` becomes a slash, everything else stays."""
    assert name == names.application(text)


@pytest.mark.parametrize(
    "text",
    ["-a", "a-", ".a", "a.", "+a", "a+", "@", "a*", "{a}", "a:b", "a\tb", "a\n", "a'b", 'a"', "a<b", "a;b", "(_)a", "a(_)", "a(_)(_)b", "a(_).b", "a.(_)b", "a(_) b", "a=b", "a&b", "a$b", "a‥b", "a\x85"],
)
def test_an_application_with_other_characters_is_refused(text):
    """What is not a letter, a digit or one of -_.+@~ never gets through."""
    assert (InvalidRequest, BAD_APPLICATION) == refusal(names.application, text)


@pytest.mark.parametrize("text", ["", " ", "x" * 256, "é" * 128])
def test_a_name_has_1_to_255_bytes(text):
    """The length is counted in UTF-8, after the outer blanks are gone."""
    expected = InvalidRequest, "application: expected 1 to 255 bytes"
    assert expected == refusal(names.application, text)


@pytest.mark.parametrize(
    ("validate", "field"),
    [(names.application, "application"), (names.profile, "profile"), (names.label, "label")],
)
def test_two_dots_escape(validate, field):
    """`..` is refused in every name, wherever it stands."""
    assert (PathEscapes, f"{field}: '..' is not allowed") == refusal(validate, "a..b")


@pytest.mark.parametrize(
    ("validate", "field"),
    [(names.application, "application"), (names.profile, "profile"), (names.label, "label")],
)
def test_a_lone_surrogate_is_refused(validate, field):
    """Text that UTF-8 cannot hold is no name."""
    expected = InvalidRequest, f"{field}: expected text without lone surrogates"
    assert expected == refusal(validate, "a\ud800b")


@pytest.mark.parametrize(
    ("validate", "field"), [(names.application, "application"), (names.profile, "profile")]
)
def test_a_decomposed_name_is_refused(validate, field):
    """A name has one spelling: NFC."""
    expected = InvalidRequest, f"{field}: expected Unicode in composed form (NFC)"
    assert expected == refusal(validate, "cafe\u0301")


@pytest.mark.parametrize("text", ["default", "prod", "p", "eu-west.1", "a_b+c@d~e", "é", "9"])
def test_a_profile_stays_as_it_is(text):
    """A well-formed profile is its own canonical form."""
    assert text == names.profile(text)


@pytest.mark.parametrize(
    "text",
    ["-x", "x-", "_x", "x_", "~x", "x~", "a b", " a", "a ", "a(_)b", "a/b", "!a", "a*", "${x}", "x\n"],
)
def test_a_profile_with_other_characters_is_refused(text):
    """A profile has no blanks and begins and ends with a letter or a digit."""
    assert (InvalidRequest, BAD_PROFILE) == refusal(names.profile, text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("main", "main"),
        ("release-1.0", "release-1.0"),
        ("feature(_)x", "feature/x"),
        ("feature/x", "feature/x"),
        ("a@b", "a@b"),
        ("_x", "_x"),
        ("a{b}", "a{b}"),
        ("a!b$c&d'e(f)", "a!b$c&d'e(f)"),
        ("cafe\u0301", "cafe\u0301"),
    ],
)
def test_a_label_is_what_git_allows(text, name):
    """The name of a branch or a tag, with `(_)` for its slashes."""
    assert name == names.label(text)


@pytest.mark.parametrize(
    "text",
    ["-u", "--", "@", "a b", "a\tb", "a\x00b", "a\x7fb", "a~1", "a^", "a:b", "a?b", "a*", "a[b", "a\\b", "a@{b", "a//b", "a.", "a#b", "a%b", "a;b", "a\n", "main.\n"],
)
def test_a_label_that_git_refuses_is_refused(text):
    """Revision syntax, options, globs and escapes are no labels."""
    assert (InvalidRequest, BAD_LABEL) == refusal(names.label, text)


@pytest.mark.parametrize("text", [".a", "a/.b", "a.lock", "a.lock/b", "/a", "a/", "(_)a"])
def test_each_part_of_a_label_is_judged(text):
    """No part is empty, begins with a dot or ends with .lock."""
    assert (InvalidRequest, BAD_PART) == refusal(names.label, text)


@pytest.mark.parametrize("row", LABELS, ids=[str(row["label"])[:40] for row in LABELS])
def test_recorded_labels(row):
    """Labels that attacked others are refused; the rest keeps its text."""
    meant = row["label"] if not row["label"].startswith("<") else "0123456789abcdef" * 2 + "01234567"
    raw = quote(meant.replace("/", "(_)"), safe="")
    if row["require"] == "400" or "%" in meant:
        with pytest.raises(InvalidRequest):
            names.labels(names.decode_segment(raw))
    else:
        assert (meant.replace("(_)", "/"),) == names.labels(names.decode_segment(raw))


@pytest.mark.parametrize(
    ("split", "text", "items"),
    [
        (names.applications, "orders", ("orders",)),
        (names.applications, "a,b(_)c", ("a", "b/c")),
        (names.applications, " a , ,b,", ("a", "b")),
        (names.applications, "b,a,b", ("b", "a", "b")),
        (names.profiles, "prod,eu", ("prod", "eu")),
        (names.labels, "v1,feature(_)x", ("v1", "feature/x")),
        (names.labels, ",v1, ,", ("v1",)),
        (names.applications, ",".join("a" * 32), tuple("a" * 32)),
    ],
)
def test_a_list_keeps_its_order(split, text, items):
    """A comma list gives canonical items; empty ones go where that is allowed."""
    assert items == split(text)


@pytest.mark.parametrize(
    ("split", "text", "problem"),
    [
        (names.applications, ",".join("a" * 33), "application: expected 1 to 32 names"),
        (names.applications, ",", "application: expected 1 to 32 names"),
        (names.applications, "", "application: expected 1 to 32 names"),
        (names.labels, " , ", "label: expected 1 to 32 names"),
        (names.labels, " main", BAD_LABEL),
        (names.profiles, ",".join("a" * 33), "profile: expected 1 to 32 names"),
        (names.profiles, "prod,", "profile: expected 1 to 255 bytes"),
        (names.profiles, "", "profile: expected 1 to 255 bytes"),
        (names.profiles, "prod, eu", BAD_PROFILE),
    ],
)
def test_a_list_that_is_refused(split, text, problem):
    """Too many, none at all, an empty profile and any bad item refuse the list."""
    assert (InvalidRequest, problem) == refusal(split, text)


@pytest.mark.parametrize(
    ("segments", "path"),
    [
        (["logback.xml"], "logback.xml"),
        (["a b", "c,d=e&f'(g)[h]$.txt"], "a b/c,d=e&f'(g)[h]$.txt"),
        ([".git", "config"], None),
        (["a", ".env"], None),
        (["a"] * 40, "/".join("a" * 40)),
        (["-", "x-"], "-/x-"),
    ],
)
def test_a_path_joins_its_segments(segments, path):
    """A path is its segments; one that begins with a dot is absent."""
    assert path == names.path(segments)


@pytest.mark.parametrize(
    ("segments", "problem"),
    [
        ([], "path: expected 1 to 40 segments"),
        (["a"] * 41, "path: expected 1 to 40 segments"),
        (["a", ""], "path: expected 1 to 255 bytes"),
        (["a" * 256], "path: expected 1 to 255 bytes"),
        (["e\u0301"], "path: expected Unicode in composed form (NFC)"),
        (["a."], BAD_PATH),
        (["a "], BAD_PATH),
        (["a:b"], BAD_PATH),
        (["a*"], BAD_PATH),
        (["a\n"], BAD_PATH),
        (["a", "b\\c"], BAD_PATH),
        (["."], BAD_PATH),
        ([".git", "a:b"], BAD_PATH),
    ],
)
def test_a_path_that_is_refused(segments, problem):
    """Too many segments, empty ones and foreign characters are refused."""
    assert (InvalidRequest, problem) == refusal(names.path, segments)


def test_a_path_may_come_from_any_iterable():
    """Segments are read once."""
    assert names.path(iter(["a", "b"])) == "a/b"


def judge(kind, target):
    """The status that names alone give a target: 200 means well-formed."""
    raw = target.partition("?")[0].removeprefix("/").split("/")
    try:
        segments = [names.decode_segment(segment) for segment in raw]
        if "" in segments:
            return 404
        validators = (names.applications, names.profiles, names.labels)
        for validate, segment in zip(validators, segments, strict=False):
            validate(segment)
        rest = segments[3:]
        return 404 if kind == "R" and names.path(rest) is None else 200
    except InvalidRequest:
        return 400


@pytest.mark.parametrize("row", TARGETS, ids=[row["target"][:60] for row in TARGETS])
def test_recorded_targets(row):
    """Targets that attacked others are refused; what is only absent is well-formed."""
    expected = row["expect"] if isinstance(row["expect"], list) else [row["expect"]]
    allowed = [200, 404] if expected == [404] else expected
    assert judge(row["kind"], row["target"]) in allowed


@pytest.mark.parametrize(
    ("name", "reserved"),
    [("_x", True), ("actuator", True), ("actuators", False), ("orders", False), ("health", False)],
)
def test_names_of_routes_are_reserved(name, reserved):
    """`actuator` and names that begin with `_` belong to routes."""
    assert reserved is names.is_reserved(name)


def test_a_list_is_repeated_as_it_was_asked():
    """Only `(_)` is resolved in the text of an answer."""
    assert names.as_asked(" a(_)b,,c") == " a/b,,c"
