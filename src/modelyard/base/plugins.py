"""Plug-ins found rather than listed: ours by their place in a package, others' by entry points.

A group is named after the package that ours are in (``modelyard.dialects``); an entry point of that group names a
module or package that could stand there (https://packaging.python.org/en/latest/specifications/entry-points/).
Owns how they are found, loaded and named when broken. Refuses to know what a plug-in does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Generic, TypeVar

from modelyard.base.errors import ModelyardError

T = TypeVar("T")
R = TypeVar("R")


class BrokenPlugin(ModelyardError):
    """The plug-in {name!r} of {origin} cannot be used as one of {group}: {why}. Mend it or uninstall {origin}."""

    code = "broken_plugin"


@dataclass(frozen=True, slots=True)
class Plugin:
    """Where one plug-in begins. ``origin`` is the distribution that brought it; None for ours."""

    group: str
    name: str
    module: str
    origin: str | None = None

    def broken(self, why: str) -> BrokenPlugin:
        return BrokenPlugin(group=self.group, name=self.name, origin=self.origin or "modelyard", why=why)


@dataclass(frozen=True, slots=True)
class Value(Generic[T]):
    """What a plug-in publishes."""

    plugin: Plugin
    value: T


@dataclass(frozen=True, slots=True)
class Loaded(Generic[T]):
    """The values of a group, ours first, each part by name; and the plug-ins of others that cannot be used."""

    found: tuple[Value[T], ...]
    broken: tuple[BrokenPlugin, ...]

    def each(self, make: Callable[[T], R]) -> Loaded[R]:
        """What ``make`` makes of each; others' for which it raises are broken too."""
        found, broken = [], [*self.broken]
        for one in self.found:
            try:
                found.append(Value(one.plugin, make(one.value)))
            except Exception as error:
                if one.plugin.origin is None:
                    raise
                broken.append(one.plugin.broken(f"starting it raised {type(error).__name__}: {error}"))
        return Loaded(tuple(found), tuple(broken))

    def usable(self, log: logging.Logger) -> tuple[Value[T], ...]:
        """The values; each broken plug-in is named in a line of ``log``."""
        for error in self.broken:
            log.error("%s", error.message)
        return self.found


def plugins(group: str) -> tuple[Plugin, ...]:
    """Every plug-in of ``group``, ours first, each part by name. Loads none of them.

    >>> [plugin.name for plugin in plugins("modelyard.runners")][:1]
    ['process']
    """
    return (*_ours(group), *_others(group))


def load_all(group: str, kind: type[T], attribute: str, leaf: str = "", *, needed: bool = True) -> Loaded[T]:
    """What the plug-ins of ``group`` publish as ``attribute`` of their module, or of its submodule ``leaf``.

    Of ours, those without the submodule or the attribute are passed over (a package's shared parts); of others', only
    where ``needed`` is False. A name that is taken leaves the later one broken.
    """
    found: dict[str, Value[T]] = {}
    broken: list[BrokenPlugin] = []
    for plugin in plugins(group):
        try:
            value = _load(plugin, kind, attribute, leaf, needed and plugin.origin is not None)
            if value is not None and plugin.name in found:
                taken = found[plugin.name].plugin.origin or "Modelyard itself"
                raise plugin.broken(f"{taken} has one of that name")
        except BrokenPlugin as error:
            broken.append(error)
        else:
            if value is not None:
                found[plugin.name] = Value(plugin, value)
    return Loaded(tuple(found.values()), tuple(broken))


def _ours(group: str) -> Iterator[Plugin]:
    if find_spec(group) is None:
        return
    for info in sorted(iter_modules(import_module(group).__path__), key=lambda info: info.name):
        yield Plugin(group, info.name, f"{group}.{info.name}")


def _others(group: str) -> Iterator[Plugin]:
    for entry in sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value)):
        origin = entry.dist.name if entry.dist is not None else "an unknown distribution"
        yield Plugin(group, entry.name, entry.value, origin)


def _load(plugin: Plugin, kind: type[T], attribute: str, leaf: str, needed: bool) -> T | None:
    """The value, or None where there is none and none is needed. Raises BrokenPlugin; of ours, what their import
    raises."""
    module = f"{plugin.module}.{leaf}" if leaf else plugin.module
    try:
        if not needed and not _is_there(plugin, leaf):
            return None
        value = getattr(import_module(module), attribute, None)
    except Exception as error:
        if plugin.origin is None:
            raise
        raise plugin.broken(f"importing {module} raised {type(error).__name__}: {error}") from error
    if value is None and not needed:
        return None
    if not isinstance(value, kind):
        raise plugin.broken(f"{module}.{attribute} is no {kind.__name__}")
    return value


def _is_there(plugin: Plugin, leaf: str) -> bool:
    """Whether the plug-in has that submodule; no module is imported to find out that it is no package."""
    spec = find_spec(plugin.module)
    if spec is None or not leaf:
        return spec is not None
    return spec.submodule_search_locations is not None and find_spec(f"{plugin.module}.{leaf}") is not None
