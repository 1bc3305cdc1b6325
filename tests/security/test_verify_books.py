"""A grant or an access record that is not what the log says of it is found, and the finding names it."""

import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from commonview.security import AccessOutcome, verify_cli
from commonview.security.audit import Detail
from commonview.security.verify import FindingKind, VerifyReport, verify_audit
from tests.security.conftest import Office, Staff
from tests.security.test_verify import command

CHANNEL = "34020000001320000001"


class Books:
    """Four grants and three looks: one running, one given back, one ended by time, one of two channels."""

    def __init__(self, office: Office, staff: Staff) -> None:
        self.office = office
        service, operator = office.service, staff.operator
        purpose = service.purposes(operator)[0].id
        ended = service.open_live(operator, CHANNEL, purpose_id=purpose, reason="old round", duration_s=60)
        service.close_access(ended.record.id, AccessOutcome.GRANT_ENDED, bytes_sent=4321)
        office.clock.advance(61)
        service.end_due_grants()
        revoked = service.open_live(operator, CHANNEL, purpose_id=purpose, reason="gate check")
        service.revoke_grant(staff.supervisor, revoked.grant.id, "shift is over")
        service.close_access(revoked.record.id, AccessOutcome.GRANT_REVOKED, bytes_sent=77)
        running = service.open_live(operator, "b", purpose_id=purpose, reason="早班巡查")
        wide = service.request_grant(
            operator, channel_ids=["x", "a"], purpose_id=purpose, reason="two at once"
        )
        self.ended, self.revoked, self.running, self.wide = ended, revoked, running, wide
        service.audit.checkpoint()

    def tamper(self, *statements: str) -> None:
        """As somebody does who has the file: triggers are no obstacle."""
        with self.office.db.begin() as conn:
            for (name,) in conn.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
                conn.execute(text(f"DROP TRIGGER {name}"))
            conn.execute(text("PRAGMA defer_foreign_keys=ON"))
            for statement in statements:
                changed = conn.execute(text(statement), self._ids(statement))
                assert changed.rowcount > 0, statement

    def _ids(self, statement: str) -> dict[str, str]:
        known = {
            "ended": self.ended.record.id,
            "revoked": self.revoked.record.id,
            "running": self.running.record.id,
            "ended_grant": self.ended.grant.id,
            "revoked_grant": self.revoked.grant.id,
            "running_grant": self.running.grant.id,
            "wide": self.wide.id,
        }
        return {name: value for name, value in known.items() if f":{name}" in statement}

    def verify(self) -> VerifyReport:
        data = self.office.data
        return verify_audit(data.audit, database=data.database, settle_s=0)


@pytest.fixture
def books(office: Office, staff: Staff) -> Books:
    return Books(office, staff)


def test_books_that_agree_with_the_log_are_intact(books: Books) -> None:
    report = books.verify()
    assert report.findings == []
    assert report.rows_checked == 4 + 3


def test_what_is_not_signed_yet_is_compared_too(books: Books, staff: Staff) -> None:
    books.office.service.close_access(books.running.record.id, bytes_sent=5)
    books.office.service.revoke_grant(staff.operator, books.running.grant.id, "done")
    report = books.verify()
    assert (report.findings, report.unsigned_entries) == ([], 2)
    books.tamper("UPDATE access_records SET bytes_sent = 6 WHERE id = :running")
    assert [finding.kind for finding in books.verify().findings] == [FindingKind.BOOKS_DIFFER]


def test_a_refused_look_leaves_nothing_that_could_be_missing(books: Books, staff: Staff) -> None:
    purpose = books.running.grant.purpose_id
    with pytest.raises(Exception, match="role_lacks_right"):
        books.office.service.open_live(staff.supervisor, CHANNEL, purpose_id=purpose, reason="curious")
    assert books.verify().ok


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE access_records SET bytes_sent = 0 WHERE id = :ended", ["bytes_sent is 0", "4321 in entry"]),
        (
            "UPDATE access_records SET outcome = 'never_started' WHERE id = :ended",
            ["outcome is 'never_started'", "'grant_ended' in entry"],
        ),
        ("UPDATE access_records SET ended_at = ended_at + 1 WHERE id = :ended", ["ended_at is 2026-01-01"]),
        ("UPDATE access_records SET started_at = 0 WHERE id = :ended", ["started_at is 1970-01-01 00:00:00"]),
        ("UPDATE access_records SET channel_id = 'c' WHERE id = :ended", ["channel_id is 'c'", CHANNEL]),
        ("UPDATE access_records SET client_address = '' WHERE id = :ended", ["client_address", "10.0.0.7"]),
        ("UPDATE access_records SET protocol = 'http' WHERE id = :ended", ["protocol is 'http'"]),
        ("UPDATE access_records SET action = 'export' WHERE id = :ended", ["action is 'export'"]),
        (
            "UPDATE access_records SET account_id = (SELECT id FROM accounts WHERE username = 'admin') "
            "WHERE id = :ended",
            ["account_id is"],
        ),
        ("UPDATE access_records SET grant_id = :wide WHERE id = :ended", ["grant_id is"]),
        ("UPDATE access_records SET bytes_sent = 9 WHERE id = :running", ["no entry says that it ended"]),
        ("UPDATE access_records SET outcome = 'closed' WHERE id = :running", ["no entry says that it ended"]),
        ("DELETE FROM access_records WHERE id = :ended", ["access record", "the database does not know it"]),
        (
            "INSERT INTO access_records SELECT 'forged', grant_id, account_id, channel_id, action, protocol, "
            "client_address, started_at, ended_at, outcome, bytes_sent, detail FROM access_records "
            "WHERE id = :ended",
            ["access record forged", "no entry says that it was made"],
        ),
        ("UPDATE grants SET reason = 'nothing' WHERE id = :wide", ["reason is 'nothing'", "'two at once'"]),
        ("UPDATE grants SET actions = 'export' WHERE id = :wide", ["actions is 'export'"]),
        ("UPDATE grants SET origin = 'approved' WHERE id = :wide", ["origin is 'approved'"]),
        ("UPDATE grants SET ends_at = ends_at + 3600000000 WHERE id = :wide", ["ends_at is 2026-01-01"]),
        ("UPDATE grants SET starts_at = starts_at - 1 WHERE id = :wide", ["starts_at is 2026-01-01"]),
        (
            "UPDATE grants SET purpose_id = (SELECT max(id) FROM purposes WHERE id NOT IN "
            "(SELECT purpose_id FROM grants)) WHERE id = :wide",
            ["purpose_id is"],
        ),
        (
            "UPDATE grants SET account_id = (SELECT id FROM accounts WHERE username = 'admin') "
            "WHERE id = :wide",
            ["account_id is"],
        ),
        ("UPDATE grants SET revoked_at = NULL WHERE id = :revoked_grant", ["revoked_at is empty"]),
        ("UPDATE grants SET revoked_reason = 'x' WHERE id = :revoked_grant", ["'shift is over' in entry"]),
        (
            "UPDATE grants SET revoked_by = account_id WHERE id = :revoked_grant",
            ["revoked_by is"],
        ),
        ("UPDATE grants SET ended_recorded = 0 WHERE id = :ended_grant", ["ended_recorded is 0"]),
        ("UPDATE grants SET ended_recorded = 1 WHERE id = :wide", ["no entry says that it ended"]),
        ("DELETE FROM grants WHERE id = :wide", ["grant", "the database does not know it"]),
        ("DELETE FROM grant_channels WHERE grant_id = :wide AND channel_id = 'x'", ["channels is ['a']"]),
        ("INSERT INTO grant_channels VALUES (:wide, 'z')", ["channels is ['a', 'x', 'z']"]),
    ],
)
def test_every_changed_removed_or_added_row_is_found_and_named(
    books: Books, statement: str, words: list[str]
) -> None:
    statements = [statement]
    if statement.startswith("DELETE FROM grants"):
        statements.insert(0, "DELETE FROM grant_channels WHERE grant_id = :wide")
    books.tamper(*statements)
    (finding,) = books.verify().findings
    assert finding.kind is FindingKind.BOOKS_DIFFER
    assert finding.file == "commonview.sqlite"
    for word in words:
        assert word in finding.message


def test_the_finding_names_the_entry_that_says_otherwise(books: Books) -> None:
    books.tamper("UPDATE access_records SET bytes_sent = 0 WHERE id = :ended")
    (finding,) = books.verify().findings
    with books.office.db.read() as conn:
        entries = books.office.service.audit.entries(conn, None, 100)
    closed = next(one for one in entries if one.detail.get("bytes") == 4321)
    assert finding.sequence == closed.sequence
    assert books.ended.record.id in finding.message


def test_a_row_changed_together_with_its_entry_is_found_by_what_was_signed(books: Books) -> None:
    books.tamper(
        "UPDATE access_records SET bytes_sent = 1 WHERE id = :ended",
        "UPDATE audit_entries SET leaf = CAST(replace(CAST(leaf AS TEXT), '4321', '1') AS BLOB) "
        "WHERE CAST(leaf AS TEXT) LIKE '%4321%'",
    )
    assert {finding.kind for finding in books.verify().findings} == {
        FindingKind.BOOKS_DIFFER,
        FindingKind.DATABASE_DIFFERS,
    }


def test_an_entry_added_later_does_not_cover_up(books: Books) -> None:
    """Who may write the database may also append; what was said first counts, and the second is told."""
    with books.office.db.begin() as conn:
        detail: Detail = {
            "access": books.ended.record.id,
            "bytes": 1,
            "ended_at": "2026-01-01T00:00:00+00:00",
        }
        audit = books.office.service.audit
        audit.append(conn, None, "access.closed", f"channel:{CHANNEL}", "grant_ended", detail)
    books.tamper("UPDATE access_records SET bytes_sent = 1 WHERE id = :ended")
    said = [finding.message for finding in books.verify().findings]
    assert len(said) == 2
    assert "a second time" in said[0]
    assert "bytes_sent is 1 in the database, 4321 in entry" in said[1]


def test_an_entry_that_cannot_be_understood_is_no_reason_to_give_up(books: Books) -> None:
    with books.office.db.begin() as conn:
        unclear: list[Detail] = [{}, {"access": 7, "ended_at": "never", "bytes": 1}]
        for detail in unclear:
            books.office.service.audit.append(conn, None, "access.closed", "channel:x", "closed", detail)
    books.tamper("UPDATE access_records SET bytes_sent = 1 WHERE id = :ended")
    assert len(books.verify().findings) == 3


def test_the_command_tells_it_in_plain_words(books: Books, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(books.office.data.root)
    assert command("--data-dir", data) == verify_cli.INTACT
    assert "7 grants and access records" in capsys.readouterr().out
    books.tamper("UPDATE access_records SET bytes_sent = 0 WHERE id = :ended")
    assert command("--data-dir", data) == verify_cli.DAMAGED
    said = capsys.readouterr().out
    assert "bytes_sent is 0 in the database, 4321 in entry" in said


def test_the_database_beside_a_folder_given_by_name_is_compared(
    books: Books, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    books.tamper("DELETE FROM access_records WHERE id = :ended")
    assert command(str(books.office.data.audit)) == verify_cli.DAMAGED
    monkeypatch.chdir(books.office.data.audit)
    assert command(".") == verify_cli.DAMAGED
    assert "the database does not know it" in capsys.readouterr().out


def test_a_copy_of_the_folder_alone_says_what_was_not_compared(
    books: Books, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(books.office.data.audit, tmp_path / "copy" / "audit")
    assert command(str(tmp_path / "copy" / "audit")) == verify_cli.INTACT
    assert "grants and access records were not compared" in capsys.readouterr().out


def test_without_the_database_nothing_is_said_of_the_books(
    books: Books, capsys: pytest.CaptureFixture[str]
) -> None:
    books.tamper("UPDATE access_records SET bytes_sent = 0 WHERE id = :ended")
    assert command("--data-dir", str(books.office.data.root), "--no-database") == verify_cli.INTACT
    assert "were not compared" in capsys.readouterr().out


def test_the_checked_files_are_left_as_they_were(books: Books, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert books.verify().ok
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    shm = books.office.data.database.with_name("commonview.sqlite-shm")  # readers mark themselves there
    assert {path for path in after if path != shm and after[path] != before.get(path)} == set()
