"""Real segments, recorded once, and an installation's books to index them in."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from commonview.foundation.bus import Bus
from commonview.foundation.clock import FakeClock
from commonview.foundation.database import Database, migrate
from commonview.foundation.datadir import DataDirectory
from commonview.foundation.settings import Settings
from commonview.media import (
    CoreMediaNode,
    MediaNodeSettings,
    MediaTransport,
    RecorderEnded,
    RecorderSegment,
    RecorderTarget,
)
from commonview.recording import Disk, DiskPolicy, Segment, Track, disk_store, store
from commonview.recording.bands import Bands
from commonview.recording.doctor import MARKER
from commonview.recording.index import Finished, SegmentIndex, moment
from commonview.security import SecurityService
from commonview.security.passwords import Passwords
from tests.media.test_files import Recorder, wait_for_pictures
from tests.media.viewers import KEY

TRACK = Track("34020000001320000001-34020000001320000001")
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SEGMENTS = 6
S = 1_000_000


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> list[RecorderSegment]:
    """Six segments of a second each, under a root of their own."""
    root = tmp_path_factory.mktemp("recorded")
    first = 23_000 + 100 * (int(worker_id.removeprefix("gw")) if worker_id != "master" else 0)
    settings = MediaNodeSettings(viewer_port=0, rtp_port_min=first, rtp_port_max=first + 19, reactors=1)
    node = CoreMediaNode(settings, ticket_key=KEY)
    try:
        receiver = node.open_receiver("s1", MediaTransport.TCP_PASSIVE, ssrc=7)
        folder = root / TRACK.channel_id / "0"
        node.open_recorder("r1", "s1", RecorderTarget(root, folder), segment_s=1)
        with Recorder(receiver.port) as camera:
            camera.play(25 * SEGMENTS + 1)
            wait_for_pictures(node, 25 * SEGMENTS)
            node.close_recorder("r1")
            return _segments(node)
    finally:
        node.close()


def _segments(node: CoreMediaNode) -> list[RecorderSegment]:
    found: list[RecorderSegment] = []

    async def read() -> None:
        async for event in node.events():
            if isinstance(event, RecorderSegment):
                found.append(event)
            elif isinstance(event, RecorderEnded):
                return

    thread = threading.Thread(target=lambda: asyncio.run(read()))
    thread.start()
    thread.join(60)
    # What was on the way when the recorder was closed makes one more.
    for event in found[SEGMENTS:]:
        Path(event.path).unlink()
    assert len(found) >= SEGMENTS
    return [
        _as_in_life(event, found[0].begin_us + number * S) for number, event in enumerate(found[:SEGMENTS])
    ]


def _as_in_life(event: RecorderSegment, begin_us: int) -> RecorderSegment:
    """A test's camera plays a second in a moment: give the segment the time it would have had."""
    begin, old = moment(begin_us), Path(event.path)
    path = (
        old.parents[1] / f"{begin:%Y-%m-%d}" / f"{begin:%H%M%S}.{begin.microsecond // 1000:03}{old.name[10:]}"
    )
    path.parent.mkdir(exist_ok=True)
    old.rename(path)
    return replace(event, path=str(path), begin_us=begin_us, end_us=begin_us + event.end_us - event.begin_us)


@dataclass
class Books:
    """The database, the security room, one disk with segments of one track in the index."""

    database: Database
    security: SecurityService
    clock: FakeClock
    bus: Bus
    disk: Disk
    bands: Bands
    segments: list[Segment]

    @property
    def root(self) -> Path:
        return Path(self.disk.root)

    def path(self, number: int) -> Path:
        """The file of a segment, from 0."""
        return self.root / self.segments[number].path

    def rows(self) -> list[Segment]:
        with self.database.read() as conn:
            return list(store.read_segments(conn, store.segments.select()))


@pytest.fixture
def books(tmp_path: Path, recorded: list[RecorderSegment]) -> Iterator[Books]:
    made = empty_books(tmp_path)
    source = Path(recorded[0].path).parents[3]
    shutil.copytree(source, made.root, dirs_exist_ok=True)
    finished = [
        Finished.reported(TRACK, made.disk.id, str(Path(one.path).relative_to(source)), one, None)
        for one in recorded
    ]
    with made.database.begin() as conn:
        made.segments = SegmentIndex(made.bands).append(conn, finished)
    yield made
    made.security.close()
    made.database.close()


def empty_books(tmp_path: Path) -> Books:
    clock = FakeClock(NOW)
    data = DataDirectory(tmp_path / "data")
    data.prepare()
    database = Database.at(data.database)
    migrate(database)
    bus = Bus()
    security = SecurityService.open(
        db=database,
        clock=clock,
        bus=bus,
        data=data,
        settings=Settings(),
        passwords=Passwords(memory_kib=16, passes=1),
    )
    root = tmp_path / "disk"
    root.mkdir()
    disk = Disk("disk1", str(root), DiskPolicy.KEEP_MINIMUM, 0, NOW)
    (root / MARKER).write_text(disk.id)
    with database.begin() as conn:
        disk_store.put_disk(conn, disk)
    return Books(database, security, clock, bus, disk, Bands(), [])
