"""Whatever botocore writes we read, and whatever we write botocore reads, for every shape of the services."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore import model as botocore_model
from botocore.loaders import Loader
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelyard.dialects.aws.protocol import AwsError, cbor
from modelyard.dialects.aws.protocol.models import OperationModel, Shape, service_model
from modelyard.dialects.aws.protocol.service import Operation, Overlay
from modelyard.dialects.aws.protocol.wires import CborWire, Codec, JsonWire, QueryWire, Wire
from tests.contract.dialects.aws.shapes import plain, values

WIRES = {
    ("sagemaker", "json"): JsonWire("1.1"),
    ("logs", "json"): JsonWire("1.1"),
    ("cloudwatch", "json"): JsonWire("1.0"),
    ("cloudwatch", "smithy-rpc-v2-cbor"): CborWire(),
    ("cloudwatch", "query"): QueryWire(service_model("cloudwatch").metadata["xmlNamespace"]),
    ("sts", "query"): QueryWire(service_model("sts").metadata["xmlNamespace"]),
    ("iam", "query"): QueryWire(service_model("iam").metadata["xmlNamespace"]),
}
CASES = pytest.mark.parametrize(("service", "protocol"), WIRES)
PROPERTY = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def codec(wire: Wire, model: OperationModel) -> Codec:
    return wire.codec(Operation(model.name, lambda _call, _request: None, "inline", Overlay(), model))


def drawn_operation(data: st.DataObject, service: str) -> OperationModel:
    model = service_model(service)
    return model.operation_model(data.draw(st.sampled_from(sorted(model.operation_names))))


@cache
def botocores(service: str) -> botocore_model.ServiceModel:
    """The service as botocore itself reads it."""
    return botocore_model.ServiceModel(Loader().load_service_model(service, "service-2"), service)


def sent(protocol: str, given_input: dict[str, Any], operation: OperationModel) -> bytes:
    theirs = botocores(operation.service_model.service_name).operation_model(operation.name)
    body = create_serializer(protocol, include_validation=False).serialize_to_request(given_input, theirs)["body"]
    return body if isinstance(body, bytes) else urlencode(body).encode()


@CASES
@PROPERTY
@given(data=st.data())
def test_we_read_what_botocore_writes(service: str, protocol: str, data: st.DataObject) -> None:
    operation = drawn_operation(data, service)
    shape = operation.input_shape
    least = 1 if protocol == "query" else 0  # botocore does not send an empty map there at all
    given_input = data.draw(values(shape, least)) if shape else {}
    read = codec(WIRES[service, protocol], operation).decode(sent(protocol, given_input, operation))
    assert read == plain(given_input)


@CASES
@PROPERTY
@given(data=st.data())
def test_botocore_reads_what_we_write(service: str, protocol: str, data: st.DataObject) -> None:
    operation = drawn_operation(data, service)
    shape = operation.output_shape
    theirs = botocores(service).operation_model(operation.name).output_shape
    if shape is None or theirs.event_stream_name:
        return
    result = data.draw(values(shape))
    wire = WIRES[service, protocol]
    response = wire.respond(codec(wire, operation).encode(plain(result), "an-id"), "an-id")
    assert isinstance(response.body, bytes)
    reading = {"status_code": response.status, "headers": dict(response.headers), "body": response.body}
    read = create_parser(protocol).parse(reading, theirs)
    assert read.pop("ResponseMetadata")["RequestId"] == "an-id"
    assert read == result


@pytest.mark.parametrize("service", sorted({service for service, _ in WIRES}))
def test_models_are_read_as_botocore_reads_them(service: str) -> None:
    ours, theirs = service_model(service), botocores(service)
    assert ours.operation_names == set(theirs.operation_names)
    assert ours.signing_name == theirs.signing_name
    assert ours.shape_names == theirs.shape_names
    for name in ours.shape_names:
        mine, other = ours.shape_for(name), theirs.shape_for(name)
        _assert_same(mine, other)
        for member, shape in getattr(mine, "members", {}).items():
            _assert_same(shape, other.members[member])


def _assert_same(mine: Shape, other: botocore_model.Shape) -> None:
    assert (mine.name, mine.type_name) == (other.name, other.type_name)
    assert {key: mine.metadata.get(key) for key in other.metadata} == other.metadata
    assert {key: mine.serialization.get(key) for key in other.serialization} == other.serialization
    assert ("name" in mine.serialization) == ("name" in other.serialization)


@CASES
def test_every_operation_compiles(service: str, protocol: str) -> None:
    model = service_model(service)
    for name in model.operation_names:
        codec(WIRES[service, protocol], model.operation_model(name))


@settings(max_examples=500, deadline=None)
@given(data=st.binary(max_size=64))
def test_any_bytes_are_cbor_or_refused(data: bytes) -> None:
    try:
        value = cbor.loads(data)
    except cbor.CborError:
        return
    cbor.dumps(value)


@pytest.mark.parametrize(
    "data",
    [b"\x9f" * 100_000, b"\x81" * 100_000, b"\xc1" * 100_000, b"\x9b" + b"\xff" * 8, b"\x7f\x61", b"\xff", b"\x00\x00"],
)
def test_hostile_cbor_is_refused(data: bytes) -> None:
    with pytest.raises(cbor.CborError):
        cbor.loads(data)


@CASES
@PROPERTY
@given(data=st.data())
def test_any_body_is_read_or_refused(service: str, protocol: str, data: st.DataObject) -> None:
    operation = drawn_operation(data, service)
    try:
        codec(WIRES[service, protocol], operation).decode(data.draw(st.binary(max_size=64) | st.text().map(str.encode)))
    except AwsError as error:
        assert error.status == 400
