"""Defaults of the published PyTorch serving container
(https://github.com/aws/sagemaker-pytorch-inference-toolkit, default_pytorch_inference_handler.py).

Without model_fn the only ``.pt`` or ``.pth`` file (``model.pt`` first) must be TorchScript: whatever is pickled
needs the user's classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelyard.base.errors import MissingExtra
from modelyard.serving.codecs import JSON, TEXT_TYPES, accepted, decode, encode, media_type


class PyTorch:
    """The four hooks; see serving.hooks.Framework."""

    default_accept = JSON

    def __init__(self) -> None:
        self._torch = _torch()

    def model_fn(self, model_dir: str) -> Any:
        folder = Path(model_dir)
        found = [folder / "model.pt"] if (folder / "model.pt").is_file() else []
        found = found or sorted(path for path in folder.iterdir() if path.suffix in (".pt", ".pth"))
        if len(found) != 1:
            names = ", ".join(path.name for path in found) or "none"
            raise ValueError(f"without model_fn exactly one .pt or .pth file is needed in the model; found: {names}")
        try:
            return self._torch.jit.load(str(found[0]), map_location="cpu").eval()
        except RuntimeError as error:
            raise ValueError(f"{found[0].name} is not TorchScript; save it so, or provide model_fn") from error

    def input_fn(self, data: Any, content_type: str) -> Any:
        array = decode(data, content_type)
        if media_type(content_type) in TEXT_TYPES:
            return self._torch.as_tensor(array, dtype=self._torch.float32)
        return self._torch.from_numpy(array.copy())

    def predict_fn(self, data: Any, model: Any) -> Any:
        model.eval()
        with self._torch.no_grad():
            return model(data)

    def output_fn(self, prediction: Any, accept: str) -> Any:
        if isinstance(prediction, self._torch.Tensor):
            prediction = prediction.detach().cpu().numpy()
        chosen = accepted(accept, self.default_accept)
        return encode(prediction, chosen), chosen


def _torch() -> Any:
    try:
        import torch  # noqa: PLC0415 - heavy, and an extra
    except ModuleNotFoundError as error:
        raise MissingExtra(what="serving a PyTorch model", package="torch", extra="torch") from error
    return torch
