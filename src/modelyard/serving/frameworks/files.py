"""Model files without a program: which one it is and how it is opened.

Only ever called inside the sandbox: opening a pickle runs what it holds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib

PICKLES = (".joblib", ".pkl", ".pickle", ".sav")


def load_model(model_dir: str) -> Any:
    """The estimator in the model's only pickle. Raises ValueError naming what was found instead."""
    folder = Path(model_dir)
    found = sorted(path for path in folder.iterdir() if path.suffix in PICKLES)
    if len(found) != 1:
        names = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
        raise ValueError(
            f"without model_fn the model must hold exactly one of *{', *'.join(PICKLES)}; it holds {names}. "
            "Please provide a model_fn implementation."
        )
    return joblib.load(found[0])
