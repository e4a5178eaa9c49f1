"""The front: the process that owns the port, from its listening socket to who answers each request.

Predictions are answered from endpoint processes, everything else by the server over its Unix socket. What it
needs to know comes as one FrontState that replaces the last; it is kept while the server is dead. Owns no
dialect: codecs and the words of refusals are handed in.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelyard.base.clock import Clock
from modelyard.core.deployments.ports import Invocation, InvocationCodec, InvocationHead, Refusal, WireAnswer
from modelyard.core.identity.model import Credential
from modelyard.edge import peers
from modelyard.edge.client import ClientConnection, Exchange, Immediate
from modelyard.edge.heads import Head
from modelyard.edge.health import Health
from modelyard.edge.limits import FrontLimits
from modelyard.edge.origins import Cors, check_origin
from modelyard.edge.predictions import Prediction, authenticate
from modelyard.edge.relay import Relay, ServerLink
from modelyard.edge.state import FrontState
from modelyard.edge.workers import Table

_log = logging.getLogger(__name__)

CHECK = 0.5
"""Seconds between two looks at every connection's and request's time."""
BACKLOG = 4096
_SPARE_FDS = 256

Refuse = Callable[[InvocationHead | None, Refusal], WireAnswer]
"""The front's own answer to a request that is no prediction, in the words of the API that it was for."""

STATUS = {
    "bad_request": 400,
    "wrong_origin": 403,
    "wrong_host": 421,
    "head_too_large": 431,
    "unavailable": 503,
    "too_many_connections": 503,
}
"""The status of each refusal of a request that is no prediction."""


def plain_refusal(head: InvocationHead | None, refusal: Refusal) -> WireAnswer:
    """A refusal as a line of text."""
    status = STATUS.get(refusal.kind, 500)
    headers = [("content-type", "text/plain; charset=utf-8")]
    if status == 503:
        headers.append(("retry-after", "1"))
    return WireAnswer(status, tuple(headers), f"{refusal.message}\n".encode())


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a front listens. Port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 8080
    tls_cert: Path | None = None
    tls_key: Path | None = None

    def ssl(self) -> ssl.SSLContext | None:
        """Raises OSError, ssl.SSLError for files that are no certificate and key."""
        if self.tls_cert is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(self.tls_cert, self.tls_key)
        return context


class Front:
    """Lives in one event loop. ``hung`` is told the endpoint's id and socket of a worker that must be replaced."""

    def __init__(
        self,
        server_socket: Path,
        codecs: Sequence[InvocationCodec],
        clock: Clock,
        hung: Callable[[str, str], None],
        refuse: Refuse = plain_refusal,
    ) -> None:
        self.clock = clock
        self.state: FrontState | None = None
        self._codecs = tuple(codecs)
        self._refuse = refuse
        self._table = Table(clock, hung)
        self._link = ServerLink(server_socket, clock)
        self._credentials: dict[str, Credential] = {}
        self._cors = Cors(())
        self._hosts: tuple[str, ...] = ()
        self._own_hosts: tuple[str, ...] = ()
        self._clients: set[ClientConnection] = set()
        self._room = _file_room()
        self._peers = peers.Peers()
        self._asked: list[tuple[ClientConnection, asyncio.Future[bool]]] = []
        self._asking: asyncio.Task[None] | None = None
        self._server: asyncio.Server | None = None
        self._checking: asyncio.TimerHandle | None = None

    # Life

    async def listen(self, listening: Listening) -> tuple[str, int]:
        """Listen, and answer where. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._own_hosts = (listening.host.lower(),)
        self._hosts = self._own_hosts
        self._server = await loop.create_server(
            lambda: ClientConnection(self), listening.host, listening.port, ssl=listening.ssl(), backlog=BACKLOG
        )
        self._check_later()
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    def take(self, state: FrontState) -> None:
        """Replace all that was known. After this no request reaches a worker that the state does not name."""
        self.state = state
        self._credentials = {credential.access_key: credential for credential in state.credentials}
        self._hosts = (*self._own_hosts, *(host.lower() for host in state.access.hosts))
        self._cors = Cors(state.access.origins)
        self._table.replace(state.routes)

    async def close(self, grace: float = 5.0) -> None:
        """Accept nothing more, end idle connections, and give the others ``grace`` seconds to be answered."""
        if self._server is not None:
            self._server.close()
        for client in [client for client in self._clients if client.is_idle]:
            client.end_now()
        end = self.clock.monotonic() + grace
        while any(not client.is_idle for client in self._clients) and self.clock.monotonic() < end:
            await asyncio.sleep(0.02)
        if self._checking is not None:
            self._checking.cancel()
        for client in tuple(self._clients):
            client.transport.abort()
        self._table.replace(())
        self._link.close()

    def check_times(self) -> None:
        """Act on everything that has waited too long."""
        now, limits = self.clock.monotonic(), self.limits
        for client in tuple(self._clients):
            client.check_times(now, limits)
        self._table.check_times(now, limits.prediction_timeout)
        self._link.check_times(now)

    def _check_later(self) -> None:
        self._checking = asyncio.get_running_loop().call_later(CHECK, self._check)

    def _check(self) -> None:
        self._check_later()
        self.check_times()

    # What connections ask (client.Lobby)

    @property
    def limits(self) -> FrontLimits:
        return self.state.limits if self.state is not None else _DEFAULT_LIMITS

    def arrived(self, client: ClientConnection) -> bool:
        self._clients.add(client)
        room = min(self.limits.max_connections, self._room)
        if len(self._clients) > room + _SPARE_FDS // 2:
            client.transport.abort()
        return len(self._clients) <= room

    def left(self, client: ClientConnection) -> None:
        self._clients.discard(client)

    def refuse(self, head: Head | None, refusal: Refusal) -> WireAnswer:
        return self._refuse(head.view if head is not None else None, refusal)

    def open(self, client: ClientConnection, head: Head) -> Exchange:
        """Who answers this request."""
        wrong = check_origin(head, client.own[0], self._hosts, self._cors.origins)
        if wrong is not None:
            return Immediate(client, head, self.refuse(head, wrong))
        if head.path == b"/health" and head.method in ("GET", "HEAD"):
            return Health(client, head, self._link, self.state is not None)
        preflight = self._cors.preflight(head)
        if preflight is not None:
            return Immediate(client, head, preflight)
        for codec in self._codecs:
            found = codec.match(head.view)
            if found is not None:
                return self._open_prediction(client, head, codec, found)
        relay = Relay(client, head, self._link, self.refuse, self._mark if head.is_anonymous else None)
        relay.more = self._cors.fields(head)
        return relay

    def _open_prediction(
        self, client: ClientConnection, head: Head, codec: InvocationCodec, found: Invocation | Refusal
    ) -> Exchange:
        claim = authenticate(head, found) if isinstance(found, Invocation) else found
        if self.state is None:
            claim = Refusal("not_serving", "the server is starting; try again")
        elif claim is None and not self.state.access.anonymous:
            claim = Refusal("not_signed", "this server takes signed requests only")
        if isinstance(claim, Refusal) or isinstance(found, Refusal):
            assert isinstance(claim, Refusal)
            return Immediate(client, head, codec.refuse(head.view, claim))
        endpoint = self._table.get(found.endpoint)
        if endpoint is None:
            refusal = Refusal("unknown_endpoint", f"endpoint {found.endpoint} is unknown", found.endpoint)
            return Immediate(client, head, codec.refuse(head.view, refusal))
        return Prediction(
            client, head, codec, found, endpoint, claim, self._credentials.get, self.limits, self.clock, self._mark
        )

    def _mark(self, client: ClientConnection) -> asyncio.Future[bool] | None:
        """Find out whether a job of ours sends what comes over this connection; None when that is known."""
        if client.from_job is not None:
            return None
        answer = asyncio.get_running_loop().create_future()
        self._asked.append((client, answer))
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._ask_peers())
        return answer

    async def _ask_peers(self) -> None:
        """Look up all connections that were asked for meanwhile in one go, again and again until there are none."""
        asked: list[tuple[ClientConnection, asyncio.Future[bool]]] = []
        try:
            while self._asked:
                asked, self._asked = self._asked, []
                uids = self.state.access.sandbox_uids if self.state is not None else ()
                pairs = [(client.peer, client.own) for client, _ in asked]
                marks = await asyncio.get_running_loop().run_in_executor(None, self._look_up, pairs, uids)
                for (_, answer), mark in zip(asked, marks, strict=True):
                    if not answer.done():
                        answer.set_result(mark)
        finally:
            # Who could not be looked up counts as a job: nobody waits for ever, and nobody is let in by an error.
            self._asking = None
            left, self._asked = [*asked, *self._asked], []
            for _, answer in left:
                if not answer.done():
                    answer.set_result(True)

    def _look_up(self, pairs: list[peers.Connection], uids: tuple[int, ...]) -> list[bool]:
        try:
            local = [pair for pair in pairs if peers.is_local(pair[0][0])]
            marks = dict(zip(local, self._peers.are_from_jobs(local, uids), strict=True))
            return [marks.get(pair, False) for pair in pairs]
        except (OSError, ValueError):
            _log.exception("cannot find out who is behind %s", pairs)
            return [True] * len(pairs)


def _file_room() -> int:
    """How many connections the limit on open files leaves room for; the limit is raised as far as it goes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # A relayed request takes two descriptors.
    return max(16, (hard - _SPARE_FDS) // 2)


_DEFAULT_LIMITS = FrontLimits()
