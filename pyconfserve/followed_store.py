"""A store as what a replica keeps up with: tokens are truth, and notices are hints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .files import BundleName
from .state import State, state_of
from .store import DeltaStore, Record, Snapshot, Store, key_of, name_of

__all__ = ["FollowedStore"]


class FollowedStore:
    """All bundles of *store*."""

    def __init__(self, store: Store) -> None:
        self.address = store.address
        self._store = store

    def read(self, before: State | None) -> tuple[State, Iterable[BundleName]]:
        """What there is, by what changed where the store tells that, and its names."""
        if before is None:
            return state_of(self._store.read()), ()
        if self._store.token() == before.token:
            return before, ()
        if isinstance(self._store, DeltaStore):
            delta = self._store.since(before.token)
            if delta is not None:
                after = before.with_changes(delta)
                return after, _changed(before, after, delta.records)
        after = state_of(self._store.read(), before)
        return after, _changed(before, after)

    def wait(self, state: State, seconds: float) -> None:
        """Return at a notice of the store, and after *seconds*; raises BackendError."""
        self._store.wait(state.token, seconds)

    def close(self) -> None:
        """Release the store; calling this twice is fine."""
        self._store.close()

    def about(self, state: State) -> dict[str, Any]:
        """How many bundles there are, and what is wrong with some."""
        broken = state.problems()
        return {"bundles": len(state.bundles)} | ({"broken": broken} if broken else {})

    def packed(self, state: State) -> dict[str, Any]:
        """The records by their keys, beside the token."""
        token, records = state.snapshot()
        return {
            "token": token,
            "records": {key_of(name): record for name, record in records.items()},
        }

    def unpacked(self, document: Any) -> State:
        """The state that was `packed`; raises what a wrong document leads to."""
        records: dict[BundleName, Record | None] = {
            name_of(key): Record(str(text), str(version))
            for key, (text, version) in document["records"].items()
        }
        return state_of(Snapshot(str(document["token"]), records))


def _changed(
    before: State, after: State, names: Iterable[BundleName] | None = None
) -> Iterator[BundleName]:
    """What State.changed gives, once anybody asks: it may look at every bundle."""
    yield from after.changed(before, names)
