"""Central recordings over HTTP: who decides, what the law refuses, and looks that are on the books."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from commonview.foundation.database import stored_time
from commonview.media import SegmentGroup, SegmentHead, SegmentSound
from commonview.recording import Segment, Track
from commonview.recording.bands import Bands
from commonview.recording.index import Finished, SegmentIndex
from commonview.recording.writing import Missing
from commonview.security import AccessOutcome, AccessRecord, Action, OpenedAccess, Role, Subject
from tests.api.harness import Harness
from tests.api.network_room import CHANNEL_ID
from tests.network.harness import until

pytestmark = pytest.mark.anyio

PLAN = {"name": "gate", "channel_id": CHANNEL_ID, "mode": "always", "purpose": "safety of the gate"}
CONTENT = bytes(range(256)) * 1000


async def incident(client: httpx.AsyncClient) -> str:
    purposes = (await client.get("/api/purposes")).json()["items"]
    return str(next(one["id"] for one in purposes if one["name_en"] == "Incident response"))


def entries(made: Harness, action: str) -> list[dict[str, Any]]:
    with made.db.read() as conn:
        return [
            dict(one.detail) for one in made.security.audit.entries(conn, None, 100) if one.action == action
        ]


def records(made: Harness) -> list[AccessRecord]:
    return list(made.security.access_records(made.subject(Role.AUDITOR)))


def indexed(made: Harness, minutes: int = 3) -> None:
    """Some minutes before now, with a file each."""
    [disk] = made.context.recording.disks.disks().values()
    now = made.clock.now()
    found = []
    for number in range(minutes):
        begin = now - timedelta(minutes=minutes - number)
        path = f"{CHANNEL_ID}/0/{begin:%Y-%m-%d}/{begin:%H%M%S}.000Z-{number:08x}.mp4"
        (Path(disk.root) / path).parent.mkdir(parents=True, exist_ok=True)
        (Path(disk.root) / path).write_bytes(CONTENT)
        found.append(
            Finished(
                Track(CHANNEL_ID), disk.id, path, begin, begin + timedelta(minutes=1), len(CONTENT), "ab",
                "h264", 640, 360, "", 1500, 30, "", None,
            )
        )  # fmt: skip
    with made.db.begin() as conn:
        SegmentIndex(Bands()).append(conn, found)


async def test_a_fault_while_the_index_is_written_is_not_the_end_of_it(
    made: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the fault is: what was recorded waits and is indexed in the next turn."""
    recording = made.context.recording
    whole, faults = recording.index._commit, [ZeroDivisionError("a fault of ours")]

    def commit(batch: Sequence[Finished | Missing]) -> list[Segment]:
        if faults:
            raise faults.pop()
        return whole(batch)

    monkeypatch.setattr(recording.index, "_commit", commit)
    running = recording.tasks.spawn(recording.tasks.forever(recording.index.run))
    [disk] = recording.disks.disks().values()
    now = made.clock.now()
    recording.index.submit(
        Finished(
            Track(CHANNEL_ID), disk.id, "a.mp4", now, now + timedelta(minutes=1), 1, "ab",
            "h264", 640, 360, "", 1500, 30, "", None,
        )
    )  # fmt: skip
    await until(lambda: recording.counters().get("index.segments") == 1)
    assert recording.counters()["service.task_failed"] == 1
    running.cancel()


async def test_a_supervisor_decides_and_it_is_on_record(made: Harness) -> None:
    client = await made.signed_in(Role.SUPERVISOR)
    answer = await client.post("/api/recording/plans", json=PLAN)
    assert answer.status_code == 201, answer.text
    plan = answer.json()
    assert (plan["retention_days"], plan["channels"]) == (30, 1)
    [entry] = entries(made, "recording.plan_created")
    assert (entry["channel"], entry["purpose"]) == (CHANNEL_ID, PLAN["purpose"])
    changed = await client.put(f"/api/recording/plans/{plan['id']}", json=PLAN | {"enabled": False})
    assert changed.json()["enabled"] is False
    assert (await client.delete(f"/api/recording/plans/{plan['id']}")).status_code == 204
    assert (await client.get("/api/recording/plans")).json()["items"] == []
    assert len(entries(made, "recording.plan_changed")) == len(entries(made, "recording.plan_removed")) == 1


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.INVESTIGATOR, Role.MAINTAINER, Role.AUDITOR])
async def test_nobody_else_decides_who_is_recorded(made: Harness, role: Role) -> None:
    client = await made.signed_in(role)
    answer = await client.post("/api/recording/plans", json=PLAN)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "role_lacks_right")
    assert (await client.get("/api/recording/plans")).json()["items"] == []


async def test_what_the_law_refuses_is_refused_in_plain_words(made: Harness) -> None:
    client = await made.signed_in(Role.SUPERVISOR)
    short = await client.post("/api/recording/plans", json=PLAN | {"retention_days": 7})
    assert short.json()["error"]["code"] == "retention_too_short"
    assert short.json()["error"]["params"]["minimum"] == 30
    answer = await client.put(f"/api/recording/classes/{CHANNEL_ID}", json={"legal_class": "article_9"})
    assert answer.json()["minimum_days"] == 1
    week = await client.post("/api/recording/plans", json=PLAN | {"retention_days": 7})
    assert week.status_code == 201
    back = await client.put(f"/api/recording/classes/{CHANNEL_ID}", json={"legal_class": "article_7"})
    assert back.json()["error"]["code"] == "retention_too_short"
    long = await client.post("/api/recording/plans", json=PLAN | {"retention_days": 60})
    assert long.json()["error"]["code"] == "retention_needs_basis"


async def test_holds_have_an_owner_a_reason_and_an_end(made: Harness) -> None:
    client = await made.signed_in(Role.SUPERVISOR)
    now = made.clock.now()
    hold = {
        "channel_id": CHANNEL_ID,
        "begin": (now - timedelta(hours=1)).isoformat(),
        "end": now.isoformat(),
        "owner": "County police",
        "reason": "Case 2026-117",
        "ends_at": (now + timedelta(days=90)).isoformat(),
    }
    for missing in ("owner", "reason", "ends_at"):
        incomplete = {name: value for name, value in hold.items() if name != missing}
        assert (await client.post("/api/recording/holds", json=incomplete)).status_code == 422
    placed = (await client.post("/api/recording/holds", json=hold)).json()
    assert placed["state"] == "running"
    lifted = await client.post(f"/api/recording/holds/{placed['id']}/release", json={"reason": "closed"})
    assert lifted.json()["state"] == "released"
    again = await client.post(f"/api/recording/holds/{placed['id']}/release", json={"reason": "closed"})
    assert again.status_code == 404
    assert [one["reason"] for one in entries(made, "recording.hold_released")] == ["closed"]


async def test_the_timeline_answers_for_every_channel_asked_for(made: Harness) -> None:
    indexed(made)
    client = await made.signed_in(Role.OPERATOR)
    now = made.clock.now()
    body = {
        "channel_ids": [CHANNEL_ID, "nobody"],
        "begin": (now - timedelta(hours=1)).isoformat(),
        "end": now.isoformat(),
        "pixels": 1000,
    }
    lines = (await client.post("/api/recording/timeline", json=body)).json()["lines"]
    begin, end = stored_time(now - timedelta(minutes=3)) // 1000, stored_time(now) // 1000
    assert [line["recorded"] for line in lines] == [[[begin, end]], []]
    backwards = await client.post("/api/recording/timeline", json=body | {"begin": body["end"]})
    assert backwards.status_code == 422


async def test_disks_are_the_administrators_business(made: Harness, tmp_path: Path) -> None:
    administrator, supervisor = await made.signed_in(Role.SYSTEM_ADMIN), await made.signed_in(Role.SUPERVISOR)
    disk = {"root": str(tmp_path / "second"), "policy": "oldest_first", "reserve_bytes": 0}
    assert (await supervisor.post("/api/recording/disks", json=disk)).status_code == 403
    made_ = await administrator.post("/api/recording/disks", json=disk)
    assert made_.status_code == 201, made_.text
    assert len((await supervisor.get("/api/recording/disks")).json()["items"]) == 2


async def look(client: httpx.AsyncClient, made: Harness, **more: Any) -> httpx.Response:
    now = made.clock.now()
    body = {
        "channel_id": CHANNEL_ID,
        "begin": (now - timedelta(minutes=2, seconds=30)).isoformat(),
        "end": now.isoformat(),
        "purpose_id": await incident(client),
        "reason": "accident at the gate",
    }
    return await client.post("/api/recorded", json=body | more)


async def test_a_look_is_on_the_books_before_a_byte_is_sent(made: Harness) -> None:
    indexed(made)
    client = await made.signed_in(Role.INVESTIGATOR)
    opened = (await look(client, made)).json()
    assert [one["sequence"] for one in opened["segments"]] == [1, 2, 3]
    [record] = records(made)
    assert (record.action, record.protocol, record.outcome) == (
        Action.RECORDING_VIEW,
        "recorded",
        AccessOutcome.OPEN,
    )
    url = opened["segments"][1]["url"]
    whole = await client.get(url)
    assert (whole.status_code, whole.content) == (200, CONTENT)
    part = await client.get(url, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, CONTENT[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(CONTENT)}"
    assert (await client.delete(f"/api/recorded/{opened['access_id']}")).status_code == 204
    await made.context.recorded.drain()
    [record] = records(made)
    assert (record.outcome, record.bytes_sent) == (AccessOutcome.CLOSED, len(CONTENT) + 100)
    assert (await client.get(url)).status_code == 404


@pytest.mark.parametrize(
    ("asked", "begin", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=-5", -5, None),
        ("bytes=100-", 100, None),
        ("bytes=0-99999999", 0, None),
    ],
)
async def test_a_range_is_answered_with_its_bytes(
    made: Harness, asked: str, begin: int, end: int | None
) -> None:
    indexed(made)
    client = await made.signed_in(Role.INVESTIGATOR)
    url = (await look(client, made)).json()["segments"][0]["url"]
    assert (await client.get(url, headers={"Range": asked})).content == CONTENT[begin:end]


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=-",
        "bytes=-0",
        "bytes=--5",
        "bytes=5-1",
        "bytes=99999999-",
        "bytes=0-1,3-4",
        "lines=1-2",
        "bytes=\u0661-",
    ],
)
async def test_what_is_no_range_is_answered_with_the_whole(made: Harness, asked: str) -> None:
    indexed(made)
    client = await made.signed_in(Role.INVESTIGATOR)
    url = (await look(client, made)).json()["segments"][0]["url"]
    whole = await client.get(url, headers=[(b"Range", asked.encode())])
    assert (whole.status_code, whole.content) == (200, CONTENT)


async def test_a_player_is_told_where_the_groups_of_pictures_lie(
    made: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []

    def groups(path: Path) -> tuple[SegmentHead, list[SegmentGroup]]:
        reads.append(path)
        head = SegmentHead(len(CONTENT), 700, "avc1.64001e", "alaw", 640, 360)
        return head, [SegmentGroup(0, 700, 300), SegmentGroup(2_000_000, 1000, 500)]

    monkeypatch.setattr("commonview.api.recorded_files.segment_groups", groups)
    indexed(made)
    client = await made.signed_in(Role.INVESTIGATOR)
    opened = (await look(client, made)).json()
    url = opened["segments"][1]["url"] + "/index"
    told = (await client.get(url)).json()
    assert (told["init_bytes"], told["video_codec"], told["audio_codec"]) == (700, "avc1.64001e", "alaw")
    assert told["groups"] == [[0, 700, 300], [2_000_000, 1000, 500]]
    assert (await client.get(url)).json() == told
    assert len(reads) == 1, "a finished segment does not change"
    await client.delete(f"/api/recorded/{opened['access_id']}")
    assert (await client.get(url)).status_code == 404, "the look is over"


async def test_sound_is_given_out_a_minute_at_a_time_and_counted(
    made: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def sound(path: Path, begin_us: int, end_us: int, *, readable: int | None) -> SegmentSound | None:
        assert readable is None, "it is finished"
        asked.append((begin_us, end_us))
        return None if begin_us else SegmentSound('audio/mp4; codecs="flac"', b"a tone")

    monkeypatch.setattr("commonview.api.recorded_files.segment_sound", sound)
    indexed(made)
    client = await made.signed_in(Role.INVESTIGATOR)
    opened = (await look(client, made)).json()
    url = opened["segments"][1]["url"] + "/sound"
    heard = await client.get(url, params={"begin_us": 0, "end_us": 4_000_000})
    assert (heard.status_code, heard.content) == (200, b"a tone")
    assert heard.headers["content-type"] == 'audio/mp4; codecs="flac"'
    silent = await client.get(url, params={"begin_us": 1, "end_us": 2})
    assert (silent.status_code, silent.json()["error"]["code"]) == (404, "segment_without_sound")
    for begin_us, end_us in [(0, 60_000_001), (5, 5), (6, 5), (-1, 5)]:
        refused = await client.get(url, params={"begin_us": begin_us, "end_us": end_us})
        assert refused.status_code == 422
    assert asked == [(0, 4_000_000), (1, 2)]
    span = {"begin_us": 0, "end_us": 4_000_000}
    supervisor = await made.signed_in(Role.SUPERVISOR)
    assert (await supervisor.get(url, params=span)).status_code in {403, 404}, "somebody else's look"
    await client.delete(f"/api/recorded/{opened['access_id']}")
    assert (await client.get(url, params=span)).status_code == 404, "the look is over"
    await until(lambda: [one.bytes_sent for one in records(made)] == [len(b"a tone")])


async def test_a_damaged_file_is_said_to_be_one(made: Harness) -> None:
    indexed(made)
    client = await made.signed_in(Role.INVESTIGATOR)
    url = (await look(client, made)).json()["segments"][0]["url"]
    answer = await client.get(url + "/index")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "segment_unreadable")
    answer = await client.get(url + "/sound", params={"begin_us": 0, "end_us": 1})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "segment_unreadable")
    for disk in made.context.recording.disks.disks().values():
        for path in Path(disk.root).rglob("*.mp4"):
            path.unlink()
    assert (await client.get(url + "/index")).json()["error"]["code"] == "segment_unknown"


async def test_what_is_not_told_at_once_is_asked_for_from_a_moment_on(
    made: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexed(made)
    monkeypatch.setattr("commonview.recording.service.MOST_SEGMENTS", 2)
    client = await made.signed_in(Role.INVESTIGATOR)
    opened = (await look(client, made)).json()
    assert [one["sequence"] for one in opened["segments"]] == [1, 2]
    rest = (await look(client, made, begin=opened["more_from"])).json()
    assert ([one["sequence"] for one in rest["segments"]], rest["more_from"]) == ([3], None)


async def test_a_look_needs_a_purpose_a_reason_and_the_right(made: Harness) -> None:
    client = await made.signed_in(Role.INVESTIGATOR)
    assert (await look(client, made, purpose_id=None)).json()["error"]["code"] == "purpose_required"
    assert (await look(client, made, reason="")).json()["error"]["code"] == "reason_required"
    operator = await made.signed_in(Role.OPERATOR)
    assert (await look(operator, made)).json()["error"]["code"] == "role_lacks_right"
    assert records(made) == []


@pytest.mark.parametrize("what", ["grant", "sign_in"])
async def test_a_grant_that_ends_while_a_look_is_opened_ends_the_look(
    made: Harness, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The end finds no look yet; it must not be forgotten."""
    indexed(made)
    client = await made.signed_in(Role.INVESTIGATOR)
    open_access, desk = made.security.open_access, made.context.recorded

    def opened(subject: Subject, *wish: Any, **more: Any) -> OpenedAccess:
        access = open_access(subject, *wish, **more)
        if what == "grant":
            desk.end_grant(access.grant.id, AccessOutcome.GRANT_REVOKED)
        else:
            desk.end_sessions({str(subject.session_id)})
        return access

    monkeypatch.setattr(made.security, "open_access", opened)
    assert (await look(client, made)).status_code == 404
    await desk.drain()
    [record] = records(made)
    assert record.outcome is (AccessOutcome.GRANT_REVOKED if what == "grant" else AccessOutcome.CLOSED)
    monkeypatch.undo()
    assert (await look(client, made)).status_code in (200, 201), (
        "what ended then says nothing of what follows"
    )


async def test_nobody_fetches_under_anothers_look_or_outside_its_span(made: Harness) -> None:
    indexed(made, minutes=5)
    client = await made.signed_in(Role.INVESTIGATOR)
    opened = (await look(client, made)).json()
    assert [one["sequence"] for one in opened["segments"]] == [3, 4, 5]
    assert (await client.get(f"/api/recorded/{opened['access_id']}/0/1")).status_code == 404
    assert (await client.get(f"/api/recorded/{opened['access_id']}/1/3")).status_code == 404
    assert (await client.get("/api/recorded/nobody/0/3")).status_code == 404


async def test_revoking_the_grant_cuts_what_is_under_way(made: Harness) -> None:
    indexed(made)
    client = await made.signed_in(Role.INVESTIGATOR)
    opened = (await look(client, made)).json()
    desk = made.context.recorded
    subject = made.subject(Role.INVESTIGATOR)
    part = await desk.part(subject, opened["access_id"], 0, 1, None)
    desk_pieces = desk.send(opened["access_id"], part)
    desk.end_grant(opened["grant"]["id"], AccessOutcome.GRANT_REVOKED)
    assert [piece async for piece in desk_pieces] == []
    await until(lambda: records(made)[0].outcome is AccessOutcome.GRANT_REVOKED)
    assert (await client.get(opened["segments"][0]["url"])).status_code == 404


async def test_on_demand_needs_a_plan(made: Harness) -> None:
    operator = await made.signed_in(Role.OPERATOR)
    body = {"channel_id": CHANNEL_ID, "minutes": 10}
    answer = await operator.post("/api/recording/demand", json=body)
    assert answer.json()["error"]["code"] == "recording_no_plan"
    supervisor = await made.signed_in(Role.SUPERVISOR)
    await supervisor.post("/api/recording/plans", json=PLAN | {"mode": "on_demand"})
    assert (await supervisor.get("/api/recording/plans")).json()["items"][0]["mode"] == "on_demand"


async def test_the_forecast_says_what_it_stands_on(made: Harness) -> None:
    client = await made.signed_in(Role.SUPERVISOR)
    empty = (await client.get("/api/recording/forecast")).json()
    assert (empty["planned"], empty["total"]["state"]) == (0, "idle")
    await client.post("/api/recording/plans", json=PLAN)
    indexed(made)
    young = (await client.get("/api/recording/forecast")).json()
    assert (young["planned"], young["young"], young["measured"]) == (1, 1, 0)
    assert (young["total"]["state"], young["total"]["days_until_full"]) == ("unknown", None)
    assert [one["state"] for one in young["disks"]] == ["unknown"]
    assert young["total"]["kept_bytes"] == 3 * len(CONTENT)


async def test_what_may_be_recorded_on_demand_is_told_and_until_when(
    made: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made.context.recording.keeper, "tick", lambda: None)  # no camera is asked here
    supervisor = await made.signed_in(Role.SUPERVISOR)
    await supervisor.post("/api/recording/plans", json=PLAN | {"mode": "on_demand", "stream_number": 1})
    operator = await made.signed_in(Role.OPERATOR)
    place = f"/api/recording/channels/{CHANNEL_ID}"
    assert (await operator.get(place)).json() == {
        "tracks": [],
        "on_demand": [{"stream_number": 1, "until": None}],
    }
    body = {"channel_id": CHANNEL_ID, "stream_number": 1, "minutes": 10}
    until = (await operator.post("/api/recording/demand", json=body)).json()["until"]
    told = (await operator.get(place)).json()
    assert [one["until"] for one in told["on_demand"]] == [until]
    assert [one["stream_number"] for one in told["tracks"]] == [1]
    standing = (await operator.get("/api/recording/standing")).json()["items"]
    assert [(one["channel_id"], one["stream_number"]) for one in standing] == [(CHANNEL_ID, 1)]
    await operator.post("/api/recording/demand", json=body | {"minutes": 0})
    assert [one["until"] for one in (await operator.get(place)).json()["on_demand"]] == [None]
    assert (await operator.get("/api/recording/standing")).json()["items"] == []


async def test_what_came_into_the_index_is_named_in_the_audit_log(made: Harness) -> None:
    recording = made.context.recording
    [disk] = recording.disks.disks().values()
    now = made.clock.now()
    recording.index.submit(
        Finished(
            Track(CHANNEL_ID), disk.id, "a.mp4", now, now + timedelta(minutes=1), 1, "ab",
            "h264", 640, 360, "", 1500, 30, "", None,
        )
    )  # fmt: skip
    assert await recording.index.flush()
    await recording.upkeep.write_heads()
    [entry] = entries(made, "recording.chain_heads")
    assert entry["count"] == 1
    assert list(entry["heads"]) == [f"{CHANNEL_ID}/0"]
    await recording.upkeep.write_heads()
    assert len(entries(made, "recording.chain_heads")) == 1
    assert recording.counters()["service.heads"] == 1
