"""What the jobs noun needs from outside: a place that runs attempts, what fills and reads them out, environments.

Owns the ports, each with its contract in prose, and the layout of an attempt's folder. Refuses to know what implements
them. The table of jobs is a port of its own: table.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from modelyard.core.jobs.model import Job, Metric


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a job. ``folder`` holds the staged files and receives logs, results and the exit record.

    Layout below ``folder`` (the worker sees ``ml/<host>`` as /opt/ml)::

        ml/<host>/input|code|model|output|checkpoints   staged before start
        out/<host>/                                       what the worker hands back (/run/modelyard/out)
        worker.json                                       its own spec, read-only (/run/modelyard/worker.json)
        log/<host>.log                                    lines of ``<epoch ms>\\t<text>``, times never
                                                          falling, none over 256 KiB (longer ones are split)
        started  exit  supervisor.lock  stop  processes   the runner's own
    """

    id: str
    job_id: str
    number: int
    folder: Path
    hosts: tuple[str, ...]
    command: tuple[str, ...]
    """What each host runs inside its sandbox; ``{host}`` is replaced."""
    variables: Mapping[str, str]
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Handed over by file descriptor, never on a command line or disk; from us alone. AWS_ENDPOINT_URL among them is to
    be in reach, the file that AWS_CA_BUNDLE names to be readable."""
    cpus: float = 1.0
    memory: int = 2 << 30
    deadline: float | None = None
    """Epoch seconds at which the supervisor stops the attempt by itself."""
    grace: float = 120
    network: bool = True
    readable: tuple[Path, ...] = ()
    """Further host folders shown read-only at their own paths (interpreters, environments)."""
    fixed_paths: bool = False
    """Its command names /opt/ml itself. Where no sandbox can be made that path becomes a link, for one attempt at a
    time; where it cannot be made the attempt is refused."""


@dataclass(frozen=True, slots=True)
class Observation:
    """``absent``: never started here. ``reason`` of an exit: ``exited``, ``stopped``, ``deadline``,
    ``memory`` or ``refused`` (the sandbox could not be made; ``message`` says why). ``host``: the one that failed
    first, whose code ``exit_code`` is."""

    state: Literal["absent", "running", "exited", "lost"]
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    reason: Literal["exited", "stopped", "deadline", "memory", "refused"] | None = None
    message: str = ""
    dropped_lines: int = 0
    host: str | None = None


class Runner(Protocol):
    """Where attempts run.

    Owns processes, never the job's truth. Thread-safe. ``start`` is idempotent by attempt: however often and from
    however many controllers it is called, the user's code starts at most once; it returns when the supervisor is
    launched, and a crash right after leaves either nothing or a supervisor that carries on. The attempt's folder exists
    before ``start``, ``seal`` and ``stop``: when it is gone, so is the job; they raise FileNotFoundError and never make
    it anew. ``observe`` only reads and never blocks; a missing folder is ``absent``. ``seal`` forbids the start of an
    attempt that never started and leaves every other alone: after it ``observe`` says either ``exited`` (reason
    ``stopped``, ``started`` None) and a ``start`` that comes later, from whomever, runs nothing; or whatever it says of
    one that had started. The two cannot both happen (O_EXCL decides). ``stop`` asks (SIGTERM, ``grace`` seconds,
    SIGKILL) and returns at once; an attempt that never started is sealed. An attempt that has ``exited`` never changes
    again; ``lost`` means its supervisor died without a record and nothing of it is alive, and is final too. All lines
    of the log are in its file before ``observe`` says ``exited``. ``remove`` frees what an ended attempt holds on disk,
    keeps its log and its records, and may be called again, also for a folder that is gone; it raises Conflict while the
    attempt runs.
    """

    def start(self, attempt: Attempt) -> None: ...

    def observe(self, attempt_folder: Path) -> Observation: ...

    def seal(self, attempt_folder: Path) -> None: ...

    def stop(self, attempt_folder: Path, grace: float) -> None: ...

    def remove(self, attempt_folder: Path) -> None: ...


@dataclass(frozen=True, slots=True)
class StagedJob:
    """What staging made ready. ``{python}`` in ``command`` becomes the environment's interpreter, ``{host}``
    the host. ``requirements`` is a file of the host's folder that the environment must hold on top."""

    command: tuple[str, ...]
    variables: Mapping[str, str]
    requirements: Path | None = None
    readable: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Collected:
    """What an ended attempt left. ``failure`` is what the user's code wrote to /opt/ml/output/failure."""

    model_artifact: str | None = None
    failure: str | None = None
    metrics: tuple[Metric, ...] = ()


class Staging(Protocol):
    """Fills an attempt's folder and reads it out. Thread-safe; may take long; runs outside any transaction.

    ``stage`` finds the folder made and empty, and writes below it what the hosts of ``job.spec.resources.hosts`` need.
    ``collect`` may run again after a crash, also in two processes at once: the same results under the same names. Of
    an attempt that ``failed`` it stores everything but a model. Both raise a ModelyardError whose message is fit for
    the user when the fault is theirs (an input that does not exist, a requirement refused); the job then fails with it.
    """

    def stage(self, job: Job, attempt_folder: Path) -> StagedJob: ...

    def collect(self, job: Job, attempt_folder: Path, failed: bool = False) -> Collected: ...

    def sync_checkpoints(self, job: Job, attempt_folder: Path) -> int: ...


class SessionIssuer(Protocol):
    """Credentials of a running attempt. ``issue`` answers the variables (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...)
    that the job reaches the server with for at most ``lifetime`` seconds; asked again it answers valid ones again.
    ``revoke`` ends all that the attempt was given and may be called again."""

    def issue(self, principal: str, attempt_id: str, lifetime: float) -> Mapping[str, str]: ...

    def revoke(self, attempt_id: str) -> None: ...


class Inputs(Protocol):
    """The artifacts that staging reads and results go to (implemented by core/artifacts).

    ``fetch`` writes a regular file durably enough to survive until the attempt starts; ``store`` is on
    disk when it returns and replaces what an earlier, crashed try stored under the same name.
    """

    def keys(self, location: str) -> Iterator[tuple[str, int]]: ...

    def fetch(self, location: str, target: Path) -> None: ...

    def read(self, location: str, limit: int) -> bytes: ...

    def store(self, source: Path, location: str) -> None: ...


class Environments(Protocol):
    """Interpreters with libraries in them (``core`` asks; app composes).

    ``resolve`` raises Invalid, naming the images that would do, for one that no environment here answers
    for. ``prepare`` builds or finds the cached environment with ``requirements`` installed on top and
    returns the interpreter, ``<environment>/bin/python``, whose folder a sandbox must be shown; the installer's
    words are appended to ``log`` in the form of a job's log. It may take minutes and runs outside any transaction.
    """

    def resolve(self, image: str) -> str: ...

    def prepare(self, environment: str, requirements: Path | None, log: Path) -> Path: ...
