"""Every faulty capture of the catalogue gets its verdict, and a healthy one gets none."""

import io

import pytest

from commonview.explain import (
    RULES,
    Cause,
    ExchangeKind,
    Hop,
    Outcome,
    Severity,
    Story,
    read_capture_from,
    tell,
)
from tests.explain.faults import FAULTS
from tests.explain.script import CAMERA_MEDIA, DEVICE, MEDIA_AT, PLATFORM, Script, channels, manscdp, sdp


def story_of(capture: bytes) -> Story:
    return tell(read_capture_from(io.BytesIO(capture)).recording)


@pytest.mark.parametrize(
    ("capture", "cause", "hop"), [each[1:] for each in FAULTS], ids=[each[0] for each in FAULTS]
)
def test_a_faulty_capture_gets_its_verdict(capture: bytes, cause: Cause, hop: Hop) -> None:
    found = [(each.cause, each.hop) for exchange in story_of(capture).exchanges for each in exchange.findings]
    assert (cause, hop) in found


@pytest.mark.parametrize(
    ("capture", "cause"), [each[1:3] for each in FAULTS], ids=[each[0] for each in FAULTS]
)
def test_the_verdict_is_the_first_thing_said_about_its_exchange(capture: bytes, cause: Cause) -> None:
    firsts = [each.findings[0].cause for each in story_of(capture).exchanges if each.findings]
    assert cause in firsts


def test_the_list_of_memory_cards_counts_as_one() -> None:
    s = Script()
    s.register()
    s.ask("SDCardStatus")
    card = "<Item><ID>1</ID><HddName>SD1</HddName><Status>ok</Status></Item>"
    told = f'<SumNum>1</SumNum><SDCardStatusInfo Num="1">{card}</SDCardStatusInfo>'
    body = manscdp("Response", "SDCardStatus", 7, DEVICE, told)
    s.answer(s.request("MESSAGE", body=body), "200 OK")
    s.wait(60)
    (asked,) = [each for each in story_of(s.capture()).exchanges if each.kind is ExchangeKind.QUERY]
    assert asked.findings == ()


def test_there_are_captures_for_most_rules() -> None:
    shown = {cause for _, _, cause, _ in FAULTS}
    assert len(FAULTS) >= 60
    assert len(shown) >= 0.75 * len({rule.cause for rule in RULES})


def healthy(transport: str = "udp") -> Script:
    s = Script(transport=transport)
    s.register()
    s.keepalive()
    s.ask()
    s.page(channels(3), 5)
    s.page(channels(2, 4), 5)
    s.wait(60)
    s.keepalive()
    if transport == "udp":
        s.accept(s.invite())
        s.rtp()
    else:
        offer = sdp(PLATFORM, MEDIA_AT, transport="TCP/RTP/AVP", setup="passive")
        reply = sdp("x", ("192.0.2.10", 15060), transport="TCP/RTP/AVP", setup="active")
        s.accept(s.invite(offer=offer), reply=reply)
        s.rtp(over="rfc4571", source=("192.0.2.10", 40000))
    s.bye()
    s.wait(20)
    s.keepalive()
    return s


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_healthy_capture_has_no_findings(transport: str) -> None:
    story = story_of(healthy(transport).capture())
    assert [each.cause for exchange in story.exchanges for each in exchange.findings] == []
    assert {each.outcome for each in story.exchanges} == {Outcome.OK}
    kinds = {each.kind for each in story.exchanges}
    assert kinds == {
        ExchangeKind.REGISTRATION,
        ExchangeKind.KEEPALIVE,
        ExchangeKind.QUERY,
        ExchangeKind.SESSION,
    }
    assert story.devices() == (DEVICE,)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_media_is_counted_and_belongs_to_its_call(transport: str) -> None:
    story = story_of(healthy(transport).capture())
    (call,) = [each for each in story.exchanges if each.kind is ExchangeKind.SESSION]
    (flow,) = call.flows
    assert (flow.packets, flow.lost, flow.payload_types, flow.content) == (200, 0, (96,), "ps")
    assert story.flows == ()


@pytest.mark.parametrize(("sees_sent", "named"), [(True, True), (False, False)])
def test_our_own_endpoint_does_not_miss_what_it_sent_itself(sees_sent: bool, named: bool) -> None:
    """A voice to a device: the device calls, and the media goes to it."""
    script = Script()
    script.register()
    offer = sdp(DEVICE, CAMERA_MEDIA, direction="recvonly")
    called = script.request("INVITE", script.contact(), call="voice", body=offer, kind="application/sdp")
    script.answer(called, "200 OK", body=sdp(PLATFORM, MEDIA_AT, direction="sendonly"))
    script.request("ACK", call="voice", same=True)
    script.wait(10)
    script.answer(script.request("BYE", up=False, call="voice"), "200 OK", up=True)
    recording = read_capture_from(io.BytesIO(script.capture())).recording
    recording.sees_sent = sees_sent
    found = {finding.cause for exchange in tell(recording).exchanges for finding in exchange.findings}
    assert (Cause.MEDIA_NEVER_CAME in found) is named


@pytest.mark.parametrize(("password", "named"), [("***", False), ("abc", True)])
def test_a_body_that_a_secret_was_taken_from_is_not_called_too_short(password: str, named: bool) -> None:
    """What is kept of a message is redacted, and its Content-Length is that of the whole."""
    script = Script()
    script.register()
    body = manscdp("Control", "DeviceConfig", 9, DEVICE).replace(
        b"</Control>", f"<BasicParam><Password>{password}</Password></BasicParam></Control>".encode()
    )
    asked = script.request("MESSAGE", up=False, body=body, length=len(body) + 29)
    script.answer(asked, "200 OK", up=True)
    found = {
        finding.cause for exchange in story_of(script.capture()).exchanges for finding in exchange.findings
    }
    assert (Cause.WRONG_LENGTH in found) is named


def test_evidence_points_at_packets_of_the_capture() -> None:
    story = story_of(next(capture for name, capture, _, _ in FAULTS if name == "wrong_password"))
    (exchange,) = story.exchanges
    numbers = {each.number for each in exchange.messages}
    assert exchange.findings[0].severity is Severity.FAILURE
    assert set(exchange.findings[0].evidence) <= numbers
    assert exchange.findings[0].params == {"count": 2, "status": 401}


def test_no_rule_speaks_twice_with_different_words() -> None:
    rows: dict[Cause, set[tuple[object, ...]]] = {}
    for rule in RULES:
        rows.setdefault(rule.cause, set()).add((rule.check, rule.severity))
    assert {cause for cause, said in rows.items() if len(said) > 1} == set()
    assert set(rows) == set(Cause)
