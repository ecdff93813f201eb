"""saves: the count that tells servers of a save."""

from pyconfserve.board import LocalBoard, SaveCount
from pyconfserve.saves import OwnSaves, Saves


def test_each_save_is_another_value():
    """Of the count of one server, and of the one that processes share."""
    counts: list[Saves] = [OwnSaves(), SaveCount(LocalBoard(1))]
    for count in counts:
        values = [count.value(), count.value()]
        assert values[0] == values[1]
        for _ in range(3):
            count.raise_()
            values.append(count.value())
        assert len(set(values)) == 4
