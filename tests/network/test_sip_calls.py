"""Calls between two SIP endpoints on loopback: acknowledged, refused, given up and ended."""

import asyncio

import pytest

from commonview.network.sip_endpoint import (
    ServerTransaction,
    SipTimeout,
)
from commonview.wire.sip.context import Output, ResponseReceived
from commonview.wire.sip.timers import Timing
from tests.network.sip_wire import (
    FAST,
    HOST,
    PLATFORM,
    SDP,
    TRANSPORTS,
    lose_first,
    pair,
    relay,
    request_to,
    run,
    take_call,
)
from tests.waiting import PATIENCE_S, until


@TRANSPORTS
def test_a_call_from_invite_to_bye(transport: str) -> None:
    async def test() -> None:
        async with pair(take_call) as both:
            provisional: list[int] = []
            result = await both.camera.invite(
                request_to(PLATFORM, "INVITE", SDP),
                await both.flow(transport),
                timeout_s=PATIENCE_S,
                on_provisional=lambda response: provisional.append(response.status),
            )
            assert provisional == [100, 180]
            assert (result.response.status, result.response.body) == (200, b"v=0\r\ns=answer\r\n")
            await result.ack(SDP)
            called = both.heard.requests[0]
            ack = await called.wait_ack()
            assert (ack.method, ack.body, ack.headers.get("Content-Type")) == ("ACK", SDP, "application/sdp")
            assert result.dialog is not None
            assert called.dialog is not None
            assert (called.dialog.local_tag, called.dialog.remote_tag) == (
                result.dialog.remote_tag,
                result.dialog.local_tag,
            )
            # The callee hangs up.
            bye = called.dialog.new_request("BYE")
            assert (await both.platform.request(bye, called.flow)).status == 200
            assert both.camera_heard.requests[0].dialog is result.dialog
            assert result.dialog.ended
            assert both.camera.sizes()["dialogs"] == both.platform.sizes()["dialogs"] == 0

    run(test)


def test_a_lost_ack_is_repeated_when_the_answer_comes_again() -> None:
    async def test() -> None:
        async with (
            pair(take_call, timing=FAST) as both,
            relay(both.udp_port, lose_first(2, b"ACK")) as (_, port),
        ):
            flow = both.camera.udp_flow(HOST, port)
            result = await both.camera.invite(request_to(PLATFORM, "INVITE", SDP), flow, timeout_s=PATIENCE_S)
            await result.ack()
            assert (await both.heard.requests[0].wait_ack()).method == "ACK"
            assert both.camera.counters.retransmissions >= 2

    run(test)


def test_an_answer_nobody_acknowledges_times_out() -> None:
    async def test() -> None:
        async with pair(take_call, timing=Timing(t1=0.01, t2=0.04, t4=0.05)) as both:
            flow = both.camera.udp_flow(HOST, both.udp_port)
            await both.camera.invite(request_to(PLATFORM, "INVITE", SDP), flow, timeout_s=PATIENCE_S)
            with pytest.raises(SipTimeout):
                await both.heard.requests[0].wait_ack()

    run(test)


@TRANSPORTS
def test_a_refused_call_is_acknowledged_by_itself(transport: str) -> None:
    async def test() -> None:
        async with pair(lambda tx: tx.respond(486)) as both:
            flow = await both.flow(transport)
            result = await both.camera.invite(request_to(PLATFORM, "INVITE", SDP), flow, timeout_s=PATIENCE_S)
            assert (result.response.status, result.dialog) == (486, None)
            await until(lambda: both.platform.counters.absorbed["ACK"] == 1)
            with pytest.raises(ValueError, match="2xx"):
                await result.ack()

    run(test)


def test_a_call_given_up_in_the_moment_of_its_answer_is_acknowledged_and_ended() -> None:
    async def test() -> None:
        ended = asyncio.Event()

        def answer(tx: ServerTransaction) -> None:
            take_call(tx)
            if tx.request.method == "BYE":
                ended.set()

        async with pair(answer) as both:
            flow = both.camera.udp_flow(HOST, both.udp_port)
            call = asyncio.create_task(
                both.camera.invite(request_to(PLATFORM, "INVITE", SDP), flow, timeout_s=PATIENCE_S)
            )
            delivery = both.camera._delivery
            deliver = delivery.deliver

            def deliver_and_give_up(output: Output) -> None:
                deliver(output)
                if isinstance(output, ResponseReceived) and output.response.status == 200 and not call.done():
                    call.cancel()

            delivery.deliver = deliver_and_give_up  # type: ignore[method-assign]
            with pytest.raises(asyncio.CancelledError):
                await call
            await both.heard.requests[0].wait_ack()
            await ended.wait()
            assert both.camera.sizes()["dialogs"] == 0

    run(test)


@TRANSPORTS
def test_a_call_given_up_is_cancelled_at_the_other_end(transport: str) -> None:
    async def test() -> None:
        cancelled = asyncio.Event()

        def ring(tx: ServerTransaction) -> None:
            tx.on_cancel = cancelled.set
            tx.respond(180)

        async with pair(ring) as both:
            flow = await both.flow(transport)
            call = asyncio.create_task(
                both.camera.invite(request_to(PLATFORM, "INVITE", SDP), flow, timeout_s=20)
            )
            await until(lambda: both.camera.counters.responses[180] == 1)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await cancelled.wait()
            assert both.heard.requests[0].cancelled
            await until(lambda: both.platform.counters.absorbed["ACK"] == 1)

    run(test)


def test_a_call_that_is_answered_too_late_is_ended_with_bye() -> None:
    async def test() -> None:
        async with pair(lambda tx: None if tx.request.method == "INVITE" else tx.respond(200)) as both:
            flow = both.camera.udp_flow(HOST, both.udp_port)
            lost_cancel = lose_first(99, b"CANCEL")
            async with relay(both.udp_port, lost_cancel) as (_, port):
                flow = both.camera.udp_flow(HOST, port)
                with pytest.raises(SipTimeout):
                    await both.camera.invite(request_to(PLATFORM, "INVITE", SDP), flow, timeout_s=0.2)
                both.heard.requests[0].respond(200)
                await both.heard.requests[0].wait_ack()
                await until(lambda: both.platform.counters.requests["BYE"] == 1)
                assert both.platform.sizes()["dialogs"] == 0

    run(test)
