"""The one bundle that is stored under three names, apart from the merged answers.

It is read with its version and changed under one: what the answers of a server are made
from, as its owner wrote it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .backend import ConfigSource
from .environment.nesting import nest
from .environment.patching import patched
from .environment.properties import Tree, flatten
from .errors import ConfigNotFound, InvalidRequest, ReadOnlyBackend
from .saveable import saveable
from .server import ConfigServer
from .versions import ANYTHING, NOT_STORED, Changed, Expected, Stored, Work

__all__ = ["StoredBundles", "nested"]

Check = Callable[[Mapping[str, Tree]], None]


class StoredBundles:
    """The stored bundles of *server*, one at a time.

    All here raise InvalidRequest for lists and malformed names, Conflict for reserved
    ones and for a file of several documents, MethodNotAllowed where the backend knows
    no versions, BackendError. Changes raise ReadOnlyBackend and VersionConflict, too.
    """

    def __init__(self, server: ConfigServer) -> None:
        self._server = server

    async def get(self, application: str, profile: str, label: str) -> Stored | None:
        """The bundle as it is stored: flat, with its version; None when none is.

        Raises DocumentError for a file that does not parse.
        """
        source = saveable(application, profile, {}, label)
        return await self._server.timely.stored(source)

    async def replace(
        self, source: ConfigSource, expected: Expected = ANYTHING
    ) -> Changed:
        """Store *source* whole; raises what ConfigServer.save does."""
        return await self._change(source, lambda _: source.properties, expected)

    async def patch(
        self,
        source: ConfigSource,
        expected: Expected = ANYTHING,
        check: Check = lambda _: None,
    ) -> Changed:
        """Apply the properties of *source* as a JSON merge patch on flat keys.

        *check* is called with the result, in another thread, and may refuse it. Raises
        ConfigNotFound when nothing is stored, Conflict for a file that does not parse,
        and what ConfigServer.save does.
        """

        def work(
            stored: Callable[[], Mapping[str, Tree] | None],
        ) -> Mapping[str, Tree]:
            tree = stored()
            if tree is None:
                raise ConfigNotFound(NOT_STORED)
            result = patched(tree, source.properties)
            check(result)
            return result

        return await self._change(source, work, expected)

    async def delete(
        self,
        application: str,
        profile: str,
        label: str,
        expected: Expected = ANYTHING,
    ) -> None:
        """Remove the bundle; raises ConfigNotFound when none is stored."""
        source = ConfigSource(application, profile, label)
        await self._change(source, lambda _: None, expected)

    async def _change(
        self, source: ConfigSource, work: Work, expected: Expected
    ) -> Changed:
        server = self._server
        if server.is_read_only:
            raise ReadOnlyBackend
        names = source.application, source.profile
        source = saveable(*names, source.properties, source.label)
        return await server.timely.change(source, work, expected, server.tell)


def nested(flat: Mapping[str, Any]) -> Mapping[str, Tree]:
    """Flat properties as a tree that is flat again the same; else as they are."""
    try:
        tree = nest(flat)
        again = flatten(tree)
    except (InvalidRequest, ValueError):  # it cannot be nested, or is too much then
        return flat
    return tree if [*again.items()] == [*flat.items()] else flat
