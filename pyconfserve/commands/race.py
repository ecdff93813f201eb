"""`check s3://… --race`: whether an endpoint keeps the promise that saves rest on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import SettingsError
from ..stores import bucket_options
from .options import read_options
from .output import write

if TYPE_CHECKING:
    from ..adapters.s3_race import Outcome

__all__ = ["run_race"]


def run_race(root: str, settings_file: str | None) -> int:
    """Race writers at *root*, `s3://bucket/prefix`, and print what came of it.

    Gives 0 where the promise is kept, 1 where it is broken or cannot be told. Raises
    SettingsError, MissingDependency without boto3, BackendError.
    """
    named: Sequence[str] = ["--settings", settings_file] if settings_file else []
    settings = read_options([*named, "--", root]).settings
    if settings.backend_type != "s3":
        raise SettingsError(
            "only s3://BUCKET has a race: the others keep their promise"
        )
    from ..adapters.s3_client import Bucket
    from ..adapters.s3_race import ROUNDS, WRITERS, race

    bucket = Bucket(root, **bucket_options(settings))
    print(
        f"pyconfserve: {WRITERS} writers count up one object, {ROUNDS} times each",
        file=sys.stderr,
    )
    try:
        outcome = race(bucket)
    finally:
        bucket.close()
    status = write("".join(f"{line}\n" for line in _lines(outcome)))
    print(f"pyconfserve: {bucket.address}: {_verdict(outcome)}", file=sys.stderr)
    return status or (0 if outcome.is_kept else 1)


def _lines(outcome: Outcome) -> list[str]:
    """The figures, a line for each promise."""
    final = "not readable" if outcome.final is None else outcome.final
    unknown = f", {outcome.unknown} got no answer" if outcome.unknown else ""
    removal = "refused" if outcome.guards_removal else "not refused"
    creators = f"{outcome.creators} of {outcome.writers}"
    told = f"{outcome.told} of {outcome.wanted}"
    lost = f", {outcome.lost} of them are lost" if outcome.lost else ""
    return [
        f"If-None-Match: {creators} writers were told that they created the object",
        f"If-Match: {told} increments were told to be made{unknown}, "
        f"the count is {final}{lost}",
        f"If-Match of a removal: one with a wrong ETag is {removal}",
        *([f"a request failed: {outcome.problem}"] if outcome.problem else []),
        *(f"it could not be removed: {key}" for key in outcome.left),
    ]


def _verdict(outcome: Outcome) -> str:
    took = f"in {outcome.seconds:.1f} s"
    if outcome.is_broken:
        return f"the promise is broken {took}: let one server alone save here"
    if not outcome.is_kept:
        return f"nothing can be told {took}: too little was answered"
    if not outcome.guards_removal:
        return (
            f"the promise is kept {took}, but not for removals: what is saved while "
            "another one removes it may be lost"
        )
    return f"the promise is kept {took}: several servers may save here"
