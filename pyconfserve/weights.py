"""How much work it is to write sources as text; this module does no I/O."""

from __future__ import annotations

from collections.abc import Sequence

from .environment.overlay import PropertySource

__all__ = ["is_large"]

_MANY = 2_000  # entries: some milliseconds of work
_LONG = 64 * 1024  # characters of texts, each of which may hold placeholders


def is_large(sources: Sequence[PropertySource]) -> bool:
    """Whether an event loop would notice."""
    if sum(len(source.entries) for source in sources) > _MANY:
        return True
    texts = (
        len(entry.value)
        for source in sources
        for entry in source.entries.values()
        if isinstance(entry.value, str)
    )
    return sum(texts) > _LONG
