"""What is recorded: everything, redacted and bounded; keep-alives as counts."""

import gc

from commonview.network.trace import TraceRecorder
from commonview.network.trace.ring import Entry
from commonview.wire.sip import parse_datagram
from commonview.wire.sip.flow import Flow

PEER = Flow("udp", ("192.0.2.10", 5060), ("192.0.2.1", 5060))
DEVICE = "34020000001110000001"
SECRETS = (b"6629fae49393a05397450978507c4ef1", b"0a4f113b", b"hunter2", b"one-time-token")


def message(body: str = "", *headers: str, method: str = "MESSAGE", call: str = "c1") -> bytes:
    lines = [
        f"{method} sip:34020000002000000001@3402000000 SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1",
        f"From: <sip:{DEVICE}@3402000000>;tag=1",
        "To: <sip:34020000002000000001@3402000000>",
        f"Call-ID: {call}",
        f"CSeq: 1 {method}",
        *headers,
        f"Content-Length: {len(body)}",
        "",
        body,
    ]
    return "\r\n".join(lines).encode()


KEEPALIVE = message(f"<Notify><CmdType>Keepalive</CmdType><SN>1</SN><DeviceID>{DEVICE}</DeviceID></Notify>")
OK = b"SIP/2.0 200 OK\r\nCall-ID: c1\r\nCSeq: 1 MESSAGE\r\n\r\n"


def recorder(budget: int = 2**20) -> TraceRecorder:
    return TraceRecorder(budget, lambda: 5.0)


def kept(recording: TraceRecorder) -> list[bytes]:
    return [entry.data for entry in recording.entries_of(DEVICE, PEER.peer)]


def test_a_thousand_keepalives_and_their_answers_are_one_entry() -> None:
    recording = recorder()
    for number in range(1000):
        recording.received(float(number), PEER, KEEPALIVE)
        recording.sent(PEER, OK)
    (entry,) = recording.entries_of(DEVICE)
    assert (entry.count, entry.at, entry.until, entry.longest_gap_s) == (1000, 0.0, 999.0, 1.0)
    assert (entry.data, entry.answer, entry.last) == (KEEPALIVE, OK, KEEPALIVE)


def test_a_refused_keepalive_is_kept_with_its_answer() -> None:
    recording = recorder()
    recording.received(1.0, PEER, KEEPALIVE)
    recording.sent(PEER, OK)
    recording.received(2.0, PEER, KEEPALIVE)
    recording.sent(PEER, b"SIP/2.0 403 Forbidden\r\n\r\n")
    assert [entry.count for entry in recording.entries_of(DEVICE)] == [1, 1, 1]
    assert kept(recording)[-1].startswith(b"SIP/2.0 403")


def test_no_secret_stays_in_memory() -> None:
    recording = recorder()
    digest = 'Digest username="a", response="6629fae49393a05397450978507c4ef1", cnonce="0a4f113b"'
    said = [
        message("", f"Authorization: {digest}", method="REGISTER"),
        message("", "Authorization: Basic hunter2", method="REGISTER", call="c2"),
        message("<Notify><Password>hunter2</Password><CmdType>X</CmdType></Notify>"),
        message("<Control><UploadURL>https://u:hunter2@h.example/one-time-token</UploadURL></Control>"),
        message(f"<Notify><CmdType>Keepalive</CmdType><Password>hunter2</Password>{DEVICE}</Notify>"),
        message("", "Contact: <sip:camera:hunter2@192.0.2.10>", method="REGISTER", call="c3"),
    ]
    for each in said:
        recording.received(1.0, PEER, each)
        recording.sent(PEER, OK)
        recording.received_item(1.0, PEER, parse_datagram(each))
        recording.sent(PEER, each)
    held = [each for each in gc.get_objects() if isinstance(each, Entry)]
    assert len(held) >= len(said)
    everything = b"".join(entry.data + entry.answer + entry.last for entry in held)
    assert [secret for secret in SECRETS if secret in everything] == []
    assert b'username="a"' in everything
    assert b"https://h.example/***" in everything


def test_the_budget_holds_whatever_is_said() -> None:
    recording = recorder(200_000)
    for number in range(5000):
        flow = Flow("udp", (f"192.0.{number % 250}.{number // 250}", 5060), PEER.local)
        recording.received(float(number), flow, message("x" * 300, call=f"c{number}"))
        recording.sent(flow, b"SIP/2.0 403 Forbidden\r\nCall-ID: c\r\n\r\n")
    sizes = recording.sizes()
    assert sizes["bytes"] <= 200_000
    assert sizes["dropped"] > 0
    assert sizes["peers"] < 200


def test_a_flood_of_strangers_does_not_push_out_what_a_device_said() -> None:
    recording = recorder(400_000)
    recording.received(1.0, PEER, message(method="REGISTER"))
    recording.proved(PEER.peer, DEVICE)
    for number in range(50):
        recording.received(2.0, PEER, message("y" * 100, call=f"d{number}"))
    for number in range(20_000):
        flow = Flow("udp", ("198.51.100.1", 1024 + number), PEER.local)
        recording.received(3.0, flow, message("x" * 300, call=f"s{number}"))
    assert len(recording.entries_of(DEVICE, PEER.peer)) >= 50


def test_one_peer_takes_a_sixteenth_at_most_and_keeps_its_latest() -> None:
    recording = recorder(16 * 2**20)
    recording.received(0.0, PEER, message(method="REGISTER"))
    recording.proved(PEER.peer, DEVICE)
    for number in range(3000):
        recording.received(1.0, PEER, message("z" * 1000, call=f"c{number}"))
    assert recording.sizes()["bytes"] <= 2**20 + 10_000
    assert b"Call-ID: c2999" in kept(recording)[-1]


def test_a_budget_of_zero_records_nothing() -> None:
    recording = recorder(0)
    recording.received(1.0, PEER, KEEPALIVE)
    recording.sent(PEER, OK)
    assert recording.sizes()["peers"] == 0


def test_a_wrong_content_length_on_tcp_stays_visible() -> None:
    recording = recorder()
    wrong = parse_datagram(
        message("<Notify><CmdType>X</CmdType></Notify>", "Content-Type: x").replace(
            b"Content-Length: 37", b"Content-Length: 0"
        )
    )
    recording.received_item(1.0, PEER, wrong)
    assert b"Content-Length: 0\r\n" in kept(recording)[0]


def test_keepalives_over_tcp_are_counted_and_a_refused_one_is_kept() -> None:
    recording = recorder()
    for number in range(8):
        recording.received_item(float(number), PEER, parse_datagram(KEEPALIVE))
        recording.sent(PEER, OK if number < 7 else b"SIP/2.0 403 Forbidden\r\n\r\n")
    assert [entry.count for entry in recording.entries_of(DEVICE)] == [7, 1, 1]
