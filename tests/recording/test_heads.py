"""Heads of chains in the audit log: what is cut off a chain is missed, by the doctor and by the checker."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text

from commonview.foundation.errors import StorageUnavailable
from commonview.recording import Doctor, FindingKind, HeadsBook, Report, Track, store
from commonview.recording.doctor import place
from commonview.recording.heads import ChainHeads, heads_in_log
from commonview.recording.rules import GENESIS, chained
from commonview.security import FindingKind as Wrong
from commonview.security import VerifyReport
from commonview.security.verify import verify_audit
from tests.recording.conftest import TRACK, Books


@pytest.fixture
def signed(books: Books) -> Books:
    """All six segments are spoken for by a signed entry."""
    heads = ChainHeads(books.database, books.security)
    heads.note(books.segments)
    assert heads.write() == 1
    books.security.audit.checkpoint()
    return books


def examined(books: Books) -> Report:
    return Doctor(books.database, mend=False).examine()


def verified(books: Books) -> VerifyReport:
    data = books.root.parent / "data"
    database = data / "commonview.sqlite"
    return verify_audit(data / "audit", database=database, settle_s=0, books=[HeadsBook])


def cut(books: Books, from_sequence: int) -> None:
    """Take the newest segments away, files and rows."""
    for number, segment in enumerate(books.segments):
        if segment.sequence >= from_sequence:
            books.path(number).unlink()
    with books.database.begin() as conn:
        conn.execute(store.segments.delete().where(store.segments.c.sequence >= from_sequence))


def write_anew(books: Books) -> None:
    """Another chain, whole in itself, of the same files."""
    previous = GENESIS
    with books.database.begin() as conn:
        conn.execute(store.segments.delete())
        for segment in books.segments:
            forged = chained(previous, replace(segment, pictures=segment.pictures + 1))
            previous = forged.link
            conn.execute(store.segments.insert().values(**store.segment_values(forged)))


def test_a_whole_chain_agrees_with_the_log(signed: Books) -> None:
    assert examined(signed).findings == []
    assert verified(signed).findings == []
    with signed.database.read() as conn:
        head = heads_in_log(conn)[TRACK]
    assert (head.sequence, head.link) == (6, signed.segments[-1].link)


def test_a_tail_that_was_cut_off_is_missed(signed: Books) -> None:
    cut(signed, 5)
    [finding] = examined(signed).findings
    assert (finding.kind, finding.where) == (FindingKind.CHAIN_CUT, place(TRACK, 5))
    [wrong] = verified(signed).findings
    assert wrong.kind is Wrong.CHAIN_DIFFERS
    assert place(TRACK, 6) in wrong.message


def test_a_whole_track_that_was_taken_away_is_missed(signed: Books) -> None:
    cut(signed, 1)
    [finding] = examined(signed).findings
    assert (finding.kind, finding.where) == (FindingKind.CHAIN_CUT, place(TRACK, 1))


def test_a_chain_written_anew_is_not_the_one_that_was_signed(signed: Books) -> None:
    write_anew(signed)
    [finding] = examined(signed).findings
    assert (finding.kind, finding.where) == (FindingKind.HEAD_DIFFERS, place(TRACK, 6))
    assert [one.kind for one in verified(signed).findings] == [Wrong.CHAIN_DIFFERS]


def test_a_head_that_was_forged_in_the_log_is_not_believed(signed: Books) -> None:
    """Whoever cuts the chain must change the log, too, and that is what was signed."""
    cut(signed, 5)
    names = {
        "old": f'"{TRACK.channel_id}/0":"6:{signed.segments[5].link}"',
        "new": f'"{TRACK.channel_id}/0":"4:{signed.segments[3].link}"',
    }
    with signed.database.begin() as conn:
        for (name,) in conn.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
            conn.execute(text(f"DROP TRIGGER {name}"))
        forging = "UPDATE audit_entries SET leaf = CAST(replace(CAST(leaf AS TEXT), :old, :new) AS BLOB)"
        conn.execute(text(forging), names)
    assert examined(signed).findings == []
    assert {one.kind for one in verified(signed).findings} == {Wrong.DATABASE_DIFFERS, Wrong.CHAIN_DIFFERS}


def test_only_what_moved_is_written_and_a_refusal_forgets_nothing(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = ChainHeads(books.database, books.security)
    heads.note(books.segments[:3])

    def full() -> None:
        raise StorageUnavailable("no room")

    with monkeypatch.context() as patch:
        patch.setattr(books.database, "begin", full)
        with pytest.raises(StorageUnavailable):
            heads.write()
    heads.note(books.segments[3:4])
    assert heads.write() == 1
    assert heads.write() == 0
    with books.database.read() as conn:
        assert heads_in_log(conn)[TRACK].sequence == 4


def test_many_heads_stand_in_several_entries(books: Books) -> None:
    heads = ChainHeads(books.database, books.security)
    many = [replace(books.segments[0], track=Track(f"{number:020}-{number:020}")) for number in range(700)]
    heads.note(many)
    assert heads.write() == 700
    with books.database.read() as conn:
        assert set(heads_in_log(conn)) == {one.track for one in many}
