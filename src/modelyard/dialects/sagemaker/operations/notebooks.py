"""The operations on notebook instances.

Owns what is asked of core and how a refusal is worded. Refuses to know which move is allowed: core's states say so
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateNotebookInstance.html).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from modelyard.base.errors import NotFound
from modelyard.core.notebooks.model import Notebook, NotebookQuery
from modelyard.core.notebooks.states import WrongState
from modelyard.dialects.aws.protocol import AwsService, Call
from modelyard.dialects.sagemaker.arns import LIFECYCLE_CONFIG, NOTEBOOK, Arn
from modelyard.dialects.sagemaker.errors import not_found, refused, worded
from modelyard.dialects.sagemaker.overlay import LIST_NOTEBOOKS
from modelyard.dialects.sagemaker.pages import Query
from modelyard.dialects.sagemaker.services import Answer, Request, SageMakerServices
from modelyard.dialects.sagemaker.translate.notebooks import arn_of, changes, description, new_notebook, summary
from modelyard.dialects.sagemaker.translate.states import NOTEBOOK as STATES
from modelyard.dialects.sagemaker.translate.states import states_of


class NotebookOperations:
    """Notebook instances."""

    def __init__(self, services: SageMakerServices) -> None:
        self._services = services

    def register(self, service: AwsService) -> None:
        service.operation("CreateNotebookInstance")(self.create_notebook_instance)
        service.operation("DescribeNotebookInstance", inline=True)(self.describe_notebook_instance)
        service.operation("ListNotebookInstances", inline=True, overlay=LIST_NOTEBOOKS)(self.list_notebook_instances)
        service.operation("StartNotebookInstance")(self.start_notebook_instance)
        service.operation("StopNotebookInstance")(self.stop_notebook_instance)
        service.operation("UpdateNotebookInstance")(self.update_notebook_instance)
        service.operation("DeleteNotebookInstance")(self.delete_notebook_instance)

    def create_notebook_instance(self, call: Call, request: Request) -> Answer:
        new = new_notebook(request, call.region)
        arn = Arn(call.region, call.account, NOTEBOOK, request["NotebookInstanceName"])
        with _worded(call, arn):
            self._services.notebooks.create(new)
        return {"NotebookInstanceArn": str(arn)}

    def describe_notebook_instance(self, call: Call, request: Request) -> Answer:
        return description(self._get(call, request), call.account)

    def list_notebook_instances(self, call: Call, request: Request) -> Answer:
        query = Query(call.operation, request, sort_by="Name", order="ascending")
        listing = replace(query.listing(), states=states_of(STATES, request.get("StatusEquals")))
        page = self._services.notebooks.list(
            NotebookQuery(
                listing,
                lifecycle_contains=request.get("NotebookInstanceLifecycleConfigNameContains"),
                repository_contains=request.get("DefaultCodeRepositoryContains"),
                more_repositories_include=request.get("AdditionalCodeRepositoryEquals"),
            )
        )
        shown = (summary(notebook, call.account) for notebook in page.items)
        return query.answer("NotebookInstances", shown, page.next)

    def start_notebook_instance(self, call: Call, request: Request) -> None:
        notebook = self._get(call, request)
        with _worded(call, arn_of(notebook, call.account)):
            self._services.notebooks.start(notebook.id)

    def stop_notebook_instance(self, call: Call, request: Request) -> None:
        notebook = self._get(call, request)
        with _worded(call, arn_of(notebook, call.account)):
            self._services.notebooks.stop(notebook.id)

    def update_notebook_instance(self, call: Call, request: Request) -> Answer:
        notebook = self._get(call, request)
        with _worded(call, arn_of(notebook, call.account)):
            self._services.notebooks.update(notebook.id, changes(notebook, request))
        return {}

    def delete_notebook_instance(self, call: Call, request: Request) -> None:
        notebook = self._get(call, request)
        with _worded(call, arn_of(notebook, call.account)):
            self._services.notebooks.delete(notebook.id)

    def _get(self, call: Call, request: Request) -> Notebook:
        name = request["NotebookInstanceName"]
        with worded(Arn(call.region, call.account, NOTEBOOK, name)):
            return self._services.notebooks.get(name)


@contextmanager
def _worded(call: Call, arn: Arn) -> Iterator[None]:
    with worded(arn):
        try:
            yield
        except WrongState as error:
            allowed = ", ".join(STATES[state] for state in error.allowed)
            raise refused(
                f"Status ({STATES[error.state]}) not in ([{allowed}]). Unable to transition to "
                f"({STATES[error.target]}) for Notebook Instance ({arn})."
            ) from error
        except NotFound as error:
            if error.fields["kind"] == "notebook":
                raise
            name = error.fields["name"]
            raise not_found(Arn(call.region, call.account, LIFECYCLE_CONFIG, name)) from error
