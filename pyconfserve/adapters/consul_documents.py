"""Keys as Spring Cloud Consul's clients read them, made bundles; no input or output.

Such a client reads `application` and `application,profile` below `config/`: a key for
each property, one key that holds a document, or a file for each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..environment.formats import parse
from ..environment.overlay import DEFAULT_LABEL, DEFAULT_PROFILE
from ..environment.properties import merge
from ..errors import DocumentError, InvalidRequest
from ..files import BundleName, bundle_name
from .consul_answers import Pair

__all__ = ["LAYOUTS", "bundles_of", "contexts_of", "properties_of", "version_of"]

LAYOUTS = ("key-value", "yaml", "properties", "files")
_SUFFIXES = ("properties", "yaml", "yml")  # of files: by precedence, and by letters

Pairs = Mapping[str, Pair]


def contexts_of(
    layout: str, keys: Iterable[str], data_key: str
) -> dict[str, list[str]]:
    """The keys of each context, such as `foo,dev`, that is read in this layout."""
    contexts: dict[str, list[str]] = {}
    for key in sorted(keys):
        context, slash, rest = key.partition("/")
        if layout == "files":
            context, _, suffix = key.rpartition(".")
            is_read = suffix in _SUFFIXES and not slash
        elif layout == "key-value":
            is_read = bool(rest) and not rest.endswith("/")  # else a folder
        else:
            is_read = rest == data_key
        if is_read and context:
            contexts.setdefault(context, []).append(key)
    return contexts


def bundles_of(
    contexts: Iterable[str], separator: str
) -> dict[BundleName, tuple[str, ...]]:
    """The contexts of each bundle, that of most precedence first.

    A context without a profile is that of `default`, below its own. Where *separator*
    may be a part of a name, a context is that of each application that it may mean.
    """
    bundles: dict[BundleName, tuple[str, ...]] = {}
    for context in sorted(contexts):
        for application, profile in _readings(context, separator):
            given = (application, profile or DEFAULT_PROFILE, DEFAULT_LABEL)
            try:
                name = bundle_name(*given)
            except InvalidRequest:
                continue
            if name == given:
                others = bundles.get(name, ())
                bundles[name] = (context, *others) if profile else (*others, context)
    return bundles


def _readings(context: str, separator: str) -> Iterator[tuple[str, str]]:
    """The applications and profiles that a context may mean; "" for no profile."""
    yield context, ""
    at = context.find(separator)
    while at > 0:
        profile = context[at + len(separator) :]
        if profile:
            yield context[:at], profile
        at = context.find(separator, at + 1)


def properties_of(layout: str, context: str, pairs: Pairs) -> dict[str, Any]:
    """The flat properties of the keys of a context.

    Raises DocumentError for one that does not parse, with the key.
    """
    if layout == "key-value":
        start = len(context) + 1
        return {
            key[start:].replace("/", "."): pair.value.decode("utf-8", "replace")
            for key, pair in pairs.items()
        }
    return merge(
        [
            _document(
                key,
                pairs[key].value,
                key.rpartition(".")[2] if layout == "files" else layout,
            )
            for key in sorted(pairs)  # by their suffixes, as all else is the same
        ]
    )


def _document(key: str, data: bytes, suffix: str) -> dict[str, Any]:
    """What a key holds: its documents in one, as YamlPropertiesFactoryBean adds them.

    The last of them wins flat key by flat key, so that a shorter list ends as before.
    """
    try:
        documents = parse(data, suffix)
    except DocumentError as error:
        raise error.at(key) from error
    return {
        name: entry.value
        for document in documents
        for name, entry in document.entries.items()
    }


def version_of(layers: Mapping[str, Pairs]) -> str:
    """Another one after each change of the pairs of some contexts.

    That is so in a store that was restored, too.
    """
    digest, newest = hashlib.sha256(), 0
    for pairs in layers.values():
        for key, pair in sorted(pairs.items()):
            newest = max(newest, pair.modified)
            head = f"{len(key)},{len(pair.value)},{pair.modified},{key}"
            digest.update(head.encode("utf-8", "replace") + pair.value)
    return f"{newest}-{digest.hexdigest()[:16]}"
