"""Filter patterns over unstructured lines.

Owns terms, phrases, ``?`` and ``-`` of
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntaxForMetricFilters.html. JSON,
space-delimited and regular-expression patterns are refused by name. Letter case counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_TERM = re.compile(r'\s*([-?]?)(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))')

_REFUSED = {"{": "JSON", "[": "space-delimited", "%": "regular-expression"}


class BadPattern(ValueError):
    """A pattern that is not one, or of a kind that is not served; the text says which."""


def matcher(pattern: str) -> Callable[[str], bool]:
    """What tells whether a line matches. Raises BadPattern.

    >>> matches = matcher('epoch -"epoch 1"')
    >>> matches("epoch 2"), matches("epoch 1"), matches("loss")
    (True, False, False)
    >>> matcher("?WARN ?ERROR")("an ERROR")
    True
    """
    text = pattern.strip()
    if text[:1] in _REFUSED:
        kind = _REFUSED[text[0]]
        raise BadPattern(f"Invalid filter pattern: {kind} patterns are not served here, only terms and phrases")
    needed: list[str] = []
    refused: list[str] = []
    either: list[str] = []
    at = 0
    while at < len(text):
        found = _TERM.match(text, at)
        if found is None:
            raise BadPattern("Invalid filter pattern: a quote is not closed")
        sign, phrase, word = found.groups()
        term = word if phrase is None else re.sub(r"\\(.)", r"\1", phrase)
        {"": needed, "-": refused, "?": either}[sign].append(term)
        at = found.end()

    def matches(line: str) -> bool:
        if any(term in line for term in refused) or not all(term in line for term in needed):
            return False
        return not either or bool(needed) or any(term in line for term in either)

    return matches
