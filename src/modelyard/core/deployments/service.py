"""Configurations and endpoints: made, found, changed and ended by any door.

Owns names, legality and durability of what users ask for. Refuses to start anything: the controller makes
true what is stored here. Semantics follow CreateEndpoint, UpdateEndpoint and
UpdateEndpointWeightsAndCapacities
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateEndpoint.html).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from modelyard.base.changes import Changes
from modelyard.base.clock import Clock
from modelyard.base.errors import Invalid, LimitExceeded, NotFound
from modelyard.base.ids import Ids, by_id_or_name
from modelyard.base.paging import Listing, Page
from modelyard.core.deployments.launch import log_file, stream_name
from modelyard.core.deployments.model import (
    Endpoint,
    EndpointConfig,
    EndpointState,
    NewConfig,
    Plan,
    PlannedVariant,
    Variant,
    Worker,
)
from modelyard.core.deployments.ports import DeploymentTable, Models, Stale
from modelyard.core.deployments.states import check
from modelyard.core.jobs import logs
from modelyard.core.jobs.logs import FROM_START, Window
from modelyard.core.jobs.model import LogPage, LogStream

Share = tuple[float | None, int | None]
"""A new weight and a new count; None keeps the old."""


class UnknownVariant(Invalid):
    """Endpoint {name!r} has no variant {variant!r}."""


class DeploymentService:
    """Thread-safe. ``folder`` is the endpoints' folder of the data directory, read for logs alone;
    ``worker_limit`` caps the workers of one endpoint."""

    def __init__(
        self,
        table: DeploymentTable,
        models: Models,
        clock: Clock,
        ids: Ids,
        changes: Changes,
        folder: Path,
        worker_limit: int = 64,
    ) -> None:
        self._table = table
        self._folder = folder
        self._models = models
        self._clock = clock
        self._ids = ids
        self._changes = changes
        self._worker_limit = worker_limit

    def create_config(self, new: NewConfig) -> EndpointConfig:
        """The configuration as stored, on disk with its tags.

        Raises AlreadyExists; NotFound of kind ``model`` or ``model data for model``; Invalid for variants
        that cannot be; LimitExceeded for more workers than one endpoint may have.
        """
        self._check_variants(new.variants)
        config = EndpointConfig(
            id=self._ids.new_id(),
            name=new.name,
            door=new.door,
            region=new.region,
            variants=new.variants,
            document=new.document,
            created=self._clock.now(),
        )
        self._table.add_config(config, new.tags)
        return config

    def get_config(self, id_or_name: str) -> EndpointConfig:
        """The configuration of that id, else of that exact name. Raises NotFound."""
        return by_id_or_name(id_or_name, "endpoint configuration", self._table.get_config, self._table.find_config)

    def find_config(self, name: str) -> EndpointConfig | None:
        """The configuration of that name, letter case ignored (names in ARNs are in lower case)."""
        return self._table.find_config(name)

    def list_configs(self, listing: Listing) -> Page[EndpointConfig]:
        """One page of configurations; ``sort_by`` name or created."""
        return self._table.list_configs(listing)

    def delete_config(self, id_or_name: str) -> None:
        """End the configuration and its tags. Raises NotFound. Endpoints keep their copy."""
        if not self._table.remove_config(self.get_config(id_or_name).id):
            raise NotFound(kind="endpoint configuration", name=id_or_name)

    def create(
        self,
        name: str,
        config_name: str,
        door: str,
        region: str,
        tags: Mapping[str, str],
        document: Mapping[str, Any] | None = None,
    ) -> Endpoint:
        """The endpoint as stored, queued and on disk with its tags. Raises AlreadyExists, NotFound."""
        now = self._clock.now()
        target = self._plan(self.get_config(config_name), generation=1)
        endpoint = Endpoint(
            id=self._ids.new_id(),
            name=name,
            door=door,
            region=region,
            config_name=target.config_name,
            state=EndpointState.QUEUED,
            created=now,
            modified=now,
            target=target,
            document=document or {},
        )
        self._table.add(endpoint, tags)
        self._changes.tell()
        return endpoint

    def get(self, id_or_name: str) -> Endpoint:
        """The endpoint of that id, else of that exact name. Raises NotFound."""
        return by_id_or_name(id_or_name, "endpoint", self._table.get, self._table.find)

    def find(self, name: str) -> Endpoint | None:
        """The endpoint of that name, letter case ignored."""
        return self._table.find(name)

    def list(self, listing: Listing) -> Page[Endpoint]:
        """One page of endpoints; ``states`` are values of EndpointState."""
        return self._table.list(listing)

    def update(
        self,
        id_or_name: str,
        config_name: str,
        keep_weights: bool = False,
        keep_counts: bool = False,
        document: Mapping[str, Any] | None = None,
    ) -> Endpoint:
        """Move a serving endpoint to another configuration; what serves now answers until that one does.

        ``keep_weights`` and ``keep_counts`` take those of variants of the same name from what serves;
        without ``document`` the endpoint keeps its own.
        Raises NotFound, EndpointBusy unless it is serving.
        """
        config = self.get_config(config_name)

        def change(endpoint: Endpoint) -> Endpoint:
            assert endpoint.plan is not None
            target = self._plan(config, endpoint.generation + 1)
            kept = tuple(_keep(variant, endpoint.plan, keep_weights, keep_counts) for variant in target.variants)
            shown = endpoint.document if document is None else document
            target = replace(target, variants=kept)
            return replace(endpoint, target=target, generation=target.generation, document=shown)

        return self._change(id_or_name, EndpointState.UPDATING, change)

    def update_weights(self, id_or_name: str, desired: Mapping[str, Share]) -> Endpoint:
        """Give variants of a serving endpoint new weights and counts; no request is dropped.

        Raises NotFound, UnknownVariant, Invalid, LimitExceeded, EndpointBusy unless it is serving.
        """

        def change(endpoint: Endpoint) -> Endpoint:
            assert endpoint.plan is not None
            for name in desired:
                if endpoint.plan.variant(name) is None:
                    raise UnknownVariant(name=endpoint.name, variant=name)
            variants = tuple(_share(variant, desired.get(variant.name)) for variant in endpoint.plan.variants)
            self._check_shares([(variant.name, variant.weight, variant.count) for variant in variants])
            return replace(endpoint, target=replace(endpoint.plan, variants=variants))

        return self._change(id_or_name, EndpointState.UPDATING, change)

    def delete(self, id_or_name: str) -> None:
        """End the endpoint: it stops answering, then it is gone. Raises NotFound. Again while it goes: no error."""
        if self.get(id_or_name).state is EndpointState.DELETING:
            return
        self._change(id_or_name, EndpointState.DELETING, lambda endpoint: endpoint)

    def log_streams(self, endpoint: Endpoint) -> tuple[LogStream, ...]:
        """One stream for each worker, oldest first; of those that are gone the newest few."""
        return tuple(self._stream(worker) for worker in self._table.workers(endpoint.id))

    def read_log(self, endpoint: Endpoint, stream: str, window: Window = FROM_START) -> LogPage:
        """Lines of one of the endpoint's streams. Raises NotFound for another stream."""
        for worker in self._table.workers(endpoint.id):
            if stream_name(worker) == stream:
                return logs.read_page(log_file(self._folder, worker), window)
        raise NotFound(kind="log stream", name=stream)

    def report_hung(self, socket: str) -> None:
        """The front's word that the worker behind ``socket`` does not answer: it is replaced."""
        worker_id = PurePath(socket).parent.name
        if self._table.condemn(worker_id, "it did not answer in time"):
            self._changes.tell()

    def _stream(self, worker: Worker) -> LogStream:
        first, last, size = logs.span(log_file(self._folder, worker))
        return LogStream(stream_name(worker), worker.id, worker.created, first, last, size)

    def _change(self, id_or_name: str, state: EndpointState, change: Callable[[Endpoint], Endpoint]) -> Endpoint:
        """Read, change, write; again when the controller wrote in between."""
        while True:
            endpoint = self.get(id_or_name)
            check(endpoint.name, endpoint.state, state)
            changed = replace(change(endpoint), state=state, modified=self._clock.now(), failure_reason=None)
            try:
                written = self._table.write(changed)
            except Stale:
                continue
            self._changes.tell()
            return written

    def _plan(self, config: EndpointConfig, generation: int) -> Plan:
        return Plan(config.name, generation, tuple(self._planned(variant) for variant in config.variants))

    def _planned(self, variant: Variant) -> PlannedVariant:
        model = self._models.get(variant.model_name)
        if len(model.containers) != 1 or model.containers[0].mode == "multi":
            raise Invalid(
                what=f"model {model.name!r} has several containers or models behind one container; "
                "endpoints here serve models of one container"
            )
        container = model.containers[0]
        if container.artifact is None and "SAGEMAKER_SUBMIT_DIRECTORY" not in container.variables:
            raise NotFound(kind="model data for model", name=model.name)
        return PlannedVariant(
            name=variant.name,
            model_name=model.name,
            image=container.image,
            artifact=container.artifact,
            variables=container.variables,
            instance_type=variant.instance_type,
            count=variant.instance_count,
            weight=variant.weight,
        )

    def _check_variants(self, variants: tuple[Variant, ...]) -> None:
        if not variants:
            raise Invalid(what="an endpoint configuration needs at least one variant")
        names = [variant.name for variant in variants]
        if len({name.lower() for name in names}) < len(names):
            raise Invalid(what=f"variant names must be unique in a configuration: {', '.join(names)}")
        self._check_shares([(variant.name, variant.weight, variant.instance_count) for variant in variants])
        for variant in variants:
            self._planned(variant)

    def _check_shares(self, shares: Sequence[tuple[str, float, int]]) -> None:
        for name, weight, count in shares:
            if weight < 0 or count < 1:
                raise Invalid(what=f"variant {name!r} needs a weight of at least 0 and at least one instance")
        if not any(weight > 0 for _, weight, _ in shares):
            raise Invalid(what="at least one variant needs a weight above 0")
        workers = sum(count for _, _, count in shares)
        if workers > self._worker_limit:
            raise LimitExceeded(
                what=f"{workers} instances are asked for; one endpoint may have {self._worker_limit} "
                "(setting endpoint_workers)"
            )


def _keep(variant: PlannedVariant, plan: Plan, weights: bool, counts: bool) -> PlannedVariant:
    old = plan.variant(variant.name)
    if old is None:
        return variant
    return replace(
        variant, weight=old.weight if weights else variant.weight, count=old.count if counts else variant.count
    )


def _share(variant: PlannedVariant, share: Share | None) -> PlannedVariant:
    weight, count = share or (None, None)
    return replace(
        variant,
        weight=variant.weight if weight is None else weight,
        count=variant.count if count is None else count,
    )
