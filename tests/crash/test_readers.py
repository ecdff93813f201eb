"""Readers next to savers: each answer is one version, whole, and there is no gap."""

import hashlib
import http.client
import json
import threading
from collections import defaultdict

import pytest
from victims import Victims
from writers import PATIENCE, Gate, Writer, is_whole

READS = 1500


class Reader(threading.Thread):
    """Reads one bundle again and again, and notes what it was answered."""

    def __init__(self, port, count):
        super().__init__(daemon=True)
        self._port, self._count = port, count
        self.bodies = defaultdict(set)  # by ETag
        self.tags = defaultdict(set)  # by the digest of a body
        self.problems = []
        self.numbers = []

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, PATIENCE)
        for _ in range(self._count):
            connection.request("GET", "/alpha/prod")
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != http.HTTPStatus.OK:
                self.problems.append((answer.status, body[:200]))
                continue
            digest = hashlib.sha256(body).hexdigest()
            self.bodies[answer.headers["ETag"]].add(digest)
            self.tags[digest].add(answer.headers["ETag"])
            found = json.loads(body)["propertySources"][0]["source"]
            self.numbers.append(found["number"])
            if not is_whole(found):
                self.problems.append(body[:200])
        connection.close()


@pytest.mark.parametrize("options", [[], ["--workers", "2"]], ids=["alone", "workers"])
def test_readers_see_whole_versions_and_no_gap(options, tmp_path):
    """No partial file, no 404, no ETag of another body, and no answer older than one
    that the same reader had before.
    """
    (tmp_path / "root").mkdir()
    arguments = [tmp_path / "root", *options]
    with Victims(arguments, tmp_path / "log") as victims:
        victims.start()
        gate = Gate()
        gate.open(victims.port)
        writer = Writer("alpha", gate)
        writer.start()
        assert writer.saved.wait(PATIENCE)
        readers = [Reader(victims.port, READS) for _ in range(2)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(60)
        gate.close(is_over=True)
        writer.join(PATIENCE)
    for reader in readers:
        assert reader.problems == []
        assert {len(bodies) for bodies in reader.bodies.values()} == {1}
        assert {len(tags) for tags in reader.tags.values()} == {1}
        assert sorted(reader.numbers) == reader.numbers
        assert len(reader.numbers) == READS
        assert len(set(reader.numbers)) > 3
    assert set(writer.statuses) == {200}
