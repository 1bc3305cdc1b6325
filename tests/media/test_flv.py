"""FLV over HTTP and WebSocket: what FFmpeg reads, with the camera's sound, under the same rights."""

from __future__ import annotations

import io
import shutil
import subprocess
import threading
from collections.abc import Callable
from itertools import pairwise

import av
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from commonview.media import CoreMediaNode, MediaTransport, ViewerJoined, ViewerLeft, ViewerProtocol, tickets
from tests.media.camera import GROUP
from tests.media.conftest import EventLog, NodeFactory
from tests.media.sound import tone
from tests.media.test_files import Recorder
from tests.media.test_viewing import live
from tests.media.viewers import error_code, open_http, signed
from tests.waiting import PATIENCE_S

HTTP, WS = ViewerProtocol.HTTP_FLV, ViewerProtocol.WEBSOCKET_FLV
ENOUGH = 400_000


def path(protocol: ViewerProtocol, **ticket: str) -> str:
    return tickets.viewer_path(protocol, "s1", signed("s1", protocol, **ticket))  # type: ignore[arg-type]


def by_http(node: CoreMediaNode, enough: int = ENOUGH) -> bytes:
    """The beginning of the answer."""
    with open_http(node, path(HTTP)) as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "video/x-flv")
        return response.read(enough)


def by_websocket(node: CoreMediaNode, enough: int = ENOUGH) -> bytes:
    """The messages one after the other; every one is binary."""
    url = f"ws://127.0.0.1:{node.viewer_port}{path(WS)}"
    file = b""
    with connect(url, compression=None, max_size=None, max_queue=None, proxy=None) as connection:
        while len(file) < enough:
            message = connection.recv(timeout=PATIENCE_S)
            assert isinstance(message, bytes)
            file += message
    return file


def whole_tags(file: bytes) -> bytes:
    """The file up to the last tag that is whole."""
    end = following = 13
    while following <= len(file):
        end = following
        following += 15 + int.from_bytes(file[end + 1 : end + 4], "big")
    return file[:end]


def pictures(file: bytes) -> list[av.VideoFrame]:
    """The pictures, decoded, but for a last one that is not whole; damage is an error."""
    with av.open(io.BytesIO(whole_tags(file)), "r", format="flv") as container:
        return list(container.decode(video=0))


def read_to_end(connection: ClientConnection) -> None:
    while connection.recv(timeout=PATIENCE_S):
        pass


@pytest.mark.parametrize("read", [by_http, by_websocket])
@pytest.mark.parametrize(("codec", "name"), [("h264", "h264"), ("hevc", "hevc")])
def test_the_pictures_of_the_camera_decode(
    node: CoreMediaNode, log: EventLog, read: Callable[[CoreMediaNode], bytes], codec: str, name: str
) -> None:
    with live(node, log, codec=codec, pace=4.0):
        file = read(node)
    with av.open(io.BytesIO(file), "r", format="flv") as container:
        assert container.streams.video[0].codec_context.name == name
    frames = pictures(file)
    assert len(frames) >= GROUP
    assert frames[0].key_frame
    assert (frames[0].width, frames[0].height) == (320, 240)
    steps = {
        after.pts - before.pts for before, after in pairwise(frames) if after.pts and before.pts is not None
    }
    assert steps == {40}


def test_a_camera_may_change_its_size(node: CoreMediaNode, log: EventLog) -> None:
    with live(node, log, pace=8.0) as camera, open_http(node, path(HTTP)) as response:
        file = response.read(100_000)
        camera.switch("h264", width=192, height=144)
        sizes: set[tuple[int, int]] = set()
        while (192, 144) not in sizes:
            file += response.read(200_000)
            sizes = {(frame.width, frame.height) for frame in pictures(file)}
    assert sizes == {(320, 240), (192, 144)}


@pytest.mark.parametrize(("codec", "name"), [("alaw", "pcm_alaw"), ("ulaw", "pcm_mulaw"), ("aac", "aac")])
def test_sound_goes_with_the_pictures_as_it_came(
    node: CoreMediaNode, log: EventLog, codec: str, name: str
) -> None:
    port = node.open_receiver("s1", MediaTransport.TCP_PASSIVE, ssrc=7).port
    with Recorder(port) as camera:
        answers: list[bytes] = []

        def read_all() -> None:
            with open_http(node, path(HTTP)) as response:
                answers.append(response.read())

        reading = threading.Thread(target=read_all)
        reading.start()
        log.wait_for(ViewerJoined)
        camera.play(75, sound=codec)
        while (stats := node.stream_stats("s1")) and stats.frames < 74:
            pass
        node.close_stream("s1")
        reading.join(PATIENCE_S)
    [file] = answers
    with av.open(io.BytesIO(file), "r", format="flv") as container:
        [stream] = container.streams.audio
        assert stream.codec_context.name == name
        assert stream.codec_context.sample_rate == (16_000 if codec == "aac" else 8000)
        packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    sent = [data[7:] if codec == "aac" else data for data in tone(codec, 3)]
    # Sound before the first picture is left out.
    assert len(packets) > 30
    assert packets == sent[sent.index(packets[0]) :][: len(packets)]
    assert len(pictures(file)) >= 73


def test_cutting_a_grant_ends_both(node: CoreMediaNode, log: EventLog) -> None:
    url = f"ws://127.0.0.1:{node.viewer_port}{path(WS, access_id='a2')}"
    with (
        live(node, log),
        open_http(node, path(HTTP, access_id="a1")) as http,
        connect(url, compression=None, max_size=None, max_queue=None, proxy=None) as websocket,
    ):
        assert http.read(3) == b"FLV"
        first = websocket.recv(timeout=PATIENCE_S)
        assert isinstance(first, bytes)
        assert first.startswith(b"FLV")
        assert node.cut_grant("grant") == 2
        with pytest.raises(ConnectionClosed):
            read_to_end(websocket)
        http.read()
    for access_id, word in (("a1", "http-flv"), ("a2", "ws-flv")):
        joined = log.wait_for(ViewerJoined, lambda event, one=access_id: event.access_id == one)  # type: ignore[misc]
        left = log.wait_for(ViewerLeft, lambda event, one=access_id: event.access_id == one)  # type: ignore[misc]
        assert (joined.protocol, left.reason) == (word, "grant_revoked")
        assert left.bytes_sent > 0


def test_a_ticket_is_good_for_its_own_form_alone(node: CoreMediaNode, log: EventLog) -> None:
    with live(node, log):
        token = signed("s1", ViewerProtocol.HTTP)
        assert error_code(open_http(node, f"/live/s1.flv?ticket={token}")) == "ticket_wrong_protocol"
        token = signed("s1", HTTP)
        assert error_code(open_http(node, f"/live/s1.mp4?ticket={token}")) == "ticket_wrong_protocol"
        page = {"Origin": "http://127.0.0.1:8000"}
        with open_http(node, path(HTTP), headers=page) as response:
            assert response.headers["Access-Control-Allow-Origin"] == page["Origin"]
        assert open_http(node, path(HTTP), method="HEAD").headers["Content-Type"] == "video/x-flv"


def test_a_viewer_without_media_is_told(start_node: NodeFactory) -> None:
    node = start_node(media_timeout_s=0.1)
    node.open_receiver("s1", MediaTransport.UDP, ssrc=None)
    assert open_http(node, path(HTTP)).status == 504


@pytest.mark.interop
def test_ffmpeg_reads_the_url(node: CoreMediaNode, log: EventLog) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    with live(node, log):
        url = f"http://127.0.0.1:{node.viewer_port}{path(HTTP)}"
        command = ["ffmpeg", "-v", "error", "-i", url, "-frames:v", "40", "-f", "framemd5", "-"]
        decoded = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    lines = [line for line in decoded.stdout.splitlines() if not line.startswith("#")]
    assert (len(lines), decoded.stderr) == (40, "")
