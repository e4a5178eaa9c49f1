"""Too large, no room, cut short, crashed: what is answered, and that nothing half-written stays."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from modelyard.core.artifacts.writing import WriteLimits
from modelyard.testing.blobs_kit import RecordingDisk
from tests.contract.dialects.s3.server import S3Server
from tests.contract.dialects.s3.test_buckets import code
from tests.contract.dialects.s3.wire import send, signed


def test_too_large_is_said_before_the_bytes_are_read(server: S3Server, bucket: str) -> None:
    target = f"/{bucket}/k"
    headers = signed(server, "PUT", target, "UNSIGNED-PAYLOAD")
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(f"PUT {target} HTTP/1.1\r\n{head}Content-Length: {(5 << 30) + 1}\r\n\r\n".encode())
        answer = connection.recv(65536)
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert b"<Code>EntityTooLarge</Code>" in answer


def test_too_large_is_noticed_in_a_body_of_unknown_length(tmp_path: Path) -> None:
    with S3Server(tmp_path, limits=WriteLimits(size=100_000)) as server:
        server.client().create_bucket(Bucket="data")
        headers = signed(server, "PUT", "/data/k", "UNSIGNED-PAYLOAD")
        answer = send(server, "PUT", "/data/k", headers, (b"x" * 50_000 for _ in range(3)))
        assert answer.code == "EntityTooLarge"
        assert server.blob_files() == []
        s3 = server.client()
        upload = s3.create_multipart_upload(Bucket="data", Key="k")["UploadId"]
        with pytest.raises(ClientError) as caught:
            s3.upload_part(Bucket="data", Key="k", UploadId=upload, PartNumber=1, Body=b"x" * 100_001)
        assert code(caught) == ("EntityTooLarge", 400)


def test_no_room_is_507_before_anything_is_written(tmp_path: Path) -> None:
    with S3Server(tmp_path, reserve=1 << 60) as server:
        s3 = server.client()
        s3.create_bucket(Bucket="data")
        with pytest.raises(ClientError) as caught:
            s3.put_object(Bucket="data", Key="k", Body=b"x" * 100_000)
        assert code(caught) == ("InsufficientStorage", 507)
        assert server.blob_files() == []


@pytest.mark.parametrize("size", [100_000, 8_000_000])
def test_a_client_that_goes_leaves_nothing(server: S3Server, s3: Any, bucket: str, size: int) -> None:
    before = len(server.blob_files())
    target = f"/{bucket}/k"
    headers = signed(server, "PUT", target, "UNSIGNED-PAYLOAD")
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(f"PUT {target} HTTP/1.1\r\n{head}Content-Length: {size}\r\n\r\n".encode())
        connection.sendall(os.urandom(size - 1000))
    for _ in range(50):
        s3.list_objects_v2(Bucket=bucket)
        if len(server.blob_files()) == before:
            break
    assert len(server.blob_files()) == before
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("step", ["sync", "replace", "sync_folder"])
def test_a_failing_disk_is_no_success(tmp_path: Path, step: str) -> None:
    def fail(now: str) -> None:
        if now == step:
            raise OSError("disk on fire")

    disk = RecordingDisk()
    with S3Server(tmp_path, disk=disk) as server:
        s3 = server.client()
        s3.create_bucket(Bucket="data")
        s3.put_object(Bucket="data", Key="k", Body=b"old" * 30_000)
        disk.fail = fail
        with pytest.raises(ClientError) as caught:
            s3.put_object(Bucket="data", Key="k", Body=b"new" * 30_000)
        assert code(caught)[1] == 500
        assert s3.get_object(Bucket="data", Key="k")["Body"].read() == b"old" * 30_000
        server.artifacts.sweep()
        assert len(server.blob_files()) == 1


def test_the_bytes_are_flushed_before_the_row_is_written(tmp_path: Path) -> None:
    disk = RecordingDisk()
    with S3Server(tmp_path, disk=disk) as server:
        s3 = server.client()
        s3.create_bucket(Bucket="data")
        seen: list[int] = []

        def look(step: str) -> None:
            if step == "sync_folder":
                seen.append(len(server.artifacts.list_objects("data").objects))

        disk.fail = look
        disk.steps.clear()
        s3.put_object(Bucket="data", Key="k", Body=b"x" * 100_000)
        assert [step for step, _, _ in disk.steps] == ["sync", "replace", "sync_folder"]
        assert disk.steps[0][2] == 100_000
        assert seen == [0]
