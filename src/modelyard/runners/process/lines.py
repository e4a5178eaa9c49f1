"""The log of one sandbox: lines of ``<epoch ms>\\t<text>`` in one file, bounded.

Owns splitting what arrives and the cap. Splits at newlines alone, as the service does: a progress bar's
carriage returns stay in its line.
"""

from __future__ import annotations

import os

from modelyard.base.clock import Clock
from modelyard.base.disk import Disk, write_all

LONGEST = (256 << 10) - 32
"""Bytes of text in one line; with time and newline it stays within 256 KiB."""

NOTE = 96
"""Bytes of the cap that are kept for the line that says how many lines were dropped."""


class LineLog:
    """Not thread-safe. A full disk loses lines, counted, never the job."""

    def __init__(self, path: str, cap: int, clock: Clock) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._room = cap - os.fstat(self._file).st_size - NOTE
        self._clock = clock
        self._rest = b""
        self._latest = b""
        self._last = 0
        self.dropped = 0
        self.full = False

    def feed(self, chunk: bytes) -> None:
        """Take what the process printed."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        pieces = [piece for line in lines for piece in _pieces(line)]
        while len(self._rest) > LONGEST:
            head, self._rest = _cut(self._rest)
            pieces.append(head)
        self._write(pieces)

    def last(self) -> str:
        """The last line with anything in it."""
        return self._latest.decode(errors="replace").strip()

    def end(self, disk: Disk) -> None:
        """Write what came without a newline, and how many lines were dropped; on disk when this returns."""
        if self._rest:
            rest, self._rest = self._rest, b""
            self._write([rest])
        if self.dropped:
            self._append(b"%d\tmodelyard: %d more lines were not kept: the log is full\n" % (self._last, self.dropped))
        disk.sync(self._file)

    def _write(self, lines: list[bytes]) -> None:
        self._last = max(self._last, int(self._clock.now() * 1000))
        stamp = b"%d\t" % self._last
        self._latest = next((line for line in reversed(lines) if line.strip()), self._latest)
        kept: list[bytes] = []
        for line in lines:
            size = len(stamp) + len(line) + 1
            if self.full or size > self._room:
                self.full = True
                self.dropped += 1
                continue
            self._room -= size
            kept.append(stamp + line + b"\n")
        if kept and not self._append(b"".join(kept)):
            self.dropped += len(kept)

    def _append(self, content: bytes) -> bool:
        """Write whole or not at all, so that no line is ever half there."""
        start = os.fstat(self._file).st_size
        try:
            write_all(self._file, content)
        except OSError:
            os.ftruncate(self._file, start)
            return False
        return True


def _pieces(line: bytes) -> list[bytes]:
    pieces: list[bytes] = []
    while len(line) > LONGEST:
        head, line = _cut(line)
        pieces.append(head)
    pieces.append(line)
    return pieces


def _cut(line: bytes) -> tuple[bytes, bytes]:
    """The longest head of ``line`` that does not end inside a UTF-8 character, and the rest."""
    at = LONGEST
    while at > LONGEST - 3 and line[at] & 0xC0 == 0x80:
        at -= 1
    return line[:at], line[at:]
