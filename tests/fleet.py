"""Three servers over one store, and those who write, read and wait at all of them."""

import http.client
import json
import threading
import time
from contextlib import ExitStack
from statistics import median

PATIENCE = 10  # seconds for what takes a fraction of one, and less than a poll
_IN_A_ROW = 25  # changes through one server: the others live on notices


class Client:
    """Requests to one server over one connection; `headers` are those of the answer."""

    def __init__(self, serving):
        self._connection = http.client.HTTPConnection(serving.host, serving.port, timeout=60)
        self.headers = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._connection.close()

    def ask(self, method, path, tree=None, **headers):
        """(status, tree) of one request; `if_match` stands for If-Match."""
        body = None if tree is None else json.dumps(tree)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request(method, path, body, named)
        answer = self._connection.getresponse()
        content = answer.read()
        self.headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, json.loads(content) if content else None

    def value(self, application):
        """The number that an application has here, 0 for none."""
        status, document = self.ask("GET", f"/{application}/default")
        return _value(document) if status == 200 else 0


def _value(document):
    return document["propertySources"][0]["source"]["value"]


class Fleet:
    """*servers* under load: *changes* of *applications*, one after another.

    `stale` are answers older than one before them from the same server, `last` is the
    last value that each watcher saw, and `delays` are seconds from when a save was sent
    to when a watcher of another server had what it saved.
    """

    def __init__(self, servers, applications, changes):
        self.servers, self.applications, self.changes = servers, applications, changes
        self.stale, self.errors, self.last, self.reads = [], [], {}, 0
        self._saved = {}  # value: when its save was sent, and to which server
        self._seen = []  # value, when, at which server
        self._is_over = threading.Event()

    def run(self):
        """All of it, until every watcher has seen what is last; gives the seconds."""
        began = time.monotonic()
        numbers = range(len(self.servers))
        readers = [self._thread(self._read, number) for number in numbers]
        watchers = [
            self._thread(self._watch, number, name)
            for number in numbers
            for name in self.applications
        ]
        try:
            self._write()
            until = time.monotonic() + PATIENCE
            for thread in watchers:
                thread.join(max(0.0, until - time.monotonic()))
                if thread.is_alive():
                    self.errors.append("a watcher has not seen what is last")
        finally:
            self._is_over.set()
        for thread in readers + watchers:
            thread.join(2 * PATIENCE)
        return time.monotonic() - began

    @property
    def finals(self):
        """What each watcher has to see in the end."""
        return {
            (number, name): self._final(name)
            for number in range(len(self.servers))
            for name in self.applications
        }

    @property
    def delays(self):
        return [
            seen - self._saved[value][0]
            for value, seen, number in self._seen
            if self._saved[value][1] != number
        ]

    @property
    def median(self):
        """That of the delays, in seconds."""
        return median(self.delays)

    def _application(self, value):
        return self.applications[value % len(self.applications)]

    def _final(self, name):
        values = range(self.changes, 0, -1)
        return next(value for value in values if self._application(value) == name)

    def _thread(self, work, *arguments):
        def guarded():
            try:
                work(*arguments)
            except Exception as error:
                self.errors.append(repr(error))

        thread = threading.Thread(target=guarded)
        thread.start()
        return thread

    def _write(self):
        """Change by change, some through one server and some through the next."""
        with ExitStack() as stack:
            clients = [stack.enter_context(Client(one)) for one in self.servers]
            for value in range(1, self.changes + 1):
                number = value // _IN_A_ROW % len(clients)
                path = f"/{self._application(value)}/default"
                self._saved[value] = time.monotonic(), number
                answer = clients[number].ask("POST", path, {"value": value})
                if answer != (200, {"saved": True}):
                    self.errors.append(f"{value}: {answer}")

    def _read(self, number):
        """Ask one server over and over."""
        newest = {}
        with Client(self.servers[number]) as client:
            while not self._is_over.wait(0.005):
                for name in self.applications:
                    self.reads += 1
                    self._take(newest, name, client.value(name))

    def _take(self, newest, key, value):
        if value < newest.get(key, 0):
            self.stale.append((key, newest[key], value))
        newest[key] = value

    def _watch(self, number, name):
        """Wait for the next value at one server until it is the last one."""
        key, tag = (number, name), ""
        with Client(self.servers[number]) as client:
            while self.last.get(key) != self._final(name) and not self._is_over.is_set():
                query, held = ("?wait=5", {"if_none_match": tag}) if tag else ("", {})
                status, document = client.ask("GET", f"/{name}/default{query}", **held)
                if status == 200:
                    tag, value = client.headers["etag"], _value(document)
                    self._seen.append((value, time.monotonic(), number))
                    self._take(self.last, key, value)
                elif status == 404:  # nothing is saved yet
                    self._is_over.wait(0.005)
