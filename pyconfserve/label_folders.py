"""Where a label is a folder: one with another folder's name leads into that.

The folder of another application, or of another profile, is such a one. Nothing is
looked up: by names alone a label's folder may be any.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from .backend import ConfigBackend
from .environment.overlay import Lookup

__all__ = ["FolderBackend", "LabelFolders", "label_folders_of"]


class LabelFolders(NamedTuple):
    """Labels but *default_label* may lead to plain files of others.

    Where they *reach_bundles*, to bundles too.
    """

    default_label: str
    reach_bundles: bool

    def others(self, lookup: Lookup) -> list[str]:
        """The labels asked for that may lead elsewhere."""
        usual = self.default_label, lookup.dialect.default_label
        return [label for label in lookup.labels if label not in usual]


@runtime_checkable
class FolderBackend(Protocol):
    """A backend in which labels may be folders."""

    @property
    def label_folders(self) -> LabelFolders | None:
        """What they may reach, None where no label is a folder."""
        ...


def label_folders_of(backend: ConfigBackend) -> LabelFolders | None:
    """What labels may reach in *backend*, None where none is a folder."""
    return backend.label_folders if isinstance(backend, FolderBackend) else None
