"""Where the clients lie that need an environment of their own: ``.clients/<name>``, made by ``make clients``."""

from __future__ import annotations

import os
from pathlib import Path

_FOLDER = Path(os.environ.get("MODELYARD_CLIENTS", Path(__file__).parents[2] / ".clients"))


def program(client: str, name: str) -> str:
    """The path of a program of that client's environment. Raises AssertionError saying how to make it."""
    found = _FOLDER / client / "bin" / name
    assert found.exists(), f"{found} is not there: run `make clients`, or name their folder in MODELYARD_CLIENTS"
    return str(found)
