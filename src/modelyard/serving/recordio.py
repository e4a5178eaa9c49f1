"""RecordIO-wrapped protobuf, the binary input of SageMaker's own algorithms.

Owns reading the ``values`` tensor of each record
(https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-inference.html#cdf-recordio-format; RecordIO of MXNet: magic,
length, payload padded to four bytes). Labels are ignored. Needs no generated code.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

MAGIC = 0xCED7230A
_HEAD = struct.Struct("<II")
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DTYPES: dict[int, np.dtype[Any]] = {2: np.dtype("<f4"), 3: np.dtype("<f8"), 7: np.dtype("<i4")}
Row = tuple["np.ndarray[tuple[int], np.dtype[np.float64]]", "np.ndarray[tuple[int], np.dtype[np.int64]] | None", int]
"""Values, their columns (None: dense), and the row's width (0: not stated)."""


def read_rows(body: bytes) -> list[Row]:
    """The rows of a body. Raises ValueError for bytes that are no such records."""
    return [_row(record) for record in _records(body)]


def to_dense(rows: list[Row]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Rows as a matrix; what a sparse row leaves out is NaN, which XGBoost reads as missing."""
    width = max(
        (max(size, len(values), *(() if keys is None else (keys.max(initial=-1) + 1,))) for values, keys, size in rows),
        default=0,
    )
    matrix = np.full((len(rows), width), np.nan)
    for place, (values, keys, _) in enumerate(rows):
        matrix[place, slice(len(values)) if keys is None else keys] = values
    return matrix


def _records(body: bytes) -> Iterator[memoryview]:
    view = memoryview(body)
    at = 0
    while at < len(view):
        if len(view) - at < _HEAD.size:
            raise ValueError("the last record is cut short")
        magic, length = _HEAD.unpack_from(view, at)
        start = at + _HEAD.size
        if magic != MAGIC or start + length > len(view):
            raise ValueError("a record does not begin with the RecordIO magic number, or is cut short")
        yield view[start : start + length]
        at = start + (length + 3) // 4 * 4


def _row(record: memoryview) -> Row:
    """The entry ``values`` of a Record's feature map (field 1: key is 1, value is 2)."""
    for number, entry in _fields(record):
        if number != 1 or not isinstance(entry, memoryview):
            continue
        parts = dict(_fields(entry))
        name, value = parts.get(1), parts.get(2)
        if isinstance(name, memoryview) and bytes(name) == b"values" and isinstance(value, memoryview):
            return _tensor(value)
    raise ValueError("a record has no feature named 'values'")


def _tensor(value: memoryview) -> Row:
    for number, body in _fields(value):
        if number in _DTYPES and isinstance(body, memoryview):
            return _numbers(body, _DTYPES[number])
    raise ValueError("a record's values are no tensor of numbers")


def _numbers(tensor: memoryview, dtype: np.dtype[Any]) -> Row:
    """A tensor: values (1), keys (2) of a sparse one, shape (3); numbers packed or one by one."""
    values: list[float] = []
    keys: list[int] = []
    shape: list[int] = []
    for number, body in _fields(tensor):
        if number == 1 and dtype.kind == "i":
            values += _varints(body)
        elif number == 1:
            raw = body if isinstance(body, memoryview) else int(body).to_bytes(dtype.itemsize, "little")
            values += np.frombuffer(raw, dtype=dtype).tolist()
        elif number in (2, 3):
            (keys if number == 2 else shape).extend(_varints(body))
    if keys and len(keys) != len(values):
        raise ValueError("a sparse record has not as many keys as values")
    columns = np.array(keys, dtype=np.int64) if keys else None
    return np.array(values, dtype=np.float64), columns, shape[-1] if shape else 0


def _varints(body: memoryview | int) -> list[int]:
    if isinstance(body, int):
        return [body]
    numbers, at = [], 0
    while at < len(body):
        number, at = _varint(body, at)
        numbers.append(number)
    return numbers


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """(field number, bytes or number) of each field of a protobuf message."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _VARINT:
            number, at = _varint(message, at)
            yield tag >> 3, number
            continue
        if kind == _BYTES:
            size, at = _varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("a record is no protobuf message")
        if at + size > len(message):
            raise ValueError("a record's field is cut short")
        body = message[at : at + size]
        yield tag >> 3, body if kind == _BYTES else int.from_bytes(body, "little")
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
    raise ValueError("a record's number is cut short")
