"""turns: few large documents are parsed at a time, and small ones do not wait for them."""

import pytest

from pyconfserve.turns import turn

SMALL, MIDDLE, LARGE = b"a" * 16_384, b"a" * 131_072, b"a" * 131_073


@pytest.mark.parametrize(
    ("data", "like"),
    [(b"", SMALL), (b"a" * 16_385, MIDDLE), (b"a" * 3_000_000, LARGE), (b"a: *b", LARGE)],
    ids=["empty", "middle", "largest", "alias"],
)  # fmt: skip
def test_documents_of_a_size_take_turns(data, like):
    """One that may grow is as large as any."""
    assert turn(data) is turn(like)


def test_sizes_do_not_wait_for_each_other():
    """While the others are being parsed."""
    with turn(LARGE), turn(MIDDLE), turn(SMALL):
        assert all(turn(data).locked() for data in (LARGE, MIDDLE, SMALL))
    assert not any(turn(data).locked() for data in (LARGE, MIDDLE, SMALL))
