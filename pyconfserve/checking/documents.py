"""What is wrong with the documents of one file, whatever lies over or below them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import product

from ..environment import activation, names
from ..environment.formats.document import Document, Entry
from ..environment.overlay import DEFAULT_PROFILE
from ..environment.values import text_of
from ..errors import DocumentError, InvalidRequest
from .problems import Place, Problem, place_of

__all__ = ["DOCUMENT_RULES", "named_profiles", "sound"]

_ON_PROFILE = "spring.config.activate.on-profile"
_ON_CLOUD = "spring.config.activate.on-cloud-platform"
_NAME = re.compile(r"[^()&|!\s,]+")
_MOST_TRIED = 10  # names in one condition: a thousand ways to ask for them

Rule = Callable[[str, str, Document], Iterator[Problem]]


def sound(
    path: str, documents: Sequence[Document]
) -> tuple[tuple[Document, ...], list[Problem]]:
    """The documents whose own keys can be followed, and what is wrong with others."""
    kept, problems = [], []
    for document in documents:
        try:
            activation.is_active(document, ())
            activation.extend_profiles(("-",), [document])
            kept.append(document)
        except DocumentError as error:
            place = Place(path, error.line or 1, error.column or 1)
            problems.append(Problem(place, error.problem))
    return tuple(kept), problems


def named_profiles(document: Document) -> set[str]:
    """The profiles that the condition of a document names and a request can name."""
    return {name for name in _names(document) if _is_profile(name)}


def _never_active(path: str, profile: str, document: Document) -> Iterator[Problem]:
    """A warning where no request can make the document count.

    *profile* is that of the file's name, which is active whenever the file is read.
    """
    cloud = _condition(document, _ON_CLOUD)
    if cloud:
        text = "a document for a cloud platform is never active here"
        yield Problem(place_of(path, cloud[0]), text, is_error=False)
        return
    condition = _condition(document, _ON_PROFILE)
    wanted = sorted(named_profiles(document))
    if not condition or len(wanted) > _MOST_TRIED:
        return
    always = set() if profile == DEFAULT_PROFILE else {profile}
    for chosen in product((False, True), repeat=len(wanted)):
        active = always | {
            name for name, is_on in zip(wanted, chosen, strict=True) if is_on
        }
        if activation.is_active(document, active):
            return
    text = "no request can make this document active"
    yield Problem(place_of(path, condition[0]), text, is_error=False)


def _condition(document: Document, key: str) -> list[Entry]:
    return [
        entry
        for name, entry in document.entries.items()
        if name.startswith(key) and name.partition("[")[0] == key
    ]


def _names(document: Document) -> set[str]:
    found: set[str] = set()
    for entry in _condition(document, _ON_PROFILE):
        found.update(_NAME.findall(text_of(entry.value)))
    return found


def _is_profile(name: str) -> bool:
    try:
        return names.profile(name) == name
    except InvalidRequest:
        return False


DOCUMENT_RULES: tuple[Rule, ...] = (_never_active,)
