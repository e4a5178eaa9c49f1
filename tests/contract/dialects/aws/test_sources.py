"""Logs of endpoints and metrics of jobs, from the core services themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelyard.base.errors import NotFound
from modelyard.base.paging import Listing, Page
from modelyard.core.jobs import logs as files
from modelyard.core.jobs.model import LogPage, LogStream, Metric
from modelyard.dialects.aws.logs import EndpointLogs, logs_service
from modelyard.dialects.aws.monitoring import JobMetrics
from tests.contract.dialects.aws.door import opened

GROUP = "/aws/sagemaker/Endpoints/flowers"


@dataclass(frozen=True)
class Named:
    name: str
    created: float = 5.0


class Endpoints:
    """What EndpointLogs asks of DeploymentService, over two workers' files."""

    def __init__(self, folder: Path) -> None:
        self.files = {f"{variant}/{variant}-worker": folder / f"{variant}.log" for variant in ("green", "blue")}

    def get(self, name: str) -> Named:
        if name not in ("flowers", "an-id"):
            raise NotFound(kind="endpoint", name=name)
        return Named("flowers")

    def list(self, listing: Listing) -> Page[Named]:
        if listing.after is None and (listing.name_contains or "") in "flowers":
            return Page((Named("flowers"),))
        return Page(())

    def log_streams(self, _endpoint: Named) -> tuple[LogStream, ...]:
        return tuple(LogStream(name, "", 5.0, *files.span(path)) for name, path in self.files.items())

    def read_log(self, _endpoint: Named, stream: str, window: files.Window) -> LogPage:
        if stream not in self.files:
            raise NotFound(kind="log stream", name=stream)
        return files.read_page(self.files[stream], window)


@pytest.fixture
def endpoints(tmp_path: Path) -> Endpoints:
    return Endpoints(tmp_path)


@pytest.fixture
def logs(endpoints: Endpoints) -> Iterator[Any]:
    source: Any = endpoints
    with opened([logs_service([EndpointLogs(source)])]) as door:
        yield door.client("logs")


def test_an_endpoints_streams_begin_with_their_variant(logs: Any, endpoints: Endpoints) -> None:
    endpoints.files["blue/blue-worker"].write_text("7000\tready\n")
    streams = logs.describe_log_streams(logGroupName=GROUP)["logStreams"]
    assert [stream["logStreamName"] for stream in streams] == ["blue/blue-worker", "green/green-worker"]
    assert (streams[0]["creationTime"], streams[0]["lastEventTimestamp"]) == (5000, 7000)
    found = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix="green/")["logStreams"]
    assert [stream["logStreamName"] for stream in found] == ["green/green-worker"]


def test_an_endpoints_lines_are_found(logs: Any, endpoints: Endpoints) -> None:
    endpoints.files["blue/blue-worker"].write_text("1000\tone\n3000\tthree\n")
    endpoints.files["green/green-worker"].write_text("2000\ttwo\n")
    events = logs.filter_log_events(logGroupName=GROUP)["events"]
    assert [(event["message"], event["logStreamName"][:4]) for event in events] == [
        ("one", "blue"),
        ("two", "gree"),
        ("three", "blue"),
    ]
    page = logs.get_log_events(logGroupName=GROUP, logStreamName="blue/blue-worker")
    assert [event["timestamp"] for event in page["events"]] == [1000, 3000]


def test_an_endpoints_group_goes_by_its_name_alone(logs: Any) -> None:
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.describe_log_streams(logGroupName="/aws/sagemaker/Endpoints/an-id")
    for prefix, names in (("/aws", [GROUP]), (GROUP, [GROUP]), (GROUP[:-2], [GROUP]), (f"{GROUP}s", [])):
        groups = logs.describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]
        assert [group["logGroupName"] for group in groups] == names


class Jobs:
    """What JobMetrics asks of JobService: jobs named after their number of hosts."""

    def get(self, name: str) -> Any:
        if name not in ("one", "two"):
            raise NotFound(kind="job", name=name)
        hosts = ("algo-1",) if name == "one" else ("algo-1", "algo-2")
        return type("Job", (), {"spec": type("Spec", (), {"resources": type("R", (), {"hosts": hosts})})})

    def metrics(self, _job: Any, name: str) -> tuple[Metric, ...]:
        return (Metric(name, 1.0, 2.0),)

    def usage(self, job: Any, host: str) -> tuple[Metric, ...]:
        return (Metric("CPUUtilization", 170.0, 2.0),) if host in job.spec.resources.hosts else ()


@pytest.mark.parametrize(
    ("name", "dimensions", "wanted"),
    [
        ("loss", {"TrainingJobName": "one"}, ("None", 1)),
        ("loss", {"TrainingJobName": "two"}, ("None", 1)),
        ("loss", {"TrainingJobName": "three"}, ("None", 0)),
        ("loss", {"TrainingJobName": "one/algo-1"}, ("None", 0)),
        ("loss", {"Host": "one/algo-1"}, ("Percent", 0)),
        ("CPUUtilization", {"Host": "one/algo-1"}, ("Percent", 1)),
        ("CPUUtilization", {"Host": "one/algo-2"}, ("Percent", 0)),
        ("CPUUtilization", {"Host": "two/algo-1"}, ("Percent", 1)),
        ("CPUUtilization", {"Host": "two/algo-2"}, ("Percent", 1)),
        ("CPUUtilization", {"Host": "two"}, ("Percent", 0)),
        ("CPUUtilization", {"Host": "three/algo-1"}, ("None", 0)),
        ("loss", {"TrainingJobName": "one", "Host": "one/algo-1"}, ("None", 0)),
        ("loss", {"Other": "one"}, ("None", 0)),
        ("loss", {}, ("None", 0)),
    ],
)
def test_a_jobs_metrics_by_dimension(name: str, dimensions: dict[str, str], wanted: tuple[str, int]) -> None:
    jobs: Any = Jobs()
    series = JobMetrics(jobs).series("/aws/sagemaker/TrainingJobs", name, dimensions)
    assert (series.unit, len(series.points)) == wanted
    assert JobMetrics(jobs).series("other", name, dimensions).points == ()
