"""How `serve` is called: its flags, and the settings that they and others make.

A flag beats the environment, which beats the file.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import __version__
from ..addresses import no_folder, shown
from ..errors import SettingsError
from ..members import whole_of
from ..roots import settings_of
from ..settings import Settings, flag_of, help_of, variable_of
from ..settings_sources import (
    collect,
    collect_variables,
    parse_fields,
    parse_setting,
    read_file,
)

if TYPE_CHECKING:
    from ..spring_settings import SpringSettings

__all__ = ["Options", "check_folders", "read_options", "require_git"]

_REPEATED = {"--search-location", "--allow-host"}
_ROOTS = {"root", "git_uri", "store_uri", "members"}
# Flags that mean nothing elsewhere: the backends that they are for, for people, too.
_OF_SOME = {
    "git_clone_dir": (("git",), "a git repository"),
    "git_refresh_rate": (("git",), "a git repository"),
    "search_locations": (("filesystem", "git"), "a folder or a git repository"),
}
_TLS = ("tls_cert", "tls_key", "tls_key_password", "tls_client_ca")
_IN_PLACE = {"users": ("users",), "TLS": _TLS, "": ("log_format",)}


class Options(NamedTuple):
    """What is to be served, and how; *what* is that for people."""

    arguments: Sequence[str]
    settings: Settings
    spring: SpringSettings | None
    what: str
    says_host: bool  # somebody chose the address

    @property
    def outer_path(self) -> str | None:
        """What /monitor and /actuator stand below, None for the base path."""
        return self.spring.outer_path if self.spring is not None else None

    def taking(self, new: Settings) -> tuple[Options, list[str]]:
        """These options with all of *new* that needs no restart.

        Then the keys of what does: users and TLS may change, but neither come nor go.
        """
        old = self.settings
        taken: dict[str, Any] = {}
        for names in _IN_PLACE.values():
            if bool(getattr(old, names[0])) == bool(getattr(new, names[0])):
                taken |= {name: getattr(new, name) for name in names}
        settings = replace(old, **taken)
        keys = [
            str(setting.metadata["key"])
            for setting in fields(Settings)
            if getattr(settings, setting.name) != getattr(new, setting.name)
        ]
        return self._replace(settings=settings), keys


def read_options(arguments: Sequence[str], *, of_an_end: bool = False) -> Options:
    """The options that flags, the environment and the settings' file make.

    For one *of_an_end* of `copy` the environment says only what the others leave open.
    Raises SettingsError, MissingDependency for a repository without GitPython.
    """
    flags = _parser().parse_args(arguments)
    file = read_file(flags.settings) if flags.settings else {}
    spring = _spring(file, flags, of_an_end)
    settings = _settings(flags, file, spring, of_an_end)
    what = ", ".join(map(_what, whole_of(settings))) or flags.settings
    says_host = bool(flags.host) or spring is None or "host" in spring.fields
    return Options(arguments, settings, spring, what, says_host)


def _what(settings: Settings) -> str:
    """What one backend serves, for people."""
    if settings.backend_type == "filesystem":
        return ", ".join(settings.locations)
    return shown(settings.store_uri or settings.git_uri or settings.backend_type)


def _spring(
    file: Mapping[str, Any], flags: argparse.Namespace, of_an_end: bool
) -> SpringSettings | None:
    """The settings of a Java server, where the file has any or the flag asks."""
    if not flags.spring and not any(key.startswith("spring") for key in file):
        return None
    from ..spring_settings import read_spring

    return read_spring(file, os.environ, is_asked=flags.spring, file_wins=of_an_end)


class _Help(argparse.HelpFormatter):
    """Help of a fixed width: asking for the terminal's costs every start."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=88)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        formatter_class=_Help,
        allow_abbrev=False,
        prog="python -m pyconfserve",
        description="Serve a folder, a git repository or a store of configuration to "
        "Spring Cloud Config's clients.",
        epilog="A setting may also stand in the --settings file or in the environment.",
    )
    parser.add_argument(
        "root",
        nargs="?",
        metavar="ROOT",
        help="what to serve: a folder, a git repository, or sqlite:///FILE, "
        "postgresql://…, etcd://HOST:2379/PREFIX, redis://HOST:6379/0, "
        "consul://HOST:8500, vault://HOST:8200/MOUNT, s3://BUCKET/PREFIX, memory:",
    )
    parser.add_argument(
        "--settings", metavar="FILE", help="a YAML or .properties file of settings"
    )
    parser.add_argument(
        "--spring",
        action="store_true",
        help="speak Spring Cloud Config's dialect, read-only",
    )
    parser.add_argument(
        "--version", action="version", version=f"pyconfserve {__version__}"
    )
    for setting in fields(Settings):
        flag = flag_of(setting)
        if flag:
            help_text = f"{help_of(setting)} [{variable_of(setting)}]".replace(
                "%", "%%"
            )
            options: dict[str, Any] = {
                "dest": setting.name,
                "help": help_text,
                "default": None,
            }
            if isinstance(setting.default, bool):
                parser.add_argument(flag, action="store_true", **options)
            else:
                action = "append" if flag in _REPEATED else "store"
                parser.add_argument(flag, action=action, metavar="VALUE", **options)
    return parser


def _settings(
    flags: argparse.Namespace,
    file: Mapping[str, Any],
    spring: SpringSettings | None,
    of_an_end: bool,
) -> Settings:
    """What flags, the environment and the file say, in this order of precedence."""
    given = {
        setting.name: parse_setting(
            setting, getattr(flags, setting.name), flag_of(setting) or setting.name
        )
        for setting in fields(Settings)
        if getattr(flags, setting.name, None) is not None
    }
    java = parse_fields(spring.fields if spring else {}, flags.settings or "")
    own = collect(file, os.environ, flags.settings or "")
    if flags.root is not None:
        given |= settings_of(given.pop("root"))
        if given.get("backend_type") == "git":
            require_git()
    variables = collect_variables(os.environ)
    if of_an_end:
        from .ends import left_open  # one command alone has any

        said = {**java, **own, **given}
        variables = left_open(variables, said, is_place_said=spring is not None)
    found: dict[str, Any] = {}
    for layer in (java, own, variables, given):
        if _ROOTS & layer.keys():  # it replaces the locations of the layers below
            found.pop("search_locations", None)
        if layer is given and flags.root is not None:
            for name in ("store_uri", "members"):
                found.pop(name, None)
        found |= layer
    settings = Settings(**found)
    if "root" in given and settings.backend_type != "filesystem":
        raise SettingsError(
            f"ROOT is a folder, and backend.type is {settings.backend_type}"
        )
    is_folder = settings.backend_type == "filesystem"
    if is_folder and spring is not None:  # its settings say what is served
        return settings
    for setting in fields(Settings):
        if setting.name in given and setting.name in _OF_SOME:
            kinds, text = _OF_SOME[setting.name]
            if settings.backend_type not in kinds:
                raise SettingsError(f"{flag_of(setting)} is for {text}")
    if is_folder and not settings.locations:
        raise SettingsError("say what to serve: python -m pyconfserve ROOT")
    return settings


def check_folders(settings: Settings) -> None:
    """Raise SettingsError for a missing folder, which the library would make."""
    for one in whole_of(settings):
        for location in one.locations if one.backend_type == "filesystem" else ():
            if not os.path.isdir(location):
                raise SettingsError(no_folder(location))


def require_git() -> None:
    """Raise MissingDependency rather than serve something else than was asked for."""
    from ..adapters.git.address import require_gitpython

    require_gitpython()
