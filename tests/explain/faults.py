"""The catalogue of faulty captures, each with its verdict: (name, capture, cause, failing hop)."""

from __future__ import annotations

from collections.abc import Callable

from commonview.explain import Cause, Hop
from tests.explain.script import (
    CAMERA_AT,
    CAMERA_MEDIA,
    CHANNEL,
    DEVICE,
    DOMAIN,
    MEDIA_AT,
    PLATFORM,
    PLATFORM_AT,
    TS,
    Script,
    catalogue,
    channels,
    manscdp,
    sdp,
)

FAULTS: list[tuple[str, bytes, Cause, Hop]] = []
Scripted = Callable[[Script], None]


def fault(cause: Cause, hop: Hop, **more: object) -> Callable[[Scripted], Scripted]:
    def enter(scripted: Scripted) -> Scripted:
        script = Script(**more)  # type: ignore[arg-type]
        scripted(script)
        FAULTS.append((scripted.__name__, script.capture(), cause, hop))
        return scripted

    return enter


def tries(s: Script, *proofs: tuple[str, str, str | None], final: str = "401 Unauthorized") -> None:
    """REGISTER once without and then with each of these proofs (nonce, realm, user)."""
    first = s.request("REGISTER", s.contact(), "Expires: 3600", call="reg")
    s.answer(first, "401 Unauthorized", s.challenge("n0"))
    for number, (nonce, realm, user) in enumerate(proofs):
        tried = s.request("REGISTER", s.contact(), "Expires: 3600", s.proof(nonce, realm, user), call="reg")
        more = (s.challenge(f"n{number + 1}"),) if final.startswith("401") else ()
        s.answer(tried, final, *more)
        s.wait(5)


@fault(Cause.WRONG_PASSWORD, Hop.AUTHENTICATION)
def wrong_password(s: Script) -> None:
    tries(s, ("n0", DOMAIN, None), ("n1", DOMAIN, None), final="401 Unauthorized")


@fault(Cause.WRONG_PASSWORD, Hop.AUTHENTICATION)
def wrong_password_403(s: Script) -> None:
    tries(s, ("n0", DOMAIN, None), final="403 Forbidden")


@fault(Cause.WRONG_REALM, Hop.AUTHENTICATION)
def wrong_realm(s: Script) -> None:
    tries(s, ("n0", "4401000000", None), ("n1", "4401000000", None))


@fault(Cause.WRONG_USERNAME, Hop.AUTHENTICATION)
def wrong_username(s: Script) -> None:
    tries(s, ("n0", DOMAIN, "admin"), final="403 Forbidden")


@fault(Cause.STALE_NONCE_LOOP, Hop.AUTHENTICATION)
def stale_nonce(s: Script) -> None:
    first = s.request("REGISTER", s.contact(), "Expires: 3600", call="reg")
    s.answer(first, "401 Unauthorized", s.challenge("n0"))
    for number in range(4):
        tried = s.request("REGISTER", s.contact(), "Expires: 3600", s.proof("n0"), call="reg")
        s.answer(tried, "401 Unauthorized", s.challenge(f"n{number + 1}", stale=True))


@fault(Cause.NEVER_PROVES, Hop.AUTHENTICATION)
def never_proves(s: Script) -> None:
    for number in range(3):
        tried = s.request("REGISTER", s.contact(), "Expires: 3600", call="reg")
        s.answer(tried, "401 Unauthorized", s.challenge(f"n{number}"))
        s.wait(10)


@fault(Cause.BROKEN_PROOF, Hop.AUTHENTICATION)
def truncated_proof(s: Script) -> None:
    first = s.request("REGISTER", s.contact(), "Expires: 3600", call="reg")
    s.answer(first, "401 Unauthorized", s.challenge("n0"))
    tried = s.request("REGISTER", s.contact(), 'Authorization: Digest username="340200', call="reg")
    s.answer(tried, "400 Bad Request")


@fault(Cause.WRONG_IDENTITY, Hop.REGISTER)
def registers_somebody_else(s: Script) -> None:
    tried = s.request("REGISTER", s.contact(), "Expires: 3600", to=CHANNEL, call="reg")
    s.answer(tried, "403 Forbidden")


@fault(Cause.WRONG_ID, Hop.REGISTER, device="camera1")
def id_not_of_20_digits(s: Script) -> None:
    s.answer(s.request("REGISTER", s.contact(), "Expires: 3600", call="reg"), "400 Bad Request")


@fault(Cause.WRONG_DOMAIN, Hop.REGISTER)
def wrong_domain(s: Script) -> None:
    tried = s.request("REGISTER", s.contact(), "Expires: 3600", call="reg", domain="4401000000")
    s.answer(tried, "403 Forbidden")


@fault(Cause.REGISTER_FORBIDDEN, Hop.REGISTER)
def forbidden_at_once(s: Script) -> None:
    s.answer(s.request("REGISTER", s.contact(), "Expires: 3600", call="reg"), "403 Forbidden")


@fault(Cause.REGISTER_TOO_BRIEF, Hop.REGISTER)
def interval_too_brief(s: Script) -> None:
    tried = s.request("REGISTER", s.contact(), "Expires: 30", call="reg")
    s.answer(tried, "423 Interval Too Brief", "Min-Expires: 60")


@fault(Cause.REGISTER_REFUSED, Hop.REGISTER)
def server_error(s: Script) -> None:
    s.answer(s.request("REGISTER", s.contact(), "Expires: 3600", call="reg"), "503 Service Unavailable")


@fault(Cause.REGISTER_UNANSWERED, Hop.REGISTER)
def nobody_there(s: Script) -> None:
    for _ in range(4):
        s.request("REGISTER", s.contact(), "Expires: 3600", call="reg", same=True)
        s.wait(2)


@fault(Cause.REDIRECT_LOOP, Hop.REGISTER)
def redirected_in_a_circle(s: Script) -> None:
    for _ in range(3):
        tried = s.request("REGISTER", s.contact(), "Expires: 3600", call="reg")
        s.answer(tried, "302 Moved Temporarily", "Contact: <sip:34020000002000000001@192.0.2.1:5060>")


@fault(Cause.REGISTRATION_FLAPPING, Hop.REGISTER)
def registers_every_few_seconds(s: Script) -> None:
    for _ in range(6):
        s.register()
        s.wait(8)


@fault(Cause.EXPIRY_TOO_SHORT, Hop.REGISTER)
def expiry_of_thirty_seconds(s: Script) -> None:
    s.register(expires=30)


@fault(Cause.DUPLICATE_ID, Hop.REGISTER)
def two_devices_with_one_id(s: Script) -> None:
    for host in ("192.0.2.10", "192.0.2.20", "192.0.2.10", "192.0.2.20"):
        s.device_at = (host, 5060)
        s.register()
        s.wait(100)


@fault(Cause.ADDRESS_CHANGED, Hop.REGISTER)
def address_changes_behind_nat(s: Script) -> None:
    s.register()
    s.keepalive()
    s.wait(200)
    s.device_at = ("198.51.100.7", 40123)
    s.register()


@fault(Cause.CLOCK_SKEW, Hop.REGISTER)
def clock_an_hour_off(s: Script) -> None:
    s.register(date="2026-09-21T22:00:00.000")


@fault(Cause.KEEPALIVE_REFUSED, Hop.KEEPALIVE)
def keepalive_forbidden(s: Script) -> None:
    s.register()
    for _ in range(3):
        s.wait(60)
        s.keepalive("403 Forbidden")


@fault(Cause.KEEPALIVE_SLOW, Hop.KEEPALIVE)
def keepalive_every_five_minutes(s: Script) -> None:
    s.register()
    for _ in range(3):
        s.keepalive()
        s.wait(100)
        s.silence(200)
    s.keepalive()


@fault(Cause.KEEPALIVE_STOPPED, Hop.KEEPALIVE)
def keepalive_stops(s: Script) -> None:
    s.register()
    for _ in range(3):
        s.keepalive()
        s.wait(60)
    s.silence(300)


@fault(Cause.KEEPALIVE_FAULT, Hop.KEEPALIVE)
def keepalive_says_error(s: Script) -> None:
    s.register()
    s.keepalive(health="ERROR")


@fault(Cause.ANSWER_MISDIRECTED, Hop.TRANSPORT, device_at=("198.51.100.7", 40123))
def answers_go_to_the_address_in_via(s: Script) -> None:
    for _ in range(3):
        said = s.request("REGISTER", s.contact(), "Expires: 3600", call="reg", same=True)
        s.answer(said, "401 Unauthorized", s.challenge(), target=("192.168.1.64", 5060))
        s.wait(2)
    s.silence(5)


@fault(Cause.PIECES_LOST, Hop.TRANSPORT)
def fragments_of_a_catalogue_lost(s: Script) -> None:
    s.register()
    s.ask()
    body = catalogue(DEVICE, channels(40), 40)
    head = f"MESSAGE sip:{PLATFORM}@{DOMAIN} SIP/2.0\r\nCall-ID: lost\r\nContent-Length: {len(body)}\r\n\r\n"
    s.raw(head.encode() + body, CAMERA_AT, PLATFORM_AT, lose=1)
    s.silence(20)


@fault(Cause.PIECES_LOST, Hop.TRANSPORT)
def catalogue_cut_into_what_is_no_sip(s: Script) -> None:
    s.register()
    s.ask()
    body = catalogue(DEVICE, channels(20), 20)
    s.request("MESSAGE", body=body[:900], length=len(body))
    s.raw(body[900:], CAMERA_AT, PLATFORM_AT)
    s.silence(20)


@fault(Cause.LONG_MESSAGE_REFUSED, Hop.TRANSPORT)
def long_message_answered_400(s: Script) -> None:
    s.register()
    s.ask()
    s.page(channels(40), 40, status="400 Bad Request")
    s.silence(20)


@fault(Cause.REQUEST_UNANSWERED, Hop.REQUEST)
def message_unanswered(s: Script) -> None:
    s.register()
    for _ in range(4):
        s.request("MESSAGE", up=False, body=manscdp("Query", "Catalog", 7, DEVICE), same=True, call="q")
        s.wait(1)
    s.silence(20)


@fault(Cause.REQUEST_FORBIDDEN, Hop.REQUEST)
def query_forbidden(s: Script) -> None:
    s.register()
    s.ask(status="403 Forbidden")


@fault(Cause.NO_ANSWER, Hop.ANSWER)
def accepted_and_never_answered(s: Script) -> None:
    s.register()
    s.ask("DeviceInfo")
    s.silence(30)


@fault(Cause.PAGES_MISSING, Hop.ANSWER)
def catalogue_pages_missing(s: Script) -> None:
    s.register()
    s.ask()
    s.page(channels(4), 12)
    s.page(channels(4, 9), 12)
    s.silence(30)


@fault(Cause.ANSWERED_ERROR, Hop.ANSWER)
def answered_with_error(s: Script) -> None:
    s.register()
    s.ask("PTZPosition")
    body = manscdp("Response", "PTZPosition", 7, DEVICE, "<Result>ERROR</Result>")
    s.answer(s.request("MESSAGE", body=body), "200 OK")


@fault(Cause.CHARSET_DAMAGED, Hop.CONTENT)
def names_damaged(s: Script) -> None:
    s.register()
    s.ask()
    body = catalogue(DEVICE, channels(1), 1, name="北门").replace("门".encode("gb18030"), b"\xc3\xff")
    s.page([], 1, body=body)


@fault(Cause.WRONG_LENGTH, Hop.CONTENT)
def content_length_zero(s: Script) -> None:
    s.register()
    s.ask()
    s.page(channels(2), 2, length=0)


@fault(Cause.XML_MENDED, Hop.CONTENT)
def raw_markup_in_a_name(s: Script) -> None:
    s.register()
    s.ask()
    s.page([], 1, body=catalogue(DEVICE, channels(1), 1, name="gate <2> & yard"))


@fault(Cause.LOOP, Hop.REQUEST)
def cascade_loop(s: Script) -> None:
    s.register()
    s.ask(status="482 Loop Detected")


@fault(Cause.SUBSCRIPTION_NOT_RENEWED, Hop.SUBSCRIBE)
def subscription_runs_out(s: Script) -> None:
    s.register()
    body = manscdp("Query", "Catalog", 9, DEVICE)
    asked = s.request("SUBSCRIBE", "Event: Catalog;id=1", "Expires: 60", up=False, call="sub", body=body)
    s.answer(asked, "200 OK", "Expires: 60", up=True)
    said = s.request(
        "NOTIFY", "Event: Catalog;id=1", call="sub", body=manscdp("Notify", "Catalog", 1, DEVICE)
    )
    s.answer(said, "200 OK")
    s.silence(120)


@fault(Cause.SUBSCRIBE_REFUSED, Hop.SUBSCRIBE)
def subscription_refused(s: Script) -> None:
    s.register()
    asked = s.request("SUBSCRIBE", "Event: Alarm", "Expires: 600", up=False, call="sub")
    s.answer(asked, "489 Bad Event", up=True)


# -- calls


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


@fault(Cause.TLS_FAILED, Hop.TRANSPORT)
def tls_refused(s: Script) -> None:
    camera, platform = ("192.0.2.10", 41000), ("192.0.2.1", 5061)
    s.writer.tcp(s.now, camera, platform, b"\x16\x03\x01\x00\x20\x01" + bytes(31))
    s.writer.tcp(s.now + 0.01, platform, camera, b"\x15\x03\x01\x00\x02\x02\x30")
    nobody_there(s)
