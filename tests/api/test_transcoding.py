"""Watching as H.264: decided, recorded and refused like every look, and shown in the statistics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from commonview.media import TapStats
from commonview.network import Viewer, ViewerEventKind
from commonview.network.transcoding import Transcode, TranscodeRefused, TranscoderState
from commonview.rendering import TranscoderReport
from commonview.security import AccessOutcome, AccessRecord, Role
from tests.api.harness import Harness, harness
from tests.api.network_room import CHANNEL_ID

pytestmark = pytest.mark.anyio

TOKEN = "a-token-of-many-characters"


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Harness]:
    token = tmp_path / "metrics-token"
    token.write_text(TOKEN)
    async with harness(tmp_path, metrics_token_file=token) as one:
        yield one


async def _watch(client: httpx.AsyncClient, **more: object) -> httpx.Response:
    purpose = (await client.get("/api/purposes")).json()["items"][0]["id"]
    body = {"channel_id": CHANNEL_ID, "purpose_id": purpose, "reason": "gate check", "codec": "h264"}
    return await client.post("/api/live", json=body | more)


def _records(made: Harness) -> list[AccessRecord]:
    return list(made.security.access_records(made.subject(Role.AUDITOR)))


async def test_a_player_without_h265_gets_the_transcoded_stream_and_the_record_says_so(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    answer = await _watch(client, stream_number=1)
    assert answer.status_code == 201
    live = answer.json()
    assert (live["transcoded"], live["session_id"]) == (True, "source1")
    assert urlsplit(live["url"]).path == "/live/transcoded1.mp4"
    [record] = _records(made)
    [(channel_id, number, access_id, user)] = made.network.transcodes.started
    assert (channel_id, number, access_id) == (CHANNEL_ID, 1, record.id)
    assert user
    assert made.network.started == []
    assert (record.detail["transcoded"], record.detail["stream_number"]) == ("h264", 1)


@pytest.mark.parametrize(
    ("protocol", "path"),
    [
        ("rtsp", "/live/transcoded1"),
        ("hls", "/hls/transcoded1/index.m3u8"),
        ("http-flv", "/live/transcoded1.flv"),
    ],
)
async def test_every_outlet_gives_it(made: Harness, protocol: str, path: str) -> None:
    client = await made.signed_in(Role.OPERATOR)
    live = (await _watch(client, protocol=protocol)).json()
    assert urlsplit(live["url"]).path == path


async def test_a_stream_that_is_h264_already_is_watched_as_it_is(made: Harness) -> None:
    made.network.transcodes.native.add((CHANNEL_ID, 0))
    client = await made.signed_in(Role.OPERATOR)
    live = (await _watch(client)).json()
    assert (live["transcoded"], live["session_id"]) == (False, "session1")
    assert made.network.transcodes.started == []


@pytest.mark.parametrize(
    "refused",
    [
        TranscodeRefused("2 streams are transcoded already", limit=2),
        TranscodeRefused("not installed", code="render_unavailable"),
    ],
)
async def test_what_is_refused_leaves_no_grant_and_no_record(
    made: Harness, refused: TranscodeRefused
) -> None:
    made.network.transcodes.refuse = refused
    client = await made.signed_in(Role.OPERATOR)
    answer = await _watch(client)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["params"]) == (409, refused.code, refused.params)
    assert _records(made) == []
    assert (await client.get("/api/grants")).json()["items"] == []


async def test_what_cannot_be_asked_for_is_refused(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    assert (await _watch(client, codec="vp9")).status_code == 422
    assert (await _watch(client, channel_id="nothing")).status_code == 404
    assert (await _watch(client, purpose_id=None, reason=None)).status_code >= 400
    assert made.network.transcodes.started == []


@pytest.mark.parametrize("broken", [False, True])
async def test_a_transcoder_that_fails_closes_the_record_as_failed(made: Harness, broken: bool) -> None:
    client = await made.signed_in(Role.OPERATOR)
    live = (await _watch(client)).json()
    made.live.on_viewer(made.network.join("source1", live["access_id"]))
    reason = "stream_ended" if broken else "feed_lost"
    if broken:
        made.network.transcodes.broken.add("transcoded1")
    made.live.on_viewer(
        made.network.event(ViewerEventKind.LEFT, "source1", live["access_id"], reason=reason, bytes_sent=7)
    )
    await made.live.drain()
    [record] = _records(made)
    assert (record.outcome, record.bytes_sent) == (AccessOutcome.FAILED, 7)


async def test_transcoders_stand_in_the_statistics_and_among_the_metrics(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    await _watch(client)
    since = datetime(2026, 1, 1, tzinfo=UTC)
    made.network.transcodes.running = (
        Transcode(
            stream_id="transcoded1",
            session=made.network.live["source1"],
            state=TranscoderState.RUNNING,
            started_at=since,
            viewers=(Viewer("a1", since),),
            pid=1,
            report=TranscoderReport("h265", (3840, 2160), (1920, 1080), decoded=60, encoded=50, damaged=1),
            taken=TapStats("tap", "source1", 60, 25, 1, 1000, 0),
        ),
    )
    made.network.transcodes.counters.update(started=3, transcoder_failed=1, refused_quota=4)
    administrator = await made.signed_in(Role.SYSTEM_ADMIN)
    found = (await administrator.get("/api/statistics")).json()["transcoding"]
    assert (found["quota"], found["started"], found["failed"], found["refused"]) == (2, 3, 1, 4)
    [row] = found["running"]
    assert (row["channel_id"], row["state"], row["codec"], row["viewers"]) == (
        CHANNEL_ID,
        "running",
        "h265",
        1,
    )
    assert (row["width"], row["height"], row["made_width"], row["made_height"]) == (3840, 2160, 1920, 1080)
    assert (row["encoded"], row["dropped"], row["damaged"]) == (50, 25, 1)
    text = (await administrator.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})).text
    assert "commonview_transcoders{} 1\n" in text
    assert "commonview_transcoders_quota{} 2\n" in text
    labels = f'{{channel="{CHANNEL_ID}",stream="0"}}'
    assert f"commonview_transcoder_pictures_total{labels} 50\n" in text
    assert f"commonview_transcoder_drops_total{labels} 25\n" in text
