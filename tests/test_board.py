"""Numbers that processes share."""

import os

import pytest

from pyconfserve.board import Board, LocalBoard, SaveCount


def in_a_fork(work):
    """Do *work* in a process forked from this one, to its end."""
    process = os.fork()
    if not process:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0


@pytest.fixture(params=[lambda: Board(3, 2), lambda: LocalBoard(2, 3)], ids=["shared", "local"])
def board(request):
    """Three rows of two numbers."""
    return request.param()


class TestBoard:
    """Rows and columns."""

    def test_it_begins_with_zeros(self, board):
        """In every row."""
        assert [row.tolist() for row in board.rows()] == [[0, 0], [0, 0], [0, 0]]

    def test_rows_and_columns_are_the_same_numbers(self, board):
        """Whatever they are looked at through; 64 bits each."""
        board.row(1)[0] = 7
        board.rows()[2][1] = 2**64 - 1
        assert board.row(1).tolist() == [7, 0]
        assert [
            board.column(number).tolist() for number in range(2)
        ] == [[0, 7, 0], [0, 0, 2**64 - 1]]

    def test_a_local_board_has_one_row(self):
        """Unless it is asked for more."""
        assert [row.tolist() for row in LocalBoard(3).rows()] == [[0, 0, 0]]

    def test_processes_share_a_board(self):
        """What a fork writes, its parent reads, and its other forks do."""
        board = Board(2, 2)
        in_a_fork(lambda: board.row(1).__setitem__(0, 5))
        assert [row.tolist() for row in board.rows()] == [[0, 0], [5, 0]]

        def look():
            assert board.row(1)[0] == 5

        in_a_fork(look)

    def test_a_local_board_is_not_shared(self):
        """It is the memory of one process."""
        board = LocalBoard(1)
        in_a_fork(lambda: board.row(0).__setitem__(0, 5))
        assert [row.tolist() for row in board.rows()] == [[0]]


class TestSaveCount:
    """Whether anyone saved since."""

    def test_a_save_changes_the_value_for_all(self):
        """The one who saved, and the others."""
        board = Board(2, 3)
        ours, theirs = SaveCount(board, 0, 2), SaveCount(board, 1, 2)
        before = ours.value()
        assert before == theirs.value()
        in_a_fork(theirs.raise_)
        assert before != ours.value()
        assert ours.value() == theirs.value()
        assert [row.tolist() for row in board.rows()] == [[0, 0, 0], [0, 0, 1]]

    def test_no_value_comes_twice(self):
        """Whoever saves, and in whichever order."""
        board = Board(3, 1)
        counts = [SaveCount(board, row) for row in range(3)]
        values = [counts[0].value()]
        for turn in range(30):
            counts[turn * 7 % 3].raise_()
            values.append(counts[0].value())
        assert len(set(values)) == 31

    def test_whoever_takes_over_a_row_counts_on(self):
        """A value of the one who died is not given again."""
        board = Board(2, 1)
        values = [SaveCount(board, 1).value()]
        for _ in range(2):
            count = SaveCount(board, 1)
            count.raise_()
            values.append(count.value())
        assert [row.tolist() for row in board.rows()] == [[0], [2]]
        assert len(set(values)) == 3

    def test_of_one_process(self):
        """The same on a board of its own."""
        count = SaveCount(LocalBoard(1))
        before = count.value()
        assert before == count.value()
        count.raise_()
        assert before != count.value()
