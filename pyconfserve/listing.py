"""The names of the bundles in a tree, told from the names of its files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from .environment import names
from .environment.overlay import DEFAULT_PROFILE, OWN
from .errors import BackendMisconfigured, ConfigError
from .files import BundleName, FileTree, Folder, bundle_name

__all__ = ["MOST_LISTED", "list_bundles", "list_folder", "too_many"]

MOST_LISTED = 100_000  # bundles: an answer of 8 MB, half of what our client takes
_DEEPEST_LABEL = 8  # folders in which list_bundles looks


def list_bundles(
    tree: FileTree,
    default_label: str,
    saved: Mapping[str, BundleName],
    folder: str = "",
    depth: int = 1,
) -> list[BundleName]:
    """The names of the bundles in a folder of *tree* and in its label folders.

    They go by path: files are not read. `order-service-prod.yml` is `order-service`
    with profile `prod` where `order-service.yml` or another profile of it lies beside
    it, else it splits at its last dash; *saved* knows better, by path. Raises
    BackendError.
    """
    content = tree.list(folder)
    if content is None:
        return []
    found = _bundles(content, folder, folder or default_label, saved)
    if depth < _DEEPEST_LABEL:
        prefix = f"{folder}/" if folder else ""
        for child in content.folders:
            found += list_bundles(
                tree, default_label, saved, f"{prefix}{child}", depth + 1
            )
    return found


def list_folder(
    tree: FileTree, folder: str, label: str, saved: Mapping[str, BundleName]
) -> list[BundleName]:
    """The names of the bundles in one folder, all of *label*; raises BackendError."""
    content = tree.list(folder)
    return _bundles(content, folder, label, saved) if content else []


def too_many(most: int = MOST_LISTED) -> BackendMisconfigured:
    """What to raise for more than *most* bundles: a part would be taken for all."""
    return BackendMisconfigured(f"more than {most} bundles are stored: no list of them")


def _bundles(
    content: Folder, folder: str, label: str, saved: Mapping[str, BundleName]
) -> list[BundleName]:
    prefix = f"{folder}/" if folder else ""
    stems = {
        file.rpartition(".")[0]: f"{prefix}{file}"
        for file in content.files
        if file.rpartition(".")[2] in OWN.suffixes
    }
    applications = Counter(stem.rpartition("-")[0] for stem in stems)
    found = [
        saved.get(path) or BundleName(*_split(stem, stems, applications), label)
        for stem, path in stems.items()
    ]
    return [bundle for bundle in found if _is_servable(bundle)]


def _split(
    stem: str, stems: Collection[str], applications: Counter[str]
) -> tuple[str, str]:
    """(application, profile) of a file's stem, judged by the stems beside it."""
    cuts = [index for index, character in enumerate(stem) if character == "-"]
    if not cuts or stem in applications:
        return stem, DEFAULT_PROFILE
    for cut in reversed(cuts):
        if stem[:cut] in stems:
            return stem[:cut], stem[cut + 1 :]
    for cut in reversed(cuts):
        own = cut == cuts[-1]  # its last cut is in the count itself
        if applications[stem[:cut]] > own:
            return stem[:cut], stem[cut + 1 :]
    return stem[: cuts[-1]], stem[cuts[-1] + 1 :]


def _is_servable(bundle: BundleName) -> bool:
    try:
        bundle_name(*bundle)
    except ConfigError:
        return False
    return not names.is_reserved(bundle.application)
