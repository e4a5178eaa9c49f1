"""Where a control group of version 2 is made, on a tree of plain folders in place of the kernel's."""

from pathlib import Path

import pytest

from modelyard.runners.process import cgroups
from modelyard.runners.process.cgroups import Cgroup


def level(folder: Path, controllers: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cgroup.subtree_control").write_text(controllers)
    return folder


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    return level(tmp_path / "cgroup", "cpu memory pids")


def made(mount: Path, membership: str) -> list[str]:
    found = cgroups._make_v2(mount, membership, "a-0", 1 << 30, 100, 0.25)
    assert len({folder for _, folder in found}) <= 1
    return [str(Path(folder).relative_to(mount)) for _, folder in found][:1]


def test_it_lies_below_the_nearest_group_that_lets_it(mount: Path) -> None:
    level(mount / "user", "cpu memory pids io")
    level(mount / "user" / "session", "cpu memory pids")
    assert made(mount, "/user/session") == ["user/session/modelyard-a-0"]
    group = mount / "user/session/modelyard-a-0"
    found = {name: (group / name).read_text() for name in ("memory.max", "pids.max", "cpu.weight", "memory.swap.max")}
    assert found == {"memory.max": str(1 << 30), "pids.max": "100", "cpu.weight": "25", "memory.swap.max": "0"}


def test_a_group_without_a_list_of_controllers_is_passed_over(mount: Path) -> None:
    (mount / "container").mkdir()
    assert made(mount, "/container") == ["modelyard-a-0"]


def test_none_above_the_mount_is_touched(mount: Path, tmp_path: Path) -> None:
    level(tmp_path, "cpu memory pids")
    (mount / "cgroup.subtree_control").unlink()
    assert made(mount, "/") == []
    assert not list(tmp_path.glob("modelyard-*"))


def test_kills_for_want_of_memory_are_counted(tmp_path: Path) -> None:
    (tmp_path / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    assert Cgroup((("memory", str(tmp_path)),)).memory_kills() == 2
    (tmp_path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert Cgroup((("memory", str(tmp_path)),)).memory_kills() == 1
    assert Cgroup((("cpu", str(tmp_path)),)).memory_kills() == 0


def test_a_group_goes_with_the_folder_we_made_for_it(tmp_path: Path) -> None:
    group = tmp_path / "modelyard" / "a-0"
    group.mkdir(parents=True)
    (tmp_path / "modelyard" / "b-0").mkdir()
    cgroups.remove_folder(str(group))
    assert (tmp_path / "modelyard" / "b-0").exists() and not group.exists()
    cgroups.remove_folder(str(tmp_path / "modelyard" / "b-0"))
    assert list(tmp_path.iterdir()) == []
