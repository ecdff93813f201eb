"""What the environment says to an end of `copy`: only what the end leaves open.

A variable means both ends, and what is said for one of them counts for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["left_open"]

_PLACES = {"root", "git_uri", "store_uri", "members"}
_PLACES |= {"search_locations", "native_search_locations"}
_TOKENS = {"store_token", "store_token_file"}
_SECRETS = {"store_password", "store_password_file", *_TOKENS}
# Who says one of these has said all of those.
_TOGETHER = (
    (_PLACES, {*_PLACES, "backend_type"}),
    (_TOKENS, {"store_username"}),  # for who has a token is nobody else
    (_SECRETS, _SECRETS),
)
_USER = re.compile("://([^/:]*)(:[^/]*)?@")


def left_open(
    variables: Mapping[str, Any], said: Mapping[str, Any], *, is_place_said: bool
) -> dict[str, Any]:
    """The *variables*, by field name, of which an end *said* nothing."""
    known = {*said, *(_PLACES if is_place_said else ())}
    for start in ("store", "git"):
        user = _USER.search(said.get(f"{start}_uri") or "")
        parts = ("username", "password") if user else ()
        for number, part in enumerate(parts, 1):
            if user and user[number]:
                known.add(f"{start}_{part}")
    for some, whole in _TOGETHER:
        if some & known:
            known |= whole
    return {name: value for name, value in variables.items() if name not in known}
