"""The pytest plug-in: a fixture that serves configuration to the code under test.

Where pyconfserve is installed, pytest finds it by itself; a vendored copy is named in
`pytest_plugins`. It loads nothing until a test asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .errors import MissingDependency

try:
    import pytest
except ModuleNotFoundError as error:
    what = "pytest", "the fixture config_server", "pytest"
    raise MissingDependency.instead_of(error, *what) from error

if TYPE_CHECKING:
    from .served import ServedConfig

__all__ = ["config_server"]

_Start = Callable[..., "ServedConfig"]


@pytest.fixture
def config_server() -> Iterator[_Start]:
    """A function that serves bundles on a free port of this machine.

    `config_server({"orders/prod": {"db": {"pool": 1}}})` gives a ServedConfig: its
    `url`, `set("orders", "prod", {…})` to change a bundle, `requests` it has seen, and
    `close()` for a server that goes away. All of them end with the test.
    """
    with ExitStack() as stack:

        def start(bundles: Mapping[Any, Any] = MappingProxyType({})) -> ServedConfig:
            from .served import ServedConfig  # most tests need none

            served = ServedConfig(bundles)
            stack.callback(served.close)
            return served

        yield start
