"""The law of keys: shown once, found by signature checks, ended with their principal or job."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelyard.base.clock import SteppedClock
from modelyard.base.disk import RealDisk
from modelyard.base.errors import Invalid, NotFound
from modelyard.core.identity.ports import KeyRow
from modelyard.core.identity.service import REMEMBERED, KeyService
from modelyard.stores.sql.cipher import FileCipher
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.identity import SqlKeyTable


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def keys(tmp_path: Path, clock: SteppedClock) -> KeyService:
    database = Database(f"sqlite:///{tmp_path}/catalogue.db")
    database.migrate()
    return KeyService(SqlKeyTable(database), FileCipher(RealDisk(), tmp_path / "keys" / "master"), clock)


def test_a_key_is_found_with_its_secret_and_stored_without_it(keys: KeyService, tmp_path: Path) -> None:
    made = keys.create("laptop")
    assert keys.lookup(made.access_key) == made
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert made.secret.encode() not in files


def test_the_master_key_is_private(keys: KeyService, tmp_path: Path) -> None:
    assert (tmp_path / "keys" / "master").stat().st_mode & 0o777 == 0o600


def test_a_session_ends_with_time_with_its_job_and_with_its_principal(keys: KeyService, clock: SteppedClock) -> None:
    first, second = keys.create("first"), keys.create("second")
    timed = keys.session(first.access_key, 60)
    owned = keys.session(first.access_key, 2 * REMEMBERED, owner="job-1")
    follows = keys.session(second.access_key, 2 * REMEMBERED)
    assert keys.lookup(timed.access_key) == timed
    clock.step(61)
    assert keys.lookup(timed.access_key) == timed, "the signature's check says that it has expired"
    keys.sweep()
    assert keys.lookup(timed.access_key) == timed
    clock.step(REMEMBERED)
    keys.sweep()
    assert keys.lookup(timed.access_key) is None
    keys.end_sessions("job-1")
    assert keys.lookup(owned.access_key) is None
    keys.delete(second.access_key)
    assert keys.lookup(follows.access_key) is None


def test_a_session_made_from_a_session_ends_with_it(keys: KeyService, clock: SteppedClock) -> None:
    job = keys.session(keys.create("owner").access_key, 60, owner="job-1")
    made = keys.session(job.access_key, 3600, owner="nobody")
    assert (made.principal, made.expires) == (job.principal, job.expires)
    assert keys.session(made.access_key, 10).expires == clock.now() + 10
    keys.end_sessions("job-1")
    assert keys.lookup(made.access_key) is None
    assert [row.kind for row in keys._table.all()] == ["signing"]
    with pytest.raises(NotFound):
        keys.session(job.access_key, 10)


def test_a_session_whose_maker_ends_meanwhile_is_not_made(keys: KeyService, monkeypatch: pytest.MonkeyPatch) -> None:
    job = keys.session(keys.create("owner").access_key, 60, owner="job-1")
    add = keys._table.add

    def ended_before(row: KeyRow) -> None:
        keys.end_sessions("job-1")
        add(row)

    monkeypatch.setattr(keys._table, "add", ended_before)
    with pytest.raises(NotFound):
        keys.session(job.access_key, 10)
    assert [row.kind for row in keys._table.all()] == ["signing"]


def test_the_last_signing_key_cannot_be_deleted(keys: KeyService) -> None:
    only = keys.create("only")
    keys.create_bearer("token")
    with pytest.raises(Invalid):
        keys.delete(only.access_key)
    with pytest.raises(NotFound):
        keys.delete("AKIAUNKNOWN")


def test_a_bearer_token_is_known_by_its_digest_alone(keys: KeyService) -> None:
    info, token = keys.create_bearer("ci")
    assert keys.verify_bearer(token) == info
    assert keys.verify_bearer(token + "x") is None
    keys.create("signer")
    keys.delete(info.id)
    assert keys.verify_bearer(token) is None


def test_what_another_process_changed_is_taken_up(tmp_path: Path, clock: SteppedClock) -> None:
    database = Database(f"sqlite:///{tmp_path}/catalogue.db")
    database.migrate()
    cipher = FileCipher(RealDisk(), tmp_path / "keys" / "master")
    ours, theirs = (KeyService(SqlKeyTable(database), cipher, clock) for _ in range(2))
    first, second = ours.create("first"), ours.create("second")
    news: list[str] = []
    ours.listen(lambda: news.append("changed"))
    assert ours.lookup(second.access_key) == second
    theirs.delete(second.access_key)
    ours.refresh()
    assert ours.lookup(second.access_key) is None
    assert news == ["changed"]
    ours.refresh()
    assert news == ["changed"]
    assert ours.lookup(first.access_key) == first
