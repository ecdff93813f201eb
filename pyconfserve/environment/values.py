"""How a value is written as text: in Java's spelling.

Spring's clients and files expect it. Measured in the cases yaml-types: booleans in
lower case, doubles as Double.toString writes them.
"""

from __future__ import annotations

import math
from typing import Any

__all__ = ["CIPHER", "is_encrypted", "number_text", "text_of"]

CIPHER = "{cipher}"  # begins a value that is encrypted


def is_encrypted(value: Any) -> bool:
    """Whether a flat value is for a cipher to open."""
    return isinstance(value, str) and value.startswith(CIPHER)


def text_of(value: Any) -> str:
    """The text of a flat value: `True` is `true`, `1e7` is `1.0E7`, null is empty."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return number_text(value) if isinstance(value, float) else str(value)


def number_text(number: float) -> str:
    """A float as Double.toString writes it.

    It has the shortest digits, and an exponent below 1e-3 and from 1e7 on.
    """
    if not math.isfinite(number):
        return (
            "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
        )
    plain = repr(number)
    if number == 0 or (1e-3 <= abs(number) < 1e7 and "e" not in plain):
        return plain
    digits, power = _shortest(plain)
    return f"{'-' if number < 0 else ''}{digits[0]}.{digits[1:] or '0'}E{power}"


def _shortest(plain: str) -> tuple[str, int]:
    """The significant digits of a repr, and the power of ten of the first of them."""
    mantissa, _, exponent = plain.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    leading = len(whole + fraction) - len(digits)
    power = int(exponent or 0) + len(whole) - 1 - leading
    return digits.rstrip("0") or "0", power
