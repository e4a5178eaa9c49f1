"""A call's way through the door: routing, signatures, bodies, refusals, faults; on real TCP."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from modelyard.base.errors import Conflict, LeaseLost, NotFound
from modelyard.core.identity.model import Credential
from modelyard.dialects import aws
from modelyard.dialects.aws.protocol import AwsError, AwsService, Call
from tests.contract.dialects.aws.door import ACCOUNT, KEY, Door, lookup_one, opened

Request = dict[str, Any]
EXPIRED = Credential("ASIAEXPIRED", "secret", KEY.access_key, "token", expires=1.0)


def sts_service() -> AwsService:
    sts = AwsService("sts", validation_code="ValidationError")
    sts.operation("GetCallerIdentity", inline=True)(lambda call, _request: {"Account": call.account})
    return sts


class Toy:
    """A SageMaker of a few operations that tell how they were called."""

    def __init__(self) -> None:
        self.calls: list[tuple[Call, Request, str]] = []

    def service(self) -> AwsService:
        service = AwsService("sagemaker")
        service.operation("DescribeModel", inline=True)(self.describe)
        service.operation("DeleteModel")(self.delete)
        service.operation("DescribeEndpoint")(self.slow)
        service.operation("ListModels", inline=True)(self.broken)
        service.operation("Search", inline=True)(self.search)
        return service

    def describe(self, call: Call, request: Request) -> Request:
        self.calls.append((call, request, threading.current_thread().name))
        return {
            "ModelName": request["ModelName"],
            "ModelArn": f"arn:aws:sagemaker:{call.region}:{call.account}:model/m",
            "CreationTime": 1_700_000_000.1234,
            "VpcConfig": None,
            "NotAMember": 1,
        }

    def delete(self, call: Call, request: Request) -> None:
        self.calls.append((call, request, threading.current_thread().name))
        if request["ModelName"] == "gone":
            raise NotFound(kind="model", name="gone")
        if request["ModelName"] == "busy":
            raise Conflict(what="model 'busy' is busy")
        if request["ModelName"] == "lost":
            raise LeaseLost(token=1, kind="model", name="lost")
        if request["ModelName"] == "own":
            raise AwsError("OwnError", "in own words", 424, {"OriginalStatusCode": 500})

    async def slow(self, call: Call, request: Request) -> Request:
        await asyncio.sleep(0)
        raise AwsError("ValidationException", "slowly")

    def broken(self, call: Call, request: Request) -> Request:
        raise RuntimeError("secret detail")

    def search(self, call: Call, request: Request) -> Request:
        return {"Results": [], "TotalHits": {"Value": 0, "Relation": "EqualTo"}}


@pytest.fixture(scope="module")
def toy() -> Toy:
    return Toy()


def lookup(access_key: str) -> Credential | None:
    return EXPIRED if access_key == EXPIRED.access_key else lookup_one(access_key)


@pytest.fixture(scope="module")
def door(toy: Toy) -> Iterator[Door]:
    with opened([toy.service(), sts_service()], lookup, body_limit=100_000) as door:
        yield door


def send(
    door: Door,
    body: bytes,
    target: str = "SageMaker.DescribeModel",
    sign_as: str = "sagemaker",
    key: Credential = KEY,
    path: str = "/",
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], Any]:
    """A signed request whose body and target are any bytes: status, headers, JSON or text."""
    given = {"Content-Type": "application/x-amz-json-1.1", **({"X-Amz-Target": target} if target else {})}
    request = AWSRequest("POST", door.url + path, given | (headers or {}), data=body)
    if sign_as:
        SigV4Auth(Credentials(key.access_key, key.secret, key.session_token), sign_as, "eu-west-1").add_auth(request)
    return fetch(urllib.request.Request(request.url, body, dict(request.headers), method="POST"))


def fetch(request: urllib.request.Request | str) -> tuple[int, dict[str, str], Any]:
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            raw, status, headers = answer.read(), answer.status, answer.headers
    except urllib.error.HTTPError as error:
        raw, status, headers = error.read(), error.code, error.headers
    is_json = "json" in headers.get("content-type", "")
    return (
        status,
        {name.lower(): value for name, value in headers.items()},
        json.loads(raw) if is_json and raw else raw.decode(),
    )


def test_a_call_knows_its_circumstances(door: Door, toy: Toy) -> None:
    answer = door.client("sagemaker").describe_model(ModelName="m")
    call, request, _thread = toy.calls[-1]
    assert request == {"ModelName": "m"}
    assert (call.service, call.operation, call.region, call.account) == (
        "sagemaker",
        "DescribeModel",
        "eu-west-1",
        ACCOUNT,
    )
    assert call.credential == KEY
    assert call.request_id == answer["ResponseMetadata"]["RequestId"]
    assert answer["ModelArn"] == f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:model/m"


def test_absent_members_are_left_out_and_times_are_numbers(door: Door) -> None:
    status, headers, body = send(door, b'{"ModelName": "m", "Unknown": {"a": 1}}')
    assert (status, headers["content-type"]) == (200, "application/x-amz-json-1.1")
    assert body == {
        "ModelName": "m",
        "ModelArn": f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:model/m",
        "CreationTime": 1_700_000_000.123,
    }


def test_only_cheap_operations_run_in_the_event_loop(door: Door, toy: Toy) -> None:
    client = door.client("sagemaker")
    client.describe_model(ModelName="m")
    loop_thread = toy.calls[-1][2]
    client.delete_model(ModelName="m")
    assert toy.calls[-1][2].startswith("ThreadPoolExecutor")
    assert not loop_thread.startswith("ThreadPoolExecutor")


def test_an_operation_without_output_answers_an_empty_body(door: Door) -> None:
    status, _headers, body = send(door, b'{"ModelName": "m"}', "SageMaker.DeleteModel")
    assert (status, body) == (200, "")


@pytest.mark.parametrize(
    ("name", "status", "body"),
    [
        ("gone", 400, {"__type": "ResourceNotFound", "message": "model 'gone' does not exist."}),
        ("busy", 400, {"__type": "ConflictException", "message": "model 'busy' is busy"}),
        ("own", 424, {"__type": "OwnError", "message": "in own words", "OriginalStatusCode": 500}),
    ],
)
def test_errors_of_operations_and_of_the_core(door: Door, name: str, status: int, body: Request) -> None:
    got, headers, answer = send(door, json.dumps({"ModelName": name}).encode(), "SageMaker.DeleteModel")
    assert (got, answer, headers["x-amzn-errortype"]) == (status, body, body["__type"])
    assert headers["x-amzn-requestid"]


def test_errors_of_awaited_operations(door: Door) -> None:
    with pytest.raises(ClientError, match=r"\(ValidationException\).*slowly"):
        door.client("sagemaker").describe_endpoint(EndpointName="e")


@pytest.mark.parametrize(("target", "body"), [("ListModels", b"{}"), ("DeleteModel", b'{"ModelName": "lost"}')])
def test_a_fault_of_ours_is_told_apart_and_logged(
    door: Door, caplog: pytest.LogCaptureFixture, target: str, body: bytes
) -> None:
    with caplog.at_level(logging.ERROR):
        status, headers, answer = send(door, body, f"SageMaker.{target}")
    assert (status, answer["__type"]) == (500, "InternalFailure")
    assert headers["x-amzn-requestid"] in answer["message"]
    assert "secret detail" not in answer["message"]
    [record] = caplog.records
    assert headers["x-amzn-requestid"] in record.getMessage()
    assert record.exc_info is not None


@pytest.mark.parametrize(
    ("target", "sign_as"),
    [
        ("SageMaker.CreateHub", "sagemaker"),
        ("SageMaker.Nonsense\ninjected", "sagemaker"),
        ("DynamoDB_20120810.ListTables", "dynamodb"),
        ("nodot", "sagemaker"),
    ],
)
def test_an_operation_that_we_lack(door: Door, caplog: pytest.LogCaptureFixture, target: str, sign_as: str) -> None:
    with caplog.at_level(logging.WARNING):
        status, _headers, answer = send(door, b"{}", target.replace("\n", " "), sign_as)
    assert (status, answer["__type"]) == (400, "UnknownOperationException")
    [record] = caplog.records
    assert "\n" not in record.getMessage()


def test_an_operation_that_we_lack_of_a_query_service(door: Door) -> None:
    with pytest.raises(ClientError, match="UnknownOperationException"):
        door.client("sts").get_session_token()
    with pytest.raises(ClientError, match="UnknownOperationException"):
        door.client("sns").list_topics()


def test_a_path_that_no_operation_has(door: Door) -> None:
    status, _headers, answer = send(door, b"{}", "", path="/FeatureGroup/x")
    assert (status, answer["__type"]) == (400, "UnknownOperationException")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "Expected map or null"),
        (b'{"ModelName": 1}', "NUMBER_VALUE can not be converted to a String"),
        (b'{"ModelName": true}', "TRUE_VALUE can not be converted to a String"),
        (b'{"ModelName": {}}', "Start of structure or map found where not expected."),
        (b'{"ModelName": []}', "Start of list found where not expected"),
    ],
)
def test_a_body_of_another_shape(door: Door, body: bytes, words: str) -> None:
    status, _headers, answer = send(door, body)
    assert (status, answer["__type"]) == (400, "SerializationException")
    assert words in answer["message"]


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b'{"Resource": "Model", "MaxResults": "1"}', "STRING_VALUE can not be converted to an Integer"),
        (b'{"Resource": "Model", "MaxResults": 1.5}', "NUMBER_VALUE can not be converted to an Integer"),
        (b'{"Resource": "Model", "MaxResults": 99999999999}', "NUMBER_VALUE can not be converted to an Integer"),
        (b'{"Resource": "Model", "SearchExpression": {"Filters": {}}}', "Expected list or null"),
    ],
)
def test_numbers_and_lists_of_another_type(door: Door, body: bytes, wanted: str) -> None:
    assert send(door, body, "SageMaker.Search")[2] == {"__type": "SerializationException", "message": wanted}


def test_null_is_absent_and_an_empty_body_is_an_empty_request(door: Door) -> None:
    for body in (b'{"ModelName": null}', b"{}", b""):
        status, _headers, answer = send(door, body)
        assert (status, answer) == (
            400,
            {
                "__type": "ValidationException",
                "message": "1 validation error detected: Value null at 'modelName' failed to satisfy constraint: "
                "Member must not be null",
            },
        )


def test_a_body_nested_too_deeply(door: Door) -> None:
    deep = b'{"SubExpressions":[' * 400 + b"{}" + b"]}" * 400
    status, _headers, answer = send(door, b'{"Resource":"Model","SearchExpression":' + deep + b"}", "SageMaker.Search")
    assert status == 400, answer
    deeper = b'{"SubExpressions":[' * 2000 + b"{}" + b"]}" * 2000
    status, _headers, answer = send(door, b'{"SearchExpression":' + deeper + b"}", "SageMaker.Search")
    assert (status, answer["__type"]) == (400, "SerializationException")


def test_a_body_that_is_too_long(door: Door) -> None:
    status, _headers, answer = send(door, b" " * 100_001)
    assert (status, answer["__type"]) == (413, "RequestEntityTooLargeException")
    status, _headers, answer = send(door, b" " * 100_001, "", "sts")
    assert (status, "<Code>RequestEntityTooLargeException</Code>" in answer) == (413, True)


def test_a_form_that_is_none(door: Door) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    many = "&".join(f"a{number}=1" for number in range(10_001)).encode()
    for body in (b"\xff=1", many, b"Action=GetCallerIdentity&" + b"a." * 20 + b"=1"):
        status, _headers, answer = send(door, body, "", "sts", headers=form)
        assert (status, "<Code>MalformedInput</Code>" in answer) == (400, True)


SIGNATURES: list[tuple[Credential, str, str, int]] = [
    (Credential("AKIANOBODY", "x", ""), "UnrecognizedClientException", "InvalidClientTokenId", 403),
    (Credential(KEY.access_key, "wrong", ""), "InvalidSignatureException", "SignatureDoesNotMatch", 403),
    (Credential(KEY.access_key, KEY.secret, "", "a token"), "UnrecognizedClientException", "InvalidClientTokenId", 403),
    (EXPIRED, "ExpiredTokenException", "ExpiredToken", 403),
]


@pytest.mark.parametrize(("key", "code", "query_code", "query_status"), SIGNATURES)
def test_wrong_signatures_in_each_services_words(
    door: Door, key: Credential, code: str, query_code: str, query_status: int
) -> None:
    with pytest.raises(ClientError) as refused:
        door.client("sagemaker", key).describe_model(ModelName="m")
    assert refused.value.response["Error"]["Code"] == code
    with pytest.raises(ClientError) as refused:
        door.client("sts", key).get_caller_identity()
    response = refused.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (query_code, query_status)


def test_nobody_calls_anonymously(door: Door) -> None:
    status, _headers, answer = send(door, b'{"ModelName": "m"}', sign_as="")
    assert (status, answer["__type"]) == (400, "MissingAuthenticationTokenException")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, _headers, answer = send(door, b"Action=GetCallerIdentity", "", "", headers=form)
    assert (status, "<Code>MissingAuthenticationToken</Code>" in answer) == (403, True)


def test_a_signature_for_another_service(door: Door) -> None:
    status, _headers, answer = send(door, b'{"ModelName": "m"}', sign_as="logs")
    assert (status, answer["__type"]) == (400, "InvalidSignatureException")
    assert answer["message"] == "Credential should be scoped to correct service: 'sagemaker'."


def test_what_was_signed_is_what_counts(door: Door) -> None:
    signed = AWSRequest("POST", door.url + "/", {"X-Amz-Target": "SageMaker.DescribeModel"}, data=b'{"ModelName":"m"}')
    SigV4Auth(Credentials(KEY.access_key, KEY.secret), "sagemaker", "eu-west-1").add_auth(signed)
    headers = dict(signed.headers)
    for body, changes in (
        (b'{"ModelName":"n"}', {}),
        (b'{"ModelName":"m"}', {"X-Amz-Target": "SageMaker.DeleteModel"}),
        (b'{"ModelName":"m"}', {"X-Amz-Extra": "unsigned"}),
        (b'{"ModelName":"m"}', {"X-Amz-Date": "20200101T000000Z"}),
    ):
        status, _headers, answer = fetch(urllib.request.Request(door.url + "/", body, headers | changes))
        assert (status, answer["__type"]) == (400, "InvalidSignatureException"), changes
    old = {"Authorization": headers["Authorization"].replace("SignedHeaders", "Signed")}
    status, _headers, answer = fetch(urllib.request.Request(door.url + "/", b"{}", headers | old))
    assert (status, answer["__type"]) == (400, "IncompleteSignatureException")


def test_a_presigned_identity(door: Door) -> None:
    def presigned(expires: int, action: str = "GetCallerIdentity") -> str:
        request = AWSRequest("GET", f"{door.url}/?Action={action}&Version=2011-06-15")
        credentials = Credentials(KEY.access_key, KEY.secret)
        SigV4QueryAuth(credentials, "sts", "eu-west-1", expires).add_auth(request)
        return str(request.url)

    status, _headers, answer = fetch(presigned(60))
    assert (status, f"<Account>{ACCOUNT}</Account>" in answer) == (200, True)
    status, _headers, answer = fetch(presigned(60).replace("eu-west-1", "us-east-1"))
    assert (status, "<Code>SignatureDoesNotMatch</Code>" in answer) == (403, True)


def test_a_door_claims_what_names_its_services() -> None:
    with opened([sts_service()], takes_rest=False) as door:
        assert door.client("sts").get_caller_identity()["Account"] == ACCOUNT
        for service, call in (("s3", "list_buckets"), ("logs", "describe_log_groups")):
            with pytest.raises(ClientError) as refused:
                getattr(door.client(service), call)()
            assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404, service


def test_the_last_door_claims_whatever_aws_clients_send(door: Door) -> None:
    with pytest.raises(ClientError) as refused:
        door.client("dynamodb").list_tables()
    assert refused.value.response["Error"]["Code"] == "UnknownOperationException"
    for path in ("/", "/bucket/key", "/health", "/service/x"):
        assert fetch(door.url + path)[0] == 404, path


def test_every_wire_of_an_error_is_read_by_its_client(door: Door) -> None:
    for client, call in (
        ("sagemaker", "list_clusters"),
        ("sts", "get_session_token"),
        ("cloudwatch", "list_dashboards"),
    ):
        with pytest.raises(ClientError, match="UnknownOperationException"):
            getattr(door.client(client), call)()


def test_the_readmes_example_serves() -> None:
    text = (Path(aws.__file__).parent / "README.md").read_text()
    example = text.partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {}
    exec(example, names)
    with opened([names["service"]]) as door:
        assert door.client("logs").describe_log_groups()["logGroups"] == []


def test_a_message_with_characters_that_xml_lacks_is_still_xml(door: Door) -> None:
    body = b"Action=Bad%00%EF%BF%BE%3C%26name&Version=2011-06-15"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, _headers, answer = send(door, body, "", "sts", headers=form)
    assert (status, ElementTree.fromstring(answer)[0][1].text) == (400, "UnknownOperationException")
