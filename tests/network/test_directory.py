from datetime import UTC, datetime, timedelta

import pytest

from commonview.network.directory import DeviceRecord, Directory, Registration
from commonview.network.live_machine import Moment
from commonview.network.model import (
    DeviceState,
    PresenceReason,
    ProblemCode,
    SignallingTransport,
)
from commonview.wire.sip.flow import Flow

DEVICE = "34020000001110000001"
START = datetime(2026, 1, 1, tzinfo=UTC)
HERE = ("192.0.2.1", 5060)
A = Flow("udp", ("192.0.2.10", 5060), HERE)
B = Flow("udp", ("192.0.2.20", 5060), HERE)


def at(seconds: float) -> Moment:
    return Moment(1000.0 + seconds, START + timedelta(seconds=seconds))


def tcp(connection_id: int, port: int = 40000) -> Flow:
    return Flow("tcp", ("192.0.2.10", port), HERE, connection_id)


def registration(flow: Flow, seconds: float, expires_s: int = 3600) -> Registration:
    now = at(seconds).at
    return Registration(DEVICE, flow, expires_s, now, now + timedelta(seconds=expires_s), "cam", "2.0")


def registered(flow: Flow = A, *, expires_s: int = 3600) -> tuple[Directory, DeviceRecord]:
    directory = Directory(silence_s=180)
    assert directory.apply(registration(flow, 0, expires_s), at(0))
    record = directory.get(DEVICE)
    assert record is not None
    return directory, record


def test_registered_device_is_online_at_its_address() -> None:
    _, record = registered()
    device = record.snapshot()
    assert (device.state, device.state_reason) == (DeviceState.ONLINE, "registered")
    assert (device.address, device.signalling_transport) == ("192.0.2.10:5060", SignallingTransport.UDP)


@pytest.mark.trap(10)
def test_device_is_offline_after_the_silence_time_and_back_with_one_keepalive() -> None:
    directory, record = registered()
    directory.heard(record, A, at(60))
    assert directory.overdue(at(239)) == []
    assert directory.overdue(at(240)) == [record]
    assert (record.online, record.reason) == (False, PresenceReason.KEEPALIVE_MISSED)
    assert directory.registered_here(record, A, at(300).mono)
    assert directory.heard(record, A, at(300))
    assert record.online
    assert directory.overdue(at(480)) == [record]


def test_registration_that_is_not_renewed_ends_in_spite_of_keepalives() -> None:
    directory, record = registered(expires_s=100)
    for seconds in (30, 60, 90):
        directory.heard(record, A, at(seconds))
    assert directory.overdue(at(100)) == [record]
    assert record.reason is PresenceReason.REGISTRATION_EXPIRED
    assert not directory.registered_here(record, A, at(100).mono)


@pytest.mark.trap(10)
def test_device_that_never_registers_again_is_believed_for_a_month_at_its_proven_address() -> None:
    directory, record = registered(expires_s=3600)
    record.manufacturer = "Huawei"
    directory.apply(registration(A, 0, 3600), at(0))
    later = at(20 * 86_400)
    assert directory.registered_here(record, A, later.mono)
    assert not directory.registered_here(record, B, later.mono)
    assert not directory.registered_here(record, A, at(31 * 86_400).mono)


def test_unregistering_takes_the_device_offline_and_its_address_means_nothing_more() -> None:
    directory, record = registered()
    assert directory.apply(registration(A, 10, expires_s=0), at(10))
    assert (record.online, record.reason) == (False, PresenceReason.UNREGISTERED)
    assert not directory.registered_here(record, A, at(11).mono)


def test_renewal_from_the_same_address_is_no_news() -> None:
    directory, _ = registered()
    assert not directory.apply(registration(A, 50), at(50))


@pytest.mark.trap(12)
def test_claim_from_an_unknown_address_rebinds_nothing_and_is_no_duplicate() -> None:
    directory, record = registered()
    assert not directory.registered_here(record, B, at(10).mono)
    assert not directory.rival_claims(record, B.peer, at(10))
    assert record.peer == A.peer
    assert record.problems == {}


def test_device_that_moved_once_is_no_duplicate() -> None:
    directory, record = registered(A)
    assert directory.apply(registration(B, 100), at(100))
    assert record.peer == B.peer
    assert record.problems == {}


def test_two_authenticated_addresses_that_stay_alive_are_shown_as_a_duplicate() -> None:
    directory, record = registered(A)
    directory.apply(registration(B, 100), at(100))
    assert not directory.rival_claims(record, A.peer, at(102)), "it may have been on its way"
    assert directory.rival_claims(record, A.peer, at(130))
    problem = record.problems[ProblemCode.DUPLICATE_ID]
    assert problem.params == {"first": "192.0.2.10:5060", "second": "192.0.2.20:5060"}
    assert record.snapshot().state is DeviceState.PROBLEM


def test_two_devices_that_take_the_id_from_each_other_are_a_duplicate() -> None:
    directory, record = registered(A)
    directory.apply(registration(B, 100), at(100))
    directory.apply(registration(A, 160), at(160))
    assert ProblemCode.DUPLICATE_ID in record.problems


def test_duplicate_is_over_when_one_of_the_two_falls_silent() -> None:
    directory, record = registered(A)
    directory.apply(registration(B, 100), at(100))
    directory.rival_claims(record, A.peer, at(130))
    for seconds in range(160, 400, 60):
        directory.heard(record, B, at(seconds))
    assert directory.settle_rivals(at(300)) == []
    assert directory.settle_rivals(at(311)) == [record]
    assert record.snapshot().state is DeviceState.ONLINE


def test_closed_connection_takes_its_devices_offline_at_once() -> None:
    directory, record = registered(tcp(7))
    assert directory.connection_closed(7) == [record]
    assert (record.online, record.reason) == (False, PresenceReason.CONNECTION_CLOSED)
    assert not directory.registered_here(record, tcp(8), at(1).mono)


@pytest.mark.trap(13)
def test_old_connection_closing_after_a_new_registration_changes_nothing() -> None:
    directory, record = registered(tcp(7))
    directory.apply(registration(tcp(8, 40001), 10), at(10))
    assert directory.connection_closed(7) == []
    assert record.online


def stored(transport: SignallingTransport, expires_in: float) -> DeviceRecord:
    return DeviceRecord(
        DEVICE,
        transport=transport,
        peer=A.peer,
        registered_at=at(-100).at,
        expires_at=at(expires_in).at,
    )


def test_after_a_restart_a_udp_device_is_back_with_its_first_keepalive_from_its_address() -> None:
    directory, record = Directory(silence_s=180), stored(SignallingTransport.UDP, 500)
    directory.restore(record, at(0))
    assert (record.online, record.reason) == (False, PresenceReason.NOT_HEARD_SINCE_START)
    assert not directory.registered_here(record, B, at(1).mono)
    assert directory.registered_here(record, A, at(1).mono)
    assert directory.heard(record, A, at(1))
    assert record.flow == A


def test_after_a_restart_an_answer_from_the_registered_address_brings_a_device_back() -> None:
    directory, record = Directory(silence_s=180), stored(SignallingTransport.UDP, 500)
    directory.restore(record, at(0))
    record.flow = A
    assert not directory.answered(record, B, at(1)), "another address proves nothing"
    assert directory.answered(record, A, at(1))
    assert (record.online, record.reason) == (True, PresenceReason.ANSWERED)
    assert directory.overdue(at(180)) == []
    assert directory.overdue(at(182)) == [record], "it must be heard like any other"


def test_an_answer_after_the_registration_ended_brings_nothing_back() -> None:
    directory, record = Directory(silence_s=180), stored(SignallingTransport.UDP, 500)
    directory.restore(record, at(0))
    record.flow = A
    assert not directory.answered(record, A, at(501))
    assert not record.online


def test_after_a_restart_a_tcp_device_must_register_because_its_connection_is_gone() -> None:
    directory, record = Directory(silence_s=180), stored(SignallingTransport.TCP, 500)
    directory.restore(record, at(0))
    assert not directory.registered_here(record, tcp(1, A.peer[1]), at(1).mono)


def test_registration_that_ended_while_we_were_away_is_not_taken_up_again() -> None:
    directory, record = Directory(silence_s=180), stored(SignallingTransport.UDP, -1)
    directory.restore(record, at(0))
    assert record.reason is PresenceReason.REGISTRATION_EXPIRED
    assert not directory.registered_here(record, A, at(1).mono)


def test_restored_registration_that_is_never_heard_ends_at_its_time() -> None:
    directory, record = Directory(silence_s=180), stored(SignallingTransport.UDP, 500)
    directory.restore(record, at(0))
    assert directory.overdue(at(499)) == []
    directory.overdue(at(500))
    assert record.reason is PresenceReason.REGISTRATION_EXPIRED
