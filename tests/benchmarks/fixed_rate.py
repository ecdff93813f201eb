"""A client that asks at a fixed rate, whatever the answers take: python fixed_rate.py HOST PORT PATH RATE SECONDS.

A process of its own, and a plain loop of epoll, as an event loop would cost more than the servers it measures. Arrivals
come by chance, as those of many strangers do, but the same for each server. An answer's time begins when its request
was due: a server that makes others wait is not forgiven. On standard output stands {"latencies", "late"} as JSON, in
seconds, where `late` is what requests were sent late by.
"""

from __future__ import annotations

import gc
import json
import os
import random
import select
import socket
import sys
import time
from itertools import accumulate

CONNECTIONS = 256  # more than are ever waited for at once at half the greatest load


def connections(host: str, port: int, request: bytes, count: int) -> tuple[list[socket.socket], int]:
    """So many connections that have had one answer each, and the length of an answer in bytes."""
    opened, lengths = [], set()
    for _ in range(count):
        client = socket.create_connection((host, port))
        opened.append(client)
        client.sendall(request)
        head, _, body = client.recv(1 << 16).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"not 200: {head!r}")
        left = int(head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
        while len(body) < left:
            body += client.recv(1 << 16)
        lengths.add(len(head) + 4 + len(body))
    (length,) = lengths
    return opened, length


def ask(opened: list[socket.socket], request: bytes, length: int, due: list[float]) -> tuple[list[float], list[float]]:
    """The seconds of each answer and the seconds that each request was late, for requests that are due at *due*."""
    clock, read, write = time.perf_counter, os.read, os.write
    free = [client.fileno() for client in opened]
    left, since = {}, {}
    poll = select.epoll()
    for descriptor in free:
        poll.register(descriptor, select.EPOLLIN)
    asked, count = 0, len(due)
    latencies: list[float] = []
    late: list[float] = []
    began = clock() + 0.01
    while len(latencies) < count:
        now = clock() - began
        while free and asked < count and due[asked] <= now:
            descriptor = free.pop()
            write(descriptor, request)
            left[descriptor], since[descriptor] = length, due[asked]
            late.append(now - due[asked])
            asked += 1
            now = clock() - began
        for descriptor, _ in poll.poll(0):
            got = len(read(descriptor, 1 << 16))
            if not got:
                raise RuntimeError("a connection was closed")
            left[descriptor] -= got
            if not left[descriptor]:
                latencies.append(clock() - began - since[descriptor])
                free.append(descriptor)
    return latencies, late


def main() -> None:
    host, port, path, rate, seconds = sys.argv[1:]
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
    chance = random.Random(9)
    count = int(float(rate) * float(seconds))
    due = [*accumulate(chance.expovariate(float(rate)) for _ in range(count))]
    opened, length = connections(host, int(port), request, CONNECTIONS)
    gc.disable()  # its pauses would be the servers'
    latencies, late = ask(opened, request, length, due)
    json.dump({"latencies": latencies, "late": late}, sys.stdout)


if __name__ == "__main__":
    main()
