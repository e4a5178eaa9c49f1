"""The core, composed over the embedded stores of one data directory.

Owns which implementation stands behind each port. Used by the server and by commands that look into the
same data directory beside it; SQLite serves them all.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

from modelyard.app.layout import Layout
from modelyard.app.plugins import found_images, found_runner
from modelyard.app.settings import Settings
from modelyard.app.supervisor import COMMAND as SUPERVISOR
from modelyard.base.changes import Changes
from modelyard.base.clock import SystemClock
from modelyard.base.disk import RealDisk, held, write_durably
from modelyard.base.errors import Unavailable
from modelyard.base.ids import RandomIds
from modelyard.core.artifacts.archives import ArchiveLimits
from modelyard.core.artifacts.inputs import ArtifactInputs
from modelyard.core.artifacts.service import ArtifactService
from modelyard.core.artifacts.writing import WriteLimits
from modelyard.core.deployments.runners import Place, Site
from modelyard.core.deployments.service import DeploymentService
from modelyard.core.identity.policies import PolicyService
from modelyard.core.identity.roles import RoleService
from modelyard.core.identity.service import KeyService
from modelyard.core.jobs.folders import JobFolders
from modelyard.core.jobs.service import JobService
from modelyard.core.models.service import ModelService
from modelyard.core.models.tags import TagService
from modelyard.core.notebooks.lifecycle import LifecycleConfigService
from modelyard.core.notebooks.service import NotebookService
from modelyard.stores.objects.files import FileBlobStore
from modelyard.stores.sql.artifacts import SqlCatalogue
from modelyard.stores.sql.cipher import FileCipher
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.deployments import SqlDeploymentTable
from modelyard.stores.sql.identity import SqlKeyTable
from modelyard.stores.sql.jobs import SqlJobTable
from modelyard.stores.sql.models import SqlModelTable
from modelyard.stores.sql.notebooks import SqlLifecycleConfigTable, SqlNotebookTable
from modelyard.stores.sql.policies import SqlPolicyTable
from modelyard.stores.sql.roles import SqlRoleTable
from modelyard.stores.sql.tags import SqlTagTable


@dataclass(frozen=True, slots=True)
class House:
    """The services of one data directory, and the tables that the server's controllers work on."""

    settings: Settings
    layout: Layout
    database: Database
    clock: SystemClock
    ids: RandomIds
    disk: RealDisk
    place: Place
    keys: KeyService
    roles: RoleService
    policies: PolicyService
    artifacts: ArtifactService
    inputs: ArtifactInputs
    models: ModelService
    tags: TagService
    jobs: JobService
    job_table: SqlJobTable
    job_folders: JobFolders
    job_changes: Changes
    deployments: DeploymentService
    deployment_table: SqlDeploymentTable
    deployment_changes: Changes
    notebooks: NotebookService
    lifecycle_configs: LifecycleConfigService

    @property
    def archive_limits(self) -> ArchiveLimits:
        settings = self.settings
        return ArchiveLimits(
            settings.archive_members,
            settings.archive_bytes,
            settings.archive_ratio,
            settings.archive_ratio_from,
            disk_reserve=settings.disk_reserve,
        )

    def version(self) -> bytes | None:
        """As of the database: what remembered answers are held against."""
        return self.database.version()

    def close(self) -> None:
        self.database.close()


def open_house(settings: Settings) -> House:
    """Open the data directory, making it and its tables at first use."""
    layout = Layout(settings.data_dir)
    layout.make()
    clock, disk, ids = SystemClock(), RealDisk(), RandomIds()
    database = Database(f"sqlite:///{layout.catalogue}")
    with held(layout.keys / "open.lock"):
        database.migrate()
        cipher = FileCipher(disk, layout.keys / "master")
    blobs = FileBlobStore(layout.blobs, disk, settings.disk_reserve)
    artifacts = ArtifactService(SqlCatalogue(database), blobs, clock, ids, WriteLimits(settings.object_size))
    models = ModelService(SqlModelTable(database), clock, ids)
    place = found_runner(settings.runner).open(_site(settings, layout, clock, disk))
    job_table, job_folders, job_changes = SqlJobTable(database, clock), JobFolders(layout.jobs), Changes()
    deployment_table, deployment_changes = SqlDeploymentTable(database, clock), Changes()
    lifecycle_table = SqlLifecycleConfigTable(database)
    return House(
        settings=settings,
        layout=layout,
        database=database,
        clock=clock,
        ids=ids,
        disk=disk,
        place=place,
        keys=KeyService(SqlKeyTable(database), cipher, clock),
        roles=RoleService(SqlRoleTable(database), clock, ids, settings.default_role),
        policies=PolicyService(SqlPolicyTable(database), clock, ids),
        artifacts=artifacts,
        inputs=ArtifactInputs(artifacts, settings.disk_reserve),
        models=models,
        tags=TagService(SqlTagTable(database)),
        jobs=JobService(job_table, job_folders, place.environments, ids, job_changes),
        job_table=job_table,
        job_folders=job_folders,
        job_changes=job_changes,
        deployments=DeploymentService(
            deployment_table, models, clock, ids, deployment_changes, layout.endpoints, settings.endpoint_workers
        ),
        deployment_table=deployment_table,
        deployment_changes=deployment_changes,
        notebooks=NotebookService(SqlNotebookTable(database), lifecycle_table, clock, ids),
        lifecycle_configs=LifecycleConfigService(lifecycle_table, clock, ids),
    )


def open_existing_house(settings: Settings) -> House:
    """As ``open_house``, for what only looks or mends: it makes no data directory, which would hide a misspelt name.

    Raises Unavailable when there is none."""
    folder = settings.data_dir
    if not Layout(folder).catalogue.exists():
        command = f"modelyard serve --data-dir {shlex.quote(str(folder))}"
        raise Unavailable(what=f"no data directory at {folder}; `{command}` makes one")
    return open_house(settings)


def _site(settings: Settings, layout: Layout, clock: SystemClock, disk: RealDisk) -> Site:
    return Site(
        data_dir=settings.data_dir,
        environments=layout.environments,
        server_lock=layout.server_lock,
        supervisor=SUPERVISOR,
        clock=clock,
        disk=disk,
        images=found_images(),
        package_indexes=settings.package_indexes,
        processes=settings.job_processes,
        file_bytes=settings.job_file,
        log_bytes=settings.job_log,
        patience=settings.front_patience,
        allow_unsandboxed=settings.allow_unsandboxed,
    )


def ensure_default_key(settings: Settings) -> dict[str, str]:
    """The access key that ``modelyard env`` exports, made at first use and kept in a file of mode 0600."""
    house = open_house(settings)
    try:
        return default_key(house)
    finally:
        house.close()


def default_key(house: House) -> dict[str, str]:
    """As ``ensure_default_key``, on an open house. A key that was deleted since is replaced."""
    path = house.layout.credentials
    with held(house.layout.keys / "open.lock"):
        if path.exists():
            stored: dict[str, str] = json.loads(path.read_text())
            if house.keys.lookup(stored["access_key"]) is not None:
                return stored | {"region": house.settings.region}
        made = house.keys.create("default")
        stored = {"access_key": made.access_key, "secret": made.secret, "region": house.settings.region}
        write_durably(RealDisk(), path, json.dumps(stored).encode())
        return stored
