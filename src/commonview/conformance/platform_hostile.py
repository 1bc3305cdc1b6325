"""Malformed input, which must not break a platform; only sent with leave."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from commonview.conformance.book import Book
from commonview.conformance.visitor import Visitor
from commonview.wire import manscdp

_GARBAGE: Final = (
    b"\x00" * 64,
    b"\xff\xfe\xfd" * 400,
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"REGISTER\r\n\r\n",
    b"SIP/2.0 200\r\n\r\n",
)
_BROKEN_XML: Final = (
    b"<Notify><CmdType>Keepalive</CmdType><SN>1</SN>",
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><Notify>&b;</Notify>',
    b"<" * 5000,
    b"<Notify><CmdType>" + b"A" * 20_000 + b"</CmdType></Notify>",
    b'<?xml version="1.0" encoding="no-such-charset"?><Notify></Notify>',
)


async def hostile(visitor: Visitor, book: Book, alive: Callable[[], Awaitable[bool]]) -> None:
    """Send each kind, and see each time whether a right keep-alive is still answered."""
    own = visitor.settings
    via = f"SIP/2.0/{own.transport.upper()} {own.local_host}:1;branch=z9hG4bKx"
    head = f"MESSAGE {visitor.uri} SIP/2.0\r\nVia: {via}\r\n"
    names = f"From: <sip:{own.device_id}@{own.domain}>;tag=a\r\nTo: <{visitor.uri}>\r\n"
    rest = "Call-ID: hostile\r\nCSeq: 1 MESSAGE\r\n"
    headers = (
        f"{head}{rest}Content-Length: 0\r\n\r\n",
        f"{head}{names}{rest}{names}{rest}Content-Length: 0\r\n\r\n",
        f"{head}{names}{rest}Subject: {'A' * 40_000}\r\nContent-Length: 0\r\n\r\n",
        f"{head}{names}Call-ID: hostile\r\nCSeq: 99999999999999999999 MESSAGE\r\nContent-Length: 0\r\n\r\n",
    )
    lengths = tuple(
        f"{head}{names}{rest}Content-Type: {manscdp.CONTENT_TYPE}\r\nContent-Length: {count}\r\n\r\n<Notify/>"
        for count in ("-1", "999999999", "abc", "0")
    )
    kinds: tuple[tuple[str, tuple[bytes, ...]], ...] = (
        ("hostile.garbage", _GARBAGE),
        ("hostile.headers", tuple(each.encode() for each in headers)),
        ("hostile.length", tuple(each.encode() for each in lengths)),
    )
    for check_id, datagrams in kinds:
        for data in datagrams:
            await visitor.raw(data)
        await _judge(book, check_id, len(datagrams), alive)
    for body in _BROKEN_XML:
        await visitor.request(visitor.message_request(body))
    await _judge(book, "hostile.xml", len(_BROKEN_XML), alive)


async def _judge(book: Book, check_id: str, count: int, alive: Callable[[], Awaitable[bool]]) -> None:
    well = await alive()
    book.judge(
        check_id,
        well,
        f"{count} sent; {'it goes on' if well else 'it answers no more'}",
        f"发送 {count} 条; {'平台正常' if well else '平台不再应答'}",
    )
