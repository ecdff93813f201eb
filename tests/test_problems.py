"""problems: broken files are logged once and told until they are mended."""

import logging
import sys
import threading

from pyconfserve.environment.overlay import make_lookup
from pyconfserve.errors import DocumentError
from pyconfserve.problems import Problems

ORDERS, OTHERS = make_lookup("orders"), make_lookup("others")


def test_what_is_broken_is_told_until_it_is_mended(caplog):
    """In order; a lookup knows of one at a time, the first that it meets."""
    problems = Problems()
    with caplog.at_level(logging.ERROR, "pyconfserve.server"):
        problems.note(ORDERS, DocumentError("no", 1, 2, "b.yml"))
        problems.note(OTHERS, DocumentError("no", 3, 4, "a.yml"))
        problems.note(ORDERS, DocumentError("no", 1, 2, "b.yml"))
    assert problems.texts() == ["a.yml:3:4: no", "b.yml:1:2: no"]
    assert problems.lookups() == {ORDERS, OTHERS}
    problems.forget(OTHERS)
    assert problems.texts() == ["b.yml:1:2: no"]
    expected = [
        f"a file does not parse: {text}: no" for text in ("b.yml:1:2", "a.yml:3:4")
    ]
    assert expected == [record.getMessage() for record in caplog.records]
    problems.note(ORDERS, DocumentError("no", 9, 9, "b.yml"))
    assert problems.texts() == ["b.yml:9:9: no"]


def test_the_last_hundred_are_kept():
    """The log has them all."""
    problems = Problems()
    for number in range(300):
        lookup = make_lookup(f"app{number}")
        problems.note(lookup, DocumentError("no", 1, 1, f"{number:03}.yml"))
    expected = [f"{number:03}.yml:1:1: no" for number in range(200, 300)]
    assert expected == problems.texts()


def test_threads_may_share_them(caplog):
    """Servers are used by loops of several threads."""
    caplog.set_level(logging.CRITICAL, "pyconfserve.server")
    problems, failures = Problems(), []

    def work(thread):
        try:
            for number in range(3000):
                lookup = make_lookup(f"app{thread}{number % 40}")
                problems.note(lookup, DocumentError("no", 1, 1, f"{number % 60}.yml"))
                problems.forget(lookup)
        except RuntimeError as error:
            failures.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert failures == []
