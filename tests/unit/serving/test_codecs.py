"""JSON, CSV and NPY: numbers come and go as the published toolkits write them."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from modelyard.serving.codecs import CSV, JSON, NPY, accepted, decode, encode
from modelyard.serving.errors import NotAcceptable, PredictionError

SHAPES = arrays.array_shapes(min_dims=1, max_dims=2, max_side=6)
NUMBERS = arrays.arrays(st.sampled_from([np.float64, np.float32, np.int64, np.bool_]), SHAPES)


@given(NUMBERS)
def test_json_is_what_the_standard_library_writes(array: np.ndarray) -> None:
    read = json.loads(encode(array, JSON))
    assert np.array_equal(np.array(read, dtype=object), np.array(array.tolist(), dtype=object)) or np.array_equal(
        np.array(read, dtype=float), np.array(array.tolist(), dtype=float), equal_nan=True
    )


@given(NUMBERS)
def test_npy_comes_back_as_it_was(array: np.ndarray) -> None:
    back = decode(encode(array, NPY), NPY)
    assert back.dtype == array.dtype
    assert np.array_equal(back, array, equal_nan=array.dtype.kind == "f")


@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_either_order_and_version_is_read(order: str) -> None:
    array = np.asarray(np.arange(6.0).reshape(2, 3), order=order)  # type: ignore[call-overload]
    for version in ((1, 0), (2, 0)):
        stream = io.BytesIO()
        np.lib.format.write_array(stream, array, version=version)
        assert np.array_equal(decode(stream.getvalue(), NPY), array)


def test_vectors_are_columns_in_csv_and_text_is_quoted() -> None:
    assert encode(np.array([1, 2]), CSV) == b"1\n2\n"
    assert encode(np.array([[0.1, 2]], dtype=np.float32), CSV) == b"0.1,2.0\n"
    assert encode(["a,b", 'c"d'], CSV) == b'"a,b"\n"c""d"\n'


def test_not_a_number_is_written_as_python_does() -> None:
    assert encode(np.array([np.nan, 1.0]), JSON) == b"[NaN, 1.0]"
    assert decode(b"[[NaN, 1.5]]", JSON).tolist()[0][1] == 1.5


def test_text_held_as_objects_is_written_as_text_in_npy() -> None:
    written = np.load(io.BytesIO(encode(np.array(["a", "bb"], dtype=object), NPY)))
    assert written.tolist() == ["a", "bb"]


@pytest.mark.parametrize(
    ("header", "default", "chosen"),
    [
        ("", JSON, JSON),
        ("*/*", CSV, CSV),
        ("text/*", JSON, CSV),
        ("application/*;q=0.1, text/csv;q=0.2", JSON, CSV),
        ("image/png, application/x-npy", JSON, NPY),
        ("APPLICATION/JSON", CSV, JSON),
        ("application/json;q=0, text/csv;q=0.5", JSON, CSV),
    ],
)
def test_accept_is_negotiated(header: str, default: str, chosen: str) -> None:
    assert accepted(header, default) == chosen


def test_an_accept_that_nothing_meets_is_406() -> None:
    with pytest.raises(NotAcceptable) as caught:
        accepted("image/png, text/html;q=x", JSON)
    assert caught.value.status == 406


@given(st.binary(max_size=300), st.sampled_from([JSON, CSV, NPY]))
def test_arbitrary_bodies_are_read_or_refused(body: bytes, kind: str) -> None:
    for noise in (body, b"\x93NUMPY" + body, b"\x93NUMPY\x01\x00" + body):
        try:
            decode(noise, kind)
        except PredictionError as error:
            assert error.status == 400
