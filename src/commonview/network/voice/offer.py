"""The session descriptions of a talk (GB/T 28181-2022 9.12, Annex G; 2016 for `s=Talk`). Pure.

What the voice is coded in comes of `sound`; a device that offers nothing we can send is refused with 488.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from commonview.media import MediaTransport, SenderTarget, TalkCarriage
from commonview.network.offer import AnswerUnusable
from commonview.network.voice.sound import PCMA_TYPE, Sound, choose_sound
from commonview.wire import sdp
from commonview.wire.sdp import GbSdp, SdpError
from commonview.wire.sdp_reader import parse_sdp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commonview.foundation.settings import IpNetwork

ALAW: Final = Sound(TalkCarriage.PCMA, PCMA_TYPE)
"""What we offer ourselves."""

_LEARNT_PORT: Final = 0


@dataclass(frozen=True, slots=True)
class VoiceOffer:
    """Where a device wants the voice, and how coded and carried.

    ``ssrc`` None: it left the choice to us (trap 33).
    """

    target: SenderTarget
    sound: Sound
    ssrc: int | None
    session_name: str


def read_offer(
    body: bytes,
    peer_host: str,
    dialable: Sequence[IpNetwork],
    *,
    instead: str | None = None,
    aac_rates: Sequence[int] = (),
) -> VoiceOffer:
    """What a device offers in the INVITE that follows a broadcast; ``aac_rates`` are the browser's.

    The voice goes where ``dialable`` allows and nowhere else: a device must not have what is said sent to any
    host of its choice. ``instead`` replaces the address of ``c=`` (a device behind NAT).

    Raises:
        AnswerUnusable: `malformed`, `no_sdp`, `no_audio`, `media_refused`, `address_not_numeric`,
            `address_elsewhere`.
        NoCommonSound: nothing of what it offers can be sent.
    """
    offer = _parse(body)
    return VoiceOffer(
        target=_target(offer, peer_host, dialable, instead),
        sound=choose_sound(offer, aac_rates),
        ssrc=offer.ssrc,
        session_name=offer.session_name or "Play",
    )


def _parse(body: bytes) -> GbSdp:
    if not body.strip():
        raise AnswerUnusable("no_sdp")
    try:
        read = parse_sdp(body)
    except SdpError as error:
        raise AnswerUnusable("malformed") from error
    if read.media != "audio" or read.direction == "inactive":
        raise AnswerUnusable("no_audio")
    if read.port == 0:
        raise AnswerUnusable("media_refused")
    return read


def _target(
    described: GbSdp, peer_host: str, dialable: Sequence[IpNetwork], instead: str | None
) -> SenderTarget:
    if described.transport is sdp.MediaTransport.TCP and described.setup != "passive":
        # It dials: from where it signals, whatever its SDP says of its home network.
        host = described.address if _is_within(described.address, dialable) else peer_host
        return SenderTarget(MediaTransport.TCP_PASSIVE, host, _LEARNT_PORT)
    address = instead or described.address
    try:
        ipaddress.ip_address(address)
    except ValueError as error:
        raise AnswerUnusable("address_not_numeric") from error
    if not _is_within(address, dialable):
        raise AnswerUnusable("address_elsewhere")
    over_tcp = described.transport is sdp.MediaTransport.TCP
    transport = MediaTransport.TCP_ACTIVE if over_tcp else MediaTransport.UDP
    return SenderTarget(transport, address, described.port)


def _is_within(address: str, networks: Sequence[IpNetwork]) -> bool:
    try:
        return any(ipaddress.ip_address(address) in network for network in networks)
    except ValueError:
        return False


def answer_to(offer: VoiceOffer, sip_id: str, host: str, port: int, ssrc: int) -> bytes:
    """Our 200: we send, what and how it was offered."""
    transport = offer.target.transport
    over_tcp = transport is not MediaTransport.UDP
    return GbSdp(
        owner_id=sip_id,
        session_name=offer.session_name,
        address=host,
        port=port,
        transport=sdp.MediaTransport.TCP if over_tcp else sdp.MediaTransport.UDP,
        media="audio",
        payload_types=(offer.sound.payload_type,),
        rtpmaps=(offer.sound.rtpmap,),
        attributes=offer.sound.attributes,
        direction="sendonly",
        setup=setup_of(transport),
        connection="new" if over_tcp else None,
        ssrc_text=f"{ssrc:010d}",
        media_format=offer.sound.media_format,
    ).encode()


def talk_offer(sip_id: str, host: str, port: int, transport: MediaTransport, ssrc: str) -> bytes:
    """The offer of a talk as 2016 knows it, in which we call: A-law both ways.

    Devices of that time refuse a talk that is not `sendrecv`; what they send back is not played.
    """
    over_tcp = transport is not MediaTransport.UDP
    return GbSdp(
        owner_id=sip_id,
        session_name="Talk",
        address=host,
        port=port,
        transport=sdp.MediaTransport.TCP if over_tcp else sdp.MediaTransport.UDP,
        media="audio",
        payload_types=(PCMA_TYPE,),
        rtpmaps=(ALAW.rtpmap,),
        direction="sendrecv",
        setup=setup_of(transport),
        connection="new" if over_tcp else None,
        ssrc_text=ssrc,
        media_format=ALAW.media_format,
    ).encode()


def read_talk_answer(
    body: bytes,
    transport: MediaTransport,
    peer_host: str,
    dialable: Sequence[IpNetwork],
    *,
    instead: str | None = None,
) -> VoiceOffer:
    """What a device answers to `talk_offer`. Raises `AnswerUnusable`, also for `other_transport`."""
    answer = read_offer(body, peer_host, dialable, instead=instead)
    if answer.target.transport is not transport:
        raise AnswerUnusable("other_transport")
    return answer


def setup_of(transport: MediaTransport) -> sdp.Setup | None:
    """Our part, as `a=setup` says it; None over UDP."""
    match transport:
        case MediaTransport.UDP:
            return None
        case MediaTransport.TCP_PASSIVE:
            return "passive"
        case MediaTransport.TCP_ACTIVE:
            return "active"
