"""Captures of faults while a device joins, keeps alive, is asked and is subscribed to."""

from __future__ import annotations

from commonview.explain import Cause, Hop
from tests.explain.fault_captures import Fault, entering
from tests.explain.script import (
    CAMERA_AT,
    CHANNEL,
    DEVICE,
    DOMAIN,
    PLATFORM,
    PLATFORM_AT,
    Script,
    catalogue,
    channels,
    manscdp,
)

SIGNALLING: list[Fault] = []
fault = entering(SIGNALLING)


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


@fault(Cause.TLS_FAILED, Hop.TRANSPORT)
def tls_refused(s: Script) -> None:
    camera, platform = ("192.0.2.10", 41000), ("192.0.2.1", 5061)
    s.writer.tcp(s.now, camera, platform, b"\x16\x03\x01\x00\x20\x01" + bytes(31))
    s.writer.tcp(s.now + 0.01, platform, camera, b"\x15\x03\x01\x00\x02\x02\x30")
    nobody_there(s)
