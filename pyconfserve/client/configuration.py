"""Configuration: a read-only mapping of dotted keys, and what differs between two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Change", "Configuration", "compare"]

Kind = TypeVar("Kind")


class Configuration(Mapping[str, Any]):
    """Values by dotted key, such as `db.url` or `servers[0].host`; it never changes.

    `version` is the server's, and `origins` says by key where a value comes from.
    `stale_since` is None, or when a server last confirmed what a snapshot gave. Its
    text shows no values; two are equal when their values are.
    """

    __slots__ = (
        "_values",
        "label",
        "name",
        "origins",
        "profiles",
        "stale_since",
        "version",
    )

    def __init__(
        self,
        values: Mapping[str, Any],
        *,
        name: str = "",
        profiles: tuple[str, ...] = (),
        label: str | None = None,
        version: str | None = None,
        origins: Mapping[str, str] | None = None,
        stale_since: datetime | None = None,
    ) -> None:
        self._values = dict(values)
        self.name = name
        self.profiles = profiles
        self.label = label
        self.version = version
        self.origins = dict(origins or {})
        self.stale_since = stale_since

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        asked = "/".join([self.name, ",".join(self.profiles), self.label or ""])
        stale = f", stale since {self.stale_since}" if self.stale_since else ""
        return f"<Configuration {asked.rstrip('/')}: {len(self)} keys{stale}>"

    def at(self, prefix: str) -> Configuration:
        """The part below *prefix*: `at("db")["url"]` is what `db.url` is.

        The items of a list keep their indexes: `at("servers")["[0].host"]`.
        """
        skipped = {
            key: key[len(prefix) :].removeprefix(".")
            for key in self._values
            if key.startswith((f"{prefix}.", f"{prefix}["))
        }
        origins = self.origins
        return Configuration(
            {skipped[key]: self._values[key] for key in skipped},
            name=self.name,
            profiles=self.profiles,
            label=self.label,
            version=self.version,
            origins={skipped[k]: origins[k] for k in skipped if k in origins},
            stale_since=self.stale_since,
        )

    def to_dict(self) -> dict[str, Any]:
        """The values as a tree of maps and lists.

        Raises InvalidRequest for keys that make none, such as `a..b`.
        """
        from ..environment.nesting import nest

        return nest(self._values)

    def bind(self, kind: type[Kind], prefix: str = "") -> Kind:
        """An instance of the dataclass *kind*, from the values below *prefix*.

        Names are relaxed: the field `pool_size` takes `pool-size`, `poolSize` and
        `POOL_SIZE`. Fields may be dataclasses, lists, maps, optional, of an Enum or
        Literal, timedelta (`10s`, `500ms`), Path, Decimal, UUID, date and datetime.

        Raises SettingsError, which names the key, the type found and the one expected,
        and never the value.
        """
        from .binding import bind

        return bind(kind, self._values, prefix)


class Change(NamedTuple):
    """What differs between two views: new by key, (old, new) by key, old by key.

    Its text shows keys and no values.
    """

    added: dict[str, Any]
    changed: dict[str, tuple[Any, Any]]
    removed: dict[str, Any]

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{field}={sorted(keys)}" for field, keys in self._asdict().items()
        )
        return f"Change({shown})"


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> Change | None:
    """What differs from *old* to *new*, None when nothing does.

    A value of another type is another value: 1 is neither True nor 1.0.
    """
    change = Change(
        added={key: new[key] for key in new if key not in old},
        changed={
            key: (old[key], new[key])
            for key in new
            if key in old and (type(old[key]), old[key]) != (type(new[key]), new[key])
        },
        removed={key: old[key] for key in old if key not in new},
    )
    return change if any(change) else None
