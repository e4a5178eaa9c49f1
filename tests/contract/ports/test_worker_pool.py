"""ProcessPool keeps the pool's contract, in a sandbox where the machine gives one, and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.app.supervisor import COMMAND
from modelyard.base.clock import SystemClock
from modelyard.base.disk import RealDisk
from modelyard.base.errors import Unavailable
from modelyard.core.deployments.ports import WorkerPool
from modelyard.runners.process import landlock
from modelyard.runners.process.pool import ProcessPool
from modelyard.runners.process.probe import SandboxReport
from modelyard.runners.process.rules import Rules
from modelyard.testing.worker_pool_kit import ECHO, WorkerPoolContract, worker


def no_sandbox(command: tuple[str, ...]) -> SandboxReport:
    return SandboxReport("none", ("namespaces are refused",), "Allow them.")


class TestSandboxed(WorkerPoolContract):
    @pytest.fixture
    def pool(self, tmp_path: Path) -> ProcessPool:
        return ProcessPool(Rules(COMMAND, (tmp_path,), tmp_path / "server.lock"), RealDisk(), SystemClock())


class TestTrusted(WorkerPoolContract):
    @pytest.fixture
    def pool(self, tmp_path: Path) -> Iterator[ProcessPool]:
        rules = Rules(COMMAND, (tmp_path,), tmp_path / "server.lock", allow_unsandboxed=True, probe=no_sandbox)
        return ProcessPool(rules, RealDisk(), SystemClock())


@pytest.mark.skipif(landlock.abi() == 0, reason="this kernel has no Landlock")
class TestTrustedUnderLandlock(WorkerPoolContract):
    @pytest.fixture
    def pool(self, tmp_path: Path) -> ProcessPool:
        only = SandboxReport("landlock", ("namespaces are refused",), "Allow them.")
        rules = Rules(
            COMMAND, (tmp_path,), tmp_path / "server.lock", allow_unsandboxed=True, probe=lambda command: only
        )
        return ProcessPool(rules, RealDisk(), SystemClock())


def test_without_a_sandbox_no_model_is_opened_unless_a_setting_says_so(tmp_path: Path) -> None:
    pool: WorkerPool = ProcessPool(
        Rules(COMMAND, (tmp_path,), tmp_path / "server.lock", probe=no_sandbox), RealDisk(), SystemClock()
    )
    (tmp_path / "e").mkdir()
    with pytest.raises(Unavailable, match="needs a sandbox, and this machine gives none: namespaces are refused"):
        pool.start(worker(tmp_path / "e" / "w1", ECHO))
    assert pool.observe(tmp_path / "e" / "w1").state == "absent"
