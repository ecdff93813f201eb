"""A clone that lost objects on the disk: origin may bring them back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ...errors import BackendError
from .clone import Clone
from .objects import Objects

__all__ = ["mended"]

Value = TypeVar("Value")


def mended(work: Callable[[], Value], objects: Objects, clone: Clone) -> Value:
    """What *work* gives; where it misses objects, once they were fetched again.

    They are fetched once, as a whole. Raises what *work* raises then.
    """
    try:
        if not objects.is_damaged:
            return work()
    except BackendError:
        if not objects.is_damaged:
            raise
    if clone.mend():
        objects.look_again()
    return work()
