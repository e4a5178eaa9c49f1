"""CloudWatch Logs as SageMaker's SDKs, the AWS CLI and people read it.

Owns tokens and refusals (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/). Streams are
never paged: the SDK v2 asks again for ever when it sees a token there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from typing import Any

from modelyard.base.errors import ModelyardError, NotFound
from modelyard.core.jobs.logs import Window
from modelyard.core.jobs.model import LogLine, LogStream
from modelyard.dialects.aws.logs.pattern import BadPattern, matcher
from modelyard.dialects.aws.logs.search import Place, search
from modelyard.dialects.aws.logs.sources import LogGroup, LogSource
from modelyard.dialects.aws.protocol import AwsError, AwsService, Call
from modelyard.dialects.aws.protocol.errors import from_core

Request = dict[str, Any]

MOST_STREAMS = 1_000
"""Streams that are looked at and shown when no limit is given."""

_TOKEN = re.compile(r"([fb])/(\d{56})")
_GROUP_ARN = re.compile(r"arn:[^:]+:logs:[^:]*:[^:]*:log-group:([^:]+)(?::\*)?")


class LogOperations:
    """The operations on groups and streams of ``sources``."""

    def __init__(self, sources: Sequence[LogSource]) -> None:
        self._sources = sources

    def describe_log_groups(self, call: Call, request: Request) -> Request:
        prefix, part = request.get("logGroupNamePrefix", ""), request.get("logGroupNamePattern", "")
        if prefix and part:
            raise _invalid("logGroupNamePrefix and logGroupNamePattern are mutually exclusive parameters.")
        after, limit = request.get("nextToken", ""), request.get("limit", 50)
        names = sorted(
            (group for source in self._sources for group in source.groups(prefix) if part in group.name),
            key=lambda group: group.name,
        )
        rest = [group for group in names if group.name > after]
        answer: Request = {"logGroups": [_group(call, group) for group in rest[:limit]]}
        if len(rest) > limit:
            answer["nextToken"] = rest[limit - 1].name
        return answer

    def describe_log_streams(self, call: Call, request: Request) -> Request:
        group, source = self._source(request)
        prefix = request.get("logStreamNamePrefix", "")
        by_time = request.get("orderBy") == "LastEventTime"
        if by_time and prefix:
            raise _invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
        streams = list(islice(source.streams(group, prefix, by_time), MOST_STREAMS))
        streams.sort(key=lambda stream: ((stream.last_at or 0) if by_time else 0, stream.name))
        if request.get("descending"):
            streams.reverse()
        return {"logStreams": [_stream(call, group, stream) for stream in streams[: request.get("limit")]]}

    def get_log_events(self, _call: Call, request: Request) -> Request:
        group, source = self._source(request)
        backward, offset = not request.get("startFromHead", False), None
        if "nextToken" in request:
            direction, offset = _position(request["nextToken"])
            backward = direction == "b"
        page = source.read(group, request["logStreamName"], _window(request, offset, backward))
        return {
            "events": [_event(line) for line in page.lines],
            "nextForwardToken": f"f/{page.end:056d}",
            "nextBackwardToken": f"b/{page.start:056d}",
        }

    def filter_log_events(self, _call: Call, request: Request) -> Request:
        group, source = self._source(request)
        if request.get("startFromHead") is False:
            raise _invalid("startFromHead=false is not served here; events come oldest first")
        try:
            matches = matcher(request.get("filterPattern", ""))
            after = Place.of(request["nextToken"]) if "nextToken" in request else None
        except BadPattern as error:
            raise _invalid(str(error)) from error
        except ValueError as error:
            raise _invalid("The specified nextToken is invalid.") from error
        found = search(source, group, self._searched(group, source, request), matches, _window(request), after)
        answer: Request = {
            "events": [
                {"logStreamName": stream, **_event(line), "eventId": f"{line.at:020d}{line.offset:036d}"}
                for stream, line in found.lines
            ],
            "searchedLogStreams": [],
        }
        if found.more is not None:
            answer["nextToken"] = found.more.token()
        return answer

    def _searched(self, group: str, source: LogSource, request: Request) -> list[str]:
        names, prefix = request.get("logStreamNames"), request.get("logStreamNamePrefix", "")
        if names and prefix:
            raise _invalid("logStreamNames and logStreamNamePrefix are mutually exclusive parameters.")
        if names:
            return sorted(set(names))
        since, until = request.get("startTime"), request.get("endTime")
        return [
            stream.name
            for stream in source.streams(group, prefix, newest_first=False)
            if stream.last_at is not None
            and (since is None or stream.last_at >= since)
            and (until is None or (stream.first_at or 0) < until)
        ]

    def _source(self, request: Request) -> tuple[str, LogSource]:
        group = _group_name(request)
        for source in self._sources:
            if source.has(group):
                return group, source
        raise NotFound(kind="log group", name=group)


def _group_name(request: Request) -> str:
    name, identifier = request.get("logGroupName"), request.get("logGroupIdentifier")
    if bool(name) == bool(identifier):
        raise _invalid("Exactly one of logGroupName and logGroupIdentifier must be given.")
    if name:
        return str(name)
    arn = _GROUP_ARN.fullmatch(identifier or "")
    return arn[1] if arn else str(identifier)


def _window(request: Request, offset: int | None = None, backward: bool = False) -> Window:
    return Window(offset, request.get("limit", 10_000), backward, request.get("startTime"), request.get("endTime"))


def _position(token: str) -> tuple[str, int]:
    found = _TOKEN.fullmatch(token)
    if found is None or int(found[2]) >= 1 << 63:
        raise _invalid("The specified nextToken is invalid.")
    return found[1], int(found[2])


def _event(line: LogLine) -> Request:
    return {"timestamp": line.at, "message": line.text, "ingestionTime": line.at}


def _group(call: Call, group: LogGroup) -> Request:
    arn = f"arn:aws:logs:{call.region}:{call.account}:log-group:{group.name}"
    return {
        "logGroupName": group.name,
        "creationTime": int(group.created * 1000),
        "metricFilterCount": 0,
        "arn": f"{arn}:*",
        "storedBytes": 0,
        "logGroupClass": "STANDARD",
        "logGroupArn": arn,
    }


def _stream(call: Call, group: str, stream: LogStream) -> Request:
    return {
        "logStreamName": stream.name,
        "creationTime": int(stream.created * 1000),
        "firstEventTimestamp": stream.first_at,
        "lastEventTimestamp": stream.last_at,
        "lastIngestionTime": stream.last_at,
        "uploadSequenceToken": "0",
        "arn": f"arn:aws:logs:{call.region}:{call.account}:log-group:{group}:log-stream:{stream.name}",
        "storedBytes": stream.size,
    }


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)


def to_aws(error: ModelyardError) -> AwsError | None:
    """CloudWatch Logs' answer to an error of the core."""
    if isinstance(error, NotFound):
        kind = "group" if error.fields["kind"] == "log group" else "stream"
        return AwsError("ResourceNotFoundException", f"The specified log {kind} does not exist.")
    return from_core(error)


def logs_service(sources: Sequence[LogSource]) -> AwsService:
    """CloudWatch Logs over these sources."""
    service = AwsService("logs", validation_code="InvalidParameterException", errors=to_aws)
    operations = LogOperations(sources)
    for name, function in (
        ("DescribeLogGroups", operations.describe_log_groups),
        ("DescribeLogStreams", operations.describe_log_streams),
        ("GetLogEvents", operations.get_log_events),
        ("FilterLogEvents", operations.filter_log_events),
    ):
        service.operation(name)(function)
    return service
