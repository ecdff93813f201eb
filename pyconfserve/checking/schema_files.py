"""The schemas that lie among the files, each read when its first answer is judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..environment.formats.json import read_tree
from ..environment.overlay import Dialect
from ..errors import BackendError, DocumentError, SchemaViolation
from ..files import Location
from .inventory import Listed, reason
from .layers import Layer
from .naming import SCHEMA
from .problems import Place, Problem
from .schemas import Schema, validated

__all__ = ["MakeSchema", "Schemas"]

# Raises SchemaViolation for what is no schema, MissingDependency.
MakeSchema = Callable[[Mapping[str, Any]], Schema]


class Schemas:
    """The schemas of listed trees, by path, and what they refuse."""

    def __init__(self, make_schema: MakeSchema, dialect: Dialect) -> None:
        self._make_schema = make_schema
        self._dialect = dialect
        self._known: dict[str, Schema | None] = {}
        self._found: dict[tuple[Problem, str], list[str]] = {}
        self._broken: set[Problem] = set()

    def judge(
        self,
        application: str,
        answer: str,
        locations: Sequence[Location],
        stack: Sequence[Layer],
        home: str,
    ) -> None:
        """Note what the application's schema, if it has one, refuses in an answer.

        *answer* is the name of the answer, *home* the file that stands for all of it.
        Raises MissingDependency.
        """
        found = self._path(application, locations)
        if found is None:
            return
        tree, path = found
        shown = tree.shown(path)
        if shown not in self._known:
            self._known[shown] = self._read(tree, path, shown)
        schema = self._known[shown]
        if schema is not None:
            try:
                for problem in dict.fromkeys(validated(schema, stack, home)):
                    self._found.setdefault((problem, shown), []).append(answer)
            except SchemaViolation as error:
                self._known[shown] = None
                self._broken.add(Problem(Place(shown), str(error)))

    def problems(self) -> Iterator[Problem]:
        """An error for each, with the first of the answers that have it."""
        yield from self._broken
        for (problem, schema), answers in self._found.items():
            further = len(answers) - 1
            more = f" and {further} more" if further else ""
            yield problem._replace(
                text=f"{problem.text} ({schema}, {answers[0]}{more})"
            )

    def _path(
        self, application: str, locations: Sequence[Location]
    ) -> tuple[Listed, str] | None:
        """The application's schema in the location that wins, else in the next one."""
        is_first = self._dialect.application_first
        for location in locations if is_first else reversed(locations):
            for folder in location.folders:
                path = f"{folder}{application}{SCHEMA}"
                tree = location.tree
                if isinstance(tree, Listed) and path in tree.paths:
                    return tree, path
        return None

    def _read(self, tree: Listed, path: str, shown: str) -> Schema | None:
        try:
            found = tree.read(path)
            text = found.data.decode("utf-8") if found else ""
            return self._make_schema(read_tree(text))
        except UnicodeDecodeError:
            self._broken.add(Problem(Place(shown), "not UTF-8 text"))
        except DocumentError as error:
            place = Place(shown, error.line or 1, error.column or 1)
            self._broken.add(Problem(place, error.problem))
        except BackendError as error:
            self._broken.add(Problem(Place(shown), reason(error)))
        except SchemaViolation as error:
            self._broken.add(Problem(Place(shown), str(error)))
        return None
