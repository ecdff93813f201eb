"""The client: configuration at the start of a service, and while it runs.

Beside the standard library it needs nothing. What is asked, when, and what an answer
means is in steps.py and views.py; drivers.py does it, in a thread or on a loop.
"""

from __future__ import annotations

from .client import ConfigClient, load
from .configuration import Change, Configuration

__all__ = ["Change", "ConfigClient", "Configuration", "load"]
