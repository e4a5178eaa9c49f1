"""What a client is told when it is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError


def refusal(ask: Callable[..., Any], **request: Any) -> tuple[str, str]:
    """The code and message of the error that this request must be answered with."""
    with pytest.raises(ClientError) as refused:
        ask(**request)
    error = refused.value.response["Error"]
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return error["Code"], error["Message"]
