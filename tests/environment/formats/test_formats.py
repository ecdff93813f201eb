"""formats: the bytes of files to documents and back, whatever the format."""

import base64
import json
import math
import random
from pathlib import Path

import pytest

from pyconfserve.environment import formats
from pyconfserve.environment.properties import flatten
from pyconfserve.environment.values import text_of
from pyconfserve.errors import Conflict, DocumentError, SchemaViolation

CASES = Path(__file__).parents[2] / "cases"
RECORDED = CASES / "spring"
DOCUMENTS = json.loads((CASES / "documents.json").read_text("utf-8"))

# What is read from the rows of documents.json that are not refused.
ACCEPTED = {
    "deep-50-ok": [{"document" + "[0]" * 49: ""}],
    "year0": [{"a": "0000-01-01"}],
    "sexagesimal": [{"a": 45045}],
    "norway": [{"a": False, "b": True}],
    "exp": [{"a": 1000.0}],
    "nan": [{"a": math.nan}],
    "inf": [{"a": -math.inf}],
    "binary": [{"a": "aGk="}],
    "set": [{"a[0]": "x", "a[1]": "y"}],
    "omap": [{"a.x": 1}],
    "seq-key": [{"[[a, b]]": 1}],
    "bom": [{"a": 1}],
    "top-scalar": [{"document": "hello"}],
    "top-list": [{"document[0]": "a"}],
    "empty": [],
    "multi-doc": [{"a": 1}, {"b": 2}],
    "value-tag": [{"a": "="}],
    "placeholder-loop": [{"a": "${b}", "b": "${a}"}],
    "j-2p63": [{"a": 2**63}],
    "j-bom": [{}],
    "j-nul": [{"a": "\x00"}],
    "j-proto": [{"__proto__.x": 1}],
    "j-dots": [{"a.b": 2}],
    "j-index": [{"a[0]": 2}],
    "j-nlkey": [{"a\nb": 1}],
}

NASTY = [
    *("", " ", "  x", "x  ", "\t", "\tx", "x\t", "\n", "\n\n", "a\nb", "\na", "a\n", "a\n\nb", "a\n  b", "\r", "a\r\nb"),
    *("\ny: injected", "x\ny: injected", "x\ny=injected", "- x", "? x", ": x", "a: b", "a:", "a #b", "#", "#x", "!", "!x"),
    *("\x85", "a\x85b", "\u2028", "a\u2028b", "\u2029", "\ufeff", "a\ufeffb", "\x00", "\x07", "\x1b[0m", "\x7f", "\x9f"),
    *("0", "-0", "017", "0o17", "0x1F", "0b11", "1_000", "+1", "1e3", "1E3", ".5", "5.", "-.5", "1.5e-7", "089", "1.2.3"),
    *("190:20:30", "10:30", "1:1.5", ".inf", "-.INF", ".nan", "inf", "NaN", "9" * 500, "0x" + "f" * 500),
    *("yes", "No", "ON", "off", "true", "False", "y", "n", "tRue", "null", "Null", "~", "none", "=", "<<", "<"),
    *("2024-02-29", "2024-02-29T00:00:00Z", "2024-02-29 00:00:00", "12:30:00", "---", "...", "--- x", "-", "--", "?"),
    *("'", "''", '"', "'x'", '"x"', "it's", '\\', "\\n", "a\\", "\\u0041", "\\u12", "%", "@", "`", "&a", "*a", "!!int 1"),
    *("{", "}", "[", "]", "{}", "[]x", "[a]", "{a: 1}", "a,b", ",", "|", ">", "|-", "${x}", "{cipher}00", "%YAML 1.1"),
    *("é", "🙂", "a🙂b", "e\u0301", "\u202e", "\u3000", "x" * 200, "x " * 100, "word " * 3000, "=a", "a=b", "a = b", ":a"),
]


def flat(document):
    """The entries of a document without their origins, NaN and types told apart."""
    return [(key, repr(entry.value)) for key, entry in document.entries.items()]


def spelled(properties):
    return [(key, repr(value)) for key, value in properties.items()]


@pytest.mark.parametrize(
    ("data", "suffix", "properties"),
    [
        (b"a: {b: 1}", "yaml", {"a.b": 1}),
        (b"a: {b: 1}", "yml", {"a.b": 1}),
        (b'{"a": {"b": 1}}', "json", {"a.b": 1}),
        (b"[a]\nb = 1", "toml", {"a.b": 1}),
        (b"a.b=1", "properties", {"a.b": "1"}),
        (b"\xef\xbb\xbfa: 1", "yml", {"a": 1}),
        (b'\xef\xbb\xbf{"a": 1}', "json", {"a": 1}),
        (b"\xef\xbb\xbfa = 1", "toml", {"a": 1}),
        (b"\xef\xbb\xbfa=1", "properties", {"a": "1"}),
        (b"a=\xc3\xa9", "properties", {"a": "é"}),
    ],
)
def test_a_file_is_read_by_its_suffix(data, suffix, properties):
    """Every format gives flat keys, and a byte order mark is skipped."""
    (document,) = formats.parse(data, suffix)
    assert spelled(properties) == flat(document)


def test_the_charset_is_for_properties_only():
    """In ISO-8859-1 a UTF-8 file arrives as mojibake, its mark included, as in Spring."""
    (document,) = formats.parse("\ufeffa=é".encode(), "properties", "latin-1")
    assert flat(document) == [("ï»¿a", "'Ã©'")]
    (document,) = formats.parse("a: é".encode(), "yml", "latin-1")
    assert flat(document) == [("a", "'é'")]


@pytest.mark.parametrize("suffix", formats.FORMATS)
def test_an_empty_file_has_no_documents(suffix):
    """Nothing, and blanks only, are no document in any format."""
    assert (formats.parse(b"", suffix), formats.parse(b" \n\n", suffix)) == ((), ())


@pytest.mark.parametrize("suffix", formats.FORMATS)
def test_a_file_that_is_not_utf8(suffix):
    """The error says where, and not what."""
    with pytest.raises(DocumentError) as caught:
        formats.parse(b"a\nb\xc3\xa9 \xff", suffix)
    assert str(caught.value) == "2:5: not UTF-8 text"


@pytest.mark.parametrize("suffix", formats.FORMATS)
def test_a_file_above_the_limit(suffix):
    """Refused before it is decoded."""
    with pytest.raises(DocumentError) as caught:
        formats.parse(b"\xff" * (3 * 1024 * 1024 + 1), suffix)
    assert str(caught.value) == "larger than 3145728 bytes"


@pytest.mark.parametrize("row", DOCUMENTS, ids=[row["id"] for row in DOCUMENTS])
def test_recorded_documents(row):
    """Documents that broke others are refused, or read to exactly these values."""
    if "text" in row:
        data = "".join(piece * times for piece, times in row["text"]).encode()
    else:
        data = base64.b64decode(row["input_b64"])
    if row["id"] in ACCEPTED:
        documents = [flat(document) for document in formats.parse(data, row["format"])]
        assert [spelled(properties) for properties in ACCEPTED[row["id"]]] == documents
    else:
        assert row["require"].startswith("reject")
        with pytest.raises(DocumentError):
            formats.parse(data, row["format"])


def spring_cases():
    """Each recorded answer, with the file that it was made from."""
    for scenario in ("yaml-types", "properties-types"):
        recorded = json.loads((RECORDED / f"{scenario}.json").read_text("utf-8"))
        for case in recorded["cases"]:
            application, _, profile = case["target"].removeprefix("/").partition("/")
            if profile == "default" and application != "multidoc":
                (stored,) = (RECORDED / "fixtures" / scenario).glob(f"{application}.*")
                yield pytest.param(case, stored, id=f"{scenario}-{case['id']}")


def spring_value(value):
    """A value as Spring's JSON has it: infinities are texts."""
    return text_of(value) if isinstance(value, float) and not math.isfinite(value) else value


@pytest.mark.parametrize(("case", "stored"), list(spring_cases()))
def test_recorded_spring_answers(case, stored):
    """Keys, values, their types and order, and origins are those Spring answered."""
    suffix = stored.suffix[1:]
    if case["status"] == 500:
        with pytest.raises(DocumentError):
            formats.parse(stored.read_bytes(), suffix, "latin-1")
        return
    sources = []
    for document in reversed(formats.parse(stored.read_bytes(), suffix, "latin-1")):
        source = {}
        for key, entry in document.entries.items():
            value = spring_value(entry.value)
            source[key] = {"value": value, "origin": f"{entry.line}:{entry.column}"} if "v2" in case["id"] else value
        sources.append(source)
    answered = [source["source"] for source in json.loads(case["body"])["propertySources"]]
    assert [spelled(source) for source in answered] == [spelled(source) for source in sources]


def nasty_text(pick):
    """One nasty text, sometimes two in one."""
    return pick.choice(NASTY) + (pick.choice(NASTY) if pick.random() < 0.2 else "")


def nasty_scalar(pick, *, text_only=False):
    numbers = [0, -1, 2**70, True, False, None, 0.0, -0.0, 1e7, 1e-5, 1.5e300, 0.1, 100.0]
    if text_only:
        numbers.remove(None)
    return nasty_text(pick) if pick.random() < 0.8 else pick.choice(numbers)


def nasty_tree(pick, depth=0, *, text_only=False):
    """A random map of maps, lists and scalars."""

    def value(level):
        kind = pick.random()
        if level > 3 or kind < 0.6:
            return nasty_scalar(pick, text_only=text_only)
        length = pick.randrange(1 if text_only else 0, 4)
        if kind < 0.8:
            return [value(level + 1) for _ in range(length)]
        return {nasty_text(pick)[:250]: value(level + 1) for _ in range(length)}

    return {"first": "x"} | {nasty_text(pick)[:250]: value(depth) for _ in range(6)}


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_what_is_written_is_read_back(suffix, seed):
    """Every text stays that text, every number that number, and no key is added."""
    tree = nasty_tree(random.Random(seed))
    (document,) = formats.parse(formats.write(tree, suffix), suffix)
    assert spelled(flatten(tree)) == flat(document)


@pytest.mark.parametrize("suffix", ["yaml", "json", "properties"])
def test_each_nasty_text_is_read_back(suffix):
    """As a value, as a key and as both, one by one and all in one file."""
    for text in NASTY:
        for tree in ({"k": text}, {text[:250]: "v"}, {text[:250]: {text[:250]: [text]}}):
            (document,) = formats.parse(formats.write(tree, suffix), suffix)
            assert spelled(flatten(tree)) == flat(document)
    tree = {f"k{number}": text for number, text in enumerate(NASTY)}
    (document,) = formats.parse(formats.write(tree, suffix), suffix)
    assert spelled(tree) == flat(document)


@pytest.mark.parametrize("seed", range(12))
def test_what_is_written_as_properties_is_read_back_as_text(seed):
    """All values come back as their text, under the same keys."""
    tree = nasty_tree(random.Random(seed), text_only=True)
    texts = {key: text_of(value) for key, value in flatten(tree).items()}
    (document,) = formats.parse(formats.write(tree, "properties"), "properties")
    assert spelled(texts) == flat(document)


@pytest.mark.parametrize("suffix", formats.FORMATS)
@pytest.mark.parametrize("seed", range(4))
def test_any_text_is_read_or_refused(suffix, seed):
    """No input ends in another error than DocumentError."""
    pick = random.Random(seed)
    pieces = ["a", "b", ":", " ", "\n", "  ", "- ", "{", "}", "[", "]", ",", '"', "'", "=", "#", "\\", "&x ", "*x", "<<", "!!set ", "!!omap "]
    pieces += ["? ", "| ", "1", "1:2", "0x", ".", "e3", "é", "\t", "!", "---\n", "#---\n", "null", "true", "[]", '"a":', "1979-05-27", "\r"]
    for _ in range(100):
        text = "".join(pick.choice(pieces) for _ in range(pick.randrange(1, 25)))
        try:
            documents = formats.parse(text.encode(), suffix)
        except DocumentError:
            continue
        for document in documents:
            for key, entry in document.entries.items():
                assert isinstance(key, str)
                assert isinstance(entry.value, str | bool | int | float)


@pytest.mark.parametrize(
    ("suffix", "data"),
    [
        ("yaml", "a:\n  é:\n  - 1\n"),
        ("yml", "a:\n  é:\n  - 1\n"),
        ("json", '{\n  "a": {\n    "é": [\n      1\n    ]\n  }\n}\n'),
        ("properties", "a.é[0]=1\n"),
    ],
)
def test_a_tree_is_written_by_its_suffix(suffix, data):
    """As UTF-8, nested where the format nests."""
    assert data.encode() == formats.write({"a": {"é": [1]}}, suffix)


@pytest.mark.parametrize(
    ("suffix", "error", "problem"),
    [
        ("toml", Conflict, "a toml file is read only here; store the bundle as yaml or json"),
        ("json", SchemaViolation, "json holds finite numbers only"),
        ("properties", SchemaViolation, "a .properties file cannot hold null, an empty list or an empty map"),
    ],
)
def test_a_tree_that_cannot_be_written(suffix, error, problem):
    """The error of the format is the error of write."""
    with pytest.raises(error) as caught:
        formats.write({"a": math.nan, "b": None}, suffix)
    assert problem == str(caught.value)


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        ("yml", "a: &a " + "x" * 1_000_000 + "\n" + "".join(f"k{i}: *a\n" for i in range(20_000))),
        ("yml", f"? {'k' * 200_000}\n: [{'0,' * 150_000}0]\n"),
        ("json", '{"' + "k" * 200_000 + '": [' + "0," * 150_000 + "0]}"),
        ("toml", f"{'k' * 200_000} = [{'0,' * 150_000}0]\n"),
        ("properties", "k" * 1000 + "[]=" + "," * 2_000_000),
    ],
    ids=["scalar aliases", "yaml key", "json key", "toml key", "properties items"],
)  # fmt: skip
def test_what_a_small_file_can_grow_to_is_bounded(suffix, text):
    """Texts that aliases repeat, and keys that items repeat."""
    with pytest.raises(DocumentError):
        formats.parse(text.encode(), suffix)


def test_a_list_over_many_lines_is_read_in_linear_time():
    """The place of each item is looked up, not searched for."""
    (document,) = formats.parse(b"a[]=" + b"x\\\n," * 100_000, "properties")
    assert len(document.entries) == 100_000
