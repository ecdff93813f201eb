"""The check of a whole tree: files by application, their answers, one rule after
another.

Answers are those of one profile at a time: of every profile that a file's name or a
condition names, under the default label and the label of every folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from ..bundles import files_of
from ..environment import activation
from ..environment.formats.document import Document
from ..environment.overlay import (
    DEFAULT_PROFILE,
    SHARED_APPLICATION,
    Dialect,
    Lookup,
    make_lookup,
    plan,
)
from ..errors import DocumentError
from ..files import FileTree, Location
from ..locations import Place as SearchPlace
from ..locations import find_locations
from .documents import DOCUMENT_RULES, named_profiles
from .inventory import Files, Listed, StoredFile
from .layers import Layer, Redundancy, different_types, make_layer
from .problems import Place, Problem
from .references import References
from .schema_files import MakeSchema, Schemas
from .sorting import profile_of, sort_files

__all__ = ["Rules", "check"]

_MOST_NAMED = 64  # profiles of conditions that an application is judged with
_MOST_LABELS = 50  # of shared files, that an application without files there is in
_MOST_IMPORTS = 16  # one inside another, as where they are answered

Progress = Callable[[int, int], None]


class Rules(NamedTuple):
    """How the files are served, and what is not to be judged."""

    dialect: Dialect
    label: str
    make_schema: MakeSchema  # raises SchemaViolation, MissingDependency
    ignored_files: Sequence[str] = ()
    ignored_placeholders: Sequence[str] = ()


def check(
    places: Sequence[SearchPlace], rules: Rules, progress: Progress = lambda *_: None
) -> tuple[int, set[Problem]]:
    """How many files there are, and all that is wrong with them.

    *places* hold Listed trees. Raises MissingDependency for a schema without its
    library.
    """
    return _Check(places, rules, progress).run()


class _Check:
    def __init__(
        self, places: Sequence[SearchPlace], rules: Rules, progress: Progress
    ) -> None:
        self._places = places
        self._rules = rules
        self._progress = progress
        self._problems: set[Problem] = set()
        self._files = Files(rules.dialect, self._problems.add)
        self._layers: dict[int, tuple[Document, Layer]] = {}  # of documents, by id
        self._shared_layers: dict[int, tuple[Document, Layer]] = {}
        self._compared: set[tuple[int, int]] = set()
        self._compared_shared: set[tuple[int, int]] = set()
        self._schemas = Schemas(rules.make_schema, rules.dialect)
        self._shared_profiles: set[str] = set()
        self._labels: Mapping[str, Sequence[str]] = {}

    def run(self) -> tuple[int, set[Problem]]:
        sorted_files = sort_files(
            self._places, self._rules.dialect, self._rules.ignored_files
        )
        groups, rest, self._labels, problems = sorted_files
        self._problems.update(problems)
        total = sum(map(len, (*groups.values(), rest)))
        done = 0
        shared = groups.pop(SHARED_APPLICATION, [])
        redundancy, references = Redundancy(), self._references()
        self._application(SHARED_APPLICATION, shared, redundancy, references)
        self._files.share()
        self._shared_layers, self._layers = self._layers, {}
        self._compared_shared, self._compared = self._compared, set()
        done += len(shared)
        for application, files in groups.items():
            own, open_names = Redundancy(), self._references()
            self._application(application, files, own, open_names, references)
            self._problems |= {*own.problems(), *open_names.problems()}
            if not self._rules.dialect.application_first:
                redundancy.spare([layer for _, layer in self._layers.values()])
            self._files.let_go()
            self._layers = {}
            self._compared = set()
            done += len(files)
            self._progress(done, total)
        for file in rest:
            self._files.documents(file.tree, file.path)
            self._files.let_go()
        self._progress(total, total)
        self._problems |= {*redundancy.problems(), *references.problems()}
        self._problems |= set(self._schemas.problems())
        return total, self._problems

    def _references(self) -> References:
        return References(self._rules.ignored_placeholders)

    def _application(
        self,
        application: str,
        files: Sequence[StoredFile],
        redundancy: Redundancy,
        references: References,
        shared: References | None = None,
    ) -> None:
        """Judge the files of one application, and all answers that they are in."""
        profiles = {DEFAULT_PROFILE, *self._shared_profiles}
        named: set[str] = set()
        for file in files:
            found = self._files.documents(file.tree, file.path) or ()
            profile = profile_of(file, application)
            profiles.add(profile)
            for document in found:
                named |= named_profiles(document)
                for rule in DOCUMENT_RULES:
                    self._problems |= set(rule(file.shown, profile, document))
        profiles |= set(sorted(named)[:_MOST_NAMED])
        if shared is None:
            self._shared_profiles = profiles - {DEFAULT_PROFILE}
        names = dict.fromkeys(self._labels.get(application, ()))
        of_shared = self._labels.get(SHARED_APPLICATION, ())
        names |= dict.fromkeys(
            of_shared if shared is None else of_shared[:_MOST_LABELS]
        )
        for label in (None, *names):
            self._answers(application, profiles, label, redundancy, references, shared)

    def _answers(
        self,
        application: str,
        profiles: Iterable[str],
        label: str | None,
        redundancy: Redundancy,
        references: References,
        shared: References | None,
    ) -> None:
        """Judge the answers of one application under one label."""
        known: set[str] = set()
        met: dict[int, Layer] = {}
        for profile in sorted(profiles):
            lookup = make_lookup(application, profile, label, self._rules.dialect)
            locations = self._locations(lookup)
            stack = self._stack(lookup, locations)
            met |= {id(layer): layer for layer in stack}
            for layer in stack:
                known |= layer.document.entries.keys()
            own = {id(layer) for layer in stack if self._is_own(layer, shared)}
            redundancy.judge(stack, own)
            self._compare(stack)
            homes = [layer.path for layer in stack if id(layer) in own]
            if homes:
                answer = f"profile {profile}" + (f", label {label}" if label else "")
                judge = self._schemas.judge
                judge(application, answer, locations, stack, homes[-1])
        every = met.values()
        references.judge((one for one in every if self._is_own(one, shared)), known)
        if shared is not None:
            others = (one for one in every if not self._is_own(one, shared))
            shared.judge(others, known)

    def _is_own(self, layer: Layer, shared: References | None) -> bool:
        return shared is None or id(layer.document) not in self._shared_layers

    def _locations(self, lookup: Lookup) -> list[Location]:
        found = find_locations(self._places, lookup, self._rules.label)
        return [location for block in found.blocks for location in block]

    def _stack(self, lookup: Lookup, locations: Sequence[Location]) -> list[Layer]:
        """The layers of an answer, highest precedence first."""
        stack: list[Layer] = []
        base = plan(lookup.applications, (), locations, lookup.dialect)
        found = [
            (slot.location.tree, path, documents)
            for slot in base
            for path, documents in files_of(slot, self._files)
        ]
        try:
            every = [document for _, _, documents in found for document in documents]
            profiles = activation.extend_profiles(lookup.profiles, every)
        except DocumentError as error:
            tree, path, _ = found[0]
            self._problems.add(Problem(Place(_shown(tree, path)), error.problem))
            profiles = lookup.profiles
        for slot in plan(lookup.applications, profiles, locations, lookup.dialect):
            for path, documents in files_of(slot, self._files):
                self._add(stack, slot.location.tree, path, documents, profiles)
        return stack

    def _add(
        self,
        stack: list[Layer],
        tree: FileTree,
        path: str,
        documents: Sequence[Document],
        profiles: Sequence[str],
        within: tuple[str, ...] = (),
    ) -> None:
        """Put the active documents of a file, and what they import, below the stack."""
        folder = path.rpartition("/")[0]
        for document in reversed(documents):
            if not activation.is_active(document, profiles):
                continue
            follows = self._rules.dialect.follows_imports
            for name in reversed(activation.imports(document)) if follows else ():
                target = f"{folder}/{name}" if folder else name
                chain = (*within, path, target)
                is_readable = name.rpartition(".")[2] in self._rules.dialect.suffixes
                if is_readable and target not in within and len(chain) < _MOST_IMPORTS:
                    found = self._files.documents(tree, target) or ()
                    self._add(stack, tree, target, found, profiles, chain)
            stack.append(self._layer(_shown(tree, path), document))

    def _layer(self, path: str, document: Document) -> Layer:
        key = id(document)
        found = self._shared_layers.get(key) or self._layers.get(key)
        if found is None:
            found = self._layers[key] = (document, make_layer(path, document))
        return found[1]

    def _compare(self, stack: Sequence[Layer]) -> None:
        for number, upper in enumerate(stack):
            for lower in stack[number + 1 :]:
                pair = (id(upper), id(lower))
                if pair not in self._compared_shared and pair not in self._compared:
                    self._compared.add(pair)
                    self._problems.update(different_types(upper, lower))


def _shown(tree: FileTree, path: str) -> str:
    return tree.shown(path) if isinstance(tree, Listed) else path
