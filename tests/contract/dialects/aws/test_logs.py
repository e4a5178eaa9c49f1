"""CloudWatch Logs over real jobs' log files, as boto3, SDK v2 (polling) and SDK v3 (FilterLogEvents) read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from modelyard.app.house import House, open_house
from modelyard.app.settings import Settings
from modelyard.core.jobs.model import JobSpec, NewJob, Resources
from modelyard.dialects.aws.logs import EndpointLogs, JobLogs, logs_service
from modelyard.dialects.aws.logs.sources import TRAINING_JOBS
from tests.contract.dialects.aws.door import opened

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
START = 1_700_000_000_000

Lines = list[tuple[int, str]]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = open_house(Settings(data_dir=tmp_path_factory.mktemp("house")))
    yield house
    house.close()


@pytest.fixture(scope="module")
def logs(house: House) -> Iterator[Any]:
    with opened([logs_service([JobLogs(house.jobs), EndpointLogs(house.deployments)])]) as door:
        yield door.client("logs")


@pytest.fixture(scope="module")
def job(house: House) -> Callable[..., tuple[str, list[Path]]]:
    def make(name: str, hosts: int = 1) -> tuple[str, list[Path]]:
        """A queued job; its streams' prefix and the files that its hosts would print to."""
        spec = JobSpec(image=IMAGE, resources=Resources("ml.m5.large", hosts), output="s3://bucket/out")
        made = house.jobs.create(NewJob("training", "sagemaker", "eu-west-1", spec, {}, name=name))
        folder = house.job_folders.attempt(made.id, 0) / "log"
        folder.mkdir(parents=True)
        return f"{name}/", [folder / f"{host}.log" for host in spec.resources.hosts]

    return make


def write(path: Path, lines: Lines) -> None:
    with path.open("a") as file:
        file.writelines(f"{at}\t{text}\n" for at, text in lines)


def messages(page: dict[str, Any]) -> list[str]:
    return [event["message"] for event in page["events"]]


def streams_of(logs: Any, prefix: str, **more: Any) -> list[dict[str, Any]]:
    answer = logs.describe_log_streams(logGroupName=TRAINING_JOBS, logStreamNamePrefix=prefix, **more)
    assert "nextToken" not in answer
    found: list[dict[str, Any]] = answer["logStreams"]
    return found


def test_each_hosts_stream_is_there_from_the_start(logs: Any, job: Any) -> None:
    prefix, _files = job("silent", hosts=3)
    found = streams_of(logs, prefix, orderBy="LogStreamName", limit=3)
    names = [stream["logStreamName"] for stream in found]
    assert [name.rpartition("-")[0] for name in names] == [f"{prefix}algo-{host}" for host in (1, 2, 3)]
    assert "lastEventTimestamp" not in found[0]
    assert found[0]["arn"].endswith(f":log-group:{TRAINING_JOBS}:log-stream:{names[0]}")
    page = logs.get_log_events(logGroupName=TRAINING_JOBS, logStreamName=names[0], startFromHead=True)
    assert page["events"] == []
    reverse = streams_of(logs, prefix, descending=True)
    assert [stream["logStreamName"] for stream in reverse] == names[::-1]


def test_following_with_the_forward_token(logs: Any, job: Any) -> None:
    prefix, [file] = job("followed")
    name = streams_of(logs, prefix)[0]["logStreamName"]
    seen: list[str] = []
    token: dict[str, str] = {}
    for batch in range(4):
        write(file, [(START + batch, f"{batch}-{line}") for line in range(3)])
        for _ in range(2):
            page = logs.get_log_events(logGroupName=TRAINING_JOBS, logStreamName=name, startFromHead=True, **token)
            seen += messages(page)
            token = {"nextToken": page["nextForwardToken"]}
        assert page["events"] == []
    again = logs.get_log_events(logGroupName=TRAINING_JOBS, logStreamName=name, **token)
    assert (again["events"], again["nextForwardToken"]) == ([], token["nextToken"])
    assert seen == [f"{batch}-{line}" for batch in range(4) for line in range(3)]


def test_a_line_counts_once_it_is_whole(logs: Any, job: Any) -> None:
    prefix, [file] = job("halfway")
    name = streams_of(logs, prefix)[0]["logStreamName"]
    file.write_text(f"{START}\tone\n{START}\ttw")
    page = logs.get_log_events(logGroupName=TRAINING_JOBS, logStreamName=name, startFromHead=True)
    assert messages(page) == ["one"]
    with file.open("a") as end:
        end.write("o\n")
    token = page["nextForwardToken"]
    assert messages(logs.get_log_events(logGroupName=TRAINING_JOBS, logStreamName=name, nextToken=token)) == ["two"]


def test_the_newest_page_and_backward_from_it(logs: Any, job: Any) -> None:
    prefix, [file] = job("long")
    write(file, [(START + number, f"line {number}") for number in range(100)])
    name = streams_of(logs, prefix)[0]["logStreamName"]
    page = logs.get_log_events(logGroupName=TRAINING_JOBS, logStreamName=name, limit=30)
    collected = messages(page)
    assert collected == [f"line {number}" for number in range(70, 100)]
    while page["events"]:
        token = page["nextBackwardToken"]
        page = logs.get_log_events(logGroupName=TRAINING_JOBS, logStreamName=name, limit=30, nextToken=token)
        collected = messages(page) + collected
    assert collected == [f"line {number}" for number in range(100)]


def test_times_bound_what_is_read(logs: Any, job: Any) -> None:
    prefix, [file] = job("timed")
    write(file, [(START + 10 * number, str(number)) for number in range(20)])
    name = streams_of(logs, prefix)[0]["logStreamName"]
    page = logs.get_log_events(
        logGroupName=TRAINING_JOBS, logStreamName=name, startTime=START + 30, endTime=START + 60, startFromHead=True
    )
    assert messages(page) == ["3", "4", "5"]
    assert [event["timestamp"] for event in page["events"]] == [START + 30, START + 40, START + 50]


def test_a_page_is_at_most_a_megabyte(logs: Any, job: Any) -> None:
    prefix, [file] = job("wide")
    write(file, [(START, "x" * 100_000) for _ in range(30)])
    name = streams_of(logs, prefix)[0]["logStreamName"]
    lengths, token = [], {}
    while True:
        page = logs.get_log_events(logGroupName=TRAINING_JOBS, logStreamName=name, startFromHead=True, **token)
        if not page["events"]:
            break
        lengths.append(len(page["events"]))
        token = {"nextToken": page["nextForwardToken"]}
    assert sum(lengths) == 30
    assert max(lengths) <= 11


@pytest.mark.parametrize(
    ("request_of", "words"),
    [
        ({"logGroupName": "/aws/nothing"}, "The specified log group does not exist."),
        ({"logGroupName": "/aws/sagemaker/Endpoints/none"}, "The specified log group does not exist."),
        ({"logGroupName": TRAINING_JOBS}, "The specified log stream does not exist."),
    ],
)
def test_what_is_not_there_keeps_its_suffix(logs: Any, request_of: dict[str, str], words: str) -> None:
    with pytest.raises(logs.exceptions.ResourceNotFoundException) as refused:
        logs.get_log_events(**request_of, logStreamName="none/algo-1-1")
    assert refused.value.response["Error"] == {"Code": "ResourceNotFoundException", "Message": words}


@pytest.mark.parametrize("token", ["x", "f/1", f"f/{'9' * 56}", f"g/{0:056d}"])
def test_a_token_must_be_one_of_ours(logs: Any, job: Any, token: str) -> None:
    with pytest.raises(logs.exceptions.InvalidParameterException, match="nextToken is invalid"):
        logs.get_log_events(logGroupName=TRAINING_JOBS, logStreamName="a/b", nextToken=token)
    with pytest.raises(logs.exceptions.InvalidParameterException, match="nextToken is invalid"):
        logs.filter_log_events(logGroupName=TRAINING_JOBS, nextToken=token)


def test_a_search_merges_hosts_by_time_and_pages(logs: Any, job: Any) -> None:
    prefix, files = job("searched", hosts=2)
    for host, file in enumerate(files):
        write(file, [(START + 2 * number + host, f"host {host} step {number}") for number in range(50)])
    for limit in (1, 7, 100, 10_000):
        found, token, pages = [], {}, 0
        while True:
            page = logs.filter_log_events(logGroupName=TRAINING_JOBS, logStreamNamePrefix=prefix, limit=limit, **token)
            found += page["events"]
            pages += 1
            if "nextToken" not in page:
                break
            token = {"nextToken": page["nextToken"]}
        assert [event["timestamp"] for event in found] == [START + number for number in range(100)]
        assert len({event["eventId"] for event in found}) == 100
        assert pages == (100 // limit + 1 if limit <= 100 else 1)


def test_a_search_by_pattern_time_and_stream(logs: Any, job: Any) -> None:
    prefix, files = job("filtered", hosts=2)
    write(files[0], [(START, "loss 0.5 epoch 1"), (START + 5, "ERROR disk"), (START + 9, 'a "b" c')])
    write(files[1], [(START + 3, "WARN slow"), (START + 7, "loss 0.4 epoch 2")])

    def found(**more: Any) -> list[str]:
        return messages(logs.filter_log_events(logGroupName=TRAINING_JOBS, logStreamNamePrefix=prefix, **more))

    assert found(filterPattern="loss") == ["loss 0.5 epoch 1", "loss 0.4 epoch 2"]
    assert found(filterPattern='loss "epoch 2"') == ["loss 0.4 epoch 2"]
    assert found(filterPattern="?ERROR ?WARN") == ["WARN slow", "ERROR disk"]
    assert found(filterPattern='loss -"epoch 1"') == ["loss 0.4 epoch 2"]
    assert found(filterPattern=r'"a \"b\""') == ['a "b" c']
    assert found(filterPattern="") == found()
    assert found(startTime=START + 3, endTime=START + 7) == ["WARN slow", "ERROR disk"]
    streams = [stream["logStreamName"] for stream in streams_of(logs, prefix)]
    only = logs.filter_log_events(logGroupName=TRAINING_JOBS, logStreamNames=streams[1:])
    assert messages(only) == ["WARN slow", "loss 0.4 epoch 2"]


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [('{ $.a = "b" }', "JSON"), ("[a, b]", "space-delimited"), ("%AUTH%", "regular-expression"), ('"open', "quote")],
)
def test_other_patterns_are_refused_by_name(logs: Any, pattern: str, kind: str) -> None:
    with pytest.raises(logs.exceptions.InvalidParameterException, match=kind):
        logs.filter_log_events(logGroupName=TRAINING_JOBS, filterPattern=pattern)


def test_streams_by_last_event(logs: Any, job: Any) -> None:
    for number, name in enumerate(("late", "later", "latest")):
        write(job(name)[1][0], [(START + 10**9 + number, "x")])
    answer = logs.describe_log_streams(logGroupName=TRAINING_JOBS, orderBy="LastEventTime", descending=True, limit=3)
    names = [stream["logStreamName"].partition("/")[0] for stream in answer["logStreams"]]
    assert names == ["latest", "later", "late"]
    with pytest.raises(ClientError, match="Cannot order by LastEventTime"):
        streams_of(logs, "late", orderBy="LastEventTime")
    assert {stream["logStreamName"].partition("/")[0] for stream in streams_of(logs, "late")} == {*names}


def test_groups(logs: Any) -> None:
    groups = logs.describe_log_groups(logGroupNamePrefix="/aws/sagemaker")["logGroups"]
    assert [group["logGroupName"] for group in groups] == [TRAINING_JOBS]
    arn = groups[0]["logGroupArn"]
    assert logs.describe_log_streams(logGroupIdentifier=arn)["logStreams"]
    assert logs.describe_log_groups(logGroupNamePrefix="/other")["logGroups"] == []


def test_constraints_in_the_services_words(logs: Any) -> None:
    with pytest.raises(ClientError) as refused:
        logs.get_log_events(logGroupName="bad name", logStreamName="x", limit=10_001)
    assert refused.value.response["Error"] == {
        "Code": "InvalidParameterException",
        "Message": "2 validation errors detected: Value 'bad name' at 'logGroupName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+; Value '10001' at 'limit' failed to "
        "satisfy constraint: Member must have value less than or equal to 10000",
    }
