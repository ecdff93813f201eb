"""What git is told so that ssh reaches a repository, and the files of ours for that.

Keys are written to a private folder; passwords are in the environment alone.
"""

from __future__ import annotations

import base64
import os
import re
import shlex
from contextlib import suppress

from ...folder import reported
from .address import Access, Address, expect

__all__ = ["is_host_key", "path_for_ssh", "ssh_environment", "write_private"]

_HOST_KEY = re.compile(r"ssh-(dss|rsa|ed25519)|ecdsa-sha2-nistp(256|384|521)")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_NO_YES = ("no", "yes")
_ASKPASS = """#!/bin/sh
case "$1" in
  "Enter passphrase"*) printf '%s\\n' "$PYCONFSERVE_SSH_PASSPHRASE" ;;
  *) printf '%s\\n' "$PYCONFSERVE_SSH_PASSWORD" ;;
esac
"""


def ssh_environment(at: Address, access: Access, folder: str) -> dict[str, str]:
    """GIT_SSH_COMMAND, and what answers its questions; raises BackendError, and
    SettingsError for a *folder* that ssh cannot be told.
    """
    options = _options(at, access) | _identity(access, folder)
    options |= _known_hosts(at, access, folder)
    command = ["ssh", *(["-F", "/dev/null"] * access.ignore_local_ssh_settings)]
    command += [f"-o{name}={value}" for name, value in options.items()]
    return {"GIT_SSH_COMMAND": shlex.join(command)} | _askpass(access, folder)


def is_host_key(access: Access) -> bool:
    """Whether it says in its own first bytes what its algorithm is; or is not there."""
    algorithm = access.host_key_algorithm
    try:
        key = base64.b64decode(access.host_key, validate=True)
    except ValueError:
        return False
    if not key and not algorithm:
        return True
    return key[4:].startswith(algorithm.encode()) and bool(
        _HOST_KEY.fullmatch(algorithm)
    )


def _options(at: Address, access: Access) -> dict[str, str]:
    seconds = max(1, int(access.timeout))
    is_asked = _sends_password(access) or bool(access.passphrase)
    options = {
        "BatchMode": _NO_YES[not is_asked],
        "StrictHostKeyChecking": _NO_YES[access.strict_host_key_checking],
        "ConnectTimeout": str(seconds),
        "ServerAliveInterval": str(max(1, seconds // 2)),
        "ServerAliveCountMax": "1",  # the second interval without an answer is the last
        "NumberOfPasswordPrompts": "1",
        "PasswordAuthentication": _NO_YES[_sends_password(access)],
        "KbdInteractiveAuthentication": "no",
        "ControlPath": "none",  # a shared connection would outlive its git
    }
    if access.username and not at.user:
        options["User"] = access.username
    return options


def _sends_password(access: Access) -> bool:
    return bool(access.password and not access.private_key)


def _identity(access: Access, folder: str) -> dict[str, str]:
    path = key = access.private_key
    if not key:
        nothing = {"IdentityFile": "none", "IdentityAgent": "none"}
        return nothing if access.ignore_local_ssh_settings else {}
    if "-----BEGIN" in key:
        lines = key.replace("\\r", "").replace("\\n", "\n").split("\n")
        text = "\n".join(line.strip() for line in lines).strip() + "\n"
        path = write_private(folder, "ssh-key", text)
    return {"IdentityFile": path_for_ssh(path), "IdentitiesOnly": "yes"}


def _known_hosts(at: Address, access: Access, folder: str) -> dict[str, str]:
    is_alone, host, path = access.ignore_local_ssh_settings, at.host.lower(), ""
    if access.host_key:
        place = host if at.port in ("", "22") else f"[{host}]:{at.port}"
        line = f"{place} {access.host_key_algorithm} {access.host_key}\n"
        path = write_private(folder, "known_hosts", line)
    elif access.known_hosts_file:
        path = access.known_hosts_file
    elif is_alone or not access.strict_host_key_checking:
        path = "/dev/null"
    options = {"UserKnownHostsFile": path_for_ssh(path)} if path else {}
    if access.host_key or is_alone:  # no other key of the host will do
        options["GlobalKnownHostsFile"] = "/dev/null"
    return options


def _askpass(access: Access, folder: str) -> dict[str, str]:
    secrets = {"PYCONFSERVE_SSH_PASSPHRASE": access.passphrase}
    if _sends_password(access):
        secrets["PYCONFSERVE_SSH_PASSWORD"] = access.password
    if not any(secrets.values()):
        return {}
    path = write_private(folder, "askpass", _ASKPASS, 0o700)
    asking = {"SSH_ASKPASS": path, "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
    return asking | secrets


def path_for_ssh(path: str) -> str:
    """A path, absolute, as ssh reads it in an option; some no quoting protects."""
    expect(path.isprintable() and not set('"\\$') & {*path}, 'a path without " \\ $')
    return f'"{os.path.abspath(os.path.expanduser(path)).replace("%", "%%")}"'


def write_private(folder: str, name: str, text: str, mode: int = 0o600) -> str:
    """The path of a file of ours, new each time: those who read the old one go on."""
    path = os.path.join(os.path.abspath(folder), name)
    unfinished = f"{path}.new"
    with reported(name):
        with suppress(FileNotFoundError):
            os.unlink(unfinished)
        descriptor = os.open(unfinished, _NEW, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        os.replace(unfinished, path)
    return path
