"""HLS from the whole server: one access record for all its requests, and an end like everybody's."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.api.harness import signed_in_at
from tests.api.test_whole_server import Scene, scene_in
from tests.media.hls_client import HlsClient
from tests.processes import OPERATOR, wait_for
from tests.waiting import PATIENCE_S


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene_in(tmp_path_factory.mktemp("hls")) as one:
        yield one


def reader(live: dict[str, Any]) -> HlsClient:
    """A client of the URL that the API gave."""
    url = urlsplit(live["url"])
    assert url.port is not None
    return HlsClient(url.port, f"{url.path}?{url.query}")


def closed(scene: Scene, live: dict[str, Any]) -> dict[str, Any]:
    """The record of a look once it is closed."""
    record: dict[str, Any] = wait_for(
        lambda: (one := scene.record(live["access_id"]))["outcome"] != "open" and one, "the record to close"
    )
    return record


def test_revoking_a_grant_ends_the_session_and_closes_its_one_record(scene: Scene) -> None:
    live = scene.watch(protocol="hls")
    with reader(live) as client:
        client.open()
        listing = client.listing()
        assert client.file(listing)[4:8] == b"ftyp"
        assert scene.record(live["access_id"])["outcome"] == "open"
        scene.supervisor.delete(f"/api/grants/{live['grant']['id']}", params={"reason": "over"})
        # Waits for a part, or is refused at once: in both cases nothing more is given.
        segment, _ = listing.edge
        assert client.ask(f"live.m3u8?_HLS_msn={segment + 2}").status == 403
    record = closed(scene, live)
    assert (record["outcome"], record["protocol"]) == ("grant_revoked", "hls")
    assert record["bytes_sent"] > 0


def test_signing_out_ends_the_session(scene: Scene) -> None:
    with signed_in_at(scene.server.url, OPERATOR) as operator:
        own = Scene(scene.server, operator, scene.supervisor, scene.channel_id)
        live = own.watch(protocol="hls")
        with reader(live) as client:
            client.open()
            client.listing()
            assert operator.delete("/api/session").status_code in (200, 204)
            wait_for(lambda: client.ask("live.m3u8").status == 403, "the session to end")
    assert closed(scene, live)["outcome"] == "closed"


def test_a_used_ticket_opens_no_second_session(scene: Scene) -> None:
    live = scene.watch(protocol="hls")
    assert httpx.get(live["url"], timeout=PATIENCE_S).status_code == 200
    assert httpx.get(live["url"], timeout=PATIENCE_S).status_code == 403


@pytest.mark.interop
def test_ffprobe_and_ffmpeg_read_the_url(scene: Scene) -> None:
    if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        pytest.skip("ffmpeg is not installed")
    probe = ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name,width,height", "-of", "json"]
    found = subprocess.run(
        [*probe, scene.watch(protocol="hls")["url"]], capture_output=True, text=True, check=True
    )
    [stream] = json.loads(found.stdout)["streams"]
    assert stream["codec_name"] in {"h264", "hevc"}
    assert stream["width"] > 0
    assert found.stderr == ""
    decode = ["ffmpeg", "-v", "warning", "-i", scene.watch(protocol="hls")["url"], "-t", "6"]
    decoded = subprocess.run(
        [*decode, "-f", "framemd5", "-"], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    pictures = [line for line in decoded.stdout.splitlines() if not line.startswith("#")]
    # Six seconds over at least two segments, none damaged.
    assert len(pictures) > 60
    assert "error" not in decoded.stderr.lower()
