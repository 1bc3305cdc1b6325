"""What we offer for history: Playback and Download (GB/T 28181-2022 9.8, 9.9, Annex G). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from commonview.media import MediaTransport
from commonview.wire import sdp
from commonview.wire.sdp import GbSdp

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class HistoryAsk:
    """A piece of the past. ``download_speed`` 0 is playback, else how many times faster than life.

    ``headers`` go with the INVITE.
    """

    gb_id: str
    start: datetime
    end: datetime
    download_speed: int = 0
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def length_s(self) -> float:
        """How long it lasts."""
        return (self.end - self.start).total_seconds()


def history_offer(
    sip_id: str, host: str, port: int, transport: MediaTransport, ssrc: str, ask: HistoryAsk
) -> bytes:
    """An offer to receive PS of the past on ``host:port``; ``t=`` in seconds since 1970, ``u=`` all types."""
    over_tcp = transport is not MediaTransport.UDP
    return GbSdp(
        owner_id=sip_id,
        session_name="Download" if ask.download_speed else "Playback",
        uri=f"{ask.gb_id}:0",
        start_time_s=int(ask.start.timestamp()),
        stop_time_s=int(ask.end.timestamp()),
        address=host,
        port=port,
        transport=sdp.MediaTransport.TCP if over_tcp else sdp.MediaTransport.UDP,
        direction="recvonly",
        setup=(("passive" if transport is MediaTransport.TCP_PASSIVE else "active") if over_tcp else None),
        connection="new" if over_tcp else None,
        download_speed=ask.download_speed or None,
        ssrc_text=ssrc,
    ).encode()


def history_subject(sender_id: str, sip_id: str, ssrc: str) -> str:
    """``sender:stream,receiver:stream`` (Annex L): the sender's number begins with 1 and is this session's
    own, for two people may play the same hour."""
    return f"{sender_id}:{ssrc},{sip_id}:{ssrc}"
