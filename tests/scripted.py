"""A server that plays faults: it sends bytes as they are told, over real sockets."""

import json
import socket
import threading
from contextlib import suppress
from http import HTTPStatus

PATIENCE = 10  # seconds after which a test that waits has failed


def reply(body=b"", status=200, **headers):
    """The bytes of one answer; *body* may be a tree, sent as JSON."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **headers}
    fields = {"Content-Length": len(body), "Connection": "close", **headers}
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def environment(*sources, **fields):
    """The tree of an answer; each source is a mapping of flat keys."""
    named = [
        {"name": f"source-{number}", "source": source}
        for number, source in enumerate(sources)
    ]
    return {
        "name": "orders",
        "profiles": ["default"],
        "label": "main",
        "version": "1",
        "state": None,
        "propertySources": named,
        **fields,
    }


class Asked:
    """One request as it arrived: `target`, and `headers` by their names in lower case."""

    def __init__(self, head):
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = first.split(" ")
        fields = [line.split(": ", 1) for line in lines if line]
        self.headers = {name.lower(): value for name, value in fields}


class ScriptedServer:
    """Plays one *act* for each connection, the last one again and again.

    An act is bytes to send, or `act(sock, asked)`. What was asked is kept in `asked`.
    """

    def __init__(self, *acts, tls=None):
        self.acts = list(acts)
        self.asked = []
        self.ended = threading.Event()  # for acts that hang
        self._tls = tls
        self._lock = threading.Lock()
        self._arrived = threading.Condition()
        self._threads = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.authority = f"127.0.0.1:{self.port}"
        self.url = f"{'https' if tls else 'http'}://{self.authority}"
        self._begin(self._accept)

    def play(self, *acts):
        """Replace what is still to be played."""
        with self._lock:
            self.acts = list(acts)

    def wait_for(self, count):
        """Wait until so many requests have arrived in all."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.asked) >= count, PATIENCE)

    def stop(self):
        self.ended.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _begin(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            self._begin(self._serve, client)

    def _serve(self, client):
        with suppress(OSError):
            client.settimeout(PATIENCE)
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
            with client:
                head = self._read_head(client)
                if head:
                    self._answer(client, Asked(head))

    def _read_head(self, client):
        data = b""
        while b"\r\n\r\n" not in data:
            part = client.recv(65536)
            if not part:
                return b""
            data += part
        return data.partition(b"\r\n\r\n")[0]

    def _answer(self, client, asked):
        with self._lock:
            act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
        with self._arrived:
            self.asked.append(asked)
            self._arrived.notify_all()
        if callable(act):
            act(client, asked)
        else:
            client.sendall(act)
            client.shutdown(socket.SHUT_WR)
            client.recv(1)  # until the other side closes: a reset could lose bytes


def hang(server):
    """An act: accept the request, and say nothing until the test is over."""
    return lambda client, asked: server.ended.wait(PATIENCE)


def drip(server, data, seconds=0.05):
    """An act: a byte of *data* every so many *seconds*, until the test is over."""

    def act(client, asked):
        for byte in data:
            client.sendall(bytes([byte]))
            if server.ended.wait(seconds):
                return

    return act


def flood(head, block=b" " * 65536):
    """An act: *head*, then *block* again and again until nobody reads any more."""

    def act(client, asked):
        client.sendall(head)
        with suppress(OSError):
            while True:
                client.sendall(block)

    return act
