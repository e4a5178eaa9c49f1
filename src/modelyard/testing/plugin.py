"""The pytest plugin that Modelyard ships: ``modelyard_server``, a real server for your own tests.

Owns one ephemeral server for a test session. Everything imported late, because pytest loads every
installed plugin at each start.
"""

from __future__ import annotations

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
