"""The segment that is being written: looked at as far as it is on the disk, and under the same looks."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from commonview.media import (
    OpenSegment,
    RecorderBegan,
    RecorderSegment,
    SegmentGroup,
    SegmentHead,
    scan_segment,
    segment_groups,
)
from commonview.recording import Disk, Track, TrackState, TrackStatus
from commonview.recording.bands import Bands
from commonview.recording.index import Finished, SegmentIndex, moment
from commonview.rendering import Source
from commonview.security import AccessOutcome, Role
from tests.api.harness import Harness
from tests.api.network_room import CHANNEL_ID
from tests.api.test_recording import incident, records
from tests.network.harness import until
from tests.rendering.conftest import recordings  # noqa: F401 - a fixture
from tests.rendering.recordings import ORIGIN_US, Kind, Recordings

pytestmark = pytest.mark.anyio

TRACK = Track(CHANNEL_ID)


@dataclass
class Writer:
    """A recorder with a real recording: two segments are in the index, the third comes group by group."""

    made: Harness
    disk: Disk
    source: Source
    path: Path
    head: SegmentHead
    groups: list[SegmentGroup]

    def path_of(self, source: Source, suffix: str) -> Path:
        begin = moment(source.begin_us)
        name = f"{begin:%H%M%S}.000Z-{source.sequence:08x}{suffix}"
        return Path(self.disk.root) / CHANNEL_ID / "0" / f"{begin:%Y-%m-%d}" / name

    def finished(self, source: Source) -> Finished:
        path = self.path_of(source, ".mp4")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(Path(source.path).read_bytes())
        scan = scan_segment(path)
        return Finished(
            TRACK, self.disk.id, str(path.relative_to(self.disk.root)), moment(source.begin_us),
            moment(source.end_us), scan.bytes, scan.sha256, scan.codec, scan.width, scan.height, scan.audio,
            scan.pictures, scan.key_frames, "", None,
        )  # fmt: skip

    def write(self, count: int) -> bytes:
        """So many groups are durable; a piece of the next is with the kernel. Returns what is durable."""
        groups = self.groups[:count]
        length = groups[-1].offset + groups[-1].bytes
        content = Path(self.source.path).read_bytes()
        self.path.write_bytes(content[: length + 500])
        begin_us = self.source.begin_us
        head = SegmentHead(
            **{name: getattr(self.head, name) for name in SegmentHead.__slots__} | {"bytes": length}
        )
        end_us = begin_us + count * 1_000_000
        self.made.media.written["r1"] = [OpenSegment(self.path, begin_us, end_us, head, tuple(groups))]
        return content[:length]

    def finish(self) -> None:
        """The segment ends, and its recorder says so."""
        finished = self.finished(self.source)
        self.path.unlink()
        self.made.media.written["r1"] = []
        recording = self.made.context.recording
        event = RecorderSegment(
            self.made.clock.now(), "r1", "s1", str(self.path.with_suffix(".mp4")), self.source.begin_us,
            self.source.end_us, finished.bytes, finished.sha256, finished.pictures, finished.key_frames,
            finished.codec, "", finished.width, finished.height, "", False, 0, "", 0,
        )  # fmt: skip
        recording.under_way.reported(TRACK, event)
        recording.index.submit(finished)


@pytest.fixture
def writer(made: Harness, recordings: Recordings) -> Writer:  # noqa: F811
    made.clock.advance(ORIGIN_US / 1_000_000 + 60 - made.clock.now().timestamp())
    [disk] = made.context.recording.disks.disks().values()
    first, second, third = recordings.of(Kind())
    head, groups = segment_groups(Path(third.path))
    written = Writer(made, disk, third, Path(), head, groups)
    written.path = written.path_of(third, ".part")
    with made.db.begin() as conn:
        SegmentIndex(Bands()).append(conn, [written.finished(one) for one in (first, second)])
    began = RecorderBegan(made.clock.now(), "r1", "s1", str(written.path), third.begin_us)
    made.context.recording.under_way.begun(TRACK, disk, began)
    return written


async def look(client: httpx.AsyncClient, *, first_s: float = 0, last_s: float = 60) -> dict[str, Any]:
    begin = moment(ORIGIN_US)
    answer = await client.post(
        "/api/recorded",
        json={
            "channel_id": CHANNEL_ID,
            "begin": (begin + timedelta(seconds=first_s)).isoformat(),
            "end": (begin + timedelta(seconds=last_s)).isoformat(),
            "purpose_id": await incident(client),
            "reason": "what happened just now",
        },
    )
    assert answer.status_code == 201, answer.text
    opened: dict[str, Any] = answer.json()
    return opened


async def test_what_is_on_the_disk_of_it_can_be_fetched_and_nothing_behind(
    made: Harness, writer: Writer
) -> None:
    content = writer.write(1)
    client = await made.signed_in(Role.INVESTIGATOR)
    opened = await look(client)
    assert [(one["sequence"], one["is_open"]) for one in opened["segments"]] == [
        (1, False),
        (2, False),
        (3, True),
    ]
    told = opened["segments"][2]
    assert (told["bytes"], told["sha256"], told["codec"]) == (len(content), "", "h264")
    whole = await client.get(told["url"])
    assert (whole.status_code, whole.content) == (200, content)
    assert whole.headers["cache-control"] == "no-store"
    rest = await client.get(told["url"], headers={"Range": f"bytes={len(content) - 5}-"})
    assert (rest.status_code, rest.content) == (206, content[-5:])
    assert rest.headers["content-range"].endswith(f"/{len(content)}")


async def test_its_index_grows_until_it_is_the_index_of_a_finished_one(made: Harness, writer: Writer) -> None:
    writer.write(1)
    client = await made.signed_in(Role.INVESTIGATOR)
    opened = await look(client)
    url = opened["segments"][2]["url"] + "/index"
    first = (await client.get(url)).json()
    assert (first["is_open"], first["groups"]) == (True, [list(writer.groups[0])])
    content = writer.write(2)
    second = (await client.get(url)).json()
    assert (second["bytes"], len(second["groups"])) == (len(content), 2)
    assert second["end"] > first["end"]
    assert second["begin"] == first["begin"]
    writer.finish()
    waiting = (await client.get(url)).json()
    assert (waiting["is_open"], waiting["groups"]) == (True, second["groups"]), "it waits for its row"
    assert await made.context.recording.index.flush()
    last = (await client.get(url)).json()
    assert (last["is_open"], last["groups"]) == (False, second["groups"])
    assert last["begin"] == first["begin"]
    listed = (await client.get(f"/api/recorded/{opened['access_id']}")).json()["segments"]
    assert [(one["sequence"], one["is_open"]) for one in listed][2:] == [(3, False)]
    assert len(listed[2]["sha256"]) == 64
    assert (await client.get(listed[2]["url"])).content == Path(writer.source.path).read_bytes()


async def test_it_is_under_the_look_and_its_grant_like_the_others(made: Harness, writer: Writer) -> None:
    content = writer.write(1)
    client = await made.signed_in(Role.INVESTIGATOR)
    early = await look(client, last_s=3)
    assert [one["sequence"] for one in early["segments"]] == [1, 2]
    for place in ("", "/index"):
        outside = await client.get(f"/api/recorded/{early['access_id']}/0/3{place}")
        assert (outside.status_code, outside.json()["error"]["code"]) == (404, "segment_unknown")
    opened = await look(client)
    url = opened["segments"][2]["url"]
    stranger = await made.signed_in(Role.OPERATOR)
    assert (await stranger.get(url)).status_code == 403
    assert (await client.get(url)).content == content
    subject = made.subject(Role.INVESTIGATOR)
    part = await made.context.recorded.part(subject, opened["access_id"], 0, 3, None)
    sending = made.context.recorded.send(opened["access_id"], part)
    made.context.recorded.end_grant(opened["grant"]["id"], AccessOutcome.GRANT_REVOKED)
    assert [piece async for piece in sending] == []
    assert (await client.get(url + "/index")).status_code == 404
    await until(
        lambda: (
            [one.bytes_sent for one in records(made) if one.outcome is AccessOutcome.GRANT_REVOKED]
            == [len(content)]
        )
    )


async def test_what_was_finished_while_it_was_asked_for_is_found(made: Harness, writer: Writer) -> None:
    content = writer.write(1)
    client = await made.signed_in(Role.INVESTIGATOR)
    opened = await look(client)
    part = await made.context.recorded.part(made.subject(Role.INVESTIGATOR), opened["access_id"], 0, 3, None)
    writer.finish()
    assert (
        b"".join([piece async for piece in made.context.recorded.send(opened["access_id"], part)]) == content
    )


async def test_stills_and_strips_reach_into_it(made: Harness, writer: Writer) -> None:
    writer.write(2)
    client = await made.signed_in(Role.INVESTIGATOR)
    place = f"/api/recorded/{(await look(client))['access_id']}/0"
    at = moment(ORIGIN_US + 5_700_000).isoformat()
    still = await client.get(f"{place}/still", params={"at": at, "width": 160})
    assert still.status_code == 200, still.text
    assert still.headers["x-commonview-at"] == moment(ORIGIN_US + 5_000_000).isoformat()
    span = {"begin": moment(ORIGIN_US).isoformat(), "end": moment(ORIGIN_US + 8_000_000).isoformat()}
    strip = await client.get(f"{place}/strip", params=span | {"count": 8})
    assert strip.status_code == 200, strip.text
    told = strip.headers["x-commonview-at"].split(",")
    assert told == [*(str(ORIGIN_US // 1000 + second * 1000) for second in range(6)), "-", "-"]
    later = await client.get(f"{place}/still", params={"at": moment(ORIGIN_US + 6_500_000).isoformat()})
    assert later.json()["error"]["code"] == "nothing_recorded"


async def order(client: httpx.AsyncClient) -> httpx.Response:
    body = {
        "channel_ids": [CHANNEL_ID],
        "begin": moment(ORIGIN_US + 1_000_000).isoformat(),
        "end": moment(ORIGIN_US + 5_480_000).isoformat(),
        "cut": "exact",
        "purpose_id": await incident(client),
        "reason": "what happened just now",
    }
    return await client.post("/api/exports", json=body)


async def test_an_export_that_reaches_into_it_has_it_finished_first(made: Harness, writer: Writer) -> None:
    writer.write(2)
    client = await made.signed_in(Role.INVESTIGATOR)
    ordering = asyncio.create_task(order(client))
    await until(lambda: made.media.turned == ["r1"])
    assert not ordering.done()
    writer.finish()
    assert await made.context.recording.index.flush()
    ordered = await ordering
    assert ordered.status_code == 201, ordered.text
    export_id = ordered.json()["export"]["id"]
    while (told := (await client.get(f"/api/exports/{export_id}")).json())["state"] in ("waiting", "running"):
        await asyncio.sleep(0.02)
    assert told["state"] == "finished", told
    manifest = next(one for one in told["files"] if one["name"] == "manifest.json")
    said = json.loads((await client.get(manifest["url"])).content)["channels"][0]
    assert [one["sequence"] for one in said["segments"]] == [1, 2, 3]
    assert {one["state"] for one in said["segments"]} == {"intact"}
    assert all(one["link"] for one in said["segments"])
    [file] = said["files"]
    assert file["pictures"] == 112, "a picture each 40 ms of 4.48 s, to the last"


async def test_an_export_of_what_cannot_be_finished_is_refused(
    made: Harness, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commonview.recording.under_way.PATIENCE_S", 0.05)
    writer.write(2)
    client = await made.signed_in(Role.INVESTIGATOR)
    refused = await order(client)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "segment_unfinished")
    assert records(made) == []


async def test_the_timeline_says_what_is_being_written(
    made: Harness, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.write(1)
    now = made.clock.now()
    status = TrackStatus(TRACK, "p1", TrackState.RECORDING, now - timedelta(seconds=10), None, "")
    monkeypatch.setattr(made.context.recording.keeper, "status", lambda: [status])
    client = await made.signed_in(Role.OPERATOR)
    since = made.context.recording.under_way.since(TRACK)
    assert since is not None
    body = {
        "channel_ids": [CHANNEL_ID],
        "begin": (since - timedelta(seconds=60)).isoformat(),
        "end": (now + timedelta(hours=1)).isoformat(),
        "pixels": 1000,
    }
    [line] = (await client.post("/api/recording/timeline", json=body)).json()["lines"]
    assert line["open"] == [[int(since.timestamp() * 1000), int(now.timestamp() * 1000)]]
