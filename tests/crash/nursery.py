"""A process that has imported the server and forks it: `python -m pyconfserve` without
the tenth of a second that its imports take, so that it can be killed often.

Each line on standard input is the arguments of one more server, as JSON. The one before
has to be gone. It prints its number, and then its own first line.
"""

import gc
import json
import os
import sys
from contextlib import suppress
from importlib import import_module
from pkgutil import walk_packages

import pyconfserve
from pyconfserve.commands import main

UNUSED = ("pyconfserve.__main__", "pyconfserve.testing")  # by a server


def serve(arguments):
    """Be the server, in a session of its own, so that it is killed with its children."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.write(1, b"process %d\n" % os.getpid())
    os._exit(main(arguments))


def run():
    """Fork one server after another."""
    for module in walk_packages(pyconfserve.__path__, "pyconfserve."):
        if module.name not in UNUSED:
            with suppress(ImportError):  # of a library that is not installed
                import_module(module.name)
    gc.freeze()
    child = 0
    for line in sys.stdin:
        if child:
            os.waitpid(child, 0)
        child = os.fork()
        if not child:
            serve(json.loads(line))


if __name__ == "__main__":
    run()
