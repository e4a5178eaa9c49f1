"""Jobs a second from create to done, durably on SQLite, with a runner that does nothing.

    python -m benchmarks.jobs [--jobs 300] [--controllers 1]

What is measured is the table and the controllers: every state is a flushed commit. The trial of this design
(two cores, SQLite) had 287-579 jobs a second with two transitions a job; ours has six.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from modelyard.base.changes import Changes
from modelyard.base.clock import SystemClock
from modelyard.base.ids import RandomIds
from modelyard.base.paging import Listing
from modelyard.core.jobs.attempts import AttemptWork
from modelyard.core.jobs.controller import JobController
from modelyard.core.jobs.folders import JobFolders
from modelyard.core.jobs.model import JobQuery, JobSpec, NewJob, Resources
from modelyard.core.jobs.scheduling import Capacity
from modelyard.core.jobs.service import JobService
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.jobs import SqlJobTable
from modelyard.testing.fake_jobs import FakeEnvironments, FakeSessions, FakeStaging
from modelyard.testing.fake_runner import FakeRunner, Script

SPEC = JobSpec("image", Resources("ml.m5.large", cpus=1.0, memory=1 << 20))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--controllers", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        created, done = _run(Path(folder), options.jobs, options.controllers)
    print(f"{options.jobs} jobs, {options.controllers} controllers")
    print(f"created  {options.jobs / created:8.0f} jobs/s")
    print(f"done     {options.jobs / done:8.0f} jobs/s from the first create to the last end")


def _run(folder: Path, count: int, controllers: int) -> tuple[float, float]:
    """Seconds until all were created, and until all were done."""
    table = SqlJobTable(database := Database(f"sqlite:///{folder / 'catalogue.db'}"), SystemClock())
    database.migrate()
    changes, folders, ids = Changes(), JobFolders(folder / "jobs"), RandomIds()
    service = JobService(table, folders, FakeEnvironments(), ids, changes)
    work = AttemptWork(
        runner=FakeRunner(SystemClock(), lambda attempt: Script(runs_for=0.0)),
        staging=FakeStaging(),
        environments=FakeEnvironments(),
        sessions=FakeSessions(),
        folders=folders,
        clock=SystemClock(),
        capacity=Capacity(64, 1 << 40),
        disk_reserve=0,
    )
    ending = threading.Event()
    threads = [threading.Thread(target=_control, args=(table, work, changes, ending)) for _ in range(controllers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for number in range(count):
        service.create(NewJob("training", "sagemaker", "us-east-1", SPEC, {}, name=f"job-{number}"))
    created = time.perf_counter() - began
    open_states = Listing(states=frozenset({"queued", "starting", "running", "stopping"}), limit=1)
    while service.list(JobQuery(open_states)).items:
        time.sleep(0.01)
    done = time.perf_counter() - began
    ending.set()
    for thread in threads:
        thread.join()
    failed = service.list(JobQuery(Listing(states=frozenset({"failed", "stopped"})))).items
    assert not failed, failed[0].failure_reason
    database.close()
    return created, done


def _control(table: SqlJobTable, work: AttemptWork, changes: Changes, ending: threading.Event) -> None:
    with ThreadPoolExecutor(4) as executor:
        controller = JobController(table, work, RandomIds(), SystemClock(), changes, executor)
        while not ending.is_set():
            mark = changes.mark()
            controller.step()
            changes.wait(mark, 0.05)


if __name__ == "__main__":
    main()
