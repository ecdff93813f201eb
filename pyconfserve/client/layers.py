"""What stands above a server's values: environment variables, and an override file.

From the lowest to the highest: the answer, variables of the environment that are named
like one of its keys, the override file. Placeholders are filled in last, from all of
these together and from nothing else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..environment.properties import merge
from ..errors import ConfigError, SettingsError
from .configuration import Configuration
from .documents import Document

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Layers", "variables_of"]

_SEPARATORS = re.compile(r"[^A-Z0-9]+")


class Layers(NamedTuple):
    """Which layers there are, and for which profile the override file is read."""

    override_file: str | None
    environ: Mapping[str, str] | None
    resolves: bool
    profile: str

    def build(
        self, document: Document, stale_since: datetime | None = None
    ) -> Configuration:
        """The configuration of an answer with all layers.

        Raises SettingsError for an override file that cannot be read, InvalidRequest
        for placeholders that lead in circles.
        """
        values, origins = document.values, document.origins
        for own in (self._variables(values), self._overrides()):
            if own:
                values = merge([{key: each[0] for key, each in own.items()}, values])
                origins = origins | {key: each[1] for key, each in own.items()}
        if self.resolves:
            values = _resolved(values)
        return Configuration(
            values,
            name=document.name,
            profiles=document.profiles,
            label=document.label,
            version=document.version,
            origins={key: origins[key] for key in values if key in origins},
            stale_since=stale_since,
        )

    def _variables(self, values: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
        """Value and origin of each key of *values* that the environment has."""
        if self.environ is None:
            return {}
        return {
            key: (self.environ[name], f"environment variable {name}")
            for key in values
            for name in reversed(variables_of(key))
            if name in self.environ
        }

    def _overrides(self) -> dict[str, tuple[Any, str]]:
        """Value and origin of each key of the override file; nothing without one."""
        path = self.override_file
        if path is None:
            return {}
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise SettingsError(
                f"cannot be read: {error.strerror}", source=path
            ) from error
        return {key: (each, path) for key, each in self._parse(data, path).items()}

    def _parse(self, data: bytes, path: str) -> dict[str, Any]:
        from ..environment import formats
        from ..environment.activation import is_active

        suffix = os.path.splitext(path)[1].removeprefix(".")
        if suffix not in formats.FORMATS:
            known = ", ".join(f".{name}" for name in formats.FORMATS)
            raise SettingsError(f"expected a file of one of {known}", source=path)
        try:
            documents = formats.parse(data, suffix)
            active = [
                document.entries
                for document in reversed(documents)
                if is_active(document, self.profile.split(","))
            ]
        except ConfigError as error:
            raise SettingsError(str(error), source=path) from error
        return {key: entry.value for key, entry in merge(active).items()}


def variables_of(key: str) -> tuple[str, ...]:
    """The variables that a key may come from, the first before the others.

    `db.pool-size` is DB_POOL_SIZE, and DB_POOLSIZE as Spring has it; `list[0].x` is
    LIST_0_X.
    """
    upper = key.upper()
    spellings = (upper, upper.replace("-", ""))
    names = (_SEPARATORS.sub("_", spelling).strip("_") for spelling in spellings)
    return tuple(dict.fromkeys(names))


def _resolved(values: dict[str, Any]) -> dict[str, Any]:
    from ..environment.placeholders import fill_from

    return {
        key: fill_from(value, values) if isinstance(value, str) else value
        for key, value in values.items()
    }
