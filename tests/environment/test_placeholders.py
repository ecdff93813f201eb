"""placeholders: `${name:default}` in texts."""

import pytest

from pyconfserve.environment.placeholders import PlaceholderError, fill

VALUES = {
    "a": "1",
    "empty": "",
    "name": "a",
    "nested": "<${a}>",
    "twice": "${nested}${nested}",
    "escaped": r"\${a}",
    "x:y": "with colon",
    "x": "without colon",
    "missing": "${absent}",
    "with.default": "${absent:d}",
    "brace": "}",
    "itself": "${itself}",
    "by default": "${absent:${by default}}",
    "one": "${two}",
    "two": "${one:1}",
}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("", ""),
        ("plain", "plain"),
        ("$a {a} $", "$a {a} $"),
        ("${a}", "1"),
        ("<${a}>", "<1>"),
        ("${a}${a} ${a}", "11 1"),
        ("${empty}", ""),
        ("${a:2}", "1"),
        ("${absent:2}", "2"),
        ("${absent:}", ""),
        ("${empty:2}", ""),
        ("${absent:a:b}", "a:b"),
        ("${absent:http://h:1/}", "http://h:1/"),
        ("${absent:{b}}", "{b}"),
        ("${absent:{}{}}", "{}{}"),
        ("${nested}", "<1>"),
        ("${twice}", "<1><1>"),
        ("${absent:${a}}", "1"),
        ("${absent:${other:${a}}}", "1"),
        ("${absent:<${other:d}>}", "<d>"),
        ("${${name}}", "1"),
        ("${${absent:a}}", "1"),
        ("${x:y}", "with colon"),
        ("${x:z}", "without colon"),
        ("${with.default}", "d"),
        ("${brace}", "}"),
    ],
)
def test_a_placeholder_is_filled_in(text, filled):
    """Its value, filled in itself, else the default after the first colon."""
    assert filled == fill(text, VALUES.get)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${absent}", "${absent}"),
        ("${}", "${}"),
        ("${absent}-${a}", "${absent}-1"),
        ("${missing}", "${absent}"),
        ("${a", "${a"),
        ("${a} ${", "1 ${"),
        ("${a{}", "${a{}"),
        ("${absent:${a}", "${absent:${a}"),
    ],
)
def test_what_means_nothing_stays_as_it_stands(text, filled):
    """No name, no value, or no end."""
    assert filled == fill(text, VALUES.get)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        (r"\${a}", "${a}"),
        (r"\${a} ${a}", "${a} 1"),
        (r"${a}\${a}\${", "1${a}${"),
        ("${escaped}", "${a}"),
    ],
)
def test_a_backslash_makes_it_plain_text(text, filled):
    r"""`\${` stands for `${`."""
    assert filled == fill(text, VALUES.get)


@pytest.mark.parametrize(
    "text", ["${itself}", "${by default}", "${one}", "${two:x}", "${${itself}}"]
)
def test_a_circle_is_an_error(text):
    """Also where a default would end it."""
    with pytest.raises(PlaceholderError) as caught:
        fill(text, VALUES.get)
    assert str(caught.value) == "a placeholder leads back to itself"


def test_names_are_no_circle_by_themselves():
    """The same name twice, side by side or in its own default, is none."""
    assert fill("${a} ${a:${a}} ${b:\\${a}}", {"a": "1"}.get) == "1 1 ${a}"


def test_depth_has_a_limit():
    """Nested braces and chains of values alike."""
    deep = "${" * 40 + "a" + "}" * 40
    chain = {str(number): f"${{{number + 1}}}" for number in range(40)}
    for text, values in ((deep, {}), ("${0}", chain)):
        with pytest.raises(PlaceholderError) as caught:
            fill(text, values.get)
        assert str(caught.value) == "placeholders are nested too deep"


def test_length_has_a_limit():
    """A few levels that each make ten of one end early."""
    values = {str(number): f"${{{number + 1}}}" * 10 for number in range(4)} | {
        "4": "x" * 1024
    }
    with pytest.raises(PlaceholderError) as caught:
        fill("${0}", values.get)
    assert str(caught.value) == "placeholders lead to a text without end"


def test_work_has_a_limit():
    """Also where all of them lead to nothing: ten levels of ten are 10^10 look-ups."""
    values = {str(number): f"${{{number + 1}}}" * 10 for number in range(10)} | {
        "10": ""
    }
    asked = []

    def find(name):
        asked.append(name)
        if len(asked) > 100_000:
            raise LookupError("still going on")
        return values[name]

    with pytest.raises(PlaceholderError):
        fill("${0}", find)


def test_an_error_does_not_quote_what_it_read():
    """Names and values of an environment may be secrets."""
    with pytest.raises(PlaceholderError) as caught:
        fill("${secret}", {"secret": "${secret}"}.get)
    assert "secret" not in str(caught.value)
