"""The options that several commands share, worded once.

Owns their names and their help. Refuses to know what a command does with them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[Path | None, typer.Option(help="Where everything is kept; default: the platform's data folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
