"""A client that counts a bundle up under `If-Match`, and prints what it did.

    python http_counter.py PORT SUCCESSES
"""

import http.client
import json
import sys
import time

TARGET = "/_bundle/counter/prod/main"


class Unforeseen(Exception):
    """An answer that is neither success nor 412."""


def ask(connection, method, headers, body=None):
    """(status, ETag, the answer)."""
    connection.request(method, TARGET, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    return answer.status, answer.headers["ETag"], content


def run(port, successes):
    """Count up *successes* times; each attempt is printed as an operation."""
    connection = http.client.HTTPConnection("127.0.0.1", port, 20)
    while successes:
        began = time.monotonic()
        status, tag, content = ask(connection, "GET", {})
        if status != http.HTTPStatus.OK:
            raise Unforeseen(status, content[:200])
        number = json.loads(content)["n"]
        print(json.dumps(["read", number, began, time.monotonic()]))
        began = time.monotonic()
        headers = {"If-Match": tag, "Content-Type": "application/json"}
        body = json.dumps({"n": number + 1})
        status, _, content = ask(connection, "PUT", headers, body)
        if status == http.HTTPStatus.PRECONDITION_FAILED:
            continue
        if status not in (200, 201, 204):
            raise Unforeseen(status, content[:200])
        print(json.dumps(["write", number + 1, began, time.monotonic()]))
        successes -= 1


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]))
