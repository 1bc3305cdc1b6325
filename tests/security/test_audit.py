"""The audit log in its database and as files."""

from concurrent.futures import ThreadPoolExecutor
from functools import partialmethod
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text

from commonview.foundation.clock import FakeClock
from commonview.foundation.database import Database, migrate
from commonview.foundation.datadir import DataDirectory
from commonview.security import Invalid
from commonview.security.audit import AuditLog, decode_entry
from commonview.security.checkpoint import Checkpoint, CheckpointError, LogKey, log_key, open_note, sign
from commonview.security.merkle import leaf_hash, verify_consistency, verify_inclusion
from commonview.security.tiles import tile_path, tiles_of, unpack_entries
from commonview.security.verify import verify_audit
from tests.security.test_merkle import naive_root

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


class Log:
    """An audit log on a real database, without the rest of the room."""

    def __init__(self, root: Path) -> None:
        self.data = DataDirectory(root)
        self.data.prepare()
        self.clock = FakeClock()
        self.db = Database.at(self.data.database)
        migrate(self.db)
        self.audit = self.opened()

    def opened(self) -> AuditLog:
        audit = AuditLog(self.db, self.data, self.clock, KEY, "test/log")
        audit.open()
        return audit

    def reopen(self) -> AuditLog:
        self.audit = self.opened()
        return self.audit

    def add(self, count: int) -> None:
        with self.db.begin() as conn:
            for i in range(count):
                self.clock.advance(0.001)
                self.audit.append(conn, None, "test.done", f"thing:{i}", "ok", {"note": "说明" * (i % 7)})

    def in_order(self) -> list[bytes]:
        with self.db.read() as conn:
            return list(conn.execute(text("SELECT leaf FROM audit_entries ORDER BY sequence")).scalars())

    def files(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.data.audit).as_posix(): path.read_bytes()
            for path in self.data.audit.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def test_entries_are_numbered_without_a_gap_even_after_a_rollback(log: Log) -> None:
    log.add(2)

    def fail() -> None:
        with log.db.begin() as conn:
            log.audit.append(conn, None, "test.undone", "thing:x", "ok")
            raise RuntimeError("undo")

    with pytest.raises(RuntimeError):
        fail()
    log.add(1)
    assert [decode_entry(leaf).sequence for leaf in log.in_order()] == [0, 1, 2]


def test_an_entry_is_canonical_json_that_reads_back(log: Log) -> None:
    log.add(1)
    (leaf,) = log.in_order()
    assert leaf == (
        b'{"action":"test.done","actor":{"address":"","id":"system","name":"system"},'
        b'"at":"2026-01-01T00:00:00.001000Z","detail":{"note":""},"n":0,"outcome":"ok","resource":"thing:0"}'
    )
    assert decode_entry(leaf).action == "test.done"


def test_an_entry_too_long_for_a_bundle_is_refused(log: Log) -> None:
    with pytest.raises(Invalid, match="65535"), log.db.begin() as conn:
        log.audit.append(conn, None, "test", "thing:1", "ok", {"text": "x" * 66_000})
    assert log.in_order() == []


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 600])
def test_the_signed_root_is_the_naive_root_of_the_entries(log: Log, size: int) -> None:
    log.add(size)
    checkpoint = log.audit.checkpoint()
    assert checkpoint is not None
    assert (checkpoint.size, checkpoint.root) == (size, naive_root(log.in_order()))
    assert open_note((log.data.audit / "checkpoint").read_bytes(), log.audit.key) == checkpoint


def test_nothing_new_is_not_signed_again(log: Log) -> None:
    log.add(3)
    assert log.audit.checkpoint() is not None
    before = log.files()
    log.clock.advance(60)
    assert log.audit.checkpoint() is None
    assert log.files() == before


def test_the_layout_is_that_of_tlog_tiles(log: Log) -> None:
    for count in (100, 200, 400):
        log.add(count)
        log.audit.checkpoint()
    expected = {tile_path(*tile) for tile in tiles_of(700)}
    expected |= {"tile/entries/000", "tile/entries/001", "tile/entries/002.p/188", "checkpoint", "log.vkey"}
    files = log.files()
    assert (
        set(files)
        == expected
        == {
            "checkpoint",
            "log.vkey",
            "tile/0/000",
            "tile/0/001",
            "tile/0/002.p/188",
            "tile/1/000.p/2",
            "tile/entries/000",
            "tile/entries/001",
            "tile/entries/002.p/188",
        }
    )
    leaves = log.in_order()
    assert unpack_entries(files["tile/entries/001"]) == leaves[256:512]
    assert files["tile/0/000"] == b"".join(map(leaf_hash, leaves[:256]))
    assert files["tile/1/000.p/2"] == naive_root(leaves[:256]) + naive_root(leaves[256:512])


def test_tile_numbers_are_written_in_groups_of_three() -> None:
    assert tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert tile_path(None, 999, 3) == "tile/entries/999.p/3"
    assert tile_path(5, 1000) == "tile/5/x001/000"


def test_after_a_restart_the_log_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    steady, restarted = Log(tmp_path / "steady"), Log(tmp_path / "restarted")
    for count in (1, 254, 1, 1, 300, 256):
        for one in (steady, restarted):
            one.add(count)
            one.audit.checkpoint()
        restarted.reopen()
    assert steady.files() == restarted.files()


def test_unsigned_entries_of_a_crash_are_signed_after_it(log: Log) -> None:
    log.add(10)
    log.audit.checkpoint()
    log.add(300)
    checkpoint = log.reopen().checkpoint()
    assert checkpoint is not None
    assert checkpoint.root == naive_root(log.in_order())


def test_lost_files_are_restored_from_the_database_and_that_is_recorded(log: Log) -> None:
    log.add(300)
    log.audit.checkpoint()
    before = log.files()
    for name in ("tile/0/001.p/44", "tile/entries/000", "checkpoint"):
        (log.data.audit / name).unlink()
    log.reopen()
    assert log.files() == before
    assert decode_entry(log.in_order()[-1]).action == "audit.files_restored"
    assert log.audit.health().state == "ok"


def test_a_database_that_no_longer_gives_the_signed_root_is_not_signed_over(log: Log) -> None:
    log.add(30)
    log.audit.checkpoint()
    with log.db.begin() as conn:
        conn.execute(text("DROP TRIGGER audit_entries_no_update"))
        conn.execute(text("UPDATE audit_entries SET leaf = x'7b7d' WHERE sequence = 7"))
    for path in log.data.audit.glob("tile/entries/*.p/*"):
        path.unlink()
    audit = log.reopen()
    log.add(1)
    assert audit.health().state == "damaged"
    assert audit.checkpoint() is None


def test_a_database_older_than_its_log_is_not_signed_over(log: Log, tmp_path: Path) -> None:
    log.add(5)
    log.audit.checkpoint()
    with log.db.begin() as conn:
        backup = conn.execute(text("SELECT note FROM audit_checkpoints")).scalar_one()
    log.add(5)
    log.audit.checkpoint()
    with log.db.begin() as conn:
        for trigger in ("audit_entries_no_delete", "audit_checkpoints_no_delete"):
            conn.execute(text(f"DROP TRIGGER {trigger}"))
        conn.execute(text("DELETE FROM audit_entries WHERE sequence >= 5"))
        conn.execute(text("DELETE FROM audit_checkpoints WHERE size > 5"))
    assert backup == log.audit.newest_note()
    assert "older than its log" in log.reopen().health().message
    assert log.audit.checkpoint() is None


def test_proofs_from_the_files_verify(log: Log) -> None:
    roots = {}
    for _ in range(3):
        log.add(290)
        checkpoint = log.audit.checkpoint()
        assert checkpoint is not None
        roots[checkpoint.size] = checkpoint.root
    leaves = log.in_order()
    for sequence in (0, 255, 256, 511, 869):
        path = log.audit.prove_inclusion(sequence, 870)
        assert verify_inclusion(sequence, 870, leaf_hash(leaves[sequence]), path, roots[870])
    for old in (290, 580):
        assert verify_consistency(old, 870, roots[old], roots[870], log.audit.prove_consistency(old, 870))


def test_a_disk_that_refuses_a_tile_leaves_nothing_signed_and_the_next_try_succeeds(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    from commonview.foundation.errors import StorageUnavailable
    from commonview.security.tiles import TileStore

    log.add(300)
    write = TileStore.write
    left = 2

    def failing(self: TileStore, path: str, data: bytes) -> None:
        nonlocal left
        if left == 0:
            raise OSError(28, "No space left on device")
        left -= 1
        write(self, path, data)

    monkeypatch.setattr(TileStore, "write", failing)
    with pytest.raises(StorageUnavailable) as refused:
        log.audit.checkpoint()
    assert refused.value.code == "storage_full"
    assert log.audit.newest_note() is None
    monkeypatch.setattr(TileStore, "write", write)
    checkpoint = log.audit.checkpoint()
    assert checkpoint is not None
    assert checkpoint.root == naive_root(log.in_order())
    assert "tile/0/001.p/44" in log.files()


class Crash(BaseException):
    """The process is gone, between two steps."""


def test_whenever_the_process_dies_while_signing_the_log_goes_on_and_verifies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from commonview.security.tiles import TileStore

    steps = {name: getattr(TileStore, name) for name in ("write", "drop_narrower")}
    survived = 0
    while True:
        log = Log(tmp_path / str(survived))
        log.add(250)
        log.audit.checkpoint()
        log.add(20)
        left = survived

        def step(self: TileStore, *arguments: object, name: str) -> None:
            nonlocal left
            if left == 0:
                raise Crash
            left -= 1
            steps[name](self, *arguments)

        for name in steps:
            monkeypatch.setattr(TileStore, name, partialmethod(step, name=name))
        try:
            log.audit.checkpoint()
        except Crash:
            finished = False
        else:
            finished = True
        monkeypatch.undo()
        log.reopen().checkpoint()
        assert log.audit.health().state == "ok"
        assert [decode_entry(leaf).action for leaf in log.in_order()] == ["test.done"] * 270
        assert verify_audit(log.data.audit, database=log.data.database, settle_s=0).findings == []
        if finished:
            break
        survived += 1
    assert survived >= 6


def test_many_threads_append_without_a_gap_or_a_repetition(log: Log) -> None:
    def work(name: int) -> None:
        for i in range(15):
            with log.db.begin() as conn:
                log.audit.append(conn, None, "test.done", f"thread:{name}", "ok", {"i": i})
            if i % 5 == 0:
                log.audit.checkpoint()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    checkpoint = log.audit.checkpoint()
    assert [decode_entry(leaf).sequence for leaf in log.in_order()] == list(range(90))
    assert log.audit.health().signed_entries == 90
    assert checkpoint is None or checkpoint.root == naive_root(log.in_order())
    assert verify_audit(log.data.audit, database=log.data.database, settle_s=0).ok


def test_the_signed_note_is_the_format_of_c2sp() -> None:
    from datetime import UTC, datetime

    checkpoint = Checkpoint("example.org/log", 7, bytes(32), datetime(2026, 11, 22, 10, 0, tzinfo=UTC))
    note = sign(checkpoint, KEY)
    body, signature = note.split("\n\n")
    assert body == f"example.org/log\n7\n{'A' * 43}=\ntime 2026-11-22T10:00:00Z"
    assert signature.startswith("— example.org/log ")
    key = log_key("example.org/log", KEY)
    assert LogKey.parse(key.encode()) == key
    assert open_note(note.encode(), key) == checkpoint


def test_a_note_signed_by_another_key_or_for_another_log_is_refused() -> None:
    from datetime import UTC, datetime

    checkpoint = Checkpoint("example.org/log", 7, bytes(32), datetime(2026, 11, 22, 10, 0, tzinfo=UTC))
    note = sign(checkpoint, Ed25519PrivateKey.generate()).encode()
    with pytest.raises(CheckpointError, match="another key"):
        open_note(note, log_key("example.org/log", KEY))
    with pytest.raises(CheckpointError, match="no signature of"):
        open_note(note, log_key("example.org/other", KEY))
