r"""Patterns of the service models as Python's: Java's syntax and meaning, compiled once.

Owns the translation: ``\p{...}`` classes, supplementary code points written as surrogate pairs, ASCII
``\w \d \s``, a dot that stops at every line terminator
(https://docs.oracle.com/javase/8/docs/api/java/util/regex/Pattern.html), and the linear equivalents of
patterns that would otherwise backtrack exponentially. A value must match from its first to its last character.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Callable
from functools import cache
from itertools import groupby

logger = logging.getLogger(__name__)

LINEAR = {
    r"[a-z0-9]([-a-z0-9]*[a-z0-9]){0,39}?": r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?",
    r"https://([.\-_a-zA-Z0-9]+/?){3,1016}": r"https://(?=(?:/?[.\-_a-zA-Z0-9]){3})(?:[.\-_a-zA-Z0-9]/?)+",
}
"""Patterns whose nested repeats backtrack exponentially, and what matches the same without."""

_DOT = r"[^\n\r\u0085\u2028\u2029]"
_TOKEN = re.compile(
    r"""(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})
      | \\p\{(?P<property>\w+)\}
      | (?P<escape>\\.)
      | (?P<anchor>\$\{\d+,\d*\})
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_ASCII_PROPERTIES = {"Alnum": "a-zA-Z0-9", "Alpha": "a-zA-Z", "Digit": "0-9", "ASCII": r"\x00-\x7F"}


@cache
def matcher(pattern: str) -> Callable[[str], object] | None:
    """What tells whether a whole value matches; None for a pattern that Python cannot express (logged once)."""
    try:
        return re.compile(translated(LINEAR.get(pattern, pattern)), re.ASCII).fullmatch
    except (re.error, RecursionError) as error:
        logger.warning("a pattern of a service model is not checked: %r (%s)", pattern, error)
        return None


def translated(pattern: str) -> str:
    r"""A Java pattern in Python's words.

    >>> translated(r"^[\p{Alnum}\-]+.$")
    '^[a-zA-Z0-9\\-]+[^\\n\\r\\u0085\\u2028\\u2029]$'
    """
    out: list[str] = []
    in_class = False
    for token in _TOKEN.finditer(pattern):
        text = token.group()
        if token["pair"]:
            out.append(f"\\U{_code_point(text):08X}")
        elif token["property"]:
            members = _ASCII_PROPERTIES.get(token["property"]) or _ranges(token["property"])
            out.append(members if in_class else f"[{members}]")
        elif token["anchor"] and not in_class:
            out.append("$")
        elif text == "." and not in_class:
            out.append(_DOT)
        elif text == "-" and in_class and out[-1] in (r"\w", r"\d", r"\s"):
            out.append(r"\-")
        else:
            in_class = text == "[" or (in_class and text != "]")
            out.append(r"\[" if text == "[" and out[-1:] == ["["] else text)
    return "".join(out)


def _code_point(pair: str) -> int:
    high, low = int(pair[2:6], 16), int(pair[8:12], 16)
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)


@cache
def _ranges(category: str) -> str:
    """The members of a class for a Unicode general category such as ``L`` or ``Zs``."""
    spans = (span for name, found in _spans().items() if name.startswith(category) for span in found)
    return "".join(f"\\U{first:08X}-\\U{last:08X}" for first, last in sorted(spans))


@cache
def _spans() -> dict[str, list[tuple[int, int]]]:
    """Each general category's runs of code points. Only planes that have assigned letters and marks are read."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for plane in (range(0x40000), range(0xE0000, 0xE1000)):
        for category, run in groupby(plane, lambda code: unicodedata.category(chr(code))):
            codes = list(run)
            spans.setdefault(category, []).append((codes[0], codes[-1]))
    return spans
