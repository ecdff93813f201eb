"""The dates of HTTP."""

from __future__ import annotations

import pytest

from pyconfserve.http.dates import http_date, parse_http_date


@pytest.mark.parametrize(
    ("second", "text"),
    [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (784111777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (1709164799, "Wed, 28 Feb 2024 23:59:59 GMT"),
    ],
)
def test_a_date_is_written_and_read(second: int, text: str) -> None:
    """The one form that is sent, whatever the locale."""
    assert (text, second) == (http_date(second), parse_http_date(text))


@pytest.mark.parametrize("text", [None, "", "yesterday", "Sun, 99 Nov 1994 08:49:37 GMT"])
def test_what_is_no_date_is_ignored(text: str | None) -> None:
    """A condition that cannot be read is none (RFC 9110 §13.1.3)."""
    assert parse_http_date(text) is None
