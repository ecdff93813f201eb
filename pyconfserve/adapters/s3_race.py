"""Whether an endpoint of S3 keeps the promises that saves rest on, found out by a race.

Some answer If-Match by looking first and writing then, and lose updates between.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple, TypeVar

from ..errors import BackendError, ConfigError, VersionConflict
from .s3_client import Bucket

__all__ = ["LONGEST", "ROUNDS", "WRITERS", "Outcome", "race"]

WRITERS = 8
ROUNDS = 20  # increments of each writer
LONGEST = 60.0  # seconds; an endpoint that hangs is given up
_CREATIONS = 10  # objects: of one alone a careless endpoint makes no mistake at times

Result = TypeVar("Result")


class Outcome(NamedTuple):
    """What writers were told, and what was true.

    At most `creators` of `writers` were told that they made one object. `told`
    increments were told to be made, `lost` of them are not there, `unknown` got no
    answer, and the count is `final`; None where it cannot be read. `problem` is a
    failure. `guards_removal` is whether a removal under a wrong ETag was refused.
    `left` are the keys that could not be removed.
    """

    writers: int
    creators: int
    wanted: int
    told: int
    lost: int
    unknown: int
    final: int | None
    guards_removal: bool
    left: tuple[str, ...]
    problem: str
    seconds: float

    @property
    def is_broken(self) -> bool:
        """Whether an update was lost, or one made whose writer was told otherwise, or
        two were told that they created one object.
        """
        has_more = self.final is not None and self.final > self.told + self.unknown
        return self.creators > 1 or self.lost > 0 or has_more

    @property
    def is_kept(self) -> bool:
        """Whether all was made, and nothing was lost."""
        is_whole = self.creators == 1 and self.told == self.wanted
        return is_whole and self.final is not None and not self.is_broken


class _Count:
    """What one writer was told: the names of its increments."""

    def __init__(self) -> None:
        self.told: set[bytes] = set()
        self.unknown = self.failures = 0
        self.problem = ""


def race(
    bucket: Bucket,
    writers: int = WRITERS,
    rounds: int = ROUNDS,
    longest: float = LONGEST,
) -> Outcome:
    """Have *writers* count up one object of their own, *rounds* times each.

    The objects are removed at the end. Raises BackendError when not one request got
    through.
    """
    stem = f".pyconfserve-race-{secrets.token_hex(8)}"  # hidden from who lists files
    keys = [f"{stem}-{number}" for number in range(_CREATIONS)]
    left: list[str] = []
    try:
        outcome = _raced(bucket, keys, writers, rounds, longest)
    finally:
        with ThreadPoolExecutor(_CREATIONS) as threads:
            removed = threads.map(lambda key: _is_removed(bucket, key), keys)
            left += [key for key, done in zip(keys, removed, strict=True) if not done]
    return outcome._replace(left=tuple(left))


def _raced(
    bucket: Bucket, keys: list[str], writers: int, rounds: int, longest: float
) -> Outcome:
    began = time.monotonic()
    until = began + longest
    creators, problem = _create(bucket, keys, writers, until)
    key = keys[0]
    if not creators:
        with suppress(VersionConflict):
            bucket.put(key, b"\n", None)  # it raises what is wrong
    counts = _side_by_side(writers, lambda: _count_up(bucket, key, rounds, until))
    told = {name for count in counts for name in count.told}
    final: set[bytes] | None = None
    with suppress(ConfigError):
        final = set(bucket.get(key).data.split())
    problems = [problem, *(count.problem for count in counts)]
    return Outcome(
        writers=writers,
        creators=creators,
        wanted=writers * rounds,
        told=len(told),
        lost=0 if final is None else len(told - final),
        unknown=sum(count.unknown for count in counts),
        final=None if final is None else len(final),
        guards_removal=_guards_removal(bucket, key),
        left=(),
        problem=next((one for one in problems if one), ""),
        seconds=time.monotonic() - began,
    )


def _create(
    bucket: Bucket, keys: list[str], writers: int, until: float
) -> tuple[int, str]:
    """How many writers at most were told that they created one object.

    With it comes what failed. An object that nobody makes is the last.
    """
    most, problem = 0, ""
    for key in keys:
        done = _side_by_side(writers, _creation(bucket, key, writers))
        problem = problem or next((one for _, one in done if one), "")
        most = max(most, sum(count for count, _ in done))
        if not most or time.monotonic() > until:
            break
    return most, problem


def _creation(bucket: Bucket, key: str, writers: int) -> Callable[[], tuple[int, str]]:
    """What each writer does at one moment with the others."""
    ready = threading.Barrier(writers)

    def create() -> tuple[int, str]:
        ready.wait(LONGEST)
        try:
            bucket.put(key, b"\n", None)
        except VersionConflict:
            return 0, ""
        except BackendError as error:
            return 0, str(error)
        return 1, ""

    return create


def _count_up(bucket: Bucket, key: str, rounds: int, until: float) -> _Count:
    """Add a name to the object, as long as it takes for *rounds* successes.

    Who fails as often gives up.
    """
    count = _Count()
    while max(len(count.told), count.failures) < rounds and time.monotonic() < until:
        try:
            found = bucket.get(key)
        except ConfigError as error:
            count.problem = str(error)
            count.failures += 1
            continue
        name = secrets.token_hex(6).encode()
        try:
            bucket.put(key, found.data + name + b"\n", found.etag)
        except VersionConflict:
            continue
        except BackendError as error:
            count.unknown += 1
            count.failures += 1
            count.problem = str(error)
        else:
            count.told.add(name)
    return count


def _guards_removal(bucket: Bucket, key: str) -> bool:
    try:
        bucket.delete(key, f'"{"0" * 32}"')
    except VersionConflict:
        return True
    except BackendError:
        return False
    return False


def _side_by_side(number: int, work: Callable[[], Result]) -> list[Result]:
    with ThreadPoolExecutor(number) as threads:
        futures: list[Future[Result]] = [threads.submit(work) for _ in range(number)]
        return [future.result() for future in futures]


def _is_removed(bucket: Bucket, key: str) -> bool:
    """Leave nothing behind, whatever happens; a failure may be the only one."""
    for _ in range(2):
        with suppress(VersionConflict, BackendError):
            bucket.delete(key)
            return True
    return False
