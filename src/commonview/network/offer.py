"""The SDP we offer for live video and what we take from the answer (GB/T 28181-2022 9.2, Annex G). Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from commonview.media import MediaTransport
from commonview.network.quirks import Flag, MediaAddress, SubStreamDialect, note_fired, peer_profile
from commonview.wire import sdp
from commonview.wire.sdp import GbSdp, SdpError
from commonview.wire.sdp_reader import parse_sdp
from commonview.wire.version import GbVersion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commonview.foundation.settings import IpNetwork
    from commonview.network.directory import DeviceRecord
    from commonview.network.model import Params
    from commonview.network.quirks import Profile
    from commonview.wire.sip.flow import Flow

_LIVE_SOURCE = "000000000{}"
"""Sender's stream number in Subject: first digit 0 for live, and the same for every request of one live
source; each stream of a channel is a source of its own.

A device that still sends it to nobody, because we were restarted, then drops that and serves us (Annex K c,
L).
"""


@dataclass(frozen=True, slots=True)
class LiveAnswer:
    """What the answer decides. ``dial`` is where to connect for TCP active; ``ssrc`` is set when it
    differs."""

    dial: tuple[str, int] | None
    ssrc: int | None
    params: Params


def stream_attributes(number: int, profile: Profile) -> tuple[str, ...]:
    """The ``a=`` values that ask for stream ``number`` in the peer's dialect.

    The main stream of a peer that is older than 2022 is asked for by saying nothing: some refuse what they do
    not know.
    """
    dialect = profile.sub_stream
    if number == 0:
        return ("streamnumber:0",) if profile.version is GbVersion.V2022 else ()
    if dialect is SubStreamDialect.STREAM_MODE:
        return ("streamMode:SUB",)
    return (f"{dialect.value}:{number}",)


def subject_sender(record: DeviceRecord, gb_id: str) -> str:
    """Whose id stands first in Subject: the camera's (Hikvision insists, trap 32), for few the device's."""
    if peer_profile(record).subject_uses_camera_id:
        return gb_id
    note_fired(record, Flag.SUBJECT_USES_CAMERA_ID)
    return record.id


def media_transport(record: DeviceRecord, default: MediaTransport) -> MediaTransport:
    """How this device is to send: as the operator chose, else the default, unless it is known to refuse it.

    Huawei D2120 refuses an offer to be dialled (WVP#902): it is dialled instead (trap 44).
    """
    if record.media_transport is not None:
        return record.media_transport
    if default is MediaTransport.TCP_PASSIVE and peer_profile(record).tcp_passive_refused:
        note_fired(record, Flag.TCP_PASSIVE_REFUSED)
        return MediaTransport.TCP_ACTIVE
    return default


def signalling_host(record: DeviceRecord) -> str | None:
    """The address a device signals from: its packets go before those of whoever sends to its port first."""
    return None if record.flow is None else record.flow.peer[0].partition("%")[0]


def media_host(record: DeviceRecord, flow: Flow) -> str | None:
    """The address to use instead of the one in the answer's ``c=``: where the device signals from.

    For devices behind NAT that name the address they have at home (WVP play_error document); None for all
    others.
    """
    if peer_profile(record).media_address is not MediaAddress.SIGNALLING:
        return None
    note_fired(record, Flag.MEDIA_ADDRESS)
    return flow.peer[0].partition("%")[0]


class AnswerUnusable(Exception):
    """The 2xx has no media we could receive; ``why`` is a stable word."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def live_offer(
    sip_id: str,
    host: str,
    port: int,
    transport: MediaTransport,
    ssrc: str,
    attributes: tuple[str, ...] = (),
) -> bytes:
    """An offer to receive PS on ``host:port``. Only PS is offered: every device must have it (4.3.6)."""
    over_tcp = transport is not MediaTransport.UDP
    return GbSdp(
        owner_id=sip_id,
        session_name="Play",
        address=host,
        port=port,
        transport=sdp.MediaTransport.TCP if over_tcp else sdp.MediaTransport.UDP,
        direction="recvonly",
        setup=(("passive" if transport is MediaTransport.TCP_PASSIVE else "active") if over_tcp else None),
        connection="new" if over_tcp else None,
        ssrc_text=ssrc,
        attributes=attributes,
    ).encode()


def live_subject(channel_gb_id: str, sip_id: str, ssrc: str, stream_number: int = 0) -> str:
    """``sender:stream,receiver:stream`` (Annex L); the sender is the camera (Hikvision insists, trap 32)."""
    return f"{channel_gb_id}:{_LIVE_SOURCE.format(stream_number)},{sip_id}:{ssrc}"


def read_answer(
    body: bytes,
    transport: MediaTransport,
    offered_ssrc: str,
    dialable: Sequence[IpNetwork],
    *,
    instead: str | None = None,
) -> LiveAnswer:
    """Take an answer in.

    A missing ``y=`` means the offered number (trap 33), another one is followed (trap 34); the address to
    dial comes from ``c=`` (trap 45). Only an address in ``dialable`` is dialled: a device must not choose
    any host and port of our network for us to connect to. ``instead`` replaces the address of ``c=``.

    Raises:
        AnswerUnusable: no SDP, no media, or for TCP active no address that may be dialled.
    """
    if not body.strip():
        raise AnswerUnusable("no_sdp")
    try:
        answer = parse_sdp(body)
    except SdpError as error:
        raise AnswerUnusable("malformed") from error
    if instead is not None:
        answer = replace(answer, address=instead)
    if answer.port == 0:
        raise AnswerUnusable("media_refused")
    over_tcp = answer.transport is sdp.MediaTransport.TCP
    if over_tcp is not (transport is not MediaTransport.UDP):
        raise AnswerUnusable("other_transport")
    dial = _dial(answer, dialable) if transport is MediaTransport.TCP_ACTIVE else None
    ssrc = answer.ssrc
    if ssrc is not None and ssrc == int(offered_ssrc):
        ssrc = None
    encoding = answer.rtpmap(answer.payload_types[0]) if answer.payload_types else None
    params: Params = {
        "media_address": f"{answer.address}:{answer.port}",
        "ssrc": answer.ssrc_text or offered_ssrc,
        "encoding": encoding.encoding[:32] if encoding is not None else "",
    }
    if answer.ssrc_text is not None and answer.ssrc is None:
        params["ssrc_unusable"] = 1
    return LiveAnswer(dial, ssrc, params)


def _dial(answer: GbSdp, dialable: Sequence[IpNetwork]) -> tuple[str, int]:
    try:
        address = ipaddress.ip_address(answer.address)
    except ValueError as error:
        raise AnswerUnusable("address_not_numeric") from error
    if not any(address in network for network in dialable):
        raise AnswerUnusable("address_elsewhere")
    return answer.address, answer.port
