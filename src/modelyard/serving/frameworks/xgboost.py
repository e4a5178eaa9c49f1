"""Defaults of the published XGBoost serving container, script and algorithm mode
(https://github.com/aws/sagemaker-xgboost-container, algorithm_mode/serve.py and serve_utils.py).

An empty body is 204, a body that cannot be read 415, a type that cannot be written 406, a failing predict 400.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from modelyard.base.errors import MissingExtra
from modelyard.serving.codecs import CSV, JSON, NPY, accepted, encode, media_type, parse_csv
from modelyard.serving.errors import PredictionError, UnsupportedContent
from modelyard.serving.recordio import read_rows, to_dense

LIBSVM = ("text/libsvm", "text/x-libsvm")
RECORDIO = "application/x-recordio-protobuf"
READ = (CSV, *LIBSVM, RECORDIO)
WRITTEN = (CSV, JSON, NPY)
_DELIMITERS = ",\t;| "


class XGBoost:
    """The four hooks; see serving.hooks.Framework."""

    default_accept = CSV

    def __init__(self) -> None:
        self._xgboost = _xgboost()

    def model_fn(self, model_dir: str) -> Any:
        """The Booster in ``xgboost-model``, else in the only file; saved by XGBoost or pickled."""
        path = _model_file(Path(model_dir))
        booster = self._xgboost.Booster()
        try:
            booster.load_model(path)
        except self._xgboost.core.XGBoostError as error:
            booster = _unpickled(path, error)
        booster = booster.get_booster() if hasattr(booster, "get_booster") else booster
        booster.set_param("nthread", 1)
        return booster

    def input_fn(self, data: Any, content_type: str) -> Any:
        body = data.encode() if isinstance(data, str) else data
        if not body:
            raise PredictionError(204, "")
        kind = media_type(content_type)
        if kind not in READ:
            raise UnsupportedContent(content_type, READ)
        try:
            if kind == CSV:
                return self._xgboost.DMatrix(_csv(body.decode()))
            if kind == RECORDIO:
                return self._xgboost.DMatrix(to_dense(read_rows(body)))
            return self._xgboost.DMatrix(_libsvm(body.decode()))
        except (ValueError, PredictionError) as error:
            raise PredictionError(415, f"the body could not be read as {kind}: {error}") from error

    def predict_fn(self, data: Any, model: Any) -> Any:
        booster = model.get_booster() if hasattr(model, "get_booster") else model
        best = booster.attr("best_iteration")
        rounds = (0, int(best) + 1) if best is not None else (0, 0)
        try:
            return booster.predict(data, iteration_range=rounds, validate_features=False)
        except (ValueError, self._xgboost.core.XGBoostError) as error:
            raise PredictionError(400, f"Unable to evaluate payload provided: {error}") from error

    def output_fn(self, prediction: Any, accept: str) -> Any:
        chosen = accepted(accept, self.default_accept, WRITTEN)
        if chosen != CSV:
            return encode(prediction, chosen), chosen
        values = map(str, np.asarray(prediction).tolist())
        if os.environ.get("SAGEMAKER_BATCH"):
            return "\n".join(values) + "\n", CSV
        return ",".join(values), CSV


def _xgboost() -> Any:
    try:
        import xgboost  # noqa: PLC0415 - heavy, and an extra
    except ModuleNotFoundError as error:
        raise MissingExtra(what="serving an XGBoost model", package="xgboost", extra="xgboost") from error
    return xgboost


def _model_file(folder: Path) -> Path:
    if (folder / "xgboost-model").is_file():
        return folder / "xgboost-model"
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    if len(files) != 1:
        names = ", ".join(path.name for path in files) or "none"
        raise ValueError(f"the model holds no file xgboost-model and not exactly one other file; found: {names}")
    return files[0]


def _unpickled(path: Path, error: Exception) -> Any:
    """A pickled Booster. Only ever called inside the sandbox."""
    try:
        with path.open("rb") as stream:
            return pickle.load(stream)  # noqa: S301 - the sandbox is what holds it
    except (pickle.UnpicklingError, EOFError) as other:
        raise ValueError(f"{path.name} cannot be loaded: {error}; nor unpickled: {other}") from other


def _csv(text: str) -> Any:
    """Rows of numbers; the delimiter is the first that the first line has; an empty field is missing."""
    text = text.strip()
    first = text.partition("\n")[0]
    delimiter = next((one for one in _DELIMITERS if one in first), ",")
    rows = parse_csv(text, delimiter)
    return np.array([[field.strip() or "nan" for field in row] for row in rows]).astype(np.float64)


def _libsvm(text: str) -> Any:
    """``[label] index:value ...`` a line; indices as they are, what is left out is missing."""
    from scipy.sparse import csr_matrix  # noqa: PLC0415 - comes with XGBoost

    values: list[float] = []
    columns: list[int] = []
    starts = [0]
    for line in text.strip().splitlines():
        for token in line.split():
            index, colon, value = token.partition(":")
            if colon:
                columns.append(int(index))
                values.append(float(value))
        starts.append(len(values))
    if not values:
        raise ValueError("no line has an index:value pair")
    return csr_matrix((values, columns, starts))
