"""What ROOT on the command line means: a folder, a repository, or a store."""

from __future__ import annotations

import os
import re
from typing import Any

from .addresses import store_type
from .errors import SettingsError

__all__ = ["settings_of"]

_GIT = re.compile(r"(?:(?i:https|ssh|git|file):|[\w.-]+@[\w.-]+:(?!//)).*", re.DOTALL)
_IN_A_REPOSITORY = ("HEAD", "objects", "refs")


def settings_of(root: str) -> dict[str, Any]:
    """The settings that ROOT stands for, by field name.

    `https:`, `ssh:`, `file:` and `git@host:path` are git repositories, and so is a
    folder that is a bare one; `git+` in front makes any path one. What is not encrypted
    has to stand in settings. `sqlite:`, `postgresql:`, `etcd:`, `redis:`, `consul:`,
    `vault:` and `s3:` are stores, `memory:` is one that ends with its process. Raises
    SettingsError.
    """
    if root == "memory:":
        return {"backend_type": "memory"}
    if store := store_type(root):
        return {"backend_type": store, "store_uri": root}
    if root.startswith("git+"):
        return {"backend_type": "git", "git_uri": _safe(root.removeprefix("git+"))}
    if _GIT.fullmatch(_safe(root)) or _is_bare_repository(root):
        return {"backend_type": "git", "git_uri": root}
    scheme, separator, _ = root.partition("://")
    if separator:
        raise SettingsError(f"no store has addresses that begin with {scheme}://")
    return {"root": root}


def _safe(root: str) -> str:
    scheme = root.partition(":")[0].lower()
    if scheme in ("http", "git") and root[len(scheme) :].startswith("://"):
        raise SettingsError(
            f"{scheme}:// is not encrypted: if that is wanted, set backend.git.uri "
            "in a --settings file"
        )
    return root


def _is_bare_repository(root: str) -> bool:
    return all(os.path.exists(os.path.join(root, name)) for name in _IN_A_REPOSITORY)
