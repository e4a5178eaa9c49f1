"""The pytest plugin that Modelyard ships: ``modelyard_server``, a real server for your own tests, and
``modelyard_aws``, which sends a test's AWS clients there.

Owns one ephemeral server for a test session. Everything imported late, because pytest loads every
installed plugin at each start.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from modelyard.testing.server import RunningServer


@pytest.fixture(scope="session")
def modelyard_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of its own for this test session, gone with all its data at the end.

    ``modelyard_server.client("sagemaker")`` is a boto3 client of it; ``modelyard_server.environment`` the
    variables that point any other client there; ``modelyard_server.reset()`` empties it between tests.
    """
    from modelyard.testing.server import RunningServer  # noqa: PLC0415

    with RunningServer(tmp_path_factory.mktemp("modelyard") / "data", ephemeral=True) as server:
        yield server


@pytest.fixture
def modelyard_aws(modelyard_server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> RunningServer:
    """``modelyard_server``, with this test's environment pointing there: what code under test makes by
    ``boto3.client("s3")``, and what programs that it starts make, is a client of that server."""
    import boto3  # noqa: PLC0415

    from modelyard.core.identity.variables import to_unset  # noqa: PLC0415

    for name in to_unset(os.environ):
        monkeypatch.delenv(name, raising=False)
    for name, value in modelyard_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers the credentials that it first saw
    return modelyard_server
