"""repeats: keys that are there twice, in formats that take the last."""

import pytest

from pyconfserve.checking.repeats import repeated_keys
from pyconfserve.environment.formats import parse

CASES = {
    "continued lines": ("properties", "a=1\\\n  a=2\na.b=3", []),
    "an even number of backslashes": ("properties", "a=1\\\\\na=2", ["2:1 a is there twice: line 1 has it too"]),
    "an escaped key": ("properties", "a\\ b=1\na\\ b : 2", ["2:1 a b is there twice: line 1 has it too"]),
    "comments": ("properties", "#a=1\n!a=1\na=1\n\n", []),
    "a comment that ends with a backslash": ("properties", "# x\\\na=1\na=2", ["3:1 a is there twice: line 2 has it too"]),
    "a third time": ("properties", "a=1\na=2\na=3", ["2:1 a is there twice: line 1 has it too", "3:1 a is there twice: line 1 has it too"]),
    "a list": ("properties", "a[]=1,2\nb=1", []),
    "quoted keys": ("yml", "'a.b': 1\n\"a\":\n  b: 2", ["3:3 a.b is there twice: line 1 has it too"]),
    "maps of one name": ("yml", "a.b:\n  c: 1\na:\n  b:\n    d: 1", []),
    "below maps of one name": ("yml", "a.b:\n  c: 1\na:\n  b:\n    c: 1", ["5:5 a.b.c is there twice: line 2 has it too"]),
    "a block below the name": ("yml", "a.b: 1\na: |\n  b: 2\n", []),
    "lists": ("yml", "x:\n- a.b: 1\n- a:\n    b: 1\n", []),
    "merged maps": ("yml", "x: &x\n  a.b: 1\ny:\n  <<: *x\n  a.b: 2\n", []),
    "lists of json": ("json", '{"x": [{"a.b": 1}, {"a": {"b": 1}}]}', []),
    "toml": ("toml", '"a.b" = 1\n[a]\nc = 2\n', []),
}  # fmt: skip


@pytest.mark.parametrize(("suffix", "text", "expected"), CASES.values(), ids=CASES)
def test_repeated_keys(suffix, text, expected):
    """Each again, where it begins."""
    documents = parse(text.encode(), suffix)
    problems = list(repeated_keys("f", suffix, text, documents))
    assert {problem.place.path for problem in problems} <= {"f"}
    assert [
        f"{problem.place.line}:{problem.place.column} {problem.text}"
        for problem in problems
    ] == expected
