"""The programs that we are measured beside: found, or left out with a line that says so."""

from __future__ import annotations

import shutil


def found(program: str) -> str | None:
    """Where ``program`` is; None, and a printed line, where it is not installed."""
    place = shutil.which(program)
    if place is None:
        print(f"{program} is not installed: left out")
    return place
