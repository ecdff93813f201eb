"""The past of a repository: which commits changed an answer, and saves of what was.

Ids and paths are handed to git on its standard input, and paths as literal ones: no
text of a client is an argument, an option or a pattern. A bundle's name is its
identity: a renamed file is one that went and another that came.
"""

from __future__ import annotations

from collections.abc import (
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ...bundles import Blocks, read_bundle, read_sources
from ...environment.overlay import OWN, Lookup, Slot, make_lookup, plan
from ...errors import (
    ConfigNotFound,
    DocumentError,
    InvalidRequest,
    ReadOnlyBackend,
)
from ...files import BundleName, FileTree, Location, bundle_name, candidates
from ...past import COMMIT, MOST_COMMITS, USUAL_COMMITS, Commit, History
from .refs import BRANCHES
from .repository import Repository
from .saving import BranchTree

if TYPE_CHECKING:
    from .backend import GitConfigBackend

__all__ = ["FirstPast", "GitPast", "read_history"]

_DEADLINE = 30.0  # seconds: as long as a server waits for any answer
_MOST_PATHS = 4000  # of one history: each is compared in every commit
_LONGEST = 500  # characters of a message's line, and of a name
_MANY = "many repositories as one are read-only"
_LITERAL = {"GIT_LITERAL_PATHSPECS": "1"}
_IDS = ("log", "--stdin", "--full-history", "--format=%H")
_DETAILS = (
    *("log", "--stdin", "--full-history", "-z", "--name-only"),
    *("--diff-merges=first-parent", "--format=tformat:%H%x00%ct%x00%an%x00%s"),
)


class GitPast:
    """The past of what *backend* serves."""

    def __init__(self, backend: GitConfigBackend) -> None:
        self._backend = backend

    async def history(
        self, lookup: Lookup, limit: int = USUAL_COMMITS, before: str | None = None
    ) -> History:
        """The commits of the lookup's labels that changed a file of its answer.

        Files of folders that a wildcard stands for are those that it matches now.
        Raises InvalidRequest, ConfigNotFound for an unknown label or commit,
        BackendError.
        """
        if not 1 <= limit <= MOST_COMMITS:
            raise InvalidRequest("limit", f"expected 1 to {MOST_COMMITS}")
        if before is not None:
            _check_id("before", before)
        backend = self._backend
        await backend.open()
        return await backend._historians.run(
            lookup.applications, self._history, lookup, limit, before
        )

    def _history(self, lookup: Lookup, limit: int, before: str | None) -> History:
        backend, repository = self._backend, self._backend._repository
        commits = backend._labels.find(lookup, repository.present()).commits
        paths = _answering(lookup, backend._blocks(lookup, commits))
        if len(paths) > _MOST_PATHS:
            raise InvalidRequest("application", "too many names for one history")
        return read_history(repository, commits.values(), paths, limit, before)

    async def bundle_at(
        self, application: str, profile: str, label: str, commit: str
    ) -> Mapping[str, Any]:
        """The bundle of the file that a save replaces; raises what Past's raises."""
        _check_id("commit", commit)
        found = await self._backend.stored(application, profile, commit)
        if found is None:
            raise ConfigNotFound(f"{application}/{profile} was not there at {commit}")
        return found.properties

    async def restore(
        self, application: str, profile: str, label: str, commit: str
    ) -> str | None:
        """Save the bundle's files as they were at *commit*, in one commit on *label*.

        They are the same to the byte. Raises what Past.restore raises.
        """
        _check_id("commit", commit)
        name = bundle_name(application, profile, label)
        await self._backend.open()
        return await self._backend._saver.run((), self._restore, name, commit)

    def _restore(self, name: BundleName, commit: str) -> str | None:
        backend, repository = self._backend, self._backend._repository
        with repository.changing() as lock:
            repository.check_branch(name.label)
            state = repository.current()
            if repository.commit_of(commit, state) != commit:
                raise ConfigNotFound(f"no branch and no tag reaches {commit}")
            then = self._files(name, commit)
            now = self._files(name, state.refs.ids[BRANCHES + name.label])
            shown = f"{name.application}/{name.profile}"
            if not then:
                raise ConfigNotFound(f"{shown} was not there at {commit}")
            read_bundle(name, self._locations(name, commit))  # it is to be read again
            changes = {
                path: then.get(path)
                for path in {**now, **then}
                if then.get(path) != now.get(path)
            }
            if not changes:
                return None
            tree = BranchTree(repository, name.label, backend._author, lock)
            tree.change(changes, f"roll back {shown} to {commit}")
            names = backend._saved.setdefault(name.label, {})
            names.update(dict.fromkeys(then, name))
            return repository.current().refs.ids[BRANCHES + name.label]

    def _files(self, name: BundleName, commit: str) -> dict[str, bytes]:
        """The files of a bundle at *commit*, by path; raises BackendError."""
        found: dict[str, bytes] = {}
        for location in self._locations(name, commit):
            for path in candidates(Slot(*name[:2], location), OWN):
                file = location.tree.read(path)
                if file is not None:
                    found[path] = file.data
        return found

    def _locations(self, name: BundleName, commit: str) -> list[Location]:
        return self._backend._locations(make_lookup(*name), name.label, commit)


class FirstPast:
    """The past of the first of many repositories that answers a lookup.

    *first* asks them in order.
    """

    def __init__(self, first: Callable[..., Awaitable[Any]]) -> None:
        self._first = first

    async def history(
        self, lookup: Lookup, limit: int = USUAL_COMMITS, before: str | None = None
    ) -> History:
        """Its commits; raises what the default repository raises."""

        async def ask(member: Any) -> History:
            past: GitPast = member.backend.past
            return await past.history(lookup, limit, before)

        found: History = await self._first(lookup, ask)
        return found

    async def bundle_at(
        self, application: str, profile: str, label: str, commit: str
    ) -> Mapping[str, Any]:
        """Of what nobody saves there is none."""
        raise ReadOnlyBackend(_MANY)

    async def restore(
        self, application: str, profile: str, label: str, commit: str
    ) -> str | None:
        """Nothing is saved: which repository it belongs to would be a guess."""
        raise ReadOnlyBackend(_MANY)


def read_history(
    repository: Repository,
    tips: Iterable[str],
    paths: Iterable[str],
    limit: int,
    before: str | None = None,
) -> History:
    """The commits that *tips* reach and that changed one of *paths*, newest first.

    Raises ConfigNotFound when *before* is none of them, BackendError.
    """
    wanted = frozenset(paths)
    if not wanted:
        return History(())
    git = repository.git

    def ask(arguments: Sequence[str], ids: Iterable[str]) -> bytes:
        data = "\n".join([*ids, "--", *sorted(wanted), ""])
        done = git.run(
            *arguments,
            data=data.encode("utf-8", "surrogateescape"),
            env=_LITERAL,
            deadline=_DEADLINE,
        )
        if done.code:
            raise done.reason("git log")
        return done.output

    if before is None:
        found = _parse(ask((*_DETAILS, f"--max-count={limit + 1}"), tips), wanted)
    else:
        ids = ask(_IDS, tips).decode("ascii").split()
        if before not in ids:
            raise ConfigNotFound(f"the commit {before} is not in this history")
        start = ids.index(before) + 1
        page = ids[start : start + limit + 1]
        arguments = (*_DETAILS, "--no-walk=unsorted")
        found = _parse(ask(arguments, page), wanted) if page else []
    shown, more = found[:limit], len(found) > limit
    commits = tuple(commit for commit in shown if commit.files)
    return History(commits, shown[-1].id if more else None)


def _parse(output: bytes, wanted: frozenset[str]) -> list[Commit]:
    """The commits of an output of _DETAILS.

    Fields end in NUL. A path is told from the next id by its suffix: ids have no dot.
    """
    fields = output.decode("utf-8", "replace").split("\0")
    found: list[Commit] = []
    at = 0
    while at + 3 < len(fields):
        id, time, author, message = fields[at : at + 4]
        at += 4
        files = []
        while at < len(fields) and not COMMIT.fullmatch(fields[at]):
            files.append(fields[at].removeprefix("\n"))
            at += 1
        shown = tuple(sorted(wanted.intersection(files)))
        texts = _moment(time), author[:_LONGEST], message[:_LONGEST]
        found.append(Commit(id, *texts, shown))
    return found


def _moment(seconds: str) -> str:
    """Seconds since the epoch as ISO 8601; the epoch for what no clock has shown."""
    try:
        moment = datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        moment = datetime.fromtimestamp(0, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _answering(lookup: Lookup, blocks: Blocks) -> set[str]:
    """The paths of all files that an answer is or may have been made from."""
    paths = {
        path
        for locations in blocks
        for slot in plan(
            lookup.applications, lookup.profiles, locations, lookup.dialect
        )
        for path in candidates(slot, lookup.dialect)
    }
    with suppress(DocumentError):  # it is just then that one asks what was before
        paths.update(_imported(lookup, blocks))
    return paths


def _imported(lookup: Lookup, blocks: Blocks) -> Iterator[str]:
    """The files that the answer is made from now: of added profiles, imported ones."""
    seen: tuple[tuple[FileTree, tuple[str, ...]], ...]
    seen = read_sources(lookup, blocks, "").seen  # type: ignore[assignment]
    for tree, paths in seen:
        for path in paths:
            suffix = path.rpartition(".")[2]
            if suffix in lookup.dialect.suffixes and tree.list(path) is None:
                yield path


def _check_id(field: str, text: str) -> None:
    if not COMMIT.fullmatch(text):
        raise InvalidRequest(field, "expected the full id of a commit")
