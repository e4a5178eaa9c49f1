"""What lies on the disk is written whole, kept within the reserve, and deleted however it was closed."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from modelyard.base.disk import RealDisk, check_room, remove_tree, write_all
from modelyard.base.errors import OutOfSpace
from tests.fault.normal_user import USER, as_normal_user

_CLOSED = """
import os, sys
from pathlib import Path
from modelyard.base.disk import remove_tree
base = Path(sys.argv[1])
deep = base / "left" / "a" / "b" / "c"
deep.mkdir(parents=True)
(deep / "file").touch(mode=0o000)
(base / "left" / "link").symlink_to(base / "kept")
for folder in (deep, *list(deep.parents)[:3]):
    folder.chmod(0o000)
remove_tree(base / "left")
assert not (base / "left").exists(), "it is still there"
"""


@contextmanager
def longest_file(size: int) -> Iterator[None]:
    """Files of this process may have ``size`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_took_less_is_gone_on_with_until_it_fails(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    with longest_file(5000), pytest.raises(OSError, match="File too large"):
        write_all(fd, b"x" * 9000)
    write_all(fd, memoryview(b"y" * 4000))
    os.close(fd)
    assert (tmp_path / "file").read_bytes() == b"x" * 5000 + b"y" * 4000


def test_the_reserve_stays_free_and_the_setting_is_named(tmp_path: Path) -> None:
    check_room(tmp_path, 1, 0, "here")
    with pytest.raises(OutOfSpace, match=f"less than {1 << 60} bytes free on the disk of here"):
        check_room(tmp_path, 1, 1 << 60, "here")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A normal user's own; pytest's folders are root's, closed again by every other run that starts."""
    with TemporaryDirectory() as name:
        if os.geteuid() == 0:
            os.chown(name, USER, USER)
        yield Path(name)


def test_closed_folders_inside_closed_folders_go_for_a_normal_user(open_folder: Path) -> None:
    kept = open_folder / "kept"
    kept.mkdir(mode=0o711)
    (kept / "file").touch()
    command = as_normal_user([sys.executable, "-c", _CLOSED, str(open_folder)])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (kept / "file").exists()
    assert kept.stat().st_mode & 0o777 == 0o711


def test_no_depth_and_no_number_of_folders_keeps_a_tree(tmp_path: Path) -> None:
    inner = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=inner)
        further = os.open("d", os.O_RDONLY, dir_fd=inner)
        os.close(inner)
        inner = further
    os.close(inner)
    remove_tree(tmp_path / "d")
    remove_tree(tmp_path / "d")
    remove_tree(tmp_path / "never" / "there")
    assert list(tmp_path.iterdir()) == []


def test_a_link_or_a_file_in_place_of_a_folder_goes_alone(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "file").touch()
    remove_tree(tmp_path / "link")
    remove_tree(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_tree_is_flushed_or_says_why_not(tmp_path: Path) -> None:
    RealDisk().sync_tree(tmp_path)
    with pytest.raises(FileNotFoundError):
        RealDisk().sync_tree(tmp_path / "gone")
