"""DictStore: a store in a dict that many replicas share, and that fails when told to."""

import threading

from pyconfserve.errors import BackendUnavailable, VersionConflict
from pyconfserve.store import Record, Snapshot


class DictPlace:
    """What the replicas' stores share: the records, and who waits for a change."""

    def __init__(self):
        self.records = {}
        self.revision = 0
        self.changed = threading.Condition()


class DictStore:
    """One replica's way to a DictPlace.

    `away` is the error that every call raises, `deaf` lets no notice come, and what is
    in `failures` is raised by the next writes, after the write when `is_lost`.
    """

    def __init__(self, place=None, limit=1 << 20):
        self.place = place or DictPlace()
        self.address = "dict:"
        self.limit = limit
        self.away = None
        self.is_deaf = False
        self.deafness = None  # what each wait raises
        self.failures = []
        self.is_lost = False
        self.is_closed = False
        self.calls = []
        self.before_write = []  # called by the next writes before they begin

    def _call(self, name):
        self.calls.append(name)
        if self.away is not None:
            raise self.away

    def token(self):
        self._call("token")
        return str(self.place.revision)

    def read(self):
        self._call("read")
        with self.place.changed:
            return Snapshot(str(self.place.revision), dict(self.place.records))

    def write(self, name, text, version):
        self._call("write")
        if self.before_write:
            self.before_write.pop()()
        failure = self.failures.pop() if self.failures else None
        if failure is not None and not self.is_lost:
            raise failure
        with self.place.changed:
            found = self.place.records.get(name)
            present = None if found is None else found.version
            if present != version:
                raise VersionConflict("the bundle has another version", present)
            self.place.revision += 1
            made = None if text is None else str(self.place.revision)
            if text is None:
                del self.place.records[name]
            else:
                self.place.records[name] = Record(text, made)
            self.place.changed.notify_all()
        if failure is not None:
            raise failure
        return made

    def wait(self, token, seconds):
        self.calls.append("wait")
        if self.deafness is not None:
            raise self.deafness
        with self.place.changed:
            self.place.changed.wait_for(
                lambda: (
                    self.is_closed
                    or self.away
                    or (not self.is_deaf and str(self.place.revision) != token)
                ),
                seconds,
            )
        if self.away is not None:
            raise self.away

    def close(self):
        self.is_closed = True
        with self.place.changed:
            self.place.changed.notify_all()

    # for tests

    def put(self, name, record):
        """Let a record be there, or go with None, as if another had written it."""
        with self.place.changed:
            self.place.revision += 1
            self.place.records.pop(name, None)
            if record is not None:
                self.place.records[name] = record
            self.place.changed.notify_all()

    def go_away(self, message="dict: is away"):
        with self.place.changed:
            self.away = BackendUnavailable(message)
            self.place.changed.notify_all()

    def come_back(self):
        self.away = None
