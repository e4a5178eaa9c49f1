"""A call's way through the AWS door: route, read, authenticate, decode, check, call, encode.

Owns that order and that nothing but an AWS answer leaves. Routes by X-Amz-Target, by RPC path, else by the
service that the client signed for and the form's Action. Refuses to know operations.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from modelyard.base.clock import Clock
from modelyard.base.errors import ModelyardError
from modelyard.base.ids import Ids
from modelyard.dialects.aws.protocol import query
from modelyard.dialects.aws.protocol.answers import Answers, Version, never
from modelyard.dialects.aws.protocol.checks import Check, Checks
from modelyard.dialects.aws.protocol.errors import AwsError, serialization_error, validation_error
from modelyard.dialects.aws.protocol.service import AwsService, Call, Operation, Overlay
from modelyard.dialects.aws.protocol.signing import scope, scope_error, verified
from modelyard.dialects.aws.protocol.wires import CborWire, Codec, JsonWire, QueryWire, Wire
from modelyard.edge.claims import Lookup, Verified
from modelyard.edge.http import BodyTooLarge, ClientGone, Request, Response

logger = logging.getLogger(__name__)

_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes; ``service`` is None for one that we lack. Of a form, ``operation`` is read later."""

    service: AwsService | None
    named: str
    operation: str
    wire: Wire


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """An operation compiled for one wire; ``remembered``: its answers may be given again (answers.py)."""

    operation: Operation
    codec: Codec
    check: Check | None
    remembered: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that may be made: who makes it, of what, with which input."""

    route: Route
    operation: Operation
    codec: Codec
    call: Call
    call_input: dict[str, Any]

    def answer(self, result: object) -> Response:
        """What the operation gave, on the call's wire."""
        assert result is None or isinstance(result, dict)
        request_id = self.call.request_id
        return self.route.wire.respond(self.codec.encode(result or {}, request_id), request_id)


def speaks_query(service: AwsService) -> bool:
    """Whether a service accepts forms."""
    metadata = service.model.metadata
    return "query" in metadata.get("protocols", (metadata["protocol"],))


class AwsDispatcher:
    """A door. ``claims`` and ``handle`` are called in the event loop; operations of kind ``thread`` run in
    ``executor``. ``lookup`` finds the credential of an access key; ``body_limit`` is in bytes. ``takes_rest``: it also
    claims the calls of AWS clients that are for services of nobody here, and says so."""

    def __init__(
        self,
        services: Sequence[AwsService],
        lookup: Lookup,
        clock: Clock,
        ids: Ids,
        account: str,
        executor: Executor,
        body_limit: int = 5 << 20,
        takes_rest: bool = False,
        version: Version = never,
    ) -> None:
        self._lookup = lookup
        self._clock = clock
        self._stem = ids.new_id()[:24]
        self._count = 0
        self._account = account
        self._executor = executor
        self._body_limit = body_limit
        self._takes_rest = takes_rest
        self._by_target = {str(service.model.metadata.get("targetPrefix")): service for service in services}
        self._by_scope = {service.signing_name: service for service in services}
        self._json = {version: JsonWire(version) for version in ("1.0", "1.1")}
        self._cbor = CborWire()
        self._query: dict[str, QueryWire] = {}
        self._routes: dict[tuple[str, str], Route] = {}
        self._ready: dict[tuple[str, str, Wire], Ready] = {}
        self._answers = Answers(version)
        self._checks = {service.name: Checks(Overlay()) for service in services}
        for service in services:
            service.model.forget_rest()

    def claims(self, request: Request) -> bool:
        """Whether a request names one of these services: by its target, its RPC path, else by what it is signed for.
        What names a service of nobody's, and a form that names none, are the rest."""
        target = request.header("x-amz-target")
        if target:
            return self._takes_rest or target.rpartition(".")[0] in self._by_target
        if request.raw_path.startswith("/service/") and request.header("smithy-protocol"):
            return self._takes_rest or request.raw_path.split("/")[2] in self._by_target
        signed_for = scope(request)
        if signed_for:
            return self._takes_rest or signed_for in self._by_scope
        return self._takes_rest and request.raw_path == "/" and request.header("content-type").startswith(_FORM)

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """The answer to a claimed request, or what to await for it. Whatever goes wrong in here is an AWS error too."""
        request_id = self._new_request_id()
        route = self._route(request)
        body = request.whole
        if body is None:
            return self._await_body(request, route, request_id)
        try:
            answer = self._answer(request, route, body, request_id)
        except Exception as error:  # noqa: BLE001 - the door's edge: a client gets an answer, the log the traceback
            return self._refusal(error, request, route, request_id)
        return self._await_operation(answer, request) if isinstance(answer, Asked) else answer

    async def _await_body(self, request: Request, route: Route, request_id: str) -> Response:
        try:
            body = await request.body(self._body_limit)
            answer = self._answer(request, route, body, request_id)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - as in handle
            return self._refusal(error, request, route, request_id)
        return await self._await_operation(answer, request) if isinstance(answer, Asked) else answer

    async def _await_operation(self, asked: Asked, request: Request) -> Response:
        function: Callable[..., Any] = asked.operation.function
        try:
            if asked.operation.how == "async":
                return asked.answer(await function(asked.call, asked.call_input))
            loop = asyncio.get_running_loop()
            return asked.answer(await loop.run_in_executor(self._executor, function, asked.call, asked.call_input))
        except Exception as error:  # noqa: BLE001 - as in handle
            return self._refusal(error, request, asked.route, asked.call.request_id)

    def _answer(self, request: Request, route: Route, body: bytes, request_id: str) -> Response | Asked:
        """The answer to an authentic request, or the call that is to be waited for. Raises AwsError."""
        if len(body) > self._body_limit:
            raise BodyTooLarge(self._body_limit)
        signed = self._authenticate(request, body, route)
        if route.wire.queryish:
            body, operation_name = self._form(request, body)
            route = Route(route.service, route.named, operation_name, route.wire)
        ready = self._compiled(route, request_id)
        known = self._answers.now() if ready.remembered else None
        key = (ready, signed.claim.region, body)
        if known is not None and (found := known.get(key)) is not None:
            return route.wire.respond(found, request_id)
        call_input = self._input(ready, route, body)
        call = self._circumstances(route, signed, request_id)
        if ready.operation.how != "inline":
            return Asked(route, ready.operation, ready.codec, call, call_input)
        result = ready.operation.function(call, call_input)
        assert result is None or isinstance(result, dict)
        encoded = ready.codec.encode(result or {}, request_id)
        if known is not None:
            self._answers.keep(known, key, body, encoded)
        return route.wire.respond(encoded, request_id)

    def _refusal(self, error: Exception, request: Request, route: Route, request_id: str) -> Response:
        """Any error as the service says it; one that nobody foresaw is logged."""
        if isinstance(error, BodyTooLarge):
            message = f"The request's body is longer than {error.limit} bytes"
            error = AwsError("RequestEntityTooLargeException", message, 413)
        if isinstance(error, ModelyardError) and route.service is not None:
            error = route.service.errors(error) or error
        if not isinstance(error, AwsError):
            error = self._fault(error, route, request_id)
        return route.wire.refuse(error, request, request_id)

    def _route(self, request: Request) -> Route:
        target = request.header("x-amz-target")
        if target:
            version = "1.0" if request.header("content-type").startswith("application/x-amz-json-1.0") else "1.1"
            return self._routes.get((target, version)) or self._target_route(target, version)
        parts = request.raw_path.split("/")
        if len(parts) == 5 and parts[1] == "service" and parts[3] == "operation":
            return Route(self._by_target.get(parts[2]), parts[2], parts[4], self._cbor)
        named = scope(request)
        service = self._by_scope.get(named)
        if service is not None and not speaks_query(service):
            return Route(None, named, f"{request.method} {request.raw_path}", self._json["1.1"])
        namespace = service.model.metadata.get("xmlNamespace", "") if service else ""
        return Route(service, named, "", self._query.setdefault(namespace, QueryWire(namespace)))

    def _target_route(self, target: str, version: str) -> Route:
        prefix, _, operation = target.rpartition(".")
        service = self._by_target.get(prefix)
        route = Route(service, prefix, operation, self._json[version])
        if service is not None and operation in service.operations:
            self._routes[target, version] = route
        return route

    def _authenticate(self, request: Request, body: bytes, route: Route) -> Verified:
        queryish = route.wire.queryish
        signed = verified(request, body, self._lookup, self._clock, queryish)
        if route.service is not None and signed.claim.service != route.service.signing_name:
            raise scope_error(route.service.signing_name, queryish)
        return signed

    def _form(self, request: Request, body: bytes) -> tuple[bytes, str]:
        raw = body if request.method == "POST" else request.raw_query.encode()
        try:
            return raw, query.form(raw.decode()).get("Action", "")
        except UnicodeDecodeError as error:
            raise query.malformed("the form is not UTF-8") from error

    def _compiled(self, route: Route, request_id: str) -> Ready:
        key = (route.named, route.operation, route.wire)
        ready = self._ready.get(key)
        if ready is not None:
            return ready
        operation = route.service.operations.get(route.operation) if route.service else None
        if route.service is None or operation is None:
            asked = f"{route.service.name if route.service else route.named}:{route.operation}"
            logger.warning("an operation that Modelyard lacks was asked for: %r (request %s)", asked[:200], request_id)
            raise AwsError("UnknownOperationException", f"Modelyard does not have the operation {asked[:200]}")
        amended = operation.overlay.required or operation.overlay.enums
        checks = Checks(operation.overlay) if amended else self._checks[route.service.name]
        shape = operation.model.input_shape
        remembered = operation.how == "inline" and operation.remembered and not route.wire.queryish
        ready = Ready(operation, route.wire.codec(operation), checks.check(shape) if shape else None, remembered)
        self._ready[key] = ready
        return ready

    def _input(self, ready: Ready, route: Route, body: bytes) -> dict[str, Any]:
        assert route.service is not None
        problems: list[str] = []
        try:
            call_input = ready.codec.decode(body)
            if ready.check is not None:
                ready.check(call_input, "", problems)
        except RecursionError as error:
            raise serialization_error("the body is nested too deeply") from error
        if problems:
            raise validation_error(problems, route.service.validation_code)
        return call_input

    def _circumstances(self, route: Route, signed: Verified, request_id: str) -> Call:
        assert route.service is not None
        region = signed.claim.region
        return Call(route.service.name, route.operation, region, self._account, signed.credential, request_id)

    def _new_request_id(self) -> str:
        """Like a uuid, unique to this process's life; its end counts up, which costs less than randomness."""
        self._count += 1
        return f"{self._stem}{self._count:012x}"

    def _fault(self, error: Exception, route: Route, request_id: str) -> AwsError:
        logger.error("request %s (%s %s) failed", request_id, route.named, route.operation, exc_info=error)
        message = f"An internal error occurred; the server's log has it under request {request_id}"
        return AwsError("InternalFailure", message, 500)
