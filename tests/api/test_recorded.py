"""Looking at real recordings over HTTP: index and pictures at once, a picture to be kept, both clocks."""

from __future__ import annotations

import base64
import io
import json
from datetime import timedelta
from pathlib import Path

import av
import httpx
import pytest
from PIL import Image, ImageStat

from commonview.media import segment_groups
from commonview.recording import Track
from commonview.recording.bands import Bands
from commonview.recording.index import Finished, SegmentIndex, moment
from commonview.rendering import Source
from commonview.security import AccessOutcome, Action, Role
from tests.api.harness import Harness
from tests.api.network_room import CHANNEL_ID
from tests.api.test_exports import look, sources  # noqa: F401 - fixtures
from tests.api.test_recording import incident, records
from tests.network.harness import until
from tests.rendering.conftest import recordings  # noqa: F401 - a fixture
from tests.rendering.recordings import ORIGIN_US, PER_SECOND, brightness

pytestmark = pytest.mark.anyio

SECOND_US = 1_000_000


def segment_url(access_id: str, sequence: int) -> str:
    return f"/api/recorded/{access_id}/0/{sequence}"


def pictures_of(init: bytes, group: bytes) -> int:
    with av.open(io.BytesIO(init + group), "r") as container:
        return len(list(container.decode(video=0)))


async def test_one_answer_brings_the_index_and_the_pictures_of_a_moment(
    made: Harness,
    sources: list[Source],  # noqa: F811
    look: tuple[httpx.AsyncClient, str],  # noqa: F811
) -> None:
    client, access_id = look
    url = segment_url(access_id, 2)
    told = (await client.get(f"{url}/index")).json()
    whole = Path(sources[1].path).read_bytes()
    _, groups = segment_groups(Path(sources[1].path))
    assert base64.b64decode(told["init"]) == whole[: told["init_bytes"]]
    for at_us, group in (
        (0, groups[0]),
        (SECOND_US - 1, groups[0]),
        (SECOND_US, groups[1]),
        (10**9, groups[-1]),
    ):
        answer = await client.get(f"{url}/opening", params={"at_us": at_us})
        assert answer.headers["content-length"] == str(len(answer.content))
        length = int.from_bytes(answer.content[:4], "big")
        assert json.loads(answer.content[4 : 4 + length]) == told
        pictures = answer.content[4 + length :]
        assert pictures == whole[group.offset : group.offset + group.bytes]
        assert pictures_of(whole[: told["init_bytes"]], pictures) == PER_SECOND
    assert (await client.get(f"{url}/opening", params={"at_us": -1})).status_code == 422
    assert (await client.get(f"{segment_url(access_id, 9)}/opening", params={"at_us": 0})).status_code == 404
    await client.delete(f"/api/recorded/{access_id}")
    assert (await client.get(f"{url}/opening", params={"at_us": 0})).status_code == 404, "the look is over"


async def test_long_parts_are_sent_piece_by_piece_and_counted(
    made: Harness,
    sources: list[Source],  # noqa: F811
    look: tuple[httpx.AsyncClient, str],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, access_id = look
    url, whole = segment_url(access_id, 1), Path(sources[0].path).read_bytes()
    at_once = (await client.get(f"{url}/opening", params={"at_us": 0})).content
    for module in ("recorded_files", "recorded_desk"):
        monkeypatch.setattr(f"commonview.api.{module}.PIECE", 1000)
    assert (await client.get(f"{url}/opening", params={"at_us": 0})).content == at_once
    assert (await client.get(url)).content == whole
    group = len(at_once) - 4 - int.from_bytes(at_once[:4], "big")
    await client.delete(f"/api/recorded/{access_id}")
    await until(lambda: [one.bytes_sent for one in records(made)] == [2 * group + len(whole)])


async def test_the_very_picture_of_a_moment_is_taken_and_on_record(
    made: Harness,
    look: tuple[httpx.AsyncClient, str],  # noqa: F811
) -> None:
    client, _ = look
    number = 3 * PER_SECOND + 7
    at = moment(ORIGIN_US + number * SECOND_US // PER_SECOND + 500)
    asked = {
        "channel_id": CHANNEL_ID,
        "at": at.isoformat(),
        "purpose_id": await incident(client),
        "reason": "the picture for file 12",
    }
    taken = await client.post("/api/recorded/still", json=asked)
    assert (taken.status_code, taken.headers["content-type"]) == (200, "image/jpeg"), taken.text
    assert taken.headers["x-commonview-at"] == (at - timedelta(microseconds=500)).isoformat()
    with Image.open(io.BytesIO(taken.content)) as picture:
        assert picture.size == (320, 240)
        # Limited range in the stream, full range in the picture.
        shown = ImageStat.Stat(picture.convert("L")).mean[0] * 219 / 255 + 16 - 3.5
    assert abs(shown - brightness(number)) < 0.6, "that picture, and no other"
    await until(
        lambda: AccessOutcome.OPEN not in {one.outcome for one in records(made) if one.protocol == "snapshot"}
    )
    [record] = [one for one in records(made) if one.protocol == "snapshot"]
    assert record.id == taken.headers["x-commonview-access"]
    assert (record.action, record.outcome, record.bytes_sent) == (
        Action.RECORDING_VIEW,
        AccessOutcome.CLOSED,
        len(taken.content),
    )


async def test_a_picture_is_not_taken_where_nothing_is_recorded_nor_without_a_purpose(
    made: Harness,
    look: tuple[httpx.AsyncClient, str],  # noqa: F811
) -> None:
    client, _ = look
    nowhere = {"channel_id": CHANNEL_ID, "at": moment(ORIGIN_US - SECOND_US).isoformat()}
    refused = await client.post("/api/recorded/still", json=nowhere)
    assert refused.json()["error"]["code"] == "purpose_required"
    stated = nowhere | {"purpose_id": await incident(client), "reason": "file 12"}
    absent = await client.post("/api/recorded/still", json=stated)
    assert (absent.status_code, absent.json()["error"]["code"]) == (404, "nothing_recorded")
    await until(
        lambda: [one.outcome for one in records(made) if one.protocol == "snapshot"] == [AccessOutcome.FAILED]
    )
    operator = await made.signed_in(Role.OPERATOR)
    answer = await operator.post("/api/recorded/still", json=stated)
    assert answer.json()["error"]["code"] == "role_lacks_right"


async def test_the_devices_clock_is_told_beside_ours(made: Harness) -> None:
    [disk] = made.context.recording.disks.disks().values()
    now = made.clock.now()
    begin = now - timedelta(minutes=1)
    found = Finished(
        Track(CHANNEL_ID), disk.id, "x.mp4", begin, now, 1000, "ab", "h264", 640, 360, "", 1500, 30, "", None,
        device_pts_begin=8_589_900_000, device_pts_end=5_330_408,
    )  # fmt: skip
    with made.db.begin() as conn:
        SegmentIndex(Bands()).append(conn, [found])
    client = await made.signed_in(Role.INVESTIGATOR)
    asked = {
        "channel_id": CHANNEL_ID,
        "begin": begin.isoformat(),
        "end": now.isoformat(),
        "purpose_id": await incident(client),
        "reason": "when was it",
    }
    [segment] = (await client.post("/api/recorded", json=asked)).json()["segments"]
    assert (segment["device_pts_begin"], segment["device_pts_end"]) == (8_589_900_000, 5_330_408)
