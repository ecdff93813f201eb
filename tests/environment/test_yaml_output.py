"""Block YAML as SnakeYAML writes it; the recorded files are in test_spring_answers."""

from __future__ import annotations

import random

import pytest

from pyconfserve.environment.yaml_output import Filled, write_yaml

yaml = pytest.importorskip("yaml")

LONG = "The quick brown fox jumps over the lazy dog and then the quick brown fox jumps on"


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        ({}, "{}\n"),
        ("x", "x\n"),
        ("42", "'42'\n"),
        ({"a": {"b": 1}}, "a:\n  b: 1\n"),
        ({"a": [1, [2, 3], {"b": 4, "c": [5]}]}, "a:\n- 1\n- - 2\n  - 3\n- b: 4\n  c:\n  - 5\n"),
        ([{"a": 1}], "- a: 1\n"),
        ({"a": None, "b": True, "c": False}, "a: null\nb: true\nc: false\n"),
        ({"a": [], "b": {}}, "a: []\nb: {}\n"),
        ({"a": 1e21, "b": float("inf"), "c": -float("inf"), "d": float("nan")},
         "a: 1.0E21\nb: .inf\nc: -.inf\nd: .NaN\n"),
        ({"a": "yes", "b": "089", "c": "2024-02-29", "d": "", "e": "null"},
         "a: 'yes'\nb: '089'\nc: '2024-02-29'\nd: ''\ne: 'null'\n"),
        ({"a": "0o17", "b": "2024-2-9", "c": "y"}, "a: 0o17\nb: 2024-2-9\nc: y\n"),
        ({"a": " x", "b": "x ", "c": "a: b", "d": "a # b", "e": "it's", "f": "'x'"},
         "a: ' x'\nb: 'x '\nc: 'a: b'\nd: 'a # b'\ne: it's\nf: '''x'''\n"),
        ({"a": "x\ty", "b": "x\ry", "c": 'a"\\\t'}, 'a: "x\\ty"\nb: "x\\ry"\nc: "a\\"\\\\\\t"\n'),
        ({"a": "x\ny", "b": "x\n", "c": "x\n\n", "d": " x\n"},
         "a: |-\n  x\n  y\nb: |\n  x\nc: |+\n  x\n\nd: |2\n   x\n"),
        ({"a": "x\n y "}, 'a: "x\\n y "\n'),
        ({"a": "x\ny "}, "a: 'x\n\n  y '\n"),
        ({"a": "bell\x07"}, "a: !!binary |-\n  YmVsbAc=\n"),
        ({"a": "café 😀"}, "a: café 😀\n"),
        ({"a": LONG}, f"a: {LONG[:-3]}\n  on\n"),
        ({"a": f"{LONG}: x"}, f"a: '{LONG[:-3]}\n  on: x'\n"),
        ({"k" * 128: 1}, f"? {'k' * 128}\n: 1\n"),
        ({"a\nb": 1}, '? "a\\nb"\n: 1\n'),
    ],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
def test_a_tree_is_written(tree: object, text: str) -> None:
    """Styles, widths and indents of SnakeYAML."""
    assert text == write_yaml(tree)


@pytest.mark.parametrize(
    ("text", "template", "shown"),
    [
        ("8080", "${port}", "8080"),
        ("", "${nope:}", ""),
        ("true", "${flag}", "true"),
        ("a: b", "${x}", "'a: b'"),
        ("x\ny: injected", "${x}", "|-\n  x\n  y: injected"),
        ("x", "#${x}", "x"),
        ("5", "#${x}", "'5'"),
    ],
)
def test_a_filled_text_keeps_the_style_of_its_template(
    text: str, template: str, shown: str
) -> None:
    """Plain where the template was and it is safe, so that nothing is injected."""
    assert f"a: {shown}\n" == write_yaml({"a": Filled(text, template)})


def test_every_text_comes_back() -> None:
    """A YAML 1.1 reader gets each text as it was, whatever is in it."""
    pieces = [*"ab \n\t:#'\"\\-?[]{},&*!|>%@`0129.eE_~=<", "yes", "null", "2024-01-01", "é", "😀",
              "\x85", "\u2028", "\r", "--- ", "... ", "0x1f", "1:30", "\ufeff"]  # fmt: skip
    chance = random.Random(5)
    for length in range(4000):
        text = "".join(chance.choices(pieces, k=chance.randint(0, 12 + length % 50)))
        written = write_yaml({"k": {"x": [text]}})
        assert yaml.safe_load(written) == {"k": {"x": [text]}}, written
