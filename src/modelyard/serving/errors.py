"""How a prediction fails: a status and a message, as the published serving toolkits answer them.

Follows https://github.com/aws/sagemaker-inference-toolkit (errors.py). Refuses to know any dialect's error form.
"""

from __future__ import annotations


class PredictionError(Exception):
    """A prediction's refusal. ``status`` is the HTTP status that the client's error carries."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class UnsupportedContent(PredictionError):
    """415: the body's content type is none that this model reads."""

    def __init__(self, content_type: str, known: tuple[str, ...]) -> None:
        super().__init__(415, f"Content type {content_type!r} is not supported; supported are {', '.join(known)}")


class NotAcceptable(PredictionError):
    """406: the answer cannot be written in any type that the client accepts."""

    def __init__(self, accept: str, known: tuple[str, ...]) -> None:
        super().__init__(406, f"Accept {accept!r} is not supported; supported are {', '.join(known)}")
