"""What /health says: to everyone only up or down, to the owner also why."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError
from ..server import ConfigServer

__all__ = ["actuator", "report"]


async def report(
    server: ConfigServer, *, with_details: bool
) -> tuple[int, dict[str, Any]]:
    """The HTTP status and the document; 503 only when the backend can answer nobody."""
    try:
        details = await server.health()
    except ConfigError as error:
        return 503, {"status": "DOWN", "problem": str(error)} if with_details else {
            "status": "DOWN"
        }
    return 200, {"status": "UP", **details} if with_details else {"status": "UP"}


async def actuator(
    server: ConfigServer, parts: tuple[str, ...]
) -> tuple[int, dict[str, Any]]:
    """What Spring Boot's /actuator says of health and info, by the rest of the path.

    Liveness does not ask the backend: a store that is away is no reason to restart.
    """
    if parts == ("info",):
        return 200, {}
    if parts == ("health", "liveness"):
        return 200, {"status": "UP"}
    status, document = await report(server, with_details=False)
    if parts == ("health",):
        document = {"groups": ["liveness", "readiness"], **document}
    return status, document
