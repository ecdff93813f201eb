"""A settings source for pydantic-settings: what a configuration server gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from ..environment.nesting import nest
from ..errors import MissingDependency
from ..settings_sources import relaxed

try:
    from pydantic import AliasChoices, BaseModel
    from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
except ModuleNotFoundError as error:
    module = "pydantic" if error.name == "pydantic" else "pydantic_settings"
    what = module, "this adapter", "pyconfserve[pydantic]"
    raise MissingDependency.instead_of(error, *what) from error

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

__all__ = ["ConfigServerSettingsSource"]

_LISTS = (list, tuple, set, frozenset, Sequence)
_MAPS = (dict, Mapping)


class ConfigServerSettingsSource(PydanticBaseSettingsSource):
    """The fields of a settings class, as far as a configuration has them.

    *source* is a server's URL, asked for *application*, *profile* and *label* with the
    *options* of ConfigClient whenever settings are made, or a mapping of dotted keys,
    such as a Configuration. Only keys below *prefix* count. Names are relaxed, in
    nested models too: `pool-size` and `poolSize` fill `pool_size`. A list may also be a
    text with commas, and an empty text is None where that is allowed and no text is.

    It goes into the tuple that `settings_customise_sources` gives, the highest source
    first. Calling it raises FetchError when the server gives no configuration.
    """

    def __init__(
        self,
        settings_cls: type[BaseSettings],
        source: str | Sequence[str] | Mapping[str, Any],
        application: str = "application",
        profile: str = "default",
        label: str | None = None,
        *,
        prefix: str = "",
        **options: Any,
    ) -> None:
        super().__init__(settings_cls)
        self._source = source
        self._names = (application, profile, label)
        self._prefix = prefix
        self._options = options

    def __call__(self) -> dict[str, Any]:
        """The values by field; what no field takes is left out."""
        tree = nest(self._flat())
        for name in filter(None, self._prefix.split(".")):
            tree = _member(tree, name, {})
        return _by_field(tree, self.settings_cls, keeps_others=False)

    def get_field_value(
        self, field: FieldInfo, field_name: str
    ) -> tuple[Any, str, bool]:
        """The value of one field, and the name that it goes by."""
        key = _names(field_name, field)[0]
        return self().get(key), key, False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.settings_cls.__name__})"

    def _flat(self) -> Mapping[str, Any]:
        if isinstance(self._source, Mapping):
            return self._source
        from ..client import load

        return load(self._source, *self._names, **self._options)


def _member(tree: Any, name: str, default: Any) -> Any:
    """What a map has under *name*, in whatever spelling."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if relaxed(key) == relaxed(name):
                return value
    return default


def _names(name: str, field: FieldInfo) -> list[str]:
    """The names that a field goes by; pydantic takes the first."""
    alias = field.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    return [*(choice for choice in choices if isinstance(choice, str)), name]


def _by_field(
    tree: Any, model: type[BaseModel], *, keeps_others: bool = True
) -> dict[str, Any]:
    """The members of a map as *model* names them."""
    if not isinstance(tree, dict):
        return {}
    found, others = {}, dict(tree)
    keys = {relaxed(key): key for key in reversed(tree)}
    for name, field in model.model_fields.items():
        names = _names(name, field)
        key = next((keys[n] for n in map(relaxed, names) if n in keys), None)
        if key is not None:
            found[names[0]] = _shaped(tree[key], field.annotation)
            others.pop(key, None)
    return {**others, **found} if keeps_others else found


def _shaped(value: Any, annotation: Any) -> Any:
    """A value in the shape of a type, as far as that is not pydantic's to see to."""
    kinds = list(_kinds(annotation))
    if isinstance(value, dict):
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                return _by_field(value, kind)
        inner = _inner(kinds, _MAPS, -1)
        return {name: _shaped(item, inner) for name, item in value.items()}
    if isinstance(value, list):
        inner = _inner(kinds, _LISTS, 0)
        return [_shaped(item, inner) for item in value]
    if not isinstance(value, str) or str in kinds or Any in kinds:
        return value
    if any((get_origin(kind) or kind) in _LISTS for kind in kinds):
        return [item.strip() for item in value.split(",")] if value else []
    return None if value == "" and type(None) in kinds else value


def _kinds(annotation: Any) -> Iterator[Any]:
    """The alternatives of a type: of `Annotated[A, …] | None` A and None's type."""
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        for kind in get_args(annotation):
            yield from _kinds(kind)
    elif origin is Annotated:
        yield from _kinds(get_args(annotation)[0])
    else:
        yield annotation


def _inner(kinds: list[Any], origins: tuple[Any, ...], index: int) -> Any:
    """The type of the items of the first of *kinds* that is one of *origins*."""
    for kind in kinds:
        if get_origin(kind) in origins:
            return get_args(kind)[index]
    return Any
