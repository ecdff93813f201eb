"""`user`: who may ask a server, in the file that `--users` names.

What stands in the file stays as it is, comments too: text is added or taken away, and
the file is replaced only when its users are those that were meant.
"""

from __future__ import annotations

import argparse
import getpass
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType

from ..errors import SettingsError
from ..http.passwords import (
    LONGEST_CREDENTIALS,
    hash_password,
    hash_token,
    new_token,
)
from ..http.rights import ALL_RIGHTS, READ
from ..http.users import NAME, User, Users, parse_users
from ..http.users_file import parse, read
from .user_text import with_user, without_user

__all__ = ["run"]

_LISTS = ("applications", "profiles", "rights", "files")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # no client can send one (RFC 7617 §2)


def run(arguments: Sequence[str]) -> int:
    """Add, remove or list the users of a file; raises SettingsError."""
    parser = _make_parser()
    options = parser.parse_args(arguments)
    if options.work is None:
        parser.print_help(sys.stderr)
        return 2
    options.work(options)
    return 0


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pyconfserve user",
        description="Who may ask a server, in the file that its --users names.",
        epilog="A password is asked for, or is one line of standard input.",
        allow_abbrev=False,
    )
    parser.set_defaults(work=None)
    commands = parser.add_subparsers(metavar="COMMAND")
    add = _make_command(commands, "add", "add a user, and make the file", _add)
    add.add_argument("name", metavar="NAME", help="letters, digits and -_.@+")
    for flag, text in (
        ("--application", "what it may ask for, with * and ? (all)"),
        ("--profile", "likewise (all)"),
        ("--file", "plain files that it may have, with * and ?"),
    ):
        add.add_argument(
            flag,
            action="append",
            dest=f"{flag[2:]}s",
            metavar="PATTERN",
            help=text,
        )
    add.add_argument(
        "--right",
        action="append",
        dest="rights",
        choices=sorted(ALL_RIGHTS),
        help=f"what it may do ({READ})",
    )
    add.add_argument(
        "--token", action="store_true", help="make a token, and print it this once"
    )
    remove = _make_command(commands, "remove", "remove a user", _remove)
    remove.add_argument("name", metavar="NAME")
    _make_command(commands, "list", "list the users, without their secrets", _list)
    return parser


def _make_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    work: Callable[[argparse.Namespace], None],
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name, help=text, description=f"{text.capitalize()}.", allow_abbrev=False
    )
    command.set_defaults(work=work)
    command.add_argument("path", metavar="FILE", help="YAML, as --users names it")
    return command


def _add(options: argparse.Namespace) -> None:
    path, name = options.path, options.name
    if not NAME.fullmatch(name):
        raise SettingsError("expected letters, digits and -_.@+", "NAME")
    before, users = _read_yaml(path)
    if name in users.by_name:
        raise SettingsError(f"{name} is there already", source=path)
    token = new_token() if options.token else None
    secret = {"password": hash_password(_ask_password(name))} if token is None else {}
    digest = {} if token is None else {"token": hash_token(token)}
    given = {key: getattr(options, key) for key in _LISTS if getattr(options, key)}
    item = {"name": name, **secret, **digest, **given}
    new = parse_users({"users": [item]}, path)
    expected = Users(
        MappingProxyType({**users.by_name, **new.by_name}),
        MappingProxyType({**users.by_token, **new.by_token}),
    )
    _change(path, before, with_user(before or "", item), expected)
    if token is not None:
        print(token)


def _remove(options: argparse.Namespace) -> None:
    path, name = options.path, options.name
    before, users = _read_yaml(path)
    if before is None or name not in users.by_name:
        raise SettingsError(f"there is no {name}", source=path)
    if len(users.by_name) == 1:
        raise SettingsError(f"{name} is the only one: remove the file", source=path)
    position = [*users.by_name].index(name)
    expected = Users(_without(users.by_name, name), _without(users.by_token, name))
    _change(path, before, without_user(before, position), expected)


def _without(users: Mapping[str, User], name: str) -> Mapping[str, User]:
    kept = {key: user for key, user in users.items() if user.name != name}
    return MappingProxyType(kept)


def _list(options: argparse.Namespace) -> None:
    users = parse(read(options.path), options.path)
    with_token = {user.name for user in users.by_token.values()}
    rows: list[tuple[str, ...]]
    rows = [("NAME", "SECRETS", "RIGHTS", "APPLICATIONS", "PROFILES", "FILES")]
    for name, user in users.by_name.items():
        has = {"password": user.secret is not None, "token": name in with_token}
        lists = (
            [secret for secret, is_there in has.items() if is_there],
            sorted(user.rights),
            user.applications,
            user.profiles,
            user.files or ["-"],
        )
        rows.append((name, *(_shown(",".join(items)) for items in lists)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _shown(text: str) -> str:
    """A text without what a terminal would do instead of showing it."""
    return text if text.isprintable() else ascii(text)


def _ask_password(name: str) -> str:
    """The password of a terminal's user, or of a line of standard input."""
    try:
        if sys.stdin is not None and sys.stdin.isatty():
            password = getpass.getpass(f"Password of {name}: ")
            if getpass.getpass("Once more: ") != password:
                raise SettingsError("the two are not the same", "password")
        else:
            line = sys.stdin.buffer.readline() if sys.stdin is not None else b""
            password = line.decode("utf-8").removesuffix("\n").removesuffix("\r")
        size = len(f"{name}:{password}".encode())
    except EOFError:
        password, size = "", 0
    except UnicodeError as error:
        raise SettingsError("is not UTF-8", "password") from error
    if not password:
        raise SettingsError("expected one, on one line of standard input", "password")
    if size > LONGEST_CREDENTIALS or _CONTROL.search(password):
        problem = f"has control characters, or more than {LONGEST_CREDENTIALS} bytes"
        raise SettingsError(problem, "password")
    return password


def _read_yaml(path: str) -> tuple[str | None, Users]:
    """The text of a file and its users; None and none for no file."""
    if not path.endswith((".yml", ".yaml")):
        raise SettingsError("expected a .yml or .yaml file", source=path)
    if not os.path.lexists(path):
        return None, Users()
    data = read(path)
    lines = (line.partition(b"#")[0].strip() for line in data.splitlines())
    has_users = any(line not in (b"", b"users:") for line in lines)
    users = parse(data, path) if has_users else Users()
    try:
        return data.decode("utf-8"), users
    except UnicodeDecodeError as error:
        raise SettingsError("is not UTF-8", source=path) from error


def _change(path: str, before: str | None, after: str, expected: Users) -> None:
    """Replace the file, when its users are then those *expected*."""
    try:
        data = after.encode("utf-8")
        found = parse(data, path)
    except (UnicodeEncodeError, SettingsError):
        found = None
    if found != expected:
        raise SettingsError("has another form than this command writes", source=path)
    target = os.path.realpath(path)  # a link stays one
    try:
        with _lock(os.path.dirname(target)):
            now = read(path).decode("utf-8") if os.path.lexists(path) else None
            if now != before:
                problem = "was changed by someone else meanwhile"
                raise SettingsError(problem, source=path)
            _replace(target, data)
    except OSError as error:
        problem = f"cannot be written: {error.strerror}"
        raise SettingsError(problem, source=path) from error


@contextmanager
def _lock(folder: str) -> Iterator[None]:
    """Keep out others who run this command; what is in *folder* is durable then."""
    if os.name != "posix":
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # not every network's file system has locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(path: str, data: bytes) -> None:
    """Put *data* in the place of the file at *path*, whole or not at all."""
    folder = os.path.dirname(path)
    descriptor, unfinished = tempfile.mkstemp(".tmp", ".users-", folder)  # mode 0600
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
            if os.name == "posix" and os.path.lexists(path):
                _keep_readers(descriptor, path)
        os.replace(unfinished, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(unfinished)
        raise


def _keep_readers(descriptor: int, path: str) -> None:
    """Leave the file to the owner and the group that it had, where we may."""
    found = os.stat(path)
    with suppress(PermissionError):
        os.fchown(descriptor, found.st_uid, found.st_gid)
    if os.fstat(descriptor).st_gid == found.st_gid:
        os.fchmod(descriptor, 0o600 | found.st_mode & 0o040)
