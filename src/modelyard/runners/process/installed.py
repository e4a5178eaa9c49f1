"""What the base environment holds, and whether a requirement is met by it.

Follows the dependency specifiers of https://packaging.python.org/en/latest/specifications/dependency-specifiers/
through the packaging library. Refuses to install anything.
"""

from __future__ import annotations

from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name


class Installed:
    """The distributions that this interpreter sees. Thread-safe; read anew on every question."""

    def versions(self) -> list[str]:
        """``name==version`` of each, sorted; first on the path wins."""
        found: dict[str, str] = {}
        for distribution in metadata.distributions():
            name = distribution.metadata["Name"]
            if name:
                found.setdefault(canonicalize_name(name), distribution.version)
        return sorted(f"{name}=={version}" for name, version in found.items())

    def satisfies(self, text: str) -> bool:
        """Whether ``text``, extras and all, needs nothing installed; also when its marker is not for here.

        >>> Installed().satisfies("packaging>=20"), Installed().satisfies("packaging>=9999")
        (True, False)
        """
        try:
            return self._meets(Requirement(text), frozenset())
        except InvalidRequirement:
            return False

    def _meets(self, wanted: Requirement, asked: frozenset[str]) -> bool:
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            return True
        try:
            distribution = metadata.distribution(wanted.name)
        except metadata.PackageNotFoundError:
            return False
        if not wanted.specifier.contains(distribution.version, prereleases=True):
            return False
        key = f"{canonicalize_name(wanted.name)}[{','.join(sorted(wanted.extras))}]"
        if not wanted.extras or key in asked:
            return True
        return self._extras(distribution, wanted.extras, asked | {key})

    def _extras(self, distribution: metadata.Distribution, extras: set[str], asked: frozenset[str]) -> bool:
        for text in distribution.requires or ():
            needed = Requirement(text)
            if needed.marker is None or not any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                continue
            needed.marker = None
            if not self._meets(needed, asked):
                return False
        return True
