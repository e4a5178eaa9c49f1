"""Archives that strangers make: what is unpacked, and each attack that is not."""

from __future__ import annotations

import gzip
import io
import os
import resource
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.base.errors import Invalid, OutOfSpace
from modelyard.core.artifacts.archives import ArchiveLimits, BadArchive, UnreadableArchive, extract

LIMITS = ArchiveLimits(disk_reserve=0)
Build = Callable[[tarfile.TarFile], None]


def archive(build: Build, mode: str = "w:gz", form: int = tarfile.PAX_FORMAT) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=form) as tar:  # type: ignore[call-overload]
        build(tar)
    return io.BytesIO(out.getvalue())


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    tar.addfile(info, io.BytesIO(content))


def folder(tar: tarfile.TarFile, name: str) -> None:
    add(tar, name, type=tarfile.DIRTYPE, mode=0o755)


def refused(build: Build, tmp_path: Path, limits: ArchiveLimits = LIMITS) -> str:
    target = tmp_path / "out"
    with pytest.raises(Invalid) as caught:
        extract(archive(build), target, limits)
    assert list(tmp_path.iterdir()) == []
    return caught.value.message


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_files_and_folders_are_unpacked(tmp_path: Path, mode: str, form: int) -> None:
    deep = "a/" * 40 + "ümlaut.txt" if form != tarfile.USTAR_FORMAT else "a/b/ümlaut.txt"

    def build(tar: tarfile.TarFile) -> None:
        folder(tar, ".")
        folder(tar, "./empty")
        add(tar, "./run.sh", b"#!/bin/sh\n", mode=0o755)
        add(tar, deep, b"x" * 5000)
        add(tar, "zero")

    extract(archive(build, mode, form), tmp_path / "out", LIMITS)
    assert (tmp_path / "out" / deep).read_bytes() == b"x" * 5000
    assert (tmp_path / "out" / "zero").read_bytes() == b""
    assert (tmp_path / "out" / "empty").is_dir()
    assert (tmp_path / "out" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out" / "zero").stat().st_mode & 0o777 == 0o644


def test_gnu_tar_s_own_archives_are_unpacked(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / ("n" * 200) / ("m" * 200)).mkdir(parents=True)
    (source / ("n" * 200) / ("m" * 200) / "file").write_bytes(os.urandom(3_000_000))
    for options in (["-z"], [], ["-z", "--format=posix"], ["-z", "--format=v7", "--exclude=n*"]):
        made = subprocess.run(["tar", "-C", source, *options, "-c", "."], check=True, capture_output=True).stdout
        target = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        extract(io.BytesIO(made), target, LIMITS)
        if "--exclude=n*" not in options:
            compared = subprocess.run(["diff", "-r", source, target], capture_output=True, check=False)
            assert compared.returncode == 0, compared.stdout


def test_the_sdk_s_root_folder_is_the_target(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"w")
    made = archive(lambda tar: tar.add(tmp_path / "model", arcname=os.path.sep))
    extract(made, tmp_path / "out", LIMITS)
    assert (tmp_path / "out" / "weights").read_bytes() == b"w"


def test_an_empty_target_is_filled_and_a_full_one_left_alone(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    extract(archive(lambda tar: add(tar, "a", b"1")), tmp_path / "empty", LIMITS)
    assert (tmp_path / "empty" / "a").read_bytes() == b"1"
    with pytest.raises(OSError, match="not empty"):
        extract(archive(lambda tar: add(tar, "b", b"2")), tmp_path / "empty", LIMITS)
    assert [path.name for path in tmp_path.rglob("*")] == ["empty", "a"]


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.CHRTYPE, "character device"),
        (tarfile.BLKTYPE, "block device"),
        (tarfile.FIFOTYPE, "FIFO"),
        (tarfile.GNUTYPE_SPARSE, "sparse"),
        (b"Z", "unknown type"),
    ],
)
def test_other_kinds_of_member_are_refused(tmp_path: Path, kind: bytes, word: str) -> None:
    def build(tar: tarfile.TarFile) -> None:
        add(tar, "good", b"1")
        add(tar, "bad", type=kind, linkname="/etc/passwd")

    message = refused(build, tmp_path)
    assert word in message
    assert "'bad'" in message


def test_a_link_then_a_file_through_it_never_leaves_the_target(tmp_path: Path) -> None:
    def build(tar: tarfile.TarFile) -> None:
        add(tar, "way", type=tarfile.SYMTYPE, linkname=str(tmp_path))
        add(tar, "way/escaped", b"1")

    assert "'way'" in refused(build, tmp_path)


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/x", "//x", "a/..", "..", "a\\..\\..\\x", "..\\x", "/", "./", "x/", "", "."]
)
def test_paths_that_leave_or_name_nothing_are_refused(tmp_path: Path, name: str) -> None:
    refused(lambda tar: add(tar, name, b"1"), tmp_path)


@pytest.mark.parametrize("name", ["..", "a/../b", "/etc", "../.."])
def test_folders_outside_are_refused(tmp_path: Path, name: str) -> None:
    refused(lambda tar: folder(tar, name), tmp_path)


def test_a_path_in_a_pax_header_is_judged_too(tmp_path: Path) -> None:
    message = refused(lambda tar: add(tar, "fine", b"1", pax_headers={"path": "../../x"}), tmp_path)
    assert "../../x" in message


def test_names_that_no_file_can_have_are_refused(tmp_path: Path) -> None:
    refused(lambda tar: add(tar, "n" * 300, b"1"), tmp_path)
    refused(lambda tar: add(tar, "n/" * 3000 + "x", b"1"), tmp_path)
    refused(lambda tar: add(tar, "fine", b"1", pax_headers={"path": "a\0b"}), tmp_path)


def test_duplicates_are_refused(tmp_path: Path) -> None:
    def twice(first: str, second: str) -> Build:
        def build(tar: tarfile.TarFile) -> None:
            add(tar, first, b"1")
            add(tar, second, b"2")

        return build

    assert "twice" in refused(twice("a", "a"), tmp_path)
    assert "twice" in refused(twice("a", "./a"), tmp_path)
    assert "'a/b'" in refused(twice("a", "a/b"), tmp_path)
    assert "'a'" in refused(twice("a/b", "a"), tmp_path)


def test_too_many_members(tmp_path: Path) -> None:
    def build(tar: tarfile.TarFile) -> None:
        for number in range(11):
            add(tar, f"m{number}")

    assert "'m10'" in refused(build, tmp_path, ArchiveLimits(members=10, disk_reserve=0))


def test_too_many_bytes_by_header_or_in_truth(tmp_path: Path) -> None:
    def build(tar: tarfile.TarFile) -> None:
        add(tar, "a", os.urandom(600))
        add(tar, "b", os.urandom(600))

    assert "'b'" in refused(build, tmp_path, ArchiveLimits(size=1000, disk_reserve=0))


def test_a_bomb_is_refused_by_ratio(tmp_path: Path) -> None:
    limits = ArchiveLimits(ratio_from=1_000_000, disk_reserve=0)
    assert "200 times" in refused(lambda tar: add(tar, "bomb", bytes(20_000_000)), tmp_path, limits)


def test_a_bomb_behind_the_end_mark_is_refused_too(tmp_path: Path) -> None:
    plain = archive(lambda tar: add(tar, "a", b"1"), "w").getvalue()
    bomb = io.BytesIO(gzip.compress(plain + bytes(20_000_000)))
    with pytest.raises(BadArchive, match="200 times"):
        extract(bomb, tmp_path / "out", ArchiveLimits(ratio_from=1_000_000, disk_reserve=0))
    assert list(tmp_path.iterdir()) == []


def test_an_extended_header_does_not_fill_the_memory(tmp_path: Path) -> None:
    assert "extended header" in refused(
        lambda tar: add(tar, "a", b"1", pax_headers={"comment": "c" * 2_000_000}), tmp_path
    )


def test_a_full_disk_is_seen_before_writing(tmp_path: Path) -> None:
    with pytest.raises(OutOfSpace):
        extract(archive(lambda tar: add(tar, "a", b"1")), tmp_path / "out", ArchiveLimits(disk_reserve=1 << 62))
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_a_whole_archive_is_refused(tmp_path: Path) -> None:
    whole = archive(lambda tar: add(tar, "a", os.urandom(9000)), "w").getvalue()
    packed = gzip.compress(whole)
    damaged = bytearray(packed)
    damaged[-8] ^= 1
    for content in (b"", b"hello", b"x" * 5000, whole[:600], whole[:100], packed[:4000], packed[:5], bytes(damaged)):
        with pytest.raises((UnreadableArchive, BadArchive)):
            extract(io.BytesIO(content), tmp_path / "out", LIMITS)
        assert list(tmp_path.iterdir()) == []


def test_a_file_that_takes_less_than_was_written_is_never_reported_unpacked(tmp_path: Path) -> None:
    packed = archive(lambda tar: add(tar, "a", os.urandom(900_000)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            extract(packed, tmp_path / "out", LIMITS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_empty_gzip_streams_cost_what_they_weigh(tmp_path: Path) -> None:
    whole = archive(lambda tar: add(tar, "a", b"1")).getvalue()
    began = time.process_time()
    extract(io.BytesIO(gzip.compress(b"") * 200_000 + whole), tmp_path / "out", LIMITS)
    assert time.process_time() - began < 1.5
    assert (tmp_path / "out" / "a").read_bytes() == b"1"


def test_several_gzip_streams_are_one_archive(tmp_path: Path) -> None:
    whole = archive(lambda tar: add(tar, "a", b"1" * 5000), "w").getvalue()
    extract(io.BytesIO(gzip.compress(whole[:700]) + gzip.compress(whole[700:])), tmp_path / "out", LIMITS)
    assert (tmp_path / "out" / "a").read_bytes() == b"1" * 5000
