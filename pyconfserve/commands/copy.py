"""`copy`: every bundle of one backend to another, read back when it is written."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from ..addresses import shown as without_secrets
from ..auto_configuration import build_server
from ..backend import ConfigBackend, InMemoryConfigBackend
from ..copying import (
    DIFFERS,
    EQUAL,
    NEW,
    REFUSED,
    Step,
    carry_out,
    planned,
    thinned,
    verified,
)
from ..errors import SettingsError
from ..settings import Settings
from ..store import MadeStore
from ..store_backend import StoreBackend
from .options import Options, check_folders, read_options
from .output import write
from .progress import Bar
from .stores import is_url, sealed, shown

__all__ = ["run"]

_LOST = {
    "memory": "what is in memory ends with this command",
    "composite": "name one of its members instead",
}

# What makes two places of one address, beside the kind of the backend.
_APART = ("store_endpoint", "store_namespace", "store_layout", "git_search_paths")


def run(arguments: Sequence[str]) -> int:
    """Print what each bundle came to; gives 1 where one was not copied.

    Raises SettingsError for how it was called, BackendError of either side.
    """
    flags = _parser().parse_intermixed_args(arguments)
    source, target = _end(flags.source), _end(flags.target, flags.clone_dir, saves=True)
    if flags.dry_run:
        target = target._replace(settings=replace(target.settings, read_only=True))
    bar = Bar("bundles")
    try:
        steps, is_written, bare = asyncio.run(_copy(flags, source, target, bar))
    finally:
        bar.clear()
    status = write("".join(map(_line, steps)))
    print(f"pyconfserve: {_summary(steps, is_written)}", file=sys.stderr)
    if bare:
        print(
            f"pyconfserve: warning: answers for {shown(', '.join(bare))} use files "
            "outside of label folders, and the copy has none",
            file=sys.stderr,
        )
    is_done = all(step.state in (NEW, EQUAL) for step in steps)
    is_meant = flags.overwrite and all(step.state != REFUSED for step in steps)
    return status or (0 if is_done or is_meant else 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pyconfserve copy",
        description="Copy every bundle, as it is stored, and read it back.",
        epilog="FROM and TO are what serve takes as ROOT, or a file of its settings, "
        "which may hold credentials; variables mean both, and say what they leave "
        "open. Plain files and the past are not copied, and files outside of label "
        "folders stand in for no other label in TO. The exit status is 1 when a bundle "
        "was not copied, or none has a label that is named.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("source", metavar="FROM")
    add("target", metavar="TO")
    add(
        "--label",
        metavar="LABEL",
        action="append",
        default=[],
        help="copy this one alone; may be repeated",
    )
    add("--dry-run", action="store_true", help="say what would be done, and do nothing")
    add("--overwrite", action="store_true", help="replace what differs in TO")
    add(
        "--clone-dir", metavar="DIR", help="the clone of TO, where that is a repository"
    )
    return parser


def _end(root: str, clone_dir: str | None = None, *, saves: bool = False) -> Options:
    """The options of a server of what stands at one end; raises SettingsError."""
    if is_url(root):
        place = without_secrets(root)
        raise SettingsError(f"{place} is a server: a repository has git+ in front")
    words = ["--settings", root] if os.path.isfile(root) else ["--", root]
    cloned = ["--clone-dir", clone_dir] if clone_dir else []
    options = read_options([*cloned, *words], of_an_end=True)
    settings = options.settings
    check_folders(settings)
    if settings.backend_type in _LOST:
        raise SettingsError(f"{root}: {_LOST[settings.backend_type]}")
    return options._replace(settings=sealed(settings, saves=saves))


@asynccontextmanager
async def _opened(
    options: Options, *, is_new: bool = False
) -> AsyncIterator[ConfigBackend]:
    """The backend of one end; with *is_new* a store that nobody made yet is empty."""
    server = build_server(options.settings, options.spring)
    try:
        if is_new and not await asyncio.to_thread(_is_made, server.backend):
            yield InMemoryConfigBackend()
            return
        await server.open()
        yield server.backend
    finally:
        await server.close()


def _is_made(backend: ConfigBackend) -> bool:
    store = backend.store if isinstance(backend, StoreBackend) else None
    return not isinstance(store, MadeStore) or store.is_made()


async def _copy(
    flags: argparse.Namespace, source: Options, target: Options, bar: Bar
) -> tuple[list[Step], bool, list[str]]:
    """What became of each bundle, and whether anything was to be written.

    Then the labels that answer with less in the copy.
    """
    async with (
        _opened(source) as ours,
        _opened(target, is_new=flags.dry_run) as theirs,
    ):
        if _is_same(source, ours, target, theirs):
            where = without_secrets(flags.target)
            raise SettingsError(f"FROM and TO are the same: {where}")
        steps = await planned(ours, theirs, flags.label, bar.show)
        bare = await thinned(ours, theirs, {step.name.label for step in steps})
        differ = any(step.state == DIFFERS for step in steps)
        if flags.dry_run or (differ and not flags.overwrite):
            return steps, False, bare
        steps = await carry_out(steps, theirs, bar.show)
    async with _opened(target) as theirs:  # anew, so that nothing is remembered
        return await verified(steps, theirs, bar.show), True, bare


def _is_same(
    source: Options, ours: ConfigBackend, target: Options, theirs: ConfigBackend
) -> bool:
    if source.spring is not None or target.spring is not None:
        return False  # another layout, even in one place
    return _place(source.settings, ours) == _place(target.settings, theirs)


def _place(settings: Settings, backend: ConfigBackend) -> tuple[Any, ...]:
    """Where the *backend* of *settings* keeps its bundles: equal for one place alone.

    Credentials do not count.
    """
    kind = settings.backend_type
    apart = (kind, *(getattr(settings, name) for name in _APART))
    if kind == "filesystem":  # saves go to the first
        return *apart, os.path.realpath(settings.locations[0])
    if kind == "git":
        from ..adapters.git.address import read_address

        address = read_address(settings.git_uri or "")
        return *apart, os.path.realpath(address.path) if address.path else address.url
    uri, _, options = (settings.store_uri or "").partition("?")
    if isinstance(backend, StoreBackend):
        uri = backend.store.address
    if kind == "sqlite":
        uri = os.path.realpath(uri.partition("://")[2])
    return *apart, uri.rstrip("/"), options, tuple(settings.backend_options.items())


def _line(step: Step) -> str:
    application, profile, label = step.name
    name = shown(f"{application}/{profile}/{label}")
    return f"{step.state} {name}{f': {shown(step.problem)}' if step.problem else ''}\n"


def _summary(steps: Sequence[Step], is_written: bool) -> str:
    counts = ", ".join(_counts(step.state for step in steps))
    total = "1 bundle" if len(steps) == 1 else f"{len(steps)} bundles"
    end = "read back" if is_written else "nothing is written"
    if not is_written and any(step.state == DIFFERS for step in steps):
        end += ": --overwrite replaces what differs"
    return f"{total}{f' ({counts})' if counts else ''}, {end}"


def _counts(states: Iterable[str]) -> list[str]:
    found = [*states]
    return [
        f"{found.count(state)} {state}"
        for state in (NEW, DIFFERS, EQUAL, REFUSED)
        if state in found
    ]
