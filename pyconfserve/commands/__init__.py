"""The command line: `python -m pyconfserve ROOT`, or a command and its arguments."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from ..errors import ConfigError, SettingsError

__all__ = ["COMMANDS", "main"]

# A row is a module here with run(arguments).
COMMANDS = {
    "serve": "serve a folder, a git repository or a store over HTTP",
    "get": "print the configuration that a server gives",
    "run": "run a command with it as environment variables",
    "explain": "say where each value comes from, and what it hides",
    "history": "print the commits that changed a configuration",
    "diff": "print the keys in which two labels, commits or profiles differ",
    "rollback": "save a bundle again as it was at a commit",
    "copy": "copy all of it to another folder, repository or store",
    "check": "find what is wrong with a folder, for CI",
    "encrypt": "encrypt a text for a {cipher} value",
    "decrypt": "decrypt a {cipher} value",
    "user": "add, remove or list the users of a server",
}


def main(arguments: Sequence[str]) -> int:
    """Run a command; gives the exit status.

    1 is for what the user's data did, 2 for how it was called or a missing library.
    Without a command's name it is `serve`; a folder named like a command needs ./ in
    front.
    """
    name, rest = "serve", list(arguments)
    if rest and rest[0] in COMMANDS:
        name = rest.pop(0)
    try:
        status = _loaded(name)(rest)
    except ConfigError as error:
        print(f"pyconfserve: error: {error.in_full}", file=sys.stderr)
        return 2 if isinstance(error, SettingsError | ImportError) else 1
    return status


def _loaded(name: str) -> Callable[[Sequence[str]], int]:
    """What runs a command.

    Modules stay: to look for garbage among them takes a tenth of a start, and again
    with each full collection that the command comes to.
    """
    gc.disable()
    try:
        run: Callable[[Sequence[str]], int] = import_module(f".{name}", __package__).run
        gc.freeze()
    finally:
        gc.enable()
    return run
