"""GitConfigBackend: bundles as files of a git repository, every label at once."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from ...backend import ConfigSource, Found, FoundFile
from ...bundles import read_bundle, read_file, read_sources
from ...environment import names
from ...environment.overlay import DEFAULT_LABEL, Lookup, make_lookup
from ...errors import Conflict, InvalidRequest, SettingsError
from ...files import BundleName, Location, bundle_name
from ...locations import Place, find_locations, split_pattern
from ...saving import change_bundle, stored_bundle
from ...threads import Threads
from ...versions import ANYTHING, Changed, Expected, Stored, Work
from .catalog import Catalog
from .clone import Clone
from .history import GitPast
from .labels import Labels
from .merging import Rules
from .origin import Access, Origin
from .patterns import in_folders, search_folder
from .refreshing import Refresher
from .repository import Repository
from .saving import BranchTree, author_environment
from .scratch import Scratch

__all__ = ["GitConfigBackend"]


class GitConfigBackend:
    """Bundles as files `<application>-<profile>.yaml` of the repository at *uri*.

    A label is a branch, a tag or the full id of a commit that one of them reaches; a
    request that names none gets *label*, else `main`, else `master`. All labels are
    read at once, from the objects of a bare clone: in *clone_dir*, which is kept, else
    in a temporary folder. Without *uri*, *clone_dir* is the store itself.

    *search_paths* are folders beside the root, highest precedence first, with
    `{application}`, `{profile}`, `{label}` and wildcards. Origin is asked in the
    background every *refresh_rate* seconds, 0 for never, and by `refresh`. *access*
    holds credentials and what concerns the connection. Saves are commits by *author*;
    nothing is pushed.

    The other options are Spring's: see its documentation of the same names. Raises
    SettingsError, MissingDependency without GitPython.
    """

    _problem_level = logging.WARNING  # of what is logged about origin

    def __init__(
        self,
        uri: str,
        label: str = DEFAULT_LABEL,
        clone_dir: str | None = None,
        *,
        search_paths: Sequence[str] = (),
        refresh_rate: float = 30.0,
        access: Access | None = None,
        author: str = "pyconfserve <pyconfserve@localhost>",
        verify_commits: bool = True,
        deletes_branches: bool = True,
        tries_master: bool = True,
        skips_unknown_labels: bool = False,
        reverses_plain_files: bool = False,
    ) -> None:
        access = access or Access()
        origin = Origin(uri, access, self._problem_level) if uri else None
        if origin is None and not clone_dir:
            raise SettingsError("expected the URI of a repository")
        label = _checked_label(label)
        self._patterns = [search_folder(path) for path in search_paths]
        self._author = author_environment(author)
        self._reverses_plain_files = reverses_plain_files
        self._saved: dict[str, dict[str, BundleName]] = {}  # by branch and path
        scratch = Scratch()
        folder = clone_dir or f"{scratch.path}/clone"
        verifies = in_folders(["", *self._patterns]) if verify_commits else None
        self._repository = Repository(
            Clone(folder, origin, scratch.path),
            f"{origin.uri if origin else 'git'}/",
            (label, DEFAULT_LABEL, *(["master"] * tries_master)),
            Rules(verifies, deletes_branches, self._author, self._problem_level),
        )
        self._labels = Labels(self._repository, skips_unknown=skips_unknown_labels)
        self._catalog = Catalog(self._repository, self._patterns, self._saved)
        self._refresher = Refresher(self._repository, refresh_rate)
        self._readers = Threads("pyconfserve-git-read")
        # Its own: a long history takes no thread of a reader's.
        self._historians = Threads("pyconfserve-git-past", 4)
        # One thread: saves take turns anyway, and readers need the others.
        self._saver = Threads("pyconfserve-git-save", 1)
        self._closer = Threads("pyconfserve-git-close", 1)
        self._end = weakref.finalize(self, _close, self._refresher, scratch)

    @property
    def default_label(self) -> str:
        """The label of requests that name none."""
        return self._repository.default_label(self._repository.current())

    @property
    def past(self) -> GitPast:
        """What the branches and tags reach, and a way back to it."""
        return GitPast(self)

    async def open(self) -> None:
        """Clone unless that was done, and keep up with origin; raises BackendError."""
        if not self._repository.is_open:
            await asyncio.wrap_future(self._refresher.open())

    async def refresh(self) -> None:
        """Take in what origin has now.

        Raises BackendError when it cannot be reached, Conflict when it changed a file
        that was saved here; then what was served is served on.
        """
        await asyncio.wrap_future(self._refresher.refresh())

    async def sources(self, lookup: Lookup) -> Found:
        """All that the lookup's labels have.

        Raises ConfigNotFound for an unknown label, DocumentError, BackendError.
        """
        await self.open()
        return await self._readers.run(lookup.applications, self._sources, lookup)

    def _sources(self, lookup: Lookup) -> Found:
        state = self._repository.present()  # one moment for all of the answer
        labelled = self._labels.find(lookup, state)
        blocks = self._blocks(lookup, labelled.commits)
        found = read_sources(lookup, blocks, self._repository.default_label(state))
        return found._replace(
            version=",".join(labelled.commits.values()),
            state="",
            seen=labelled.seen,
            stamp=state.stamp(labelled.seen),
        )

    async def file(self, lookup: Lookup, path: str) -> FoundFile | None:
        """The plain file at *path*.

        Raises ConfigNotFound for an unknown label, DocumentError if it is too large,
        BackendError.
        """
        await self.open()
        return await self._readers.run(lookup.applications, self._file, lookup, path)

    def _file(self, lookup: Lookup, path: str) -> FoundFile | None:
        state = self._repository.present()
        labelled = self._labels.find(lookup, state)
        blocks = self._blocks(lookup, labelled.commits)
        last_wins = self._reverses_plain_files
        found = read_file(lookup, blocks, path, is_reversed=last_wins)
        stamp = state.stamp(labelled.seen)
        return found and found._replace(seen=labelled.seen, stamp=stamp)

    def stamp(self, seen: Hashable) -> Hashable:
        """The commits that the labels of an answer stand for now."""
        labels: tuple[str, ...] = seen  # type: ignore[assignment]  # Found.seen
        state = self._repository.current()
        return None if self._repository.looks.is_due else state.stamp(labels)

    def look_again(self) -> None:
        """Read the refs again that another process has moved."""
        self._repository.look_again()

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """The one bundle, its locations merged.

        Raises InvalidRequest, DocumentError, BackendError.
        """
        name = bundle_name(application, profile, label)
        await self.open()
        return await self._readers.run((name.application,), self._fetch, name)

    def _fetch(self, name: BundleName) -> ConfigSource | None:
        commit = self._repository.commit_of(name.label, self._repository.present())
        if commit is None:
            return None
        lookup = make_lookup(name.application, name.profile, name.label)
        return read_bundle(name, self._locations(lookup, name.label, commit))

    async def save(self, source: ConfigSource) -> None:
        """Commit the bundle on its branch, durably.

        Raises ConfigNotFound for an unknown branch, Conflict for a tag or a commit,
        InvalidRequest, SchemaViolation, ValueTooLarge, BackendError.
        """
        names = source.application, source.profile, source.label
        await self.change(*names, lambda _: source.properties)

    async def stored(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> Stored | None:
        """What the one file holds that a save would replace, at any label."""
        name = bundle_name(application, profile, label)
        folder = self._folder()
        await self.open()
        return await self._readers.run((name.application,), self._stored, folder, name)

    def _stored(self, folder: str, name: BundleName) -> Stored | None:
        commit = self._repository.commit_of(name.label, self._repository.present())
        if commit is None:
            return None
        return stored_bundle(self._repository.tree(commit), [folder], name)

    async def change(
        self,
        application: str,
        profile: str,
        label: str,
        work: Work,
        expected: Expected = ANYTHING,
    ) -> Changed:
        """Commit a change of that file on its branch, durably; errors as in `save`."""
        name = bundle_name(application, profile, label)
        folder = self._folder()
        await self.open()
        return await self._saver.run((), self._change, folder, name, work, expected)

    def _change(
        self, folder: str, name: BundleName, work: Work, expected: Expected
    ) -> Changed:
        with self._repository.changing() as lock:
            self._repository.check_branch(name.label)
            tree = BranchTree(self._repository, name.label, self._author, lock)
            path, changed = change_bundle(tree, [folder], name, work, expected)
        saved = self._saved.setdefault(name.label, {})
        saved.pop(path, None)
        if changed.version is not None:
            saved[path] = name
        return changed

    def _folder(self) -> str:
        """The folder that saves go to; raises Conflict where it is a pattern."""
        folder = self._patterns[0] if self._patterns else ""
        if split_pattern(folder)[1]:
            raise Conflict("the first search path is a pattern: nothing is saved")
        return folder

    def health(self) -> Mapping[str, Any]:
        """How the repository is, without credentials.

        Raises BackendError when it cannot answer anyone.
        """
        return self._repository.health()

    async def close(self) -> None:
        """End what runs, and remove a temporary clone; calling this twice is fine."""
        pools = self._readers, self._historians, self._saver
        await asyncio.gather(
            self._closer.run((), self._end), *(pool.close() for pool in pools)
        )

    def _blocks(
        self, lookup: Lookup, commits: Mapping[str, str]
    ) -> list[list[Location]]:
        """One block of locations for each label; the last of a list comes first."""
        return [
            self._locations(lookup, label, commit)
            for label, commit in reversed([*commits.items()])
        ]

    def _locations(self, lookup: Lookup, label: str, commit: str) -> list[Location]:
        """The search paths at *commit*, and the root below all of them."""
        tree = self._repository.tree(commit)
        paths = [Place(tree, pattern) for pattern in self._patterns]
        root = [Place(tree)]
        first_wins = lookup.dialect.application_first
        places = [*paths, *root] if first_wins else [*root, *paths]
        one = lookup._replace(labels=(label,))
        return find_locations(places, one, label, label_folders=False).blocks[0]

    async def list(self) -> list[ConfigSource]:
        """The names of the bundles on all branches; properties are left empty.

        Raises BackendError, also above listing.MOST_LISTED.
        """
        await self.open()
        await self._readers.run((), self._repository.present)
        return await asyncio.wrap_future(self._catalog.sources())


def _close(refresher: Refresher, scratch: Scratch) -> None:
    refresher.stop()
    scratch.remove()


def _checked_label(label: str) -> str:
    try:
        return names.label(label)
    except InvalidRequest as error:
        raise SettingsError(str(error)) from error
