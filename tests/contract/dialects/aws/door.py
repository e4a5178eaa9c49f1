"""A dispatcher behind real TCP, and boto3 clients of it."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from modelyard.base.clock import SystemClock
from modelyard.base.ids import RandomIds
from modelyard.core.identity.model import Credential
from modelyard.dialects.aws.protocol import AwsDispatcher, AwsService
from modelyard.dialects.aws.protocol.answers import Version, never
from modelyard.edge.claims import Lookup
from modelyard.edge.http import Request, Response

from ..answering import answering

KEY = Credential("AKIAEXAMPLE", "a secret", "AKIAEXAMPLE")
ACCOUNT = "000000000000"


@dataclass(frozen=True)
class Door:
    """Where the dispatcher answers, and how clients get there."""

    url: str

    def client(self, service: str, key: Credential = KEY, region: str = "eu-west-1", **config: Any) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=key.access_key,
            aws_secret_access_key=key.secret,
            aws_session_token=key.session_token,
            config=Config(retries={"total_max_attempts": 1}, **config),
        )


def lookup_one(access_key: str) -> Credential | None:
    return KEY if access_key == KEY.access_key else None


@contextmanager
def opened(
    services: Sequence[AwsService],
    lookup: Lookup = lookup_one,
    body_limit: int = 5 << 20,
    takes_rest: bool = True,
    version: Version = never,
) -> Iterator[Door]:
    """A door on a free port until the block ends."""
    with ThreadPoolExecutor(4) as executor:
        dispatcher = AwsDispatcher(
            services, lookup, SystemClock(), RandomIds(), ACCOUNT, executor, body_limit, takes_rest, version
        )

        def handle(request: Request) -> Response | Awaitable[Response]:
            return dispatcher.handle(request) if dispatcher.claims(request) else Response(404)

        with answering(handle) as port:
            yield Door(f"http://127.0.0.1:{port}")
