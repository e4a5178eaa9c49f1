"""What each host of a job used, over CloudWatch, while it runs and after it ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from .conftest import Journey

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
BUSY = """
import os, time
end = time.time() + 1.5
while os.environ["SM_CURRENT_HOST"] == "algo-2" and time.time() < end:
    sum(range(10_000))
time.sleep(max(0, end - time.time()))
"""


def test_every_host_says_what_it_used(journey: Journey) -> None:
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 5}
    journey.start_training(IMAGE, journey.upload_source(BUSY), ResourceConfig=resources)
    assert journey.wait()["TrainingJobStatus"] == "Completed", journey.log()
    cloudwatch = journey.server.client("cloudwatch")
    now = datetime.now(UTC)
    window = {"StartTime": now - timedelta(minutes=10), "EndTime": now + timedelta(minutes=1)}
    used = {}
    for host in ("algo-1", "algo-2", "algo-3"):
        metric = {
            "Namespace": "/aws/sagemaker/TrainingJobs",
            "MetricName": "CPUUtilization",
            "Dimensions": [{"Name": "Host", "Value": f"{journey.name}/{host}"}],
        }
        points = cloudwatch.get_metric_statistics(**metric, **window, Period=60, Statistics=["Maximum"])["Datapoints"]
        used[host] = [point["Maximum"] for point in points]
        query = {"Id": "used", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Maximum"}}
        [result] = cloudwatch.get_metric_data(MetricDataQueries=[query], **window)["MetricDataResults"]
        assert sorted(result["Values"]) == pytest.approx(sorted(used[host]))
        assert {point["Unit"] for point in points} <= {"Percent"}
    assert used["algo-3"] == []
    assert max(used["algo-2"]) > max(used["algo-1"]) >= 0
