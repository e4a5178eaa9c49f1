"""UpdateTrainingJob through boto3: what may be changed when is kept and shown; all else changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.core.jobs.model import JobSpec, JobState, NewJob, Phase, Resources
from modelyard.core.jobs.table import Result
from tests.contract.dialects.sagemaker.conftest import ACCOUNT, REGION, Bench, training_request
from tests.contract.dialects.sagemaker.refusals import refusal

POOLED = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10, "KeepAlivePeriodInSeconds": 60}
PROFILER = {"S3OutputPath": "s3://results/profile", "ProfilingIntervalInMilliseconds": 500}
RULE = {"RuleConfigurationName": "report", "RuleEvaluatorImage": "example.com/rules:1"}
ENDED = "The request was rejected because the training job is in status"


def made(bench: Bench, **changes: Any) -> None:
    bench.sm.create_training_job(**training_request("fit", **changes))


def update(bench: Bench, **changes: Any) -> Any:
    return bench.sm.update_training_job(TrainingJobName="fit", **changes)


def shown(bench: Bench) -> Any:
    return bench.sm.describe_training_job(TrainingJobName="fit")


def refused(bench: Bench, **changes: Any) -> str:
    """Why; nothing has changed then."""
    before = bench.house.jobs.get("fit")
    code, message = refusal(bench.sm.update_training_job, TrainingJobName="fit", **changes)
    assert code == "ValidationException" and bench.house.jobs.get("fit") == before
    return message


def test_profiling_is_changed_member_by_member_and_its_rules_as_a_whole(bench: Bench) -> None:
    made(bench, ProfilerConfig=PROFILER, ProfilerRuleConfigurations=[RULE])
    before = shown(bench)
    answer = update(bench, ProfilerConfig={"ProfilingIntervalInMilliseconds": 1000, "DisableProfiler": False})
    assert answer["TrainingJobArn"] == f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/fit"
    bench.controllers.run_job("fit")
    other = RULE | {"RuleConfigurationName": "other", "RuleParameters": {"a": "b"}}
    update(bench, ProfilerRuleConfigurations=[other])
    after = shown(bench)
    assert after["ProfilerConfig"] == PROFILER | {"ProfilingIntervalInMilliseconds": 1000, "DisableProfiler": False}
    assert after["ProfilerRuleConfigurations"] == [other]
    assert after["LastModifiedTime"] > before["LastModifiedTime"]
    assert {name for name in before if before[name] != after[name]} <= {
        *("ProfilerConfig", "ProfilerRuleConfigurations", "LastModifiedTime", "TrainingStartTime", "ResponseMetadata"),
        *("SecondaryStatus", "SecondaryStatusTransitions"),
    }


def test_profiling_of_a_job_that_ends_or_has_ended_is_refused(bench: Bench) -> None:
    made(bench)
    claim = bench.controllers.run_job("fit")
    bench.sm.stop_training_job(TrainingJobName="fit")
    assert refused(bench, ProfilerConfig=PROFILER) == f"{ENDED} Stopping."
    bench.controllers.end_job(claim, JobState.STOPPED, Phase.STOPPED, Result())
    assert refused(bench, ProfilerRuleConfigurations=[]) == f"{ENDED} Stopped."


def test_remote_debugging_is_changed_while_downloading_or_training(bench: Bench) -> None:
    made(bench)
    assert "it is Starting" in refused(bench, RemoteDebugConfig={"EnableRemoteDebug": True})
    claim = bench.controllers.run_job("fit")
    update(bench, RemoteDebugConfig={"EnableRemoteDebug": True})
    assert shown(bench)["RemoteDebugConfig"] == {"EnableRemoteDebug": True}
    bench.controllers.end_job(claim, JobState.SUCCEEDED, Phase.COMPLETED, Result())
    assert "it is Completed" in refused(bench, RemoteDebugConfig={"EnableRemoteDebug": False})


def test_a_warm_pool_is_kept_longer_or_ended_also_after_its_job(bench: Bench) -> None:
    made(bench, ResourceConfig=POOLED)
    update(bench, ResourceConfig={"KeepAlivePeriodInSeconds": 600})
    assert shown(bench)["ResourceConfig"] == POOLED | {"KeepAlivePeriodInSeconds": 600}
    bench.controllers.complete_job("fit")
    update(bench, ResourceConfig={"KeepAlivePeriodInSeconds": 0})
    assert shown(bench)["ResourceConfig"] == POOLED | {"KeepAlivePeriodInSeconds": 0}
    assert "has no warm pool" in refused(bench, ResourceConfig={"KeepAlivePeriodInSeconds": 60})


def test_a_failed_job_keeps_no_warm_pool(bench: Bench) -> None:
    made(bench, ResourceConfig=POOLED)
    bench.controllers.fail_job("fit", "it broke")
    assert refused(bench, ResourceConfig={"KeepAlivePeriodInSeconds": 60}) == f"{ENDED} Failed."


def test_if_one_part_is_refused_none_is_changed(bench: Bench) -> None:
    made(bench, ResourceConfig=POOLED)
    debug = {"EnableRemoteDebug": True}
    refused(bench, ProfilerConfig=PROFILER, ResourceConfig={"KeepAlivePeriodInSeconds": 9}, RemoteDebugConfig=debug)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ResourceConfig": {"KeepAlivePeriodInSeconds": 21_601}}, "less than or equal to 21600"),
        ({"ProfilerConfig": {"S3OutputPath": "ftp://x"}}, "regular expression pattern"),
    ],
)
def test_botocores_constraints_hold(bench: Bench, change: dict[str, Any], words: str) -> None:
    made(bench, ResourceConfig=POOLED)
    assert words in refused(bench, **change)


def test_an_unknown_job_is_not_found(bench: Bench) -> None:
    words = ("ValidationException", "Requested resource not found.")
    assert refusal(bench.sm.update_training_job, TrainingJobName="none") == words


def test_a_job_of_another_door_keeps_its_own_document(bench: Bench) -> None:
    spec = JobSpec("image", Resources("ml.m5.large"))
    bench.house.jobs.create(NewJob("training", "ml_models", REGION, spec, {"mine": 1}, name="fit"))
    assert "another API" in refused(bench, ProfilerConfig=PROFILER)
