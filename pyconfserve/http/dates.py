"""The dates of HTTP (RFC 9110 §5.6.7), as seconds since the epoch."""

from __future__ import annotations

import time

__all__ = ["http_date", "parse_http_date"]

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = tuple("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())  # noqa: SIM905


def http_date(second: int) -> str:
    """RFC 9110 §5.6.7; strftime would use the locale, email.utils costs the start."""
    year, month, day, hour, minute, sec, weekday, *_ = time.gmtime(second)
    name, month_name = _DAYS[weekday], _MONTHS[month - 1]
    return f"{name}, {day:02} {month_name} {year} {hour:02}:{minute:02}:{sec:02} GMT"


def parse_http_date(text: str | None) -> int | None:
    """The second that a date header names, None where it names none."""
    from email.utils import parsedate_to_datetime  # few requests have one

    try:
        return None if text is None else int(parsedate_to_datetime(text).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None
