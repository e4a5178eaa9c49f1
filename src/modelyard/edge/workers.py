"""Endpoints as the front sees them: variants, their queues, the workers that answer, and who picks what.

Batching without a timer: a free worker gets a request at once; what comes while all are busy gathers, and the
next one to answer takes its share of it as one frame. A frame is bounded by count, bytes and by how long the last
ones took, so that a slow model gets few requests at a time. Owns the connections to workers. Refuses to know HTTP.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from modelyard.base.clock import Clock
from modelyard.base.disk import connect_unix
from modelyard.core.deployments.ports import Route, VariantRoute
from modelyard.edge.limits import FrontLimits
from modelyard.edge.wheel import Wheel
from modelyard.serving.wire import BadFrame, FrameParser, Raw, encode

FRAME_ITEMS = 256
FRAME_BYTES = 4 << 20
FRAME_SECONDS = 0.1
"""How long a frame of more than one request may be expected to take."""
_NOBODY = "no process of this variant answers now; try again"


class Item(Protocol):
    """A prediction as the queues see it."""

    meta: bytes
    body: bytes
    size: int
    deadline: float
    wanted: bool
    """Whether anybody still waits for the answer."""
    pinned: bool
    """Whether the client named the variant."""

    def answered(self, variant: str, raw: Raw) -> None: ...

    def failed(self, kind: str, message: str) -> None: ...


class WorkerConnection(asyncio.Protocol):
    """The way to one worker. ``socket`` names it."""

    def __init__(self, socket: str, variant: Variant, clock: Clock) -> None:
        self.socket = socket
        self.batch: list[Item] = []
        self.closed = False
        self.sent_at = 0.0
        self._variant = variant
        self._clock = clock
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._parser = FrameParser()
        self._pace = FRAME_SECONDS
        """Seconds that one request of the last frames took."""

    @property
    def is_free(self) -> bool:
        return self._transport is not None and not self.batch and not self.closed

    @property
    def is_usable(self) -> bool:
        """Whether it answers or may yet."""
        return not self.closed and (self._transport is not None or self._connecting is not None)

    def connect(self) -> None:
        """Begin to connect unless that was done; the variant is told when it has worked or failed."""
        if self._transport is None and self._connecting is None and not self.closed:
            self._connecting = asyncio.ensure_future(self._connect())

    def close(self) -> None:
        """Take no more; what was asked is still answered."""
        self.closed = True
        if self._transport is not None and not self.batch:
            self._transport.abort()

    def abort(self) -> None:
        """Give up on the worker."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def send(self, batch: list[Item]) -> None:
        assert self._transport is not None
        self.batch = batch
        self.sent_at = self._clock.monotonic()
        for part in encode([(0, item.meta, item.body) for item in batch]):
            self._transport.write(part)

    def share(self, waiting: int, workers: int) -> int:
        """How many of those that wait this worker should take now."""
        paced = int(FRAME_SECONDS / self._pace) if self._pace > 0 else FRAME_ITEMS
        return max(1, min(FRAME_ITEMS, paced, -(-waiting // workers)))

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            sock = connect_unix(Path(self.socket), timeout=0)
            await loop.create_unix_connection(lambda: self, sock=sock)
        except OSError:
            self._connecting = None
            self._variant.worker_away()
        else:
            self._connecting = None
            if self.closed:
                self.abort()
            self._variant.dispatch()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._parser = FrameParser()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._transport = None
        batch, self.batch = self.batch, []
        for item in batch:
            item.failed("worker_failed", "the endpoint's process ended before it answered")
        self._variant.worker_away()

    def data_received(self, data: bytes) -> None:
        try:
            frames = self._parser.feed(data)
        except BadFrame:
            self.abort()
            return
        for frame in frames:
            if len(frame) != len(self.batch):
                self.abort()
                return
            self._answered(frame)

    def _answered(self, frame: list[Raw]) -> None:
        batch, self.batch = self.batch, []
        took = (self._clock.monotonic() - self.sent_at) / len(batch)
        self._pace += 0.3 * (took - self._pace) if took < self._pace else took - self._pace
        if self.closed:
            assert self._transport is not None
            self._transport.abort()
        else:
            # The worker gets its next frame before its last answers are written out.
            self._variant.dispatch()
        for item, raw in zip(batch, frame, strict=True):
            if item.wanted:
                item.answered(self._variant.name, raw)


class Variant:
    """A variant's workers and the requests that wait for one of them."""

    def __init__(self, endpoint: Endpoint, name: str, clock: Clock) -> None:
        self.name = name
        self.queue: deque[Item] = deque()
        self._endpoint = endpoint
        self._clock = clock
        self._workers: dict[str, WorkerConnection] = {}
        self._hung: set[str] = set()

    @property
    def sockets(self) -> tuple[str, ...]:
        return tuple(self._workers)

    def replace(self, sockets: Sequence[str]) -> None:
        """Use exactly these workers from now on."""
        self._hung &= set(sockets)
        for socket in [socket for socket in self._workers if socket not in sockets]:
            self._workers.pop(socket).close()
        for socket in sockets:
            if socket not in self._workers and socket not in self._hung:
                self._workers[socket] = WorkerConnection(socket, self, self._clock)
            if socket in self._workers:
                self._workers[socket].connect()
        self.dispatch()

    def put(self, item: Item) -> None:
        self.queue.append(item)
        self.dispatch()

    def dispatch(self) -> None:
        """Give what waits to free workers."""
        queue = self.queue
        if not queue:
            return
        usable = False
        for worker in self._workers.values():
            if worker.is_free:
                batch = self._take(worker.share(len(queue), len(self._workers)))
                if batch:
                    worker.send(batch)
                if not queue:
                    return
            else:
                worker.connect()
            usable = usable or worker.is_usable
        if not usable:
            self.fail_all("not_serving", _NOBODY)

    def worker_away(self) -> None:
        """A connection was lost or could not be made. What waits goes to another worker if there is one."""
        if self.queue and not any(worker.is_usable for worker in self._workers.values()):
            self.fail_all("not_serving", _NOBODY)

    def check_times(self, now: float, limit: float) -> list[str]:
        """Answer what is past its time; the sockets of workers that hang."""
        while self.queue and (self.queue[0].deadline <= now or not self.queue[0].wanted):
            self._expire(self._pop(), limit)
        hung = []
        for worker in tuple(self._workers.values()):
            if worker.batch and now - worker.sent_at >= limit:
                self._hung.add(worker.socket)
                hung.append(worker.socket)
                self._workers.pop(worker.socket)
                batch, worker.batch = worker.batch, []
                worker.abort()
                for item in batch:
                    self._expire(item, limit)
            for item in worker.batch:
                if item.deadline <= now:
                    self._expire(item, limit)
        if hung:
            self.dispatch()
            self.worker_away()
        return hung

    def _expire(self, item: Item, limit: float) -> None:
        if item.wanted:
            item.failed("timeout", f"the model did not answer within {limit:g} seconds")

    def _take(self, count: int) -> list[Item]:
        batch: list[Item] = []
        size = 0
        while self.queue and len(batch) < count and (not batch or size + self.queue[0].size <= FRAME_BYTES):
            item = self._pop()
            if item.wanted:
                batch.append(item)
                size += item.size
        return batch

    def _pop(self) -> Item:
        item = self.queue.popleft()
        self._endpoint.waiting -= 1
        self._endpoint.waiting_bytes -= item.size
        return item

    def fail_all(self, kind: str, message: str) -> None:
        while self.queue:
            item = self._pop()
            if item.wanted:
                item.failed(kind, message)


class Endpoint:
    """One endpoint: its variants by name, the wheel that shares requests out, what waits in all."""

    def __init__(self, route: Route, clock: Clock) -> None:
        self.id = route.endpoint_id
        self.waiting = 0
        self.waiting_bytes = 0
        """Of bodies that wait or are still being read."""
        self.variants: dict[str, Variant] = {}
        self._clock = clock
        self._weights: tuple[tuple[str, float], ...] = ()
        self._wheel: Wheel | None = None
        self.replace(route.variants)

    def replace(self, routes: Sequence[VariantRoute]) -> None:
        """Take these variants, weights and workers from now on."""
        kept = {route.name for route in routes}
        gone = [self.variants.pop(name) for name in tuple(self.variants) if name not in kept]
        for route in routes:
            variant = self.variants.get(route.name)
            if variant is None:
                variant = self.variants[route.name] = Variant(self, route.name, self._clock)
            variant.replace(route.sockets)
        weights = tuple((route.name, route.weight) for route in routes if route.weight > 0 and route.sockets)
        if weights != self._weights:
            self._weights = weights
            self._wheel = Wheel([weight for _, weight in weights]) if weights else None
        for variant in gone:
            self._hand_over(variant)
            variant.replace(())

    def _hand_over(self, gone: Variant) -> None:
        """What waits for a variant that is no more goes to the others, unless the client named it."""
        for item in [item for item in gone.queue if not item.pinned]:
            other = self.pick()
            if other is not None:
                gone.queue.remove(item)
                other.put(item)

    def pick(self) -> Variant | None:
        """The variant whose turn it is; None while none of them serves."""
        if self._wheel is None:
            return None
        return self.variants[self._weights[self._wheel.pick()][0]]

    def is_full(self, limits: FrontLimits, more: int) -> bool:
        """Whether a request with ``more`` bytes still to be read is one too many."""
        return self.waiting >= limits.queue_requests or self.waiting_bytes + more > limits.queue_bytes

    def put(self, variant: Variant, item: Item) -> None:
        """Queue an item; its bytes were counted while they were read."""
        self.waiting += 1
        variant.put(item)


class Table:
    """All endpoints by id and by name, replaced as a whole."""

    def __init__(self, clock: Clock, hung: Callable[[str, str], None]) -> None:
        """``hung`` is called with the endpoint's id and the socket of a worker past the time limit."""
        self._clock = clock
        self._hung = hung
        self._endpoints: dict[str, Endpoint] = {}
        self._by_id: dict[str, Endpoint] = {}

    def get(self, id_or_name: str) -> Endpoint | None:
        return self._by_id.get(id_or_name) or self._endpoints.get(id_or_name)

    def replace(self, routes: Sequence[Route]) -> None:
        """After this no request reaches a worker that ``routes`` does not name."""
        before, self._endpoints = self._endpoints, {}
        for route in routes:
            known = before.get(route.endpoint)
            if known is not None and known.id == route.endpoint_id:
                del before[route.endpoint]
                known.replace(route.variants)
                self._endpoints[route.endpoint] = known
            else:
                self._endpoints[route.endpoint] = Endpoint(route, self._clock)
        for gone in before.values():
            gone.replace(())
        self._by_id = {endpoint.id: endpoint for endpoint in self._endpoints.values()}

    def check_times(self, now: float, limit: float) -> None:
        for endpoint in tuple(self._endpoints.values()):
            for variant in tuple(endpoint.variants.values()):
                for socket in variant.check_times(now, limit):
                    self._hung(endpoint.id, socket)
