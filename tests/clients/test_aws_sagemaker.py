"""``aws sagemaker`` as it comes, its waiters too: train, deploy, ask and delete from a shell."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.testing.server import RunningServer
from tests.clients.test_aws_s3 import aws

pytestmark = pytest.mark.clients

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
ROLE = "arn:aws:iam::000000000000:role/ModelyardRole"
SCRIPT = """
import os

def model_fn(model_dir):
    return int(open(model_dir + '/model').read())

def transform_fn(model, body, content_type, accept):
    return str(model + int(body)), 'text/plain'

if __name__ == '__main__':
    open(os.environ['SM_MODEL_DIR'] + '/model', 'w').write('41')
    print('loss=0.5;')
"""


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[dict[str, str]]:
    with RunningServer(tmp_path / "data", ephemeral=True) as server:
        yield {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_PAGER": "", **server.environment}


@pytest.mark.timeout(240)
def test_train_wait_deploy_wait_ask_and_delete(shell: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    os.system(f"tar -C {tmp_path} -czf {tmp_path}/sourcedir.tar.gz train.py")
    aws(shell, "s3", "mb", "s3://cli")
    aws(shell, "s3", "cp", str(tmp_path / "sourcedir.tar.gz"), "s3://cli/sourcedir.tar.gz")
    hyper = {"sagemaker_program": "train.py", "sagemaker_submit_directory": "s3://cli/sourcedir.tar.gz"}
    made = aws(
        shell,
        *("sagemaker", "create-training-job", "--training-job-name", "cli", "--role-arn", ROLE),
        *("--algorithm-specification", f"TrainingImage={IMAGE},TrainingInputMode=File"),
        *("--hyper-parameters", json.dumps(hyper)),
        *("--output-data-config", "S3OutputPath=s3://cli/output"),
        *("--resource-config", "InstanceType=ml.m5.large,InstanceCount=1,VolumeSizeInGB=1"),
        *("--stopping-condition", "MaxRuntimeInSeconds=120"),
    )
    assert json.loads(made)["TrainingJobArn"].endswith(":training-job/cli")
    aws(shell, "sagemaker", "wait", "training-job-completed-or-stopped", "--training-job-name", "cli")
    job = json.loads(aws(shell, "sagemaker", "describe-training-job", "--training-job-name", "cli"))
    assert job["TrainingJobStatus"] == "Completed", job
    events = aws(shell, "logs", "filter-log-events", "--log-group-name", "/aws/sagemaker/TrainingJobs")
    assert "loss=0.5;" in events
    variables = {"SAGEMAKER_PROGRAM": "train.py", "SAGEMAKER_SUBMIT_DIRECTORY": "s3://cli/sourcedir.tar.gz"}
    container = {"Image": IMAGE, "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"], "Environment": variables}
    aws(
        shell,
        *("sagemaker", "create-model", "--model-name", "cli", "--execution-role-arn", ROLE),
        *("--primary-container", json.dumps(container)),
    )
    variant = "VariantName=A,ModelName=cli,InstanceType=ml.m5.large,InitialInstanceCount=1"
    aws(
        shell,
        *("sagemaker", "create-endpoint-config", "--endpoint-config-name", "cli", "--production-variants", variant),
    )
    aws(shell, "sagemaker", "create-endpoint", "--endpoint-name", "cli", "--endpoint-config-name", "cli")
    aws(shell, "sagemaker", "wait", "endpoint-in-service", "--endpoint-name", "cli")
    answer = tmp_path / "answer"
    body = tmp_path / "body"
    body.write_text("1")
    aws(
        shell,
        *("sagemaker-runtime", "invoke-endpoint", "--endpoint-name", "cli", "--body", f"fileb://{body}", str(answer)),
    )
    assert answer.read_text() == "42"
    aws(shell, "sagemaker", "delete-endpoint", "--endpoint-name", "cli")
    aws(shell, "sagemaker", "wait", "endpoint-deleted", "--endpoint-name", "cli")
    assert "cli" not in aws(shell, "sagemaker", "list-endpoints")
