import asyncio
from datetime import timedelta

import pytest

from commonview.foundation.clock import FakeClock
from commonview.network.directory import Directory, Registration
from commonview.network.live_machine import Moment
from commonview.network.messages import LONG_BYTES, MessageDesk
from commonview.network.model import ProblemCode, RefusalReason
from commonview.network.refusals import RefusalBook
from commonview.wire.manscdp import Catalog, CatalogItem, DeviceInfo, DeviceInfoQuery, Keepalive, MediaStatus
from commonview.wire.sip.flow import Flow
from tests.network.exchange import DEVICE, RecordedTransaction, message, udp

KEEPALIVE = Keepalive(sn=1, device_id=DEVICE)


class Desk:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.directory = Directory(silence_s=180)
        self.refusals = RefusalBook()
        self.back: list[str] = []
        self.changed: list[str] = []
        self.handled: list[object] = []
        self.desk = MessageDesk(
            self.directory,
            self.refusals,
            self.clock,
            on_back=lambda record: self.back.append(record.id),
            on_changed=self.changed.append,
        )
        self.desk.enter(Catalog, lambda _, told: self.handled.append(told))

    @property
    def now(self) -> Moment:
        return Moment(self.clock.monotonic(), self.clock.now())

    def register(self, flow: Flow | None = None) -> None:
        at = self.clock.now()
        self.directory.apply(
            Registration(DEVICE, flow or udp(), 3600, at, at + timedelta(hours=1), "", None), self.now
        )

    def receive(self, transaction: RecordedTransaction) -> int:
        self.desk.on_message(transaction.as_transaction())
        return transaction.answer.status


def test_keepalive_from_the_registered_address_is_answered_200_without_a_body() -> None:
    desk = Desk()
    desk.register()
    transaction = message(KEEPALIVE)
    assert desk.receive(transaction) == 200
    assert transaction.answer.body == b""
    record = desk.directory.get(DEVICE)
    assert record is not None
    assert record.last_keepalive_at == desk.clock.now()


def test_keepalive_of_an_unknown_device_is_answered_403_and_remembered() -> None:
    desk = Desk()
    assert desk.receive(message(KEEPALIVE)) == 403
    assert desk.refusals.lines()[0].reason is RefusalReason.NOT_REGISTERED
    assert desk.directory.get(DEVICE) is None


@pytest.mark.trap(12)
def test_keepalive_from_another_address_binds_nothing() -> None:
    desk = Desk()
    desk.register()
    assert desk.receive(message(KEEPALIVE, udp("192.0.2.66"))) == 403
    record = desk.directory.get(DEVICE)
    assert record is not None
    assert record.peer == ("192.0.2.10", 5060)
    assert desk.refusals.lines()[0].reason is RefusalReason.OTHER_ADDRESS


@pytest.mark.trap(12)
def test_silent_device_cannot_be_brought_back_by_a_stranger() -> None:
    desk = Desk()
    desk.register()
    desk.clock.advance(200)
    desk.directory.overdue(desk.now)
    assert desk.receive(message(KEEPALIVE, udp("192.0.2.66"))) == 403
    assert desk.back == []
    assert desk.receive(message(KEEPALIVE)) == 200
    assert desk.back == [DEVICE]


@pytest.mark.trap(5)
def test_message_without_a_body_is_answered_400() -> None:
    desk = Desk()
    desk.register()
    assert desk.receive(message(b"")) == 400
    assert desk.desk.counters["message_empty"] == 1


@pytest.mark.parametrize(
    "body", [b"\x00\xff", b"<Notify>", b"<html/>", b"<!DOCTYPE a [<!ENTITY b 'c'>]><Notify>&b;</Notify>"]
)
def test_unreadable_body_is_answered_400_and_counted(body: bytes) -> None:
    desk = Desk()
    desk.register()
    assert desk.receive(message(body)) == 400
    assert desk.desk.counters["message_unreadable"] == 1


def test_unknown_command_is_received_counted_and_harms_nothing() -> None:
    desk = Desk()
    desk.register()
    body = f"<Notify><CmdType>Weather</CmdType><SN>1</SN><DeviceID>{DEVICE}</DeviceID></Notify>".encode()
    assert desk.receive(message(body)) == 200
    assert desk.desk.counters["message_unknown"] == 1
    assert desk.desk.decoding.unknown[("Notify", "Weather")] == 1


def test_known_command_that_nobody_handles_is_counted_apart() -> None:
    desk = Desk()
    desk.register()
    assert desk.receive(message(MediaStatus(sn=1, device_id=DEVICE, notify_type="121"))) == 200
    assert desk.receive(message(DeviceInfoQuery(sn=1, device_id=DEVICE))) == 200
    assert desk.desk.counters["message_unhandled"] == 2


def test_message_goes_to_the_handler_of_its_root_and_command() -> None:
    desk = Desk()
    desk.register()
    page = Catalog(sn=9, device_id=DEVICE, sum_num=0)
    assert desk.receive(message(page)) == 200
    assert desk.handled == [page]


def test_second_handler_for_one_command_is_refused() -> None:
    desk = Desk()
    desk.desk.enter(DeviceInfo, lambda *_: None)
    with pytest.raises(ValueError, match="handler already"):
        desk.desk.enter(DeviceInfo, lambda *_: None)


def test_device_that_calls_itself_faulty_is_a_problem_until_it_is_well_again() -> None:
    desk = Desk()
    desk.register()
    desk.receive(message(Keepalive(sn=1, device_id=DEVICE, status="ERROR")))
    record = desk.directory.get(DEVICE)
    assert record is not None
    assert record.problems[ProblemCode.FAULT_REPORTED].params == {"status": "ERROR"}
    desk.receive(message(Keepalive(sn=2, device_id=DEVICE, status="ERROR")))
    desk.receive(message(KEEPALIVE))
    assert record.problems == {}
    assert desk.changed == [DEVICE, DEVICE], "told when it began and when it ended, not in between"


def test_former_address_that_stays_alive_shows_a_duplicate() -> None:
    desk = Desk()
    desk.register(udp("192.0.2.10"))
    desk.register(udp("192.0.2.20"))
    desk.clock.advance(30)
    assert desk.receive(message(KEEPALIVE, udp("192.0.2.10"))) == 403
    record = desk.directory.get(DEVICE)
    assert record is not None
    assert ProblemCode.DUPLICATE_ID in record.problems


def long_catalogue(channels: int) -> Catalog:
    items = tuple(
        CatalogItem(device_id=f"{number:020d}", name="东门", status="ON") for number in range(channels)
    )
    return Catalog(sn=1, device_id=DEVICE, sum_num=channels, items=items)


async def handled_while_counting_turns(desk: Desk, transaction: RecordedTransaction) -> int:
    """Hand a message in and let the desk work on it; returns how often others had their turn meanwhile."""
    desk.desk.on_message(transaction.as_transaction())
    worker = asyncio.create_task(desk.desk.read_long())
    turns = 0
    while not transaction.answers:
        await asyncio.sleep(0)
        turns += 1
    worker.cancel()
    return turns


def test_catalogue_of_thousands_is_read_while_others_have_their_turns() -> None:
    desk = Desk()
    desk.register()
    transaction = message(long_catalogue(2000))
    turns = asyncio.run(handled_while_counting_turns(desk, transaction))
    assert transaction.answer.status == 200
    (told,) = desk.handled
    assert isinstance(told, Catalog)
    assert len(told.items) == 2000
    assert turns > 2000 / 100, "every hundred items, and between the pieces of the text"


def test_desk_is_behind_while_a_long_message_waits() -> None:
    desk = Desk()
    desk.register()
    transaction = message(long_catalogue(500))
    desk.desk.on_message(transaction.as_transaction())
    assert desk.desk.behind
    asyncio.run(handled_while_counting_turns(desk, message(long_catalogue(501))))
    assert not desk.desk.behind


def test_long_message_that_cannot_be_read_is_answered_400() -> None:
    desk = Desk()
    desk.register()
    transaction = message(b"<Response>" + b"x" * LONG_BYTES)
    asyncio.run(handled_while_counting_turns(desk, transaction))
    assert transaction.answer.status == 400
    assert desk.desk.counters["message_unreadable"] == 1


def test_more_long_messages_than_can_wait_are_told_to_come_later() -> None:
    desk = Desk()
    desk.register()
    transactions = [message(b"<Response>" + b"x" * 2_000_000) for _ in range(20)]
    for transaction in transactions:
        desk.desk.on_message(transaction.as_transaction())
    refused = [transaction.answer for transaction in transactions if transaction.answers]
    assert [answer.status for answer in refused] == [503] * 4
    assert refused[0].headers == {"Retry-After": "5"}
    assert desk.desk.counters["message_long_shed"] == 4
