"""Bodies to arrays and predictions to bodies: JSON, CSV and the NPY format.

Owns these formats as the published scikit-learn and PyTorch serving toolkits read and write them
(https://github.com/aws/sagemaker-inference-toolkit; NPY:
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html). Pickled NPY is refused: a client may
ask, not run code. Refuses to know models.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson

from modelyard.serving.errors import NotAcceptable, PredictionError, UnsupportedContent

JSON = "application/json"
CSV = "text/csv"
NPY = "application/x-npy"
TEXT_TYPES = (JSON, CSV)
KNOWN = (JSON, CSV, NPY)


def media_type(header: str) -> str:
    """The type of a Content-Type header, without parameters, in lower case."""
    return header.partition(";")[0].strip().lower()


def accepted(header: str, default: str, known: tuple[str, ...] = KNOWN) -> str:
    """The best known type of an Accept header (RFC 9110, 12.5.1). Raises NotAcceptable.

    >>> accepted("text/html, text/csv;q=0.5, application/json;q=0.9", JSON)
    'application/json'
    >>> accepted("*/*", CSV)
    'text/csv'
    """
    choices: list[tuple[float, str]] = []
    for part in header.split(","):
        name, _, parameters = part.partition(";")
        choices.append((_quality(parameters), name.strip().lower()))
    for quality, name in sorted(choices, key=lambda choice: -choice[0]):
        if quality <= 0:
            continue
        if name in ("", "*/*", default):
            return default
        if name in known:
            return name
        if name.endswith("/*"):
            matching = [one for one in (default, *known) if one.startswith(name[:-1])]
            if matching:
                return matching[0]
    raise NotAcceptable(header, known)


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def parse_json(body: bytes | str) -> Any:
    """The value of a JSON text; NaN and Infinity are read as Python writes them. Raises PredictionError 400."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise PredictionError(400, f"the body is not JSON: {error}") from error


def parse_csv(body: bytes | str, delimiter: str = ",") -> list[list[str]]:
    """The rows of a CSV text, blank lines left out. Raises PredictionError 400."""
    try:
        text = body.decode() if isinstance(body, bytes) else body
        return [row for row in csv.reader(io.StringIO(text), delimiter=delimiter, strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise PredictionError(400, f"the body is not CSV: {error}") from error


def parse_npy(body: bytes | str) -> np.ndarray[Any, Any]:
    """The array of an NPY file, sharing the body's memory. Raises PredictionError 400."""
    raw = body.encode("latin-1") if isinstance(body, str) else body
    stream = io.BytesIO(raw)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read_header(stream)
        if dtype.hasobject:
            raise ValueError("it holds Python objects")
        flat = np.frombuffer(raw, dtype=dtype, offset=stream.tell(), count=int(np.prod(shape, dtype=np.int64)))
    except (ValueError, EOFError, OverflowError) as error:
        raise PredictionError(400, f"the body is not an NPY array: {error}") from error
    return flat.reshape(shape, order="F" if fortran else "C")


def decode(body: bytes | str, content_type: str) -> np.ndarray[Any, Any]:
    """The array of a body. Text that is all numbers becomes float64. Raises PredictionError 400, 415."""
    kind = media_type(content_type)
    if kind == NPY:
        return parse_npy(body)
    if kind == JSON:
        return to_array(parse_json(body))
    if kind == CSV:
        return csv_array(parse_csv(body))
    raise UnsupportedContent(content_type, KNOWN)


def to_array(value: Any) -> np.ndarray[Any, Any]:
    """Nested lists as an array. Raises PredictionError 400 for rows of unequal length."""
    try:
        return np.array(value)
    except ValueError as error:
        raise PredictionError(400, f"the rows are not of equal length: {error}") from error


def csv_array(rows: list[list[str]]) -> np.ndarray[Any, Any]:
    """Rows of text as numbers, else as text; an empty field is NaN. Raises PredictionError 400."""
    array = to_array(rows)
    try:
        return np.where(array == "", "nan", array).astype(np.float64)
    except ValueError:
        return array


def encode(value: Any, accept: str) -> bytes:
    """A prediction in the form of ``accept``, one of JSON, CSV, NPY. Raises NotAcceptable."""
    writer = _WRITERS.get(accept)
    if writer is None:
        raise NotAcceptable(accept, KNOWN)
    return writer(value)


def to_json(value: Any) -> bytes:
    """JSON as ``json.dumps(value.tolist())`` would write the numbers, whatever the array's precision."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        value = np.ascontiguousarray(value, dtype=np.float64)
        if not np.isfinite(value).all():
            return json.dumps(value.tolist()).encode()
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:
        return json.dumps(value, default=_plain).encode()


def to_csv(value: Any) -> bytes:
    """One line a row; a vector is a column."""
    array = np.asarray(value)
    if array.ndim < 2:
        array = array.reshape(-1, 1)
    stream = io.StringIO()
    rows = array if array.dtype in (np.float32, np.float16) else array.tolist()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue().encode()


def to_npy(value: Any) -> bytes:
    """The NPY form; text held as objects is written as text."""
    array = np.asarray(value)
    if array.dtype.hasobject:
        array = array.astype(str)
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a prediction of type {type(value).__name__} has no JSON form")


_WRITERS: dict[str, Callable[[Any], bytes]] = {JSON: to_json, CSV: to_csv, NPY: to_npy}
