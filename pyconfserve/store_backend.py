"""StoreBackend: bundles in any store, answered from memory.

Reads never touch the store, so they are as fast over all of them. A change is judged by
what the store holds after it was asked for, and made there under compare-and-set.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from .backend import ConfigSource, Found, bundles_of
from .environment.formats.document import Entry
from .environment.overlay import DEFAULT_LABEL, Lookup, PropertySource
from .environment.properties import Tree
from .errors import (
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    ConfigError,
    Conflict,
    DocumentError,
    ValueTooLarge,
    VersionConflict,
)
from .files import BundleName, bundle_name
from .followed_store import FollowedStore
from .last_state import LastState
from .replica import PATIENCE, POLL, STALE_AFTER, Replica
from .state import Bundle, State
from .store import Content, HistoricStore, IdentifiedStore, Store, encode
from .store_past import StorePast
from .threads import Threads
from .versions import ANYTHING, Changed, Expected, Stored, Work, planned

__all__ = ["StoreBackend"]

_MOST_ATTEMPTS = 100  # at one change: each that fails is a change of that bundle


class StoreBackend:
    """The bundles of *store*; a request that names no label gets *label*.

    The store is followed by its notices and asked every *poll* seconds. While it is
    away the last good state is served, for a start from *snapshot_file*, where that is
    given; `health` says how old it is, and fails after *stale_after* seconds.
    """

    def __init__(
        self,
        store: Store,
        *,
        label: str = DEFAULT_LABEL,
        poll: float = POLL,
        snapshot_file: str | os.PathLike[str] | None = None,
        stale_after: float = STALE_AFTER,
    ) -> None:
        identity = store.address
        if isinstance(store, IdentifiedStore):
            identity = store.identity
        last = LastState(snapshot_file, identity) if snapshot_file else None
        self.store = store
        self.default_label = label
        self._replica: Replica[State] = Replica(
            FollowedStore(store), poll=poll, last=last, stale_after=stale_after
        )
        # Few: the store has changes take turns anyway, and each has a connection.
        self._threads = Threads("pyconfserve-store", 4)
        self._looks = Threads("pyconfserve-store-look", 2)  # no save keeps it waiting
        if isinstance(store, HistoricStore):
            self.past = StorePast(store, self.change, self.default_label)

    async def open(self) -> None:
        """Read the store, and follow it; raises BackendError when it is away."""
        await self._opened()

    async def refresh(self) -> None:
        """Take in what the store has now; raises BackendError when it is away."""
        await self._opened()
        await self._looks.run((), self._replica.look)

    async def close(self) -> None:
        """End what runs, and release the store; calling this twice is fine."""
        past = [self.past.close()] if hasattr(self, "past") else []
        await asyncio.gather(self._threads.close(), self._looks.close(), *past)
        await asyncio.to_thread(self._replica.close)

    async def _opened(self) -> State:
        state = self._replica.followed_state
        if state is None:
            state = await self._looks.run((), self._replica.open)
        return state

    async def _present(self) -> State:
        """What there is, with what others are known to have saved."""
        state = await self._opened()
        return await self._latest(state) if self._replica.is_due else state

    async def _latest(self, state: State) -> State:
        """What the store has now; *state* where it does not tell soon."""
        return await self._looks.soon(PATIENCE, self._replica.look) or state

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """The one bundle; raises InvalidRequest, DocumentError, BackendError."""
        name = bundle_name(application, profile, label)
        bundle = (await self._present()).bundles.get(name)
        if bundle is None:
            return None
        return ConfigSource(*name, dict(bundle.opened().properties))

    async def sources(self, lookup: Lookup) -> Found:
        """All that is stored for *lookup* at one moment; raises what `fetch` does."""
        state = await self._present()
        names = bundles_of(lookup, self.default_label)
        found = {BundleName(*name): source for name, source in names.items()}
        sources = tuple(
            PropertySource(source, _entries(state.bundles[name]))
            for name, source in found.items()
            if name in state.bundles
        )
        seen = tuple(found)
        return Found(sources, self.default_label, seen=seen, stamp=_stamp(state, seen))

    def stamp(self, seen: Hashable) -> Hashable:
        """The versions of the bundles that an answer was made from."""
        names: tuple[BundleName, ...] = seen  # type: ignore[assignment]  # Found.seen
        state = self._replica.state
        if state is None or self._replica.is_due:
            return None
        return _stamp(state, names)

    def look_again(self) -> None:
        """Believe no stamp until the store was looked at."""
        self._replica.look_again()

    def on_sight(self, tell: Callable[[], None]) -> None:
        """Call *tell* before answers have what others were seen to have changed."""
        self._replica.sights.add(tell)

    def on_change(self, tell: Callable[[ConfigSource], None]) -> Callable[[], None]:
        """Call *tell* for each bundle that changes, until what this gives is called.

        It is called by any thread, and must not wait.
        """

        def tell_name(name: BundleName) -> None:
            tell(ConfigSource(*name))

        self._replica.tells.add(tell_name)
        return lambda: self._replica.tells.discard(tell_name)

    def health(self) -> Mapping[str, Any]:
        """The store, without credentials, and the age of what is served.

        Raises BackendUnavailable when nothing was read, or too long ago.
        """
        return self._replica.health()

    async def list(self) -> list[ConfigSource]:
        """All bundles; the properties of those that do not parse are left empty."""
        bundles = (await self._present()).bundles
        return [ConfigSource(*name, _properties(one)) for name, one in bundles.items()]

    async def save(self, source: ConfigSource) -> None:
        """Store the bundle, durably.

        Raises InvalidRequest, ValueTooLarge, BackendError.
        """
        names = source.application, source.profile, source.label
        await self.change(*names, lambda _: source.properties)

    async def stored(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> Stored | None:
        """The bundle as the store has it now; while that is away, as it had it."""
        name = bundle_name(application, profile, label)
        state = await self._latest(await self._opened())
        bundle = state.bundles.get(name)
        if bundle is None:
            return None
        return Stored(dict(bundle.opened().properties), bundle.version)

    async def change(
        self,
        application: str,
        profile: str,
        label: str,
        work: Work,
        expected: Expected = ANYTHING,
    ) -> Changed:
        """Change it in the store; raises Conflict for a text that does not parse.

        Raises VersionConflict, ValueTooLarge, InvalidRequest, BackendError, too.
        """
        name = bundle_name(application, profile, label)
        await self._opened()
        names = (name.application,)
        return await self._threads.run(names, self._change, name, work, expected)

    def _change(self, name: BundleName, work: Work, expected: Expected) -> Changed:
        """Judge, write and look, again and again while others change the bundle."""
        change = secrets.token_hex(12)
        lost: BackendError | None = None  # a write whose answer never came
        before: str | None = None
        for _ in range(_MOST_ATTEMPTS):
            stored = _Judged(self._replica.look().bundles.get(name))
            if lost is not None:
                if stored.is_made_by(change):
                    return Changed(stored.version, is_new=before is None)
                if stored.version != before:  # whether it was made, nobody can tell
                    raise lost
            tree = planned(work, expected, stored.version, stored.tree)
            if tree is not None and tree is stored.read:
                return Changed(stored.version)
            before = stored.version
            try:
                version = self._write(name, tree, change, before)
            except VersionConflict:
                continue
            except (BackendUnavailable, BackendTimeout) as error:
                if lost is not None:
                    raise
                lost = error
                continue
            with suppress(BackendError):  # it is made, whatever happened since
                self._replica.look()
            return Changed(version, is_new=before is None)
        raise Conflict("the bundle is being written by others")

    def _write(
        self,
        name: BundleName,
        tree: Mapping[str, Tree] | None,
        change: str,
        version: str | None,
    ) -> str | None:
        text = None if tree is None else encode(tree, change)
        if text is not None and len(text.encode("utf-8")) > self.store.limit:
            raise ValueTooLarge(
                f"a bundle is at most {self.store.limit} bytes as JSON in this store"
            )
        try:
            return self.store.write(name, text, version)
        except ConfigError as error:
            error.place = error.place or self.store.address
            raise


class _Judged:
    """What is stored while a change of it is judged; *bundle* None for nothing."""

    def __init__(self, bundle: Bundle | None) -> None:
        self._bundle = bundle
        self.version = None if bundle is None else bundle.version
        self.read: Mapping[str, Tree] | None = None  # the tree that was handed out

    def tree(self) -> Mapping[str, Tree] | None:
        """The properties; raises Conflict for a text that only a whole one replaces."""
        if self._bundle is None:
            return None
        try:
            self.read = dict(self._bundle.opened().properties)
        except DocumentError as error:
            raise Conflict(f"{error}: replace it whole") from error
        return self.read

    def is_made_by(self, change: str) -> bool:
        """Whether it is what the change of that id left."""
        content = None if self._bundle is None else self._bundle.content
        return isinstance(content, Content) and content.change == change


def _stamp(state: State, names: Iterable[BundleName]) -> tuple[str | None, ...]:
    """The versions of those bundles, None for what is not stored."""
    found = [state.bundles.get(name) for name in names]
    return tuple([None if one is None else one.version for one in found])


def _entries(bundle: Bundle) -> dict[str, Entry]:
    return {key: Entry(value) for key, value in bundle.opened().properties.items()}


def _properties(bundle: Bundle) -> dict[str, Any]:
    is_whole = isinstance(bundle.content, Content)
    return dict(bundle.opened().properties) if is_whole else {}
