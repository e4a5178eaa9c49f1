"""What deployments need from outside: tables, a place for workers, a front that routes, codecs of predictions.

Owns the ports, each with its contract in prose, and the values that pass through them. Refuses to know what
implements them; runners.py says how a place for workers is plugged in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from modelyard.base.errors import ModelyardError
from modelyard.base.paging import Listing, Page
from modelyard.core.deployments.model import Endpoint, EndpointConfig, Worker
from modelyard.core.models.model import Model


class Stale(ModelyardError):
    """Endpoint {name!r} was changed by someone else meanwhile; read it again."""

    code: ClassVar[str] = "stale"


@dataclass(frozen=True, slots=True)
class Lease:
    """Who may work on an endpoint: ``token`` grows with each new holder; ``until`` is the table's time."""

    endpoint_id: str
    token: int
    until: float


class DeploymentTable(Protocol):
    """Where configurations, endpoints and workers are kept.

    Owns rows, never decisions. Thread-safe. Every writing call is one transaction that is on disk when it returns.
    ``write`` changes an endpoint read at some revision together with its workers: it raises Stale, writing nothing,
    when the row has moved on, and LeaseLost when the lease is not its holder's or has expired by the table's own clock.
    A write without a lease is a user's: only the revision guards it.
    """

    def add_config(self, config: EndpointConfig, tags: Mapping[str, str]) -> None:
        """Store it with its tags. Raises AlreadyExists for a name that is taken, letter case ignored."""

    def get_config(self, config_id: str) -> EndpointConfig | None: ...

    def find_config(self, name: str) -> EndpointConfig | None:
        """The configuration of that name, letter case ignored."""

    def list_configs(self, listing: Listing) -> Page[EndpointConfig]: ...

    def remove_config(self, config_id: str) -> bool:
        """Remove it with its tags; whether there was one."""

    def add(self, endpoint: Endpoint, tags: Mapping[str, str]) -> None:
        """Store it with its tags. Raises AlreadyExists for a name that is taken, letter case ignored."""

    def get(self, endpoint_id: str) -> Endpoint | None: ...

    def find(self, name: str) -> Endpoint | None:
        """The endpoint of that name, letter case ignored."""

    def list(self, listing: Listing) -> Page[Endpoint]: ...

    def all(self) -> tuple[Endpoint, ...]: ...

    def workers(self, endpoint_id: str | None = None) -> tuple[Worker, ...]:
        """The workers of one endpoint or of all, oldest first."""

    def claim(self, endpoint_id: str, owner: str, seconds: float) -> Lease | None:
        """Take or renew the lease; None while another owner holds it or when the endpoint is gone."""

    def write(self, endpoint: Endpoint, workers: Sequence[Worker] = (), lease: Lease | None = None) -> Endpoint:
        """Store ``endpoint`` (read at its revision) and these workers; the endpoint at its new revision."""

    def remove(self, endpoint: Endpoint, lease: Lease) -> None:
        """Remove an endpoint, its workers and its tags. Raises Stale and LeaseLost as ``write``."""

    def condemn(self, worker_id: str, reason: str) -> bool:
        """Mark a starting or ready worker as leaving; False when it is neither."""

    def forget_workers(self, endpoint_id: str, keep: int) -> tuple[str, ...]:
        """Remove all but the ``keep`` newest workers that are gone; the ids removed."""


class Models(Protocol):
    """What deployments ask of the models noun. ``get`` raises NotFound."""

    def get(self, id_or_name: str) -> Model: ...


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One endpoint process, without any network. Layout below ``folder`` (made by the controller before start)::

        ml            link to the folder shown read-only in the sandbox as /opt/ml: model/ and code/
        worker.json   read-only in the sandbox as /run/modelyard/worker.json
        out/          writable in the sandbox as /run/modelyard/out; the worker makes ``out/ready`` when it answers
        log           stdout and stderr as lines of ``<epoch ms>\\t<text>``
        started  exit  supervisor.lock  stop  processes   the supervisor's own

    The pool's supervisor listens on ``socket`` and hands the listening descriptor to the process; its number
    is in the variable MODELYARD_LISTEN_FD. A pool that cannot make /opt/ml and /run/modelyard says where they
    are instead in MODELYARD_ML and MODELYARD_RUN. On SIGTERM the worker answers what it holds and ends.
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
    """Where endpoint processes run.

    Owns processes. Thread-safe; ``start`` is idempotent by folder and returns when the worker's supervisor is launched;
    ``observe`` only reads; a folder that is missing is ``absent``. A worker outlives a killed server and is found again
    by its folder; ``stop`` returns at once: the worker answers what it holds (SIGTERM), and is killed after ``grace``
    seconds. Asked of a worker that never started, ``stop`` seals it: a later ``start`` runs nothing and ``observe``
    says ``dead``. ``start`` and ``stop`` raise FileNotFoundError for a folder that is gone and never make it anew. All
    lines of the log are in its file before ``observe`` says ``dead``. ``remove`` deletes the folder of a dead worker
    and may be called again.
    """

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
    """The front's table of who answers.

    It holds every endpoint there is, those that cannot answer with no variants. ``publish``
    returns when the front has taken the table (or when there is no front: the next one gets it before it serves); after
    it no request reaches a worker that the table does not name.
    """

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
    service: str = "sagemaker"
    """The service in the scope of a signature."""


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
    """A dialect's predictions as pure functions: no I/O, no state.

    The front calls it for every prediction, so it must not import a framework or botocore.
    """

    def match(self, head: InvocationHead) -> Invocation | Refusal | None: ...

    def answer(self, invocation: Invocation, answer: Answer) -> WireAnswer: ...

    def refuse(self, head: InvocationHead, refusal: Refusal) -> WireAnswer: ...


Words = Callable[[InvocationHead | None, Refusal], WireAnswer | None]
"""A dialect's words for a refusal by the front; None for a request that is not its own."""


def _no_words(_head: InvocationHead | None, _refusal: Refusal) -> WireAnswer | None:
    return None


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a dialect's ``invoke.py`` publishes as ``PREDICTIONS``, and all that the front imports of a dialect.

    ``codecs`` makes its codecs for an account and a region; of all dialects' the first that matches a request gets it,
    ours before others'. ``refuse`` words the front's refusal of a request of this API that is no prediction, of kind
    bad_request, wrong_origin, wrong_host, head_too_large, unavailable or too_many_connections.
    """

    codecs: Callable[[str, str], Sequence[InvocationCodec]]
    refuse: Words = _no_words
