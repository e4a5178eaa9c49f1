"""The user's hooks: found in their program, completed by a framework's defaults, called in order.

Owns model_fn, input_fn, predict_fn, output_fn, or transform_fn instead of the last three, each with an optional
context argument, as the published serving toolkits call them
(https://sagemaker.readthedocs.io/en/stable/frameworks/sklearn/using_sklearn.html#deploy-a-scikit-learn-model).
Refuses to know sockets.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from modelyard.serving.codecs import JSON, TEXT_TYPES, accepted, encode, media_type
from modelyard.serving.errors import PredictionError
from modelyard.serving.wire import Ask, Reply

_HEADERS = {
    "content-type": "content-type",
    "accept": "accept",
    "x-amzn-sagemaker-custom-attributes": "custom-attributes",
    "x-amzn-sagemaker-inference-id": "inference-id",
}


class Framework(Protocol):
    """What serves where the user's program leaves a hook out. Hooks raise PredictionError with a status."""

    default_accept: str

    def model_fn(self, model_dir: str) -> Any: ...

    def input_fn(self, data: Any, content_type: str) -> Any: ...

    def predict_fn(self, data: Any, model: Any) -> Any: ...

    def output_fn(self, prediction: Any, accept: str) -> Any: ...


class Context:
    """What hooks that take a ``context`` see of the request, and may add to the answer."""

    def __init__(self, model_dir: str) -> None:
        self.system_properties = {"model_dir": model_dir, "gpu_id": None}
        self.answer_headers: dict[str, str] = {}
        self._meta: Mapping[str, str] = {}

    def begin(self, meta: Mapping[str, str]) -> None:
        self._meta = meta
        self.answer_headers = {}

    def get_request_header(self, index: int, name: str) -> str | None:
        del index
        return self._meta.get(_HEADERS.get(name.lower(), name.lower()))

    def set_response_header(self, index: int, name: str, value: str) -> None:
        del index
        self.answer_headers[_HEADERS.get(name.lower(), name.lower())] = value

    def set_response_content_type(self, index: int, value: str) -> None:
        self.set_response_header(index, "content-type", value)


class HookedModel:
    """A loaded model that answers requests. Not thread-safe: one request at a time."""

    def __init__(self, framework: Framework, program: ModuleType | None, model_dir: str) -> None:
        self._framework = framework
        self._context = Context(model_dir)
        self._transform = self._hook(program, "transform_fn", None)
        given = [name for name in ("input_fn", "predict_fn", "output_fn") if hasattr(program, name)]
        if self._transform is not None and given:
            raise ValueError(f"transform_fn cannot be used together with {', '.join(given)}")
        self._input = self._hook(program, "input_fn", framework.input_fn)
        self._predict = self._hook(program, "predict_fn", framework.predict_fn)
        self._output = self._hook(program, "output_fn", framework.output_fn)
        load = self._hook(program, "model_fn", framework.model_fn)
        self._model = load(model_dir)

    def answer(self, ask: Ask) -> Reply:
        """The hooks' answer; what they raise becomes its status and message, with the traceback in the log."""
        try:
            return self._answer(ask)
        except Exception as error:  # noqa: BLE001 - the edge of the user's code
            traceback.print_exc()
            return failure(error)

    def _answer(self, ask: Ask) -> Reply:
        content_type = ask.meta.get("content-type") or JSON
        accept = ask.meta.get("accept") or ""
        if accept in ("", "*/*"):
            accept = self._framework.default_accept
        self._context.begin(ask.meta)
        data: bytes | str = ask.payload
        if media_type(content_type) in TEXT_TYPES:
            data = _text(ask.payload)
        if self._transform is not None:
            result = self._transform(self._model, data, content_type, accept)
        else:
            made = self._input(data, content_type)
            result = self._output(self._predict(made, self._model), accept)
        return self._reply(result, accept)

    def _reply(self, result: Any, accept: str) -> Reply:
        """A hook's result: bytes, text, (body, content type), a response object, or a value to be encoded."""
        status, meta = 200, {"content-type": accept, **self._context.answer_headers}
        if isinstance(result, Reply):
            return result
        if hasattr(result, "mimetype") and hasattr(result, "response"):
            status = getattr(result, "status_code", None) or getattr(result, "status", None) or 200
            result = (result.response, result.mimetype or accept)
        if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], str):
            result, meta["content-type"] = result
        if isinstance(result, str):
            return Reply(int(status), result.encode(), meta)
        if isinstance(result, bytes | bytearray | memoryview):
            return Reply(int(status), bytes(result), meta)
        if "," in accept or ";" in accept or "*" in accept:
            meta["content-type"] = accepted(accept, self._framework.default_accept)
        return Reply(int(status), encode(result, meta["content-type"]), meta)

    def _hook(self, program: ModuleType | None, name: str, default: Any) -> Any:
        function = getattr(program, name, None)
        if function is None:
            return default
        return self._with_context(function) if _takes_context(function, name) else function

    def _with_context(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments: function(*arguments, self._context)


def load_program(code: Path, program: str) -> ModuleType:
    """Import the user's program; its folder comes first on the module path."""
    path = code / program
    for folder in dict.fromkeys((str(code), str(path.parent))):
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{program} is no Python program")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def failure(error: BaseException) -> Reply:
    """An exception as an answer: its own status where it has one (``status`` or ``status_code``), else 500."""
    status = getattr(error, "status_code", None) or getattr(error, "status", None)
    if not isinstance(status, int) or not 100 <= status < 600:
        status = 500
    message = error.message if isinstance(error, PredictionError) else f"{type(error).__name__}: {error}"
    return Reply(status, message.encode("utf-8", "replace"), {"content-type": "text/plain"})


def _takes_context(function: Callable[..., Any], name: str) -> bool:
    usual = {"model_fn": 1, "transform_fn": 4}.get(name, 2)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return len(positional) == usual + 1 and positional[-1].name in ("context", "ctx", "_context", "_")


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise PredictionError(400, f"the body is not UTF-8 text: {error}") from error
