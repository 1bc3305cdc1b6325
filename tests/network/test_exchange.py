"""Questions to a peer and what fielded devices answer. The endpoint is recorded, the times are short."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

import pytest

from commonview.foundation.clock import SystemClock
from commonview.network.aggregation import Completion
from commonview.network.directory import DeviceRecord
from commonview.network.exchange import (
    Exchange,
    ExchangeLimits,
    PeerBusy,
    PeerOffline,
    PeerRefused,
    PeerSilent,
    Reply,
)
from commonview.network.requests import Platform
from commonview.network.sip_endpoint import SipEndpoint, SipTimeout
from commonview.wire.manscdp import (
    Catalog,
    CatalogItem,
    CatalogQuery,
    DeviceInfo,
    DeviceStatus,
    DeviceStatusQuery,
    Message,
    UnknownMessage,
    decode,
)
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest, SipResponse
from tests.network.exchange import DEVICE, DOMAIN, PLATFORM, udp
from tests.network.harness import until
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.anyio

LIMITS = ExchangeLimits(under_way=3, linger_s=0.3, settle_s=0.02)


@dataclass
class RecordedEndpoint:
    """Stands where the SIP endpoint stands: keeps what is sent and answers as told."""

    status: int = 200
    silent: bool = False
    sent: list[Message] = field(default_factory=list)

    async def request(self, request: SipRequest, flow: Flow, *, timeout_s: float) -> SipResponse:
        message = decode(request.body)
        assert isinstance(message, Message)
        self.sent.append(message)
        await asyncio.sleep(0.01)
        if self.silent:
            raise SipTimeout("no final answer")
        return SipResponse(self.status, "as told", Headers(()), b"")


class Peer:
    """One device, the exchange with it, and what it says."""

    def __init__(self) -> None:
        self.endpoint = RecordedEndpoint()
        self.exchange = Exchange(
            cast(SipEndpoint, self.endpoint), Platform(PLATFORM, DOMAIN), SystemClock(), LIMITS
        )
        self.record = DeviceRecord(DEVICE, flow=udp(), online=True)

    def ask_status(self, **more: float) -> asyncio.Task[Reply]:
        query = DeviceStatusQuery(sn=self.exchange.next_sn(), device_id=DEVICE)
        waits = {"first_s": PATIENCE_S} | more
        return asyncio.create_task(self.exchange.ask(self.record, query, expect=DeviceStatus, **waits))  # type: ignore[arg-type]

    def ask_catalogue(self, late: list[Reply] | None = None) -> asyncio.Task[Reply]:
        query = CatalogQuery(sn=self.exchange.next_sn(), device_id=DEVICE)
        return asyncio.create_task(
            self.exchange.ask(
                self.record,
                query,
                expect=Catalog,
                first_s=PATIENCE_S,
                quiet_s=0.1,
                items=lambda page: [(one.device_id, one) for one in page.items],
                promised=lambda page: page.sum_num,
                on_late=None if late is None else late.append,
            )
        )

    async def asked(self, count: int = 1) -> int:
        """Wait for so many messages; the SN of the last."""
        await until(lambda: len(self.endpoint.sent) >= count)
        return self.endpoint.sent[-1].sn

    def say(self, message: Message | UnknownMessage) -> bool:
        return self.exchange.take(self.record, message)

    def page(self, sn: int, ids: Iterable[int], promised: int | None) -> bool:
        items = tuple(CatalogItem(device_id=f"{DEVICE[:-3]}{number:03d}", name="x") for number in ids)
        return self.say(Catalog(sn=sn, device_id=DEVICE, sum_num=promised, items=items))


def status(sn: int) -> DeviceStatus:
    return DeviceStatus(sn=sn, device_id=DEVICE, result="OK")


async def test_answer_with_the_sn_of_the_question_ends_it() -> None:
    peer = Peer()
    asking = peer.ask_status()
    sn = await peer.asked()
    assert peer.say(status(sn))
    reply = await asking
    assert reply.messages == (status(sn),)
    assert reply.completion is Completion.COUNTED
    assert reply.accepted.status == 200


async def test_answer_that_overtakes_the_200_is_kept() -> None:
    peer = Peer()
    asking = peer.ask_status()
    await asyncio.sleep(0)
    sn = await peer.asked()
    assert not asking.done()
    peer.say(status(sn))
    assert (await asking).answered


async def test_taken_but_unanswered_question_is_said_to_be_so() -> None:
    peer = Peer()
    reply = await peer.ask_status(first_s=0.03)
    assert reply.completion is Completion.UNANSWERED
    assert reply.messages == ()
    assert peer.exchange.counters["unanswered"] == 1


async def test_answer_counts_although_the_200_was_lost() -> None:
    peer = Peer()
    peer.endpoint.silent = True
    asking = peer.ask_status()
    peer.say(status(await peer.asked()))
    assert (await asking).accepted.status == 0


async def test_refusal_silence_and_absence_are_told_apart() -> None:
    peer = Peer()
    peer.endpoint.status = 488
    with pytest.raises(PeerRefused) as refused:
        await peer.ask_status()
    assert refused.value.status == 488
    peer.endpoint.silent = True
    with pytest.raises(PeerSilent):
        await peer.ask_status()
    peer.record.online = False
    with pytest.raises(PeerOffline):
        await peer.ask_status()
    assert len(peer.endpoint.sent) == 2


@pytest.mark.trap(18)
async def test_pages_in_any_order_and_twice_are_united_without_loss() -> None:
    peer = Peer()
    asking = peer.ask_catalogue()
    sn = await peer.asked()
    for ids in ([3, 4], [1, 2], [3, 4], [5]):
        peer.page(sn, ids, 5)
    reply = await asking
    assert len(reply.items) == 5
    assert reply.whole
    assert peer.exchange.counters["page_repeated"] == 1


@pytest.mark.trap(17)
@pytest.mark.parametrize("promised", [None, 99])
async def test_missing_or_false_total_ends_by_silence(promised: int | None) -> None:
    peer = Peer()
    asking = peer.ask_catalogue()
    peer.page(await peer.asked(), [1, 2], promised)
    reply = await asking
    assert (len(reply.items), reply.completion) == (2, Completion.QUIET)
    assert not reply.whole


@pytest.mark.trap(18)
async def test_page_after_the_reply_completes_it_again() -> None:
    peer = Peer()
    late: list[Reply] = []
    asking = peer.ask_catalogue(late)
    sn = await peer.asked()
    peer.page(sn, [1], 3)
    assert len((await asking).items) == 1
    peer.page(sn, [2, 3], 3)
    await until(lambda: late)
    assert len(late[0].items) == 3
    assert late[0].whole


@pytest.mark.trap(19)
async def test_first_page_may_take_as_long_as_the_caller_allows() -> None:
    peer = Peer()
    asking = peer.ask_catalogue()
    sn = await peer.asked()
    await asyncio.sleep(0.15)  # longer than the pause between pages
    peer.page(sn, [1], 1)
    assert (await asking).whole


async def test_answer_with_a_foreign_sn_belongs_to_the_only_open_question() -> None:
    peer = Peer()
    asking = peer.ask_status()
    await peer.asked()
    assert peer.say(status(1))
    assert (await asking).answered
    assert peer.exchange.counters["answer_wrong_sn"] == 1


async def test_late_answer_to_an_older_question_is_not_the_answer_to_a_newer_one() -> None:
    peer = Peer()
    await peer.ask_status(first_s=0.02)
    old = peer.endpoint.sent[0].sn
    asking = peer.ask_status()
    new = await peer.asked(2)
    peer.say(status(old))
    await asyncio.sleep(0.02)
    assert not asking.done()
    peer.say(status(new))
    assert (await asking).messages == (status(new),)


async def test_answer_to_a_forgotten_question_is_nobodys() -> None:
    peer = Peer()
    forgotten = peer.exchange.next_sn()
    asking = peer.ask_status(first_s=0.05)
    await peer.asked()
    assert not peer.say(status(forgotten))
    assert not (await asking).answered
    assert peer.exchange.counters["answer_too_late"] == 1


async def test_answers_of_other_kinds_are_left_to_others() -> None:
    peer = Peer()
    asking = peer.ask_status(first_s=0.05)
    sn = await peer.asked()
    assert not peer.say(DeviceInfo(sn=sn, device_id=DEVICE))
    assert not (await asking).answered


async def test_two_questions_of_one_kind_wait_for_each_other_until_the_peer_echoes_the_sn() -> None:
    peer = Peer()
    first, second = peer.ask_status(), peer.ask_status()
    sn = await peer.asked()
    await asyncio.sleep(0.03)
    assert len(peer.endpoint.sent) == 1
    peer.say(status(sn))
    await first
    third = peer.ask_status()  # the peer has echoed: no need to wait for the second
    await peer.asked(3)
    for sent in peer.endpoint.sent[1:]:
        peer.say(status(sent.sn))
    replies = await asyncio.gather(second, third)
    assert [reply.messages[0].sn for reply in replies] == [sent.sn for sent in peer.endpoint.sent[1:]]


async def test_more_than_the_bound_under_way_is_refused() -> None:
    peer = Peer()
    asking = [peer.ask_status(first_s=0.02) for _ in range(LIMITS.under_way)]
    await asyncio.sleep(0)
    with pytest.raises(PeerBusy):
        await peer.ask_status()
    await asyncio.gather(*asking)
    await peer.ask_status(first_s=0.01)


@pytest.mark.trap(23)
async def test_answer_under_a_wrong_cmd_type_is_read_by_its_sn() -> None:
    peer = Peer()
    asking = peer.ask_status()
    sn = await peer.asked()
    body = (
        f"<Response><CmdType>Status</CmdType><SN>{sn}</SN><DeviceID>{DEVICE}</DeviceID>"
        "<Result>ERROR</Result></Response>"
    )
    assert peer.say(decode(body.encode()))
    (answer,) = (await asking).messages
    assert isinstance(answer, DeviceStatus)
    assert answer.result == "ERROR"
    assert peer.exchange.counters["answer_wrong_cmd_type"] == 1


async def test_nothing_is_remembered_of_questions_that_are_over() -> None:
    peer = Peer()
    asking = peer.ask_status(first_s=0.01)
    await asking
    await until(lambda: not peer.exchange._open)
    assert not peer.exchange._under_way
    assert not peer.exchange._lines
