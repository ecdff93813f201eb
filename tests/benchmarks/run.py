"""Speed and memory as ratios against peers measured in the same run: python tests/benchmarks/run.py [NAME …].

It prints one table. Every ratio is the median of several rounds in which ours and the peer take turns, because
machines are noisy. Peers that are not installed (nginx, wrk and openssl are Debian packages, uvicorn and httptools
come from PyPI) are named as missing. The figures are kept and compared with at the next run. Nothing here is a test:
a goal that is not reached is a line, not an error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import last_run
from applications import applications
from cached import answer, large_answer, large_file, not_modified, tls, users
from client import client_start
from frameworks import starlette
from git_figures import git_answers, git_load, git_refresh
from growth import growth
from latency import latency
from machine import busy, described, machine, versions
from measuring import EFFORT, PACKAGE_ROOT, Missing
from reading import cold_bundle, rendering
from rows import HEAD, Row, unreached
from starting import start
from store_figures import stores
from watchers import watchers
from worker_processes import workers

BENCHMARKS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "cached": answer("asyncio", "≥ 0.8"),
    "cached-uvloop": answer("uvloop", "≥ 1.0"),
    "spring": answer("asyncio", "≥ 0.8", "--spring"),
    "users": users,
    "tls": tls("asyncio", "≥ 0.4"),
    "tls-uvloop": tls("uvloop", "≥ 0.7"),
    "304": not_modified("asyncio"),
    "304-uvloop": not_modified("uvloop"),
    "applications": applications,
    "cold": cold_bundle,
    "workers": workers,
    "starlette": starlette,
    "large": large_answer,
    "file": large_file,
    "start": start,
    "watchers": watchers,
    "latency": latency("asyncio"),
    "latency-uvloop": latency("uvloop"),
    "rendering": rendering,
    "git": git_answers,
    "git-refresh": git_refresh,
    "git-load": git_load,
    "client": client_start,
    "stores": stores,
    "growth": growth,
}


def measured(names: list[str], before: dict[str, object]) -> Iterator[Row | str]:
    """The rows of the benchmarks, and of those that cannot be measured the reason; progress goes to stderr."""
    for number, name in enumerate(names, 1):
        began = time.monotonic()
        tell(f"[{number}/{len(names)}] {name} …")
        with tempfile.TemporaryDirectory(prefix="benchmark-") as work:
            os.chmod(work, 0o755)  # for nginx's worker
            try:
                for row in BENCHMARKS[name](Path(work)):
                    tell(f"  {row.work}: {row.ratio:.2f}, {last_run.change(row, before)}")
                    yield row
            except Missing as reason:
                yield f"{name}: {reason}"
            except (Exception, SystemExit) as error:  # what the others have measured must not be lost
                traceback.print_exc()
                yield f"{name} failed: {error}"
        tell(f"  {time.monotonic() - began:.0f} s")


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def listed(title: str, lines: list[str]) -> None:
    """Print *lines* as a list, if there are any."""
    if lines:
        print("\n".join([f"\n{title}:\n", *(f"- {line}" for line in lines)]))


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all without any")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON too")
    parser.add_argument("--quick", action="store_true", help="one round of one second, to see that all works; not kept")
    parser.add_argument("--rounds", type=int, default=EFFORT.rounds, metavar="N", help=f"{EFFORT.rounds} if not set")
    found = parser.parse_args()
    if unknown := set(found.names) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    return found


def main() -> None:
    sys.path.insert(0, str(PACKAGE_ROOT))  # this one, not one that is installed
    chosen = options()
    EFFORT.rounds = 1 if chosen.quick else chosen.rounds
    EFFORT.seconds = 1 if chosen.quick else EFFORT.seconds
    here, with_versions, file = machine(), versions(), last_run.place()
    before, others = last_run.kept(file), busy()
    tell(f"{here}; {others}")
    found = [*measured(chosen.names or [*BENCHMARKS], before)]
    rows = [each for each in found if isinstance(each, Row)]
    missing = [each for each in found if isinstance(each, str)]
    print("\n".join([HEAD, *map(str, rows)]))
    when = f"{time.strftime('%Y-%m-%d')}, {others}; medians of {EFFORT.rounds} rounds"
    print(f"\n{here}; {described(with_versions)}; {when}.")
    listed("Not measured", missing)
    listed("Goals that are not reached", unreached(rows))
    listed("Since the last run", last_run.comparison(rows, before, here))
    if chosen.json:
        about = {"machine": here, "busy": others, "versions": with_versions, "rounds": EFFORT.rounds}
        figures = {**about, "missing": missing, "rows": [asdict(row) for row in rows]}
        chosen.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False), "utf-8")
    if not chosen.quick:
        last_run.keep(file, rows, here)


if __name__ == "__main__":
    main()
