"""A prediction at the front: gathered, authenticated, queued, answered in its dialect's words.

The body is bytes to us; a dialect's codec says which endpoint a head asks for and how answers and refusals look.
A signature is checked over the whole body for every request; none is remembered.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable

from modelyard.base.clock import Clock
from modelyard.core.deployments.ports import Answer, Invocation, InvocationCodec, Refusal, WireAnswer
from modelyard.edge import sigv4
from modelyard.edge.claims import Claim, Lookup, SignatureRefused
from modelyard.edge.client import ClientConnection, Exchange
from modelyard.edge.heads import Head, answer_bytes
from modelyard.edge.limits import FrontLimits
from modelyard.edge.workers import Endpoint, Variant
from modelyard.serving.wire import BadFrame, Raw, decode_meta, encode_meta

_log = logging.getLogger(__name__)

Mark = Callable[[ClientConnection], "asyncio.Future[bool] | None"]


def authenticate(head: Head, invocation: Invocation) -> Claim | Refusal | None:
    """The claim of a head; None for an anonymous one where its dialect takes these."""
    try:
        claim = sigv4.parse(head.view.target.partition("?")[2], head.view.headers)
    except SignatureRefused as refused:
        return Refusal("bad_signature", str(refused), invocation.endpoint)
    if claim is None:
        return Refusal("not_signed", "Missing Authentication Token", invocation.endpoint) if invocation.signed else None
    if claim.service != invocation.service:
        message = f"Credential should be scoped to correct service: '{invocation.service}'."
        return Refusal("bad_signature", message, invocation.endpoint)
    return claim


class Prediction(Exchange):
    """One request for a prediction; also the item that waits in a variant's queue."""

    def __init__(
        self,
        client: ClientConnection,
        head: Head,
        codec: InvocationCodec,
        invocation: Invocation,
        endpoint: Endpoint,
        claim: Claim | None,
        lookup: Lookup,
        limits: FrontLimits,
        clock: Clock,
        mark: Mark | None,
    ) -> None:
        """``mark`` finds out whether a job sent an anonymous request; None where that does not matter."""
        super().__init__(client, head)
        self.meta = b""
        self.body = b""
        self.size = 0
        self.deadline = 0.0
        self.wanted = True
        self.pinned = invocation.variant is not None
        self._codec = codec
        self._invocation = invocation
        self._endpoint = endpoint
        self._claim = claim
        self._lookup = lookup
        self._limits = limits
        self._clock = clock
        self._mark = mark
        self._parts: list[bytes] = []
        self._answer: WireAnswer | None = None
        self._queued = False
        self.wants_continue = head.modern and head.named.get(b"expect", b"").lower() == b"100-continue"
        if head.length > limits.prediction_body:
            self._refuse("too_large", f"the body is longer than {limits.prediction_body} bytes")
        elif endpoint.is_full(limits, head.length):
            self._refuse("queue_full", "the endpoint has as many waiting requests as it takes; try again")

    # The request's way

    def feed(self, data: bytes) -> None:
        if self._answer is not None:
            return
        self.wants_continue = False
        self._parts.append(data)
        self.size += len(data)
        self._endpoint.waiting_bytes += len(data)
        if self.size > self._limits.prediction_body:
            self._refuse("too_large", f"the body is longer than {self._limits.prediction_body} bytes")
        elif self._endpoint.waiting_bytes > self._limits.queue_bytes:
            self._refuse("queue_full", "the endpoint has as many waiting bytes as it takes; try again")

    def end(self) -> None:
        if self._answer is not None:
            return
        self.body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        marking = self._mark(self.client) if self._mark is not None and self._claim is None else None
        if marking is not None:
            marking.add_done_callback(self._marked)
        else:
            self._judge()

    def _marked(self, marking: asyncio.Future[bool]) -> None:
        self.client.from_job = marking.cancelled() or marking.result()
        if self.wanted:
            self._judge()

    def _judge(self) -> None:
        """Authenticate and queue."""
        if self._claim is not None:
            try:
                self._verify(self._claim)
            except SignatureRefused as refused:
                self._refuse("bad_signature", str(refused))
                return
        elif self.client.from_job:
            self._refuse("not_signed", "jobs must sign their requests")
            return
        if self._endpoint.is_full(self._limits, 0):
            self._refuse("queue_full", "the endpoint has as many waiting requests as it takes; try again")
            return
        self._queue()

    def _verify(self, claim: Claim) -> None:
        view = self.head.view
        path, _, query = view.target.partition("?")
        digest = hashlib.sha256(self.body).hexdigest()
        sigv4.verify(claim, view.method, path, query, view.headers, digest, self._lookup, self._clock.now())

    def _queue(self) -> None:
        variant = self._variant()
        if variant is None:
            return
        self.meta = encode_meta(self._invocation.meta)
        self.deadline = self._clock.monotonic() + self._limits.prediction_timeout
        self._queued = True
        self._endpoint.put(variant, self)

    def _variant(self) -> Variant | None:
        named = self._invocation.variant
        if named is not None:
            variant = self._endpoint.variants.get(named)
            if variant is None:
                self._refuse("unknown_variant", f"variant {named} is unknown")
            return variant
        variant = self._endpoint.pick()
        if variant is None:
            self._refuse("not_serving", "no process of this endpoint answers now; try again")
        return variant

    # The answer's way

    def answered(self, variant: str, raw: Raw) -> None:
        """A worker's answer, as ``workers.Item`` says."""
        self.wanted = False
        try:
            meta = {**decode_meta(raw[1]), "variant": variant}
            answer = self._codec.answer(self._invocation, Answer(raw[0], raw[2], meta))
        except BadFrame:
            self.failed("worker_failed", "the endpoint's process answered something that is no answer")
        except Exception:  # noqa: BLE001 - one answer that cannot be said must not take the frame's others with it
            _log.exception("an answer of endpoint %s could not be encoded", self._invocation.endpoint)
            self.failed("worker_failed", "the endpoint's answer could not be sent")
        else:
            self._say(answer)

    def failed(self, kind: str, message: str) -> None:
        """The queue's or worker's refusal, as ``workers.Item`` says."""
        self.wanted = False
        self._say(self._codec.refuse(self.head.view, Refusal(kind, message, self._invocation.endpoint)))

    def begin(self) -> None:
        if self._answer is not None:
            self._write(self._answer)

    def lost(self) -> None:
        self.wanted = False
        if not self._queued:
            self._release()

    def _refuse(self, kind: str, message: str) -> None:
        """Refuse before it was queued: the bytes read so far no longer wait."""
        self._release()
        self.failed(kind, message)

    def _release(self) -> None:
        self._endpoint.waiting_bytes -= self.size
        self.size = 0
        self._parts = []
        self.body = b""

    def _say(self, answer: WireAnswer) -> None:
        self.wants_continue = False
        self.body = b""
        self._answer = answer
        if self.begun:
            self._write(answer)

    def _write(self, answer: WireAnswer) -> None:
        self.written = True
        close = not self.complete or not self.head.keep_alive
        self.client.transport.write(answer_bytes(answer, self.head, close))
        self.client.finish(self, close)
