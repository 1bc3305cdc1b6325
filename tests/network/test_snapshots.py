"""Pictures uploaded by a camera: who may upload what, where, until when, and what is missing."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from commonview.network.control import (
    Command,
    CommandFailure,
    CommandState,
    NeedsNewerEdition,
    SnapshotBusy,
    SnapshotOrder,
    SnapshotUnknown,
    UploadRefused,
    UploadUnknown,
    UploadUnreachable,
    upload_base,
)
from commonview.network.control.snapshot_model import PICTURE_MAX_BYTES
from commonview.network.control.uploads import pictures_of
from commonview.wire import manscdp as wire
from tests.network.control_camera import ACCOUNT, CHANNEL_ID, ControlRoom, control_room, states
from tests.network.exchange import DEVICE
from tests.network.harness import until

PICTURE = b"\xff\xd8\xff\xe0" + bytes(200) + b"\xff\xd9"
BASE = "http://192.0.2.1:8000"


async def body(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def form(*parts: tuple[str, bytes]) -> tuple[str, bytes]:
    """A multipart body: (content type, bytes)."""
    written = b"".join(
        b'--edge\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), content)
        for name, content in parts
    )
    return "multipart/form-data; boundary=edge", written + b"--edge--\r\n"


class Taking:
    """One snapshot under way."""

    def __init__(self, room: ControlRoom, command: Command, task: asyncio.Task[int]) -> None:
        self.room = room
        self.command = command
        self.task = task

    @property
    def block(self) -> wire.SnapShotConfig:
        (*_, sent) = [one for one in self.room.camera.sent if isinstance(one, wire.DeviceConfig)]
        block = sent.block(wire.SnapShotConfig)
        assert block is not None
        return block

    @property
    def token(self) -> str:
        return self.block.upload_url.rpartition("/")[2]

    async def upload(self, content: bytes = PICTURE, kind: str = "image/jpeg") -> int:
        return await self.room.control.snapshots.receive(self.token, kind, body(content))

    def finish(self, *ids: str, session_id: str | None = None) -> None:
        self.room.camera.say(
            wire.UploadSnapShotFinished(
                sn=9, device_id=DEVICE, session_id=session_id or self.block.session_id, file_ids=ids
            )
        )

    async def end(self) -> Command:
        await self.task
        return await self.room.control.command(self.command.id)


async def take(room: ControlRoom, count: int = 1, grant_id: str = "grant", lasts_s: float = 60) -> Taking:
    order = SnapshotOrder(count, 1, ACCOUNT, grant_id, room.clock.now() + timedelta(seconds=lasts_s))
    command, task = await room.control.snapshots.take(room.control.channel(CHANNEL_ID), order, BASE)
    await until(lambda: room.camera.sent)
    await asyncio.sleep(0.01)
    return Taking(room, command, task)


@pytest.mark.anyio
@pytest.mark.trap(25)
async def test_snapshot_is_asked_for_as_the_standard_says_and_observed_when_the_picture_is_here(
    tmp_path: Path,
) -> None:
    async with control_room(tmp_path) as room:
        taking = await take(room)
        assert taking.block.snap_num == 1
        assert taking.block.upload_url.startswith(f"{BASE}/api/device-upload/")
        assert await taking.upload() == 1
        command = await taking.end()
        (snapshot,) = await room.control.snapshots.of(ACCOUNT)
        assert await room.control.snapshots.read(snapshot) == PICTURE
    assert states(command) == ["sent", "accepted", "answered", "observed"]
    assert command.steps[-1].evidence == {"asked": 1, "received": 1}
    assert (snapshot.channel_id, snapshot.grant_id, snapshot.command_id) == (
        CHANNEL_ID,
        "grant",
        command.id,
    )


@pytest.mark.anyio
async def test_picture_has_a_random_name_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        taking = await take(room)
        await taking.upload()
        await taking.end()
    (file,) = (tmp_path / "snapshots").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert CHANNEL_ID not in file.name


@pytest.mark.anyio
async def test_fewer_pictures_than_asked_for_is_a_failure_with_its_numbers(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        taking = await take(room, count=3)
        await taking.upload()
        taking.finish("a")
        command = await taking.end()
    assert command.failure is CommandFailure.PICTURES_MISSING
    assert command.steps[-1].evidence == {"asked": 3, "received": 1, "told": 1}


@pytest.mark.anyio
async def test_device_that_tells_of_pictures_it_never_sent_is_not_believed(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        taking = await take(room)
        taking.finish("a")
        command = await taking.end()
    assert command.failure is CommandFailure.PICTURES_MISSING


@pytest.mark.anyio
async def test_notice_of_another_session_changes_nothing(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        taking = await take(room)
        taking.finish(session_id="0" * 32)
        assert room.control.counters["snapshot_notice_unasked"] == 1
        await taking.upload()
        assert (await taking.end()).state is CommandState.OBSERVED


@pytest.mark.anyio
async def test_address_is_for_one_purpose_and_ends_with_it(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        taking = await take(room)
        token = taking.token
        assert room.control.snapshots.allowance("x" * 32) == 0
        assert room.control.snapshots.allowance(token) > PICTURE_MAX_BYTES
        await taking.upload()
        for address in (token, "x" * 32):
            with pytest.raises(UploadUnknown):
                await room.control.snapshots.receive(address, "image/jpeg", body(PICTURE))
        await taking.end()


@pytest.mark.anyio
async def test_end_of_the_grant_ends_the_expectation(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        taking = await take(room, grant_id="mine")
        token = taking.token
        room.control.snapshots.cut_grant("other")
        assert room.control.snapshots.allowance(token)
        room.control.snapshots.cut_grant("mine")
        with pytest.raises(UploadUnknown):
            await room.control.snapshots.receive(token, "image/jpeg", body(PICTURE))
        assert (await taking.end()).failure is CommandFailure.PICTURES_MISSING


@pytest.mark.anyio
async def test_too_large_or_foreign_uploads_are_refused_and_the_address_stays_good(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        taking = await take(room)
        huge = b"\xff\xd8\xff" + bytes(PICTURE_MAX_BYTES)
        for content, code in (
            (b"GIF89a", "upload_not_jpeg"),
            (b"", "upload_empty"),
            (huge, "upload_too_large"),
        ):
            with pytest.raises(UploadRefused) as refused:
                await taking.upload(content)
            assert refused.value.code == code
        assert await room.control.snapshots.of(ACCOUNT) == []
        assert await taking.upload() == 1
        await taking.end()


@pytest.mark.anyio
async def test_several_pictures_of_one_multipart_upload_are_kept_and_no_more_than_asked_for(
    tmp_path: Path,
) -> None:
    async with control_room(tmp_path) as room:
        taking = await take(room, count=2)
        kind, content = form(("file", PICTURE), ("file", PICTURE), ("file", PICTURE))
        assert await taking.upload(content, kind) == 2
        assert (await taking.end()).state is CommandState.OBSERVED
        assert room.control.counters["pictures_surplus"] == 1


@pytest.mark.anyio
async def test_second_snapshot_of_a_camera_waits_for_the_first(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        taking = await take(room)
        with pytest.raises(SnapshotBusy):
            await take(room)
        await taking.upload()
        await taking.end()


@pytest.mark.anyio
async def test_refusal_and_silence_of_the_camera_end_the_expectation(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        room.camera.refuses.add("DeviceConfig")
        refused = await (await take(room)).end()
        room.camera.mute.add("DeviceConfig")
        room.camera.refuses.clear()
        silent = await (await take(room)).end()
    assert refused.failure is CommandFailure.REFUSED_BY_DEVICE
    assert silent.failure is CommandFailure.NOT_ANSWERED


@pytest.mark.anyio
async def test_camera_of_2016_is_not_asked(tmp_path: Path) -> None:
    async with control_room(tmp_path, version="2.0") as room:
        with pytest.raises(NeedsNewerEdition):
            await take(room)


@pytest.mark.anyio
async def test_pictures_are_deleted_after_a_day(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        taking = await take(room)
        await taking.upload()
        await taking.end()
        snapshots = room.control.snapshots
        (snapshot,) = await snapshots.of(ACCOUNT)
        assert snapshots._sweep(snapshot.received_at) == 0
        assert snapshots._sweep(snapshot.received_at + timedelta(seconds=1)) == 1
        with pytest.raises(SnapshotUnknown):
            await snapshots.find(snapshot.id)
        with pytest.raises(SnapshotUnknown):
            await snapshots.read(snapshot)
        left = tmp_path / "snapshots" / "left.jpg"
        left.write_bytes(PICTURE)
        os.utime(left, (0, 0))
        assert snapshots._sweep(room.clock.now() - timedelta(days=1)) == 1
        assert not left.exists()


@pytest.mark.parametrize(
    ("kind", "content", "code"),
    [
        ("multipart/form-data", PICTURE, "upload_malformed"),
        ("multipart/form-data; boundary=edge", PICTURE, "upload_malformed"),
        ("multipart/form-data; boundary=edge", b"--edge\r\nno end", "upload_malformed"),
        ("multipart/form-data; boundary=e", b"--e\r\n\r\n" * 60 + b"--e--", "upload_malformed"),
        (*form(("note", b"hello")), "upload_not_jpeg"),
        (*form(("SessionID", b"other"), ("file", PICTURE)), "upload_other_session"),
        ("text/html", b"<html>", "upload_not_jpeg"),
    ],
)
def test_upload_that_is_no_picture_is_refused_by_name(kind: str, content: bytes, code: str) -> None:
    with pytest.raises(UploadRefused) as refused:
        pictures_of(content, kind, "mine")
    assert refused.value.code == code


def test_picture_may_stand_beside_other_fields() -> None:
    kind, content = form(("SessionID", b"mine"), ("name", b"x"), ("file", PICTURE))
    assert pictures_of(content, kind, "mine") == [PICTURE]


@pytest.mark.anyio
async def test_address_told_to_a_device_is_one_that_it_reaches(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        record = room.record
        public = {"public_url": "https://cameras.example/x", "http_host": "127.0.0.1", "http_port": 8000}
        assert upload_base(record, **public) == "https://cameras.example"  # type: ignore[arg-type]
        assert (
            upload_base(record, public_url="", http_host="192.0.2.7", http_port=80) == "http://192.0.2.7:80"
        )
        with pytest.raises(UploadUnreachable):
            upload_base(record, public_url="", http_host="127.0.0.1", http_port=8000)
        record.peer = ("127.0.0.1", 5060)
        assert upload_base(record, public_url="", http_host="127.0.0.1", http_port=1) == "http://127.0.0.1:1"
