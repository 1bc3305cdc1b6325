"""The process of a live transcoder: confined, without secrets, ended when it hangs, talks nonsense or is
not wanted.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from commonview.rendering import LiveTranscoder, RenderUnavailable, TranscoderLimits
from commonview.rendering.live_frames import BadFrame, Flag, Frame, Kind, Reader, packed
from tests.media.camera import clip
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.anyio

LIMITS = TranscoderLimits(memory_bytes=2**31, long_side=1920, short_side=1080, kbps=2000)


class Ends:
    """Our ends of the two sockets; the others are given to the process."""

    def __init__(self) -> None:
        self.source, theirs_source = socket.socketpair()
        self.sink, theirs_sink = socket.socketpair()
        self.sink.settimeout(PATIENCE_S)
        self.theirs = (theirs_source.detach(), theirs_sink.detach())

    def close(self) -> None:
        self.source.close()
        self.sink.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.close()


def script(text: str) -> tuple[str, ...]:
    return sys.executable, "-c", text


async def test_it_makes_h264_of_h265_in_a_confined_process_and_says_how_it_does(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMMONVIEW_SECRET_OF_THE_HOUSE", "not for a decoder")
    transcoder = LiveTranscoder(LIMITS)
    running = asyncio.ensure_future(transcoder.run(*ends.theirs))
    for picture in clip("hevc")[:10]:
        flags = Flag.KEY if picture.is_key_frame else Flag(0)
        ends.source.sendall(packed(Frame(Kind.H265, flags, picture.pts, picture.pts, picture.data)))
    reader = Reader(ends.sink)
    made = [await asyncio.to_thread(reader.next) for _ in range(10)]
    assert [frame.kind for frame in made if frame is not None] == [Kind.H264] * 10
    await until(lambda: transcoder.report.encoded == 10)
    assert (transcoder.report.codec, transcoder.report.size) == ("h265", (320, 240))
    place = Path(f"/proc/{transcoder.pid}")
    assert b"SECRET" not in (place / "environ").read_bytes()
    limits = {line[:26].strip(): line[26:].split()[0] for line in (place / "limits").read_text().splitlines()}
    assert (limits["Max address space"], limits["Max file size"], limits["Max core file size"]) == (
        str(2**31),
        "0",
        "0",
    )
    assert int(limits["Max open files"]) <= 64
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert not place.exists()


async def test_the_end_of_its_source_is_not_its_own(ends: Ends) -> None:
    transcoder = LiveTranscoder(LIMITS)
    running = asyncio.ensure_future(transcoder.run(*ends.theirs))
    await until(lambda: transcoder.pid is not None)
    ends.source.close()
    ends.sink.close()  # now nobody takes what it would give either
    assert await running == "transcoder_failed"


@pytest.mark.parametrize(
    "text",
    [
        "raise SystemExit(1)",
        "import os; os.write(1, b'<html>this is no frame</html>' * 100); import time; time.sleep(600)",
        'import os, struct; t = b\'{"progress": {"codec": "vp9"}}\';'
        "os.write(1, struct.pack('>cI', b'J', len(t)) + t); import time; time.sleep(600)",
    ],
)
async def test_one_that_dies_or_talks_nonsense_has_failed(ends: Ends, text: str) -> None:
    transcoder = LiveTranscoder(LIMITS)
    assert await transcoder.run(*ends.theirs, command=script(text)) == "transcoder_failed"
    assert not Path(f"/proc/{transcoder.pid}").exists()
    assert ends.sink.recv(1) == b"", "its end of the way is closed"


async def test_one_that_says_nothing_is_ended(ends: Ends) -> None:
    limits = TranscoderLimits(2**31, 1920, 1080, 2000, silence_s=0.2)
    transcoder = LiveTranscoder(limits)
    why = await transcoder.run(*ends.theirs, command=script("import time; time.sleep(600)"))
    assert why == "transcoder_stalled"
    assert not Path(f"/proc/{transcoder.pid}").exists()


async def test_without_a_process_its_descriptors_are_closed_all_the_same(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RenderUnavailable):
        await LiveTranscoder(LIMITS).run(*ends.theirs, command=("/nothing/here",))
    assert ends.sink.recv(1) == b""
    monkeypatch.setattr(LiveTranscoder, "is_available", staticmethod(lambda: False))
    other = Ends()
    with pytest.raises(RenderUnavailable):
        await LiveTranscoder(LIMITS).run(*other.theirs)
    assert other.sink.recv(1) == b""
    other.close()


async def test_what_is_no_frame_is_refused() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for wrong in (b"\x00\x00\x00\x01\x09", b"\x7f\xff\xff\xff\x01", b"\x00\x00\x00\x00\x01"):
            ours.sendall(wrong + bytes(17))
            with pytest.raises(BadFrame):
                Reader(theirs).next()
            theirs.setblocking(False)
            while True:
                try:
                    theirs.recv(100)
                except BlockingIOError:
                    break
            theirs.setblocking(True)
    with pytest.raises(BadFrame):
        packed(Frame(Kind.H264, Flag(0), 0, 0, b""))
