"""A platform calls our channel: its INVITE, ACK and BYE (GB/T 28181-2022 9.2, Annexes G and L)."""

from __future__ import annotations

import re
from typing import Final

from commonview.conformance.book import Book
from commonview.conformance.errors import Skip
from commonview.conformance.visitor import Visitor
from commonview.network.sip_endpoint import ServerTransaction, SipEndpointError
from commonview.wire.sdp import CONTENT_TYPE, GbSdp, RtpMap, SdpError, Setup
from commonview.wire.sdp_reader import parse_sdp

_SUBJECT: Final = re.compile(r"\s*(\d{20}):(\S{1,20}),\s*(\d{20}):(\S{1,20})\s*")
_ACK_S: Final = 10.0
_BYE_S: Final = 60.0


async def calls(visitor: Visitor, book: Book, wait_s: float) -> None:
    """Wait for a call, judge its offer, answer it, and wait for its end. No picture is sent."""
    if not wait_s:
        raise Skip(
            "needs --watch S: somebody watches the channel on the platform",
            "需要 --watch S: 由人员在平台上点播该通道",
        )
    visitor.on_invite = lambda transaction: transaction.respond(100)
    came = await visitor.until(lambda: bool(visitor.invites), wait_s)
    if not came:
        raise Skip(f"nobody called within {wait_s:g} s", f"{wait_s:g} 秒内没有呼叫")
    transaction = visitor.invites[0]
    book.judge("invite.comes", True, "called", "已呼叫")
    offer = _judge_offer(transaction, book)
    if offer is None:
        transaction.respond(400)
        return
    transaction.respond(200, headers=[("Content-Type", CONTENT_TYPE)], body=_answer(visitor, offer).encode())
    try:
        await transaction.wait_ack()
        acknowledged = True
    except SipEndpointError:
        acknowledged = False
    book.judge(
        "invite.ack", acknowledged, "came" if acknowledged else "none", "收到" if acknowledged else "未收到"
    )
    call_id = transaction.request.headers.first["Call-ID"]
    ended = await visitor.until(lambda: call_id in visitor.byes, _BYE_S)
    book.judge(
        "invite.bye",
        ended,
        "came" if ended else f"none within {_BYE_S:g} s",
        "收到" if ended else f"{_BYE_S:g} 秒内未收到",
    )


def _judge_offer(transaction: ServerTransaction, book: Book) -> GbSdp | None:
    request = transaction.request
    subject = request.headers.get("Subject") or ""
    book.judge(
        "invite.subject", _SUBJECT.fullmatch(subject) is not None, subject or "absent", subject or "缺失"
    )
    try:
        offer = parse_sdp(request.body)
    except SdpError as error:
        book.judge("invite.sdp", False, str(error), str(error))
        return None
    maps = {each.encoding.upper(): each.clock_hz for each in offer.rtpmaps}
    live = offer.session_name == "Play" and (offer.start_time_s, offer.stop_time_s) == (0, 0)
    right = live and offer.media == "video" and maps.get("PS") == 90_000 and not offer.address_from_origin
    shown = f"s={offer.session_name}, m={offer.media} {offer.port} {offer.transport.value}, {'/'.join(maps)}"
    book.judge("invite.sdp", right and bool(offer.owner_id), shown, shown)
    number = offer.ssrc_text or "-"
    ten = len(number) == 10 and number.isdigit() and number.startswith("0")
    book.judge("invite.ssrc", ten, f"y={number}", f"y={number}")
    told = offer.direction or "-"
    book.judge("invite.direction", offer.direction == "recvonly", told, told)
    return offer


def _answer(visitor: Visitor, offer: GbSdp) -> GbSdp:
    setups: dict[str | None, Setup] = {"active": "passive", "passive": "active"}
    payload = next((each.payload_type for each in offer.rtpmaps if each.encoding.upper() == "PS"), 96)
    return GbSdp(
        owner_id=visitor.settings.channel_id,
        session_name=offer.session_name,
        address=visitor.settings.local_host,
        port=9,
        transport=offer.transport,
        payload_types=(payload,),
        rtpmaps=(RtpMap(payload, "PS", 90_000),),
        direction="sendonly",
        setup=setups.get(offer.setup) if offer.setup else None,
        connection="new" if offer.setup else None,
        ssrc_text=offer.ssrc_text if offer.ssrc is not None and len(offer.ssrc_text or "") == 10 else None,
    )
