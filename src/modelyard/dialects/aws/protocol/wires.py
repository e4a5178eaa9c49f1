"""The wires that AWS clients speak: how bytes become an operation's input, and its result bytes again.

Owns JSON 1.0 and 1.1, query/XML and Smithy RPC v2 CBOR as they lie on HTTP. Refuses to know who calls and
what operations do. A codec is built once for each operation, then applied without asking the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from modelyard.dialects.aws.protocol import cbor, query
from modelyard.dialects.aws.protocol.errors import AwsError, serialization_error
from modelyard.dialects.aws.protocol.inputs import Parsers, cbor_parsers, json_parsers
from modelyard.dialects.aws.protocol.outputs import Writers, cbor_writers, json_writers
from modelyard.dialects.aws.protocol.service import Operation
from modelyard.edge.http import Request, Response


@dataclass(frozen=True, slots=True)
class Codec:
    """One operation on one wire. ``decode`` raises AwsError; ``encode`` takes the result and the request's id."""

    decode: Callable[[bytes], dict[str, Any]]
    encode: Callable[[dict[str, Any], str], bytes]


class Wire(Protocol):
    """A way to lie on HTTP. ``queryish`` services say errors of authentication in the older words."""

    queryish: bool

    def codec(self, operation: Operation) -> Codec: ...

    def respond(self, body: bytes, request_id: str) -> Response: ...

    def refuse(self, error: AwsError, request: Request, request_id: str) -> Response: ...


class JsonWire:
    """AWS JSON: https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html"""

    queryish = False

    def __init__(self, version: str) -> None:
        self._type = f"application/x-amz-json-{version}"
        self._parsers: dict[str, Parsers] = {}
        self._writers: dict[str, Writers] = {}

    def codec(self, operation: Operation) -> Codec:
        service, model = operation.model.service_model.service_name, operation.model
        parsers = self._parsers.setdefault(service, json_parsers())
        writers = self._writers.setdefault(service, json_writers())
        parse = parsers.parser(model.input_shape) if model.input_shape else None
        write = writers.writer(model.output_shape) if model.output_shape else None

        def decode(body: bytes) -> dict[str, Any]:
            document = _json(body)
            return parse(document) if parse else {}

        def encode(result: dict[str, Any], _request_id: str) -> bytes:
            return orjson.dumps(write(result)) if write else b"{}" if model.output_shape else b""

        return Codec(decode, encode)

    def respond(self, body: bytes, request_id: str) -> Response:
        return Response(200, (("content-type", self._type), ("x-amzn-requestid", request_id)), body)

    def refuse(self, error: AwsError, request: Request, request_id: str) -> Response:
        body = orjson.dumps({"__type": error.code, "message": error.message, **error.members})
        return Response(error.status, _error_headers(self._type, error, request, request_id), body)


class CborWire:
    """Smithy RPC v2 CBOR: https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html"""

    queryish = False

    def __init__(self) -> None:
        self._parsers: dict[str, Parsers] = {}
        self._writers: dict[str, Writers] = {}

    def codec(self, operation: Operation) -> Codec:
        service, model = operation.model.service_model.service_name, operation.model
        parsers = self._parsers.setdefault(service, cbor_parsers())
        writers = self._writers.setdefault(service, cbor_writers())
        parse = parsers.parser(model.input_shape) if model.input_shape else None
        write = writers.writer(model.output_shape) if model.output_shape else None

        def decode(body: bytes) -> dict[str, Any]:
            try:
                document = cbor.loads(body) if body else {}
            except cbor.CborError as error:
                raise serialization_error(str(error)) from error
            return parse(document) if parse else {}

        def encode(result: dict[str, Any], _request_id: str) -> bytes:
            return cbor.dumps(write(result) if write else {})

        return Codec(decode, encode)

    def respond(self, body: bytes, request_id: str) -> Response:
        headers = (
            ("content-type", "application/cbor"),
            ("smithy-protocol", "rpc-v2-cbor"),
            ("x-amzn-requestid", request_id),
        )
        return Response(200, headers, body)

    def refuse(self, error: AwsError, request: Request, request_id: str) -> Response:
        body = cbor.dumps({"__type": error.code, "message": error.message, **error.members})
        headers = [*_error_headers("application/cbor", error, request, request_id), ("smithy-protocol", "rpc-v2-cbor")]
        return Response(error.status, headers, body)


class QueryWire:
    """AWS query: https://smithy.io/2.0/aws/protocols/aws-query-protocol.html; its input is a form's text."""

    queryish = True

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._writers = query.xml_writers()

    def codec(self, operation: Operation) -> Codec:
        model = operation.model
        write = self._writers.writer(model.output_shape) if model.output_shape else None

        def decode(body: bytes) -> dict[str, Any]:
            return query.read(query.form(_text(body)), model.input_shape)

        def encode(result: dict[str, Any], request_id: str) -> bytes:
            return query.answer(model, write(result) if write else {}, request_id).encode()

        return Codec(decode, encode)

    def respond(self, body: bytes, request_id: str) -> Response:
        return Response(200, (("content-type", "text/xml"), ("x-amzn-requestid", request_id)), body)

    def refuse(self, error: AwsError, request: Request, request_id: str) -> Response:
        body = query.refusal(error, self._namespace, request_id).encode()
        return Response(error.status, (("content-type", "text/xml"), ("x-amzn-requestid", request_id)), body)


def _error_headers(content_type: str, error: AwsError, request: Request, request_id: str) -> list[tuple[str, str]]:
    headers = [("content-type", content_type), ("x-amzn-errortype", error.code), ("x-amzn-requestid", request_id)]
    if request.header("x-amzn-query-mode") == "true":
        fault = "Sender" if error.status < 500 else "Receiver"
        headers.append(("x-amzn-query-error", f"{error.code};{fault}"))
    return headers


def _json(body: bytes) -> Any:
    if not body:
        return {}
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise serialization_error(f"the body is not JSON: {error}") from error


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise query.malformed("the form is not UTF-8") from error
