"""Very many devices on one socket: the load of `bench/fleet.py`, lean enough to leave the server its core.

Every device has an address of its own in 127.0.0.0/8, named in each datagram (IP_PKTINFO). Datagrams are
filled into templates; unanswered ones are repeated as RFC 3261 17.1.2 says. A device answers the server's
questions with 200, and the one for its catalogue with one page.
"""

from __future__ import annotations

import hashlib
import select
import socket
import struct
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

SERVER = b"34020000002000000001"
DOMAIN = b"3402000000"
FIRST = 34020000001110000000
_REPEATS_S = (0.5, 1.0, 2.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0)  # T1 = 0.5 s, T2 = 4 s, 64 T1 in all
_IP_PKTINFO = 8
_COPIED = (b"Via", b"From", b"To:", b"Call", b"CSeq")


def host_of(number: int) -> str:
    """The device's own address; 127.0.0.x is left to others."""
    return f"127.{1 + number // 62_500}.{number // 250 % 250}.{1 + number % 250}"


def md5(text: bytes) -> bytes:
    """The hexadecimal digest of the protocol."""
    return hashlib.md5(text, usedforsecurity=False).hexdigest().encode()


def _quoted(data: bytes, name: bytes) -> bytes:
    start = data.index(name + b'="') + len(name) + 2
    return data[start : data.index(b'"', start)]


@dataclass(slots=True)
class Sent:
    """A request without its answer."""

    data: bytes
    number: int
    at: float
    repeats: int = 0


@dataclass
class Slice:
    """What one second brought."""

    done: int = 0
    repeated: int = 0
    waiting: int = 0


@dataclass
class Result:
    """What a load came to."""

    asked: int = 0
    done: int = 0
    first_try: int = 0
    repeated: int = 0
    lost: int = 0
    refused: Counter[bytes] = field(default_factory=Counter)
    delays: list[float] = field(default_factory=list)
    slices: list[Slice] = field(default_factory=list)
    seconds: float = 0.0


class Fleet:
    """`devices` ids, of which each one registers, keeps alive and answers. Times are monotonic seconds."""

    def __init__(
        self,
        server: tuple[str, int],
        devices: int,
        password: bytes,
        *,
        first: int = 0,
        channels: int = 1,
        port: int = 0,
    ) -> None:
        self.devices = devices
        self._server = server
        self._first = first
        self._channels = channels
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        self._socket.bind(("0.0.0.0", port))  # noqa: S104 - each datagram names its own loopback address
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]
        self._from = [
            [(socket.IPPROTO_IP, _IP_PKTINFO, struct.pack("I4s4x", 0, socket.inet_aton(host_of(n + first))))]
            for n in range(devices)
        ]
        self._hosts = [host_of(n + first).encode() for n in range(devices)]
        self._ha1 = [md5(b"%d:%s:%s" % (FIRST + first + n, DOMAIN, password)) for n in range(devices)]
        self._ha2 = md5(b"REGISTER:sip:%s@%s" % (SERVER, DOMAIN))
        self._open: dict[bytes, Sent] = {}
        self._due: list[deque[tuple[float, bytes]]] = [deque() for _ in _REPEATS_S]
        self._began: dict[int, float] = {}
        self._waiting: deque[int] = deque()
        self._start = time.monotonic()
        self._serial = 0
        self._turn_of = 0
        self.result = Result()
        self.acknowledged: set[int] = set()
        self.answered_queries: Counter[bytes] = Counter()

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    # -- what is sent

    def _send(self, number: int, data: bytes) -> None:
        try:
            self._socket.sendmsg((data,), self._from[number], 0, self._server)
        except (BlockingIOError, ConnectionRefusedError):
            self.result.refused[b"not sent"] += 1  # the repetition comes

    def _ask(self, number: int, key: bytes, data: bytes, now: float) -> None:
        self._open[key] = Sent(data, number, now)
        self._due[0].append((now + _REPEATS_S[0], key))
        self._send(number, data)

    def _register(self, number: int, now: float, credentials: bytes = b"") -> None:
        self._serial += 1
        key = b"r%d" % self._serial
        device, host = b"%d" % (FIRST + self._first + number), self._hosts[number]
        one = (SERVER, DOMAIN, host, self.port, key, device, DOMAIN, key, device, DOMAIN, key, host)
        data = _REGISTER % (*one, device, host, self.port, credentials)
        self._ask(number, key, data, now)

    def _keep_alive(self, number: int, now: float) -> None:
        self._serial += 1
        key = b"k%d" % self._serial
        device, host = b"%d" % (FIRST + self._first + number), self._hosts[number]
        one = (SERVER, DOMAIN, host, self.port, key, device, DOMAIN, key, SERVER, DOMAIN, key, host)
        body = _KEEPALIVE_BODY % (self._serial, device)
        self.result.asked += 1
        self._ask(number, key, _KEEPALIVE % (*one, len(body), body), now)

    def _repeat(self, now: float) -> None:
        for step, line in enumerate(self._due):
            while line and line[0][0] <= now:
                _at, key = line.popleft()
                sent = self._open.get(key)
                if sent is None:
                    continue
                if step + 1 == len(self._due):
                    del self._open[key]
                    self._lost(sent)
                    continue
                sent.repeats += 1
                self.result.repeated += 1
                self._slice(now).repeated += 1
                self._due[step + 1].append((now + _REPEATS_S[step + 1], key))
                self._send(sent.number, sent.data)

    def _lost(self, sent: Sent) -> None:
        self.result.lost += 1
        if sent.number in self._began:
            self._waiting.append(sent.number)  # a device tries again from the beginning

    # -- what comes

    def _receive(self, now: float) -> None:
        receive = self._socket.recv
        for _ in range(256):
            try:
                data = receive(65536)
            except (BlockingIOError, ConnectionRefusedError):
                return
            if data.startswith(b"SIP/2.0"):
                self._answered(data, now)
            else:
                self._asked(data)

    def _answered(self, data: bytes, now: float) -> None:
        start = data.index(b"Call-ID: ") + 9
        sent = self._open.pop(data[start : data.index(b"@", start)], None)
        if sent is None:
            return
        status, number = data[8:11], sent.number
        if data[start : start + 1] == b"r" and status == b"401":
            nonce = _quoted(data, b"nonce")
            proof = md5(b"%b:%b:%b" % (self._ha1[number], nonce, self._ha2))
            device = b"%d" % (FIRST + self._first + number)
            self._register(number, now, _CREDENTIALS % (device, DOMAIN, nonce, SERVER, DOMAIN, proof))
            return
        if status != b"200":
            self.result.refused[status] += 1
            if number in self._began:
                self._waiting.append(number)
            return
        began = self._began.pop(number, None)
        self.acknowledged.add(number)
        self.result.done += 1
        self.result.first_try += sent.repeats == 0
        self.result.delays.append(now - (sent.at if began is None else began))
        self._slice(now).done += 1

    def _asked(self, data: bytes) -> None:
        """A question of the server: 200, and a page where a catalogue was asked for."""
        at = data.index(b" sip:") + 5
        number = int(data[at : at + 20]) - FIRST - self._first
        head, _, body = data.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n")[1:] if line.startswith(_COPIED)]
        expires = b"Expires: 3600\r\n" if data.startswith(b"SUBSCRIBE") else b""
        copied = b"\r\n".join(
            line + b";tag=d" if line.startswith(b"To:") and b"tag=" not in line else line for line in lines
        )
        contact = b"Contact: <sip:%d@%b:%d>\r\n" % (
            FIRST + self._first + number,
            self._hosts[number],
            self.port,
        )
        self._send(
            number, b"SIP/2.0 200 OK\r\n%b\r\n%b%bContent-Length: 0\r\n\r\n" % (copied, contact, expires)
        )
        self.answered_queries[data[: data.index(b" ")]] += 1
        if data.startswith(b"MESSAGE") and b"<CmdType>Catalog<" in body and self._channels:
            self._list(number, body)

    def _list(self, number: int, body: bytes) -> None:
        start = body.index(b"<SN>") + 4
        sn = body[start : body.index(b"<", start)]
        self._serial += 1
        key = b"c%d" % self._serial
        device, host = b"%d" % (FIRST + self._first + number), self._hosts[number]
        items = b"".join(
            b"<Item><DeviceID>%b131%07d</DeviceID><Name>Camera %d</Name><Status>ON</Status></Item>"
            % (device[:10], number * self._channels % 10_000_000 + one, one)
            for one in range(self._channels)
        )
        page = _CATALOGUE % (sn, device, self._channels, self._channels, items)
        one = (SERVER, DOMAIN, host, self.port, key, device, DOMAIN, key, SERVER, DOMAIN, key, host)
        self._send(number, _KEEPALIVE % (*one, len(page), page))

    # -- loads

    def _slice(self, now: float) -> Slice:
        at = int(now - self._start)
        slices = self.result.slices
        while len(slices) <= at:
            slices.append(Slice())
        return slices[at]

    def _begin(self) -> float:
        self.result = Result()
        self._open.clear()
        for line in self._due:
            line.clear()
        self._began.clear()
        self._waiting.clear()
        self._start = time.monotonic()
        return self._start

    def _turn(self, wait_s: float) -> float:
        select.select([self._socket], [], [], wait_s)
        now = time.monotonic()
        self._receive(now)
        self._repeat(now)
        return now

    def register(
        self,
        *,
        within_s: float,
        window: int = 0,
        at_most_s: float = 300.0,
        enough: int = 0,
        endless: bool = False,
    ) -> Result:
        """Every device registers once, or `enough` of them, spread evenly over a time or so many at once.

        With `endless` it goes on at that rate, around and around, until the time is over.
        """
        now = start = self._begin()
        following = 0
        goal = enough or self.devices
        while now - start < at_most_s and (endless or self.result.done < goal):
            if window:
                until = self.result.done + window
            else:
                until = int((now - start) / max(within_s, 1e-3) * self.devices) + 1
            if not endless:
                until = min(self.devices, until)
            for number in range(following, min(until, following + 256)):
                following += 1
                self._first_register(number % self.devices, now)
            for _ in range(len(self._waiting)):
                self._register(self._waiting.popleft(), now)
            self._slice(now).waiting = len(self._began)
            now = self._turn(0.002)
        self.result.seconds = now - start
        return self.result

    def _first_register(self, number: int, now: float) -> None:
        if number not in self._began:  # else it is still at it
            self.result.asked += 1
            self._began[number] = now
            self._register(number, now)

    def keep_alive(self, *, seconds: float, period_s: float) -> Result:
        """Keep-alives, each device one a period, for so long; then what is open gets its time.

        The next call goes on with the device whose turn it is.
        """
        now = start = self._begin()
        sent = 0
        while now - start < seconds:
            while sent < (now - start) / period_s * self.devices:
                self._keep_alive(self._turn_of, now)
                self._turn_of = (self._turn_of + 1) % self.devices
                sent += 1
            now = self._turn(0.002)
        self.result.seconds = now - start
        while self._open and time.monotonic() - now < 10:
            self._turn(0.01)
        return self.result

    def rest(self, seconds: float) -> None:
        """Answer what the server asks, and nothing else."""
        end = time.monotonic() + seconds
        self._begin()
        while time.monotonic() < end:
            self._turn(0.01)


_REGISTER = (
    b"REGISTER sip:%b@%b SIP/2.0\r\nVia: SIP/2.0/UDP %b:%d;rport;branch=z9hG4bK%b\r\n"
    b"From: <sip:%b@%b>;tag=%b\r\nTo: <sip:%b@%b>\r\nCall-ID: %b@%b\r\nCSeq: 1 REGISTER\r\n"
    b"Contact: <sip:%b@%b:%d>\r\n%bMax-Forwards: 70\r\nUser-Agent: IP Camera\r\nExpires: 86400\r\n"
    b"Content-Length: 0\r\n\r\n"
)
_CREDENTIALS = (
    b'Authorization: Digest username="%b", realm="%b", nonce="%b", uri="sip:%b@%b", response="%b", '
    b"algorithm=MD5\r\n"
)
_KEEPALIVE = (
    b"MESSAGE sip:%b@%b SIP/2.0\r\nVia: SIP/2.0/UDP %b:%d;rport;branch=z9hG4bK%b\r\n"
    b"From: <sip:%b@%b>;tag=%b\r\nTo: <sip:%b@%b>\r\nCall-ID: %b@%b\r\nCSeq: 20 MESSAGE\r\n"
    b"Content-Type: Application/MANSCDP+xml\r\nMax-Forwards: 70\r\nUser-Agent: IP Camera\r\n"
    b"Content-Length: %d\r\n\r\n%b"
)
_KEEPALIVE_BODY = (
    b'<?xml version="1.0" encoding="GB2312"?>\r\n<Notify>\r\n<CmdType>Keepalive</CmdType>\r\n'
    b"<SN>%d</SN>\r\n<DeviceID>%b</DeviceID>\r\n<Status>OK</Status>\r\n</Notify>\r\n"
)
_CATALOGUE = (
    b'<?xml version="1.0" encoding="GB2312"?>\r\n<Response>\r\n<CmdType>Catalog</CmdType>\r\n<SN>%b</SN>'
    b'<DeviceID>%b</DeviceID><SumNum>%d</SumNum><DeviceList Num="%d">%b</DeviceList></Response>\r\n'
)


def junk(count: int) -> list[bytes]:
    """Registrations of devices that nobody knows, each different."""
    return [
        _REGISTER
        % (
            *(SERVER, DOMAIN, b"127.9.9.9", 5060, b"j%d" % one, b"%d" % (FIRST + 9_000_000 + one), DOMAIN),
            *(b"j%d" % one, b"%d" % (FIRST + 9_000_000 + one), DOMAIN, b"j%d" % one, b"127.9.9.9"),
            *(b"%d" % (FIRST + 9_000_000 + one), b"127.9.9.9", 5060, b""),
        )
        for one in range(count)
    ]


def pour(server: tuple[str, int], per_s: int, seconds: float) -> Iterator[int]:
    """Send junk from one address at a rate; yields how many were sent, once a turn."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.bind(("127.9.9.9", 0))
        out.setblocking(False)
        letters = junk(5_000)
        start = now = time.monotonic()
        sent = 0
        while now - start < seconds:
            while sent < (now - start) * per_s:
                try:
                    out.sendto(letters[sent % len(letters)], server)
                except OSError:
                    break
                sent += 1
            yield sent
            time.sleep(0.002)
            now = time.monotonic()
