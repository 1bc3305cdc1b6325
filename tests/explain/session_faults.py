"""Captures of faults of sessions: the call, its offer, its media and its end."""

from __future__ import annotations

from commonview.explain import Cause, Hop
from tests.explain.fault_captures import Fault, entering
from tests.explain.script import (
    CAMERA_MEDIA,
    CHANNEL,
    MEDIA_AT,
    PLATFORM,
    TS,
    Script,
    sdp,
)

SESSIONS: list[Fault] = []
fault = entering(SESSIONS)


@fault(Cause.INVITE_UNANSWERED, Hop.INVITE)
def invite_unanswered(s: Script) -> None:
    s.register()
    for _ in range(5):
        s.request(
            "INVITE",
            up=False,
            call="live",
            to=CHANNEL,
            body=sdp(PLATFORM, MEDIA_AT),
            kind="application/sdp",
            same=True,
        )
        s.wait(1)
    s.silence(10)


@fault(Cause.INVITE_STUCK, Hop.INVITE)
def invite_stuck_at_trying(s: Script) -> None:
    s.register()
    s.answer(s.invite(), "100 Trying", up=True)
    s.silence(30)


def _refused(status: str, cause: Cause) -> None:
    def scripted(s: Script) -> None:
        s.register()
        invited = s.invite()
        s.answer(invited, status, up=True)
        s.request("ACK", up=False, call="live", to=CHANNEL, same=True)

    scripted.__name__ = f"invite_{status.partition(' ')[0]}"
    fault(cause, Hop.INVITE)(scripted)


for _status, _cause in (
    ("400 Bad Request", Cause.INVITE_400),
    ("403 Forbidden", Cause.INVITE_403),
    ("404 Not Found", Cause.INVITE_404),
    ("408 Request Timeout", Cause.INVITE_408),
    ("415 Unsupported Media Type", Cause.INVITE_415),
    ("480 Temporarily Unavailable", Cause.INVITE_480),
    ("481 Call Does Not Exist", Cause.INVITE_481),
    ("486 Busy Here", Cause.INVITE_486),
    ("487 Request Terminated", Cause.INVITE_487),
    ("488 Not Acceptable Here", Cause.INVITE_488),
    ("500 Server Internal Error", Cause.INVITE_500),
    ("503 Service Unavailable", Cause.INVITE_503),
    ("606 Not Acceptable", Cause.INVITE_REFUSED),
):
    _refused(_status, _cause)


@fault(Cause.SDP_MISSING, Hop.SDP)
def answer_without_sdp(s: Script) -> None:
    s.register()
    invited = s.invite()
    s.answer(invited, "200 OK", up=True)
    s.request("ACK", up=False, call="live", to=CHANNEL, same=True)


@fault(Cause.SDP_UNREADABLE, Hop.SDP)
def answer_without_media_line(s: Script) -> None:
    s.register()
    s.accept(s.invite(), reply=b"v=0\r\ns=Play\r\n")


@fault(Cause.MEDIA_REFUSED, Hop.SDP)
def answer_with_port_zero(s: Script) -> None:
    s.register()
    s.accept(s.invite(), reply=sdp(CHANNEL, ("192.0.2.10", 0)))


@fault(Cause.ADDRESS_PRIVATE, Hop.SDP, device_at=("8.8.4.4", 5060))
def answer_names_an_inner_address(s: Script) -> None:
    s.register()
    s.accept(s.invite(), reply=sdp(CHANNEL, ("192.168.1.64", 15060)))
    s.rtp(source=("8.8.4.4", 15060))
    s.bye()


@fault(Cause.SETUP_CONFLICT, Hop.SDP)
def both_sides_passive(s: Script) -> None:
    s.register()
    offer = sdp(PLATFORM, MEDIA_AT, transport="TCP/RTP/AVP", setup="passive")
    s.accept(
        s.invite(offer=offer), reply=sdp(CHANNEL, CAMERA_MEDIA, transport="TCP/RTP/AVP", setup="passive")
    )
    s.silence(20)


@fault(Cause.TRANSPORT_CHANGED, Hop.SDP)
def udp_answered_to_tcp(s: Script) -> None:
    s.register()
    offer = sdp(PLATFORM, MEDIA_AT, transport="TCP/RTP/AVP", setup="passive")
    s.accept(s.invite(offer=offer), reply=sdp(CHANNEL, CAMERA_MEDIA))
    s.silence(20)


@fault(Cause.ACK_MISSING, Hop.ACK)
def no_ack(s: Script) -> None:
    s.register()
    invited = s.invite()
    for _ in range(4):
        s.answer(invited, "200 OK", up=True, body=sdp(CHANNEL, CAMERA_MEDIA))
        s.wait(1)


@fault(Cause.BYE_MISSING, Hop.BYE)
def called_again_without_bye(s: Script) -> None:
    s.register()
    s.accept(s.invite())
    s.rtp()
    s.wait(3)
    s.accept(s.invite(call="again"), call="again")
    s.rtp()
    s.bye(call="again")


@fault(Cause.ENDED_AT_ONCE, Hop.BYE)
def device_hangs_up_at_once(s: Script) -> None:
    s.register()
    s.accept(s.invite())
    s.wait(1)
    s.bye(up=True)


@fault(Cause.MEDIA_NEVER_CAME, Hop.FIRST_PACKET)
def no_media(s: Script) -> None:
    s.register()
    s.accept(s.invite())
    s.wait(10)
    s.bye()


@fault(Cause.MEDIA_SENT_ELSEWHERE, Hop.FIRST_PACKET)
def media_to_another_port(s: Script) -> None:
    s.register()
    s.accept(s.invite())
    s.rtp(target=("192.0.2.1", 6000))
    s.bye()


@fault(Cause.MEDIA_CONNECT_REFUSED, Hop.MEDIA_CONNECTION)
def media_connection_refused(s: Script) -> None:
    s.register()
    offer = sdp(PLATFORM, MEDIA_AT, transport="TCP/RTP/AVP", setup="passive")
    s.accept(s.invite(offer=offer), reply=sdp(CHANNEL, CAMERA_MEDIA, transport="TCP/RTP/AVP", setup="active"))
    for number in range(3):
        source = ("192.0.2.10", 40000 + number)
        s.writer.segment(s.now, source, MEDIA_AT, b"", 0x02)
        s.writer.segment(s.now, MEDIA_AT, source, b"", 0x14)
        s.wait(1)
    s.silence(10)


@fault(Cause.MEDIA_CONNECT_UNANSWERED, Hop.MEDIA_CONNECTION)
def media_connection_unanswered(s: Script) -> None:
    s.register()
    offer = sdp(PLATFORM, MEDIA_AT, transport="TCP/RTP/AVP", setup="passive")
    s.accept(s.invite(offer=offer), reply=sdp(CHANNEL, CAMERA_MEDIA, transport="TCP/RTP/AVP", setup="active"))
    s.writer.segment(s.now, ("192.0.2.10", 40000), MEDIA_AT, b"", 0x02)
    s.silence(10)


@fault(Cause.MEDIA_NOBODY_DIALS, Hop.MEDIA_CONNECTION)
def nobody_dials(s: Script) -> None:
    s.register()
    offer = sdp(PLATFORM, MEDIA_AT, transport="TCP/RTP/AVP", setup="passive")
    s.accept(s.invite(offer=offer), reply=sdp(CHANNEL, CAMERA_MEDIA, transport="TCP/RTP/AVP", setup="active"))
    s.silence(20)


@fault(Cause.MEDIA_CONNECTED_SILENT, Hop.FIRST_PACKET)
def connected_and_silent(s: Script) -> None:
    s.register()
    offer = sdp(PLATFORM, MEDIA_AT, transport="TCP/RTP/AVP", setup="passive")
    s.accept(s.invite(offer=offer), reply=sdp(CHANNEL, CAMERA_MEDIA, transport="TCP/RTP/AVP", setup="active"))
    s.writer.connect(s.now, ("192.0.2.10", 40000), MEDIA_AT)
    s.silence(20)


@fault(Cause.MEDIA_FROM_ELSEWHERE, Hop.MEDIA)
def media_from_another_host(s: Script) -> None:
    s.register()
    s.accept(s.invite())
    s.rtp(source=("203.0.113.5", 15060))
    s.bye()


@fault(Cause.SSRC_MISMATCH, Hop.MEDIA)
def ssrc_ignored(s: Script) -> None:
    s.register()
    s.accept(s.invite())
    s.rtp(ssrc=0)
    s.bye()


@fault(Cause.TRANSPORT_STREAM, Hop.MEDIA)
def ts_instead_of_ps(s: Script) -> None:
    s.register()
    s.accept(s.invite())
    s.rtp(payload=TS, payload_type=33)
    s.bye()


@fault(Cause.PAYLOAD_TYPE, Hop.MEDIA)
def payload_type_100(s: Script) -> None:
    s.register()
    s.accept(s.invite())
    s.rtp(payload_type=100)
    s.bye()


@fault(Cause.INTERLEAVED_FRAMING, Hop.MEDIA)
def dollar_framing(s: Script) -> None:
    s.register()
    offer = sdp(PLATFORM, MEDIA_AT, transport="TCP/RTP/AVP", setup="passive")
    s.accept(s.invite(offer=offer), reply=sdp(CHANNEL, CAMERA_MEDIA, transport="TCP/RTP/AVP", setup="active"))
    s.rtp(over="dollar", source=("192.0.2.10", 40000))
    s.bye()


@fault(Cause.MEDIA_STOPPED, Hop.MEDIA)
def media_breaks_off(s: Script) -> None:
    s.register()
    s.accept(s.invite())
    s.rtp()
    s.silence(20)


@fault(Cause.MEDIA_GAPS, Hop.MEDIA)
def media_pauses(s: Script) -> None:
    s.register()
    s.accept(s.invite())
    s.rtp(drop=frozenset(range(60, 160)))
    s.bye()


@fault(Cause.MEDIA_LOSS, Hop.MEDIA)
def media_lossy(s: Script) -> None:
    s.register()
    s.accept(s.invite())
    s.rtp(drop=frozenset(range(10, 190, 20)))
    s.bye()


@fault(Cause.ONE_WAY, Hop.MEDIA)
def talk_one_way(s: Script) -> None:
    s.register()
    offer = sdp(PLATFORM, MEDIA_AT, name="Talk", media="audio", direction="sendrecv")
    s.accept(s.invite(offer=offer), reply=sdp(CHANNEL, CAMERA_MEDIA, name="Talk", media="audio"))
    s.rtp(payload_type=8, payload=bytes(160))
    s.bye()


@fault(Cause.MEDIA_AFTER_BYE, Hop.BYE)
def media_goes_on_after_bye(s: Script) -> None:
    s.register()
    s.accept(s.invite())
    s.rtp(100)
    s.bye()
    s.rtp(200)


@fault(Cause.BYE_REFUSED, Hop.BYE)
def bye_unknown(s: Script) -> None:
    s.register()
    s.accept(s.invite())
    s.rtp()
    s.bye(status="481 Call Does Not Exist")
