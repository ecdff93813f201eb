"""Kills a server again and again while four clients save, and says what came of it."""

import random
import threading
import time
from collections import Counter
from typing import NamedTuple

from victims import Victims
from writers import Gate, Writer

WRITERS = ("alpha", "beta", "gamma", "delta")


class Report(NamedTuple):
    """What came of it."""

    kills: int
    acknowledged: int
    looks: int  # comparisons after a crash
    lost: list
    torn: list
    statuses: Counter
    seconds: float

    def __str__(self):
        return (
            f"{self.kills} kills, {self.acknowledged} acknowledged saves, "
            f"{self.looks} looks, {len(self.lost)} lost, {len(self.torn)} torn, "
            f"{dict(self.statuses)}, {self.seconds:.1f} s"
        )


def crash(arguments, kills, longest, log, *, whole=False, seed=None):
    """Kill a server *kills* times.

    Each is killed at most *longest* seconds after its start, or, as often, after its
    first save: some die before they have saved, and some in the midst of it.
    """
    moments = random.Random(seed)
    gate = Gate()
    writers = [Writer(name, gate) for name in WRITERS]
    began = time.monotonic()
    with Victims(arguments, log, whole=whole) as victims:
        for writer in writers:
            writer.start()
        for _ in range(kills):
            victims.start()
            writers[0].saved.clear()
            gate.open(victims.port)
            if moments.random() < 0.5:
                writers[0].saved.wait(1)
            threading.Event().wait(moments.uniform(0, longest))
            gate.close()
            victims.kill()
        victims.start()
        last_look(writers, gate, victims)
    return Report(
        kills,
        sum(writer.statuses[200] for writer in writers),
        sum(writer.looks for writer in writers),
        [lost for writer in writers for lost in writer.lost],
        [torn for writer in writers for torn in writer.torn],
        sum((writer.statuses for writer in writers), Counter()),
        time.monotonic() - began,
    )


def last_look(writers, gate, victims):
    """Each looks once more, and saves once more: nothing is locked for ever."""
    for writer in writers:
        writer.saved.clear()
    gate.open(victims.port)
    for writer in writers:
        assert writer.saved.wait(20), "the server that is not killed takes no saves"
    gate.close(is_over=True)
    for writer in writers:
        writer.join(20)
        assert not writer.is_alive()
