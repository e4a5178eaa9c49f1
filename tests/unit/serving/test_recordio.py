"""RecordIO-wrapped protobuf: every tensor, packed or not, dense or sparse; nothing else."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.serving.recordio import MAGIC, read_rows, to_dense


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


def record(tensor_field: int, tensor: bytes, name: bytes = b"values") -> bytes:
    payload = field(1, field(1, name) + field(2, field(tensor_field, tensor)))
    return struct.pack("<II", MAGIC, len(payload)) + payload + bytes(-len(payload) % 4)


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=300))
def test_float32_float64_and_int32_tensors_are_read(values: list[float]) -> None:
    whole = [int(max(-1e6, min(1e6, value))) % 1000 for value in values]
    body = record(2, field(1, struct.pack(f"<{len(values)}f", *values)))
    body += record(3, field(1, struct.pack(f"<{len(values)}d", *values)))
    body += record(7, field(1, b"".join(map(varint, whole))))
    first, second, third = (row[0].tolist() for row in read_rows(body))
    assert first == second == values
    assert third == whole


def test_numbers_may_come_one_by_one() -> None:
    tensor = b"".join(varint(1 << 3 | 5) + struct.pack("<f", value) for value in (0.5, -1.0))
    assert read_rows(record(2, tensor))[0][0].tolist() == [0.5, -1.0]
    whole = b"".join(varint(1 << 3) + varint(value) for value in (3, 400))
    assert read_rows(record(7, whole))[0][0].tolist() == [3, 400]


def test_sparse_rows_become_columns_with_the_rest_missing() -> None:
    sparse = field(1, struct.pack("<2f", 1, 2)) + field(2, varint(1) + varint(200)) + field(3, varint(300))
    dense = to_dense(read_rows(record(2, sparse) + record(2, field(1, struct.pack("<f", 9)))))
    assert dense.shape == (2, 300)
    assert (dense[0, 1], dense[0, 200], dense[1, 0]) == (1, 2, 9)
    assert np.isnan(dense).sum() == 600 - 3


@pytest.mark.parametrize(
    "body",
    [
        b"\x00" * 8,
        b"abc",
        struct.pack("<II", MAGIC, 100) + b"short",
        record(2, field(1, b"abc")),
        record(9, b"image"),
        record(2, field(1, struct.pack("<f", 1)), name=b"label"),
        record(2, field(1, struct.pack("<2f", 1, 2)) + field(2, varint(1))),
        struct.pack("<II", MAGIC, 4) + b"\xff\xff\xff\xff",
    ],
)
def test_what_is_no_record_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        read_rows(body)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_do_worse_than_a_value_error(noise: bytes) -> None:
    for body in (noise, struct.pack("<II", MAGIC, len(noise)) + noise + bytes(-len(noise) % 4)):
        try:
            to_dense(read_rows(body))
        except ValueError:
            continue
