"""What the front allows before it refuses, each with the default of the settings.

Owns the value alone: the server pushes it, each part of the front acts on its own limits.
"""

from __future__ import annotations

from dataclasses import dataclass

MB = 1 << 20


@dataclass(frozen=True, slots=True)
class FrontLimits:
    """Sizes in bytes, times in seconds."""

    request_head: int = 64 * 1024
    head_timeout: float = 10.0
    body_idle_timeout: float = 30.0
    keepalive_timeout: float = 75.0
    max_connections: int = 10_000
    prediction_body: int = 25 * MB
    prediction_timeout: float = 60.0
    queue_requests: int = 1024
    queue_bytes: int = 64 * MB
