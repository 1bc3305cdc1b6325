"""The disk is full: nothing is shown, nothing is half-done, and it goes on by itself when there is room."""

import os
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import event, text

from commonview.foundation.errors import StorageUnavailable
from commonview.security import AccessOutcome, Forbidden, OpenedAccess, Role
from commonview.security.verify import verify_audit
from tests.security.conftest import Office, Staff, add_account, make_office, set_up


def limit_pages(office: Office, pages: int) -> None:
    """SQLite itself refuses to grow the file: SQLITE_FULL, as on a full disk. 0 takes the limit away."""

    def configure(connection, _record) -> None:  # type: ignore[no-untyped-def]
        connection.execute(f"PRAGMA max_page_count = {pages or 1_000_000_000}")

    event.listen(office.db.engine, "connect", configure)
    office.db.engine.dispose()


def page_count(office: Office) -> int:
    with office.db.read() as conn:
        return int(conn.execute(text("PRAGMA page_count")).scalar_one())


def rows(office: Office) -> tuple[int, ...]:
    with office.db.read() as conn:
        return tuple(
            conn.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608 - fixed names
            for table in ("grants", "grant_channels", "access_records", "audit_entries")
        )


def look(office: Office, staff: Staff) -> OpenedAccess:
    purpose = office.service.purposes(staff.operator)[0]
    return office.service.open_live(staff.operator, "c1", purpose_id=purpose.id, reason="duty " * 80)


def until_refused(office: Office, act: Callable[[], object]) -> StorageUnavailable:
    """Do it until the storage refuses; whatever was refused left nothing behind."""
    for _ in range(3000):
        before = rows(office)
        try:
            act()
        except StorageUnavailable as refused:
            assert rows(office) == before, "something was half-done"
            return refused
    pytest.fail("the storage never filled")


def fill(office: Office) -> None:
    """Until not even a short entry fits."""

    def write(size: int) -> None:
        office.service.record(None, "test", "thing:1", "ok", text="x" * size)

    until_refused(office, partial(write, 4000))
    until_refused(office, partial(write, 100))


def check_refusal_and_recovery(office: Office, staff: Staff, make_room: Callable[[], None]) -> None:
    ended: list[str] = []
    office.service.on_grant_end(lambda grant_id, _: ended.append(grant_id))
    last = look(office, staff)
    refused = until_refused(office, lambda: look(office, staff))
    assert (refused.code, refused.http_status) == ("storage_full", 503)
    health = office.service.audit_health()
    assert health.state == "storage_full"
    assert health.refused_appends >= 1
    assert ("system.changed", {"audit": "storage_full"}) in office.bus.events
    fill(office)
    with pytest.raises(StorageUnavailable):  # still full: still refused
        look(office, staff)
    # The end of a grant cuts the picture although it cannot be recorded yet, and once only.
    office.clock.advance(3600)
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            office.service.end_due_grants()
    assert ended.count(last.grant.id) == 1
    office.service.close_access(last.record.id, AccessOutcome.GRANT_ENDED, bytes_sent=77)  # does not raise

    make_room()
    office.service.sweep()
    assert office.service.audit_health().state == "ok"
    assert office.bus.events[-1] == ("system.changed", {"audit": "ok"})
    office.service.end_due_grants()
    assert ended.count(last.grant.id) == 1
    office.service.sweep()
    record = office.service.access_record(last.record.id)
    assert (record.outcome, record.bytes_sent) == (AccessOutcome.GRANT_ENDED, 77)
    look(office, staff)
    office.service.audit.checkpoint()
    report = verify_audit(office.data.audit, database=office.data.database, settle_s=0)
    assert report.ok
    with office.db.read() as conn:
        actions = {entry.action for entry in office.service.audit.entries(conn, None, 10_000)}
    assert "audit.resumed" in actions


def test_when_sqlite_is_full_no_grant_no_record_and_it_recovers(office: Office, staff: Staff) -> None:
    limit_pages(office, page_count(office) + 8)
    check_refusal_and_recovery(office, staff, lambda: limit_pages(office, 0))


def test_a_full_log_keeps_those_signed_in_and_tells_who_signs_in(office: Office, staff: Staff) -> None:
    from tests.security.conftest import OPERATOR_PASSWORD

    signed_in = office.service.sign_in("olga", OPERATOR_PASSWORD, client_address="x")
    limit_pages(office, page_count(office))
    fill(office)
    office.clock.advance(120)
    assert office.service.authenticate(signed_in.token)[0].username == "olga"
    with pytest.raises(StorageUnavailable) as refused:
        office.service.sign_in("olga", OPERATOR_PASSWORD, client_address="y")
    assert refused.value.code == "storage_full"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mounted = tmp_path / "disk"
    mounted.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mounted)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine does not let us mount a tmpfs")
    yield mounted
    subprocess.run(["umount", "-l", str(mounted)], check=True)


def test_on_a_full_file_system_no_grant_no_record_and_it_recovers(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(900_000))
    office = make_office(small_disk)
    staff = set_up(office)
    try:
        check_refusal_and_recovery(office, staff, ballast.unlink)
    finally:
        office.db.close()


def test_revoking_stops_the_picture_even_when_it_cannot_be_written(office: Office, staff: Staff) -> None:
    cut: list[tuple[str, AccessOutcome]] = []
    office.service.on_grant_end(lambda grant_id, outcome: cut.append((grant_id, outcome)))
    grant = look(office, staff).grant
    limit_pages(office, page_count(office) + 4)
    fill(office)
    with pytest.raises(StorageUnavailable):
        office.service.revoke_grant(staff.supervisor, grant.id, "stop now " * 50)
    assert cut == [(grant.id, AccessOutcome.GRANT_REVOKED)]
    assert office.service.grant(staff.supervisor, grant.id).revoked_at is None
    with pytest.raises(StorageUnavailable):  # no second look either: nothing could record it
        office.service.open_live(staff.operator, "c1", grant_id=grant.id)
    limit_pages(office, 0)
    office.service.revoke_grant(staff.supervisor, grant.id, "stop now")
    assert office.service.grant(staff.supervisor, grant.id).revoked_at is not None


def test_a_full_disk_lets_nobody_stop_the_picture_of_somebody_else(office: Office, staff: Staff) -> None:
    other = add_account(office, staff, "otto", Role.OPERATOR)
    cut: list[str] = []
    office.service.on_grant_end(lambda grant_id, _: cut.append(grant_id))
    grant = look(office, staff).grant
    limit_pages(office, page_count(office) + 4)
    fill(office)
    with pytest.raises(Forbidden):
        office.service.revoke_grant(other, grant.id, "stop now")
    assert cut == []
