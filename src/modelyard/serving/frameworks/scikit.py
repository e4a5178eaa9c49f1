"""Defaults of the published scikit-learn serving container
(https://github.com/aws/sagemaker-scikit-learn-container/blob/master/src/sagemaker_sklearn_container/serving.py).

Text is read as float32. Beyond it: a lone row is a batch of one, and without model_fn the only model file
is loaded.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from modelyard.serving.codecs import JSON, TEXT_TYPES, accepted, decode, encode, media_type
from modelyard.serving.errors import PredictionError
from modelyard.serving.frameworks.files import load_model


class ScikitLearn:
    """The four hooks; see serving.hooks.Framework."""

    default_accept = JSON

    def model_fn(self, model_dir: str) -> Any:
        return load_model(model_dir)

    def input_fn(self, data: Any, content_type: str) -> Any:
        array = decode(data, content_type)
        if media_type(content_type) not in TEXT_TYPES:
            return array
        try:
            return array.astype(np.float32)
        except (TypeError, ValueError) as error:
            raise PredictionError(400, f"the body holds something that is no number: {error}") from error

    def predict_fn(self, data: Any, model: Any) -> Any:
        if isinstance(data, np.ndarray) and data.ndim == 1:
            data = data.reshape(1, -1)
        return model.predict(data)

    def output_fn(self, prediction: Any, accept: str) -> Any:
        chosen = accepted(accept, self.default_accept)
        return encode(prediction, chosen), chosen
