"""yaml_lines: plain lines of YAML, read as PyYAML's events are, or not at all."""

import random

import pytest

from pyconfserve.environment.formats import yaml_events
from pyconfserve.environment.formats.document import DEEPEST, LONGEST_KEY, make_document
from pyconfserve.environment.formats.yaml_lines import read_lines
from pyconfserve.errors import DocumentError


def shown(entries):
    """Entries with the types of their values: True is no 1, nan is itself."""
    return [(key, type(one.value), repr(one.value), one.line, one.column) for key, one in entries.items()]  # fmt: skip


def by_events(text):
    """What yaml_events reads in a text of one document; None for what it refuses."""
    try:
        documents = yaml_events.parse(text)
    except DocumentError:
        return None
    return shown(documents[0].entries) if len(documents) == 1 else None


def by_lines(text):
    """What yaml_lines reads; None for what it leaves."""
    entries = read_lines(text)
    return None if entries is None else shown(make_document(entries).entries)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a: 1", {"a": 1}),
        ("a: 1\nb: x y\n", {"a": 1, "b": "x y"}),
        ("a:\n  b:\n    c: 1\n  d: 2\ne: 3\n", {"a.b.c": 1, "a.d": 2, "e": 3}),
        ("a.b: 1\na:\n  b: 2\n", {"a.b": 2}),
        ("\n# é\na: 1 # one\n\n  # two\nb:   # three\n c: 2  \n", {"a": 1, "b.c": 2}),
        ("a: 1\r\nb:\r\n  c: 2\r\n", {"a": 1, "b.c": 2}),
        ("a: ''\nb: \"x # 'y' \"\nc: 'x: \"y\"'\n", {"a": "", "b": "x # 'y' ", "c": 'x: "y"'}),
        ("a: yes\nb: ~\nc: 017\nd: 0x1F\ne: 1.5\nf: -5\ng: 1:30", {"a": True, "b": None, "c": 15, "d": 31, "e": 1.5, "f": -5, "g": 90}),
        ("a: http://x:80/y#z\nb: ${a:b}\nc: a, b [c] {d}\nd: -x\ne: +y\nf: ü  ß", {"a": "http://x:80/y#z", "b": "${a:b}", "c": "a, b [c] {d}", "d": "-x", "e": "+y", "f": "ü  ß"}),
    ],
)  # fmt: skip
def test_plain_lines_are_read(text, values):
    """Flat, with their types and places."""
    assert values == {key: entry.value for key, entry in read_lines(text).items()}
    assert by_events(text) == by_lines(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "# a", "a", "a:", "a:\nb: 1", "a:\n", "- a", "a:\n  - b", "a: b: c",
        "a: b:", "a: [b]", "a: {b: c}", "a: |\n  b", "a: >\n  b", "a: &b c", "a: *b", "a: !!str b",
        "a: 'b\n  c'", 'a: "b\\n"', "a: 'b''c'", "a: b\n  c", "a: b\n  c: d", "a: 1\na: 2",
        "a:\n  b: 1\n  b: 2", "a:\n  b: 1\n c: 2", " a: 1", "a: 1\n b: 2", "yes: 1", "null: 1",
        "1: 2", "'a': 1", "? a\n: b", "a : 1", "a:1", "<<: 1", "---\na: 1", "a: 1\n---\nb: 2", "a: 1\n...",
        "%YAML 1.1\n---\na: 1", "a:\t1", "\ta: 1", "a: b\tc", "a: b\x00", "a: b\x85c", "a: b\u2028c", "a: \ufeffb",
        "a: # b", "a: @b", "a: `b", "a: %b", "a: ,b", "a: ]b", "a: }b", "a: ? b", "a: - b", "a: -", "a\u00e9: 1", "a: \U0001f600",
        f"a: {'9' * 400}", f"{'a' * (LONGEST_KEY + 1)}: 1", "a: 1\n" * 60_000,
        "\n".join(f"{' ' * deep}a:" for deep in range(DEEPEST)) + f"\n{' ' * DEEPEST}a: 1",
    ],
)  # fmt: skip
def test_all_else_is_left(text):
    """To yaml_events, which knows what it means or what is wrong with it."""
    assert read_lines(text) is None


def test_as_deep_as_maps_may_be():
    """And one deeper is left, for its error."""
    levels = [f"{' ' * deep}a:" for deep in range(DEEPEST - 1)]
    text = "\n".join([*levels, f"{' ' * (DEEPEST - 1)}a: 1"])
    assert by_events(text) == by_lines(text) is not None
    assert by_events(f"b:\n {text}".replace("\n", "\n ")) is None
    assert by_lines(f"b:\n {text}".replace("\n", "\n ")) is None


KEYS = ["a", "b", "c", "a.b", "k1", "c-d", "_x", "x-", "a.b.c", "Yes", "on"]
VALUES = ["1", "x y", "'q'", '"d"', "a:b", "a#c", "-x", "--", "null", "~", "é", "'a'b", "x  y  ", "x'y", "0777", "1_000", "12:30:45", ".inf", "+.inf", "a,b", "[1]", "(x)", "${a:b}",
          "2024-01-01", "true", "1e3", "''", '""', "a #", "a # b: c", "::a", "a::b", "=", "-", "- a", "a]", "<<", "---", "...", "\xa0", "“a”", "a\\n", '"a\\n"', "x: y", "a:", "@a", "a@b", "*a", "!a", "|", "a|", ">", "09", "1e400", "é" * 70, "9" * 400]  # fmt: skip
LINES = ["", "  ", "# c", " # c: d", "---", "...", "x", "- a", "'a': b", "\t", "a : b", "? a", "  a: 1", "a: b"]  # fmt: skip


def block(chance, indent, depth):
    """The lines of a map, some of which are none."""
    lines = []
    for key in chance.sample(KEYS, chance.randint(1, 3)):
        if chance.random() < 0.08:
            lines.append(chance.choice(LINES))
        if depth < 4 and chance.random() < 0.35:
            lines.append(" " * indent + key + ":" + chance.choice(["", "", " ", " # c", " #c"]))
            lines += block(chance, indent + chance.choice((1, 2, 2, 4)), depth + 1)
        else:
            blanks, end = chance.choice([" ", " ", "  "]), chance.choice(["", "", "", " ", " # c", "#"])
            lines.append(" " * indent + key + ":" + blanks + chance.choice(VALUES) + end)
    return lines  # fmt: skip


def test_what_is_read_is_what_events_give():
    """For ten thousand texts by chance, of which it reads many: never another value."""
    chance, read = random.Random(9), 0
    for _ in range(10_000):
        end = chance.choice(["\n", "\n", "\n", "\r\n"])
        text = end.join(block(chance, 0, 0)) + chance.choice(["", end, "  "])
        lines = by_lines(text)
        if lines is not None:
            read += 1
            assert lines == by_events(text), text
    assert read > 1500
