"""Predictions: signed with botocore, answered by workers, refused in the runtime's words."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import replace

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from modelyard.base.clock import SteppedClock
from modelyard.core.deployments.ports import VariantRoute
from modelyard.core.identity.model import Credential
from modelyard.edge.limits import FrontLimits
from modelyard.edge.state import FrontState
from modelyard.serving import wire

from .harness import KEY, Answered, RunningFront, Worker, routed, until


def invocation(body=b"1,2", endpoint="iris", key=KEY, service="sagemaker", **headers):
    """A signed InvokeEndpoint as bytes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = AWSRequest("POST", f"http://localhost/endpoints/{endpoint}/invocations", headers=named, data=body)
    SigV4Auth(Credentials(key.access_key, key.secret, key.session_token), service, "us-east-1").add_auth(request)
    lines = [f"POST /endpoints/{endpoint}/invocations HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def code(answered: Answered) -> str:
    return answered.headers.get("x-amzn-errortype", "")


@pytest.fixture
def worker(run):
    made = Worker(run / "w.sock")
    yield made
    made.close()


@pytest.fixture
def served(front, worker):
    front.take(routed(worker.route()))
    return front


def test_a_prediction_comes_back_with_its_variant(served):
    answered = served.ask(invocation(content_type="text/csv"))
    assert (answered.status, answered.body) == (200, b"2,1")
    assert answered.headers["x-amzn-invoked-production-variant"] == "A"
    assert answered.headers["content-type"] == "text/plain"


def test_an_endpoint_is_found_by_its_id_too_and_by_the_id_first(front, run):
    first, second = (Worker(run / name, lambda ask, name=name: wire.Reply(200, name.encode())) for name in ("a", "b"))
    named = routed(first.route(), endpoint="iris")
    other = routed(second.route(), endpoint="id-iris")
    front.take(replace(named, routes=(*named.routes, *other.routes)))
    for asked, answer in (("iris", b"a"), ("id-iris", b"a"), ("id-id-iris", b"b")):
        assert front.ask(invocation(endpoint=asked)).body == answer
    for worker in (first, second):
        worker.close()


def test_what_the_dialect_reads_of_the_head_reaches_the_worker(front, run):
    seen = []

    def handle(ask):
        seen.append(dict(ask.meta))
        return wire.Reply(200, b"")

    worker = Worker(run / "w.sock", handle)
    front.take(routed(worker.route()))
    front.ask(invocation(content_type="text/csv", accept="application/json", x_amzn_sagemaker_custom_attributes="a=b"))
    assert seen == [{"content-type": "text/csv", "accept": "application/json", "custom-attributes": "a=b"}]
    worker.close()


def test_chunked_bodies_and_bodies_in_pieces(served):
    whole = invocation(b"abcdef")
    chunked = whole.replace(b"Content-Length: 6", b"Transfer-Encoding: chunked")
    chunked = chunked.replace(b"\r\n\r\nabcdef", b"\r\n\r\n2\r\nab\r\n4\r\ncdef\r\n0\r\n\r\n")
    assert served.ask(chunked).body == b"fedcba"
    with served.connect() as raw:
        for start in range(0, len(whole), 11):
            raw.send(whole[start : start + 11])
            time.sleep(0.001)
        assert raw.read().body == b"fedcba"


@pytest.mark.parametrize(
    ("data", "status", "error"),
    [
        (
            b"POST /endpoints/iris/invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc",
            403,
            "Missing",
        ),
        (invocation().replace(b"\r\n\r\n1,2", b"\r\n\r\n1,3"), 403, "InvalidSignature"),
        (invocation().replace(b"Signature=", b"Signature=0"), 403, "InvalidSignature"),
        (invocation(key=Credential("AKIAOTHER", "secret", "")), 403, "InvalidSignature"),
        (invocation(key=Credential(KEY.access_key, "wrong", "")), 403, "InvalidSignature"),
        (invocation(service="s3"), 403, "InvalidSignature"),
        (invocation().replace(b"iris/", b"other/", 1), 400, "ValidationError"),
        (invocation().replace(b"Host: localhost", b"Host: 127.0.0.1"), 403, "InvalidSignature"),
        (invocation().replace(b"\r\n\r\n1,2", b"\r\nX-Amz-Target: x\r\n\r\n1,2"), 403, "InvalidSignature"),
        (invocation(endpoint="nobody"), 400, "ValidationError"),
        (invocation(x_amzn_sagemaker_target_variant="B"), 400, "ValidationError"),
        (invocation(endpoint="iris%20x"), 400, "ValidationError"),
    ],
)
def test_refusals_leave_the_connection_open(served, worker, data, status, error):
    with served.connect() as raw:
        raw.send(data)
        answered = raw.read()
        assert answered.status == status
        assert code(answered).startswith(error)
        assert "Message" in json.loads(answered.body)
        assert not worker.frames
        raw.send(invocation())
        assert raw.read().body == b"2,1"


def test_before_the_server_has_spoken_nothing_is_known(run):
    front = RunningFront(run, state=None)
    answered = front.ask(invocation())
    assert (answered.status, answered.headers["retry-after"]) == (503, "1")
    front.close()


def test_a_body_past_the_limit_is_refused(front, worker):
    front.take(routed(worker.route(), limits=FrontLimits(prediction_body=1000)))
    assert front.ask(invocation(b"a" * 1000)).status == 200
    with front.connect() as raw:
        raw.send(invocation(b"a" * 1001))
        answered = raw.read()
        assert (answered.status, code(answered)) == (413, "ValidationError")
    chunked = invocation(b"a" * 1001).replace(b"Content-Length: 1001", b"Transfer-Encoding: chunked")
    head = chunked.partition(b"\r\n\r\n")[0]
    with front.connect() as raw:
        raw.send(head + b"\r\n\r\n" + b"64\r\n" + b"a" * 100 + b"\r\n")
        for _ in range(10):
            raw.send(b"64\r\n" + b"a" * 100 + b"\r\n")
        assert raw.read().status == 413
    assert front.front._table.get("iris").waiting_bytes == 0
    assert len(worker.frames) == 1


def test_expect_continue_is_asked_for_only_when_the_body_is_wanted(served):
    data = invocation(b"abc")
    head, _, body = data.partition(b"\r\n\r\n")
    with served.connect() as raw:
        raw.send(head + b"\r\nExpect: 100-continue\r\n\r\n")
        assert raw.read().status == 100
        raw.send(body)
        assert raw.read().body == b"cba"
    with served.connect() as raw:
        raw.send(head.replace(b"iris/", b"none/") + b"\r\nExpect: 100-continue\r\n\r\n")
        answered = raw.read()
        assert (answered.status, answered.headers["connection"]) == (400, "close")


def test_answers_keep_the_order_of_their_requests(front, server, run):
    fast, slow = Worker(run / "fast"), Worker(run / "slow")
    state = routed(fast.route("fast"), slow.route("slow"))
    front.take(state)
    slow.gate.clear()
    with front.connect() as raw:
        raw.send(invocation(b"1", x_amzn_sagemaker_target_variant="slow"))
        raw.send(invocation(b"2", x_amzn_sagemaker_target_variant="fast"))
        raw.send(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        raw.send(invocation(b"3", x_amzn_sagemaker_target_variant="fast"))
        until(lambda: len(fast.frames) == 2)
        raw.sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            raw.read()
        raw.sock.settimeout(20)
        slow.gate.set()
        assert [raw.read().body[:3] for _ in range(4)] == [b"1", b"2", b"GET", b"3"]
    fast.close()
    slow.close()


def test_requests_gather_while_the_worker_is_busy(served, worker):
    for _ in range(30):
        assert served.ask(invocation(b"warm")).status == 200
    worker.frames.clear()
    worker.gate.clear()
    raws = [served.connect() for _ in range(20)]
    raws[0].send(invocation(b"first"))
    until(lambda: worker.frames == [[b"first"]])
    for number, raw in enumerate(raws[1:], 1):
        raw.send(invocation(b"%d" % number))
    until(lambda: served.front._table.get("iris").waiting == 19)
    worker.gate.set()
    assert raws[0].read().body == b"tsrif"
    for number, raw in enumerate(raws[1:], 1):
        assert raw.read().body == (b"%d" % number)[::-1]
        raw.sock.close()
    assert len(worker.frames) < 20
    assert sorted(payload for frame in worker.frames[1:] for payload in frame) == sorted(
        b"%d" % number for number in range(1, 20)
    )


@pytest.mark.parametrize(
    ("limits", "body"), [({"queue_requests": 4}, b"x"), ({"queue_bytes": 4000, "prediction_body": 2000}, b"x" * 1000)]
)
def test_a_full_queue_says_so_at_once(front, worker, limits, body):
    front.take(routed(worker.route(), limits=FrontLimits(**limits)))
    worker.gate.clear()
    raws = [front.connect() for _ in range(6)]
    raws[0].send(invocation(body))
    until(lambda: worker.frames)
    for raw in raws[1:5]:
        raw.send(invocation(body))
    until(lambda: front.front._table.get("iris").waiting == 4)
    raws[5].send(invocation(body))
    answered = raws[5].read()
    assert (answered.status, code(answered), answered.headers["retry-after"]) == (503, "ServiceUnavailable", "1")
    worker.gate.set()
    assert [raw.read().status for raw in raws[:5]] == [200] * 5
    endpoint = front.front._table.get("iris")
    assert (endpoint.waiting, endpoint.waiting_bytes) == (0, 0)
    for raw in raws:
        raw.sock.close()


def test_clients_that_leave_make_room(front, worker):
    front.take(routed(worker.route()))
    worker.gate.clear()
    raws = [front.connect() for _ in range(4)]
    raws[0].send(invocation(b"first"))
    until(lambda: worker.frames)
    raws[1].send(invocation(b"gone"))
    raws[2].send(invocation(b"stays"))
    raws[3].send(invocation(b"a" * 100)[:-50])
    endpoint = front.front._table.get("iris")
    until(lambda: endpoint.waiting == 2 and endpoint.waiting_bytes == 4 + 5 + 50)
    for raw in (raws[1], raws[3]):
        raw.sock.setsockopt(*LINGER_ZERO)
        raw.sock.close()
    until(lambda: endpoint.waiting_bytes == 4 + 5)
    worker.gate.set()
    assert raws[2].read().body == b"syats"
    until(lambda: endpoint.waiting_bytes == 0)
    assert [b"gone"] not in worker.frames


LINGER_ZERO = (1, 13, b"\1\0\0\0\0\0\0\0")


def test_weights_share_requests_out_exactly(front, run):
    workers = {name: Worker(run / name) for name in "ABC"}
    weights = {"A": 5.0, "B": 3.0, "C": 0.7}
    front.take(routed(*(worker.route(name, weights[name]) for name, worker in workers.items())))
    data = invocation()
    counts: Counter[str] = Counter()
    with front.connect() as raw:
        for _ in range(50):
            raw.send(data * 20)
            for _ in range(20):
                counts[raw.read().headers["x-amzn-invoked-production-variant"]] += 1
    for name, weight in weights.items():
        assert abs(counts[name] - 1000 * weight / 8.7) <= 1
    for worker in workers.values():
        worker.close()


def test_a_variant_without_workers_gets_no_share(front, worker):
    front.take(routed(worker.route("A"), VariantRoute("B", 9.0, ())))
    assert {front.ask(invocation()).headers["x-amzn-invoked-production-variant"] for _ in range(5)} == {"A"}
    answered = front.ask(invocation(x_amzn_sagemaker_target_variant="B"))
    assert (answered.status, answered.headers["retry-after"]) == (503, "1")


def test_a_worker_that_ends_is_a_model_error_and_the_next_one_serves(front, run):
    def handle(ask):
        if ask.payload == b"die":
            raise SystemExit
        return wire.Reply(200, b"fine")

    first = Worker(run / "one", handle)
    front.take(routed(first.route()))
    answered = front.ask(invocation(b"die"))
    assert (answered.status, code(answered)) == (424, "ModelError")
    assert json.loads(answered.body)["OriginalStatusCode"] == 500
    second = Worker(run / "two", handle)
    front.take(routed(second.route()))
    assert front.ask(invocation()).body == b"fine"
    second.close()


def test_a_worker_that_talks_nonsense_is_a_model_error(front, run):
    from .test_relay import ScriptedServer

    class Nonsense(ScriptedServer):
        def _serve(self, sock):
            sock.recv(1000)
            sock.sendall(b"\0" * 100)

    nonsense = Nonsense(run / "w", None)
    front.take(routed(VariantRoute("A", 1.0, (str(run / "w"),))))
    assert code(front.ask(invocation())) == "ModelError"
    nonsense.close()


def test_a_worker_nobody_listens_for_is_not_serving(front, run):
    front.take(routed(VariantRoute("A", 1.0, (str(run / "nobody"),))))
    assert front.ask(invocation()).status == 503
    worker = Worker(run / "nobody")
    assert front.ask(invocation()).status == 200
    worker.close()


def test_after_a_new_table_no_request_reaches_an_old_worker(front, run):
    """What an old worker holds is answered; what waits for it goes to the new one."""
    old, new = Worker(run / "old"), Worker(run / "new")
    front.take(routed(old.route("A")))
    old.gate.clear()
    one, two, pinned = front.connect(), front.connect(), front.connect()
    one.send(invocation(b"held"))
    until(lambda: old.frames)
    two.send(invocation(b"waits"))
    pinned.send(invocation(b"pinned", x_amzn_sagemaker_target_variant="A"))
    until(lambda: front.front._table.get("iris").waiting == 2)
    front.take(routed(new.route("B")))
    answered = two.read()
    assert (answered.body, answered.headers["x-amzn-invoked-production-variant"]) == (b"stiaw", "B")
    assert pinned.read().status == 503
    old.gate.set()
    assert one.read().body == b"dleh"
    assert front.ask(invocation()).status == 200
    assert old.frames == [[b"held"]]
    front.take(FrontState(credentials=(KEY,)))
    assert front.ask(invocation()).status == 400
    for raw in (one, two, pinned):
        raw.sock.close()
    old.close()
    new.close()


class TestHanging:
    @pytest.fixture
    def clock(self):
        return SteppedClock(time.time())

    @pytest.fixture
    def front(self, run, clock):
        running = RunningFront(run, clock)
        yield running
        running.close()

    def test_a_worker_past_the_time_limit_is_reported_and_used_no_more(self, front, worker, clock, run):
        front.take(routed(worker.route()))
        worker.gate.clear()
        held, waiting = front.connect(), front.connect()
        held.send(invocation(b"held"))
        until(lambda: worker.frames)
        clock.step(30)
        waiting.send(invocation(b"waits"))
        until(lambda: front.front._table.get("iris").waiting == 1)
        front.check_times()
        assert front.hung == []
        clock.step(31)
        front.check_times()
        answered = held.read()
        assert (answered.status, code(answered)) == (424, "ModelError")
        assert "60 seconds" in json.loads(answered.body)["OriginalMessage"]
        assert front.hung == [("id-iris", str(run / "w.sock"))]
        assert waiting.read().status == 503
        front.take(routed(worker.route()))
        assert front.ask(invocation()).status == 503
        worker.gate.set()
        other = Worker(run / "other")
        front.take(routed(other.route()))
        assert front.ask(invocation()).status == 200
        other.close()

    def test_another_worker_takes_what_waits(self, front, worker, clock, run):
        other = Worker(run / "other")
        other.gate.clear()
        worker.gate.clear()
        front.take(routed(VariantRoute("A", 1.0, (str(worker.path), str(other.path)))))
        raws = [front.connect() for _ in range(3)]
        for number, raw in enumerate(raws):
            raw.send(invocation(b"%d" % number))
            arrived = lambda: len(worker.frames) + len(other.frames) + front.front._table.get("iris").waiting  # noqa: E731
            until(lambda: arrived() == number + 1)  # noqa: B023
        clock.step(30)
        other.gate.set()
        assert sorted([raw.read().status for raw in raws[1:]]) == [200, 200]
        clock.step(31)
        front.check_times()
        assert raws[0].read().status == 424
        assert front.hung == [("id-iris", str(worker.path))]
        other.close()


def test_many_clients_at_once(served):
    """Every answer is its own request's."""
    failed = []

    def client(number):
        with served.connect() as raw:
            for turn in range(30):
                body = f"{number}-{turn}".encode()
                raw.send(invocation(body))
                if raw.read().body != body[::-1]:
                    failed.append(body)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed
