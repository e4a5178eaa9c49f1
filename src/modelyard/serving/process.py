"""A worker's life: load the model, say ready, answer frames, end.

Owns the order of these. Refuses to know who isolates the process and which model it is. Whatever is printed
goes to the endpoint's log.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modelyard.serving.frameworks import framework_for
from modelyard.serving.hooks import HookedModel, load_program
from modelyard.serving.wire import Ask, Reply, serve

OPT_ML = "/opt/ml"


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """What the server wrote to worker.json. Paths are as the worker sees them, below /opt/ml."""

    endpoint: str
    variant: str
    worker: str
    log_stream: str
    image: str
    model: str
    code: str | None
    program: str | None
    body_limit: int

    def below(self, root: str) -> EndpointSpec:
        """The same with /opt/ml lying at ``root``, for a machine that cannot make that path."""
        moved = {name: path.replace(OPT_ML, root, 1) for name in ("model", "code") if (path := getattr(self, name))}
        return EndpointSpec(**{name: moved.get(name, getattr(self, name)) for name in self.__slots__})


def load(spec: EndpointSpec) -> HookedModel:
    """Import the program and load the model. Raises whatever either raises."""
    program = load_program(Path(spec.code), spec.program) if spec.code and spec.program else None
    return HookedModel(framework_for(spec.image, program is not None), program, spec.model)


def run(spec: EndpointSpec, listener: socket.socket, ready: Path) -> None:
    """Load, make the file ``ready``, answer until SIGTERM; returns when what has arrived is answered."""
    model = load(spec)
    stop, stopping = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(stopping, b"."))
    ready.touch()
    print(f"ready: {spec.variant} of endpoint {spec.endpoint} answers", flush=True)  # noqa: T201 - the log

    def handle(asks: Sequence[Ask]) -> list[Reply]:
        return [_stamped(model.answer(ask), spec) for ask in asks]

    serve(listener, handle, stop)


def _stamped(reply: Reply, spec: EndpointSpec) -> Reply:
    return Reply(reply.status, reply.body, {**reply.meta, "variant": spec.variant, "log-stream": spec.log_stream})
