"""Numbers that processes of one server share, without locks: each writes its own row.

A board is made before the processes part, and lives as long as any of them does. This
module does no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from itertools import count

__all__ = ["Board", "LocalBoard", "SaveCount"]

_WIDTH = 8  # bytes of a number


class LocalBoard:
    """The board of one process: *rows* x *columns* numbers of 64 bits, all 0."""

    def __init__(self, columns: int, rows: int = 1) -> None:
        self._rows = rows
        self._numbers = self._memory(rows * columns * _WIDTH).cast("Q")

    def row(self, number: int) -> memoryview:
        """One row, to be read by all and written by one process."""
        return self._numbers[number :: self._rows]

    def rows(self) -> list[memoryview]:
        """Every row, in order."""
        return [self.row(number) for number in range(self._rows)]

    def column(self, number: int) -> memoryview:
        """What every row has at one place, in the order of the rows; lies together."""
        start = number * self._rows
        return self._numbers[start : start + self._rows]

    def _memory(self, size: int) -> memoryview:
        return memoryview(bytearray(size))


class Board(LocalBoard):
    """A board in memory that processes forked from this one share with it."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__(columns, rows)

    def _memory(self, size: int) -> memoryview:
        from mmap import mmap  # not needed by a server of one process

        return memoryview(mmap(-1, size))


class SaveCount:
    """How often any process saved: one *column* of a board, this process at *row*.

    Whoever takes over the row of a process that died counts on from there.
    """

    def __init__(self, board: LocalBoard, row: int = 0, column: int = 0) -> None:
        self._counts = board.column(column)
        self._row = row
        self._next = count(self._counts[row] + 1)
        # Differs from all before it once any process has saved; asked for each answer.
        self.value: Callable[[], Hashable] = self._counts.tobytes

    def raise_(self) -> None:
        """Tell every process that something was saved; thread-safe.

        Threads may write in another order than they counted, which does no harm: no
        value comes twice.
        """
        self._counts[self._row] = next(self._next)
