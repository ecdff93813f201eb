"""yaml: YAML 1.1 as SnakeYAML and Spring read it, and block YAML written."""

import sys
import tracemalloc

import pytest

from pyconfserve.environment import formats
from pyconfserve.environment.formats import yaml
from pyconfserve.environment.formats.document import Document, Entry
from pyconfserve.errors import DocumentError, MissingDependency

OTHER = "not YAML, or above a limit"


def read(text):
    """The flat properties of each document."""
    return [
        {key: entry.value for key, entry in document.entries.items()} for document in yaml.parse(text)
    ]


def refusal(text):
    """The whole message of the error that *text* leads to."""
    with pytest.raises(DocumentError) as caught:
        yaml.parse(text)
    return str(caught.value)


def test_a_document_keeps_the_place_of_every_value():
    """Lines and columns count from 1; an alias stands where its anchor does."""
    text = "a: &x one\nb:\n  c: [2, {d: 3}, []]\n  é: |\n    text\n? e\n: *x\nf:\n"
    entries = {
        "a": Entry("one", 1, 4),
        "b.c[0]": Entry(2, 3, 7),
        "b.c[1].d": Entry(3, 3, 14),
        "b.c[2]": Entry("", 3, 18),
        "b.é": Entry("text\n", 4, 6),
        "e": Entry("one", 1, 4),
        "f": Entry("", 8, 3),
    }
    (document,) = yaml.parse(text)
    assert Document(entries) == document
    assert list(entries) == list(document.entries)


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        ("", []),
        ("# nothing\n", []),
        ("---\n---\n# x\n---\n", []),
        ("a: 1\n---\n---\nb: 2\n...\n", [{"a": 1}, {"b": 2}]),
        ("a: {}", [{}]),
        ("[]", []),
        ("~", []),
        ("one", [{"document": "one"}]),
        ("- a\n- {b: 1}", [{"document[0]": "a", "document[1].b": 1}]),
        ("!!set {a, b}", [{"document[0]": "a", "document[1]": "b"}]),
        ("--- {a: 1}\n" * 100, [{"a": 1}] * 100),
    ],
    ids=lambda value: str(value)[:30],
)
def test_documents_are_separate(text, documents):
    """Those without content are left out; what is no map stands under `document`."""
    assert documents == read(text)


def test_an_anchor_ends_with_its_document():
    """The next document does not know it."""
    assert refusal("a: &x 1\n---\nb: *x\n") == "3:4: an alias to no anchor"


@pytest.mark.parametrize(
    ("text", "flat"),
    [
        pytest.param("a: &x {b: 1}\nc: *x", {"a.b": 1, "c.b": 1}, id="alias"),
        pytest.param("a: &x 1\nb: &x 2\nc: *x", {"a": 1, "b": 2, "c": 2}, id="anchor twice"),
        pytest.param("a: {<<: {x: 1, y: 1}, y: 2}", {"a.x": 1, "a.y": 2}, id="own keys win"),
        pytest.param("a: {y: 2, <<: {x: 1, y: 1}}", {"a.y": 2, "a.x": 1}, id="own keys win, before too"),
        pytest.param("a: {<<: [{x: 1}, {x: 2, y: 2}]}", {"a.x": 1, "a.y": 2}, id="the first map wins"),
        pytest.param("a: {<<: {x: 1}, <<: {x: 2, y: 2}}", {"a.x": 1, "a.y": 2}, id="two merge keys"),
        pytest.param("a: {'<<': {x: 1}}", {"a.<<.x": 1}, id="a quoted merge key is a key"),
        pytest.param("a: {!!str <<: 1}", {"a.<<": 1}, id="a tagged merge key is a key"),
        pytest.param("a.b: {'[c.d]': 1, e.f: 2}", {"a.b[c.d]": 1, "a.b.e.f": 2}, id="brackets and dots"),
        pytest.param("1: a\n1.5: b\ntrue: c\n0x10: d\n~: e", {"[1]": "a", "[1.5]": "b", "[true]": "c", "[16]": "d", "[null]": "e"}, id="keys that are no text"),
        pytest.param("? [a, [1, ~]]\n: 1\n? {b: {c: 1e7}}\n: 2", {"[[a, [1, null]]]": 1, "[{b={c=1.0E7}}]": 2}, id="keys that are collections"),
        pytest.param("? []\n: 1\n? {}\n: 2", {"[null]": 1, "[{}]": 2}, id="keys that are empty collections"),
        pytest.param("1: a\n'1': b\n'[1]': c", {"[1]": "c", "1": "b"}, id="a number and its text"),
        pytest.param("a:\n  1: x\n  [2]: y", {"a[1]": "x", "a[[2]]": "y"}, id="no dot before brackets"),
        pytest.param("a: !!set {x, y}", {"a[0]": "x", "a[1]": "y"}, id="set"),
        pytest.param("a: !!set {}", {"a": ""}, id="empty set"),
        pytest.param("a: !!omap [x: 1, y: {z: 2}]", {"a.x": 1, "a.y.z": 2}, id="omap"),
        pytest.param("a: !!omap []\nb: 1", {"b": 1}, id="empty omap"),
        pytest.param("a: !!pairs [x: 1, x: 2]", {"a[0].x": 1, "a[1].x": 2}, id="pairs"),
        pytest.param("a: ! {x: 1}\nb: ! [1]\nc: !!map {y: 1}\nd: !!seq [2]", {"a.x": 1, "b[0]": 1, "c.y": 1, "d[0]": 2}, id="plain tags"),
        pytest.param("a: '1'\nb: \"yes\"\nc: |\n  1\nd: >-\n  ~", {"a": "1", "b": "yes", "c": "1\n", "d": "~"}, id="quoted and block scalars are text"),
        pytest.param("a: one\n  two\n\n  three", {"a": "one two\nthree"}, id="many lines"),
        pytest.param("a: \"\\x41\\u00e9\\U0001F642\\N\"", {"a": "Aé🙂\x85"}, id="escapes"),
        pytest.param("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}, id="CRLF"),
    ],
)
def test_a_tree_is_built(text, flat):
    """Aliases, merge keys, odd keys and tags as Spring flattens them."""
    (properties,) = read(text)
    assert list(flat.items()) == list(properties.items())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("!!str 123", "123"),
        ("!!str", ""),
        ("! 123", "123"),
        ("!!null x", ""),
        ("!!bool yes", True),
        ("!!bool 'off'", False),
        ("!!int '017'", 15),
        ("!!int 1_000", 1000),
        ("!!float 3", 3.0),
        ("!!float '.5'", 0.5),
        ("!!value =", "="),
        ("!!binary aGk=", "aGk="),
        ("!!binary |\n  aG\n  k=", "aGk="),
        ("!!binary ''", ""),
        ("!!timestamp 2024-02-29", "2024-02-29T00:00:00.000Z"),
        ("!!timestamp 2024-2-9 1:02:03", "2024-02-09T01:02:03.000Z"),
        ("!!timestamp 2024-02-29T23:30:00.5-01:00", "2024-03-01T00:30:00.500Z"),
        ("!!timestamp 2024-02-29t00:30:00.123456789 +1", "2024-02-28T23:30:00.123Z"),
        ("!!timestamp '2024-02-29 12:00:00 Z'", "2024-02-29T12:00:00.000Z"),
        ("!!timestamp 2024-02-29 12:00:00+05:30", "2024-02-29T06:30:00.000Z"),
        ("!!timestamp 0987-06-05", "0987-06-05T00:00:00.000Z"),
    ],
)
def test_a_tag_says_what_a_scalar_is(text, value):
    """The tags of YAML's own types convert, quoted or not."""
    assert repr([{"a": value}]) == repr(read(f"a: {text}"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: !!bool foo", "1:4: not a boolean"),
        ("a: !!bool 1", "1:4: not a boolean"),
        ("a: !!int ''", "1:4: not an integer"),
        ("a: !!int true", "1:4: not an integer"),
        ("a: !!float x", "1:4: not a number"),
        ("a: !!binary a", "1:4: not base64"),
        ("a: !!binary aGk=aGk=", "1:4: not base64"),
        ("a: !!timestamp x", "1:4: not a timestamp"),
        ("a: !!timestamp 2024-13-01", "1:4: month must be in 1..12"),
        ("a: !custom x", "1:4: a tag that is not known here"),
        ("a: !!python/name:os.system x", "1:4: a tag that is not known here"),
        ("a: !!java.lang.String x", "1:4: a tag that is not known here"),
        ("a: !!map x", "1:4: a tag that is not known here"),
        ("a: !!str {}", "1:4: a tag that is not known here"),
        ("a: !custom []", "1:4: a tag that is not known here"),
        ("a: !!seq {}", "1:4: a tag that is not known here"),
        ("a: !!set []", "1:4: a tag that is not known here"),
        ("a: !!omap [1]", "1:4: !!omap is a list of maps with one key each"),
        ("a: !!omap [{x: 1, y: 2}]", "1:4: !!omap is a list of maps with one key each"),
        ("a: 1\nb: {c: 1, d: 2, c: 3}", "2:17: a key is there twice"),
        ("yes: 1\ntrue: 2", "2:1: a key is there twice"),
        ("16: 1\n0x10: 2", "2:1: a key is there twice"),
        ("a: {<<: 1}", "1:9: a merge key is for a map or a list of maps"),
        ("a: {<<: [{x: 1}, y]}", "1:9: a merge key is for a map or a list of maps"),
        ("a: *x", "1:4: an alias to no anchor"),
        ("a: &x [*x]", "1:8: an alias to what it stands in"),
        ("a: &x {b: {<<: *x}}", "1:16: an alias to what it stands in"),
        ("a: " + "9" * 500, "1:4: an integer has more than 1024 bits"),
        ("a: 0x" + "f" * 500, "1:4: an integer has more than 1024 bits"),
        ("a: 1" + ":00" * 200, "1:4: an integer has more than 1024 bits"),
        ("a: 1" + ":00" * 20_000, "1:4: an integer has more than 1024 bits"),
        ("a: 1\n? " + "k" * 1025 + "\n: 2", "3:3: a key is longer than 1024 bytes"),
        ("[" * 51 + "]" * 51, "1:51: nested more than 50 deep"),
        ("a: " + "[" * 50 + "]" * 50, "1:53: nested more than 50 deep"),
        ("a: &x {b: 1}\nc: [" + "*x, " * 51 + "]", "2:205: more than 50 aliases"),
        ("--- {a: 1}\n" * 101, "more than 100 documents"),
        ("[" + "," .join("1" * 200_000) + "]", "1:400000: more than 200000 nodes"),
        ("a: 1\nb: x\x85c", "2:5: an invisible line end or byte order mark"),
        ("a: \"x\u2028\"", "1:6: an invisible line end or byte order mark"),
        ("\u2029", "1:1: an invisible line end or byte order mark"),
        ("a: 1\n\ufeffb: 2", "2:1: an invisible line end or byte order mark"),
        ("a: \x00", OTHER),
        ("a: !!timestamp 0001-01-01 00:00:00+10", OTHER),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_document_is_refused(text, problem):
    """With its place, and without quoting what it holds."""
    assert problem == refusal(text)


@pytest.mark.parametrize(
    "text",
    ["a: [secret", "a: 'secret", "\tsecret: 1", "secret: 1\n- 2", "a: @secret", "a: %secret", "a: secret: 1", "a: !secret!x 1", "a: *secret", "a: &secret& 1", 'a: "\\z secret"', "%TAG secret\n---\na: 1", "}secret"],
)
def test_a_syntax_error_has_a_place_and_no_content(text):
    """The message begins with line and column and names no word of the file."""
    message = refusal(text)
    line, column, problem = message.split(":", 2)
    assert (line.isdigit(), column.isdigit(), "secret" in problem) == (True, True, False)


def test_aliases_are_counted_expanded():
    """A bomb of nine levels ends before it is built."""
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 6)]
    assert refusal("\n".join(levels)) == OTHER


def test_merge_keys_are_counted_expanded():
    """A map that is merged again and again counts each time."""
    levels = ["m0: &m0 {" + ", ".join(f"k{n}: 1" for n in range(5000)) + "}"]
    levels += [f"m{n}: &m{n} {{<<: *m{n - 1}}}" for n in range(1, 50)]
    with pytest.raises(DocumentError) as caught:
        yaml.parse("\n".join(levels))
    assert caught.value.problem == "more than 200000 nodes"


def test_a_key_is_not_built_from_a_bomb():
    """The text of a key that is a collection is not made longer than a key may be."""
    levels = ["&a0 [x, x]", *(f"&a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 20))]
    tracemalloc.start()
    message = refusal("? [" + ", ".join(levels) + "]\n: 1")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (message, peak < 1_000_000) == ("2:3: a key is longer than 1024 bytes", True)


def test_aliases_to_scalars_are_free():
    """Only collections multiply."""
    (properties,) = read("a: &x 1\nb: [" + "*x, " * 60 + "]")
    assert {"a": 1} | {f"b[{n}]": 1 for n in range(60)} == properties


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        ({}, "{}\n"),
        ({"a": {"b": [1, {"c": 2}]}}, "a:\n  b:\n  - 1\n  - c: 2\n"),
        ({"b": 1, "a": 2}, "b: 1\na: 2\n"),
        ({"a": None, "b": True, "c": 1.5, "d": [], "e": {}}, "a: null\nb: true\nc: 1.5\nd: []\ne: {}\n"),
        ({"é": "🙂"}, "é: 🙂\n"),
        ({"a": "yes", "b": "1e3", "c": "0o17", "d": "x"}, "a: \"yes\"\nb: \"1e3\"\nc: 0o17\nd: x\n"),
        ({"a": "", "b": "~", "c": "190:20:30"}, 'a: ""\nb: "~"\nc: "190:20:30"\n'),
        ({"<<": {"a": 1}, "1": 2}, '"<<":\n  a: 1\n"1": 2\n'),
        ({"a": "\u2028\ufeff\x85"}, 'a: "\\L\\uFEFF\\N"\n'),
        ({"a": "9" * 500}, f'a: "{"9" * 500}"\n'),
        ({"a": "word " * 100 + "end"}, f"a: {'word ' * 100}end\n"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_tree_is_written(tree, text):
    """In block style, in its order, with texts quoted that look like something else."""
    assert text == yaml.write(tree)


def test_a_shared_list_is_written_twice():
    """No anchors and no aliases."""
    shared = [1]
    assert yaml.write({"a": shared, "b": shared}) == "a:\n- 1\nb:\n- 1\n"


def test_without_pyyaml_the_error_says_what_to_install(monkeypatch):
    """Only YAML needs it; the other formats are read without."""
    monkeypatch.setitem(sys.modules, "yaml", None)
    monkeypatch.delitem(sys.modules, yaml.__name__)
    assert len(formats.parse(b"{}", "json")) == 1
    with pytest.raises(MissingDependency) as caught:
        formats.parse(b"a: 1", "yaml")
    expected = "reading and writing YAML needs yaml: pip install 'PyYAML'"
    assert expected == str(caught.value)
