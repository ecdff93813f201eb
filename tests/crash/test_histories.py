"""Compare-and-set between processes: nobody's count is lost, and the history is right."""

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from histories import Operation, contradictions
from victims import Victims, environment

HERE = Path(__file__).parent
PROCESSES, SUCCESSES = 4, 40


def write(number, began, ended):
    return Operation("write", number, began, ended)


def read(number, began, ended):
    return Operation("read", number, began, ended)


@pytest.mark.parametrize(
    ("history", "is_right"),
    [
        ([write(1, 0, 2), write(2, 1, 3), read(2, 4, 5)], True),
        ([write(1, 0, 2), read(0, 1, 3), read(1, 1, 3)], True),
        ([write(1, 0, 1), read(0, 2, 3)], False),
        ([write(1, 0, 1), read(2, 0, 1), write(2, 2, 3)], False),
        ([write(1, 0, 1), write(1, 2, 3)], False),
        ([write(1, 0, 3), write(1, 1, 2)], False),
        ([read(1, 0, 5), write(1, 1, 2), read(0, 3, 4)], False),
        ([], True),
    ],
    ids=["in-turn", "side-by-side", "stale", "too-early", "twice", "twice-at-once", "back", "none"],
)  # fmt: skip
def test_the_judge_of_histories_is_right(history, is_right):
    """A test of the test."""
    assert (contradictions(history) == []) is is_right


def history_of(running):
    """What processes print, when they have ended."""
    history = []
    for process in running:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        history += [Operation(*json.loads(line)) for line in output.splitlines()]
    return history


def test_processes_that_count_lose_none(tmp_path):
    """The number is that of the successes, and what was read fits the order of them."""
    (tmp_path / "main").mkdir()
    (tmp_path / "main/counter.json").write_text("0")
    command = [sys.executable, str(HERE / "counter.py"), str(tmp_path), str(SUCCESSES)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())
        for _ in range(PROCESSES)
    ]
    history = history_of(running)
    written = [one for one in history if one.kind == "write"]
    assert len(written) == PROCESSES * SUCCESSES
    assert (tmp_path / "main/counter.json").read_text() == str(len(written))
    assert contradictions(history) == []
    assert sorted(path.name for path in (tmp_path / "main").iterdir()) == ["counter.json"]


@pytest.mark.parametrize(
    "servers",
    [[[]], [["--workers", "2"]], [[], []]],
    ids=["one", "workers", "two-servers"],
)
def test_clients_that_count_lose_none(servers, tmp_path):
    """Under `If-Match`: by one server, by its workers, and by two on one folder."""
    root = tmp_path / "root"
    (root / "main").mkdir(parents=True)
    (root / "main/counter-prod.json").write_text('{"n": 0}')
    with ExitStack() as stack:
        ports = []
        for options in servers:
            victims = stack.enter_context(Victims([root, *options], tmp_path / "log"))
            victims.start()
            ports.append(victims.port)
        running = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, str(HERE / "http_counter.py"), str(ports[number % len(ports)]), str(SUCCESSES // 2)],
                    stdout=subprocess.PIPE, text=True,
                )
            )
            for number in range(PROCESSES)
        ]  # fmt: skip
        history = history_of(running)
    written = [one for one in history if one.kind == "write"]
    assert len(written) == PROCESSES * (SUCCESSES // 2)
    assert json.loads((root / "main/counter-prod.json").read_text()) == {"n": len(written)}  # fmt: skip
    assert contradictions(history) == []
