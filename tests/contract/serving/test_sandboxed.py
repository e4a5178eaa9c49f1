"""Endpoints over the real pool: sandboxes, kills, updates. Predictions go straight to the workers' sockets."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
import xgboost
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from modelyard.base.errors import NotFound
from modelyard.core.deployments.model import EndpointState
from tests.contract.serving.house import ServingHouse
from tests.contract.serving.process import PYTORCH, XGBOOST

MODEL_FN = b"import joblib, os\ndef model_fn(d):\n    return joblib.load(os.path.join(d, 'model.joblib'))\n"
JSON = "application/json"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[ServingHouse]:
    house = ServingHouse(tmp_path / "data")
    yield house
    house.close()


def dumped(value: object) -> bytes:
    stream = io.BytesIO()
    joblib.dump(value, stream)
    return stream.getvalue()


def answering(text: str) -> dict[str, bytes]:
    """Code whose predictions are ``text``."""
    return {"inference.py": f"def model_fn(d): return 0\ndef predict_fn(data, m): return [{text!r}]\n".encode()}


def test_iris_behind_a_sandboxed_worker_answers_as_the_model_itself(house: ServingHouse) -> None:
    data = load_iris()
    model = LogisticRegression(max_iter=500).fit(data.data, data.target)
    house.model("iris", {"model.joblib": dumped(model)}, code={"inference.py": MODEL_FN})
    assert house.deploy("iris", count=2).state is EndpointState.SERVING
    assert len(house.sockets()) == 2
    for place in house.sockets():
        answer = house.ask(json.dumps(data.data.tolist()).encode(), place, content_type=JSON)
        assert json.loads(answer.body) == model.predict(data.data).tolist()
    assert "ready: A of endpoint e answers" in house.log()


def test_xgboost_and_torch_models_load_and_answer_in_the_sandbox(house: ServingHouse, tmp_path: Path) -> None:
    X = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    booster = xgboost.train({"max_depth": 3}, xgboost.DMatrix(X, label=X @ [1, 2, 3, 4]), 10)
    booster.save_model(tmp_path / "model.ubj")
    net = torch.nn.Linear(4, 2).eval()
    torch.jit.trace(net, torch.zeros(1, 4)).save(str(tmp_path / "model.pth"))
    house.model("trees", {"xgboost-model": (tmp_path / "model.ubj").read_bytes()}, image=XGBOOST)
    house.model("net", {"model.pth": (tmp_path / "model.pth").read_bytes()}, image=PYTORCH)
    for name in ("trees", "net"):
        endpoint = house.deploy(name, name=name)
        assert endpoint.state is EndpointState.SERVING, endpoint.failure_reason
    rows = "\n".join(",".join(map(repr, row)) for row in X[:5].tolist()).encode()
    trees = house.ask(rows, house.sockets("trees")[0], content_type="text/csv")
    assert [float(value) for value in trees.body.split(b",")] == booster.predict(xgboost.DMatrix(X[:5])).tolist()
    answer = house.ask(json.dumps(X[:5].tolist()).encode(), house.sockets("net")[0], content_type=JSON)
    assert np.allclose(json.loads(answer.body), net(torch.tensor(X[:5])).detach().numpy(), rtol=1e-5, atol=1e-6)


class Payload:
    """A pickle that acts when it is opened. Harmless: it only tries to look and to knock."""

    def __init__(self, secret: Path, port: int) -> None:
        self._code = f"""
import builtins, os, socket

def tried(act):
    try:
        return repr(act())
    except OSError as error:
        return "refused: " + type(error).__name__

builtins.found = dict(
    secret=tried(lambda: open({str(secret)!r}).read()),
    data=tried(lambda: os.listdir({str(secret.parent)!r})),
    network=tried(lambda: socket.create_connection(("127.0.0.1", {port}), 3)),
    model=tried(lambda: open("/opt/ml/model/model.joblib", "ab")),
    system=tried(lambda: open("/usr/planted", "w")),
    spec=tried(lambda: open("/run/modelyard/worker.json", "w")),
    uid=os.getuid(),
    environ=dict(os.environ),
)
"""

    def __reduce__(self) -> tuple[object, ...]:
        return (exec, (self._code, {}))


def test_a_malicious_pickle_reaches_neither_data_nor_network(
    house: ServingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = house.root / "keys" / "credentials.json"
    secret.parent.mkdir()
    secret.write_text("the secret")
    monkeypatch.setenv("MODELYARD_TEST_SECRET", "the secret")
    hooks = MODEL_FN + b"import builtins\ndef predict_fn(data, model):\n    return builtins.found\n"
    with socket.create_server(("127.0.0.1", 0)) as server:
        payload = pickle.dumps(Payload(secret, server.getsockname()[1]))
        house.model("evil", {"model.joblib": payload}, code={"inference.py": hooks})
        assert house.deploy("evil").state is EndpointState.SERVING
        found = json.loads(house.ask(b"[1]", content_type=JSON).body)
    assert "the secret" not in json.dumps(found)
    assert found["data"].startswith("refused") or found["data"] == "[]"
    for what in ("secret", "network", "model", "system", "spec"):
        assert found[what].startswith("refused"), what
    assert found["uid"] != 0


def test_a_failing_model_fn_fails_the_endpoint_with_its_last_lines(house: ServingHouse) -> None:
    code = {"inference.py": b"def model_fn(d):\n    raise RuntimeError('no weights in ' + d)\n"}
    house.model("broken", {"x": b""}, code=code)
    endpoint = house.deploy("broken")
    assert endpoint.state is EndpointState.FAILED
    assert "exit code 1: RuntimeError: no weights in /opt/ml/model (File " in (endpoint.failure_reason or "")
    assert house.sockets() == []
    assert "no weights in /opt/ml/model" in house.log()


def test_an_archive_that_leads_out_fails_the_endpoint_by_its_member(house: ServingHouse) -> None:
    house.model("slip", {"../../planted": b"x"})
    endpoint = house.deploy("slip")
    assert endpoint.state is EndpointState.FAILED
    assert "../../planted" in (endpoint.failure_reason or "")
    assert not list(house.endpoints.glob("**/planted"))


def test_a_killed_worker_is_replaced_while_the_other_answers(house: ServingHouse) -> None:
    house.model("m", {"x": b""}, code=answering("here"))
    house.deploy("m", count=2)
    before = house.sockets()
    os.kill(worker_pid(before[0]), signal.SIGKILL)
    house.step_until(lambda: before[0] not in house.sockets())
    assert house.ask(b"[1]", before[1], content_type=JSON).body == b'["here"]'
    house.step_until(lambda: len(house.sockets()) == 2)
    assert house.ask(b"[1]", house.sockets()[1], content_type=JSON).body == b'["here"]'


def worker_pid(place: str) -> int:
    """The process of the worker behind a socket, found by the folder that its sandbox shows."""
    folder = str(Path(place).parent)
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command, shown = (entry / "cmdline").read_bytes(), (entry / "mountinfo").read_text()
            if b"modelyard.app.endpoint" in command and not command.startswith(b"bwrap") and folder in shown:
                return int(entry.name)
    raise LookupError(folder)


def test_a_worker_that_hangs_is_killed_and_replaced(house: ServingHouse) -> None:
    house.model("m", {"x": b""}, code=answering("here"))
    house.deploy("m")
    (hung,) = house.sockets()
    pid = worker_pid(hung)
    os.kill(pid, signal.SIGSTOP)
    house.service.report_hung(hung)
    house.step_until(lambda: house.sockets() not in ([], [hung]))
    assert house.ask(b"[1]", content_type=JSON).body == b'["here"]'
    house.step_until(lambda: not Path(f"/proc/{pid}").exists(), timeout=5)


def test_an_update_never_leaves_a_request_without_an_answer(house: ServingHouse) -> None:
    house.model("old", {"x": b""}, code=answering("old"))
    house.model("new", {"x": b""}, code=answering("new"))
    house.deploy("old")
    answers: list[bytes] = []
    failures: list[Exception] = []
    done = threading.Event()

    def client() -> None:
        while not done.is_set():
            try:
                answers.append(house.ask(b"[1]", content_type=JSON).body)
            except Exception as error:  # noqa: BLE001 - what a client would see
                failures.append(error)

    asking = threading.Thread(target=client)
    asking.start()
    house.config("c2", "new")
    house.service.update("e", "c2")
    house.settled()
    house.step_until(lambda: answers and answers[-1] == b'["new"]')
    done.set()
    asking.join()
    assert failures == []
    assert set(answers) == {b'["old"]', b'["new"]'}
    assert answers.index(b'["new"]') > 0


def test_a_failing_update_rolls_back_to_the_same_worker(house: ServingHouse) -> None:
    house.model("old", {"x": b""}, code=answering("old"))
    house.model("bad", {"x": b""}, code={"inference.py": b"import nothing_like_it\n"})
    house.deploy("old")
    before = house.sockets()
    house.config("c2", "bad")
    house.service.update("e", "c2")
    endpoint = house.settled()
    assert (endpoint.state, endpoint.config_name) == (EndpointState.SERVING, "e-old")
    assert "No module named 'nothing_like_it'" in (endpoint.failure_reason or "")
    assert house.sockets() == before
    assert house.ask(b"[1]", content_type=JSON).body == b'["old"]'


def test_workers_outlive_the_controller_and_are_adopted(house: ServingHouse) -> None:
    house.model("m", {"x": b""}, code=answering("here"))
    house.deploy("m")
    before = house.sockets()
    house.routes = ()
    house.controller = house.new_controller()
    house.controller.step()
    assert house.sockets() == before
    assert house.ask(b"[1]", content_type=JSON).body == b'["here"]'


def test_a_deleted_endpoint_leaves_no_process_and_no_file(house: ServingHouse) -> None:
    house.model("m", {"x": b""}, code=answering("here"))
    house.deploy("m")
    pid = worker_pid(house.sockets()[0])
    house.service.delete("e")

    def gone() -> bool:
        try:
            house.service.get("e")
        except NotFound:
            return True
        return False

    began = time.monotonic()
    house.step_until(gone)
    assert time.monotonic() - began < 5
    assert not Path(f"/proc/{pid}").exists()
    assert list(house.endpoints.iterdir()) == []
