"""Real disks under a real server: full, frozen, read-only and gone.

Each is an alarm within a minute and ends, nothing that was acknowledged is lost, and what could not be
recorded is a gap with its reason. They are file systems in a file, mounted for the test, which needs the
right to mount.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from commonview.foundation.database import Database
from commonview.recording import Gap, store
from tests.faults.test_recording_killed import (
    LEFT,
    acknowledged,
    examine,
    record_everything,
    wait_until_all_are_recorded,
)
from tests.processes import ADMINISTRATOR, SUPERVISOR, Cameras, Server, running, wait_for

pytest.importorskip("commonview.media._core", reason="the media core is not built")
pytest.importorskip("av", reason="the simulator's extra is not installed")
pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

MIB = 2**20
WITHIN_S = 60
COUNT = 3
BESIDE = timedelta(seconds=0.5)
GONE = {"disk_gone", "write_failed"}


def command(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True, capture_output=True, timeout=30)


class RealDisk:
    """A file system of 48 MiB in a file."""

    def __init__(self, folder: Path) -> None:
        self.image = folder / "disk.img"
        self.root = folder / "disk"
        self.away = folder / "away"
        self.root.mkdir()
        self.away.mkdir()
        self.begun = False

    def make(self) -> None:
        with self.image.open("wb") as file:
            file.truncate(48 * MIB)
        command("mkfs.ext4", "-q", "-m", "0", self.image)
        command("mount", "-o", "loop", self.image, self.root)
        self.begun = True

    def end(self) -> None:
        for place in (self.root, self.away, self.root):
            while place.is_mount():
                subprocess.run(["fsfreeze", "--unfreeze", str(place)], capture_output=True, check=False)
                command("umount", "--lazy", place)

    @contextmanager
    def full(self, left: int) -> Iterator[None]:
        """All but so many bytes are taken by something else."""
        ballast = self.root / "ballast"
        with ballast.open("wb", buffering=0) as file:
            with suppress(OSError):  # until it is full
                while file.write(bytes(MIB // 16)):
                    pass
            file.truncate(max(0, file.tell() - left))
            os.fsync(file.fileno())
        try:
            yield
        finally:
            ballast.unlink()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Every write and sync waits."""
        command("fsfreeze", "--freeze", self.root)
        try:
            yield
        finally:
            command("fsfreeze", "--unfreeze", self.root)

    @contextmanager
    def gone(self) -> Iterator[None]:
        """Its place is empty."""
        command("mount", "--move", self.root, self.away)
        try:
            yield
        finally:
            command("mount", "--move", self.away, self.root)

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """It can be read and not written. What is open already can be written to its end."""
        command("mount", "--bind", self.root, self.away)
        command("mount", "-o", "remount,bind,ro", self.away)
        command("mount", "--bind", self.away, self.root)
        try:
            yield
        finally:
            command("umount", self.root)
            command("umount", self.away)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[RealDisk]:
    made = RealDisk(tmp_path)
    try:
        made.make()
    except (OSError, subprocess.SubprocessError) as error:
        made.end()
        pytest.skip(f"no file system can be mounted here: {error}")
    yield made
    made.end()


@pytest.fixture
def server(tmp_path: Path, disk: RealDisk) -> Iterator[Server]:
    server = Server(
        tmp_path,
        recording_dir=disk.root / "recordings",
        recording_reserve_bytes=4 * MIB,
        recording_segment_s=2,
        recording_starts_per_s=1000,
    )
    with running(server, Cameras(server, count=COUNT, size="320x240", fps=5)):
        server.set_up()
        record_everything(server, COUNT)
        wait_until_all_are_recorded(server, COUNT)
        yield server


def health(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = server.sign_in(SUPERVISOR).get("/api/recording/disks").json()["items"][0]
    return found


def expect_alarm(server: Server, *any_of: str) -> None:
    wait_for(lambda: set(health(server)["alarms"]) & set(any_of), f"the alarm {any_of}", WITHIN_S)


def expect_recovery(server: Server) -> None:
    wait_for(lambda: health(server)["alarms"] == [], "the end of the alarms", 2 * WITHIN_S)
    known = set(acknowledged(server))
    tracks = {channel for channel, _ in known}

    def went_on() -> bool:
        return {channel for channel, _ in set(acknowledged(server)) - known} == tracks

    wait_for(went_on, "new segments of every camera", WITHIN_S)
    wait_until_all_are_recorded(server, COUNT)


def lasting(server: Server, since: datetime) -> set[str]:
    """Why nothing is recorded just now."""
    span = {"from": since.isoformat(), "to": (datetime.now(UTC) + timedelta(minutes=1)).isoformat()}
    answer = server.sign_in(SUPERVISOR).get("/api/recording/gaps", params=span).json()
    return {gap["reason"] for gap in answer["items"] if gap["end"] is None}


def holes(server: Server) -> set[str]:
    """The reasons of what is missing between the segments; one that is not written down is `unexplained`."""
    with closing(Database.at(server.data_dir / "commonview.sqlite")) as database, database.read() as conn:
        rows = sorted(store.read_segments(conn, store.segments.select()), key=lambda row: row.sequence)
        gaps = store.read_gaps(conn, rows[0].begin, rows[-1].end)
    found = set()
    for track in {row.track for row in rows}:
        for one, other in pairwise(row for row in rows if row.track == track):
            if other.begin - one.end > timedelta(seconds=0.5):
                why = {
                    gap.reason.value
                    for gap in gaps
                    if gap.track == track and gap.begin <= one.end + BESIDE and other.begin <= _end(gap)
                }
                found |= why or {"unexplained"}
    return found


def _end(gap: Gap) -> datetime:
    assert gap.end is not None
    return gap.end + BESIDE


def verify(server: Server, *reasons: str) -> None:
    """Disk and index agree, and every hole has one of these reasons."""
    assert set(examine(server, mend=False)) <= LEFT
    assert holes(server) <= set(reasons)


def test_a_full_disk_keeps_what_must_be_kept_and_says_what_it_did_not_record(
    server: Server, disk: RealDisk
) -> None:
    before = acknowledged(server)
    begun = datetime.now(UTC)
    with disk.full(left=0):
        expect_alarm(server, "disk_full")
        wait_for(lambda: "disk_full" in lasting(server, begun), "the gap", WITHIN_S)
        assert before.items() <= acknowledged(server).items()
    expect_recovery(server)
    verify(server, "disk_full")


def test_a_full_disk_gives_up_its_oldest_when_it_is_told_to(server: Server, disk: RealDisk) -> None:
    shown = health(server)
    change = {"policy": "oldest_first", "reserve_bytes": 4 * MIB}
    administrator = server.sign_in(ADMINISTRATOR)
    answer = administrator.put(f"/api/recording/disks/{shown['id']}", json=change)
    assert answer.status_code == 200, answer.text
    wait_for(lambda: len(acknowledged(server)) > 4 * COUNT, "some segments", WITHIN_S)
    with disk.full(left=MIB):
        expect_alarm(server, "disk_nearly_full", "disk_full")

        def buried() -> bool:
            stones = server.sign_in(SUPERVISOR).get("/api/recording/tombstones").json()["items"]
            return bool(stones) and all(stone["rule"] == "disk_full" for stone in stones)

        wait_for(buried, "the tombstones of the oldest", WITHIN_S)
    expect_recovery(server)
    verify(server, "disk_full")


def test_a_disk_that_hangs_is_slow_and_loses_nothing_that_was_acknowledged(
    server: Server, disk: RealDisk
) -> None:
    before = acknowledged(server)
    with disk.frozen():
        expect_alarm(server, "disk_slow")
        assert server.sign_in(SUPERVISOR).get("/api/recording/tracks").status_code == 200
    assert before.items() <= acknowledged(server).items()
    expect_recovery(server)
    verify(server, "disk_slow")


def test_a_disk_that_goes_away_is_missed_and_comes_back(server: Server, disk: RealDisk) -> None:
    before = acknowledged(server)
    begun = datetime.now(UTC)
    with disk.gone():
        expect_alarm(server, "disk_gone")
        wait_for(lambda: lasting(server, begun) & GONE, "the gap", WITHIN_S)
    assert before.items() <= acknowledged(server).items()
    expect_recovery(server)
    verify(server, *GONE)


def test_a_disk_that_turns_read_only_is_told_and_used_again_when_it_can_be(
    server: Server, disk: RealDisk
) -> None:
    before = acknowledged(server)
    begun = datetime.now(UTC)
    with disk.read_only():
        expect_alarm(server, "read_only")
        wait_for(lambda: "read_only" in lasting(server, begun), "the gap", WITHIN_S)
    assert before.items() <= acknowledged(server).items()
    expect_recovery(server)
    verify(server, "read_only")
