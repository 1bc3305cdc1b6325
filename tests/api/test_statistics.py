"""Streams and viewers in numbers, for the console and for Prometheus."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from commonview.api.metrics import exposition
from commonview.api.statistics import Statistics, StreamRow, ViewerRow
from commonview.media import MediaTransport, NodeStats, StreamStats, ViewerStats
from commonview.security import Role
from tests.api.harness import Harness, harness

pytestmark = pytest.mark.anyio

TOKEN = "a-token-of-many-characters"
NODE = NodeStats(1, 1, 1, 2, 10, 0, 0, 0, {"tls_handshakes": 3})
STREAM = StreamStats(
    stream_id="s1",
    transport=MediaTransport.UDP,
    port=30000,
    packets=99,
    bytes=12_345,
    lost=1,
    reordered=0,
    duplicates=0,
    malformed=0,
    discarded=0,
    rtcp_packets=0,
    frames=25,
    key_frames=1,
    bitrate_kbps=4000.5,
    fps=25.0,
    codec="h264",
    width=1920,
    height=1080,
    tracks=("h264",),
    viewers=1,
    cache_bytes=1,
    fragments=25,
    viewer_drops=2,
    viewer_bytes=777,
    ssrc=1,
    ssrc_mismatches=0,
    media_ms=1000,
    peer="192.0.2.77:30000",
    tcp_connections=0,
    foreign_sources=0,
    last_packet_age_ms=40,
    stall_reason=None,
    details={},
)
VIEWER = ViewerStats("s1", "access-1", "ws", 777, 2, 1, 4096, 120)


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "metrics-token"
    path.write_text(TOKEN + "\n")
    return path


@pytest.fixture
async def house(tmp_path: Path, token_file: Path) -> AsyncIterator[Harness]:
    async with harness(tmp_path, metrics_token_file=token_file) as made:
        media: Any = made.media
        media.all_stats = lambda: [STREAM]
        media.viewer_stats = lambda: [VIEWER]
        media.node_stats = lambda: NODE
        yield made


async def test_the_statistics_show_streams_and_viewers(house: Harness) -> None:
    client = await house.signed_in(Role.SYSTEM_ADMIN)
    answer = (await client.get("/api/statistics")).json()
    [stream], [viewer] = answer["streams"], answer["viewers"]
    assert (stream["bitrate_kbps"], stream["viewers"], stream["channel_id"]) == (4000.5, 1, None)
    assert (viewer["protocol"], viewer["bytes_sent"], viewer["waiting_ms"]) == ("ws", 777, 120)
    # Nobody is named to whoever may not read access records.
    assert viewer["account_name"] == ""
    told = [viewer[name] for name in ("lost", "loss", "jitter_ms", "round_trip_ms")]
    assert told == [None] * 4


async def test_what_a_player_reports_of_its_reception_is_shown(house: Harness) -> None:
    player = replace(VIEWER, protocol="rtsp", lost=3, loss=0.25, jitter_ms=1.5, round_trip_ms=None)
    cast(Any, house.media).viewer_stats = lambda: [player]
    client = await house.signed_in(Role.SYSTEM_ADMIN)
    [viewer] = (await client.get("/api/statistics")).json()["viewers"]
    told = [viewer[name] for name in ("lost", "loss", "jitter_ms", "round_trip_ms")]
    assert told == [3, 0.25, 1.5, None]
    text = (await client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})).text
    where = '{viewer="access-1",protocol="rtsp",channel="",stream="s1"}'
    assert f"commonview_viewer_lost_packets{where} 3\n" in text
    assert f"commonview_viewer_loss_ratio{where} 0.25\n" in text
    assert f"commonview_viewer_jitter_seconds{where} 0.0015\n" in text
    assert "commonview_viewer_round_trip_seconds{" not in text


async def test_prometheus_needs_the_token_and_nothing_else(house: Harness, token_file: Path) -> None:
    client = await house.client()
    for wrong in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": f"Basic {TOKEN}"}):
        refused = await client.get("/metrics", headers=wrong)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "metrics_token_wrong")
    right = {"Authorization": f"Bearer {TOKEN}"}
    answer = await client.get("/metrics", headers=right)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'commonview_stream_viewers{channel="",stream="s1"} 1\n' in answer.text
    for unusable in ("short", None):
        token_file.unlink(missing_ok=True) if unusable is None else token_file.write_text(unusable)
        refused = await client.get("/metrics", headers=right)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "metrics_token_unusable")


async def test_without_a_token_there_are_no_metrics(tmp_path: Path) -> None:
    async with harness(tmp_path) as made:
        client = await made.client()
        assert (await client.get("/metrics", headers={"Authorization": "Bearer "})).status_code == 404


def test_a_label_holds_nobody_and_breaks_no_line() -> None:
    streams = (StreamRow('gate"1\\\n', 1, STREAM),)
    viewers = (ViewerRow('gate"1\\\n', 1, None, replace(VIEWER)),)
    text = exposition(Statistics(NODE, streams, viewers), {"media": {"tls_handshakes": 3}})
    assert 'commonview_stream_bits_per_second{channel="gate\\"1\\\\\\n",stream="1"} 4000500\n' in text
    viewer = 'viewer="access-1",protocol="ws",channel="gate\\"1\\\\\\n",stream="1"'
    assert f"commonview_viewer_waiting_seconds{{{viewer}}} 0.12\n" in text
    assert 'commonview_room_count{room="media",name="tls_handshakes"} 3\n' in text
    assert cast(str, STREAM.peer).partition(":")[0] not in text
    for line in text.splitlines():
        assert line.startswith(("# HELP commonview_", "# TYPE commonview_", "commonview_"))
