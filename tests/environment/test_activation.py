"""activation: when a document counts, and which profiles it brings along."""

import json
from pathlib import Path

import pytest

from pyconfserve.environment import activation, formats
from pyconfserve.environment.formats.document import Document, Entry
from pyconfserve.errors import DocumentError

RECORDED = Path(__file__).parents[1] / "cases" / "spring"

ON_PROFILE = "spring.config.activate.on-profile"
ON_CLOUD = "spring.config.activate.on-cloud-platform"
INCLUDE = "spring.profiles.include"
GROUP = "spring.profiles.group"

LACKS = "a profile expression lacks a name"
MIXES = "a profile expression mixes & and | without parentheses"
OPEN = "a profile expression does not close its parenthesis"
TOO_MANY = "a profile expression has a part too many"
TOO_DEEP = "a profile expression is nested too deep"
LENGTH = "expected a profile expression of 1 to 1024 characters"


def document(**flat):
    """A document of flat properties, each written at line 3, column 7."""
    return Document({key: Entry(value, 3, 7) for key, value in flat.items()})


@pytest.mark.parametrize(
    ("entries", "profiles", "active"),
    [
        pytest.param({}, ["default"], True, id="empty"),
        pytest.param({"a": 1}, [], True, id="no condition"),
        pytest.param({ON_PROFILE: "prod"}, ["prod"], True, id="its profile"),
        pytest.param({ON_PROFILE: "prod"}, ["eu", "prod"], True, id="one of the profiles"),
        pytest.param({ON_PROFILE: "prod"}, ["dev"], False, id="another profile"),
        pytest.param({ON_PROFILE: "prod"}, [], False, id="no profile"),
        pytest.param({ON_PROFILE: "prod"}, ["PROD"], False, id="case counts"),
        pytest.param({ON_PROFILE: "dev, prod"}, ["prod"], True, id="any of a comma list"),
        pytest.param({ON_PROFILE: "dev,,prod,"}, ["eu"], False, id="none of a comma list"),
        pytest.param({ON_PROFILE: "!dev,prod"}, ["prod", "dev"], True, id="a comma is an or"),
        pytest.param({f"{ON_PROFILE}[0]": "dev", f"{ON_PROFILE}[1]": "a & b"}, ["a", "b"], True, id="any of a list"),
        pytest.param({f"{ON_PROFILE}[0]": "dev", f"{ON_PROFILE}[1]": "a & b"}, ["a"], False, id="none of a list"),
        pytest.param({ON_PROFILE: ""}, ["prod"], True, id="an empty condition"),
        pytest.param({ON_PROFILE: True}, ["true"], True, id="a boolean is its text in YAML"),
        pytest.param({ON_PROFILE: 17}, ["17"], True, id="so is a number"),
        pytest.param({f"{ON_PROFILE}-too": "dev"}, ["prod"], True, id="a longer key is another"),
        pytest.param({f"{ON_PROFILE}.x": "dev"}, ["prod"], True, id="a key below is another"),
        pytest.param({ON_CLOUD: "kubernetes"}, ["kubernetes"], False, id="cloud platform"),
        pytest.param({ON_CLOUD: "kubernetes", ON_PROFILE: "prod"}, ["prod"], False, id="cloud platform and profile"),
        pytest.param({INCLUDE: "x", "spring.profiles.active": "dev"}, ["prod"], True, id="profile keys of today"),
    ],
)
def test_a_document_is_active(entries, profiles, active):
    """Any item of on-profile activates; a cloud platform never does."""
    assert active is activation.is_active(document(**entries), profiles)


@pytest.mark.parametrize("key", ["spring.profiles", "spring.profiles[0]"])
def test_the_legacy_key_is_refused(key):
    """Spring refuses `spring.profiles` since 3.0, and so is it here."""
    with pytest.raises(DocumentError) as caught:
        activation.is_active(document(**{"a": 1, key: "prod"}), ["prod"])
    assert f"3:7: {key} is no longer read: use {ON_PROFILE}" == str(caught.value)


@pytest.mark.parametrize("expression", ["a & b | c", "prod, (dev"])
def test_a_malformed_condition_is_an_error_whoever_asks(expression):
    """Also when another item of the list matches already."""
    problem = MIXES if "|" in expression else OPEN
    for profiles in (["prod"], []):
        with pytest.raises(DocumentError) as caught:
            activation.is_active(document(**{ON_PROFILE: expression}), profiles)
        assert f"3:7: {problem}" == str(caught.value)


@pytest.mark.parametrize("profile", ["default", "prod"])
def test_recorded_documents(profile):
    """The documents of a file that count are those that Spring counted."""
    cases = json.loads((RECORDED / "properties-types.json").read_text("utf-8"))["cases"]
    (case,) = (case for case in cases if case["target"] == f"/multidoc/{profile}")
    stored = RECORDED / "fixtures" / "properties-types" / "multidoc.properties"
    documents = formats.parse(stored.read_bytes(), "properties", "latin-1")
    active = [
        {key: entry.value for key, entry in part.entries.items()}
        for part in reversed(documents)
        if activation.is_active(part, [profile])
    ]
    assert [source["source"] for source in json.loads(case["body"])["propertySources"]] == active


@pytest.mark.parametrize(
    ("expression", "profiles", "holds"),
    [
        ("a", "a", True),
        ("a", "b", False),
        (" a ", "a", True),
        ("!a", "b", True),
        ("!a", "a", False),
        ("! a", "", True),
        ("!!a", "a", True),
        ("a & b", "a b", True),
        ("a & b", "a", False),
        ("a&b&c", "a b c", True),
        ("a&b&c", "a b", False),
        ("a | b", "b", True),
        ("a | b | c", "c", True),
        ("a|b|c", "d", False),
        ("(a)", "a", True),
        ("((a))", "a", True),
        ("(a | b) & !c", "a", True),
        ("(a | b) & !c", "a c", False),
        ("(a & b) | c", "c", True),
        ("(a & b) | (c & d)", "c d", True),
        ("(a & b) | (c & d)", "a c", False),
        ("!(a | b)", "c", True),
        ("!(a & b)", "a b", False),
        ("!a & !b", "c", True),
        ("a\t&\nb", "a b", True),
        ("eu-west.1_x", "eu-west.1_x", True),
        ("!" * 32 + "a", "a", True),
        ("(" * 32 + "a" + ")" * 32, "a", True),
        ("a" * 1024, "a" * 1024, True),
    ],
)
def test_an_expression_holds(expression, profiles, holds):
    """`!`, `&`, `|` and parentheses as Spring reads them."""
    assert holds is activation.matches(expression, profiles.split())


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("", LENGTH),
        (" \t", LENGTH),
        ("a" * 1025, LENGTH),
        ("a & b | c", MIXES),
        ("a | b & c", MIXES),
        ("(a & b | c)", MIXES),
        ("a | (b | c) & d", MIXES),
        ("!", LACKS),
        ("a &", LACKS),
        ("a & & b", LACKS),
        ("& a", LACKS),
        ("| a", LACKS),
        ("a || b", LACKS),
        ("()", LACKS),
        ("a & ()", LACKS),
        (")", LACKS),
        ("(a", OPEN),
        ("((a)", OPEN),
        ("(a b)", OPEN),
        ("(a !b)", OPEN),
        ("a b", TOO_MANY),
        ("a)", TOO_MANY),
        ("a (b)", TOO_MANY),
        ("a !b", TOO_MANY),
        ("!" * 33 + "a", TOO_DEEP),
        ("(" * 33 + "a" + ")" * 33, TOO_DEEP),
        ("(" * 1024, TOO_DEEP),
    ],
)
def test_a_malformed_expression(expression, problem):
    """What Spring refuses, and what nests without end, is a ValueError."""
    with pytest.raises(ValueError, match=r".") as caught:
        activation.matches(expression, ["a"])
    assert problem == str(caught.value)


@pytest.mark.parametrize(
    ("profiles", "documents", "extended"),
    [
        pytest.param(["prod"], [], ("prod",), id="nothing"),
        pytest.param(["prod"], [{"a": 1}], ("prod",), id="no key"),
        pytest.param(["prod"], [{INCLUDE: "audit"}], ("prod", "audit"), id="include"),
        pytest.param(["prod"], [{INCLUDE: "a, b,"}], ("prod", "a", "b"), id="include a comma list"),
        pytest.param(["prod"], [{f"{INCLUDE}[0]": "a", f"{INCLUDE}[1]": "b"}], ("prod", "a", "b"), id="include a list"),
        pytest.param(["prod"], [{INCLUDE: "a"}, {INCLUDE: "b"}], ("prod", "a", "b"), id="two documents"),
        pytest.param(["prod", "a"], [{INCLUDE: "b,a,prod"}], ("prod", "a", "b"), id="nothing twice"),
        pytest.param(["prod"], [{INCLUDE: ""}], ("prod",), id="an empty include"),
        pytest.param(["prod"], [{INCLUDE: True}], ("prod", "true"), id="a boolean is its text in YAML"),
        pytest.param(["prod"], [{f"{INCLUDE}s": "a", f"{INCLUDE}.b": "c"}], ("prod",), id="another key"),
        pytest.param(["default"], [{INCLUDE: "a"}], ("default",), id="default alone includes nothing"),
        pytest.param(["default", "prod"], [{INCLUDE: "a"}], ("default", "prod", "a"), id="default and another"),
        pytest.param(["prod"], [{f"{GROUP}.prod": "a,b"}], ("prod", "a", "b"), id="group"),
        pytest.param(["prod"], [{f"{GROUP}.dev": "a,b"}], ("prod",), id="another group"),
        pytest.param(
            ["prod", "eu"], [{f"{GROUP}.prod[0]": "a", f"{GROUP}.prod[1]": "b"}], ("prod", "a", "b", "eu"), id="members follow"
        ),
        pytest.param(["prod"], [{f"{GROUP}.prod": "a,b", f"{GROUP}.a": "c"}], ("prod", "a", "c", "b"), id="groups nest"),
        pytest.param(["a"], [{f"{GROUP}.a": "b", f"{GROUP}.b": "a"}], ("a", "b"), id="groups in a circle"),
        pytest.param(["prod"], [{INCLUDE: "a", f"{GROUP}.a": "b"}], ("prod", "a", "b"), id="an included group"),
        pytest.param(["prod"], [{f"{GROUP}.prod": "a"}, {f"{GROUP}.prod": "b"}], ("prod", "a", "b"), id="one group, two documents"),
        pytest.param(["prod"], [{ON_PROFILE: "prod", INCLUDE: "a"}, {INCLUDE: "b"}], ("prod", "b"), id="conditional"),
        pytest.param(["prod"], [{f"{ON_PROFILE}[0]": "prod", f"{GROUP}.prod": "a"}], ("prod",), id="conditional group"),
        pytest.param(["prod"], [{ON_CLOUD: "kubernetes", INCLUDE: "a"}], ("prod",), id="cloud platform"),
        pytest.param([str(n) for n in range(31)], [{INCLUDE: "a"}], (*map(str, range(31)), "a"), id="as many as may be"),
    ],
)
def test_profiles_are_extended(profiles, documents, extended):
    """Included profiles come after the asked ones, members right after their group."""
    assert extended == activation.extend_profiles(profiles, [document(**entries) for entries in documents])


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ({INCLUDE: "-x"}, f"3:7: {INCLUDE} does not name a profile"),
        ({f"{INCLUDE}[0]": "../x"}, f"3:7: {INCLUDE}[0] does not name a profile"),
        ({f"{GROUP}.dev": "${{x}}"}, f"3:7: {GROUP}.dev does not name a profile"),
        (
            {INCLUDE: ",".join(f"p{n}" for n in range(32))},
            "includes and groups lead to more than 32 profiles",
        ),
    ],
    ids=["include", "include in a list", "group", "too many"],
)
def test_profiles_that_cannot_be_extended(entries, problem):
    """What is brought along is judged like what is asked, and bounded."""
    with pytest.raises(DocumentError) as caught:
        activation.extend_profiles(["prod"], [document(**entries)])
    assert problem == str(caught.value)
