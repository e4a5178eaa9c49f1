"""Models without a program of their own: rows in whichever common form, answers as the scikit-learn container.

Owns the forms that one-core lists for them: a JSON row, rows, records, {"data": ...} and {"instances": ...}; CSV,
a header equal to the feature names skipped; NPY. Columns are ordered as the model's own feature names.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from modelyard.serving.codecs import (
    CSV,
    JSON,
    KNOWN,
    NPY,
    accepted,
    csv_array,
    encode,
    media_type,
    parse_csv,
    parse_json,
    parse_npy,
    to_array,
)
from modelyard.serving.errors import PredictionError, UnsupportedContent
from modelyard.serving.frameworks.files import load_model


class Plain:
    """The four hooks; see serving.hooks.Framework."""

    default_accept = JSON

    def __init__(self) -> None:
        self._features: list[str] = []

    def model_fn(self, model_dir: str) -> Any:
        model = load_model(model_dir)
        self._features = [str(name) for name in getattr(model, "feature_names_in_", ())]
        return model

    def input_fn(self, data: Any, content_type: str) -> Any:
        kind = media_type(content_type)
        if kind == JSON:
            array = self._rows(parse_json(data))
        elif kind == CSV:
            rows = parse_csv(data)
            array = csv_array(rows[1:] if rows and self._features and rows[0] == self._features else rows)
        elif kind == NPY:
            array = parse_npy(data)
        else:
            raise UnsupportedContent(content_type, KNOWN)
        if array.ndim == 1:
            array = array.reshape(1, -1)
        return pd.DataFrame(array, columns=self._names(array)).infer_objects() if self._features else array

    def predict_fn(self, data: Any, model: Any) -> Any:
        try:
            return model.predict(data)
        except (TypeError, ValueError) as error:
            raise PredictionError(400, f"the model cannot predict these rows: {error}") from error

    def output_fn(self, prediction: Any, accept: str) -> Any:
        chosen = accepted(accept, self.default_accept)
        return encode(prediction, chosen), chosen

    def _rows(self, value: Any) -> np.ndarray[Any, Any]:
        if isinstance(value, dict):
            for name in ("instances", "data"):
                if name in value:
                    return self._rows(value[name])
            value = [value]
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return self._records(value)
        if not isinstance(value, list):
            raise PredictionError(400, "the body is no row, rows or records")
        array = to_array(value)
        return array if array.dtype.kind not in "US" else np.array(value, dtype=object)

    def _records(self, records: list[Any]) -> np.ndarray[Any, Any]:
        names = self._features or [str(name) for name in records[0]]
        for place, record in enumerate(records):
            if not isinstance(record, dict):
                raise PredictionError(400, f"record {place} is no object")
            missing = [name for name in names if name not in record]
            if missing:
                raise PredictionError(400, f"record {place} lacks {', '.join(missing)}")
        rows = [[record[name] for name in names] for record in records]
        array = to_array(rows)
        return array if array.dtype.kind not in "US" else np.array(rows, dtype=object)

    def _names(self, array: np.ndarray[Any, Any]) -> list[str]:
        if array.ndim != 2 or array.shape[1] != len(self._features):
            wanted = f"{len(self._features)} ({', '.join(self._features[:20])})"
            raise PredictionError(400, f"rows of {array.shape[-1]} values, but the model has {wanted} features")
        return self._features
