"""weights: what an event loop would notice."""

import pytest

from pyconfserve.environment.formats.document import Entry
from pyconfserve.environment.overlay import PropertySource
from pyconfserve.weights import is_large


def source(count, value):
    """A source of *count* entries."""
    return PropertySource("a", {f"k{number}": Entry(value) for number in range(count)})


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ([], False),
        ([source(1000, 1), source(1000, "a")], False),
        ([source(1000, 1), source(1001, 1)], True),
        ([source(1, "a" * 65_536)], False),
        ([source(2, "a" * 32_768), source(1, "a")], True),
    ],
    ids=["none", "many", "too-many", "long", "too-long"],
)
def test_what_is_large(sources, expected):
    """Many entries, or long texts, of all sources together."""
    assert is_large(sources) is expected
