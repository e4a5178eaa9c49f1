"""The operations on training jobs.

Owns which service is asked and in which order. Refuses to know the words of a request: translate/ does
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html and its neighbours).
"""

from __future__ import annotations

from modelyard.base.errors import Conflict, NotFound
from modelyard.base.paging import Listing, Page
from modelyard.core.jobs.model import Job, JobQuery, JobSpec
from modelyard.dialects.aws.protocol import AwsError, AwsService, Call
from modelyard.dialects.sagemaker.arns import TRAINING_JOB, Arn
from modelyard.dialects.sagemaker.errors import refused, worded
from modelyard.dialects.sagemaker.overlay import CREATE_TRAINING_JOB
from modelyard.dialects.sagemaker.pages import Query, sifted
from modelyard.dialects.sagemaker.services import Answer, Request, SageMakerServices
from modelyard.dialects.sagemaker.translate.locations import bucket_of, key_of
from modelyard.dialects.sagemaker.translate.states import TRAINING
from modelyard.dialects.sagemaker.translate.training import new_job
from modelyard.dialects.sagemaker.translate.training_job import arn_of, description, is_settled, summary
from modelyard.dialects.sagemaker.translate.training_update import in_status, updated


class TrainingOperations:
    """Training jobs."""

    def __init__(self, services: SageMakerServices) -> None:
        self._services = services

    def register(self, service: AwsService) -> None:
        service.operation("CreateTrainingJob", overlay=CREATE_TRAINING_JOB)(self.create_training_job)
        service.operation("DescribeTrainingJob")(self.describe_training_job)
        service.operation("ListTrainingJobs", inline=True)(self.list_training_jobs)
        service.operation("UpdateTrainingJob")(self.update_training_job)
        service.operation("StopTrainingJob")(self.stop_training_job)
        service.operation("DeleteTrainingJob")(self.delete_training_job)

    def create_training_job(self, call: Call, request: Request) -> Answer:
        principal = call.credential.principal if call.credential else None
        new = new_job(request, call.region, principal, self._services.stop_grace)
        arn = _arn(call, request["TrainingJobName"])
        self._check_inputs(call, new.spec, request["RoleArn"])
        with worded(arn):
            job = self._services.jobs.create(new)
        self._services.holds.mark(job.id)
        return {"TrainingJobArn": str(arn)}

    async def describe_training_job(self, call: Call, request: Request) -> Answer:
        name = request["TrainingJobName"]
        with worded(_arn(call, name)):
            job = self._services.jobs.get(name)
            job = await self._services.holds.read(job.id, lambda: self._services.jobs.get(job.id), is_settled, job)
        return description(job, call.account, self._services.role_arn(call.account))

    def list_training_jobs(self, call: Call, request: Request) -> Answer:
        query = Query(call.operation, request, order="ascending")
        found = self._find(call, request, query.listing())
        status = request.get("StatusEquals")
        # Documented: MaxResults jobs are taken first, whatever their status, and filtered then.
        shown = [job for job in found.items if status in (None, TRAINING[job.state])]
        return query.answer("TrainingJobSummaries", (summary(job, call.account) for job in shown), found.next)

    def update_training_job(self, call: Call, request: Request) -> Answer:
        name = request["TrainingJobName"]
        with worded(_arn(call, name)):
            job = self._services.jobs.amend(name, lambda job: updated(job, request))
        return {"TrainingJobArn": str(arn_of(job, call.account))}

    def stop_training_job(self, call: Call, request: Request) -> None:
        name = request["TrainingJobName"]
        with worded(_arn(call, name)):
            job = self._services.jobs.get(name)
            try:
                self._services.jobs.stop(job.id)
            except Conflict as error:
                raise refused(in_status(self._services.jobs.get(job.id))) from error
        self._services.holds.mark(job.id)

    def delete_training_job(self, call: Call, request: Request) -> None:
        name = request["TrainingJobName"]
        with worded(_arn(call, name)):
            job = self._services.jobs.get(name)
            try:
                self._services.jobs.delete(job.id)
            except Conflict as error:
                raise AwsError("ResourceInUse", in_status(self._services.jobs.get(job.id))) from error

    def _find(self, call: Call, request: Request, listing: Listing) -> Page[Job]:
        if request.get("WarmPoolStatusEquals"):
            return Page(())  # no job here keeps a warm pool

        def fetch(listing: Listing) -> Page[Job]:
            return self._services.jobs.list(JobQuery(listing=listing, kind="training"))

        plan = request.get("TrainingPlanArnEquals")
        if plan is None:
            return fetch(listing)
        return sifted(fetch, listing, lambda job: _plan(job) == plan)

    def _check_inputs(self, call: Call, spec: JobSpec, role: str) -> None:
        for channel in spec.channels:
            reason = ""
            try:
                first, _ = next(iter(self._services.inputs.keys(channel.location)), (None, 0))
                if first is not None and (channel.source == "prefix" or first == key_of(channel.location)):
                    continue
            except NotFound:
                reason = " Error message from S3: The specified bucket does not exist"
            raise refused(
                f'No S3 objects found under S3 URL "{channel.location}" given in input data source. '
                f"Please ensure that the bucket exists in the selected region ({call.region}), that objects exist "
                f'under that S3 prefix, and that the role "{role}" has "s3:ListBucket" permissions on bucket '
                f'"{bucket_of(channel.location)}".{reason}'
            )


def _arn(call: Call, name: str) -> Arn:
    return Arn(call.region, call.account, TRAINING_JOB, name)


def _plan(job: Job) -> str | None:
    plan: str | None = (job.document.get("ResourceConfig") or {}).get("TrainingPlanArn")
    return plan
