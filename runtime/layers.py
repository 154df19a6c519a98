"""Several documents as one: an agent over its family's defaults, and each over itself by environment. Pure.

The stronger layer wins: mappings merge by key, everything else replaces, and each value keeps the place where it was
written. Strongest first: the agent's environment, the agent, the defaults' environment, the defaults.
"""

from collections.abc import Iterator, Mapping
from functools import reduce
from operator import getitem
from typing import Any

from runtime.document import Document, Path, Place

ENVIRONMENTS = "environments"
_OTHER = {"instructions": "instructions_file", "instructions_file": "instructions"}  # an agent has one of the two
_VARIANT = "type"  # the key by which the API's objects choose their other keys
_SOURCES = {"entrypoint", "http"}  # a lookup has one of the two
_CAUSES: Path = ("on_failure",)  # each cause below it has one thing to do


def environments(document: Document | None) -> frozenset[str]:
    """Return the names of the environments that a document has overrides for."""
    return frozenset(_mapping(_mapping(document.data).get(ENVIRONMENTS))) if document else frozenset()


def layered(agent: Document, defaults: Document | None, environment: str = "") -> Document:
    """Return the agent as it is in an environment (`""` for none), as one document without `environments`."""
    own = flattened(agent, environment)
    return own if defaults is None else merge(flattened(defaults, environment), own)


def flattened(document: Document, environment: str) -> Document:
    """Return one file's layers as one: what it says, and over that what it says for an environment."""
    if ENVIRONMENTS not in _mapping(document.data):
        return document
    overrides = _mapping(document.data[ENVIRONMENTS]).get(environment)
    base = Document(
        document.file,
        {key: value for key, value in document.data.items() if key != ENVIRONMENTS},
        {path: place for path, place in document.places.items() if path[:1] != (ENVIRONMENTS,)},
        {path: place for path, place in document.keys.items() if path[:1] != (ENVIRONMENTS,)},
        document.texts,
    )
    if not isinstance(overrides, dict):
        return base
    places, keys = (_inside(known, environment) for known in (document.places, document.keys))
    return merge(base, Document(document.file, overrides, places, keys, document.texts))


def _inside(known: Mapping[Path, Place], environment: str) -> dict[Path, Place]:
    """Return the places of an environment's overrides, by the paths of what they override."""
    return {
        path[2:]: place._replace(environment=environment)
        for path, place in known.items()
        if len(path) > 2 and path[:2] == (ENVIRONMENTS, environment)
    }


def merge(weaker: Document, stronger: Document) -> Document:
    """Return the stronger document over the weaker one. Neither is changed; values may be shared.

    A mapping that names another `type`, or `entrypoint` instead of `http`, is another variant and replaces the weaker
    one with all its keys, and so does what is to be done for a cause of `on_failure`. A stronger `instructions` takes
    a weaker `instructions_file` away, and the other way round.
    """
    if not isinstance(weaker.data, dict) or not isinstance(stronger.data, dict):
        return stronger
    said = stronger.data.keys()
    lost: set[Path] = {(other,) for name, other in _OTHER.items() if name in said and other not in said}
    kept = {key: value for key, value in weaker.data.items() if (key,) not in lost}
    data = _merged(kept, stronger.data, (), lost)
    away = "" if weaker.file == stronger.file else weaker.file
    places = {**_survivors(weaker.places, lost, away), **stronger.places}
    keys = {**_survivors(weaker.keys, lost, away), **stronger.keys}
    texts = {**{file or away: text for file, text in weaker.texts.items()}, **stronger.texts}
    return Document(stronger.file, data, places, keys, texts)


def _merged(weaker: Mapping[str, Any], stronger: Mapping[str, Any], path: Path, lost: set[Path]) -> dict[str, Any]:
    """Return both mappings as one, and add the paths of what the weaker one lost to `lost`."""
    merged = {**weaker, **stronger}
    for key in weaker.keys() & stronger.keys():
        here, one, other = (*path, key), weaker[key], stronger[key]
        whole = path == _CAUSES or _is_other_variant(one, other)
        if isinstance(one, dict) and isinstance(other, dict) and not whole:
            merged[key] = _merged(one, other, here, lost)
        else:
            lost.add(here)
    return merged


def _is_other_variant(weaker: Any, stronger: Any) -> bool:
    one, other = _mapping(weaker), _mapping(stronger)
    if sources := _SOURCES & other.keys():
        return bool(_SOURCES & one.keys() - sources)
    return _VARIANT in one and _VARIANT in other and one[_VARIANT] != other[_VARIANT]


def _survivors(places: Mapping[Path, Place], lost: set[Path], away: str) -> dict[Path, Place]:
    """Return the weaker document's places without those of lost values; `away` is its file where that is another."""
    return {
        path: place._replace(file=place.file or away) if away else place
        for path, place in places.items()
        if not lost or not any(path[:length] in lost for length in range(1, len(path) + 1))
    }


def origins(document: Document, data: Any, path: Path = ()) -> Iterator[tuple[Path, Any, Place | None]]:
    """Yield each value of the document's complete data with the place where it was written, None for a default."""
    if data and isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from origins(document, value, (*path, key))
    else:
        yield path, data, _written_at(document, path)


def _written_at(document: Document, path: Path) -> Place | None:
    """Return where a value, or the word that stands for it, was written; None when its mapping did not name it."""
    written = path
    while written not in document.places:
        written = written[:-1]
    if written != path and isinstance(reduce(getitem, written, document.data), dict | list):
        return None
    return document.places[written]


def _mapping(data: Any) -> Mapping[str, Any]:
    return data if isinstance(data, dict) else {}
