"""What a supervisor is told: one value, handed over whole in memory, so that secrets touch no disk.

Owns its form between the two processes, which run the same version of this package.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal, NamedTuple

from modelyard.runners.process.limits import Limits
from modelyard.runners.process.networks import Uplink
from modelyard.runners.process.sandbox import Bind, Box

Tier = Literal["bubblewrap", "landlock", "none"]
"""How far user code is held: in namespaces of its own, to its own files, not at all."""


class Spec(NamedTuple):
    """One attempt or endpoint worker. ``folder`` exists and is its own."""

    id: str
    folder: str
    boxes: tuple[Box, ...]
    limits: Limits
    tier: Tier
    bwrap: str = ""
    uid: int | None = None
    """The unprivileged user that a supervisor running as root turns into; None: the user it runs as."""
    owned: tuple[str, ...] = ()
    """Files and folders that the sandboxes' user must own."""
    secrets: Mapping[str, str] = {}
    """JSON on the descriptor that MODELYARD_SECRETS_FD names, in each sandbox."""
    deadline: float | None = None
    grace: float = 120
    socket: str = ""
    """Where to listen; the descriptor is handed in as MODELYARD_LISTEN_FD."""
    server_lock: str = ""
    patience: float = 0
    """Seconds after which the sandboxes end when nobody holds ``server_lock``; 0: never."""
    refusal: str = ""
    """Why it must not run here at all; it ends as refused with these words."""
    link: str = ""
    """Without a sandbox: the absolute path that must lead to the first box's files, made as a link."""
    uplink: Uplink | None = None
    """How the boxes, if their network is not private, get one of their own that they share; None: the host's."""


def encode(spec: Spec) -> bytes:
    return json.dumps(spec).encode()


def decode(content: bytes) -> Spec:
    """Raises ValueError for anything cut short."""
    spec = Spec(*json.loads(content))
    return spec._replace(
        boxes=tuple(_box(Box(*fields)) for fields in spec.boxes),
        limits=Limits(*spec.limits),
        owned=tuple(spec.owned),
        uplink=_uplink(Uplink(*spec.uplink)) if spec.uplink is not None else None,
    )


def _uplink(uplink: Uplink) -> Uplink:
    return uplink._replace(ports=tuple(uplink.ports))


def _box(box: Box) -> Box:
    return box._replace(
        command=tuple(box.command),
        binds=tuple(Bind(*fields) for fields in box.binds),
        hidden=tuple(box.hidden),
        hosts=tuple(box.hosts),
    )
