"""Pipe mode: FIFOs ``<channel>_<epoch>`` fed from the hidden records that staging laid down.

Follows https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html and
the RecordIO form of sagemaker-training's recordio.py. A reader that closes early ends its epoch; the next
epoch's FIFO is there before the current one ends.
"""

from __future__ import annotations

import json
import os
import random
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

MAGIC = 0xCED7230A
LENGTH_LIMIT = 1 << 29
"""RecordIO keeps three bits of a record's length for itself."""
_CHUNK = 1 << 20


def wrap(length: int) -> tuple[bytes, bytes]:
    """The bytes before and after a record of ``length`` bytes.

    >>> wrap(5)[0].hex(), wrap(5)[1]
    ('0a23d7ce05000000', b'\\x00\\x00\\x00')
    """
    if length >= LENGTH_LIMIT:
        raise ValueError(f"an object of {length} bytes cannot be one RecordIO record (at most {LENGTH_LIMIT - 1})")
    return struct.pack("<II", MAGIC, length), b"\0" * (-length % 4)


class Feeder(threading.Thread):
    """Feeds one channel for as many epochs as the script opens; a daemon, gone when the worker ends."""

    def __init__(self, ml: Path, pipe: Mapping[str, Any], host: int, hosts: int) -> None:
        super().__init__(name=f"pipe-{pipe['channel']}", daemon=True)
        self._folder = ml / "input" / ".pipes" / str(pipe["channel"])
        self._fifo = ml / "input" / "data" / str(pipe["channel"])
        self._wrap = bool(pipe["wrap"])
        self._seed: int | None = pipe["seed"]
        self._share = (host, hosts) if pipe["shared"] else (0, 1)
        with (self._folder / "index.jsonl").open() as index:
            self._records = [json.loads(line) for line in index]
        self._make(0)

    def run(self) -> None:
        epoch = 0
        while True:
            try:
                self._feed(epoch)
            except BrokenPipeError:
                pass
            except (OSError, ValueError) as error:
                print(f"modelyard: channel {self._fifo.name}: {error}", flush=True)  # noqa: T201
                return
            epoch += 1

    def _make(self, epoch: int) -> None:
        os.mkfifo(self._fifo.with_name(f"{self._fifo.name}_{epoch}"), 0o600)

    def _feed(self, epoch: int) -> None:
        with self._fifo.with_name(f"{self._fifo.name}_{epoch}").open("wb", buffering=0) as sink:
            self._make(epoch + 1)
            for record in self.order(epoch):
                for part in record:
                    for chunk in self._bytes(part):
                        _write(sink, chunk)

    def order(self, epoch: int) -> Sequence[list[dict[str, str]]]:
        """This host's records in the order of ``epoch``: shuffled anew in each when the channel has a seed."""
        if self._seed is None:
            return self._records
        shuffled = list(self._records)
        random.Random(f"{self._seed}/{epoch}").shuffle(shuffled)  # noqa: S311
        host, hosts = self._share
        return shuffled[host::hosts]

    def _bytes(self, part: Mapping[str, str]) -> Iterator[bytes]:
        if "text" in part:
            content = part["text"].encode()
            before, after = wrap(len(content)) if self._wrap else (b"", b"")
            yield before + content + after
            return
        with (self._folder / part["file"]).open("rb") as source:
            before, after = wrap(os.fstat(source.fileno()).st_size) if self._wrap else (b"", b"")
            yield before
            while chunk := source.read(_CHUNK):
                yield chunk
            yield after


def _write(sink: BinaryIO | Any, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[sink.write(view) :]
