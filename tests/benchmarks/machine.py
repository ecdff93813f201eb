"""What it was measured on: the machine, and the versions of all that takes part."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from measuring import Missing, tool

PACKAGES = ("uvloop", "PyYAML", "starlette", "uvicorn", "httptools")
PROGRAMS = {"nginx": "-v", "wrk": "-v", "openssl": "version", "git": "--version"}


def machine() -> str:
    """The machine and Python, on which figures depend most."""
    return (
        f"Python {platform.python_version()}, {platform.system()} {platform.release()} {platform.machine()}, "
        f"{processor()}, {cores()} cores"
    )


def busy() -> str:
    """How many others want the processor, where the system tells it: they are in the figures too."""
    return f"load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""


def processor() -> str:
    """The model of the processor, where the system tells it."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or "a processor"


def cores() -> int:
    """The cores that may be used."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str | None]:
    """The versions of peers, tools and libraries; None for what is not installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found | {program: program_version(program) for program in PROGRAMS}


def program_version(program: str) -> str | None:
    try:
        command = [tool(program), PROGRAMS[program]]
    except Missing:
        return None
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    number = re.search(r"\d+(\.\d+)+", done.stdout)
    return number[0] if number else "?"


def described(found: dict[str, str | None]) -> str:
    """The versions in one line, and then what is missing."""
    line = ", ".join(f"{name} {number}" for name, number in found.items() if number)
    absent = [name for name, number in found.items() if not number]
    return line + (f"; not installed: {', '.join(absent)}" if absent else "")
