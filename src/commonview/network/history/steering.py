"""What is said inside a playback's call: MANSRTSP in INFO, and what the device makes of it (Annex B)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from commonview.network.calls import CallFailed
from commonview.network.history.model import ControlState
from commonview.network.quirks import Flag, ScaleFormat, note_fired, peer_profile
from commonview.wire.mansrtsp import (
    CONTENT_TYPE,
    MansrtspError,
    MansrtspRequest,
    MansrtspResponse,
    Method,
    parse_mansrtsp,
    write_scale,
)

if TYPE_CHECKING:
    from commonview.network.calls import Call, Calls
    from commonview.network.directory import DeviceRecord
    from commonview.network.model import Params

_ANSWER_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Said:
    """The device's answer to one command. ``gone``: it knows the call no more."""

    state: ControlState
    status: int
    params: Params
    gone: bool = False

    @property
    def accepted(self) -> bool:
        """Whether the device took it."""
        return self.state is ControlState.ACCEPTED


class Steering:
    """Speaks with one call; counts its CSeq."""

    def __init__(self, calls: Calls, record: DeviceRecord) -> None:
        self._calls = calls
        self._record = record
        self._cseq = 0

    async def pause(self, call: Call) -> Said:
        """PAUSE, now."""
        return await self._say(call, MansrtspRequest(method=Method.PAUSE, cseq=self._next(), pause_now=True))

    async def resume(self, call: Call) -> Said:
        """PLAY from where it stands."""
        return await self._say(call, MansrtspRequest(method=Method.PLAY, cseq=self._next(), range_now=True))

    async def seek(self, call: Call, to_s: float) -> Said:
        """PLAY from another place; Range alone, as the standard has it."""
        request = MansrtspRequest(method=Method.PLAY, cseq=self._next(), range_start_s=round(to_s, 3))
        return await self._say(call, request)

    async def speed(self, call: Call, scale: float, *, from_s: float) -> Said:
        """PLAY at another speed; a turn backwards also says where from (Annex B.2)."""
        request = MansrtspRequest(
            method=Method.PLAY,
            cseq=self._next(),
            scale=scale,
            range_start_s=round(from_s, 3) if scale < 0 else None,
        )
        return await self._say(call, request)

    def _next(self) -> int:
        self._cseq += 1
        return self._cseq

    async def _say(self, call: Call, request: MansrtspRequest) -> Said:
        try:
            response = await self._calls.say(
                call, "INFO", CONTENT_TYPE, self._written(request), timeout_s=_ANSWER_WITHIN_S
            )
        except CallFailed:
            return Said(ControlState.UNANSWERED, 0, {})
        if response.status == 481:
            return Said(ControlState.REFUSED, 481, {}, gone=True)
        if response.status >= 300:
            return Said(ControlState.REFUSED, response.status, {})
        return _read(response.body)

    def _written(self, request: MansrtspRequest) -> bytes:
        """The body, with Scale in the form the device can read (trap 47)."""
        body = request.encode()
        style = peer_profile(self._record).scale_format
        if request.scale is None or style is ScaleFormat.DECIMAL:
            return body
        note_fired(self._record, Flag.SCALE_FORMAT)
        written = f"{request.scale:g}" if style is ScaleFormat.SHORT else f"{request.scale:.6f}"
        return body.replace(f"Scale: {write_scale(request.scale)}".encode(), f"Scale: {written}".encode())


def _read(body: bytes) -> Said:
    """The MANSRTSP answer in the body of a 200; many devices send none, and mean yes."""
    if not body.strip():
        return Said(ControlState.ACCEPTED, 200, {})
    try:
        answer = parse_mansrtsp(body)
    except MansrtspError:
        return Said(ControlState.ACCEPTED, 200, {"answer_unreadable": 1})
    if not isinstance(answer, MansrtspResponse):
        return Said(ControlState.ACCEPTED, 200, {"answer_unreadable": 1})
    params: Params = {}
    if answer.scale is not None:
        params["scale"] = answer.scale
    if answer.range_start_s is not None:
        params["range_s"] = answer.range_start_s
    state = ControlState.ACCEPTED if answer.ok else ControlState.REFUSED
    return Said(state, answer.status, params)
