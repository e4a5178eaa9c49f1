"""Constraints of an operation's input, worded as the service words them.

Owns required members, lengths, ranges, patterns and enumerations for every member down the tree, compiled
once for each shape. Refuses to know types (inputs.py made them right). Members are named by lowerCamel
paths; a list's or map's simple elements are judged at the list or map itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelyard.dialects.aws.protocol.models import ListShape, MapShape, Shape, StructureShape
from modelyard.dialects.aws.protocol.patterns import matcher
from modelyard.dialects.aws.protocol.service import Overlay

Check = Callable[[Any, str, list[str]], None]
"""Appends to the list what is wrong with a value at a path."""

MOST_PROBLEMS = 100
"""Problems of one request that are told; the answer to a hostile body stays small."""

_LONGEST_MATCHED = 4096
"""Characters past which a value that is too long anyway is not held against its pattern."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One constraint of a single value and the service's words for it."""

    holds: Callable[[Any], object]
    words: str


class Checks:
    """Builds the checks of a service's shapes as one operation's overlay amends them."""

    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay
        self._structures: dict[str, Check] = {}

    def check(self, shape: Shape) -> Check | None:
        """What judges values of a shape; None when everything of its type is right."""
        if isinstance(shape, StructureShape):
            return None if shape.is_document_type else self._structure(shape)
        own = self._single(shape)
        if isinstance(shape, ListShape):
            return _both(own, self._elements(shape))
        if isinstance(shape, MapShape):
            return _both(own, self._entries(shape))
        return own

    def _structure(self, shape: StructureShape) -> Check:
        known = self._structures.get(shape.name)
        if known is not None:
            return known
        members: list[tuple[str, str, Check | None, bool]] = []

        def check(value: Any, path: str, problems: list[str]) -> None:
            prefix = f"{path}." if path else ""
            for name, shown, judge, required in members:
                given = value.get(name)
                if given is None:
                    if required:
                        problems.append(problem(None, prefix + shown, "Member must not be null"))
                elif judge is not None:
                    judge(given, prefix + shown, problems)
                if len(problems) >= MOST_PROBLEMS:
                    return

        self._structures[shape.name] = check
        required = {*shape.required_members, *self._overlay.required.get(shape.name, ())}
        for name, member in shape.members.items():
            judge = self.check(member)
            if judge is not None or name in required:
                members.append((name, lower_camel(member.serialization.get("name", name)), judge, name in required))
        return check

    def _single(self, shape: Shape) -> Check | None:
        rules = self._rules(shape)
        if not rules:
            return None
        sensitive = bool(shape.metadata.get("sensitive"))

        def check(value: Any, path: str, problems: list[str]) -> None:
            problems += [problem(value, path, rule.words, sensitive) for rule in rules if not rule.holds(value)]

        return check

    def _elements(self, shape: ListShape) -> Check:
        element = shape.member
        if _is_simple(element):
            return _together(self._rules(element), "Member must satisfy constraint", lambda value: value)
        judge = self.check(element)

        def check(value: Any, path: str, problems: list[str]) -> None:
            for number, given in enumerate(value, 1):
                if given is None:
                    problems.append(problem(None, f"{path}.{number}.member", "Member must not be null"))
                elif judge is not None:
                    judge(given, f"{path}.{number}.member", problems)
                if len(problems) >= MOST_PROBLEMS:
                    return

        return check

    def _entries(self, shape: MapShape) -> Check:
        keys = _together(self._rules(shape.key), "Map keys must satisfy constraint", lambda value: value)
        element = shape.value
        if _is_simple(element):
            values = _together(self._rules(element), "Map value must satisfy constraint", lambda value: value.values())
            return _both(keys, values) or keys
        judge = self.check(element)

        def check(value: Any, path: str, problems: list[str]) -> None:
            for key, given in value.items():
                if given is None:
                    problems.append(problem(None, f"{path}.{key}.member", "Member must not be null"))
                elif judge is not None:
                    judge(given, f"{path}.{key}.member", problems)
                if len(problems) >= MOST_PROBLEMS:
                    return

        return _both(keys, check) or keys

    def _rules(self, shape: Shape) -> tuple[Rule, ...]:
        limits, kind = shape.metadata, shape.type_name
        rules: list[Rule] = []
        if kind in ("string", "blob", "list", "map"):
            rules += _lengths(limits)
        elif kind in ("integer", "long", "float", "double"):
            rules += _values(limits)
        if kind == "string" and (pattern := limits.get("pattern")) and (match := matcher(pattern)):
            words = f"Member must satisfy regular expression pattern: {pattern}"
            rules.append(Rule(_matching(match, limits.get("max")), words))
        if choices := limits.get("enum"):
            accepted = (*choices, *self._overlay.enums.get(shape.name, ()))
            words = f"Member must satisfy enum value set: [{', '.join(accepted)}]"
            rules.append(Rule(frozenset(accepted).__contains__, words))
        return tuple(rules)


def _is_simple(shape: Shape) -> bool:
    return shape.type_name not in ("structure", "list", "map")


def _lengths(limits: Mapping[str, Any]) -> list[Rule]:
    most, least = limits.get("max"), limits.get("min")
    rules = []
    if most is not None:
        rules.append(Rule(lambda value: len(value) <= most, f"Member must have length less than or equal to {most}"))
    if least is not None:
        words = f"Member must have length greater than or equal to {least}"
        rules.append(Rule(lambda value: len(value) >= least, words))
    return rules


def _values(limits: Mapping[str, Any]) -> list[Rule]:
    most, least = limits.get("max"), limits.get("min")
    rules = []
    if most is not None:
        rules.append(Rule(lambda value: value <= most, f"Member must have value less than or equal to {most}"))
    if least is not None:
        rules.append(Rule(lambda value: value >= least, f"Member must have value greater than or equal to {least}"))
    return rules


def _matching(match: Callable[[str], object], longest: int | None) -> Callable[[str], object]:
    if longest is None or longest <= _LONGEST_MATCHED:
        return lambda value: match(value) if len(value) <= _LONGEST_MATCHED or longest is None else True
    return lambda value: match(value) if len(value) <= longest else True


def _together(rules: Sequence[Rule], opening: str, elements: Callable[[Any], Any]) -> Check:
    """A check of all simple elements at once; the words list every constraint, as the service does."""
    words = f"{opening}: [{', '.join(rule.words for rule in rules)}]" if rules else "Member must not be null"

    def check(value: Any, path: str, problems: list[str]) -> None:
        for given in elements(value):
            if given is None or not all(rule.holds(given) for rule in rules):
                problems.append(problem(value, path, words))
                return

    return check


def _both(first: Check | None, second: Check | None) -> Check | None:
    if first is None or second is None:
        return first or second

    def check(value: Any, path: str, problems: list[str]) -> None:
        first(value, path, problems)
        second(value, path, problems)

    return check


def problem(value: Any, path: str, words: str, sensitive: bool = False) -> str:
    """One broken constraint as the service words it.

    >>> problem(["a", None], "subnets", "Member must not be null")
    "Value '[a, null]' at 'subnets' failed to satisfy constraint: Member must not be null"
    """
    shown = "Value null" if value is None else "Value" if sensitive else f"Value '{_shown(value)}'"
    return f"{shown} at '{path}' failed to satisfy constraint: {words}"


def _shown(value: Any) -> str:
    """A value as Java prints it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(_shown(element) for element in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}={_shown(element)}' for key, element in value.items())}}}"
    if isinstance(value, bytes):
        return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    return str(value)


def lower_camel(name: str) -> str:
    """A member's name in paths.

    >>> lower_camel("ProductionVariants")
    'productionVariants'
    """
    return name[:1].lower() + name[1:]
