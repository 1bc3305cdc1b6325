"""Cost of the SIP hot path in Python: parse, transaction and answer of a keep-alive and of a REGISTER.

    python bench/sip_parse.py [--messages N] [--profile]

Prints microseconds of CPU a message beside a floor from the same run (splitting the same bytes into lines and
names), and the ratio of the two. Nothing is sent: sockets are measured by sip_throughput.py.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time
from collections.abc import Callable

from commonview.wire.sip.context import RequestReceived
from commonview.wire.sip.core import SipCore
from commonview.wire.sip.digest import Challenge, Credentials, answer, verify
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.message import parse_datagram
from commonview.wire.sip.nonces import NonceBook, NonceVerdict

SERVER = "34020000002000000001"
DOMAIN = "3402000000"
KEEPALIVE_BODY = (
    b'<?xml version="1.0" encoding="GB2312"?>\r\n<Notify>\r\n<CmdType>Keepalive</CmdType>\r\n<SN>%d</SN>\r\n'
    b"<DeviceID>34020000001320000001</DeviceID>\r\n<Status>OK</Status>\r\n</Notify>\r\n"
)


def keepalive(number: int) -> bytes:
    """One keep-alive as a camera sends it."""
    body = KEEPALIVE_BODY % number
    device = f"3402000000132{number % 1000:07d}"
    head = (
        f"MESSAGE sip:{SERVER}@{DOMAIN} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 192.168.1.64:5060;rport;branch=z9hG4bK{number:016x}\r\n"
        f"From: <sip:{device}@{DOMAIN}>;tag={number:08x}\r\n"
        f"To: <sip:{SERVER}@{DOMAIN}>\r\n"
        f"Call-ID: {number:032x}@192.168.1.64\r\n"
        "CSeq: 20 MESSAGE\r\nContent-Type: Application/MANSCDP+xml\r\nMax-Forwards: 70\r\n"
        f"User-Agent: IP Camera\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def register(number: int, credentials: str = "") -> bytes:
    """A REGISTER, with an Authorization line when `credentials` are given."""
    device = f"3402000000132{number % 1000:07d}"
    line = f"Authorization: {credentials}\r\n" if credentials else ""
    return (
        f"REGISTER sip:{SERVER}@{DOMAIN} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 192.168.1.64:5060;rport;branch=z9hG4bK{number:016x}{len(credentials):x}\r\n"
        f"From: <sip:{device}@{DOMAIN}>;tag={number:08x}\r\n"
        f"To: <sip:{device}@{DOMAIN}>\r\n"
        f"Call-ID: {number:032x}@192.168.1.64\r\n"
        f"CSeq: {2 if credentials else 1} REGISTER\r\nContact: <sip:{device}@192.168.1.64:5060>\r\n{line}"
        "Max-Forwards: 70\r\nUser-Agent: IP Camera\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def timed(run: Callable[[], None], count: int) -> float:
    """Microseconds of CPU an item, the best of three passes."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best / count * 1e6


def split_floor(messages: list[bytes]) -> None:
    """The least anyone can do: lines, names and values of the head."""
    for data in messages:
        head, _, _ = data.partition(b"\r\n\r\n")
        for line in head.decode().split("\r\n"):
            line.partition(":")


def parse_all(messages: list[bytes]) -> None:
    for data in messages:
        parse_datagram(data)


def answer_all(messages: list[bytes], flows: list[Flow]) -> None:
    core = SipCore()
    now = 0.0
    for index, data in enumerate(messages):
        now += 0.0001
        core.feed(now, flows[index % len(flows)], data)
        while (output := core.next_output()) is not None:
            if type(output) is RequestReceived:
                core.respond(now, output.tx, 200)
    core.advance(now)


def register_all(numbers: range, flows: list[Flow]) -> None:
    """Challenge, verify and accept: both requests of every registration, the client's part included."""
    core, nonces = SipCore(), NonceBook()
    now = 0.0
    for number in numbers:
        now += 0.0001
        flow = flows[number % len(flows)]
        core.feed(now, flow, register(number))
        challenge = ""
        while (output := core.next_output()) is not None:
            if type(output) is RequestReceived:
                challenge = Challenge(DOMAIN, nonces.issue(now)).encode()
                core.respond(now, output.tx, 401, None, (("WWW-Authenticate", challenge),))
        core.feed(now, flow, register(number, authorization(challenge)))
        while (output := core.next_output()) is not None:
            if type(output) is RequestReceived:
                given = Credentials.parse(output.tx.request.headers.get("Authorization") or "")
                fresh = nonces.redeem(given.nonce, now) is NonceVerdict.ACCEPTED
                ok = fresh and verify(given, "12345678", "REGISTER")
                core.respond(now, output.tx, 200 if ok else 403, None, (("Expires", "3600"),))


def authorization(challenge: str) -> str:
    given = answer(
        Challenge.parse(challenge),
        username="34020000001320000001",
        password="12345678",
        method="REGISTER",
        uri=f"sip:{SERVER}@{DOMAIN}",
    )
    return given.encode()


def client_part(numbers: range) -> None:
    """What `register_all` spends on playing the camera, to be taken off."""
    challenge = Challenge(DOMAIN, NonceBook().issue(0.0)).encode()
    for number in numbers:
        register(number)
        register(number, authorization(challenge))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20000)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    count: int = options.messages
    messages = [keepalive(number) for number in range(count)]
    local = ("127.0.0.1", 5060)
    flows = [Flow("udp", ("192.168.1.64", 1024 + number), local) for number in range(1000)]
    if options.profile:
        profiler = cProfile.Profile()
        profiler.runcall(answer_all, messages, flows)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)
        return
    floor = timed(lambda: split_floor(messages), count)
    parse = timed(lambda: parse_all(messages), count)
    whole = timed(lambda: answer_all(messages, flows), count)
    numbers = range(count // 4)
    camera = timed(lambda: client_part(numbers), len(numbers))
    registration = timed(lambda: register_all(numbers, flows), len(numbers)) - camera
    print(f"floor: split into lines and names   {floor:7.2f} us")
    print(f"parse a keep-alive                  {parse:7.2f} us   {parse / floor:5.1f} x floor")
    print(f"keep-alive: parse, match, answer    {whole:7.2f} us   {whole / floor:5.1f} x floor")
    print(f"registration: 401 and 200           {registration:7.2f} us   {registration / floor:5.1f} x floor")


if __name__ == "__main__":
    main()
