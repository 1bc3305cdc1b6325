"""What a superior's INVITE asks for, and the answer to it (GB/T 28181-2022 9.2, 9.8, 9.9, Annexes D, G, H).

Pure.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from commonview.media import MediaTransport, SenderTarget
from commonview.network.cascade.model import RelayKind
from commonview.network.registration import user_of
from commonview.network.user_identity import HEADER, readable_user
from commonview.wire import sdp
from commonview.wire.sdp import GbSdp, RtpMap, SdpError
from commonview.wire.sdp_dialects import SessionKind
from commonview.wire.sdp_reader import parse_sdp
from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.user_identity import UserIdentity

if TYPE_CHECKING:
    from collections.abc import Collection

    from commonview.wire.sip.message import SipRequest

_LONGEST: Final = timedelta(hours=24)
_SPEEDS: Final = range(1, 33)
_STREAMS: Final = 8
_PATH_IDS: Final = 32
_KINDS: Final = {
    SessionKind.PLAY: RelayKind.LIVE,
    SessionKind.PLAYBACK: RelayKind.PLAYBACK,
    SessionKind.DOWNLOAD: RelayKind.DOWNLOAD,
}


class WishRefused(Exception):
    """What is asked cannot be given; ``status`` answers the INVITE."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, slots=True)
class Wish:
    """One INVITE, understood. ``ssrc`` is None when the offer names none (trap 33): then we choose one.

    ``source_key`` is the source and the receiver of Subject: the same again means that the former call is to
    be dropped (Annex K c). ``start`` and ``end`` are None for live.
    """

    own_id: str
    kind: RelayKind
    stream_number: int
    target: SenderTarget
    ssrc: str | None
    payload_type: int
    source_key: str
    user: str
    offer: GbSdp
    start: datetime | None = None
    end: datetime | None = None
    download_speed: int = 0


def read_wish(request: SipRequest, local_id: str) -> Wish:
    """Understand an INVITE. Raises `WishRefused` with 415 or 488 (Annex G note 17)."""
    headers = request.headers
    if "sdp" not in (headers.get("Content-Type") or "sdp").lower():
        raise WishRefused(415, "only application/sdp is understood")
    try:
        offer = parse_sdp(request.body)
    except SdpError as error:
        raise WishRefused(488, str(error)) from error
    kind = None if offer.kind is None else _KINDS.get(offer.kind)
    if kind is None or offer.media != "video":
        raise WishRefused(488, f"session {offer.session_name[:20]!r} with {offer.media[:20]!r}")
    subject = headers.get("Subject") or ""
    start, end = (None, None) if kind is RelayKind.LIVE else _span(offer)
    return Wish(
        own_id=meant_id(request, local_id),
        kind=kind,
        stream_number=_stream(offer),
        target=_target(offer),
        ssrc=None if offer.ssrc is None else f"{offer.ssrc:010d}",
        payload_type=_payload_type(offer),
        source_key=_source_key(subject),
        user=readable_user(headers.get(HEADER)),
        offer=offer,
        start=start,
        end=end,
        download_speed=_speed(offer) if kind is RelayKind.DOWNLOAD else 0,
    )


def meant_id(request: SipRequest, local_id: str) -> str:
    """Which channel: the Request-URI's user; where that is the platform, the sender in Subject (trap 32)."""
    subject = request.headers.get("Subject") or ""
    asked = user_of(f"<{request.uri}>") or user_of(request.headers.get("To")) or ""
    sender = subject.partition(",")[0].partition(":")[0].strip()
    return sender if asked in ("", local_id) and sender else asked


def _source_key(subject: str) -> str:
    """Sender with its number, and the receiver: what Annex K c compares."""
    sender, _, receiver = subject.partition(",")
    return f"{sender.strip()},{receiver.partition(':')[0].strip()}" if sender.strip() else ""


def _stream(offer: GbSdp) -> int:
    number = offer.stream_number or 0
    if number >= _STREAMS:
        raise WishRefused(488, f"stream {number}")
    return number


def _payload_type(offer: GbSdp) -> int:
    """The number under which the superior wants PS; whoever offers everything else gets nothing."""
    for one in offer.payload_types:
        named = offer.rtpmap(one)
        if (named is not None and named.encoding.upper() == "PS") or (
            named is None and one == sdp.PS_PAYLOAD_TYPE
        ):
            return one
    raise WishRefused(488, "PS is not among the payload types")


def _target(offer: GbSdp) -> SenderTarget:
    """Where to: `active` means that it dials us, else we dial (Annex D)."""
    try:
        address = ipaddress.ip_address(offer.address)
    except ValueError as error:
        raise WishRefused(488, "c= is no address") from error
    if address.is_unspecified or address.is_multicast:
        raise WishRefused(488, "c= is no address of a receiver")
    transport = MediaTransport.UDP
    if offer.transport is sdp.MediaTransport.TCP:
        transport = MediaTransport.TCP_PASSIVE if offer.setup == "active" else MediaTransport.TCP_ACTIVE
    if not offer.port and transport is not MediaTransport.TCP_PASSIVE:
        raise WishRefused(488, "port 0")
    return SenderTarget(transport, offer.address, offer.port)


def _span(offer: GbSdp) -> tuple[datetime, datetime]:
    try:
        start = datetime.fromtimestamp(offer.start_time_s, UTC)
        end = datetime.fromtimestamp(offer.stop_time_s, UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise WishRefused(488, "t= is no time") from error
    if not timedelta(0) < end - start <= _LONGEST:
        raise WishRefused(488, f"t= is no span of at most {_LONGEST}")
    return start, end


def _speed(offer: GbSdp) -> int:
    speed = offer.download_speed or 1
    if speed not in _SPEEDS:
        raise WishRefused(488, f"downloadspeed {speed}")
    return speed


def write_answer(wish: Wish, local_id: str, host: str, port: int, ssrc: str, file_size: int | None) -> bytes:
    """The SDP of our 200: in our name, with the number that the stream really has."""
    over_tcp = wish.target.transport is not MediaTransport.UDP
    passive = wish.target.transport is MediaTransport.TCP_PASSIVE
    return GbSdp(
        owner_id=local_id,
        session_name=wish.offer.session_name,
        uri=wish.offer.uri,
        start_time_s=wish.offer.start_time_s,
        stop_time_s=wish.offer.stop_time_s,
        address=host,
        port=port,
        transport=wish.offer.transport,
        payload_types=(wish.payload_type,),
        rtpmaps=(RtpMap(wish.payload_type, "PS", 90_000),),
        direction="sendonly",
        setup=("passive" if passive else "active") if over_tcp else None,
        connection="new" if over_tcp else None,
        stream_number=wish.offer.stream_number,
        stream_dialects=wish.offer.stream_dialects,
        download_speed=wish.offer.download_speed,
        file_size_bytes=file_size,
        ssrc_text=ssrc,
    ).encode()


def read_path(value: str | None) -> tuple[str, ...]:
    """The ids of X-RoutePath or X-PreferredPath, joined by "-" (Annex H)."""
    parts = (part.strip() for part in (value or "").split("-"))
    return tuple(part for part in parts if len(part) == 20 and part.isdigit())[:_PATH_IDS]


def comes_back(request: SipRequest, local_id: str, every: Collection[str] = ()) -> bool:
    """Whether a call has crossed us before: an id that we have towards this superior, or towards ``every``
    other, stands in its route or among the gateways of its user, or twice in the path it prefers."""
    headers = request.headers
    own = {local_id, *every}
    if not own.isdisjoint(read_path(headers.get("X-RoutePath"))):
        return True
    if read_path(headers.get("X-PreferredPath")).count(local_id) > 1:
        return True
    try:
        return not own.isdisjoint(UserIdentity.parse(headers.get(HEADER) or "").gateways)
    except SipParseError:
        return False


def onward_path(request: SipRequest, local_id: str) -> tuple[str, ...]:
    """What of X-PreferredPath lies below us; empty when it does not say."""
    path = read_path(request.headers.get("X-PreferredPath"))
    return path[path.index(local_id) + 1 :] if local_id in path else ()
