"""Models of each framework behind the real endpoint process answer as the same model used directly."""

from __future__ import annotations

import csv
import io
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
import xgboost
from sklearn.datasets import load_digits, load_iris, load_svmlight_file
from sklearn.linear_model import LogisticRegression

from tests.contract.serving.process import PYTORCH, SKLEARN, XGBOOST, EndpointProcess

JSON, CSV, NPY = "application/json", "text/csv", "application/x-npy"
ROWS = load_iris().data[::10]
ABALONE = Path(__file__).parents[2] / "data" / "abalone" / "abalone.libsvm"


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def csv_text(array: np.ndarray) -> bytes:
    stream = io.StringIO()
    csv.writer(stream).writerows(array.tolist())
    return stream.getvalue().encode()


@pytest.fixture(scope="module")
def iris() -> LogisticRegression:
    data = load_iris()
    return LogisticRegression(max_iter=500).fit(data.data, data.target_names[data.target])


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory, iris: LogisticRegression) -> Iterator[EndpointProcess]:
    worker = EndpointProcess(tmp_path_factory.mktemp("flowers"), SKLEARN, "inference.py")
    joblib.dump(iris, worker.folder / "ml" / "model" / "model.joblib")
    (worker.folder / "ml" / "code" / "inference.py").write_text(
        "import joblib, os\ndef model_fn(model_dir):\n    return joblib.load(os.path.join(model_dir, 'model.joblib'))\n"
    )
    with worker:
        yield worker


@pytest.mark.parametrize(
    ("kind", "write"), [(JSON, lambda a: json.dumps(a.tolist()).encode()), (CSV, csv_text), (NPY, npy)]
)
def test_scikit_learn_reads_json_csv_and_npy(flowers: EndpointProcess, iris: LogisticRegression, kind, write) -> None:
    answer = flowers.one(write(ROWS), content_type=kind, accept=JSON)
    assert (answer.status, answer.meta["content-type"]) == (200, JSON)
    assert json.loads(answer.body) == iris.predict(ROWS).tolist()
    assert (answer.meta["variant"], answer.meta["log-stream"]) == ("AllTraffic", "AllTraffic/w1")


def test_scikit_learn_writes_json_csv_and_npy(flowers: EndpointProcess, iris: LogisticRegression) -> None:
    body, expected = npy(ROWS), iris.predict(ROWS)
    assert flowers.one(body, content_type=NPY, accept=CSV).body.decode().split() == expected.tolist()
    answered = np.load(io.BytesIO(flowers.one(body, content_type=NPY, accept=NPY).body))
    assert answered.tolist() == expected.tolist()
    assert flowers.one(body, content_type=NPY).meta["content-type"] == JSON


def test_requests_of_one_frame_are_answered_in_order(flowers: EndpointProcess, iris: LogisticRegression) -> None:
    answers = flowers.ask(*[json.dumps(row.tolist()).encode() for row in ROWS], content_type=JSON)
    assert [json.loads(answer.body) for answer in answers] == [[one] for one in iris.predict(ROWS)]


@pytest.mark.parametrize(
    ("body", "meta", "status"),
    [
        (b"[[1,2,3,4]]", {"content_type": "image/png"}, 415),
        (b"[[1,2,3,4]]", {"content_type": JSON, "accept": "image/png"}, 406),
        (b"[[1,2,3", {"content_type": JSON}, 400),
        (b"\xff", {"content_type": CSV}, 400),
        (b"a,b,c,d", {"content_type": CSV}, 400),
        (b"[[1,2],[3]]", {"content_type": JSON}, 400),
        (b"[[1,2,3]]", {"content_type": JSON}, 500),
        (b"junk", {"content_type": NPY}, 400),
    ],
)
def test_bad_requests_have_the_toolkits_status(
    flowers: EndpointProcess, body: bytes, meta: dict[str, str], status: int
):
    answer = flowers.one(body, **meta)
    assert answer.status == status
    assert answer.body


def test_an_npy_of_pickles_is_refused(flowers: EndpointProcess) -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    answer = flowers.one(stream.getvalue(), content_type=NPY)
    assert (answer.status, b"Python objects" in answer.body) == (400, True)


@pytest.fixture(scope="module")
def booster() -> xgboost.Booster:
    return xgboost.train({"max_depth": 4}, xgboost.DMatrix(f"{ABALONE}?format=libsvm"), 20)


@pytest.fixture(scope="module")
def boosted(tmp_path_factory: pytest.TempPathFactory, booster: xgboost.Booster) -> Iterator[EndpointProcess]:
    worker = EndpointProcess(tmp_path_factory.mktemp("boosted"), XGBOOST)
    booster.save_model(worker.folder / "model.ubj")
    (worker.folder / "model.ubj").rename(worker.folder / "ml" / "model" / "xgboost-model")
    with worker:
        yield worker


def record(values: list[float], keys: list[int] | None = None) -> bytes:
    """A RecordIO-wrapped Record with a float32 tensor, written by hand."""

    def field(number: int, body: bytes) -> bytes:
        assert len(body) < 128 * 128
        size = bytes([len(body)]) if len(body) < 128 else bytes([len(body) & 127 | 128, len(body) >> 7])
        return bytes([number << 3 | 2]) + size + body

    tensor = field(1, struct.pack(f"<{len(values)}f", *values))
    if keys is not None:
        tensor += field(2, bytes(keys)) + field(3, bytes([8]))
    payload = field(1, field(1, b"values") + field(2, field(2, tensor)))
    return struct.pack("<II", 0xCED7230A, len(payload)) + payload + bytes(-len(payload) % 4)


def test_xgboost_reads_csv_libsvm_and_recordio(boosted: EndpointProcess, booster: xgboost.Booster) -> None:
    lines = ABALONE.read_text().splitlines()[:50]
    X = load_svmlight_file(str(ABALONE), n_features=9, zero_based=True)[0][:50].toarray().astype(np.float32)
    X[:, 0] = np.nan
    expected = booster.predict(xgboost.DMatrix(X)).tolist()
    libsvm = "\n".join(lines).encode()
    bodies = {
        "text/csv; charset=utf-8": csv_text(X),
        "text/libsvm": libsvm,
        "text/x-libsvm": libsvm,
        "application/x-recordio-protobuf": b"".join(record(row) for row in X.tolist()),
    }
    for kind, body in bodies.items():
        answer = boosted.one(body, content_type=kind)
        assert (answer.status, answer.meta["content-type"]) == (200, CSV)
        assert [float(value) for value in answer.body.split(b",")] == expected, kind
    assert json.loads(boosted.one(csv_text(X), content_type=CSV, accept=JSON).body) == expected


def test_xgboost_reads_what_a_sparse_row_leaves_out_as_missing(
    boosted: EndpointProcess, booster: xgboost.Booster
) -> None:
    row = np.full((1, 8), np.nan)
    row[0, [1, 5]] = [0.5, -2.0]
    expected = booster.predict(xgboost.DMatrix(row)).tolist()
    sparse = record([0.5, -2.0], [1, 5])
    assert boosted.one(sparse, content_type="application/x-recordio-protobuf").body.decode() == str(expected[0])
    assert boosted.one(b",0.5,,,,-2.0,,", content_type=CSV).body.decode() == str(expected[0])
    assert boosted.one(b"1:0.5 5:-2.0", content_type="text/libsvm").body.decode() == str(expected[0])


@pytest.mark.parametrize(
    ("body", "meta", "status"),
    [
        (b"", {"content_type": CSV}, 204),
        (b"{}", {"content_type": JSON}, 415),
        (b"a,b", {"content_type": CSV}, 415),
        (b"\x01\x02", {"content_type": "application/x-recordio-protobuf"}, 415),
        (b"1,2,3,4,5,6,7,8", {"content_type": CSV, "accept": "image/png"}, 406),
        (b",".join([b"1"] * 30), {"content_type": CSV}, 400),
    ],
)
def test_xgboost_refuses_in_its_containers_statuses(
    boosted: EndpointProcess, body: bytes, meta: dict[str, str], status: int
):
    assert boosted.one(body, **meta).status == status


NET = """
import os, torch

def net():
    return torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))

def model_fn(model_dir):
    model = net()
    model.load_state_dict(torch.load(os.path.join(model_dir, "model.pth")))
    return model
"""


@pytest.fixture(scope="module")
def digits() -> torch.nn.Module:
    torch.manual_seed(7)
    data = load_digits()
    X, y = torch.tensor(data.data, dtype=torch.float32), torch.tensor(data.target)
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(X), y).backward()
        optimiser.step()
    assert (model(X).argmax(1) == y).float().mean() > 0.9
    return model.eval()


def test_pytorch_serves_a_program_with_model_fn_alone(tmp_path: Path, digits: torch.nn.Module) -> None:
    rows = load_digits().data[:20]
    worker = EndpointProcess(tmp_path, PYTORCH, "inference.py")
    (tmp_path / "ml" / "code" / "inference.py").write_text(NET)
    torch.save(digits.state_dict(), tmp_path / "ml" / "model" / "model.pth")
    with worker:
        answer = worker.one(json.dumps(rows.tolist()).encode(), content_type=JSON)
    expected = digits(torch.tensor(rows, dtype=torch.float32)).detach().numpy()
    assert np.allclose(np.array(json.loads(answer.body)), expected, rtol=1e-5, atol=1e-6)


def test_pytorch_serves_torchscript_without_a_program(tmp_path: Path, digits: torch.nn.Module) -> None:
    model = digits
    rows = torch.tensor(load_digits().data[:5], dtype=torch.float32)
    worker = EndpointProcess(tmp_path, PYTORCH)
    torch.jit.script(model).save(str(tmp_path / "ml" / "model" / "digits.pth"))
    expected = model(rows).detach().numpy()
    with worker:
        as_json = worker.one(json.dumps(rows.tolist()).encode(), content_type=JSON)
        as_npy = worker.one(npy(rows.numpy()), content_type=NPY, accept=NPY)
        as_csv = worker.one(csv_text(rows.numpy()), content_type=CSV, accept=CSV)
    for answered in (json.loads(as_json.body), np.load(io.BytesIO(as_npy.body))):
        assert np.allclose(np.array(answered), expected, rtol=1e-5, atol=1e-6)
    assert np.allclose(np.loadtxt(io.BytesIO(as_csv.body), delimiter=","), expected, rtol=1e-5, atol=1e-6)


def test_a_model_without_a_program_takes_rows_in_every_common_form(tmp_path: Path) -> None:
    data = load_iris(as_frame=True)
    model = LogisticRegression(max_iter=500).fit(data.data, data.target)
    worker = EndpointProcess(tmp_path, "modelyard/serving:1")
    joblib.dump(model, tmp_path / "ml" / "model" / "model.joblib")
    row, names = data.data.iloc[100], list(data.data.columns)
    expected = model.predict(data.data.iloc[[100]]).tolist()
    scrambled = {name: row[name] for name in reversed(names)}
    forms = [row.tolist(), [row.tolist()], [scrambled], scrambled, {"data": [scrambled]}, {"instances": [row.tolist()]}]
    with worker:
        for form in forms:
            assert json.loads(worker.one(json.dumps(form).encode(), content_type=JSON).body) == expected, form
        headed = (",".join(names) + "\n" + ",".join(map(str, row))).encode()
        assert json.loads(worker.one(headed, content_type=CSV).body) == expected
        assert json.loads(worker.one(npy(row.to_numpy()), content_type=NPY).body) == expected
        assert worker.one(b"x", content_type="text/plain").status == 415
        lacking = worker.one(b'[{"petal length (cm)": 1}]', content_type=JSON)
        assert (lacking.status, b"sepal length (cm)" in lacking.body) == (400, True)
        assert worker.one(b"[[1, 2]]", content_type=JSON).status == 400
