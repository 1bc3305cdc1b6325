"""Requests between two SIP endpoints on loopback: answered, lost and repeated."""

import asyncio

import pytest

from commonview.network.sip_endpoint import (
    SipTimeout,
)
from tests.network.sip_wire import (
    CAMERA,
    FAST,
    HOST,
    PLATFORM,
    TRANSPORTS,
    lose_first,
    pair,
    relay,
    request_to,
    run,
)


@TRANSPORTS
def test_a_request_is_answered(transport: str) -> None:
    async def test() -> None:
        async with pair() as both:
            response = await both.camera.request(request_to(PLATFORM), await both.flow(transport))
            assert response.status == 200
            assert both.heard.bodies() == [b"<Notify/>"]

    run(test)


@TRANSPORTS
def test_an_answer_tells_the_sender_its_true_address(transport: str) -> None:
    async def test() -> None:
        async with pair() as both:
            flow = await both.flow(transport)
            response = await both.camera.request(request_to(PLATFORM), flow)
            assert f"rport={flow.local[1]};received={HOST}" in (response.headers.get("Via") or "")

    run(test)


@TRANSPORTS
def test_the_platform_asks_back_on_the_flow_the_camera_came_from(transport: str) -> None:
    async def test() -> None:
        async with pair() as both:
            await both.camera.request(request_to(PLATFORM, "REGISTER", b""), await both.flow(transport))
            flow = both.heard.requests[0].flow
            response = await both.platform.request(request_to(CAMERA, body=b"<Query/>"), flow)
            assert response.status == 200
            assert both.camera_heard.bodies() == [b"<Query/>"]

    run(test)


def test_a_later_answer_arrives_as_well() -> None:
    async def test() -> None:
        async with pair(lambda _: None) as both:
            task = asyncio.create_task(
                both.camera.request(request_to(PLATFORM), both.camera.udp_flow(HOST, both.udp_port))
            )
            await both.heard.arrived.wait()
            both.heard.requests[0].respond(403, "Not You", [("X-GB-Ver", "3.0")])
            response = await task
            assert (response.status, response.reason, response.headers.get("X-GB-Ver")) == (
                403,
                "Not You",
                "3.0",
            )

    run(test)


def test_a_lost_request_is_repeated_and_handled_once() -> None:
    async def test() -> None:
        async with pair(timing=FAST) as both, relay(both.udp_port, lose_first(2)) as (_, port):
            response = await both.camera.request(request_to(PLATFORM), both.camera.udp_flow(HOST, port))
            assert response.status == 200
            assert len(both.heard.requests) == 1
            assert both.camera.counters.retransmissions == 2

    run(test)


def test_a_lost_answer_is_repeated_without_handling_the_request_again() -> None:
    async def test() -> None:
        async with pair(timing=FAST) as both, relay(both.udp_port, lose_first(2, b"SIP/2.0")) as (_, port):
            response = await both.camera.request(request_to(PLATFORM), both.camera.udp_flow(HOST, port))
            assert response.status == 200
            assert len(both.heard.requests) == 1
            assert both.platform.counters.absorbed["retransmission"] == 2

    run(test)


def test_a_hundred_requests_survive_a_path_that_loses_every_third_datagram() -> None:
    async def test() -> None:
        seen = [0]

        def lose(_: bytes) -> bool:
            seen[0] += 1
            return seen[0] % 3 == 0

        async with pair(timing=FAST) as both, relay(both.udp_port, lose) as (_, port):
            flow = both.camera.udp_flow(HOST, port)
            bodies = [b"<Notify>%d</Notify>" % number for number in range(100)]
            responses = await asyncio.gather(
                *(both.camera.request(request_to(PLATFORM, body=body), flow) for body in bodies)
            )
            assert {response.status for response in responses} == {200}
            assert sorted(both.heard.bodies()) == sorted(bodies)

    run(test)


def test_silence_ends_in_a_timeout_and_leaves_nothing_behind() -> None:
    async def test() -> None:
        async with pair(timing=FAST) as both, relay(both.udp_port, lambda _: True) as (_, port):
            flow = both.camera.udp_flow(HOST, port)
            with pytest.raises(SipTimeout):
                await both.camera.request(request_to(PLATFORM), flow, timeout_s=0.2)
            with pytest.raises(SipTimeout):
                await both.camera.request(request_to(PLATFORM), flow)  # 64*T1
            assert both.camera.sizes()["client"] == 0

    run(test)


def test_requests_that_need_a_call_are_not_sent_as_others() -> None:
    async def test() -> None:
        async with pair() as both:
            flow = both.camera.udp_flow(HOST, both.udp_port)
            with pytest.raises(ValueError, match="INVITE"):
                await both.camera.request(request_to(PLATFORM, "INVITE"), flow)
            with pytest.raises(ValueError, match="INVITE"):
                await both.camera.invite(request_to(PLATFORM), flow, timeout_s=1)
            with pytest.raises(ValueError, match="address"):
                both.camera.udp_flow("camera.example", 5060)

    run(test)
