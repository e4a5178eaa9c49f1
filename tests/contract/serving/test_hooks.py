"""The law of hooks, through the real endpoint process."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

from tests.contract.serving.process import SKLEARN, EndpointProcess

HOOKS = """
def model_fn(model_dir):
    return {"dir": model_dir}

def input_fn(data, content_type):
    assert isinstance(data, str if content_type == "application/json" else bytes)
    return data

def predict_fn(data, model):
    return [len(data), sorted(model)]

def output_fn(prediction, accept):
    return repr(prediction), "text/plain"
"""


def worker(folder: Path, program: str) -> EndpointProcess:
    made = EndpointProcess(folder, SKLEARN, "inference.py")
    (folder / "ml" / "code" / "inference.py").write_text(program)
    return made


def test_four_hooks_are_called_in_order(tmp_path: Path) -> None:
    with worker(tmp_path, HOOKS) as endpoint:
        answer = endpoint.one(b"abc", content_type="application/json")
        assert (answer.body, answer.meta["content-type"]) == (b"[3, ['dir']]", "text/plain")
        assert endpoint.one(b"abcd", content_type="application/octet-stream").body == b"[4, ['dir']]"


def test_transform_fn_alone_answers(tmp_path: Path) -> None:
    program = """
def model_fn(model_dir):
    return 3

def transform_fn(model, data, content_type, accept):
    return data.upper() * model, accept
"""
    with worker(tmp_path, program) as endpoint:
        answer = endpoint.one(b"ab", content_type="text/x", accept="text/y")
        assert (answer.body, answer.meta["content-type"]) == (b"ABABAB", "text/y")


def test_hooks_may_take_a_context_and_answer_attributes(tmp_path: Path) -> None:
    program = """
def model_fn(model_dir, context):
    return context.system_properties["model_dir"]

def input_fn(data, content_type, context):
    return context.get_request_header(0, "X-Amzn-SageMaker-Custom-Attributes")

def predict_fn(data, model, context):
    context.set_response_header(0, "X-Amzn-SageMaker-Custom-Attributes", data + "-back")
    return [data]
"""
    with worker(tmp_path, program) as endpoint:
        answer = endpoint.one(b"", content_type="text/x", custom_attributes="trace-1")
        assert json.loads(answer.body) == ["trace-1"]
        assert answer.meta["custom-attributes"] == "trace-1-back"
        assert endpoint.one(b"", content_type="text/x", custom_attributes="t2").meta["custom-attributes"] == "t2-back"


def test_what_a_hook_raises_is_answered_and_its_traceback_logged(tmp_path: Path) -> None:
    program = """
class Teapot(Exception):
    status_code = 418

def model_fn(model_dir):
    return None

def predict_fn(data, model):
    if len(data) == 1:
        raise Teapot("short and stout")
    return 1 / 0
"""
    with worker(tmp_path, program) as endpoint:
        own = endpoint.one(b"[1]", content_type="application/json")
        plain = endpoint.one(b"[1, 2]", content_type="application/json")
        again = endpoint.one(b"[1]", content_type="application/json")
    assert (own.status, own.body, again.status) == (418, b"Teapot: short and stout", 418)
    assert (plain.status, plain.body) == (500, b"ZeroDivisionError: division by zero")
    log = endpoint.log.read_text()
    assert "return 1 / 0" in log
    assert 'raise Teapot("short and stout")' in log


def test_a_failing_model_fn_ends_the_worker_with_its_traceback(tmp_path: Path) -> None:
    endpoint = worker(tmp_path, "def model_fn(model_dir):\n    raise RuntimeError('no weights here')\n")
    endpoint.start()
    assert endpoint.process.wait(60) == 1
    endpoint.connection.close()
    assert not (tmp_path / "out" / "ready").exists()
    assert endpoint.log.read_text().rstrip().endswith("RuntimeError: no weights here")


def test_transform_fn_beside_predict_fn_is_refused(tmp_path: Path) -> None:
    endpoint = worker(tmp_path, "def model_fn(d): pass\ndef transform_fn(*a): pass\ndef predict_fn(d, m): pass\n")
    endpoint.start()
    assert endpoint.process.wait(60) == 1
    endpoint.connection.close()
    assert "transform_fn cannot be used together with predict_fn" in endpoint.log.read_text()


def test_a_slow_model_is_not_ready_until_it_answers(tmp_path: Path) -> None:
    program = """
import os, time

def model_fn(model_dir):
    while not os.path.exists(os.path.join(model_dir, "go")):
        time.sleep(0.01)
    return 1

def predict_fn(data, model):
    return [model]
"""
    endpoint = worker(tmp_path, program)
    endpoint.start()
    time.sleep(0.3)
    assert not (tmp_path / "out" / "ready").exists()
    (tmp_path / "ml" / "model" / "go").touch()
    endpoint.wait_ready()
    assert endpoint.one(b"[0]", content_type="application/json").body == b"[1]"
    endpoint.__exit__(None, None, None)


def test_sigterm_ends_it_after_what_it_holds_is_answered(tmp_path: Path) -> None:
    program = """
import time

def model_fn(model_dir):
    return None

def predict_fn(data, model):
    time.sleep(0.3)
    return ["late"]
"""
    with worker(tmp_path, program) as endpoint:
        ender = threading.Timer(0.1, endpoint.process.terminate)
        ender.start()
        assert endpoint.one(b"[0]", content_type="application/json").body == b'["late"]'
        assert endpoint.process.wait(10) == 0
