"""SUBSCRIBE and NOTIFY between two endpoints on loopback, in both roles."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from commonview.network.sip_endpoint import Flow, ServerTransaction
from commonview.network.subscription_client import Subscription, SubscriptionClient
from commonview.network.subscription_server import Incoming, SubscriptionEnded, SubscriptionServer
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest
from commonview.wire.sip.subscription import EventType, Phase, RetryTiming
from tests.network.sip_wire import CAMERA, HOST, PLATFORM, Pair, pair, request_to
from tests.waiting import PATIENCE_S, until

BODY = b"<Query><CmdType>Catalog</CmdType><SN>1</SN><DeviceID>34020000001320000001</DeviceID></Query>"


class Wish:
    """What the platform subscribes to."""

    def __init__(self, flow: Flow, event: str = "Catalog;id=1", period_s: int = 600) -> None:
        self.event = EventType.parse(event)
        self.period_s = period_s
        self.flow: Flow | None = flow
        self.phases: list[Phase] = []
        self.notified: list[bytes] = []
        self.calls = 0

    def compose(self) -> tuple[SipRequest, Flow] | None:
        if self.flow is None:
            return None
        self.calls += 1
        request = request_to(CAMERA, "SUBSCRIBE", BODY)
        request.headers.add("Call-ID", f"subscription-{id(self)}-{self.calls}")
        return request, self.flow

    def on_notify(self, transaction: ServerTransaction) -> None:
        self.notified.append(transaction.request.body)
        transaction.respond(200)

    def on_phase(self, phase: Phase, status: int | None) -> None:
        self.phases.append(phase)


class Desk:
    """The camera's side."""

    def __init__(self, status: int | None = 200) -> None:
        self.status = status
        self.subscribed: list[Incoming] = []
        self.ended: list[Incoming] = []

    def judge(self, transaction: ServerTransaction, event: EventType) -> int | None:
        return self.status if event.same_package("catalog") else None

    def on_subscribed(self, subscription: Incoming) -> None:
        self.subscribed.append(subscription)

    def on_ended(self, subscription: Incoming) -> None:
        self.ended.append(subscription)


class Scene:
    """A platform that subscribes and a camera that notifies."""

    def __init__(self, both: Pair, desk: Desk) -> None:
        self.both = both
        self.desk = desk
        self.client = SubscriptionClient(both.platform, retry=RetryTiming(0.05, 0.1, 0), chance=lambda: 0.0)
        self.server = SubscriptionServer(both.camera)
        self.server.enter(desk)
        both.camera_heard.become(lambda tx: None if self.server.take(tx) else tx.respond(403))

    def wish(self, **options: Any) -> tuple[Wish, Subscription]:
        [camera] = self.both.camera_ports
        wish = Wish(self.both.platform.udp_flow(HOST, camera), **options)
        return wish, self.client.subscribe(wish)


def run(test: Callable[[Scene], Coroutine[Any, Any, None]], desk: Desk | None = None) -> None:
    async def within() -> None:
        async with pair() as both:
            scene = Scene(both, desk or Desk())
            await test(scene)
            await scene.client.close()
            await scene.server.close()

    asyncio.run(asyncio.wait_for(within(), PATIENCE_S))


def test_a_subscription_is_granted_notified_and_ended() -> None:
    async def test(scene: Scene) -> None:
        wish, subscription = scene.wish()
        await until(lambda: wish.phases == [Phase.ASKING, Phase.ACTIVE])
        [incoming] = scene.desk.subscribed
        assert (incoming.subscriber, incoming.event, incoming.body) == (
            PLATFORM,
            EventType("Catalog", "1"),
            BODY,
        )
        await incoming.notify(b"<Notify>1</Notify>")
        await incoming.notify(b"<Notify>2</Notify>")
        assert wish.notified == [b"<Notify>1</Notify>", b"<Notify>2</Notify>"]
        subscription.stop()
        await until(lambda: scene.desk.ended == [incoming])
        assert scene.server.counters["unsubscribed"] == 1
        assert len(scene.server) == 0
        with pytest.raises(SubscriptionEnded):
            await incoming.notify(b"<Notify>3</Notify>")
        await until(lambda: scene.server.counters["notified"] == 3)  # the last one says that it is over
        assert scene.both.camera.sizes()["dialogs"] == 0

    run(test)


def test_a_refresh_stays_in_the_dialog() -> None:
    async def test(scene: Scene) -> None:
        wish, subscription = scene.wish()
        await until(lambda: subscription.phase is Phase.ACTIVE)
        dialog = subscription.dialog
        command = subscription.machine.advance(subscription.machine.wake_at or 0)
        scene.client._carry_out(subscription, command)
        await until(lambda: scene.server.counters["refreshed"] == 1)
        await until(lambda: not scene.client._tasks)
        assert subscription.dialog is dialog
        assert (wish.calls, len(scene.server), len(scene.desk.subscribed)) == (2, 1, 2)

    run(test)


@pytest.mark.trap(28)
def test_a_renewal_in_a_new_dialog_replaces_the_old_subscription() -> None:
    async def test(scene: Scene) -> None:
        wish, subscription = scene.wish()
        await until(lambda: subscription.phase is Phase.ACTIVE)
        wish.event = EventType("Catalog", "2")
        subscription.renew()
        await until(lambda: len(scene.desk.subscribed) == 2)
        first, second = scene.desk.subscribed
        assert (scene.desk.ended, first.ended, second.event.id) == ([first], True, "2")
        await until(lambda: subscription.phase is Phase.ACTIVE)
        await second.notify(b"<Notify/>")
        assert (len(scene.server), wish.notified) == (1, [b"<Notify/>"])

    run(test)


def test_a_notifier_that_lost_its_memory_is_asked_again() -> None:
    async def test(scene: Scene) -> None:
        wish, subscription = scene.wish()
        await until(lambda: subscription.phase is Phase.ACTIVE)
        [incoming] = scene.desk.subscribed
        scene.server._forget(incoming)
        scene.client._carry_out(subscription, subscription.machine.advance(1e12))
        await until(lambda: len(scene.desk.subscribed) == 2)
        assert scene.server.counters["subscribe_outside_dialog"] == 1
        await until(lambda: subscription.phase is Phase.ACTIVE)
        assert wish.phases == [Phase.ASKING, Phase.ACTIVE, Phase.ASKING, Phase.ACTIVE]

    run(test)


def test_a_subscription_the_notifier_ends_is_asked_for_anew() -> None:
    async def test(scene: Scene) -> None:
        _, subscription = scene.wish()
        await until(lambda: subscription.phase is Phase.ACTIVE)
        await scene.desk.subscribed[0].end("deactivated")
        await until(lambda: len(scene.desk.subscribed) == 2)

    run(test)


def test_a_refused_subscription_is_said_to_be_refused() -> None:
    async def test(scene: Scene) -> None:
        wish, _ = scene.wish()
        await until(lambda: wish.phases == [Phase.ASKING, Phase.REFUSED])

    run(test, Desk(403))


def test_a_package_nobody_serves_is_left_to_others() -> None:
    async def test(scene: Scene) -> None:
        wish, _ = scene.wish(event="presence")
        await until(lambda: wish.phases == [Phase.ASKING, Phase.REFUSED])

    run(test)


def test_a_peer_out_of_reach_is_asked_once_it_is_back() -> None:
    async def test(scene: Scene) -> None:
        flow = scene.both.platform.udp_flow(HOST, scene.both.camera_ports[0])
        wish = Wish(flow)
        wish.flow = None
        scene.client.subscribe(wish)
        await until(lambda: wish.phases == [Phase.ASKING, Phase.WAITING])
        wish.flow = flow
        await until(lambda: wish.phases[-1] is Phase.ACTIVE)

    run(test)


def test_a_notify_that_overtakes_the_answer_is_taken() -> None:
    async def test(scene: Scene) -> None:
        def notify_first(tx: ServerTransaction) -> None:
            headers = Headers(
                [
                    ("From", "<sip:34020000001320000001@3402000000>;tag=early"),
                    ("To", tx.request.headers.first["From"]),
                    ("Call-ID", tx.request.headers.first["Call-ID"]),
                    ("Event", "Catalog;id=1"),
                    ("Content-Type", "Application/MANSCDP+xml"),
                ]
            )
            early = SipRequest("NOTIFY", "sip:x@127.0.0.1", headers, b"<Notify>early</Notify>")

            async def send() -> None:
                assert (await scene.both.camera.request(early, tx.flow)).status == 200
                tx.respond(200)

            tasks.append(asyncio.create_task(send()))

        tasks: list[asyncio.Task[None]] = []
        scene.both.camera_heard.become(notify_first)
        wish, subscription = scene.wish()
        await until(lambda: subscription.phase is Phase.ACTIVE)
        assert wish.notified == [b"<Notify>early</Notify>"]
        await asyncio.gather(*tasks)

    run(test)


def test_a_subscriber_that_is_gone_ends_its_subscription() -> None:
    async def test(scene: Scene) -> None:
        _, subscription = scene.wish()
        await until(lambda: subscription.phase is Phase.ACTIVE)
        [incoming] = scene.desk.subscribed
        assert subscription.dialog is not None
        scene.both.platform.end_dialog(subscription.dialog)
        scene.both.platform.dialogs.forget(subscription.call_id)
        scene.both.heard.become(lambda tx: tx.respond(481))
        with pytest.raises(SubscriptionEnded):
            await incoming.notify(b"<Notify/>")
        assert scene.desk.ended == [incoming]

    run(test)


def test_time_ends_a_subscription_nobody_refreshes() -> None:
    async def test(scene: Scene) -> None:
        wish, subscription = scene.wish()
        await until(lambda: subscription.phase is Phase.ACTIVE)
        [incoming] = scene.desk.subscribed
        subscription.machine.stop(0)  # it no longer refreshes
        incoming.clock.refresh(-1e9, 600)
        scene.server.check()
        await until(lambda: scene.desk.ended == [incoming])
        assert scene.server.counters["expired"] == 1
        assert wish.notified == []

    run(test)


def test_a_malformed_event_is_answered_400() -> None:
    async def test(scene: Scene) -> None:
        request = request_to(CAMERA, "SUBSCRIBE", BODY)
        request.headers.add("Event", ";;")
        flow = scene.both.platform.udp_flow(HOST, scene.both.camera_ports[0])
        response, dialog = await scene.both.platform.subscribe(request, flow)
        assert (response.status, dialog) == (400, None)

    run(test)


def test_many_notifications_leave_one_alarm() -> None:
    async def test(scene: Scene) -> None:
        wish, subscription = scene.wish()
        await until(lambda: subscription.phase is Phase.ACTIVE)
        [incoming] = scene.desk.subscribed
        for number in range(20):
            await incoming.notify(b"<Notify>%d</Notify>" % number)
        assert len(wish.notified) == 20
        assert len(scene.client._heap) == 1

    run(test)
