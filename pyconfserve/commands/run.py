"""`run`: a command with an application's configuration as environment variables.

The command takes this process's place, so that its exit status is the command's and
every signal is for the command.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence

from .asking import ask, make_parser
from .variables import Variables, to_variables

__all__ = ["run"]

_NOT_FOUND, _NOT_EXECUTABLE = 127, 126  # as shells, env and nohup have it
# Python ignores these, and what it starts would inherit that.
_RESTORED = ("SIGPIPE", "SIGXFZ", "SIGXFSZ")


def run(arguments: Sequence[str]) -> int:
    """Run the command; comes back only when that cannot be, with 126 or 127.

    Raises SettingsError for how it was called, FetchError when the server gives none:
    then nothing is run.
    """
    parser = make_parser(
        "run",
        "Run a command with the configuration of an application as environment "
        "variables: db.pool-size is DB_POOL_SIZE. What is set already stays.",
        "%(prog)s [flags] URL APPLICATION [PROFILE] -- COMMAND ...",
    )
    parser.add_argument("--label", metavar="LABEL")
    parser.add_argument(
        "--override", action="store_true", help="replace what is set already"
    )
    own, command = _split(arguments)
    options = parser.parse_intermixed_args(own)
    if not command:
        parser.error("expected -- and a command")
    variables = to_variables(ask(options))
    environ, problems = _merged(os.environ, variables, overrides=options.override)
    for problem in (*variables.problems, *problems):
        print(f"pyconfserve: {problem}", file=sys.stderr)
    return _become(command, environ)


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments before the first `--`, and the command after it."""
    given = list(arguments)
    if "--" not in given:
        return given, []
    place = given.index("--")
    return given[:place], given[place + 1 :]


def _merged(
    environ: Mapping[str, str], variables: Variables, *, overrides: bool
) -> tuple[dict[str, str | bytes], list[str]]:
    """The environment of the command, and what is left out of it because it is set."""
    merged: dict[str, str | bytes] = dict(environ)
    problems = []
    for name, text in variables.values.items():
        if overrides or name not in environ:
            merged[name] = text.encode("utf-8")
        elif environ[name] != text:
            key = variables.keys[name]
            problems.append(f"{key!r} is left out: {name} is set already (--override)")
    return merged, problems


def _become(command: list[str], environ: Mapping[str, str | bytes]) -> int:
    for name in _RESTORED:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    sys.stderr.flush()
    try:
        # Found by the PATH in *environ*, which is the caller's: no property sets it.
        os.execvpe(command[0], command, environ)
    except OSError as error:
        problem = f"{command[0]}: {error.strerror}"
        print(f"pyconfserve: error: {problem}", file=sys.stderr)
        return _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
