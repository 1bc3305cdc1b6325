from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from commonview.network.events import AlarmCode, DeviceAlarm, Linkage, LinkageAction, SubscriptionKind
from commonview.network.events.rules import alarm_code, repeats, sets_off, wanted_by_default

NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)
ALARM = DeviceAlarm(
    id="a",
    device_id="34020000001110000001",
    source_id="34020000001340000001",
    channel_id=None,
    priority=2,
    method=5,
    type=2,
    event_type=None,
    code=AlarmCode.MOTION,
    description="",
    longitude=None,
    latitude=None,
    device_time=NOW,
    received_at=NOW,
    last_at=NOW,
)
LINKAGE = Linkage(
    id="l",
    name="gate",
    enabled=True,
    device_id=None,
    source_id=None,
    codes=(),
    priority_at_most=None,
    action=LinkageAction.PREPARE_STREAM,
    target_channel_id="c",
    preset=None,
    dead_time_s=60,
    created_at=NOW,
)


@pytest.mark.parametrize(
    ("method", "type_", "code"),
    [
        (2, 1, AlarmCode.VIDEO_LOST),
        (5, 2, AlarmCode.MOTION),
        (5, 13, AlarmCode.OCCLUSION),
        (6, 2, AlarmCode.FAN_FAULT),
        (5, 99, AlarmCode.VIDEO),
        (5, None, AlarmCode.VIDEO),
        (1, None, AlarmCode.TELEPHONE),
        (9, 1, AlarmCode.UNKNOWN),
        (None, 2, AlarmCode.UNKNOWN),
    ],
)
def test_alarm_is_named_by_method_and_type(method: int | None, type_: int | None, code: AlarmCode) -> None:
    assert alarm_code(method, type_) is code


def test_same_alarm_sent_again_is_a_repeat_and_another_moment_is_not() -> None:
    again = replace(ALARM, id="b", received_at=NOW + timedelta(seconds=30))
    assert repeats(ALARM, again)
    assert not repeats(ALARM, replace(again, device_time=NOW + timedelta(seconds=1)))
    assert not repeats(ALARM, replace(again, type=3))
    assert not repeats(ALARM, replace(again, received_at=NOW + timedelta(minutes=6)))


@pytest.mark.parametrize(
    ("change", "fires"),
    [
        ({}, True),
        ({"enabled": False}, False),
        ({"device_id": ALARM.device_id}, True),
        ({"device_id": "34020000001110000002"}, False),
        ({"source_id": ALARM.source_id}, True),
        ({"source_id": "34020000001340000002"}, False),
        ({"codes": (AlarmCode.MOTION,)}, True),
        ({"codes": (AlarmCode.TRIPWIRE,)}, False),
        ({"priority_at_most": 2}, True),
        ({"priority_at_most": 1}, False),
    ],
)
def test_linkage_fires_for_the_alarms_it_names(change: dict[str, object], fires: bool) -> None:
    linkage = replace(LINKAGE, **change)  # type: ignore[arg-type]
    assert sets_off(linkage, ALARM, None) is fires


def test_linkage_rests_for_its_dead_time() -> None:
    assert not sets_off(LINKAGE, ALARM, NOW - timedelta(seconds=59))
    assert sets_off(LINKAGE, ALARM, NOW - timedelta(seconds=60))


def test_alarm_without_priority_is_never_grave_enough() -> None:
    assert not sets_off(replace(LINKAGE, priority_at_most=4), replace(ALARM, priority=None), None)


def test_mobile_units_are_asked_where_they_are_and_nothing_means_nothing() -> None:
    alarms = {SubscriptionKind.ALARM}
    assert wanted_by_default("34020000001110000001", alarms) == alarms
    mobile = wanted_by_default("34020000001380000001", alarms)
    assert mobile == alarms | {SubscriptionKind.MOBILE_POSITION}
    assert wanted_by_default("34020000001380000001", ()) == frozenset()
