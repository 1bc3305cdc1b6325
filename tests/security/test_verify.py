"""Nothing in the log can be changed without being found, and the finding names the place."""

import argparse
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from commonview.security import verify_cli
from commonview.security.checkpoint import LogKey
from commonview.security.tiles import pack_entries, unpack_entries
from commonview.security.verify import FindingKind, VerifyReport, verify_audit
from tests.security.test_audit import KEY, Log

SIZE = 600
LAST_BUNDLE = "tile/entries/002.p/88"


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """A log of 600 entries, signed at 100 and at 600, never changed by a test."""
    log = Log(tmp_path_factory.mktemp("signed"))
    log.add(100)
    log.audit.checkpoint()
    (log.data.root / "kept").write_bytes((log.data.audit / "checkpoint").read_bytes())
    log.add(500)
    log.audit.checkpoint()
    return log


@pytest.fixture
def folder(signed: Log, tmp_path: Path) -> Path:
    """A copy of its files, to be spoiled."""
    return Path(shutil.copytree(signed.data.audit, tmp_path / "audit"))


def verify(folder: Path, **more: object) -> VerifyReport:
    return verify_audit(folder, settle_s=0, **more)  # type: ignore[arg-type]


def kinds(report: VerifyReport) -> set[FindingKind]:
    return {finding.kind for finding in report.findings}


def rewrite(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path.write_bytes(pack_entries(change(unpack_entries(path.read_bytes()))))


def test_an_untouched_log_is_intact(signed: Log) -> None:
    report = verify(
        signed.data.audit,
        public_key=signed.audit.key,
        previous=(signed.data.root / "kept").read_bytes(),
        database=signed.data.database,
    )
    assert report.findings == []
    assert (report.size, report.files_checked) == (SIZE, 9)
    assert report.database_checked
    assert report.previous_checked


def test_each_of_1000_random_changed_bits_is_found_and_its_file_named(folder: Path) -> None:
    chance = random.Random(20261122)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert len(files) == 9
    missed = []
    for _ in range(1000):
        path = chance.choice(files)
        content = path.read_bytes()
        bit = chance.randrange(len(content) * 8)
        broken = bytearray(content)
        broken[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(broken)
        report = verify(folder)
        name = path.relative_to(folder).as_posix()
        # A changed key makes every signature look wrong: then the checkpoint is named.
        if not any(finding.file == name for finding in report.findings) and name != "log.vkey":
            missed.append((name, bit, report.findings))
        elif report.ok:
            missed.append((name, bit, []))
        path.write_bytes(content)
    assert missed == []
    assert verify(folder).ok


def test_every_bit_of_checkpoint_and_key_counts(tmp_path: Path) -> None:
    small = Log(tmp_path)
    small.add(3)
    small.audit.checkpoint()
    folder = small.data.audit
    for name in ("checkpoint", "log.vkey"):
        content = (folder / name).read_bytes()
        for bit in range(len(content) * 8):
            broken = bytearray(content)
            broken[bit // 8] ^= 1 << (bit % 8)
            (folder / name).write_bytes(broken)
            assert not verify(folder).ok, (name, bit)
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("sequence", [0, 99, 255, 256, 511, 512, 599])
def test_a_changed_entry_is_located(folder: Path, sequence: int) -> None:
    number, at = divmod(sequence, 256)
    path = folder / (LAST_BUNDLE if number == 2 else f"tile/entries/{number:03d}")

    def change(entries: list[bytes]) -> list[bytes]:
        entries[at] = entries[at].replace(b'"system"', b'"nobody"')
        return entries

    rewrite(path, change)
    (finding,) = verify(folder).findings
    assert (finding.kind, finding.sequence) == (FindingKind.ENTRY_CHANGED, sequence)
    assert finding.file == path.relative_to(folder).as_posix()
    assert "test.done thing:" in finding.message


def test_two_changed_entries_are_both_located(folder: Path) -> None:
    rewrite(folder / "tile/entries/001", lambda entries: [b"{}", *entries[1:-1], b"{}"])
    assert [finding.sequence for finding in verify(folder).findings] == [256, 511]


@pytest.mark.parametrize("at", [0, 17, 87])
def test_a_removed_entry_is_located(folder: Path, at: int) -> None:
    rewrite(folder / LAST_BUNDLE, lambda entries: entries[:at] + entries[at + 1 :])
    (finding,) = verify(folder).findings
    assert (finding.kind, finding.sequence) == (FindingKind.ENTRY_REMOVED, 512 + at)


def test_an_entry_slipped_in_is_located(folder: Path) -> None:
    rewrite(folder / LAST_BUNDLE, lambda entries: [*entries[:40], b'{"forged":1}', *entries[40:]])
    (finding,) = verify(folder).findings
    assert (finding.kind, finding.sequence) == (FindingKind.ENTRY_ADDED, 552)


def test_reordered_entries_are_located(folder: Path) -> None:
    def swap(entries: list[bytes]) -> list[bytes]:
        entries[3], entries[9] = entries[9], entries[3]
        return entries

    rewrite(folder / "tile/entries/000", swap)
    (finding,) = verify(folder).findings
    assert (finding.kind, finding.sequence) == (FindingKind.ENTRIES_REORDERED, 3)
    assert "3, 9" in finding.message


def test_a_changed_hash_is_told_from_a_changed_entry(folder: Path) -> None:
    path = folder / "tile/0/001"
    tile = bytearray(path.read_bytes())
    tile[32 * 5] ^= 1
    path.write_bytes(tile)
    (finding,) = verify(folder).findings
    assert (finding.kind, finding.sequence) == (FindingKind.TILE_CHANGED, 261)


def test_an_entry_rewritten_together_with_its_hash_is_found_by_the_level_above(folder: Path) -> None:
    from commonview.security.merkle import leaf_hash

    def change(entries: list[bytes]) -> list[bytes]:
        entries[5] = b'{"forged":1}'
        return entries

    rewrite(folder / "tile/entries/001", change)
    tile = bytearray((folder / "tile/0/001").read_bytes())
    tile[32 * 5 : 32 * 6] = leaf_hash(b'{"forged":1}')
    (folder / "tile/0/001").write_bytes(tile)
    report = verify(folder)
    assert FindingKind.ROOT_DIFFERS in kinds(report)
    assert any("256 to 511" in finding.message for finding in report.findings)


def test_a_log_rewritten_throughout_is_located_by_the_database(signed: Log, tmp_path: Path) -> None:
    forged = Log(tmp_path / "forged")
    with forged.db.begin() as conn:
        for sequence, leaf in enumerate(signed.in_order()):
            told = leaf.replace(b"test.done", b"test.none") if sequence == 123 else leaf
            conn.execute(text("INSERT INTO audit_entries VALUES (:n, :leaf)"), {"n": sequence, "leaf": told})
    forged.audit.checkpoint()
    shutil.copy(signed.data.audit / "checkpoint", forged.data.audit / "checkpoint")
    report = verify(forged.data.audit, database=signed.data.database)
    assert FindingKind.ROOT_DIFFERS in kinds(report)
    differing = [one for one in report.findings if one.kind is FindingKind.DATABASE_DIFFERS]
    assert {one.sequence for one in differing} == {123, None}  # the entry, and the root of the checkpoint


@pytest.mark.parametrize(
    "name", ["tile/0/000", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/001", LAST_BUNDLE]
)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    findings = verify(folder).findings
    assert [(one.kind, one.file) for one in findings] == [(FindingKind.FILE_MISSING, name)]


def test_a_missing_checkpoint_or_key_is_found(folder: Path) -> None:
    (folder / "checkpoint").unlink()
    assert kinds(verify(folder)) == {FindingKind.CHECKPOINT_MISSING}
    (folder / "log.vkey").unlink()
    assert FindingKind.FILE_MISSING in kinds(verify(folder))


def test_a_foreign_file_is_named(folder: Path) -> None:
    (folder / "tile/0/x000").mkdir()
    (folder / "tile/0/x000/000").write_bytes(b"")
    (folder / "notes.txt").write_text("hello")
    assert [one.file for one in verify(folder).findings] == ["notes.txt", "tile/0/x000/000"]


def test_a_file_cut_off_or_added_to_is_found(folder: Path) -> None:
    for name in ("tile/0/000", "tile/1/000.p/2", "tile/entries/000", "log.vkey", "checkpoint"):
        content = (folder / name).read_bytes()
        for broken in (content[:-1], content[:-32], content + b"\0", content + bytes(32)):
            (folder / name).write_bytes(broken)
            assert not verify(folder).ok, name
        (folder / name).write_bytes(content)


def test_a_log_rolled_back_to_an_older_checkpoint_is_found(signed: Log, folder: Path, tmp_path: Path) -> None:
    older = Log(tmp_path / "older")
    with older.db.begin() as conn:
        for sequence, leaf in enumerate(signed.in_order()[:100]):
            conn.execute(text("INSERT INTO audit_entries VALUES (:n, :leaf)"), {"n": sequence, "leaf": leaf})
    older.audit.checkpoint()
    newest = (folder / "checkpoint").read_bytes()
    assert verify(older.data.audit).ok  # by itself it is a perfect log
    report = verify(older.data.audit, previous=newest)
    assert kinds(report) == {FindingKind.TRUNCATED}
    assert report.findings[0].sequence == 100
    with_database = verify(older.data.audit, database=signed.data.database)
    assert FindingKind.TRUNCATED in kinds(with_database)
    shutil.copy(older.data.audit / "checkpoint", folder / "checkpoint")
    assert FindingKind.FILE_UNEXPECTED in kinds(verify(folder))  # files beyond the older end


def test_a_log_begun_anew_with_the_same_key_does_not_extend_the_kept_checkpoint(
    signed: Log, tmp_path: Path
) -> None:
    anew = Log(tmp_path / "anew")
    anew.clock.advance(5)
    anew.add(SIZE)
    anew.audit.checkpoint()
    assert verify(anew.data.audit, public_key=signed.audit.key).ok
    report = verify(anew.data.audit, previous=(signed.data.root / "kept").read_bytes())
    assert kinds(report) == {FindingKind.HISTORY_CHANGED}


def test_another_key_in_the_folder_is_found(signed: Log, folder: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from commonview.security.checkpoint import log_key, open_note, sign

    other = Ed25519PrivateKey.generate()
    checkpoint = open_note((folder / "checkpoint").read_bytes(), signed.audit.key)
    (folder / "checkpoint").write_text(sign(checkpoint, other))
    (folder / "log.vkey").write_text(log_key("test/log", other).encode() + "\n")
    assert verify(folder).ok  # without the noted key nobody can tell
    assert kinds(verify(folder, public_key=signed.audit.key)) == {
        FindingKind.KEY_CHANGED,
        FindingKind.CHECKPOINT_INVALID,
    }


def test_changes_in_the_database_are_located(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.add(300)
    log.audit.checkpoint()
    log.add(5)
    assert verify(log.data.audit, database=log.data.database).unsigned_entries == 5
    with log.db.begin() as conn:
        for trigger in ("audit_entries_no_update", "audit_entries_no_delete"):
            conn.execute(text(f"DROP TRIGGER {trigger}"))
        conn.execute(text("UPDATE audit_entries SET leaf = x'7b7d' WHERE sequence IN (12, 303)"))
        conn.execute(text("DELETE FROM audit_entries WHERE sequence IN (260, 261, 302)"))
    report = verify(log.data.audit, database=log.data.database)
    assert kinds(report) == {FindingKind.DATABASE_DIFFERS}
    assert [finding.sequence for finding in report.findings] == [12, 260, 261, 302, 303]


def test_a_file_that_is_no_database_is_said_so(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "x.sqlite").write_bytes(b"not a database" * 100)
    assert kinds(verify(folder, database=tmp_path / "x.sqlite")) == {FindingKind.DATABASE_UNREADABLE}


def command(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    verify_cli.add_arguments(parser)
    return verify_cli.run(parser.parse_args(arguments))


def test_the_command_says_intact(signed: Log, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(signed.data.root)
    kept = str(signed.data.root / "kept")
    assert command("--data-dir", data, "--key", signed.audit.key.encode(), "--previous", kept) == 0
    said = capsys.readouterr().out
    assert "INTACT" in said
    assert "600 entries" in said
    assert "Note" not in said


def test_the_command_says_what_is_damaged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(folder / LAST_BUNDLE, lambda entries: entries[:17] + entries[18:])
    assert command(str(folder)) == 1
    said = capsys.readouterr().out
    assert "DAMAGED: 1 finding\n" in said
    assert "[entry 529]" in said
    assert "entry 529 was removed" in said


def test_the_command_says_when_it_cannot_check(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(str(tmp_path / "nowhere")) == 2
    assert command(str(folder), "--key", "nonsense") == 2
    assert command(str(folder), "--previous", str(tmp_path / "nowhere")) == 2
    assert capsys.readouterr().out == ""


def test_the_key_line_reads_back() -> None:
    from commonview.security.checkpoint import log_key

    key = log_key("test/log", KEY)
    assert LogKey.parse_line(f"{key.encode()}\n".encode()) == key
