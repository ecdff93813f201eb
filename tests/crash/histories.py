"""Histories of one register that is only ever counted up, and whether they are right.

A history is linearizable when each operation can be put at one moment between its
beginning and its end so that, in the order of these moments, each read gives the number
of the last write. As every number is written once, and each write says which one it
follows, the order of the writes is known, and it is enough to compare pairs.
"""

from typing import NamedTuple


class Operation(NamedTuple):
    """A read that gave *number*, or a write of it over the one before."""

    kind: str
    number: int
    began: float
    ended: float


def contradictions(history):
    """The pairs of operations that no order explains, none for a right history.

    What ended before another began has to come first: it cannot have a higher number,
    nor can a write have the same as what came before it.
    """
    ordered = sorted(history, key=lambda one: one.began)
    by_end = sorted(history, key=lambda one: one.ended)
    found = []
    highest = None
    ended = iter(by_end)
    done = next(ended, None)
    for one in ordered:
        while done is not None and done.ended < one.began:
            if highest is None or done.number > highest.number:
                highest = done
            done = next(ended, None)
        if highest is None:
            continue
        is_again = one.kind == "write" and one.number == highest.number
        if one.number < highest.number or is_again:
            found.append((highest, one))
    written = [one.number for one in history if one.kind == "write"]
    if sorted(set(written)) != sorted(written):
        found.append(("a number was written twice", sorted(written)))
    begins = {one.number: one.began for one in history if one.kind == "write"}
    for one in history:
        if one.kind == "read" and begins.get(one.number, 0.0) > one.ended:
            found.append(("it was read before it was written", one))
    return found
