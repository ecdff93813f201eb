"""jsonschema: what a schema refuses in merged answers, and where it was written."""

import json

import pytest

pytest.importorskip("jsonschema")

from pyconfserve.adapters.jsonschema import JsonSchema
from pyconfserve.checking.check import Rules, check
from pyconfserve.checking.inventory import list_root
from pyconfserve.environment.overlay import OWN
from pyconfserve.errors import SchemaViolation
from pyconfserve.files import DictTree
from pyconfserve.locations import Place

ONE = "(a.schema.json, profile default)"


def found(schema, files):
    """The errors of files beside `a.schema.json`."""
    text = schema if isinstance(schema, str) else json.dumps(schema)
    tree = DictTree(
        {
            path: content.encode()
            for path, content in {"a.schema.json": text, **files}.items()
        }
    )
    listed, _ = list_root("", tree)
    _, problems = check([Place(listed)], Rules(OWN, "main", JsonSchema))
    return [f"{problem.place}: {problem.text}" for problem in sorted(problems)]


def of(**properties):
    return {"properties": properties}


CASES = {
    "what fits": (of(x={"type": "integer"}), {"a.yml": "x: 1"}, []),
    "a type": (of(x={"type": ["integer", "null"]}), {"a.yml": "y: 1\nx: s3cret"}, [f"a.yml:2:4: x is not of type integer or null {ONE}"]),
    "deeper": (of(x=of(y={"items": {"type": "string"}})), {"a.yml": "x:\n  y: [a, 1]"}, [f"a.yml:2:10: x.y[1] is not of type string {ONE}"]),
    "a lacking key": ({"required": ["x", "xy"]}, {"a.yml": "y: 1"}, [f"a.yml:1:1: the answer lacks x {ONE}", f"a.yml:1:1: the answer lacks xy {ONE}"]),
    "a lacking key deeper": (of(x={"required": ["z"]}), {"a.yml": "a: 1\nx:\n  y: 1"}, [f"a.yml:3:6: x lacks z {ONE}"]),
    "an unknown key": (of(x={"properties": {"z": {}}, "patternProperties": {"^p": {}}, "additionalProperties": False}), {"a.yml": "x:\n  p1: 1\n  y: 1"}, [f"a.yml:3:6: x.y is not in the schema {ONE}"]),
    "enum": (of(x={"enum": ["s3cret"]}), {"a.yml": "x: hunter2"}, [f"a.yml:1:4: x is none of the values that the schema allows {ONE}"]),
    "const": (of(x={"const": "s3cret"}), {"a.yml": "x: hunter2"}, [f"a.yml:1:4: x is not the value that the schema asks for {ONE}"]),
    "pattern": (of(x={"pattern": "^a"}), {"a.yml": "x: hunter2"}, [f"a.yml:1:4: x does not match the schema's pattern {ONE}"]),
    "bounds": (of(x={"minimum": 5}, y={"maximum": 5}, z={"minLength": 5}), {"a.yml": "x: 1\ny: 9\nz: s"}, [f"a.yml:1:4: x is below 5 {ONE}", f"a.yml:2:4: y is above 5 {ONE}", f"a.yml:3:4: z is shorter than 5 {ONE}"]),
    "any other": (of(x={"anyOf": [{"type": "string"}, {"type": "null"}]}), {"a.yml": "x: 1"}, [f"a.yml:1:4: x breaks 'anyOf' {ONE}"]),
    "a text of properties": (of(x={"type": "integer"}, y={"type": "boolean"}, z={"type": "number"}), {"a.properties": "x=1\ny=true\nz=1.5"}, []),
    "a wrong text of properties": (of(x={"type": "integer"}), {"a.properties": "x=many"}, [f"a.properties:1:3: x is not of type integer {ONE}"]),
    "what is filled in later": (of(x={"type": "integer"}, y={"enum": [1]}, z={"type": "object"}), {"a.yml": "x: ${X}\ny: '{cipher}00'\nz:"}, []),
    "another application": (of(x={"type": "integer"}), {"b.yml": "x: a"}, []),
    "merged answers": (
        {"required": ["y"], **of(x={"type": "integer"})},
        {"application.yml": "y: 1", "a.yml": "x: one", "a-prod.yml": "x: 1", "a-dev.yml": "z: 1"},
        ["a-prod.yml:1:4: x is a number here and a text in a.yml:1:4", "a.yml:1:4: x is not of type integer (a.schema.json, profile default and 1 more)"],
    ),
    "a profile without files of its own": (of(x={"type": "integer"}), {"a-dev.yml": "y: 1", "application-prod.yml": "x: one"}, []),
    "references inside": ({"$defs": {"n": {"type": "integer"}}, **of(x={"$ref": "#/$defs/n"})}, {"a.yml": "x: one"}, [f"a.yml:1:4: x is not of type integer {ONE}"]),
    "a reference to elsewhere": (of(x={"$ref": "http://127.0.0.1:1/x"}), {"a.yml": "x: 1"}, ["a.schema.json:1:1: refers to a schema that is not in this file"]),
    "a reference to a file": (of(x={"$ref": "file:///etc/passwd"}), {"a.yml": "x: 1"}, ["a.schema.json:1:1: refers to a schema that is not in this file"]),
    "a circle": ({"$ref": "#"}, {"a.yml": "x: 1"}, ["a.schema.json:1:1: refers to itself without end"]),
    "no pattern": (of(x={"pattern": "("}), {"a.yml": "x: a"}, ["a.schema.json:1:1: not a JSON Schema"]),
    "no schema": ({"type": 5}, {"a.yml": "x: 1"}, ["a.schema.json:1:1: not a JSON Schema"]),
    "no json": ('{"type": }', {"a.yml": "x: 1"}, ["a.schema.json:1:10: expected a value"]),
    "keys that make no tree": (of(x={"type": "integer"}), {"a.yml": "a..b: 1"}, []),
}  # fmt: skip


@pytest.mark.parametrize(("schema", "files", "lines"), CASES.values(), ids=CASES)
def test_what_a_schema_refuses(schema, files, lines):
    """The entry that is wrong, and never its value."""
    assert found(schema, files) == lines


def test_the_schema_of_a_label_is_its_own():
    """Beside the label's files, before the one in the root."""
    files = {
        "a.yml": "x: 1",
        "v2/a.yml": "x: one",
        "v2/a.schema.json": json.dumps(of(x={"type": "string"})),
    }
    assert found(of(x={"type": "integer"}), files) == []


def test_the_schema_of_the_first_tier_counts():
    """As its values do."""
    texts = {
        f"{tier}/a.schema.json": json.dumps(of(x={"type": kind}))
        for tier, kind in (("top", "string"), ("low", "integer"))
    }
    tree = DictTree(
        {path: text.encode() for path, text in {**texts, "low/a.yml": "x: 1"}.items()}
    )
    listed, _ = list_root("", tree)
    places = [Place(listed, "top/"), Place(listed, "low/")]
    _, [problem] = check(places, Rules(OWN, "main", JsonSchema))
    assert (
        problem.text == "x is not of type string (top/a.schema.json, profile default)"
    )


@pytest.mark.filterwarnings("ignore")  # a fetch would be one, and no error then
def test_nothing_is_fetched(tmp_path):
    """Not even a schema that is there."""
    (tmp_path / "x.json").write_text('{"type": "string"}')
    schema = of(x={"$ref": (tmp_path / "x.json").as_uri()})
    assert found(schema, {"a.yml": "x: 1"}) == [
        "a.schema.json:1:1: refers to a schema that is not in this file"
    ]


def test_what_is_no_schema_is_refused():
    """When it is made."""
    with pytest.raises(SchemaViolation, match=r"^not a JSON Schema$"):
        JsonSchema({"properties": []})
