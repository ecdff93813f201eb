"""Files whose stamps no longer change by themselves."""

from pathlib import Path

from pyconfserve.folder import FolderTree


def settle(folder):
    """Wait the 50 ms in which a change of *folder* may leave no trace in its times."""
    tree = FolderTree(folder)
    paths = [f"{path.relative_to(folder)}" for path in Path(folder).rglob("*")]
    while not all(stamp is None or stamp[-1] for stamp in tree.stamp(["", *paths], fresh=True)):  # fmt: skip
        pass
