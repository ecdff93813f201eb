"""properties: Java's `.properties` as Spring reads them, and as we write them."""

import pytest

from pyconfserve.environment.formats import properties
from pyconfserve.environment.formats.document import Document, Entry
from pyconfserve.errors import DocumentError, SchemaViolation


@pytest.mark.parametrize(
    ("text", "flat"),
    [
        pytest.param("a=1\nb:2\nc 3\nd\t4\ne\f5", {"a": "1", "b": "2", "c": "3", "d": "4", "e": "5"}, id="separators"),
        pytest.param("a = 1\nb :\t2\nc  =3\nd = = 4", {"a": "1", "b": "2", "c": "3", "d": "= 4"}, id="blanks around"),
        pytest.param("  a=1\n\t\f b=2  \n", {"a": "1", "b": "2  "}, id="leading blanks go, trailing stay"),
        pytest.param("a\nb=\nc:\nd \n", {"a": "", "b": "", "c": "", "d": ""}, id="no value"),
        pytest.param("#a=1\n ! b=2\n#\n!\nc=#3!\n", {"c": "#3!"}, id="comments"),
        pytest.param("\\#a=1\n\\!b=2\na\\=b=3\na\\:c=4\na\\ d=5", {"#a": "1", "!b": "2", "a=b": "3", "a:c": "4", "a d": "5"}, id="escaped keys"),
        pytest.param("a=\\t\\n\\r\\f\\\\\\x\\\"\\ b", {"a": '\t\n\r\f\\x" b'}, id="escapes"),
        pytest.param("a=\\u00e9\\u0041\\u00E9", {"a": "éAé"}, id="unicode escapes"),
        pytest.param("\\u0061b=\\ud83d\\ude42", {"ab": "🙂"}, id="a pair of unicode escapes"),
        pytest.param("a=\\uFEFFx\\\\u0041", {"a": "\ufeffx\\u0041"}, id="a mark, and an escaped backslash"),
        pytest.param("a=1\\\n   2\\\n\t3\nb=4", {"a": "123", "b": "4"}, id="continued lines"),
        pytest.param("a\\\n b=1\nc\\\n=2", {"ab": "1", "c": "2"}, id="continued keys"),
        pytest.param("a=1\\\\\nb=2\\\\\\\n3", {"a": "1\\", "b": "2\\3"}, id="an even number of backslashes continues nothing"),
        pytest.param("a=1\\\n# b\nc=2", {"a": "1# b", "c": "2"}, id="a continued line is no comment"),
        pytest.param("a=1\\\n\nb=2", {"a": "1", "b": "2"}, id="continued by an empty line"),
        pytest.param("a=1\\", {"a": "1"}, id="continued by the end"),
        pytest.param("a=1\r\nb=2\rc=3\n\n\r\n", {"a": "1", "b": "2", "c": "3"}, id="line ends"),
        pytest.param("a=x\x85y\u2028z\x0bw", {"a": "x\x85y\u2028z\x0bw"}, id="other line ends are text"),
        pytest.param("a=1\nb=2\na=3", {"a": "3", "b": "2"}, id="the last wins, at the first place"),
        pytest.param("a[]=1", {"a[0]": "1"}, id="a list of one"),
        pytest.param("a[]=1,2,x y", {"a[0]": "1", "a[1]": "2", "a[2]": "x y"}, id="a list"),
        pytest.param("a[]=1\\,2,3", {"a[0]": "1,2", "a[1]": "3"}, id="an escaped comma"),
        pytest.param("a[]=1\\\\,2", {"a[0]": "1\\", "a[1]": "2"}, id="a comma after an escaped backslash"),
        pytest.param("a[]=1, 2", {"a[0]": "1", "a[1]": "2"}, id="blanks before an item go, as in Spring"),
        pytest.param("a[]=1,,2", {"a[0]": "1", "a[1]": "", "a[2]": "2"}, id="an empty item"),
        pytest.param("a[]=1,2,", {"a[0]": "1", "a[1]": "2"}, id="a comma at the end ends the list, as in Spring"),
        pytest.param("a[]=", {"a[0]": ""}, id="a list without items"),
        pytest.param("a=1,2\nb[0]=3,4", {"a": "1,2", "b[0]": "3,4"}, id="no list"),
    ],
)
def test_a_text_is_read(text, flat):
    """All values are text; keys and values as java.util.Properties has them."""
    (document,) = properties.parse(text)
    assert list(flat.items()) == [(key, entry.value) for key, entry in document.entries.items()]


def test_a_document_keeps_the_place_of_every_value():
    """Where the value begins, on the line where it begins."""
    text = "# x\n  a = 1\nb=\nc\nd=\\\n   2\\\n 3\r\ne\\\n  f : 4\ng[]=5, 6,\\\n  7\n"
    entries = {
        "a": Entry("1", 2, 7),
        "b": Entry("", 3, 3),
        "c": Entry("", 4, 2),
        "d": Entry("23", 6, 4),
        "ef": Entry("4", 9, 7),
        "g[0]": Entry("5", 10, 5),
        "g[1]": Entry("6", 10, 8),
        "g[2]": Entry("7", 11, 3),
    }
    (document,) = properties.parse(text)
    assert Document(entries) == document


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        ("", []),
        ("# nothing\n\n", []),
        ("#---\n!---\n", []),
        ("a=1\n#---\nb=2\n!---\nc=3\n", [{"a": "1"}, {"b": "2"}, {"c": "3"}]),
        ("#---\na=1\n#---\n#---\nb=2\n#---", [{"a": "1"}, {"b": "2"}]),
        ("a=1\r\n#---\r\nb=2", [{"a": "1"}, {"b": "2"}]),
        ("a=1\n# ---\nb=2\n #---\nc=3\n#----\nd=4\n---\n", [{"a": "1", "b": "2", "c": "3", "d": "4", "---": ""}]),
        ("a=1\n\\\n#---\nb=2", [{"a": "1", "#---": "", "b": "2"}]),
        ("a=x\\\n#---\nb=2", [{"a": "x#---", "b": "2"}]),
        ("a=1\n#---\n" * 99 + "b=2", [{"a": "1"}] * 99 + [{"b": "2"}]),
    ],
    ids=lambda value: str(value)[:30],
)
def test_documents_are_separate(text, documents):
    """`#---` and `!---` separate; those without content are left out."""
    assert documents == [
        {key: entry.value for key, entry in document.entries.items()} for document in properties.parse(text)
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a=1\nb=\\u12", "2:3: \\u is not followed by four hex digits"),
        ("a=\\uzzzz", "1:3: \\u is not followed by four hex digits"),
        ("\\u12=x", "1:6: \\u is not followed by four hex digits"),
        ("a[]=1,\\u", "1:7: \\u is not followed by four hex digits"),
        ("a=\\ud800", "1:3: a text holds a lone surrogate"),
        ("a=\\ude42\\ud83d", "1:3: a text holds a lone surrogate"),
        ("\\ud800=1", "1:8: a text holds a lone surrogate"),
        ("k" * 1025 + "=1", "1:1027: a key is longer than 1024 bytes"),
        ("a=1\n#---\n" * 100 + "b=2", "more than 100 documents"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_text_is_refused(text, problem):
    """With the place of the value, and without quoting it."""
    with pytest.raises(DocumentError) as caught:
        properties.parse(text)
    assert problem == str(caught.value)


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        ({"a": {"b": [1, {"c": "x"}]}}, "a.b[0]=1\na.b[1].c=x\n"),
        ({"a": True, "b": 1e7, "c": -17, "d": ""}, "a=true\nb=1.0E7\nc=-17\nd=\n"),
        ({"a": " x ", "b": "\tx", "c": "x\ny\r\f\\"}, "a=\\ x \nb=\\tx\nc=x\\ny\\r\\f\\\\\n"),
        ({"#a": "#", "!b": "!", "c#!": "="}, "\\#a=#\n\\!b=!\nc#!==\n"),
        ({"a b": 1, "c=d": 2, "e:f": 3, "\tg\n": 4, "h\\": 5}, "a\\ b=1\nc\\=d=2\ne\\:f=3\n\\tg\\n=4\nh\\\\=5\n"),
        ({"é": "🙂"}, "é=🙂\n"),
        ({"": "x"}, "=x\n"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_tree_is_written(tree, text):
    """Flat, one line a value, with what has a meaning escaped."""
    assert text == properties.write(tree)


@pytest.mark.parametrize(
    "tree",
    [{"a": None}, {"a": []}, {"a": {}}, {"a": [{}]}, {"a": {"b": [1, None]}}, {"a": 1, "b": {"c": []}}],
    ids=str,
)
def test_a_tree_without_text(tree):
    """null, empty lists and empty maps have no spelling here."""
    with pytest.raises(SchemaViolation) as caught:
        properties.write(tree)
    assert str(caught.value) == "a .properties file cannot hold null, an empty list or an empty map"


@pytest.mark.parametrize("tree", [{"a[]": "x"}, {"a": {"b[]": 1}}, {"a": {"[]": 1}}], ids=str)
def test_a_key_that_would_be_read_as_a_list(tree):
    """`a[]` has no spelling here: it is read as `a[0]`."""
    with pytest.raises(SchemaViolation) as caught:
        properties.write(tree)
    assert str(caught.value) == "a .properties file cannot hold a key that ends with []"


def test_a_byte_order_mark_is_written_as_an_escape():
    """At the beginning of a file it would be skipped."""
    assert properties.write({"\ufeffa": "\ufeffb"}) == "\\uFEFFa=\ufeffb\n"
