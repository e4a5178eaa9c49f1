"""Writes a channel's objects where its mode wants them: files, or the hidden records that feed a Pipe's FIFOs.

Owns fetching and decompressing below one host's folder. FastFile channels are staged like File: their files
lie in place before the script starts. Refuses to know what a channel names (channels.py).
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from modelyard.base.errors import Invalid, LimitExceeded
from modelyard.core.artifacts.archives import ArchiveLimits
from modelyard.core.jobs import channels
from modelyard.core.jobs.channels import BadInput, NoInput, Record
from modelyard.core.jobs.model import Channel
from modelyard.core.jobs.ports import Inputs

PIPES = "input/.pipes"
"""Below a host's folder: what the worker feeds into FIFOs."""
_CHUNK = 1 << 20


class ChannelFiller:
    """Fills channels of the hosts of one attempt."""

    def __init__(self, inputs: Inputs, limits: ArchiveLimits) -> None:
        self._inputs = inputs
        self._limits = limits
        self._named: dict[str, tuple[Record, ...]] = {}

    def fill(self, channel: Channel, root: Path, host: int, hosts: int) -> dict[str, Any] | None:
        """Write ``channel`` for host number ``host`` below ``root``; what the worker must know of a Pipe."""
        if channels.safe_name(channel.name) != channel.name or "/" in channel.name:
            raise Invalid(what=f"{channel.name!r} cannot be a channel's name: it names a folder below input/data")
        if channel.name not in self._named:
            self._named[channel.name] = channels.records(self._inputs, channel)
        everything: Sequence[Record] = self._named[channel.name]
        sharded = channel.distribution == "sharded" and hosts > 1
        reshuffled = sharded and channel.mode == "Pipe" and channel.shuffle_seed is not None
        if sharded and not reshuffled:
            everything = channels.shard(everything, host, hosts)
        if channel.mode == "Pipe":
            self._pipe(channel, everything, root / PIPES / channel.name)
            return {
                "channel": channel.name,
                "wrap": channel.record_wrapper == "RecordIO",
                "seed": channel.shuffle_seed,
                "shared": reshuffled,
            }
        self._files(channel, everything, root / "input" / "data" / channel.name)
        return None

    def restore(self, location: str, target: Path) -> None:
        """Bring back every checkpoint below ``location``; none is no error."""
        channel = Channel("checkpoints", location if location.endswith("/") else location + "/")
        with suppress(NoInput):
            found = channels.records(self._inputs, channel)
            self._files(channel, found, target)

    def _files(self, channel: Channel, chosen: Sequence[Record], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, location in channels.files(chosen, channel).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            self._fetch(channel, location, folder / name)
        if channel.source == "augmented_manifest":
            self._inputs.fetch(channel.location, folder / channel.location.rpartition("/")[2])

    def _pipe(self, channel: Channel, chosen: Sequence[Record], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        numbers: dict[str, str] = {}
        with (folder / "index.jsonl").open("w") as index:
            for record in chosen:
                parts: list[dict[str, str]] = []
                for part in record.parts:
                    if part.text is not None:
                        parts.append({"text": part.text})
                        continue
                    if part.location not in numbers:
                        numbers[part.location] = name = f"{len(numbers):08d}"
                        self._fetch(channel, part.location, folder / name)
                    parts.append({"file": numbers[part.location]})
                index.write(json.dumps(parts) + "\n")

    def _fetch(self, channel: Channel, location: str, target: Path) -> None:
        if channel.compression != "gzip":
            self._inputs.fetch(location, target)
            return
        packed = target.with_name(f".{target.name[:200]}.packed")
        try:
            self._inputs.fetch(location, packed)
            self._gunzip(channel, location, packed, target)
        finally:
            packed.unlink(missing_ok=True)

    def _gunzip(self, channel: Channel, location: str, packed: Path, target: Path) -> None:
        limits, written, size = self._limits, 0, packed.stat().st_size
        try:
            with gzip.open(packed) as source, target.open("wb") as sink:
                while chunk := source.read(_CHUNK):
                    written += len(chunk)
                    if written > limits.size or (written > limits.ratio_from and written > limits.ratio * size):
                        raise LimitExceeded(
                            what=f"channel {channel.name!r}: {location} unpacks to more than the limits "
                            f"of archives allow ({limits.size} bytes, {limits.ratio}:1)"
                        )
                    sink.write(chunk)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise BadInput(channel=channel.name, why=f"{location} is not gzip data: {error}") from error
