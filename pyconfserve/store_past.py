"""The past of a store that keeps one: which changes made an answer, and a way back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from .backend import bundles_of
from .environment.formats.document import Entry
from .environment.overlay import Lookup, PropertySource
from .environment.properties import Tree
from .errors import ConfigNotFound, Conflict, InvalidRequest
from .files import BundleName, bundle_name
from .past import MOST_COMMITS, USUAL_COMMITS, Commit, History
from .store import HistoricStore, PastChange, decode, key_of
from .threads import Threads
from .versions import Changed, Work

__all__ = ["StorePast"]

Change = Callable[[str, str, str, Work], Awaitable[Changed]]  # of a backend


class StorePast:
    """The past that *store* keeps; ways back go through *change*.

    What is called a commit is one change of one bundle; nobody's name is kept with it.
    """

    def __init__(self, store: HistoricStore, change: Change, label: str) -> None:
        self._store = store
        self._change = change
        self._label = label
        self._threads = Threads("pyconfserve-store-past", 2)

    async def close(self) -> None:
        """End the threads; calling this twice is fine."""
        await self._threads.close()

    async def history(
        self, lookup: Lookup, limit: int = USUAL_COMMITS, before: str | None = None
    ) -> History:
        """The changes of bundles of the answer to *lookup*, newest first.

        Raises InvalidRequest, ConfigNotFound for an unknown change, BackendError.
        """
        if not 1 <= limit <= MOST_COMMITS:
            raise InvalidRequest("limit", f"expected 1 to {MOST_COMMITS}")
        names = [BundleName(*name) for name in bundles_of(lookup, self._label)]
        changes = self._store.changes
        found = await self._threads.run((), changes, names, limit + 1, before)
        commits = tuple(map(_commit, found[:limit]))
        return History(commits, commits[-1].id if len(found) > limit else None)

    async def bundle_at(
        self, application: str, profile: str, label: str, commit: str
    ) -> Mapping[str, Any]:
        """The bundle as it was just after that change, of it or of another bundle.

        Raises InvalidRequest, ConfigNotFound, DocumentError, BackendError.
        """
        name = bundle_name(application, profile, label)
        text = await self._threads.run((), self._store.text_at, name, commit)
        if text is None:
            raise ConfigNotFound("the bundle was not stored then")
        return decode(text).properties

    async def answer_at(
        self, lookup: Lookup, commit: str
    ) -> tuple[PropertySource, ...]:
        """The layers of the answer just after that change, of the label it changed.

        Raises InvalidRequest, ConfigNotFound, DocumentError, BackendError.
        """
        return await self._threads.run((), self._answer_at, lookup, commit)

    def _answer_at(self, lookup: Lookup, commit: str) -> tuple[PropertySource, ...]:
        labels = (self._store.label_of(commit),)
        names = bundles_of(lookup._replace(labels=labels), self._label)
        texts = {
            source: self._store.text_at(BundleName(*name), commit)
            for name, source in names.items()
        }
        return tuple(
            PropertySource(source, _entries(decode(text).properties))
            for source, text in texts.items()
            if text is not None
        )

    async def restore(
        self, application: str, profile: str, label: str, commit: str
    ) -> str | None:
        """Save the bundle as it was just after that change: a new change.

        Gives its id, None when the bundle is so already. Raises InvalidRequest,
        ConfigNotFound, DocumentError, BackendError.
        """
        name = bundle_name(application, profile, label)
        then = await self.bundle_at(*name, commit)
        is_same = False

        def work(stored: Callable[[], Mapping[str, Tree] | None]) -> Mapping[str, Tree]:
            nonlocal is_same
            now = None
            with suppress(Conflict):  # what does not parse is replaced
                now = stored()
            is_same = now is not None and [*now.items()] == [*then.items()]
            return now if now is not None and is_same else then

        changed = await self._change(*name, work)
        return None if is_same else changed.version


def _entries(properties: Mapping[str, Any]) -> dict[str, Entry]:
    return {key: Entry(value) for key, value in properties.items()}


def _commit(change: PastChange) -> Commit:
    application, profile, _ = change.name
    verb = "delete" if change.is_removal else "save"
    message = f"{verb} {application}/{profile}"
    return Commit(change.id, change.time, "", message, (key_of(change.name),))
