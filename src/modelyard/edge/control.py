"""The server's side of its front: what the front must know is pushed to it, what it reports is heard.

Implements ``core.deployments.ports.Routes``. Keeps the whole state and sends all of it whenever a part changes or a
front has come back, so that a front is never half informed. Owns one thread. Refuses to know how a front starts.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import orjson

from modelyard.base.clock import Clock
from modelyard.base.disk import connect_unix, is_locked
from modelyard.base.errors import Unavailable
from modelyard.core.deployments.ports import Route
from modelyard.core.identity.model import Credential
from modelyard.edge.limits import FrontLimits
from modelyard.edge.state import Access, FrontState, to_json

_log = logging.getLogger(__name__)

PAUSE = 0.05
"""Seconds between two tries to reach a front."""


class FrontControl:
    """Thread-safe. ``hung`` is called, in a thread of this object, with the endpoint's id and the socket of a worker
    that did not answer in time and must be replaced; it may be told of the same worker again."""

    def __init__(
        self,
        run: Path,
        hung: Callable[[str, str], None],
        clock: Clock,
        patience: float = 10.0,
        needed: Collection[str] = (),
    ) -> None:
        """``run`` is the folder of front.sock and front.lock; ``patience``: seconds for a living front to take a
        state; ``needed``: the parts of FrontState without which a front is told nothing yet. A front that answered
        while the server was away goes on by what it knows until the new server knows as much."""
        self._path = run / "front.sock"
        self._lock = run / "front.lock"
        self._hung = hung
        self._clock = clock
        self._patience = patience
        self._state = FrontState()
        self._lacking = frozenset(needed)
        self._number = 0
        self._taken = 0
        self._connection: socket.socket | None = None
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="front-control", daemon=True)

    def start(self) -> None:
        """Begin to reach fronts. Until something was pushed a front is told nothing."""
        self._thread.start()

    def stop(self) -> None:
        """Let go of the front; it keeps what it knows. Harmless before the start."""
        self._ending.set()
        with self._changed:
            self._disconnect()
        if self._thread.ident is not None:
            self._thread.join(5)

    def publish(self, routes: Sequence[Route]) -> None:
        """Who answers predictions from now on. Returns when the front has taken it, or when there is no front.

        Raises Unavailable when a living front does not take it.
        """
        self._push(routes=tuple(routes))

    def set_credentials(self, credentials: Sequence[Credential]) -> None:
        """Which keys sign from now on; returns and raises as ``publish``."""
        self._push(credentials=tuple(credentials))

    def configure(self, limits: FrontLimits, access: Access) -> None:
        """What is allowed from now on; returns and raises as ``publish``."""
        self._push(limits=limits, access=access)

    def _push(self, **parts: object) -> None:
        with self._changed:
            self._state = replace(self._state, **parts)  # type: ignore[arg-type]
            self._lacking -= parts.keys()
            if self._lacking:
                return
            self._number += 1
            number = self._number
            connection = self._connection
        if connection is not None:
            self._send(connection)
        end = self._clock.monotonic() + self._patience
        with self._changed:
            while self._taken < number and not self._ending.is_set():
                if self._connection is None and not is_locked(self._lock):
                    return
                if self._clock.monotonic() >= end:
                    raise Unavailable(what="the front does not take what the server tells it; see run/front.log")
                self._changed.wait(PAUSE)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                connection = connect_unix(self._path, timeout=5)
            except OSError:
                self._ending.wait(PAUSE)
                continue
            connection.settimeout(None)
            with self._changed:
                self._connection = connection
                self._taken = 0
            if self._ending.is_set() or (self._number and not self._send(connection)):
                self._lose(connection)
                continue
            self._listen(connection)
            self._lose(connection)

    def _send(self, connection: socket.socket) -> bool:
        """Send the whole state as it is now."""
        with self._sending:
            with self._changed:
                document = {"type": "state", "number": self._number, "state": to_json(self._state)}
            try:
                connection.sendall(orjson.dumps(document) + b"\n")
            except OSError:
                return False
        return True

    def _listen(self, connection: socket.socket) -> None:
        try:
            with connection.makefile("rb") as lines:
                for line in lines:
                    self._heard(orjson.loads(line))
        except (OSError, ValueError):
            pass

    def _heard(self, document: dict[str, object]) -> None:
        if document["type"] == "taken":
            with self._changed:
                self._taken = max(self._taken, int(str(document["number"])))
                self._changed.notify_all()
        elif document["type"] == "worker_hung":
            try:
                self._hung(str(document["endpoint_id"]), str(document["socket"]))
            except Exception:  # noqa: BLE001 - the edge of this thread: the caller's error must not end the connection
                _log.exception("a report of the front could not be acted on")

    def _lose(self, connection: socket.socket) -> None:
        with self._changed:
            if self._connection is connection:
                self._connection = None
                self._taken = 0
            self._changed.notify_all()
        connection.close()

    def _disconnect(self) -> None:
        if self._connection is not None:
            try:
                self._connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                _log.debug("the front had gone already")
