"""Disk and index agree in both directions, every chain is whole, and whatever was changed is named."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from commonview.recording import Doctor, FindingKind, LegalClass, Report, store
from commonview.recording.doctor import MARKER, place
from tests.recording.conftest import TRACK, Books
from tests.recording.flips import Flips
from tests.recording.test_retention import Kept


def examined(books: Books, *, mend: bool = False) -> Report:
    return Doctor(books.database, mend=mend).examine()


def kinds(report: Report) -> list[FindingKind]:
    return [finding.kind for finding in report.findings]


def test_what_is_in_order_is_said_to_be(books: Books) -> None:
    report = examined(books)
    assert report.findings == []
    assert report.healthy
    assert (report.tracks, report.segments, report.files) == (1, 6, 6)
    assert report.bytes == sum(segment.bytes for segment in books.segments)


def test_a_missing_file_is_named(books: Books) -> None:
    books.path(2).unlink()
    [finding] = examined(books).findings
    assert (finding.kind, finding.where) == (FindingKind.FILE_MISSING, place(TRACK, 3))


def test_a_shorter_file_is_named(books: Books) -> None:
    path = books.path(1)
    path.write_bytes(path.read_bytes()[:-1])
    [finding] = examined(books).findings
    assert (finding.kind, finding.where) == (FindingKind.FILE_LENGTH, place(TRACK, 2))


def test_a_row_taken_out_of_the_chain_is_missed(books: Books) -> None:
    with books.database.begin() as conn:
        conn.execute(store.segments.delete().where(store.segments.c.sequence == 3))
    report = examined(books)
    assert kinds(report) == [
        FindingKind.SEGMENT_NOT_INDEXED,
        FindingKind.SEQUENCE_MISSING,
        FindingKind.CHAIN_BROKEN,
    ]
    assert report.findings[1].where == place(TRACK, 3)
    assert not report.healthy


def test_a_segment_the_index_does_not_know_is_adopted_and_nothing_else_is_touched(books: Books) -> None:
    with books.database.begin() as conn:
        conn.execute(store.segments.delete().where(store.segments.c.sequence == 6))
    before = {path: path.read_bytes() for path in books.root.rglob("*.mp4")}
    assert kinds(examined(books)) == [FindingKind.SEGMENT_NOT_INDEXED]
    mended = examined(books, mend=True)
    assert kinds(mended) == [FindingKind.SEGMENT_ADOPTED]
    assert mended.healthy
    assert examined(books).findings == []
    assert {path: path.read_bytes() for path in books.root.rglob("*.mp4")} == before
    adopted = books.rows()[-1]
    assert adopted.sha256 == books.segments[-1].sha256
    assert abs((adopted.begin - books.segments[-1].begin).total_seconds()) < 0.001


def test_what_a_crash_left_unfinished_is_finished_and_adopted(books: Books) -> None:
    last = books.path(5)
    with books.database.begin() as conn:
        conn.execute(store.segments.delete().where(store.segments.c.sequence == 6))
    part = last.with_suffix(".part")
    part.write_bytes(last.read_bytes()[:-3000])
    last.unlink()
    assert kinds(examined(books)) == [FindingKind.PART_LEFT]
    assert kinds(examined(books, mend=True)) == [FindingKind.PART_MENDED, FindingKind.SEGMENT_ADOPTED]
    assert examined(books).findings == []
    assert not part.exists()
    assert 0 < books.rows()[-1].pictures < 25


def test_a_part_without_a_whole_picture_is_removed_and_told(books: Books) -> None:
    part = books.path(5).parent / "235959.000Z-00000000.part"
    part.write_bytes(books.path(0).read_bytes()[:700])
    assert kinds(examined(books, mend=True)) == [FindingKind.PART_EMPTY]
    assert not part.exists()


def test_foreign_files_are_named_and_left_alone(books: Books) -> None:
    foreign = books.path(0).parent / "holiday.mp4"
    foreign.write_bytes(b"sand")
    assert kinds(examined(books, mend=True)) == [FindingKind.FOREIGN_FILE]
    assert foreign.exists()


def test_a_disk_that_is_not_there_is_one_finding(books: Books) -> None:
    shutil.rmtree(books.root)
    assert kinds(examined(books)) == [FindingKind.DISK_GONE]


def test_another_disk_in_its_place_is_noticed(books: Books) -> None:
    (books.root / MARKER).write_text("other")
    assert kinds(examined(books)) == [FindingKind.DISK_GONE]


def test_a_row_that_holds_no_time_at_all_is_named_and_its_neighbours_are_not(books: Books) -> None:
    with books.database.begin() as conn:
        conn.execute(text("update segments set begin_at = begin_at | (1 << 62) where sequence = 3"))
    [finding] = examined(books).findings
    assert (finding.kind, finding.where) == (FindingKind.ROW_UNREADABLE, place(TRACK, 3))


def test_a_text_that_is_none_is_named_and_its_neighbours_are_not(books: Books) -> None:
    with books.database.begin() as conn:
        conn.execute(text("update segments set link = cast(x'ff' as text) where sequence = 3"))
    [finding] = examined(books).findings
    assert (finding.kind, finding.where) == (FindingKind.CHAIN_BROKEN, place(TRACK, 3))


def test_a_tombstone_that_is_missing_is_named(books: Books) -> None:
    with books.database.begin() as conn:
        conn.execute(text("update segments set tombstone_id = 't1' where sequence = 1"))
    books.path(0).unlink()
    assert kinds(examined(books)) == [FindingKind.TOMBSTONE_MISSING]


@pytest.fixture
def flips(books: Books) -> Flips:
    """Two segments are deleted, four are there."""
    kept = Kept(books)
    kept.classify(LegalClass.ARTICLE_9)
    kept.plan(quota_bytes=sum(segment.bytes for segment in books.segments[2:]))
    kept.days_later(2)
    assert kept.sweep() > 0
    assert [books.path(number).exists() for number in range(6)] == [False] * 2 + [True] * 4
    assert examined(books).findings == []
    return Flips(books)


@pytest.mark.parametrize("seed", range(10))
def test_a_hundred_flipped_bits_are_found_and_located(flips: Flips, books: Books, seed: int) -> None:
    """Ten times: one thousand single bits in segments, index, chain and tombstones."""
    chance = random.Random(seed)
    for _ in range(100):
        flips.flip(chance)
    assert examined(books).findings == []


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_five_thousand_more_flipped_bits_are_found_and_located(flips: Flips, books: Books) -> None:
    chance = random.Random()
    for _ in range(5000):
        flips.flip(chance)
    assert examined(books).findings == []


def test_segments_lie_where_their_names_say(books: Books) -> None:
    for segment in books.segments:
        assert Path(segment.path).parts[:2] == (TRACK.channel_id, "0")
        assert f"{segment.begin:%H%M%S}" == Path(segment.path).name[:6]
