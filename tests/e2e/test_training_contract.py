"""What the container contract promises a script, seen by scripts that run for real, asked through boto3."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import Journey
from tests.e2e.test_journeys import PYTORCH, SKLEARN, fetch, members


def channel(name: str, uri: str, kind: str = "S3Prefix", distribution: str = "", **more: str) -> dict[str, Any]:
    source: dict[str, str] = {"S3DataType": kind, "S3Uri": uri}
    if distribution:
        source["S3DataDistributionType"] = distribution
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, **more}


def hosts(count: int) -> dict[str, Any]:
    return {"InstanceType": "ml.m5.large", "InstanceCount": count, "VolumeSizeInGB": 5}


def ended(journey: Journey, status: str = "Completed") -> tuple[Any, list[str]]:
    job, log = journey.wait(), journey.log()
    assert job["TrainingJobStatus"] == status, (job, log)
    return job, log


def test_a_script_that_fails_is_quoted(journey: Journey) -> None:
    journey.start_training(SKLEARN, journey.upload_source("print('before')\nraise ValueError('no such column: rings')"))
    job, log = ended(journey, "Failed")
    assert job["SecondaryStatus"] == "Failed"
    assert "no such column: rings" in job["FailureReason"]
    assert "ExitCode 1" in job["FailureReason"]
    assert "before" in log


def test_of_two_hosts_the_one_that_failed_is_quoted(journey: Journey) -> None:
    script = """
import os, time
if os.environ['SM_CURRENT_HOST'] == 'algo-2':
    raise ValueError('only the second host fails')
time.sleep(60)
"""
    journey.start_training(SKLEARN, journey.upload_source(script), ResourceConfig=hosts(2))
    job, _ = ended(journey, "Failed")
    assert "only the second host fails" in job["FailureReason"]
    assert job["TrainingTimeInSeconds"] < 40


def test_the_failure_file_is_the_reason(journey: Journey) -> None:
    script = "open('/opt/ml/output/failure', 'w').write('x' * 2000)\nraise SystemExit(3)"
    journey.start_training(SKLEARN, journey.upload_source(script))
    job, _ = ended(journey, "Failed")
    assert job["FailureReason"].count("x") in range(1000, 1025)


def test_an_unknown_image_fails_at_once_and_names_those_that_would_do(journey: Journey) -> None:
    image = "000000000000.dkr.ecr.us-east-1.amazonaws.com/my-own:latest"
    journey.start_training(image, journey.upload_source("print(1)"))
    job, _ = ended(journey, "Failed")
    assert "sagemaker-scikit-learn" in job["FailureReason"]


def test_empty_input_is_named(journey: Journey) -> None:
    nowhere = f"s3://{journey.bucket}/{journey.name}/nothing/"
    with pytest.raises(ClientError, match="No S3 objects found under S3 URL") as refused:
        journey.start_training(SKLEARN, journey.upload_source("print(1)"), {"train": nowhere})
    assert f'"{nowhere}" given in input data source' in str(refused.value)
    with pytest.raises(ClientError, match="Requested resource not found"):
        journey.describe()


def test_stop_gives_the_script_time_and_keeps_its_model(journey: Journey) -> None:
    script = """
import os, signal, sys, time
def on_term(*_):
    open(os.environ['SM_MODEL_DIR'] + '/half.txt', 'w').write('half')
    os.write(1, b'told to stop\\n')
    sys.exit(0)
signal.signal(signal.SIGTERM, on_term)
print('ready', flush=True)
time.sleep(300)
"""
    journey.start_training(SKLEARN, journey.upload_source(script))
    until(lambda: "ready" in journey.log())
    journey.sagemaker.stop_training_job(TrainingJobName=journey.name)
    job, log = ended(journey, "Stopped")
    assert job["SecondaryStatus"] == "Stopped"
    assert "told to stop" in log
    assert members(journey, job["ModelArtifacts"]["S3ModelArtifacts"]) == {"half.txt"}
    with pytest.raises(ClientError, match=r"The request was rejected because the training job is in status Stopped\."):
        journey.sagemaker.stop_training_job(TrainingJobName=journey.name)


def until(condition: Any, timeout: float = 60) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def test_max_runtime_ends_a_script(journey: Journey) -> None:
    journey.start_training(
        SKLEARN, journey.upload_source("import time\ntime.sleep(300)"), StoppingCondition={"MaxRuntimeInSeconds": 2}
    )
    job, _ = ended(journey, "Stopped")
    assert job["SecondaryStatus"] == "MaxRuntimeExceeded"
    assert job["TrainingTimeInSeconds"] < 30


def test_requirements_are_satisfied_or_refused(journey: Journey) -> None:
    satisfied = journey.upload_source("import numpy; print('ok', numpy.__version__)", requirements_txt="numpy>=1.20\n")
    journey.start_training(SKLEARN, satisfied)
    _, log = ended(journey)
    assert any(line.startswith("ok ") for line in log)


@pytest.mark.parametrize("line", ["--index-url https://evil.example.org/simple", "git+https://example.org/x", "-e ."])
def test_requirements_that_reach_elsewhere_are_refused(journey: Journey, line: str) -> None:
    journey.start_training(SKLEARN, journey.upload_source("print(1)", requirements_txt=f"numpy\n{line}\n"))
    job, _ = ended(journey, "Failed")
    assert line.split(maxsplit=1)[0][:10] in job["FailureReason"]


def test_requirements_are_installed_in_a_cached_environment(journey: Journey) -> None:
    script = "import roman; print('roman', roman.toRoman(2026))"
    source = journey.upload_source(script, requirements_txt="roman==5.0\n")
    journey.start_training(SKLEARN, source)
    _, log = ended(journey)
    assert "roman MMXXVI" in log


def test_two_hosts_train_together_with_torch(journey: Journey) -> None:
    script = """
import json, os, torch, torch.distributed as dist
config = json.load(open('/opt/ml/input/config/resourceconfig.json'))
rank = config['hosts'].index(config['current_host'])
dist.init_process_group('gloo', init_method='tcp://algo-1:23456', rank=rank, world_size=len(config['hosts']))
value = torch.tensor([float(rank + 1)])
dist.all_reduce(value)
print('sum', value.item(), 'on', config['current_host'])
if rank == 0:
    open(os.environ['SM_MODEL_DIR'] + '/sum.txt', 'w').write(str(value.item()))
dist.destroy_process_group()  # left alone, torch's threads abort now and then while the other host ends
"""
    journey.start_training(PYTORCH, journey.upload_source(script), ResourceConfig=hosts(2))
    job, log = ended(journey)
    assert {"sum 3.0 on algo-1", "sum 3.0 on algo-2"} <= set(log)
    assert members(journey, job["ModelArtifacts"]["S3ModelArtifacts"]) == {"sum.txt"}


def test_every_kind_of_channel(journey: Journey) -> None:
    for number in range(4):
        journey.upload(f"parts/{number}.csv", f"{number}\n".encode())
    packed = journey.upload("packed/rows.csv.gz", gzip.compress(b"1,2,3\n")).rsplit("/", 1)[0]
    prefix = f"s3://{journey.bucket}/{journey.name}/parts/"
    manifest = journey.upload("list.manifest", json.dumps([{"prefix": prefix}, "1.csv", "3.csv"]).encode())
    script = """
import json, os
from pathlib import Path
host = os.environ['SM_CURRENT_HOST']
def files(name):
    root = Path('/opt/ml/input/data', name)
    return sorted(str(p.relative_to(root)) for p in root.rglob('*') if p.is_file())
for name in ('plain', 'fast', 'sharded', 'listed', 'packed'):
    print(host, name, files(name), flush=True)
print(host, 'unpacked', Path('/opt/ml/input/data/packed', files('packed')[0]).read_text().strip())
for epoch in (0, 1):
    with open(f'/opt/ml/input/data/piped_{epoch}', 'rb') as pipe:
        print(host, 'piped', epoch, pipe.read())
print(host, json.load(open('/opt/ml/input/config/inputdataconfig.json'))['fast']['TrainingInputMode'])
"""
    journey.start_training(
        SKLEARN,
        journey.upload_source(script),
        ResourceConfig=hosts(2),
        InputDataConfig=[
            channel("plain", prefix),
            channel("fast", prefix, InputMode="FastFile"),
            channel("sharded", prefix, distribution="ShardedByS3Key"),
            channel("listed", manifest, "ManifestFile"),
            channel("packed", packed, CompressionType="Gzip"),
            channel("piped", prefix, InputMode="Pipe"),
        ],
    )
    _, log = ended(journey)
    every = "['0.csv', '1.csv', '2.csv', '3.csv']"
    for host in ("algo-1", "algo-2"):
        for name in ("plain", "fast"):
            assert f"{host} {name} {every}" in log
        assert f"{host} listed ['1.csv', '3.csv']" in log
        assert f"{host} unpacked 1,2,3" in log
        for epoch in (0, 1):
            assert f"{host} piped {epoch} b'0\\n1\\n2\\n3\\n'" in log
        assert f"{host} FastFile" in log
    shards = [line.split("sharded ", 1)[1] for line in log if " sharded " in line]
    assert sorted(name for shard in shards for name in eval(shard)) == ["0.csv", "1.csv", "2.csv", "3.csv"]
    assert all(len(eval(shard)) == 2 for shard in shards)


def test_checkpoints_are_kept_and_restored(journey: Journey) -> None:
    script = """
import os
path = '/opt/ml/checkpoints/epoch.txt'
epoch = int(open(path).read()) if os.path.exists(path) else 0
print('starting at', epoch)
open(path, 'w').write(str(epoch + 5))
"""
    source = journey.upload_source(script)
    place = {"S3Uri": f"s3://{journey.bucket}/{journey.name}/checkpoints"}
    journey.start_training(SKLEARN, source, CheckpointConfig=place)
    _, log = ended(journey)
    assert "starting at 0" in log
    assert fetch(journey, f"{place['S3Uri']}/epoch.txt") == b"5"
    journey.name += "-again"
    journey.start_training(SKLEARN, source, CheckpointConfig=place)
    _, log = ended(journey)
    assert "starting at 5" in log


def test_a_script_that_calls_boto3_reaches_the_server_with_its_session(journey: Journey) -> None:
    script = """
import boto3
print('account', boto3.client('sts').get_caller_identity()['Account'])
boto3.client('s3').put_object(Bucket='journeys', Key='from-within', Body=b'hello')
"""
    journey.start_training(SKLEARN, journey.upload_source(script))
    _, log = ended(journey)
    assert "account 000000000000" in log
    assert fetch(journey, "s3://journeys/from-within") == b"hello"


def test_an_isolated_job_has_no_network_and_no_credentials(journey: Journey) -> None:
    script = f"""
import os, socket
try:
    socket.create_connection(('127.0.0.1', {journey.server.port}), 2)
    print('reached')
except OSError as error:
    print('refused', type(error).__name__)
print('keys', sorted(k for k in os.environ if 'ACCESS_KEY' in k))
"""
    journey.start_training(SKLEARN, journey.upload_source(script), EnableNetworkIsolation=True)
    _, log = ended(journey)
    assert any(line.startswith("refused") for line in log), log
    assert "keys []" in log


def test_memory_is_bounded_and_named(journey: Journey) -> None:
    script = "x = []\nwhile True: x.append(bytearray(64 << 20))"
    journey.start_training(SKLEARN, journey.upload_source(script))
    job, _ = ended(journey, "Failed")
    assert "memory" in job["FailureReason"].lower(), job["FailureReason"]


def test_jobs_are_told_their_world(journey: Journey) -> None:
    script = """
import json, os
shown = {k: os.environ[k] for k in ('TRAINING_JOB_NAME', 'TRAINING_JOB_ARN', 'AWS_REGION', 'SM_HP_DEPTH', 'MINE')}
print('WORLD', json.dumps(shown, sort_keys=True))
import sys; print('ARGS', sys.argv[1:])
"""
    source = journey.upload_source(script)
    journey.start_training(SKLEARN, source, hyper={"depth": "3", "alpha": '"text"'}, Environment={"MINE": "yes"})
    _, log = ended(journey)
    world = json.loads(next(line for line in log if line.startswith("WORLD"))[6:])
    assert world["TRAINING_JOB_NAME"] == journey.name
    assert world["TRAINING_JOB_ARN"].endswith(f":training-job/{journey.name}")
    assert (world["SM_HP_DEPTH"], world["MINE"]) == ("3", "yes")
    assert "ARGS ['--alpha', 'text', '--depth', '3']" in log
