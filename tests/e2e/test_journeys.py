"""The main job through boto3: three frameworks train, deploy and predict as the same model does outside."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LogisticRegression

from tests.e2e.conftest import SCRIPTS, Journey

SKLEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
XGBOOST = "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:1.7-1"
PYTORCH = "763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch-training:2.3-cpu-py311"
ABALONE = Path(__file__).parents[1] / "data" / "abalone" / "abalone.libsvm"


def iris_csv() -> bytes:
    data = load_iris()
    lines = ["a,b,c,d,target"]
    lines += [",".join(map(repr, [*row.tolist(), int(label)])) for row, label in zip(*data_pair(data), strict=True)]
    return "\n".join(lines).encode()


def data_pair(data: Any) -> tuple[Any, Any]:
    return data.data, data.target


def test_sklearn_on_iris_trains_deploys_updates_and_goes(journey: Journey) -> None:
    source = journey.upload_source(SCRIPTS / "sklearn_iris")
    train = journey.upload("data/iris.csv", iris_csv()).rsplit("/", 1)[0]
    journey.start_training(SKLEARN, source, {"train": train}, {"C": "0.5"})
    job = journey.wait()
    assert job["TrainingJobStatus"] == "Completed", (job, journey.log())
    X, y = data_pair(load_iris())
    outside = LogisticRegression(C=0.5, max_iter=500).fit(X, y)
    score = next(m["Value"] for m in job["FinalMetricDataList"] if m["MetricName"] == "validation:score")
    assert score == pytest.approx(outside.score(X, y), abs=1e-6)
    statuses = [entry["Status"] for entry in job["SecondaryStatusTransitions"]]
    assert statuses == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    log = journey.log()
    assert any("scikit-learn" in line for line in log[:1]), log[:3]
    assert any(line.startswith("score=") for line in log)

    artifact = job["ModelArtifacts"]["S3ModelArtifacts"]
    assert artifact == f"s3://{journey.bucket}/output/{journey.name}/output/model.tar.gz"
    assert members(journey, artifact) == {"model.joblib"}
    assert members(journey, artifact.replace("model.tar.gz", "output.tar.gz")) == {"coefficients.txt"}

    assert journey.deploy(SKLEARN, artifact, source)["EndpointStatus"] == "InService"
    rows = X[::7]
    as_json = journey.invoke(json.dumps(rows.tolist()).encode(), "application/json", "application/json")
    assert json.loads(as_json["Body"].read()) == outside.predict(rows).tolist()
    body = io.BytesIO()
    np.save(body, rows)
    as_npy = journey.invoke(body.getvalue(), "application/x-npy", "application/x-npy")
    assert np.load(io.BytesIO(as_npy["Body"].read())).tolist() == outside.predict(rows).tolist()
    assert as_npy["InvokedProductionVariant"] == "AllTraffic"

    journey.create_config(f"{journey.name}-2", [(journey.name, "A", 1, 1), (journey.name, "B", 3, 2)])
    journey.sagemaker.update_endpoint(EndpointName=journey.name, EndpointConfigName=f"{journey.name}-2")
    endpoint = journey.settled(journey.name)
    assert endpoint["EndpointConfigName"] == f"{journey.name}-2"
    assert {v["VariantName"]: v["CurrentInstanceCount"] for v in endpoint["ProductionVariants"]} == {"A": 1, "B": 2}
    hits = [
        journey.invoke(b"[[5.1, 3.5, 1.4, 0.2]]", "application/json", "application/json")["InvokedProductionVariant"]
        for _ in range(40)
    ]
    assert 9 <= hits.count("A") <= 11
    aimed = journey.invoke(b"[[5.1, 3.5, 1.4, 0.2]]", "application/json", "application/json", TargetVariant="A")
    assert aimed["InvokedProductionVariant"] == "A"

    journey.delete_endpoint()
    with pytest.raises(ClientError, match="not found"):
        journey.invoke(b"[[1, 2, 3, 4]]", "application/json", "application/json")


def test_xgboost_on_abalone(journey: Journey, tmp_path: Path) -> None:
    source = journey.upload_source(SCRIPTS / "xgboost_abalone")
    train = journey.upload("data/abalone.libsvm", ABALONE.read_bytes()).rsplit("/", 1)[0]
    journey.start_training(XGBOOST, source, {"train": train}, {"num_round": "15", "max_depth": "3"})
    job = journey.wait()
    assert job["TrainingJobStatus"] == "Completed", (job, journey.log())
    endpoint = journey.deploy(XGBOOST, job["ModelArtifacts"]["S3ModelArtifacts"], source)
    assert endpoint["EndpointStatus"] == "InService", endpoint
    rows = ABALONE.read_bytes().splitlines()[:20]
    answer = journey.invoke(b"\n".join(rows), "text/libsvm", "text/csv")["Body"].read().decode()
    got = [float(value) for value in answer.replace("\n", ",").strip(",").split(",")]
    assert got == pytest.approx(_train_outside("xgboost_abalone", tmp_path, rows), rel=1e-5)
    journey.delete_endpoint()


def _train_outside(script: str, folder: Path, rows: list[bytes]) -> list[float]:
    """The same script in a plain process, its model asked directly."""
    import xgboost

    (folder / "rows.libsvm").write_bytes(b"\n".join(rows))
    variables = {"SM_CHANNEL_TRAIN": str(ABALONE.parent), "SM_MODEL_DIR": str(folder), "PATH": "/usr/bin"}
    command = [sys.executable, str(SCRIPTS / script / "train.py"), "--num_round", "15", "--max_depth", "3"]
    subprocess.run(command, env=variables, check=True, capture_output=True)
    booster = xgboost.Booster()
    booster.load_model(folder / "xgboost-model")
    return booster.predict(xgboost.DMatrix(f"{folder}/rows.libsvm?format=libsvm")).tolist()


def test_pytorch_on_digits(journey: Journey) -> None:
    X, y = data_pair(load_digits())
    packed = io.BytesIO()
    np.savez(packed, X=X / 16.0, y=y)
    source = journey.upload_source(SCRIPTS / "torch_digits")
    train = journey.upload("data/digits.npz", packed.getvalue()).rsplit("/", 1)[0]
    journey.start_training(PYTORCH, source, {"train": train})
    job = journey.wait()
    assert job["TrainingJobStatus"] == "Completed", (job, journey.log())
    artifact = job["ModelArtifacts"]["S3ModelArtifacts"]
    endpoint = journey.deploy(PYTORCH.replace("training", "inference"), artifact, source)
    assert endpoint["EndpointStatus"] == "InService", endpoint
    body = io.BytesIO()
    np.save(body, (X[:50] / 16.0).astype("float32"))
    answer = journey.invoke(body.getvalue(), "application/x-npy", "application/x-npy")["Body"].read()
    assert np.load(io.BytesIO(answer)) == pytest.approx(_ask_outside(journey, artifact, X[:50] / 16.0), abs=1e-5)
    journey.delete_endpoint()


def _ask_outside(journey: Journey, artifact: str, rows: Any) -> Any:
    import torch

    with tarfile.open(fileobj=io.BytesIO(fetch(journey, artifact))) as archive:
        weights = io.BytesIO(archive.extractfile("model.pth").read())  # type: ignore[union-attr]
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    model.load_state_dict(torch.load(weights, weights_only=True))
    with torch.no_grad():
        return model(torch.from_numpy(rows.astype("float32"))).numpy()


def members(journey: Journey, location: str) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(fetch(journey, location))) as archive:
        return {member.name.removeprefix("./") for member in archive if member.isfile()}


def fetch(journey: Journey, location: str) -> bytes:
    bucket, _, key = location.removeprefix("s3://").partition("/")
    body: bytes = journey.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return body
