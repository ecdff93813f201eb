"""Git repositories as backends; GitPython is wanted when one is made, not before."""

from .backend import GitConfigBackend as GitConfigBackend

__all__ = ["GitConfigBackend"]
