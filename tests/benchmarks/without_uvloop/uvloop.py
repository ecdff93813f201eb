"""Stands before uvloop on PYTHONPATH where a benchmark is about asyncio's own loop."""

raise ImportError("uvloop is left out of this run")
