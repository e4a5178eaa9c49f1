"""Real scripts on real data, staged, run by the process runner in its sandbox, and collected; no server."""

from __future__ import annotations

import io
import json
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LogisticRegression

from modelyard.app.supervisor import COMMAND
from modelyard.base.clock import SystemClock
from modelyard.base.disk import RealDisk
from modelyard.core.jobs.model import Job
from modelyard.core.jobs.ports import Attempt, Collected, Observation
from modelyard.runners.process import landlock
from modelyard.runners.process.probe import SandboxReport
from modelyard.runners.process.rules import Rules
from modelyard.runners.process.runner import ProcessRunner
from tests.unit.worker.host import Host, channel, job, metric, unpacked

SCRIPTS = Path(__file__).with_name("scripts")

DISTRIBUTED = """
import json, os
import torch, torch.distributed as dist
hosts = json.loads(open("/opt/ml/input/config/resourceconfig.json").read())["hosts"]
os.environ.setdefault("RANK", str(hosts.index(os.environ["SM_CURRENT_HOST"])))
os.environ.setdefault("WORLD_SIZE", str(len(hosts)))
dist.init_process_group("gloo")
total = torch.tensor([dist.get_rank() + 1.0])
dist.all_reduce(total)
print(f"total={total.item()};")
dist.destroy_process_group()
"""


class Sandbox:
    def __init__(self, root: Path) -> None:
        self.host = Host(root / "data")
        (root / "data").chmod(0o700)
        self.rules = Rules(supervisor=COMMAND, hidden=(root / "data",), server_lock=root / "lock")
        self.runner = ProcessRunner(self.rules, RealDisk(), SystemClock())
        self.secrets: dict[str, str] = {}

    def train(self, what: Job) -> tuple[Observation, list[str], Collected]:
        """Run to the end: how it ended, the log of the first host, what was left."""
        staged = self.host.staging.stage(what, self.host.folder)
        attempt = Attempt(
            id="attempt", job_id=what.id, number=1, folder=self.host.folder, hosts=what.spec.resources.hosts,
            command=tuple(word.replace("{python}", sys.executable) for word in staged.command),
            variables=staged.variables, secrets=self.secrets, cpus=2, memory=4 << 30, grace=5,
            network=what.spec.network, readable=(Path(sys.executable).parent.parent,),
        )  # fmt: skip
        self.runner.start(attempt)
        while (seen := self.runner.observe(self.host.folder)).state == "running":
            time.sleep(0.02)
        lines = (self.host.folder / "log" / "algo-1.log").read_text().splitlines()
        return seen, [line.partition("\t")[2] for line in lines], self.host.staging.collect(what, self.host.folder)


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    found = Sandbox(tmp_path)
    if found.rules.report().tier != "bubblewrap":
        pytest.skip("this machine gives no sandboxes")
    return found


def test_scikit_learn_on_iris_gives_the_model_that_it_gives_outside(sandbox: Sandbox) -> None:
    iris = load_iris(as_frame=True).frame
    sandbox.host.inputs.put("s3://data/iris/iris.csv", iris.to_csv(index=False))
    what = sandbox.host.script(
        {"train.py": (SCRIPTS / "sklearn_iris" / "train.py").read_text()},
        hyperparameters={"C": "0.5"},
        channels=(channel("train", "s3://data/iris/"),),
        metrics=(metric("score", r"score=([0-9.]+);"),),
        network=False,
    )
    seen, log, left = sandbox.train(what)
    assert (seen.state, seen.exit_code) == ("exited", 0), log
    files = unpacked(sandbox.host.inputs.get(str(left.model_artifact)))
    model = joblib.load(io.BytesIO(files["model.joblib"]))
    X, y = iris.drop(columns="target").to_numpy(), iris["target"].to_numpy()
    outside = LogisticRegression(C=0.5, max_iter=500).fit(X, y)
    assert np.allclose(model.predict_proba(X), outside.predict_proba(X))
    assert [m.value for m in left.metrics] == [round(outside.score(X, y), 6)]
    assert "output.tar.gz" in sandbox.host.inputs.names("s3://out/")[1]


@pytest.mark.parametrize("tier", ["landlock", "none"])
def test_it_trains_without_namespaces_too(sandbox: Sandbox, tier: Literal["landlock", "none"]) -> None:
    if tier == "landlock" and landlock.abi() == 0:
        pytest.skip("this kernel has no Landlock")
    report = SandboxReport(tier, ("no namespaces",))
    sandbox.rules = replace(sandbox.rules, probe=lambda command: report)
    sandbox.runner = ProcessRunner(sandbox.rules, RealDisk(), SystemClock())
    sandbox.host.inputs.put("s3://data/iris/iris.csv", load_iris(as_frame=True).frame.to_csv(index=False))
    what = sandbox.host.script(
        {"train.py": (SCRIPTS / "sklearn_iris" / "train.py").read_text()},
        channels=(channel("train", "s3://data/iris/"),),
    )
    seen, log, left = sandbox.train(what)
    assert (seen.state, seen.exit_code) == ("exited", 0), log
    assert list(unpacked(sandbox.host.inputs.get(str(left.model_artifact)))) == ["model.joblib"]


def test_xgboost_on_abalone_and_torch_on_digits_leave_their_models(sandbox: Sandbox) -> None:
    inputs, digits = sandbox.host.inputs, io.BytesIO()
    X, y = load_digits(return_X_y=True)
    np.savez(digits, X=X / 16, y=y)
    inputs.put("s3://data/digits/digits.npz", digits.getvalue())
    abalone = Path(__file__).parents[1] / "data" / "abalone" / "abalone.libsvm"
    inputs.put("s3://data/abalone/abalone.libsvm", abalone.read_bytes())
    for script, data, model in (
        ("xgboost_abalone", "abalone", "xgboost-model"),
        ("torch_digits", "digits", "model.pth"),
    ):
        shutil.rmtree(sandbox.host.folder)
        sandbox.host.folder.mkdir()
        what = sandbox.host.script(
            {"train.py": (SCRIPTS / script / "train.py").read_text()},
            channels=(channel("train", f"s3://data/{data}/"),),
            metrics=(metric("score", r"score=([0-9.]+);"),),
        )
        seen, log, left = sandbox.train(what)
        assert seen.exit_code == 0, log
        assert list(unpacked(inputs.get(str(left.model_artifact)))) == [model]
        first, last = left.metrics[0].value, left.metrics[-1].value
        assert last < first if data == "abalone" else last > first


@pytest.mark.parametrize("launcher", [{}, {"sagemaker_torch_distributed_enabled": "true"}])
def test_torch_distributed_works_between_two_hosts(sandbox: Sandbox, launcher: dict[str, str]) -> None:
    what = sandbox.host.script(
        {"train.py": DISTRIBUTED}, instances=2, hyperparameters=launcher, metrics=(metric("total", "total=(.*);"),)
    )
    seen, log, left = sandbox.train(what)
    assert seen.exit_code == 0, log
    assert [m.value for m in left.metrics] == [3.0, 3.0]


def test_a_bash_entrypoint_finds_its_drivers_hosts_and_python(sandbox: Sandbox) -> None:
    driver = """#!/bin/bash
set -e
cd /opt/ml/input/data/code
touch /opt/ml/input/sm_training.env
getent hosts algo-1 >/dev/null
pip3 install -q -r requirements.txt
python3 train.py
"""
    inputs = sandbox.host.inputs
    inputs.put("s3://v3/sm_drivers/sm_train.sh", driver)
    inputs.put("s3://v3/code/train.py", "open('/opt/ml/model/m', 'w').write('trained')")
    inputs.put("s3://v3/code/requirements.txt", "numpy\n")
    path = "/opt/ml/input/data/sm_drivers/sm_train.sh"
    what = job(
        entrypoint=("/bin/bash",),
        arguments=("-c", f"chmod +x {path} && {path}"),
        channels=(channel("code", "s3://v3/code/"), channel("sm_drivers", "s3://v3/sm_drivers/")),
        network=False,
    )  # fmt: skip
    seen, log, left = sandbox.train(what)
    assert seen.exit_code == 0, log
    assert unpacked(inputs.get(str(left.model_artifact))) == {"m": b"trained"}


def test_credentials_come_by_descriptor_and_reach_the_script(sandbox: Sandbox) -> None:
    sandbox.secrets = {"AWS_ACCESS_KEY_ID": "AKIDJOB", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    script = "import os, json; print(json.dumps({k: v for k, v in os.environ.items() if k[:4] in ('AWS_', 'MODE')}))"
    _, log, _ = sandbox.train(sandbox.host.script({"train.py": script}))
    told = json.loads(log[1])
    assert told == {**sandbox.secrets, "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"}
    kept = [p for p in sandbox.host.root.rglob("*") if p.is_file() and b"AKIDJOB" in p.read_bytes()]
    assert [p.name for p in kept] == ["algo-1.log"]


def test_checkpoints_on_tmp_are_linked_and_stored(sandbox: Sandbox) -> None:
    sandbox.host.inputs.put("s3://ck/run/old", "o")
    script = "import os; assert os.listdir('/tmp/ck') == ['old']; open('/tmp/ck/new', 'w').write('n')"
    what = sandbox.host.script({"train.py": script}, checkpoints="s3://ck/run", checkpoints_path="/tmp/ck")
    seen, log, _ = sandbox.train(what)
    assert seen.exit_code == 0, log
    assert sandbox.host.inputs.names("s3://ck/run/") == ["run/new", "run/old"]
