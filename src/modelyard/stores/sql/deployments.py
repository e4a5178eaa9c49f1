"""Deployments in SQL: the port ``core.deployments.ports.DeploymentTable``.

Owns the rows and the two guards of a write: the endpoint's revision and the lease's fencing token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, case, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from modelyard.base.clock import Clock
from modelyard.base.errors import AlreadyExists, LeaseLost
from modelyard.base.paging import Listing, Page
from modelyard.core.deployments.model import (
    Endpoint,
    EndpointConfig,
    EndpointState,
    Plan,
    PlannedVariant,
    Variant,
    Worker,
    WorkerState,
)
from modelyard.core.deployments.ports import Lease, Stale
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.listing import page
from modelyard.stores.sql.tables.deployments import endpoint_configs, endpoint_workers, endpoints
from modelyard.stores.sql.tags import remove_tags, write_tags

_LIVE = (WorkerState.STARTING.value, WorkerState.READY.value)

_CREATING = {EndpointState.QUEUED: 0, EndpointState.BUILDING: 0, EndpointState.STARTING: 0}
_LATER = (
    EndpointState.DELETING,
    EndpointState.FAILED,
    EndpointState.SERVING,
    EndpointState.ROLLING_BACK,
    EndpointState.UPDATING,
)
_SHOWN_ORDER = case(
    {state.value: rank for state, rank in (_CREATING | {state: n for n, state in enumerate(_LATER, 1)}).items()},
    value=endpoints.c.state,
)
"""SageMaker's words in order: Creating, Deleting, Failed, InService, RollingBack, Updating."""


class SqlDeploymentTable:
    """Thread-safe through the database's own transactions. ``clock`` is what leases are judged by."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def add_config(self, config: EndpointConfig, tags: Mapping[str, str]) -> None:
        try:
            with self._database.write() as connection:
                connection.execute(insert(endpoint_configs).values(_config_row(config)))
                write_tags(connection, config.id, tags)
        except IntegrityError as error:
            raise AlreadyExists(kind="endpoint configuration", name=config.name) from error

    def get_config(self, config_id: str) -> EndpointConfig | None:
        return self._one_config(endpoint_configs.c.id == config_id)

    def find_config(self, name: str) -> EndpointConfig | None:
        return self._one_config(endpoint_configs.c.folded == name.casefold())

    def list_configs(self, listing: Listing) -> Page[EndpointConfig]:
        with self._database.read() as connection:
            return page(connection, endpoint_configs, listing, _config)

    def remove_config(self, config_id: str) -> bool:
        with self._database.write() as connection:
            remove_tags(connection, config_id)
            return bool(connection.execute(delete(endpoint_configs).where(endpoint_configs.c.id == config_id)).rowcount)

    def add(self, endpoint: Endpoint, tags: Mapping[str, str]) -> None:
        values = _endpoint_row(endpoint) | {
            "id": endpoint.id,
            "name": endpoint.name,
            "folded": endpoint.name.casefold(),
            "door": endpoint.door,
            "region": endpoint.region,
            "created": endpoint.created,
            "revision": endpoint.revision,
            "lease_token": 0,
            "lease_until": 0.0,
        }
        try:
            with self._database.write() as connection:
                connection.execute(insert(endpoints).values(values))
                write_tags(connection, endpoint.id, tags)
        except IntegrityError as error:
            raise AlreadyExists(kind="endpoint", name=endpoint.name) from error

    def get(self, endpoint_id: str) -> Endpoint | None:
        return self._one(endpoints.c.id == endpoint_id)

    def find(self, name: str) -> Endpoint | None:
        return self._one(endpoints.c.folded == name.casefold())

    def list(self, listing: Listing) -> Page[Endpoint]:
        with self._database.read() as connection:
            return page(connection, endpoints, listing, _endpoint, orders={"state": _SHOWN_ORDER})

    def all(self) -> tuple[Endpoint, ...]:
        with self._database.read() as connection:
            rows = connection.execute(select(endpoints).order_by(endpoints.c.created, endpoints.c.id)).mappings()
            return tuple(_endpoint(row) for row in rows)

    def workers(self, endpoint_id: str | None = None) -> tuple[Worker, ...]:
        query = select(endpoint_workers).order_by(endpoint_workers.c.created, endpoint_workers.c.id)
        if endpoint_id is not None:
            query = query.where(endpoint_workers.c.endpoint_id == endpoint_id)
        with self._database.read() as connection:
            return tuple(_worker(row) for row in connection.execute(query).mappings())

    def claim(self, endpoint_id: str, owner: str, seconds: float) -> Lease | None:
        now = self._clock.now()
        with self._database.write() as connection:
            columns = (endpoints.c.lease_owner, endpoints.c.lease_token, endpoints.c.lease_until)
            row = connection.execute(select(*columns).where(endpoints.c.id == endpoint_id)).first()
            if row is None or (row.lease_owner != owner and row.lease_until > now):
                return None
            renewed = row.lease_owner == owner and row.lease_until > now
            lease = Lease(endpoint_id, row.lease_token if renewed else row.lease_token + 1, now + seconds)
            connection.execute(
                update(endpoints)
                .where(endpoints.c.id == endpoint_id)
                .values(lease_owner=owner, lease_token=lease.token, lease_until=lease.until)
            )
            return lease

    def write(self, endpoint: Endpoint, workers: Sequence[Worker] = (), lease: Lease | None = None) -> Endpoint:
        written = replace(endpoint, revision=endpoint.revision + 1)
        with self._database.write() as connection:
            self._guard(connection, endpoint, lease)
            values = _endpoint_row(written) | {"revision": written.revision}
            connection.execute(update(endpoints).where(endpoints.c.id == endpoint.id).values(values))
            for worker in workers:
                _put_worker(connection, worker)
        return written

    def remove(self, endpoint: Endpoint, lease: Lease) -> None:
        with self._database.write() as connection:
            self._guard(connection, endpoint, lease)
            connection.execute(delete(endpoints).where(endpoints.c.id == endpoint.id))
            connection.execute(delete(endpoint_workers).where(endpoint_workers.c.endpoint_id == endpoint.id))
            remove_tags(connection, endpoint.id)

    def condemn(self, worker_id: str, reason: str) -> bool:
        mine = endpoint_workers.c.id == worker_id
        with self._database.write() as connection:
            marked = connection.execute(
                update(endpoint_workers)
                .where(mine, endpoint_workers.c.state.in_(_LIVE))
                .values(state=WorkerState.LEAVING.value, reason=reason)
            ).rowcount
            owner = select(endpoint_workers.c.endpoint_id).where(mine).scalar_subquery()
            if marked:
                connection.execute(
                    update(endpoints).where(endpoints.c.id == owner).values(revision=endpoints.c.revision + 1)
                )
            return bool(marked)

    def forget_workers(self, endpoint_id: str, keep: int) -> tuple[str, ...]:
        gone = (
            select(endpoint_workers.c.id)
            .where(endpoint_workers.c.endpoint_id == endpoint_id, endpoint_workers.c.state == WorkerState.GONE.value)
            .order_by(endpoint_workers.c.created.desc(), endpoint_workers.c.id.desc())
        )
        with self._database.read() as connection:
            surplus = tuple(connection.execute(gone).scalars())[keep:]
        if surplus:
            with self._database.write() as connection:
                connection.execute(delete(endpoint_workers).where(endpoint_workers.c.id.in_(surplus)))
        return surplus

    def _guard(self, connection: Connection, endpoint: Endpoint, lease: Lease | None) -> None:
        columns = (endpoints.c.revision, endpoints.c.lease_token, endpoints.c.lease_until)
        row = connection.execute(select(*columns).where(endpoints.c.id == endpoint.id).with_for_update()).first()
        if row is None or row.revision != endpoint.revision:
            raise Stale(name=endpoint.name)
        if lease is not None and (row.lease_token != lease.token or row.lease_until <= self._clock.now()):
            raise LeaseLost(kind="endpoint", name=endpoint.name, token=lease.token)

    def _one(self, condition: ColumnElement[bool]) -> Endpoint | None:
        with self._database.read() as connection:
            row = connection.execute(select(endpoints).where(condition)).mappings().first()
            return _endpoint(row) if row is not None else None

    def _one_config(self, condition: ColumnElement[bool]) -> EndpointConfig | None:
        with self._database.read() as connection:
            row = connection.execute(select(endpoint_configs).where(condition)).mappings().first()
            return _config(row) if row is not None else None


def _config_row(config: EndpointConfig) -> dict[str, Any]:
    return {
        "id": config.id,
        "name": config.name,
        "folded": config.name.casefold(),
        "door": config.door,
        "region": config.region,
        "variants": [asdict(variant) for variant in config.variants],
        "document": dict(config.document),
        "created": config.created,
        "modified": config.created,
    }


def _config(row: RowMapping) -> EndpointConfig:
    return EndpointConfig(
        id=row["id"],
        name=row["name"],
        door=row["door"],
        region=row["region"],
        variants=tuple(Variant(**variant) for variant in row["variants"]),
        document=row["document"],
        created=row["created"],
    )


def _endpoint_row(endpoint: Endpoint) -> dict[str, Any]:
    """What a write may change."""
    return {
        "config_name": endpoint.config_name,
        "state": endpoint.state.value,
        "modified": endpoint.modified,
        "generation": endpoint.generation,
        "plan": _plan_row(endpoint.plan),
        "target": _plan_row(endpoint.target),
        "failure_reason": endpoint.failure_reason,
        "document": dict(endpoint.document),
    }


def _endpoint(row: RowMapping) -> Endpoint:
    return Endpoint(
        id=row["id"],
        name=row["name"],
        door=row["door"],
        region=row["region"],
        config_name=row["config_name"],
        state=EndpointState(row["state"]),
        created=row["created"],
        modified=row["modified"],
        generation=row["generation"],
        plan=_plan(row["plan"]),
        target=_plan(row["target"]),
        failure_reason=row["failure_reason"],
        revision=row["revision"],
        document=row["document"],
    )


def _plan_row(plan: Plan | None) -> dict[str, Any] | None:
    if plan is None:
        return None
    variants = [asdict(variant) | {"variables": dict(variant.variables)} for variant in plan.variants]
    return {"config_name": plan.config_name, "generation": plan.generation, "variants": variants}


def _plan(row: Mapping[str, Any] | None) -> Plan | None:
    if row is None:
        return None
    variants = tuple(PlannedVariant(**variant) for variant in row["variants"])
    return Plan(row["config_name"], row["generation"], variants)


def _put_worker(connection: Connection, worker: Worker) -> None:
    values = asdict(worker) | {"state": worker.state.value}
    changed = connection.execute(update(endpoint_workers).where(endpoint_workers.c.id == worker.id).values(values))
    if not changed.rowcount:
        connection.execute(insert(endpoint_workers).values(values))


def _worker(row: RowMapping) -> Worker:
    return Worker(**{**row, "state": WorkerState(row["state"])})
