"""The network of a job, seen by scripts that run for real: the server is in reach, nothing else of this machine."""

from __future__ import annotations

import http.server
import threading
from pathlib import Path

import pytest

from modelyard.app.supervisor import COMMAND
from modelyard.runners.process.probe import probe
from modelyard.testing.server import RunningServer
from tests.e2e.conftest import Journey
from tests.e2e.test_journeys import PYTORCH, SKLEARN
from tests.e2e.test_security import certificate
from tests.e2e.test_training_contract import hosts

needs_pasta = pytest.mark.skipif(
    not probe(COMMAND).pasta, reason=f"no jobs' networks here: {probe(COMMAND).no_network}"
)

TOGETHER = """
import json, os, time, torch, torch.distributed as dist
hosts = json.load(open('/opt/ml/input/config/resourceconfig.json'))['hosts']
rank = hosts.index(os.environ['SM_CURRENT_HOST'])
dist.init_process_group('gloo', rank=rank, world_size=len(hosts))
print('met at', os.environ['MASTER_PORT'], flush=True)
for _ in range(20):
    dist.all_reduce(torch.tensor([1.0]))
    time.sleep(0.1)
dist.destroy_process_group()
"""
UNSIGNED = """
import os, socket, urllib.error, urllib.parse, urllib.request
request = urllib.request.Request(os.environ['AWS_ENDPOINT_URL'] + '/_modelyard/reset', method='POST')
try:
    print('unsigned', urllib.request.urlopen(request, timeout=10).status)
except urllib.error.HTTPError as error:
    print('unsigned', error.code, error.read().decode())
server = urllib.parse.urlsplit(os.environ['AWS_ENDPOINT_URL'])
with socket.create_connection((server.hostname, server.port), 10) as raw:
    head = f'POST /_modelyard/reset HTTP/1.1\\r\\nHost: {server.netloc}\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n'
    raw.sendall(head.encode() + b'0\\r\\nx-modelyard-front-job: 0\\r\\n\\r\\n')
    print('with a forged trailer', raw.recv(1000).decode().split()[1])
try:
    print('another service', urllib.request.urlopen('http://127.0.0.1:%d/', timeout=10).status)
except urllib.error.URLError as error:
    print('another service', error.reason)
"""
SECURE = """
import os, ssl, boto3
print('account', boto3.client('sts').get_caller_identity()['Account'])
boto3.client('s3').put_object(Bucket='journeys', Key='from-within', Body=b'x' * 300_000)
print('read', len(boto3.client('s3').get_object(Bucket='journeys', Key='from-within')['Body'].read()))
trusted = ssl.create_default_context(cafile=os.environ['AWS_CA_BUNDLE']).get_ca_certs()
names = [dict(pair for part in one['subject'] for pair in part).get('commonName') for one in trusted]
print('trusts', 'modelyard test' in names, 'ISRG Root X1' in names)
"""


def completed(journey: Journey) -> list[str]:
    job, log = journey.wait(), journey.log()
    assert job["TrainingJobStatus"] == "Completed", (job, log)
    return log


@needs_pasta
def test_two_jobs_of_two_hosts_train_on_one_port_at_once(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "data", settings={"JOB_CPUS": "16", "JOB_MEMORY": str(64 << 30)}) as server:
        journeys = [Journey(server) for _ in range(2)]
        for journey in journeys:
            journey.start_training(PYTORCH, journey.upload_source(TOGETHER), ResourceConfig=hosts(2))
        for journey in journeys:
            assert completed(journey).count("met at 7777") == 2
        steps = [step for journey in journeys for step in journey.describe()["SecondaryStatusTransitions"]]
    times = [(step["StartTime"], step["EndTime"]) for step in steps if step["Status"] == "Training"]
    assert max(start for start, _ in times) < min(end for _, end in times), "not at once"


@needs_pasta
def test_an_unsigned_request_from_a_job_is_refused_and_no_other_service_in_reach(tmp_path: Path) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        with RunningServer(tmp_path / "data", ephemeral=True) as server:
            journey = Journey(server)
            journey.start_training(SKLEARN, journey.upload_source(UNSIGNED % other.server_address[1]))
            log = completed(journey)
            server.reset()
        other.shutdown()
    [unsigned] = [line for line in log if line.startswith("unsigned")]
    assert unsigned.startswith("unsigned 403"), log
    assert "with a forged trailer 403" in log
    assert "another service [Errno 111] Connection refused" in log


def test_boto3_in_a_job_trusts_the_servers_own_certificate(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "data", tls=certificate(tmp_path)) as server:
        journey = Journey(server)
        journey.start_training(SKLEARN, journey.upload_source(SECURE))
        log = completed(journey)
    assert {"account 000000000000", "read 300000", "trusts True True"} <= set(log), log
