"""references: which placeholders have no value."""

import pytest

from pyconfserve.checking.references import unresolved


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("plain", []),
        ("${a}", []),
        ("${b}${c}", ["b", "c"]),
        ("${b:}", []),
        ("${b:${c}}", ["c"]),
        ("${a:${c}}", []),
        ("${${b}.x}", ["b"]),
        ("${b", []),
        ("\\${b}", []),
        ("${b}}", ["b"]),
        ("${b:{c}}${d}", ["d"]),
        ("${x:y}", []),
        ("${PATH}${DB_1}${random.uuid}", []),
        ("${Path}${1A}", ["Path", "1A"]),
        ("${vault.x}", []),
        ("${local.server.port}${vcap.services.db.uri}${spring.cloud.config.label}", []),
    ],
)
def test_unresolved(text, names):
    """Names without a value and without a default, in their order."""
    assert list(unresolved(text, {"a", "x:y"}, ["vault.*"])) == names
