"""Seconds from CreateTrainingJob to the first line of the user's script, on a warm environment.

    python -m benchmarks.first_line

Target: under 1 s (median). The time of the line is the supervisor's own stamp.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from modelyard.core.jobs.packing import packed
from modelyard.testing.server import RunningServer

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, RunningServer(Path(folder, "data")) as server:
        server.client("s3").create_bucket(Bucket="bench")
        server.client("s3").put_object(
            Bucket="bench", Key="source.tar.gz", Body=packed({"train.py": b"print('first line')\n"})
        )
        took = [_first_line(server, f"bench-{number}") for number in range(options.jobs)]
    took.sort()
    median = statistics.median(took)
    print(f"CreateTrainingJob to the script's first line over {len(took)} jobs, seconds:")
    print(f"median {median:.3f}  min {took[0]:.3f}  max {took[-1]:.3f}  target 1.0 {'pass' if median < 1 else 'miss'}")


def _first_line(server: RunningServer, name: str) -> float:
    sagemaker, logs = server.client("sagemaker"), server.client("logs")
    began = time.time()
    sagemaker.create_training_job(
        TrainingJobName=name,
        RoleArn="arn:aws:iam::000000000000:role/ModelyardRole",
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        HyperParameters={
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": "s3://bench/source.tar.gz",
        },
        OutputDataConfig={"S3OutputPath": "s3://bench/output"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )
    while (job := sagemaker.describe_training_job(TrainingJobName=name))["TrainingJobStatus"] == "InProgress":
        time.sleep(0.05)
    assert job["TrainingJobStatus"] == "Completed", job
    group = "/aws/sagemaker/TrainingJobs"
    [stream] = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
    events = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True)
    return next(event["timestamp"] for event in events["events"] if event["message"] == "first line") / 1000 - began


if __name__ == "__main__":
    main()
