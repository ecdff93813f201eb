"""The suite's own arithmetic: rows, the comparison with the last run, exponents, the picture, what is missing."""

from __future__ import annotations

import json
import urllib.error
import xml.etree.ElementTree as ET
from pathlib import Path

import last_run
import measuring
import pytest
import run
from chart import drawn
from curves import Curve, Panel
from machine import described
from rows import Row, compared, figure, unreached

HERE = Path(__file__).resolve().parent
README = (HERE.parents[1] / "README.md").read_text("utf-8")


def test_a_row_has_medians_and_the_median_of_ratios() -> None:
    """Not the ratio of medians: each round is held against its own peer."""
    row = compared("work", "peer", [(10, 40), (90, 30), (20, 20)], "≥ 0.8")
    assert row == Row("work", "20", "30 (peer)", 1.0, "≥ 0.8", (0.25, 3.0, 1.0))
    assert str(row) == "| work | 20 | 30 (peer) | 1.00 | ≥ 0.8 |"


@pytest.mark.parametrize(
    ("ratio", "goal", "expected"),
    [
        (0.8, "≥ 0.8", True),
        (0.79, "≥ 0.8", False),
        (1.3, "≤ 1.3", True),
        (1.31, "≤ 1.3", False),
        (2.0, "< 2", False),
        (0.1, "", True),
    ],
)
def test_a_goal_is_held_against_the_ratio(ratio: float, goal: str, expected: bool) -> None:
    """At least, at most, below; a row without a goal reaches it."""
    row = Row("work", "1", "1", ratio, goal)
    assert row.is_reached is expected
    assert len(unreached([row])) == (not expected)


@pytest.mark.parametrize(("value", "expected"), [(61302.6, "61,303"), (1.5178, "1.52"), (0.0813, "0.0813")])
def test_figures_have_three_digits(value: float, expected: str) -> None:
    """Large ones have all of theirs before the point."""
    assert figure(value) == expected


def test_rounds_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was last is first in the next round, and pairs stay in order."""
    monkeypatch.setattr(measuring.EFFORT, "rounds", 3)
    calls: list[float] = []

    def measure(value: float) -> float:
        calls.append(value)
        return value

    pairs = measuring.interleaved(lambda: measure(1), lambda: measure(2))
    assert pairs == [(1, 2)] * 3
    assert calls == [1, 2, 2, 1, 1, 2]


class TestLastRun:
    """What a run leaves for the next one."""

    rows = (Row("a", "1", "1", 0.9, "≥ 0.8"), Row("b", "1", "1", 0.5))

    def test_its_place_is_in_the_cache(self, tmp_path: Path) -> None:
        """In XDG_CACHE_HOME, else in ~/.cache."""
        file = Path("pyconfserve/benchmarks.json")
        assert last_run.place({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / file
        assert last_run.place({}) == Path.home() / ".cache" / file

    def test_a_run_of_some_leaves_the_others(self, tmp_path: Path) -> None:
        """Rows are replaced one by one."""
        file = tmp_path / "new" / "benchmarks.json"
        last_run.keep(file, self.rows, "here")
        last_run.keep(file, [Row("b", "2", "1", 0.7)], "there")
        assert last_run.kept(file) == {
            "a": {"ratio": 0.9, "machine": "here"},
            "b": {"ratio": 0.7, "machine": "there"},
        }

    @pytest.mark.parametrize("text", [None, "", "[]", "{"])
    def test_none_is_no_error(self, tmp_path: Path, text: str | None) -> None:
        """Neither is a file that is broken: all rows are new."""
        if text is not None:
            (tmp_path / "file").write_text(text)
        assert last_run.kept(tmp_path / "file") == {}
        assert last_run.change(self.rows[0], {}) == "new"

    def test_changes_beyond_noise_are_told(self) -> None:
        """A tenth is noise; another machine is named."""
        before = {"a": {"ratio": 0.95, "machine": "here"}, "b": {"ratio": 0.4, "machine": "there"}}
        assert [last_run.change(row, before) for row in self.rows] == ["was 0.95", "was 0.40 *"]
        assert last_run.comparison(self.rows, before, "here") == [
            "b: 0.50, was 0.40",
            "the last run was on another machine: there",
        ]


@pytest.mark.parametrize(
    ("power", "judgement"), [(0, "flat"), (0.5, "less than linear"), (1, "linear"), (2, "more than linear")]
)
def test_the_exponent_of_a_power_is_found(power: float, judgement: str) -> None:
    """Whatever it is multiplied by; and a constant part hides it only among small sizes."""
    sizes = (10, 100, 1_000, 10_000, 50_000)
    curve = Curve("x", tuple((size, 7 * size**power) for size in sizes))
    assert curve.exponent == pytest.approx(power)
    assert curve.judgement == judgement
    raised = Curve("x", tuple((size, 700 + 7 * size) for size in sizes))
    assert 0.85 < raised.exponent < 1


def test_the_picture_is_small_and_well_formed() -> None:
    """Each curve has its line, its points and its judgement; marks in names are escaped."""
    points = tuple((10.0**power, 3.0) for power in range(6))
    curves = Curve("a < b", points), Curve("c", points)
    text = drawn([Panel("things", "µs", curves)] * 4)
    root = ET.fromstring(text)
    kinds = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert (kinds.count("polyline"), kinds.count("circle")) == (8, 48)
    assert text.count("a &lt; b: flat (exponent 0.00)") == 4
    assert len(text) < 60_000


class TestMissing:
    """What is not installed is named, and never guessed."""

    def test_a_program(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With what to install."""
        monkeypatch.setenv("PATH", "")
        with pytest.raises(measuring.Missing, match=r"^absent is not installed \(apt-get install absent\)$"):
            measuring.tool("absent")

    def test_a_library(self) -> None:
        """With what to install."""
        with pytest.raises(measuring.Missing, match=r"^json or absent is not installed \(pip install some\)$"):
            measuring.need("json", "absent", install="some")

    def test_a_benchmark(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is a line with its reason, as one that fails is, and the others go on."""

        def absent(_: Path):
            yield Row("first", "1", "1", 1.0)
            measuring.need("absent", install="some")

        def present(work: Path):
            assert list(work.iterdir()) == []
            yield Row("second", "1", "1", 1.0)

        def broken(_: Path):
            raise ValueError("odd")

        monkeypatch.setattr(run, "BENCHMARKS", {"one": absent, "two": broken, "three": present})
        found = [*run.measured(["one", "two", "three"], {})]
        assert [each if isinstance(each, str) else each.work for each in found] == [
            "first",
            "one: absent is not installed (pip install some)",
            "two failed: odd",
            "second",
        ]

    def test_versions(self) -> None:
        """In the line about the machine."""
        assert described({"nginx": "1.22", "wrk": None}) == "nginx 1.22; not installed: wrk"


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_our_server_runs_on_the_loop_it_is_to(tmp_path: Path, loop: str) -> None:
    """And answers with the four overlays of fifty keys."""
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    folder = measuring.fixture(tmp_path / "cfg")
    with measuring.pyconfserve(folder, loop=loop) as (url, pid, _):
        body, _ = measuring.fetched(f"{url}/orders/prod")
        assert [len(source["source"]) for source in json.loads(body)["propertySources"]] == [50] * 4
        if Path("/proc/self/maps").exists():
            assert ("uvloop" in Path(f"/proc/{pid}/maps").read_text()) is (loop == "uvloop")
    with pytest.raises(urllib.error.URLError):
        measuring.fetched(url)


def test_the_readme_shows_what_the_suite_gives() -> None:
    """Its command, its picture, and a table of its form."""
    assert "`python tests/benchmarks/run.py`" in README
    assert "](tests/benchmarks/growth.svg)" in README
    assert "| work | ours | against | ratio | goal |\n| --- | --- | --- | --- | --- |" in README
    assert (HERE / "growth.svg").stat().st_size < 60_000
