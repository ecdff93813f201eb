"""What a process takes: its memory, its part of the processor, and the cores it may use."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measuring import Missing


def resident(pid: int) -> float:
    """Resident bytes of a process."""
    if Path(f"/proc/{pid}/statm").exists():
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return float(pages * os.sysconf("SC_PAGE_SIZE"))
    command = ["ps", "-o", "rss=", "-p", str(pid)]
    return float(subprocess.run(command, capture_output=True, text=True).stdout) * 1024


def processor_time(pid: int) -> float:
    """Seconds that all threads of a process have run, those that have ended too; in steps of 10 ms."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        raise Missing("Linux's /proc") from None
    user, system = text.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Have what is started here run on so many cores; raises Missing."""
    if not hasattr(os, "sched_setaffinity"):
        raise Missing("a system that binds processes to cores")
    before = os.sched_getaffinity(0)
    if len(before) < count:
        raise Missing(f"{count} cores")
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def allow_descriptors(count: int) -> None:
    """Let this process and those it starts open *count* files; raises Missing."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < count:
        raise Missing(f"a limit of {count:,} descriptors (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
