"""What a requirements.txt may say: ``name[extra] spec; marker``, hashes, ``-r`` and ``-c`` inside the code folder.

Owns the refusals of the foundations' table, each naming file and line, and the flat form that a builder
installs from. Refuses to know pip, indexes' contents and what is installed. Grammar:
https://packaging.python.org/en/latest/specifications/dependency-specifiers/ and pip's requirements file format.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from modelyard.base.errors import Invalid
from modelyard.core.jobs import packing

FILE_LIMIT = 1 << 20
"""Bytes of one requirements file."""
DEPTH_LIMIT = 10
"""Files that include one another."""

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_CLAUSE = r"(?:===|==|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+!_-]+"
_REQUIREMENT = re.compile(
    rf"(?P<name>{_NAME})\s*(?:\[\s*(?:{_NAME}\s*(?:,\s*{_NAME}\s*)*)?\])?\s*"
    rf"(?:\(?\s*{_CLAUSE}(?:\s*,\s*{_CLAUSE})*\s*,?\s*\)?)?\s*(?:;\s*(?P<marker>[^#]+))?"
)
_MARKER = re.compile(r"[A-Za-z0-9_ .,<>=!~()'\"+*-]+")
_HASH = re.compile(r"\s+--hash[=\s]\s*(sha256|sha384|sha512):([0-9a-f]{64,128})(?=\s|$)")
_COMMENT = re.compile(r"(^|\s+)#.*$")
_INDEXES = ("-i", "--index-url", "--extra-index-url", "--pypi-url")
_FILES = (".whl", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
_INCLUDES = {"-r": False, "--requirement": False, "-c": True, "--constraint": True}


class RefusedRequirement(Invalid):
    """{file} line {line}: {text!r} is refused: {why}"""


@dataclass(frozen=True, slots=True)
class Line:
    """One requirement as it may be installed. ``text`` has no comment and no hashes."""

    file: str
    number: int
    name: str
    text: str
    hashes: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        return f"{self.file} line {self.number}"

    @property
    def whole(self) -> str:
        """The line as an installer reads it."""
        return self.text + "".join(f" --hash={digest}" for digest in self.hashes)


@dataclass(frozen=True, slots=True)
class Requirements:
    """Every requirement and constraint of a file and of those it includes, and the index options kept."""

    lines: tuple[Line, ...]
    constraints: tuple[Line, ...] = ()
    indexes: tuple[tuple[str, str], ...] = ()


def read(path: Path, root: Path, indexes: Collection[str] = ()) -> Requirements:
    """Read ``path``, which lies below the code folder ``root``; ``indexes`` are the index URLs allowed.

    Raises RefusedRequirement naming file and line, Invalid when a file cannot be read.
    """
    reader = _Reader(root, indexes)
    reader.include(path.relative_to(root).as_posix(), constraint=False, depth=0)
    return Requirements(tuple(reader.lines), tuple(reader.constraints), tuple(dict.fromkeys(reader.indexes)))


class _Reader:
    def __init__(self, root: Path, indexes: Collection[str]) -> None:
        self._root = root
        self._allowed = {index.rstrip("/") for index in indexes}
        self.lines: list[Line] = []
        self.constraints: list[Line] = []
        self.indexes: list[tuple[str, str]] = []

    def include(self, name: str, *, constraint: bool, depth: int) -> None:
        for number, text in _logical_lines(self._content(name)):
            self._line(name, number, text, constraint=constraint, depth=depth)

    def _content(self, name: str) -> str:
        fd = packing.open_regular(self._root, name)
        if fd is None:
            raise Invalid(what=f"{name} is not a regular file of the code folder")
        with os.fdopen(fd, "rb") as file:
            content = file.read(FILE_LIMIT + 1)
        if len(content) > FILE_LIMIT:
            raise Invalid(what=f"{name} is larger than {FILE_LIMIT} bytes")
        return content.decode("utf-8-sig", "replace")

    def _line(self, file: str, number: int, text: str, *, constraint: bool, depth: int) -> None:
        def refuse(why: str) -> RefusedRequirement:
            return RefusedRequirement(file=file, line=number, text=text[:200], why=why)

        if text.startswith("-"):
            self._option(file, text, refuse=refuse, constraint=constraint, depth=depth)
            return
        if "${" in text:
            raise refuse("variables are not filled in")
        hashes = tuple(f"{kind}:{digest}" for kind, digest in _HASH.findall(text))
        bare = _HASH.sub("", text).strip()
        match = _REQUIREMENT.fullmatch(bare)
        marker = match["marker"] if match else None
        if match is None or bare.endswith(_FILES) or (marker and not _MARKER.fullmatch(marker.strip())):
            raise refuse(_why_not(bare))
        line = Line(file, number, match["name"], bare, hashes)
        (self.constraints if constraint else self.lines).append(line)

    def _option(
        self, file: str, text: str, *, refuse: Callable[[str], Exception], constraint: bool, depth: int
    ) -> None:
        option, value = _split_option(text)
        if option in _INCLUDES:
            if depth >= DEPTH_LIMIT:
                raise refuse(f"more than {DEPTH_LIMIT} files include one another")
            target = os.path.normpath(os.path.join(os.path.dirname(file), value))  # noqa: PTH118, PTH120
            if not value or "://" in value or os.path.isabs(value) or target.startswith(".."):  # noqa: PTH117
                raise refuse("only files inside the code folder may be included")
            self.include(target, constraint=constraint or _INCLUDES[option], depth=depth + 1)
        elif option in _INDEXES:
            if value.rstrip("/") not in self._allowed:
                raise refuse("package indexes are allowed by the setting package_indexes only")
            self.indexes.append(("--index-url" if option in ("-i", "--pypi-url") else option, value))
        elif option in ("-e", "--editable"):
            raise refuse("editable installs are not allowed")
        elif option in ("-f", "--find-links"):
            raise refuse("other places to find packages are not allowed")
        else:
            raise refuse(f"the option {option} is not allowed")


def _split_option(text: str) -> tuple[str, str]:
    if text.startswith("--"):
        option, _, value = text.replace("=", " ", 1).partition(" ")
    else:
        option, value = text[:2], text[2:].lstrip("= ")
    return option, value.strip().strip("'\"")


def _why_not(text: str) -> str:
    if "://" in text or re.match(rf"{_NAME}\s*(\[[^]]*\])?\s*@", text):
        return "URLs are not allowed; name a package and its version"
    if "/" in text or "\\" in text or text.startswith(".") or text.endswith(_FILES):
        return "paths are not allowed; name a package and its version"
    return "it is not of the form 'name[extra] specifier; marker'"


def _logical_lines(content: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, continued ones joined, with the number of their first."""
    pending, start = "", 0
    for number, raw in enumerate(content.splitlines(), 1):
        start = start or number
        if raw.endswith("\\") and not raw.lstrip().startswith("#"):
            pending += raw[:-1] + " "
            continue
        text = _COMMENT.sub("", pending + raw).strip()
        if text:
            yield start, text
        pending, start = "", 0
    if text := _COMMENT.sub("", pending).strip():
        yield start, text
