"""What a job and a model may be and use: archives, requirements, log, memory, processes, processors.

Each through a real server with small settings; the defaults are compared in test_limits.py.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from modelyard.testing.server import RunningServer
from tests.contract.edge.harness import until
from tests.e2e.conftest import Journey
from tests.e2e.test_journeys import SKLEARN
from tests.e2e.test_serving import ROLE, Serving

MB = 1 << 20


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose jobs get little."""
    settings = {
        "ARCHIVE_MEMBERS": "20", "ARCHIVE_BYTES": "3000000", "ARCHIVE_RATIO": "50", "ARCHIVE_RATIO_FROM": "1000000",
        "JOB_LOG": "3000", "JOB_MEMORY": str(700 * MB), "JOB_PROCESSES": "60", "DESCRIBE_HOLD": "0",
    }  # fmt: skip
    with RunningServer(tmp_path_factory.mktemp("tight") / "data", settings=settings) as running:
        yield running


@pytest.fixture
def journey(tight: RunningServer) -> Journey:
    return Journey(tight)


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 3) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = size if kind == tarfile.REGTYPE else 0
    return info, b"x" * info.size


def archive(*members: tuple[tarfile.TarInfo, bytes], train: bool = True) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as made:
        script = b"print('never')\n"
        first = [member("train.py", size=len(script))] if train else []
        for info, content in (*first, *members):
            made.addfile(info, io.BytesIO(script if info.name == "train.py" else content))
    return packed.getvalue()


BAD_ARCHIVES = {
    "too many members": ([member(f"m{number}") for number in range(25)], "m19"),
    "too many bytes": ([(member(f"big{number}", size=900_000)[0], os.urandom(900_000)) for number in range(5)], "big3"),
    "too dense": ([member("dense", size=2_500_000)], "dense"),
    "symbolic link": ([member("way-out", tarfile.SYMTYPE, "/etc/passwd")], "way-out"),
    "relative link, then through it": (
        [member("up", tarfile.SYMTYPE, "../../.."), member("up/escaped-marker")],
        "up",
    ),
    "hard link": ([member("hard", tarfile.LNKTYPE, "/etc/passwd")], "hard"),
    "device": ([member("null", tarfile.CHRTYPE)], "null"),
    "pipe": ([member("pipe", tarfile.FIFOTYPE)], "pipe"),
    "parent": ([member("../../../escaped-marker")], "../../../escaped-marker"),
    "absolute": ([member("/tmp/escaped-marker")], "/tmp/escaped-marker"),
    "twice": ([member("same"), member("same")], "same"),
}


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_a_source_archive_that_is_refused_fails_the_job_and_leaves_nothing(journey: Journey, name: str) -> None:
    members, named = BAD_ARCHIVES[name]
    journey.start_training(SKLEARN, journey.upload("sourcedir.tar.gz", archive(*members)))
    job = journey.wait()
    assert (job["TrainingJobStatus"], f"'{named}'" in job["FailureReason"]) == ("Failed", True), job["FailureReason"]
    until(lambda: leftovers(journey.server, "jobs") == [])
    assert escaped(journey.server) == []


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_a_model_archive_that_is_refused_fails_the_endpoint_and_leaves_nothing(tight: RunningServer, name: str) -> None:
    members, named = BAD_ARCHIVES[name]
    seen = deployed(tight, model=archive(*members))
    assert seen["EndpointStatus"] == "Failed"
    assert f"'{named}'" in seen["FailureReason"], seen["FailureReason"]
    assert leftovers(tight, "endpoints") == []
    assert escaped(tight) == []


def leftovers(server: RunningServer, below: str) -> list[str]:
    """Files that came out of an archive, in any place of the data directory."""
    known = ("train.py", "m0", "big0", "dense", "up", "same", "null", "pipe", "hard", "way-out")
    walked = os.walk(server.data_dir / below)
    return [f"{folder}/{name}" for folder, folders, files in walked for name in (*folders, *files) if name in known]


def escaped(server: RunningServer) -> list[Path]:
    places = (Path("/tmp"), server.data_dir, server.data_dir.parent, server.data_dir / "jobs")
    return [place / "escaped-marker" for place in places if (place / "escaped-marker").exists()]


def deployed(server: RunningServer, model: bytes, source: bytes | None = None) -> dict[str, Any]:
    """The settled endpoint of that model and code."""
    serving = Serving(server)
    return serving.deploy_config(serving.config_of(serving.variant(model, source)))


REFUSED_LINES = (
    "--index-url https://evil.invalid/simple",
    "--extra-index-url=https://evil.invalid/simple",
    "--trusted-host evil.invalid",
    "-f /tmp/wheels",
    "-e .",
    "-r ../outside.txt",
    "-c /etc/passwd",
    "-r https://evil.invalid/r.txt",
    "git+https://evil.invalid/x",
    "package @ https://evil.invalid/x.whl",
    "file:///etc/passwd",
    "./wheel.whl",
    "numpy; touch /tmp/escaped-marker",
    "numpy$(touch /tmp/escaped-marker)",
    "numpy && touch /tmp/escaped-marker",
    "`touch /tmp/escaped-marker`",
    "numpy --config-settings=--build-option=x",
    "--config-settings x=y",
    "${HOME}",
)


@pytest.mark.parametrize("line", REFUSED_LINES)
def test_a_jobs_requirement_that_reaches_elsewhere_is_refused_by_its_line(journey: Journey, line: str) -> None:
    source = journey.upload_source("print('never')", requirements_txt=f"numpy\n{line}\n")
    journey.start_training(SKLEARN, source)
    job = journey.wait()
    assert job["TrainingJobStatus"] == "Failed"
    assert "requirements.txt line 2" in job["FailureReason"], job["FailureReason"]
    assert "never" not in journey.log()
    assert escaped(journey.server) == []


@pytest.mark.parametrize("line", ["--index-url https://evil.invalid/simple", "-r ../up.txt", "numpy; touch /tmp/x"])
def test_an_endpoints_requirement_is_refused_alike(tight: RunningServer, line: str) -> None:
    hooks, wants = b"def model_fn(d): return 0\n", f"numpy\n{line}\n".encode()
    source = archive(
        (member("inference.py", size=len(hooks))[0], hooks),
        (member("requirements.txt", size=len(wants))[0], wants),
        train=False,
    )
    seen = deployed(tight, archive(train=True), source)
    assert seen["EndpointStatus"] == "Failed"
    assert "requirements.txt line 2" in seen["FailureReason"], seen["FailureReason"]


def test_a_job_in_want_of_a_setting_may_name_that_index(tmp_path: Path) -> None:
    """The setting allows one index; another is still refused."""
    settings = {"PACKAGE_INDEXES": '["https://allowed.invalid/simple"]'}
    with RunningServer(tmp_path / "data", settings=settings) as server:
        for host, refused in (("allowed", False), ("other", True)):
            journey = Journey(server)
            wants = f"--index-url https://{host}.invalid/simple\nnumpy\n"
            journey.start_training(SKLEARN, journey.upload_source("print('ran')", requirements_txt=wants))
            job = journey.wait()
            assert ("package_indexes" in job.get("FailureReason", "")) is refused, job
            assert ("ran" in journey.log()) is not refused


def test_a_full_log_drops_later_lines_and_counts_them(journey: Journey) -> None:
    journey.start_training(SKLEARN, journey.upload_source("for n in range(1000): print('line', n)"))
    job = journey.wait()
    assert job["TrainingJobStatus"] == "Completed"
    *kept, note = journey.log()
    numbers = [int(line[5:]) for line in kept if line.startswith("line ")]
    assert numbers == list(range(len(numbers)))
    assert 10 < len(numbers) < 200
    assert note.startswith("modelyard: ")
    assert 1000 <= int(note.split()[1]) + len(numbers) <= 1010


def test_memory_is_at_most_the_machines_share_and_named(journey: Journey) -> None:
    """ml.m5.24xlarge has 384 GB; jobs of this server share 700 MB."""
    script = "import time\nx = []\nwhile True:\n    x.append(bytearray(32 << 20))\n    time.sleep(0.01)"
    instance = {"InstanceType": "ml.m5.24xlarge", "InstanceCount": 1, "VolumeSizeInGB": 5}
    began = time.monotonic()
    journey.start_training(SKLEARN, journey.upload_source(script), ResourceConfig=instance)
    job = journey.wait()
    assert job["TrainingJobStatus"] == "Failed"
    assert "memory" in job["FailureReason"].lower(), job["FailureReason"]
    assert time.monotonic() - began < 60


def test_processes_are_bounded_and_the_job_goes_on(journey: Journey) -> None:
    script = """
import os, signal, time
children = []
try:
    while len(children) < 500:
        pid = os.fork()
        if not pid:
            time.sleep(60)
            os._exit(0)
        children.append(pid)
except OSError as error:
    print('refused', type(error).__name__)
for child in children:
    os.kill(child, signal.SIGKILL)
print('forked', len(children))
"""
    journey.start_training(SKLEARN, journey.upload_source(script))
    job, log = journey.wait(), journey.log()
    assert job["TrainingJobStatus"] == "Completed", (job, log)
    assert "refused BlockingIOError" in log
    forked = next(int(line.split()[1]) for line in log if line.startswith("forked "))
    assert 5 < forked < 60


def test_jobs_stand_behind_the_front_for_the_processors(journey: Journey) -> None:
    script = """
import json, os
print('STANDING', json.dumps([os.nice(0), os.sched_getscheduler(0) == os.SCHED_BATCH]))
try:
    os.nice(-5)
    print('raised itself')
except OSError:
    print('stays')
"""
    journey.start_training(SKLEARN, journey.upload_source(script))
    journey.wait()
    log = journey.log()
    nice, batch = json.loads(next(line for line in log if line.startswith("STANDING"))[9:])
    front = int((journey.server.data_dir / "run" / "front.pid").read_text())
    assert nice > os.getpriority(os.PRIO_PROCESS, front)
    assert batch
    assert os.sched_getscheduler(front) == os.SCHED_OTHER
    assert "stays" in log


def test_a_refused_call_makes_nothing(tight: RunningServer) -> None:
    """Constraints answer ValidationException, and no half of the noun stays."""
    sagemaker = tight.client("sagemaker")
    request = {
        "TrainingJobName": "half-made",
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": SKLEARN, "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/o"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        "StoppingCondition": {"MaxRuntimeInSeconds": 10},
    }
    wrong = (
        {"RoleArn": "arn:aws:iam::0:role/x" * 200},
        {"HyperParameters": {"k": "v" * 3000}},
        {"OutputDataConfig": {"S3OutputPath": "http://elsewhere"}},
        {"Tags": [{"Key": "aws:bad\x00", "Value": "v"}]},
    )
    for change in wrong:
        with pytest.raises(ClientError, match="ValidationException"):
            sagemaker.create_training_job(**(request | change))
        with pytest.raises(ClientError, match="Requested resource not found"):
            sagemaker.describe_training_job(TrainingJobName="half-made")
