"""A dispatcher behind a real TCP server of this process, for real clients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from modelyard.base.clock import SystemClock
from modelyard.base.ids import RandomIds
from modelyard.dialects.aws.protocol import AwsService
from modelyard.dialects.aws.protocol.dispatch import AwsDispatcher
from modelyard.edge.claims import Lookup

from ..answering import answering


@dataclass(frozen=True, slots=True)
class Served:
    """Where the door listens."""

    url: str


@contextmanager
def serve(services: Sequence[AwsService], lookup: Lookup, account: str) -> Iterator[Served]:
    """The dispatcher of these services until the block ends."""
    with ThreadPoolExecutor(4) as executor:
        dispatcher = AwsDispatcher(services, lookup, SystemClock(), RandomIds(), account, executor)
        with answering(dispatcher.handle) as port:
            yield Served(f"http://127.0.0.1:{port}")
