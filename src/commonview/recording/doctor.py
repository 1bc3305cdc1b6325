"""The doctor: proves that disk and index agree and that every chain is whole, and mends what a crash left.

It trusts neither the disk nor the index, and it never takes away what somebody could still need: a damaged
segment stays where it is, and is named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from commonview.media import hash_segment, mend_segment, scan_segment
from commonview.recording import disk_store, evidence
from commonview.recording.bands import Bands
from commonview.recording.heads import Head, heads_in_log
from commonview.recording.index import Finished, SegmentIndex, begin_of
from commonview.recording.model import Disk, GapReason, Segment, Track
from commonview.recording.rules import GENESIS, digest, link

if TYPE_CHECKING:
    from commonview.foundation.database import Database

MARKER: Final = ".commonview-disk"
"""In the root of every disk: its id. Without it the disk counts as not mounted."""

_PART: Final = ".part"
_MP4: Final = ".mp4"


class FindingKind(StrEnum):
    """What the doctor found."""

    PART_MENDED = "part_mended"
    PART_LEFT = "part_left"
    PART_EMPTY = "part_empty"
    SEGMENT_ADOPTED = "segment_adopted"
    SEGMENT_NOT_INDEXED = "segment_not_indexed"
    SEGMENT_UNREADABLE = "segment_unreadable"
    FILE_MISSING = "file_missing"
    FILE_LENGTH = "file_length"
    FILE_CHANGED = "file_changed"
    FILE_UNREADABLE = "file_unreadable"
    FOREIGN_FILE = "foreign_file"
    DELETED_FILE_LEFT = "deleted_file_left"
    DELETION_FINISHED = "deletion_finished"
    CHAIN_BROKEN = "chain_broken"
    CHAIN_CUT = "chain_cut"
    """The audit log knows of segments that the chain does not reach."""
    HEAD_DIFFERS = "head_differs"
    """The audit log names another link."""
    ROW_UNREADABLE = "row_unreadable"
    SEQUENCE_MISSING = "sequence_missing"
    TOMBSTONE_CHANGED = "tombstone_changed"
    TOMBSTONE_MISSING = "tombstone_missing"
    DISK_UNKNOWN = "disk_unknown"
    DISK_GONE = "disk_gone"


HARMLESS: Final = frozenset(
    {
        FindingKind.PART_MENDED,
        FindingKind.PART_EMPTY,
        FindingKind.SEGMENT_ADOPTED,
        FindingKind.DELETION_FINISHED,
    }
)
"""What is in order again once the doctor has been there."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be, and where."""

    kind: FindingKind
    where: str
    """`CHANNEL/STREAM#SEQUENCE`, or a file."""
    detail: str = ""

    def __str__(self) -> str:
        """A line for people."""
        return f"{self.kind.value}: {self.where}" + (f" ({self.detail})" if self.detail else "")


@dataclass(slots=True)
class Report:
    """What was looked at and what was found."""

    tracks: int = 0
    segments: int = 0
    deleted: int = 0
    files: int = 0
    bytes: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        """Whether nothing is left to be done."""
        return all(finding.kind in HARMLESS for finding in self.findings)

    def counts(self) -> Counter[str]:
        """How often each kind was found."""
        return Counter(finding.kind.value for finding in self.findings)


def place(track: Track, sequence: int) -> str:
    """How a segment is named in findings."""
    return f"{track.channel_id}/{track.stream_number}#{sequence}"


class Doctor:
    """Examines one installation's recordings. Blocks; nothing else may record meanwhile when it mends."""

    def __init__(
        self,
        database: Database,
        *,
        mend: bool,
        hashes: bool = True,
        tell: Callable[[Finding], None] | None = None,
    ) -> None:
        """With ``mend`` it adopts and finishes; with ``hashes`` every file is read to its last byte."""
        self._database = database
        self._mend = mend
        self._hashes = hashes
        self._tell = tell
        self._index = SegmentIndex(Bands())
        self._disks: dict[str, Disk] = {}
        self._reachable: set[str] = set()
        self.report = Report()

    def examine(self) -> Report:
        """Everything. Raises `StorageUnavailable`."""
        self._look_at_disks()
        for track in self._tracks():
            self.report.tracks += 1
            self._walk(track)
        with self._database.read() as conn:
            heads = heads_in_log(conn)
        for track in sorted({*self._tracks(), *heads}):
            self._verify(track, heads.get(track))
        return self.report

    def adopt(self, track: Track, disk: Disk, day: str) -> int:
        """Take up what a crash left of a track since this day (`YYYY-MM-DD`); returns how many segments."""
        self._disks = {disk.id: disk}
        before = self.report.counts()["segment_adopted"]
        self._walk(track, since=day)
        return self.report.counts()["segment_adopted"] - before

    def _note(self, kind: FindingKind, where: str, detail: str = "") -> None:
        finding = Finding(kind, where, detail)
        self.report.findings.append(finding)
        if self._tell is not None:
            self._tell(finding)

    def _look_at_disks(self) -> None:
        with self._database.read() as conn:
            self._disks = {disk.id: disk for disk in disk_store.load_disks(conn)}
        for disk in self._disks.values():
            try:
                marked = (Path(disk.root) / MARKER).read_text(encoding="ascii").strip()
            except (OSError, ValueError) as error:
                self._note(FindingKind.DISK_GONE, disk.root, str(error))
                continue
            if marked == disk.id:
                self._reachable.add(disk.id)
            else:
                self._note(FindingKind.DISK_GONE, disk.root, "another disk is mounted there")

    def _tracks(self) -> list[Track]:
        with self._database.read() as conn:
            known = evidence.tracks(conn)
        for disk in self._disks.values():
            if disk.id in self._reachable:
                known.update(tracks_on(Path(disk.root)))
        return sorted(known)

    # -- from the disk to the index

    def _walk(self, track: Track, since: str = "") -> None:
        with self._database.read() as conn:
            rows = evidence.files(conn, track, datetime.fromisoformat(f"{since}T00:00Z") if since else None)
        found: list[Finished] = []
        for disk in self._disks.values():
            if self._reachable and disk.id not in self._reachable:
                continue
            root = Path(disk.root)
            for path in files_of(root, track, since):
                self._look_at_file(track, disk, path, rows, found)
        if found:
            self._adopt(found)

    def _look_at_file(
        self,
        track: Track,
        disk: Disk,
        path: Path,
        rows: dict[tuple[str, str], str | None],
        found: list[Finished],
    ) -> None:
        relative = str(path.relative_to(disk.root))
        if (disk.id, relative) in rows:
            if rows[disk.id, relative] is not None:
                self._finish_deletion(path)
            return
        try:
            begin_of(relative)
        except ValueError:
            self._note(FindingKind.FOREIGN_FILE, str(path))
            return
        if path.suffix == _PART:
            taken = self._mend_part(track, disk, path)
        elif path.suffix == _MP4:
            taken = self._take_up(track, disk, path)
        else:
            self._note(FindingKind.FOREIGN_FILE, str(path))
            return
        if taken is not None:
            found.append(taken)

    def _finish_deletion(self, path: Path) -> None:
        if not self._mend:
            self._note(FindingKind.DELETED_FILE_LEFT, str(path))
            return
        try:
            path.unlink()
        except OSError as error:
            self._note(FindingKind.DELETED_FILE_LEFT, str(path), error.strerror or "")
        else:
            self._note(FindingKind.DELETION_FINISHED, str(path))

    def _mend_part(self, track: Track, disk: Disk, path: Path) -> Finished | None:
        if not self._mend:
            self._note(FindingKind.PART_LEFT, str(path))
            return None
        length = path.stat().st_size
        try:
            mended = mend_segment(path)
        except OSError as error:
            self._note(FindingKind.SEGMENT_UNREADABLE, str(path), error.strerror or str(error))
            return None
        if mended is None:
            self._note(FindingKind.PART_EMPTY, str(path), f"{length} bytes without a whole picture, removed")
            return None
        finished, scan = mended
        kept = min(length, scan.whole_bytes)
        self._note(
            FindingKind.PART_MENDED, str(finished), f"{scan.pictures} pictures, {length - kept} bytes cut off"
        )
        relative = str(finished.relative_to(disk.root))
        return Finished.found(track, disk.id, relative, scan, GapReason.SERVER_STOPPED)

    def _take_up(self, track: Track, disk: Disk, path: Path) -> Finished | None:
        if not self._mend:
            self._note(FindingKind.SEGMENT_NOT_INDEXED, str(path))
            return None
        try:
            scan = scan_segment(path)
        except OSError as error:
            self._note(FindingKind.SEGMENT_UNREADABLE, str(path), error.strerror or str(error))
            return None
        if not scan.pictures or (scan.whole_bytes < scan.bytes and not scan.is_finished):
            self._note(FindingKind.SEGMENT_UNREADABLE, str(path), "it holds no whole recording")
            return None
        return Finished.found(
            track, disk.id, str(path.relative_to(disk.root)), scan, GapReason.SERVER_STOPPED
        )

    def _adopt(self, found: list[Finished]) -> None:
        found.sort(key=lambda one: one.begin)
        with self._database.begin() as conn:
            added = self._index.append(conn, found)
        for segment in added:
            self._note(FindingKind.SEGMENT_ADOPTED, place(segment.track, segment.sequence), segment.path)

    # -- from the index to the disk

    def _verify(self, track: Track, head: Head | None) -> None:
        deleted: dict[str, list[Segment]] = {}
        previous, other, expected = GENESIS, GENESIS, 1
        for sequence, its_link, segment in self._rows(track):
            where = place(track, sequence)
            if sequence != expected:
                detail = f"and all up to #{sequence - 1}"
                self._note(FindingKind.SEQUENCE_MISSING, place(track, expected), detail)
            expected = sequence + 1
            if head is not None and sequence == head.sequence and its_link != head.link:
                self._note(FindingKind.HEAD_DIFFERS, where, f"from entry {head.entry} of the audit log")
            if segment is None:
                self._note(FindingKind.ROW_UNREADABLE, where)
                previous = other = its_link
                continue
            right = link(previous, segment)
            if segment.link not in (right, link(other, segment)):
                self._note(FindingKind.CHAIN_BROKEN, where, "the row or its link is not what was written")
            # When a link itself was changed, the next one still tells what it had been.
            previous, other = segment.link, right
            if segment.tombstone_id is None:
                self.report.segments += 1
                self._verify_file(segment, where)
            else:
                self.report.deleted += 1
                deleted.setdefault(segment.tombstone_id, []).append(segment)
        if head is not None and expected <= head.sequence:
            detail = f"entry {head.entry} of the audit log knows of all up to #{head.sequence}"
            self._note(FindingKind.CHAIN_CUT, place(track, expected), detail)
        self._verify_stones(track, deleted)

    def _rows(self, track: Track) -> Iterator[tuple[int, str, Segment | None]]:
        with self._database.read() as conn:
            yield from evidence.segments(conn, track)

    def _verify_stones(self, track: Track, deleted: dict[str, list[Segment]]) -> None:
        with self._database.read() as conn:
            stones = evidence.tombstones(conn, track)
        for stone_id, covered in deleted.items():
            where = place(track, covered[0].sequence)
            if stone_id not in stones:
                self._note(FindingKind.TOMBSTONE_MISSING, where, stone_id)
                continue
            stone = stones[stone_id]
            if stone is None or stone.digest != digest(stone, (segment.link for segment in covered)):
                self._note(FindingKind.TOMBSTONE_CHANGED, where, stone_id)
        for stone_id in stones.keys() - deleted.keys():
            stone = stones[stone_id]
            where = place(track, 0 if stone is None else stone.first_sequence)
            self._note(FindingKind.TOMBSTONE_CHANGED, where, f"{stone_id} covers nothing")

    def _verify_file(self, segment: Segment, where: str) -> None:
        disk = self._disks.get(segment.disk_id)
        if disk is None:
            self._note(FindingKind.DISK_UNKNOWN, where, segment.disk_id)
            return
        if disk.id not in self._reachable:
            return
        path = Path(disk.root) / segment.path
        try:
            length = path.stat().st_size
            self.report.files += 1
            self.report.bytes += length
            if length != segment.bytes:
                detail = f"{path} has {length} bytes instead of {segment.bytes}"
                self._note(FindingKind.FILE_LENGTH, where, detail)
            elif self._hashes and hash_segment(path) != segment.sha256:
                self._note(FindingKind.FILE_CHANGED, where, str(path))
        except FileNotFoundError:
            self._note(FindingKind.FILE_MISSING, where, str(path))
        except (OSError, ValueError) as error:  # a path that was changed may be no path at all
            self._note(FindingKind.FILE_UNREADABLE, where, f"{path}: {error}")


def tracks_on(root: Path) -> Iterator[Track]:
    """The tracks that have a folder on a disk."""
    try:
        channels = [one for one in root.iterdir() if one.is_dir() and not one.name.startswith(".")]
    except OSError:
        return
    for channel in channels:
        for stream in channel.iterdir():
            if stream.is_dir() and stream.name.isdigit():
                yield Track(channel.name, int(stream.name))


def folder_of(track: Track) -> str:
    """Where a track's days lie below the root of a disk."""
    return f"{track.channel_id}/{track.stream_number}"


def files_of(root: Path, track: Track, since: str = "") -> Iterator[Path]:
    """The files of a track on a disk, by name, from a day on."""
    try:
        days = sorted(one for one in (root / folder_of(track)).iterdir() if one.is_dir())
    except OSError:
        return
    for day in days:
        if day.name >= since:
            yield from sorted(day.iterdir())
