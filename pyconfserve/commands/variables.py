"""Flat keys as environment variables: `db.pool-size` is DB_POOL_SIZE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..client.layers import variables_of
from ..environment.values import text_of

__all__ = ["Variables", "to_variables"]

# Names by which shells, loaders and interpreters find code that they run, or a program
# that they start in place of another: whoever may write a property of one application
# shall not choose what is run. No list of them can be complete: a server that is not
# trusted with its clients' machines is no server for `run`.
_LOADER_PREFIXES = ("LD_", "DYLD_", "GIT_CONFIG", "LUA_INIT", "CORECLR_")
_LOADERS = frozenset({
    "PATH", "PATHEXT", "COMSPEC", "SHELL", "IFS", "BASH_ENV", "SHELLOPTS",
    "BASHOPTS", "PROMPT_COMMAND", "PS0", "PS1", "PS2", "PS4", "CDPATH", "ZDOTDIR",
    "FPATH", "EDITOR", "VISUAL", "PAGER", "MANPAGER", "BROWSER", "LESSOPEN",
    "LESSCLOSE", "GCONV_PATH", "OPENSSL_CONF", "OPENSSL_ENGINES", "OPENSSL_MODULES",
    "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE",
    "PYTHONPLATLIBDIR", "PYTHONINSPECT", "PYTHONBREAKPOINT", "PYTHONWARNINGS",
    "PYTHONPYCACHEPREFIX", "PYTHONEXECUTABLE", "PERL5OPT", "PERL5LIB", "PERLLIB",
    "PERL5DB", "RUBYOPT", "RUBYLIB", "GEM_PATH", "GEM_HOME", "BUNDLE_GEMFILE",
    "NODE_OPTIONS", "NODE_PATH", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS", "JAVA_OPTS", "CLASSPATH", "LUA_PATH", "LUA_CPATH", "PHPRC",
    "PHP_INI_SCAN_DIR", "R_PROFILE", "R_PROFILE_USER", "TCLLIBPATH", "ERL_FLAGS",
    "ERL_AFLAGS", "ERL_ZFLAGS", "DOTNET_STARTUP_HOOKS", "COR_PROFILER",
    "COR_PROFILER_PATH", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_EXEC_PATH",
    "GIT_ASKPASS", "GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "GIT_PAGER",
    "GIT_EXTERNAL_DIFF", "GIT_PROXY_COMMAND", "GIT_TEMPLATE_DIR", "SSH_ASKPASS",
})  # fmt: skip


class Variables(NamedTuple):
    """`values` by name, the `keys` they come from, and `problems` with the others."""

    values: dict[str, str]
    keys: dict[str, str]
    problems: list[str]


def to_variables(flat: Mapping[str, Any]) -> Variables:
    """The variables of flat properties, named as the client looks for them.

    All that is no letter of ASCII and no digit becomes `_`: `a[0].b` is A_0_B. Of two
    keys with one name the first counts. Names by which programs load code are left
    out, those that are known here. A problem names its key and never its value.
    """
    found = Variables({}, {}, [])
    for key, value in flat.items():
        text, name = text_of(value), variables_of(key)[0]
        if not name or name[0].isdigit():
            problem = "is no name of a variable"
        elif name in _LOADERS or name.startswith(_LOADER_PREFIXES):
            problem = f"would be {name}, which loads code into programs"
        elif (taken := found.keys.get(name)) is not None:
            problem = f"would be {name}, which {taken!r} is already"
        elif not _can_hold(text):
            problem = "has a value that no variable can hold"
        else:
            found.values[name], found.keys[name] = text, key
            continue
        found.problems.append(f"{key!r} is left out: it {problem}")
    return found


def _can_hold(text: str) -> bool:
    """Whether a process can get *text*: no NUL in it, no half of a surrogate pair."""
    try:
        return b"\0" not in text.encode("utf-8")
    except UnicodeEncodeError:
        return False
