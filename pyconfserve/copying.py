"""Moving house: the bundles of one backend as another one holds them.

Bundles are copied one by one, each under the condition that nobody changed it since it
was looked at. What is copied is what is stored: never decrypted, never merged.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from .backend import ConfigBackend, ConfigSource, VersionedBackend
from .environment.properties import flatten
from .errors import BackendError, ConfigError, ConfigNotFound
from .files import BundleName
from .label_folders import label_folders_of
from .saveable import saveable
from .stored import nested
from .versions import ANY, Expected

__all__ = [
    "DIFFERS",
    "EQUAL",
    "NEW",
    "REFUSED",
    "Step",
    "carry_out",
    "planned",
    "thinned",
    "verified",
]

NEW, EQUAL, DIFFERS, REFUSED = "new", "equal", "differs", "refused"

Show = Callable[[int, int], None]  # so many are done, of so many


class Step(NamedTuple):
    """One bundle of the source, and how it stands in the target.

    `state` is NEW, EQUAL, DIFFERS or REFUSED; `problem` is why it is refused. What the
    target has is of `version`, where the target knows any.
    """

    name: BundleName
    state: str
    properties: Mapping[str, Any] = MappingProxyType({})
    version: str | None = None
    problem: str = ""

    def refused(self, problem: str) -> Step:
        """The same, which is not copied."""
        return self._replace(state=REFUSED, problem=problem)


class _Held(NamedTuple):
    """A bundle as a backend holds it, flat."""

    properties: Mapping[str, Any]
    version: str | None


async def planned(
    source: ConfigBackend,
    target: ConfigBackend,
    labels: Collection[str] = (),
    show: Show = lambda done, total: None,
) -> list[Step]:
    """What is to be done for each bundle of *source*, of *labels* alone if any.

    Raises ConfigNotFound for a label that no bundle has, BackendError of either.
    """

    async def compare(step: Step) -> Step:
        saveable(step.name.application, step.name.profile, {}, step.name.label)
        mine, theirs = await _held(source, step.name), await _held(target, step.name)
        if mine is None:
            return step.refused("it is listed, and nothing is stored under its names")
        step = step._replace(properties=mine.properties)
        if theirs is None:
            return step
        is_equal = _text(theirs.properties) == _text(mine.properties)
        state = EQUAL if is_equal else DIFFERS
        return step._replace(state=state, version=theirs.version)

    listed = [*await source.list()]
    for label in labels:
        if not any(one.label == label for one in listed):
            raise ConfigNotFound(f"no bundle has the label {label}")
    names = [one for one in _names(listed) if not labels or one.label in labels]
    return await _each((Step(name, NEW) for name in sorted(names)), compare, show)


async def thinned(
    source: ConfigBackend, target: ConfigBackend, labels: Collection[str]
) -> list[str]:
    """Those of *labels* under which *target* lacks layers that *source* has.

    Where labels are folders, files outside of them stand in for what one does not have;
    where bundles are copied to, nothing does. Raises BackendError of either.
    """
    folders = label_folders_of(source)
    if folders is None:
        return []
    usual, found = folders.default_label, set[str]()
    others = {*labels} - {usual}
    names = _names(await source.list()) if others else set[BundleName]()
    for name in sorted(one for one in names if one.label == usual):
        lacking = {name._replace(label=label) for label in others - found} - names
        if lacking and await _is_there(source, min(lacking)):
            found |= {one.label for one in lacking if not await _is_there(target, one)}
    return sorted(found)


async def carry_out(
    steps: Iterable[Step],
    target: ConfigBackend,
    show: Show = lambda done, total: None,
) -> list[Step]:
    """Write what is NEW or DIFFERS to *target*; gives *steps*, some refused by now.

    Raises BackendError; what was written until then stays.
    """

    async def write(step: Step) -> Step:
        if step.state != EQUAL:
            await _write(target, step)
        return step

    return await _each(steps, write, show)


async def verified(
    steps: Iterable[Step],
    target: ConfigBackend,
    show: Show = lambda done, total: None,
) -> list[Step]:
    """Read all back from *target*; gives *steps*, refused where another thing is there.

    Raises BackendError.
    """

    async def read_back(step: Step) -> Step:
        held = await _held(target, step.name)
        if held is not None and _text(held.properties) == _text(step.properties):
            return step
        return step.refused("what was read back is not what was written")

    return await _each(steps, read_back, show)


async def _each(
    steps: Iterable[Step], work: Callable[[Step], Awaitable[Step]], show: Show
) -> list[Step]:
    """*work* on each step that is not refused; what it raises refuses that one."""
    done = [*steps]
    for number, step in enumerate(done):
        show(number, len(done))
        if step.state == REFUSED:
            continue
        try:
            done[number] = await work(step)
        except BackendError:
            raise
        except ConfigError as error:
            done[number] = step.refused(str(error))
    return done


async def _held(backend: ConfigBackend, name: BundleName) -> _Held | None:
    """What *backend* holds under *name*, None for nothing."""
    if isinstance(backend, VersionedBackend):
        stored = await backend.stored(*name)
        return None if stored is None else _Held(stored.properties, stored.version)
    found = await backend.fetch(*name)
    return None if found is None else _Held(flatten(found.properties), None)


async def _is_there(backend: ConfigBackend, name: BundleName) -> bool:
    """Whether *backend* answers with anything under *name*."""
    try:
        return await backend.fetch(*name) is not None
    except BackendError:
        raise
    except ConfigError:
        return False


def _names(sources: Iterable[ConfigSource]) -> set[BundleName]:
    return {BundleName(one.application, one.profile, one.label) for one in sources}


async def _write(target: ConfigBackend, step: Step) -> None:
    tree = nested(step.properties)
    if not isinstance(target, VersionedBackend):
        await target.save(ConfigSource(*step.name, tree))
        return
    expected = Expected(others=frozenset({ANY}))  # nothing was stored
    if step.version is not None:
        expected = Expected(versions=frozenset({step.version}))
    await target.change(*step.name, lambda _: tree, expected)


def _text(properties: Mapping[str, Any]) -> str:
    """What is the same for equal properties alone: True is not 1, and 1 is not 1.0."""
    return json.dumps(properties, sort_keys=True)
