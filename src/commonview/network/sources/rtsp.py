"""Asking an RTSP server whether it is there and what it has, without taking a stream (RFC 2326 10)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from commonview.network.sources.errors import SourceFailed
from commonview.network.sources.model import SourceOutcome

if TYPE_CHECKING:
    from commonview.network.sources.exchange import Asker

_VIDEO = re.compile(rb"^m=video ", re.MULTILINE)
_ENCODING = re.compile(rb"^a=rtpmap:[0-9]+ (H264|H265|HEVC|MP2P|PS)/", re.MULTILINE | re.IGNORECASE)


async def is_alive(asker: Asker) -> None:
    """Ask for its options: any answer that is RTSP says that it is there. Raises `SourceFailed`."""
    try:
        await asker.ask("OPTIONS")
    except SourceFailed as error:
        # A server that wants a password even for this is there; without one of ours that is all we can tell.
        if error.outcome is not SourceOutcome.UNAUTHORISED or asker.has_credentials:
            raise


async def describe(asker: Asker) -> str:
    """Ask for the description; returns the video coding. Raises `SourceFailed`."""
    answer = await asker.ask("DESCRIBE", [("Accept", "application/sdp")])
    if 300 <= answer.status < 400:
        return ""  # another server has it; the media core follows where it may
    if answer.status in (404, 454):
        raise SourceFailed(SourceOutcome.NOT_FOUND, "the server knows no such stream", status=answer.status)
    if answer.status == 403:
        raise SourceFailed(SourceOutcome.UNAUTHORISED, "the server forbids this stream", status=403)
    if answer.status != 200:
        raise SourceFailed(SourceOutcome.STATUS, f"the server answered {answer.status}", status=answer.status)
    encoding = _ENCODING.search(answer.body)
    if _VIDEO.search(answer.body) is None or encoding is None:
        raise SourceFailed(SourceOutcome.NO_MEDIA, "the description names no H.264, H.265 or program stream")
    return {b"H264": "h264", b"H265": "h265", b"HEVC": "h265"}.get(encoding[1].upper(), "ps")
