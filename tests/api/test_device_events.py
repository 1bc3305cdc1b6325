"""Alarms, positions and linkages over HTTP."""

from datetime import timedelta

import pytest

from commonview.network.directory import DeviceRecord
from commonview.security import Role
from commonview.wire.manscdp import Alarm, MobilePosition, decode
from tests.api.harness import Harness
from tests.api.network_room import CHANNEL_ID, DEVICE_ID
from tests.waiting import answered

pytestmark = pytest.mark.anyio

LINKAGE = {
    "name": "gate",
    "action": "call_preset",
    "preset": 3,
    "target_channel_id": CHANNEL_ID,
    "codes": ["motion"],
    "dead_time_s": 30,
}


async def raise_alarm(made: Harness, second: int) -> None:
    body = (
        f"<Notify><CmdType>Alarm</CmdType><SN>{second + 1}</SN><DeviceID>{DEVICE_ID}</DeviceID>"
        f"<AlarmPriority>1</AlarmPriority><AlarmMethod>5</AlarmMethod>"
        f"<AlarmTime>2026-05-01T08:00:{second:02d}</AlarmTime><Info><AlarmType>2</AlarmType></Info></Notify>"
    )
    message = decode(body.encode())
    assert isinstance(message, Alarm)
    book = made.network.events.alarms
    before = await book.count_open()
    book.take(DeviceRecord(DEVICE_ID), message)
    await answered(book.count_open, lambda count: count != before)


async def test_alarms_are_listed_by_pages_and_acknowledged_on_record(made: Harness) -> None:
    operator, auditor = await made.signed_in(Role.OPERATOR), await made.signed_in(Role.AUDITOR)
    for second in range(3):
        await raise_alarm(made, second)
    page = (await operator.get("/api/alarms", params={"limit": 2})).json()
    rest = (await operator.get("/api/alarms", params={"limit": 2, "cursor": page["cursor"]})).json()
    assert [len(page["items"]), len(rest["items"]), rest["cursor"], page["open"]] == [2, 1, None, 3]
    newest = page["items"][0]
    assert (newest["code"], newest["state"], newest["device_name"]) == ("motion", "open", "Gate")
    done = await operator.post(f"/api/alarms/{newest['id']}/acknowledge", json={"note": "the gardener"})
    assert (done.json()["state"], done.json()["acknowledged_by"]) == ("acknowledged", "operator")
    again = await operator.post(f"/api/alarms/{newest['id']}/acknowledge", json={})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "alarm_acknowledged")
    entries = (await auditor.get("/api/audit", params={"limit": 10})).json()["items"]
    assert any(entry["action"] == "alarm.acknowledge" for entry in entries)
    left = (await operator.get("/api/alarms", params={"state": "open"})).json()
    assert len(left["items"]) == 2


async def test_the_way_of_a_mobile_device_is_shown_on_record(made: Harness) -> None:
    operator, auditor = await made.signed_in(Role.OPERATOR), await made.signed_in(Role.AUDITOR)
    body = (
        f"<Notify><CmdType>MobilePosition</CmdType><SN>1</SN><DeviceID>{DEVICE_ID}</DeviceID>"
        "<Time>2026-05-01T08:00:00</Time><Longitude>117.2</Longitude><Latitude>31.8</Latitude></Notify>"
    )
    message = decode(body.encode())
    assert isinstance(message, MobilePosition)
    made.network.events.positions.take(DeviceRecord(DEVICE_ID), message)
    [latest] = (await operator.get("/api/positions")).json()["items"]
    assert (latest["longitude"], latest["latitude"]) == (117.2, 31.8)
    now = made.clock.now()
    span = {"since": (now - timedelta(hours=1)).isoformat(), "until": now.isoformat()}
    track = await operator.get(f"/api/devices/{DEVICE_ID}/track", params=span)
    assert track.json()["items"] == [latest]
    entries = (await auditor.get("/api/audit", params={"limit": 10})).json()["items"]
    assert any(entry["action"] == "position.track" for entry in entries)
    wrong = await operator.get(
        f"/api/devices/{DEVICE_ID}/track", params={"since": span["until"], "until": span["since"]}
    )
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "span_invalid")


async def test_linkages_are_made_changed_and_removed_by_a_maintainer(made: Harness) -> None:
    maintainer, operator = await made.signed_in(Role.MAINTAINER), await made.signed_in(Role.OPERATOR)
    made_one = await maintainer.post("/api/linkages", json=LINKAGE)
    assert made_one.status_code == 201, made_one.text
    linkage_id = made_one.json()["id"]
    assert (await operator.post("/api/linkages", json=LINKAGE)).status_code == 403
    changed = await maintainer.put(f"/api/linkages/{linkage_id}", json=LINKAGE | {"enabled": False})
    assert changed.json()["enabled"] is False
    assert [one["id"] for one in (await operator.get("/api/linkages")).json()["items"]] == [linkage_id]
    assert (await maintainer.delete(f"/api/linkages/{linkage_id}")).status_code == 204
    assert (await maintainer.delete(f"/api/linkages/{linkage_id}")).status_code == 404
    no_preset = await maintainer.post("/api/linkages", json=LINKAGE | {"preset": None})
    assert no_preset.status_code == 422
