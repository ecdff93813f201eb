"""The names of all bundles of a repository, found by one thread at a time.

A list reads every branch: it must neither take the threads that answer requests nor be
made twenty times at once.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Future
from heapq import merge

from ...backend import ConfigSource
from ...environment import names
from ...errors import InvalidRequest
from ...files import BundleName
from ...listing import MOST_LISTED, list_folder, too_many
from .refs import BRANCHES
from .repository import Repository

__all__ = ["Catalog"]


class Catalog:
    """Lists the bundles on all branches of *repository*.

    They lie in the first folder of *patterns*, where there is any. *saved* are the
    names that this process saved, by branch and path.
    """

    def __init__(
        self,
        repository: Repository,
        patterns: Sequence[str],
        saved: Mapping[str, Mapping[str, BundleName]],
        most: int = MOST_LISTED,
    ) -> None:
        self._repository = repository
        self._folder = patterns[0].rstrip("/") if patterns else ""
        self._saved = saved
        self._most = most
        self._lock = threading.Lock()
        self._wishes: list[Future[list[ConfigSource]]] = []
        self._is_running = False

    def sources(self) -> Future[list[ConfigSource]]:
        """A future of all bundles, in order, as they are now or later.

        Those who ask while a list is made share the next one. It raises BackendError,
        also for more bundles than may be listed.
        """
        wish: Future[list[ConfigSource]] = Future()
        with self._lock:
            self._wishes.append(wish)
            if not self._is_running:
                name = "pyconfserve-git-list"
                threading.Thread(target=self._run, name=name, daemon=True).start()
                self._is_running = True
        return wish

    def _run(self) -> None:
        while wishes := self._taken():
            try:
                found = self._all()
            except Exception as error:
                for wish in wishes:
                    wish.set_exception(error)
            else:
                for wish in wishes:
                    wish.set_result([*found])

    def _taken(self) -> list[Future[list[ConfigSource]]]:
        """Those who wait for a list, but the ones who have left."""
        with self._lock:
            wishes, self._wishes = self._wishes, []
            wishes = [one for one in wishes if one.set_running_or_notify_cancel()]
            self._is_running = bool(wishes)
        return wishes

    def _all(self) -> list[ConfigSource]:
        """The bundles of every branch, in order.

        A tree that many branches have is listed once.
        """
        listed: dict[Hashable, list[tuple[str, str]]] = {}
        found: list[list[tuple[str, str, str]]] = []
        left = self._most
        for branch, commit in self._repository.current().refs.below(BRANCHES).items():
            if not _is_label(branch):
                continue
            tree = self._repository.tree(commit)
            saved = self._saved.get(branch)
            id = (tree.stamp((self._folder,)), branch if saved else "")
            if id not in listed:
                bundles = list_folder(tree, self._folder, branch, dict(saved or {}))
                listed[id] = sorted({bundle[:2] for bundle in bundles})
            left -= len(listed[id])
            if left < 0:
                raise too_many(self._most)
            found.append([(*pair, branch) for pair in listed[id]])
        # Not sorted at once: that would hold up every other thread.
        return [ConfigSource(*name) for name in merge(*found)]


def _is_label(branch: str) -> bool:
    """Whether a client could ask for it."""
    try:
        names.label(branch)
    except InvalidRequest:
        return False
    return True
