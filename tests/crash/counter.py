"""A process that counts a file up by compare-and-set, and prints what it did.

    python counter.py ROOT SUCCESSES
"""

import json
import sys
import time

from pyconfserve.errors import VersionConflict
from pyconfserve.folder import FolderTree

PATH = "main/counter.json"


def read(tree):
    """(stamp, number), the stamp from before."""
    stamp = tree.stamp((PATH,), fresh=True)[0]
    return stamp, int(tree.read(PATH).data)


def run(root, successes):
    """Count up *successes* times; each attempt is printed as an operation."""
    tree = FolderTree(root)
    while successes:
        began = time.monotonic()
        stamp, number = read(tree)
        print(json.dumps(["read", number, began, time.monotonic()]))
        began = time.monotonic()
        try:
            tree.change({PATH: b"%d" % (number + 1)}, "count", {PATH: stamp})
        except VersionConflict:
            continue
        print(json.dumps(["write", number + 1, began, time.monotonic()]))
        successes -= 1


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]))
