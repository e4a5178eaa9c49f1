"""Unpacking an archive that a stranger made: tar or tar.gz, regular files and folders only.

Owns a streaming reader of the ustar, pax and GNU formats
(https://www.gnu.org/software/tar/manual/html_node/Standard.html) with caps on members, bytes and ratio.
The standard library's ``tarfile`` is not used: its filters were escaped (CVE-2025-4517) and it reads extended
headers of any size into memory. Refuses to know links, devices, owners, sparse files.
"""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from modelyard.base.disk import RESERVE, check_room, write_all
from modelyard.base.errors import Invalid

_BLOCK = 512
_CHUNK = 1 << 20
_PIECE = 16 << 10
"""Bytes inflated at a time: zlib copies what it leaves of them."""
_EXTENDED_LIMIT = 1 << 20
_PATH_LIMIT = 4096
_FILE_TYPES = frozenset((b"0", b"\0", b"7"))
_FOLDER_TYPE = b"5"
_TYPE_NAMES = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a FIFO",
    b"S": "a sparse file",
}


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What an archive may unpack to: members, bytes, and bytes for each byte read once over ``ratio_from``."""

    members: int = 100_000
    size: int = 20_000_000_000
    ratio: int = 200
    ratio_from: int = 100_000_000
    disk_reserve: int = RESERVE
    """Bytes that stay free on the disk."""


class BadArchive(Invalid):
    """archive member {member!r} {why}"""


class UnreadableArchive(Invalid):
    """the archive cannot be read: {why}"""


def extract(source: BinaryIO, target: Path, limits: ArchiveLimits) -> None:
    """Unpack ``source`` (tar, plain or gzipped, read from its position on) as the folder ``target``.

    ``target`` must not exist or be an empty folder; it appears whole or, when anything raises, not at all.
    Files are 0644, or 0755 if executable; owners and times are not kept. Raises BadArchive naming the
    member, UnreadableArchive, or OutOfSpace.
    """
    made = target.with_name(f".{target.name}.{os.urandom(6).hex()}.unpacking")
    made.mkdir(mode=0o755)
    try:
        root = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _Unpacking(_Stream(source, limits), root, limits).run()
        finally:
            os.close(root)
        made.replace(target)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


class _Stream:
    """The unpacked bytes of the archive, counted against the limits as they come."""

    def __init__(self, source: BinaryIO, limits: ArchiveLimits) -> None:
        self._source = source
        self._limits = limits
        self._taken = 0
        self._given = 0
        self.member = ""
        self._pending = self._raw(_CHUNK)
        self._at = 0
        self._gzip = zlib.decompressobj(wbits=31) if self._pending[:2] == b"\x1f\x8b" else None

    def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes; fewer only at the end."""
        parts: list[bytes] = []
        while size > 0 and (part := self._some(min(size, _CHUNK))):
            parts.append(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def chunks(self, size: int) -> Iterator[bytes]:
        """``size`` bytes in pieces. Raises BadArchive when the archive ends before."""
        while size > 0:
            part = self._some(min(size, _CHUNK))
            if not part:
                raise BadArchive(member=self.member, why="is cut short: the archive ends inside it")
            size -= len(part)
            yield part

    def drain(self) -> None:
        """Read what is left, so that the checksum at a gzip's end is verified."""
        while self._some(_CHUNK):
            pass

    def _some(self, size: int) -> bytes:
        part = self._plain(size) if self._gzip is None else self._inflated(size)
        self._given += len(part)
        limits = self._limits
        if self._given > limits.size + limits.members * 3 * _BLOCK:
            raise BadArchive(member=self.member, why=f"makes the archive unpack to more than {limits.size} bytes")
        if self._given > limits.ratio_from and self._given > limits.ratio * self._taken:
            raise BadArchive(
                member=self.member, why=f"makes the archive unpack to more than {limits.ratio} times its own size"
            )
        return part

    def _plain(self, size: int) -> bytes:
        part = self._peek(size)
        self._at += len(part)
        return part

    def _inflated(self, size: int) -> bytes:
        assert self._gzip is not None
        while piece := self._peek(_PIECE):
            self._at += len(piece)
            if self._gzip.eof:
                piece = piece.lstrip(b"\0")
                if not piece:
                    continue
                self._gzip = zlib.decompressobj(wbits=31)
            try:
                part = self._gzip.decompress(piece, size)
            except zlib.error as error:
                raise UnreadableArchive(why=f"its gzip stream is damaged ({error})") from error
            self._at -= len(self._gzip.unused_data if self._gzip.eof else self._gzip.unconsumed_tail)
            if part:
                return part
        if not self._gzip.eof:
            raise UnreadableArchive(why="its gzip stream is cut short")
        return b""

    def _peek(self, size: int) -> bytes:
        """The next bytes of the source, at most ``size``; empty only at its end."""
        if self._at == len(self._pending):
            self._pending, self._at = self._raw(_CHUNK), 0
        return self._pending[self._at : self._at + size]

    def _raw(self, size: int) -> bytes:
        part = self._source.read(size)
        self._taken += len(part)
        return part


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    parts: tuple[str, ...]
    folder: bool
    size: int
    executable: bool


@dataclass(slots=True)
class _Unpacking:
    """One pass over an archive into the folder that ``root`` has open."""

    stream: _Stream
    root: int
    limits: ArchiveLimits
    shared: dict[str, str] = field(default_factory=dict)
    count: int = 0
    size: int = 0

    def run(self) -> None:
        while (member := self._next()) is not None:
            self.stream.member = member.name
            if member.folder:
                with self._folder(member, member.parts):
                    pass
                self._skip(member.size)
            else:
                self._file(member)
        self.stream.drain()

    def _next(self) -> _Member | None:
        """The next file or folder, its extended headers applied; None at the end."""
        own: dict[str, str] = {}
        while (header := self._header()) is not None:
            kind = header[156:157]
            size = _number(header[124:136])
            if kind in (b"x", b"g"):
                (own if kind == b"x" else self.shared).update(_records(self._extended(size)))
            elif kind == b"L":
                own["path"] = _text(self._extended(size).split(b"\0", 1)[0])
            elif kind == b"K":
                self._extended(size)
            else:
                return self._member(header, kind, size, {**self.shared, **own})
        if own:
            raise UnreadableArchive(why="it ends after an extended header")
        return None

    def _header(self) -> bytes | None:
        header = self.stream.read(_BLOCK)
        if (not header and self.count) or header == bytes(_BLOCK):
            return None
        if len(header) < _BLOCK:
            raise UnreadableArchive(why="it is not a tar file, or cut short")
        self.count += 1
        if self.count > self.limits.members:
            why = f"is one too many: an archive may have {self.limits.members}"
            raise BadArchive(member=_ustar_name(header), why=why)
        if _number(header[148:156]) != sum(header[:148]) + sum(header[156:]) + 8 * 32:
            raise UnreadableArchive(why="it is not a tar file, or a header is damaged")
        return header

    def _member(self, header: bytes, kind: bytes, size: int, extended: Mapping[str, str]) -> _Member:
        name = extended.get("path") or _ustar_name(header)
        if "size" in extended:
            size = int(extended["size"]) if extended["size"].isdigit() else -1
        if any(key.startswith("GNU.sparse") for key in extended):
            kind = b"S"
        folder = kind == _FOLDER_TYPE or (kind == b"\0" and name.endswith("/"))
        if not folder and kind not in _FILE_TYPES:
            what = _TYPE_NAMES.get(kind, f"of the unknown type {kind!r}")
            raise BadArchive(member=name, why=f"is {what}; only regular files and folders are unpacked")
        if size < 0:
            raise BadArchive(member=name, why="states no valid size")
        self._account(name, size)
        mode = _number(header[100:108])
        return _Member(name, _parts(name, folder), folder, size, bool(mode & 0o100))

    def _account(self, name: str, size: int) -> None:
        self.size += size
        if self.size > self.limits.size:
            raise BadArchive(member=name, why=f"makes the archive unpack to more than {self.limits.size} bytes")
        check_room(self.root, size, self.limits.disk_reserve, f"archive member {name!r}")

    def _extended(self, size: int) -> bytes:
        if not 0 <= size <= _EXTENDED_LIMIT:
            raise UnreadableArchive(why=f"an extended header of {size} bytes is longer than {_EXTENDED_LIMIT}")
        content = b"".join(self.stream.chunks(size))
        self._pad(size)
        return content

    def _file(self, member: _Member) -> None:
        mode = 0o755 if member.executable else 0o644
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with self._folder(member, member.parts[:-1]) as folder:
            try:
                fd = os.open(member.parts[-1], flags, mode, dir_fd=folder)
            except FileExistsError:
                raise BadArchive(member=member.name, why="is in the archive twice") from None
            except OSError as error:
                raise BadArchive(member=member.name, why=f"cannot be made ({error.strerror})") from error
        try:
            for chunk in self.stream.chunks(member.size):
                write_all(fd, chunk)
        finally:
            os.close(fd)
        self._pad(member.size)

    @contextmanager
    def _folder(self, member: _Member, parts: tuple[str, ...]) -> Iterator[int]:
        """The folder of those parts below the root, made as needed and opened without following a link."""
        current = os.dup(self.root)
        try:
            for part in parts:
                current = self._enter(member, current, part)
            yield current
        finally:
            os.close(current)

    def _enter(self, member: _Member, parent: int, part: str) -> int:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            try:
                child = os.open(part, flags, dir_fd=parent)
            except FileNotFoundError:
                os.mkdir(part, 0o755, dir_fd=parent)
                child = os.open(part, flags, dir_fd=parent)
        except NotADirectoryError:
            raise BadArchive(member=member.name, why=f"needs the folder {part!r} where a file lies") from None
        except OSError as error:
            raise BadArchive(member=member.name, why=f"cannot be made ({error.strerror})") from error
        os.close(parent)
        return child

    def _skip(self, size: int) -> None:
        for _ in self.stream.chunks(size):
            pass
        self._pad(size)

    def _pad(self, size: int) -> None:
        for _ in self.stream.chunks(-size % _BLOCK):
            pass


def _parts(name: str, folder: bool) -> tuple[str, ...]:
    """The name's components. A folder named ``/`` or ``.`` is the target itself, as SDKs write their root."""
    if folder and set(name.split("/")) <= {"", "."}:
        return ()
    if name.startswith("/"):
        raise BadArchive(member=name, why="has an absolute path")
    if ".." in name.replace("\\", "/").split("/"):
        raise BadArchive(member=name, why="has a path with '..' in it")
    if "\0" in name or len(os.fsencode(name)) > _PATH_LIMIT:
        raise BadArchive(member=name[:200], why="has a path that no file can have")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if not parts or (not folder and name.endswith("/")):
        raise BadArchive(member=name, why="is a file without a name")
    return parts


def _ustar_name(header: bytes) -> str:
    name = header[:100].split(b"\0", 1)[0]
    prefix = header[345:500].split(b"\0", 1)[0]
    if prefix and header[257:263] == b"ustar\0":
        name = prefix + b"/" + name
    return _text(name)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _number(raw: bytes) -> int:
    """An octal field, or GNU's base-256 one; -1 when it is neither."""
    if raw[0] == 0x80:
        return int.from_bytes(raw[1:])
    digits = raw.strip(b" \0")
    if not digits:
        return 0
    return int(digits, 8) if digits.isdigit() and not digits.strip(b"01234567") else -1


def _records(content: bytes) -> Iterator[tuple[str, str]]:
    """The ``length key=value`` records of a pax header."""
    while content.strip(b"\0"):
        digits, _, _ = content.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 8 else 0
        key, equals, value = content[len(digits) + 1 : max(length - 1, 0)].partition(b"=")
        if not equals or length > len(content):
            raise UnreadableArchive(why="a pax header is damaged")
        yield _text(key), _text(value)
        content = content[length:]
