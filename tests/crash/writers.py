"""Clients that save as fast as they can, and look after each crash what is there."""

import hashlib
import http.client
import json
import random
import threading
from collections import Counter

PATIENCE = 20  # seconds for what takes a fraction of one
LARGEST = 20_000  # bytes of a value: several blocks of a disk
BROKEN = (OSError, http.client.HTTPException)


def signed(number, size):
    """Properties that tell whether they are whole."""
    fill = "x" * size
    mark = hashlib.sha256(f"{number} {fill}".encode()).hexdigest()
    return {"number": number, "fill": fill, "mark": mark}


def is_whole(found):
    """Whether *found* is what `signed` made, to the last byte."""
    return found == signed(found.get("number"), len(found.get("fill", "")))


class Gate:
    """The port of the server that runs now; writers wait for one that does."""

    def __init__(self):
        self._changed = threading.Condition()
        self._port = 0
        self.is_over = False

    def open(self, port):
        with self._changed:
            self._port = port
            self._changed.notify_all()

    def close(self, *, is_over=False):
        with self._changed:
            self._port, self.is_over = 0, is_over
            self._changed.notify_all()

    def port(self):
        """The port, None when all is over."""
        with self._changed:
            is_told = self._changed.wait_for(lambda: self._port or self.is_over, PATIENCE)  # fmt: skip
            assert is_told, "no server came"
            return None if self.is_over else self._port


class Writer(threading.Thread):
    """Saves numbers for one application of its own, each higher than the last.

    `lost` and `torn` are what was read that contradicts what was answered.
    """

    def __init__(self, name, gate):
        super().__init__(name=name, daemon=True)
        self._gate = gate
        self._random = random.Random(name)
        self.acknowledged = 0  # the highest number answered with success
        self.attempted = 0  # the highest number sent
        self.saved = threading.Event()
        self.statuses = Counter()
        self.lost = []
        self.torn = []
        self.looks = 0

    def run(self):
        while (port := self._gate.port()) is not None:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, PATIENCE)
                self.look(connection)
                while not self._gate.is_over:
                    self.save(connection)
            except BROKEN:
                connection.close()
        connection.close()

    def look(self, connection):
        """Compare what is there with what it may be."""
        found = read(connection, self.name)
        self.looks += 1
        if found is None:
            if self.acknowledged:
                self.lost.append((self.acknowledged, None))
        elif not is_whole(found):
            self.torn.append(str(found)[:200])
        elif not self.acknowledged <= found["number"] <= self.attempted:
            self.lost.append((self.acknowledged, found["number"], self.attempted))

    def save(self, connection):
        self.attempted += 1
        size = self._random.choice((10, 1000, LARGEST))
        body = json.dumps(signed(self.attempted, size))
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"/{self.name}/prod", body, headers)
        answer = connection.getresponse()
        answer.read()
        self.statuses[answer.status] += 1
        if answer.status == http.HTTPStatus.OK:
            self.acknowledged = self.attempted
            self.saved.set()


def read(connection, name):
    """The properties of an application, None for none."""
    connection.request("GET", f"/{name}/prod")
    answer = connection.getresponse()
    body = answer.read()
    if answer.status == http.HTTPStatus.NOT_FOUND:
        return None
    assert answer.status == http.HTTPStatus.OK, (answer.status, body[:300])
    sources = json.loads(body)["propertySources"]
    return sources[0]["source"] if sources else None
