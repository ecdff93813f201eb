"""All that a store held at one moment, read but never changed; no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from .errors import DocumentError, InvalidRequest
from .files import BundleName, bundle_name
from .store import Content, Record, Snapshot, decode, key_of

__all__ = ["Bundle", "State", "state_of"]


class Bundle(NamedTuple):
    """One record as it was read: its content, or why it cannot be served."""

    text: str
    version: str
    content: Content | DocumentError

    def opened(self) -> Content:
        """The content; raises DocumentError for a text that does not parse."""
        if isinstance(self.content, DocumentError):
            raise self.content.with_traceback(None)
        return self.content


Bundles = Mapping[BundleName, Bundle]
_NOTHING: Bundles = MappingProxyType({})
_MOST_NAMED = 10  # bundles that do not parse


class State(NamedTuple):
    """The bundles of a store and their token; it is replaced whole.

    `broken` has the names of those that do not parse, in order.
    """

    token: str
    bundles: Bundles
    broken: tuple[BundleName, ...] = ()

    def with_changes(self, delta: Snapshot) -> State:
        """The state after what *delta* says; a record of None is gone."""
        opened = _opened(delta, self.bundles)
        bundles = {**self.bundles, **opened}
        for name, record in delta.records.items():
            if record is None:
                bundles.pop(name, None)
        broken = {*self.broken} - delta.records.keys() | _broken(opened)
        return State(delta.token, bundles, tuple(sorted(broken)))

    def changed(
        self, before: State, names: Iterable[BundleName] | None = None
    ) -> list[BundleName]:
        """The names of what is another one than *before*, or came or went.

        Only *names* are looked at where they are given: no others can have changed.
        """
        if names is None:
            names = before.bundles.keys() | self.bundles.keys()
        return [
            name
            for name in names
            if before.bundles.get(name) is not self.bundles.get(name)
        ]

    def snapshot(self) -> Snapshot:
        """What it was made from."""
        records = {
            name: Record(one.text, one.version) for name, one in self.bundles.items()
        }
        return Snapshot(self.token, records)

    def problems(self) -> list[str]:
        """What is wrong with some that do not parse, and how many more there are."""
        named = self.broken[:_MOST_NAMED]
        more = len(self.broken) - len(named)
        found = [str(self.bundles[name].content) for name in named]
        return [*found, f"and {more} more"] if more else found


def state_of(snapshot: Snapshot, before: State | None = None) -> State:
    """The state that *snapshot* holds; what is as *before* is not parsed again."""
    bundles = _opened(snapshot, _NOTHING if before is None else before.bundles)
    return State(snapshot.token, bundles, tuple(sorted(_broken(bundles))))


def _broken(bundles: Bundles) -> set[BundleName]:
    """The names of those that do not parse."""
    return {
        name
        for name, bundle in bundles.items()
        if isinstance(bundle.content, DocumentError)
    }


def _opened(
    snapshot: Snapshot, known: Mapping[BundleName, Bundle]
) -> dict[BundleName, Bundle]:
    """The bundles of *snapshot*; those *known* under the same version are the same."""
    bundles: dict[BundleName, Bundle] = {}
    for name, record in snapshot.records.items():
        bundle = known.get(name)
        if bundle is not None and record == (bundle.text, bundle.version):
            bundles[name] = bundle
        elif record is not None and _is_name(name):
            content = _content(name, record.text)
            bundles[name] = Bundle(record.text, record.version, content)
    return bundles


def _is_name(name: BundleName) -> bool:
    """Whether anybody can ask for it: others may store what they like."""
    try:
        return bundle_name(*name) == name
    except InvalidRequest:
        return False


def _content(name: BundleName, text: str) -> Content | DocumentError:
    try:
        return decode(text)
    except DocumentError as error:
        return error.at(key_of(name))
