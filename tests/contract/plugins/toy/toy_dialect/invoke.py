"""The toy dialect's predictions: unsigned CSV in, whatever the model says out."""

from __future__ import annotations

from modelyard.core.deployments.ports import (
    Answer,
    Invocation,
    InvocationHead,
    Predictions,
    Refusal,
    WireAnswer,
)


class ToyCodec:
    def match(self, head: InvocationHead) -> Invocation | Refusal | None:
        if head.method != "POST" or not head.target.startswith("/toy/"):
            return None
        asked = {"content-type": "text/csv", "accept": "text/csv"}
        return Invocation(head.target.removeprefix("/toy/"), meta=asked, signed=False)

    def answer(self, invocation: Invocation, answer: Answer) -> WireAnswer:
        return WireAnswer(answer.status, (("content-type", "text/plain"),), b"toy " + answer.body)

    def refuse(self, head: InvocationHead, refusal: Refusal) -> WireAnswer:
        return WireAnswer(418, (), refusal.kind.encode())


PREDICTIONS = Predictions(codecs=lambda account, region: (ToyCodec(),))
