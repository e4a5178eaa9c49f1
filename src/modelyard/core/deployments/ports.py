"""What deployments need from outside: a place for workers, a front that routes, a codec of predictions.

WorkerPool. Owns processes. Thread-safe; ``start`` is idempotent by worker id and returns when the worker's
supervisor is launched; ``observe`` only reads. A worker outlives a killed server and is found again by its
id; ``stop`` lets it answer what it holds, then ends it.

Routes. The front's table of who answers. ``publish`` returns when the front has taken the table (or when
there is no front: the next one gets it before it serves); after it no request reaches a worker that the
table does not name.

InvocationCodec. A dialect's predictions as pure functions: no I/O, no state. The front calls it for every
prediction, so it must not import a framework or botocore.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One endpoint process, without any network. Layout below ``folder`` (made by the controller before start)::

        ml/           read-only in the sandbox as /opt/ml: model/ and code/
        worker.json   read-only in the sandbox as /run/modelyard/worker.json
        out/          writable in the sandbox as /run/modelyard/out; the worker makes ``out/ready`` when it answers
        log           stdout and stderr as lines of ``<epoch ms>\\t<text>``
        spec.json  started  exit  supervisor.lock  stop   the supervisor's own

    The pool's supervisor listens on ``socket`` and hands the listening descriptor to the process; its number
    is in the variable MODELYARD_LISTEN_FD. On SIGTERM the worker answers what it holds and ends.
    """

    id: str
    folder: Path
    command: tuple[str, ...]
    variables: Mapping[str, str]
    socket: Path
    cpus: float
    memory: int
    readable: tuple[Path, ...] = ()
    """Further host folders shown read-only at their own paths (interpreters, environments)."""


@dataclass(frozen=True, slots=True)
class WorkerObservation:
    """``message`` quotes the worker's last lines when it is dead."""

    state: Literal["absent", "starting", "ready", "dead"]
    message: str = ""


class WorkerPool(Protocol):
    """Where endpoint processes run; the contract is this module's prose."""

    def start(self, worker: WorkerSpec) -> None: ...

    def observe(self, folder: Path) -> WorkerObservation: ...

    def stop(self, folder: Path, grace: float) -> None: ...

    def remove(self, folder: Path) -> None: ...


@dataclass(frozen=True, slots=True)
class VariantRoute:
    """The sockets of a variant's ready workers and its share of requests."""

    name: str
    weight: float
    sockets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers predictions for one endpoint."""

    endpoint: str
    endpoint_id: str
    variants: tuple[VariantRoute, ...]


class Routes(Protocol):
    """The front's table; the contract is this module's prose."""

    def publish(self, routes: Sequence[Route]) -> None: ...


@dataclass(frozen=True, slots=True)
class InvocationHead:
    """A request's line and headers (names in lower case), before its body."""

    method: str
    target: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Invocation:
    """What a request asks for. ``endpoint`` and ``variant`` pick the worker; ``meta`` travels in the frame."""

    endpoint: str
    variant: str | None = None
    meta: Mapping[str, str] = field(default_factory=dict)
    signed: bool = True
    """Whether the dialect demands a SigV4 signature; False: anonymous where the server allows it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A worker's result: status 200 with a body, or the hook's own status and message."""

    status: int
    body: bytes
    meta: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the front itself answers. ``kind`` is one of: unknown_endpoint, unknown_variant, not_serving,
    queue_full, too_large, timeout, worker_failed, not_signed, bad_signature, bad_request."""

    kind: str
    message: str
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """What goes to the client."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class InvocationCodec(Protocol):
    """A dialect's predictions; the contract is this module's prose."""

    def match(self, head: InvocationHead) -> Invocation | Refusal | None: ...

    def answer(self, invocation: Invocation, answer: Answer) -> WireAnswer: ...

    def refuse(self, head: InvocationHead, refusal: Refusal) -> WireAnswer: ...
