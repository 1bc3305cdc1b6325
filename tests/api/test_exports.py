"""Taking recordings away over HTTP: on the books, rendered, fetched in parts, cut with the grant, removed."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from commonview.media import scan_segment
from commonview.recording import Track, store
from commonview.recording.bands import Bands
from commonview.recording.index import Finished, SegmentIndex, moment
from commonview.recording.rules import GENESIS, link
from commonview.rendering import ExportState, Source
from commonview.security import AccessOutcome, Role
from tests.api.harness import Harness, harness
from tests.api.network_room import CHANNEL_ID
from tests.api.test_recording import entries, incident, records
from tests.network.harness import until
from tests.rendering.conftest import recordings  # noqa: F401 - a fixture
from tests.rendering.recordings import ORIGIN_US, SECONDS, Kind, Recordings

pytestmark = pytest.mark.anyio


@pytest.fixture
async def sources(made: Harness, recordings: Recordings) -> list[Source]:  # noqa: F811
    """Six seconds of a camera in the index."""
    return indexed(made, recordings.of(Kind()))


def indexed(made: Harness, sources: list[Source]) -> list[Source]:
    """Recordings in the index and on the disk, as the keeper would have written them."""
    [disk] = made.context.recording.disks.disks().values()
    found = []
    for source in sources:
        begin = moment(source.begin_us)
        path = f"{CHANNEL_ID}/0/{begin:%Y-%m-%d}/{begin:%H%M%S}.000Z-{source.sequence:08x}.mp4"
        (Path(disk.root) / path).parent.mkdir(parents=True, exist_ok=True)
        (Path(disk.root) / path).write_bytes(Path(source.path).read_bytes())
        scan = scan_segment(Path(source.path))
        found.append(
            Finished(
                Track(CHANNEL_ID), disk.id, path, begin, moment(source.end_us), scan.bytes, scan.sha256,
                scan.codec, scan.width, scan.height, scan.audio, scan.pictures, scan.key_frames, "", None,
            )
        )  # fmt: skip
    with made.db.begin() as conn:
        SegmentIndex(Bands()).append(conn, found)
    return sources


async def order(client: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    begin = moment(ORIGIN_US)
    return {
        "channel_ids": [CHANNEL_ID],
        "begin": (begin + timedelta(seconds=1.48)).isoformat(),
        "end": (begin + timedelta(seconds=4.52)).isoformat(),
        "cut": "exact",
        "purpose_id": await incident(client),
        "reason": "the police asked, file 12",
    } | changes


async def finished(client: httpx.AsyncClient, export_id: str) -> dict[str, Any]:
    while True:
        told: dict[str, Any] = (await client.get(f"/api/exports/{export_id}")).json()
        if told["state"] not in ("waiting", "running"):
            return told
        await asyncio.sleep(0.02)


async def exported(client: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await client.post("/api/exports", json=await order(client, **changes))
    assert answer.status_code == 201, answer.text
    told = await finished(client, answer.json()["export"]["id"])
    assert told["state"] == "finished", told
    return told


async def test_an_export_is_on_the_books_and_says_what_it_is_made_of(
    made: Harness, sources: list[Source]
) -> None:
    client = await made.signed_in(Role.INVESTIGATOR)
    told = await exported(client)
    package = await client.get(told["package_url"])
    assert package.status_code == 200
    with zipfile.ZipFile(io.BytesIO(package.content)) as archive:
        assert archive.testzip() is None
        manifest = json.loads(archive.read("manifest.json"))
        [name] = [one for one in archive.namelist() if one.endswith(".mp4")]
        content = archive.read(name)
    terms, [channel] = manifest["terms"], manifest["channels"]
    assert (terms["username"], terms["reason"], terms["cut"]) == (
        "investigator",
        "the police asked, file 12",
        "exact",
    )
    [file] = channel["files"]
    assert (file["name"], file["sha256"]) == (name, hashlib.sha256(content).hexdigest())
    assert (file["treated"], file["pictures"], file["encoded_pictures"]) == ("edges", 76, 13)
    with made.db.read() as conn:
        segments = list(store.read_segments(conn, store.segments.select()))
    by_sequence = {one.sequence: one for one in segments}
    for said in channel["segments"]:
        segment = by_sequence[said["sequence"]]
        assert (said["state"], said["found_sha256"]) == ("intact", segment.sha256)
        assert link(said["previous_link"] or GENESIS, segment) == said["link"] == segment.link
    await until(lambda: len(entries(made, "export.finished")) == 1)
    [entry] = entries(made, "export.finished")
    digest = next(one["sha256"] for one in told["files"] if one["name"] == "manifest.json")
    assert entry["manifest_sha256"] == digest
    found = {one.protocol: one for one in records(made)}
    assert found["export"].detail["cut"] == "exact"
    await until(lambda: all(one.outcome is AccessOutcome.CLOSED for one in records(made)))
    found = {one.protocol: one for one in records(made)}
    assert found["export"].bytes_sent == file["bytes"]
    assert found["download"].bytes_sent >= file["bytes"]
    assert found["download"].detail["export"] == told["id"]


async def test_a_download_goes_on_where_it_was_broken_off(made: Harness, sources: list[Source]) -> None:
    client = await made.signed_in(Role.INVESTIGATOR)
    told = await exported(client)
    for url in [told["package_url"], *(one["url"] for one in told["files"])]:
        whole = await client.get(url)
        etag = whole.headers["etag"]
        half = len(whole.content) // 2
        part = await client.get(url, headers={"Range": f"bytes={half}-", "If-Range": etag})
        assert part.status_code == 206
        assert part.headers["content-range"] == f"bytes {half}-{len(whole.content) - 1}/{len(whole.content)}"
        assert part.content == whole.content[half:]
        again = await client.get(url, headers={"Range": f"bytes={half}-", "If-Range": '"another"'})
        assert (again.status_code, again.content) == (200, whole.content)
        beyond = await client.get(url, headers={"Range": f"bytes={len(whole.content)}-"})
        assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(whole.content)}")


async def test_without_a_running_grant_nothing_is_given_out(made: Harness, sources: list[Source]) -> None:
    client = await made.signed_in(Role.INVESTIGATOR)
    told = await exported(client)
    made.clock.advance(13 * 3600)
    client = await made.signed_in(Role.INVESTIGATOR)
    refused = await client.get(told["package_url"])
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "grant_ended")
    grant = await client.post(
        "/api/grants",
        json={
            "channel_ids": [CHANNEL_ID],
            "purpose_id": await incident(client),
            "reason": "fetched once more",
            "actions": ["export"],
        },
    )
    again = await client.get(told["package_url"], params={"grant_id": grant.json()["id"]})
    assert again.status_code == 200


async def test_a_grant_that_is_revoked_stops_the_rendering(made: Harness, sources: list[Source]) -> None:
    client = await made.signed_in(Role.INVESTIGATOR)
    exports = made.context.exports._exports
    begun, forever = asyncio.Event(), asyncio.Event()

    async def endless(*_args: Any, **_how: Any) -> Any:
        begun.set()
        await forever.wait()

    exports._pool.run = endless  # type: ignore[method-assign]
    ordered = (await client.post("/api/exports", json=await order(client))).json()
    await begun.wait()
    supervisor = await made.signed_in(Role.SUPERVISOR)
    await supervisor.delete(f"/api/grants/{ordered['grant']['id']}", params={"reason": "not allowed"})
    told = await finished(client, ordered["export"]["id"])
    assert (told["state"], told["files"]) == ("cancelled", [])
    await until(lambda: [one.outcome for one in records(made)] == [AccessOutcome.GRANT_REVOKED])


async def test_a_grant_that_is_revoked_cuts_the_download(made: Harness, sources: list[Source]) -> None:
    client = await made.signed_in(Role.INVESTIGATOR)
    told = await exported(client)
    downloads = made.context.export_downloads
    subject = made.subject(Role.INVESTIGATOR)
    found = await downloads.fetch(subject, told["id"], None, None, "")
    stream = downloads.send(found, 0, found.length)
    await anext(stream)
    downloads.end_grant(told["grant_id"], AccessOutcome.GRANT_REVOKED)
    assert [piece async for piece in stream] == []
    await until(
        lambda: (
            [one.outcome for one in records(made) if one.protocol == "download"]
            == [AccessOutcome.GRANT_REVOKED]
        )
    )


async def test_nobody_else_sees_or_fetches_it(made: Harness, sources: list[Source]) -> None:
    told = await exported(await made.signed_in(Role.INVESTIGATOR))
    for role in (Role.OPERATOR, Role.SUPERVISOR, Role.AUDITOR):
        client = await made.signed_in(role)
        assert (await client.get(f"/api/exports/{told['id']}")).status_code == 403
        assert (await client.get(told["package_url"])).status_code == 403
    made.context.exports._exports._known[told["id"]] = made.context.exports._exports._known[told["id"]]
    other = made.subject(Role.SUPERVISOR)
    with pytest.raises(Exception, match="no such export"):
        made.context.exports.find(other, told["id"])


async def test_an_export_is_removed_in_time(made: Harness, sources: list[Source]) -> None:
    client = await made.signed_in(Role.INVESTIGATOR)
    told = await exported(client)
    exports = made.context.exports._exports
    folder = made.context.settings.data_dir / "rendered" / told["id"]
    assert folder.is_dir()
    made.clock.advance(7 * 86_400 + 1)
    await exports.sweep()
    assert not folder.exists()
    client = await made.signed_in(Role.INVESTIGATOR)
    gone = (await client.get(f"/api/exports/{told['id']}")).json()
    assert (gone["state"], gone["package_url"], gone["bytes"]) == ("expired", None, 0)
    assert (await client.get(told["package_url"])).status_code == 404


async def test_an_export_can_be_given_up_and_its_files_removed(made: Harness, sources: list[Source]) -> None:
    client = await made.signed_in(Role.INVESTIGATOR)
    told = await exported(client)
    assert (await client.delete(f"/api/exports/{told['id']}")).json()["state"] == "expired"
    assert not (made.context.settings.data_dir / "rendered" / told["id"]).exists()


async def test_what_was_deleted_is_not_exported_whether_its_file_is_there_or_not(
    made: Harness, sources: list[Source]
) -> None:
    client = await made.signed_in(Role.INVESTIGATOR)
    exports = made.context.exports._exports
    render = exports._pool.run
    heard: list[list[int]] = []

    async def run(job: str, arguments: dict[str, Any], **how: Any) -> Any:
        heard.append([one["sequence"] for one in arguments["sources"]])
        return await render(job, arguments, **how)

    exports._pool.run = run  # type: ignore[method-assign]
    parts, _ = await made.context.exports._evidence.parts(
        (CHANNEL_ID,), 0, moment(ORIGIN_US), moment(ORIGIN_US) + timedelta(seconds=SECONDS)
    )
    with made.db.begin() as conn:
        conn.execute(update(store.segments).where(store.segments.c.sequence == 2).values(tombstone_id="t1"))
    assert set(await made.context.exports._evidence.still_kept(parts[0])) == {1, 3}
    told = await exported(client, cut="key_frames")
    assert heard == [[1, 3]]
    assert len(told["files"]) == 3


async def test_one_is_ordered_in_the_moment_another_ends(made: Harness, sources: list[Source]) -> None:
    client = await made.signed_in(Role.INVESTIGATOR)
    exports = made.context.exports._exports
    begun, forever = asyncio.Event(), asyncio.Event()

    async def endless(*_args: Any, **_how: Any) -> Any:
        begun.set()
        await forever.wait()

    exports._pool.run = endless  # type: ignore[method-assign]
    ordered = (await client.post("/api/exports", json=await order(client))).json()["export"]
    await begun.wait()
    job = exports._jobs.pop(ordered["id"])  # its files are removed in a thread now
    assert (await client.post("/api/exports", json=await order(client))).status_code == 201
    exports._jobs[ordered["id"]] = job


async def test_an_account_keeps_no_more_than_its_quota(tmp_path: Path) -> None:
    async with harness(tmp_path, export_quota_bytes=2**20) as made:
        [disk] = made.context.recording.disks.disks().values()
        begin = moment(ORIGIN_US)
        large = Finished(
            Track(CHANNEL_ID), disk.id, "large.mp4", begin, begin + timedelta(minutes=1),
            2**24, "ab", "h264", 640, 360, "", 1500, 30, "", None,
        )  # fmt: skip
        with made.db.begin() as conn:
            SegmentIndex(Bands()).append(conn, [large])
        client = await made.signed_in(Role.INVESTIGATOR)
        end = (moment(ORIGIN_US) + timedelta(minutes=1)).isoformat()
        refused = await client.post("/api/exports", json=await order(client, end=end))
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "export_quota_reached")
        assert records(made) == []


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"end": "2020-01-01T00:00:00Z"}, 409, "recording_invalid"),
        ({"begin": "2020-01-01T00:00:00Z", "end": "2020-01-01T00:10:00Z"}, 404, "nothing_recorded"),
        ({"channel_ids": ["x"]}, 404, "channel_unknown"),
        ({"channel_ids": []}, 422, "invalid_request"),
        ({"time_zone": "Mars/Olympus"}, 422, "invalid_request"),
        ({"purpose_id": None}, 422, "purpose_required"),
        ({"reason": " "}, 422, "reason_required"),
    ],
)
async def test_what_cannot_be_is_refused_and_leaves_nothing(
    made: Harness, sources: list[Source], changes: dict[str, Any], status: int, code: str
) -> None:
    client = await made.signed_in(Role.INVESTIGATOR)
    refused = await client.post("/api/exports", json=await order(client, **changes))
    assert refused.json()["error"]["code"] == code, refused.text
    assert refused.status_code // 100 == 4
    assert records(made) == []
    assert (await client.get("/api/exports")).json()["items"] == []


async def test_a_server_that_starts_again_says_what_was_not_finished(
    tmp_path: Path, made: Harness, sources: list[Source]
) -> None:
    client = await made.signed_in(Role.INVESTIGATOR)
    exports = made.context.exports._exports
    begun, forever = asyncio.Event(), asyncio.Event()

    async def endless(*_args: Any, **_how: Any) -> Any:
        begun.set()
        await forever.wait()

    exports._pool.run = endless  # type: ignore[method-assign]
    ordered = (await client.post("/api/exports", json=await order(client))).json()["export"]
    await begun.wait()
    folder = made.context.settings.data_dir / "rendered"
    (folder / "stranger").mkdir()
    await exports.close()
    assert exports.find(ordered["id"]).failure == "interrupted"
    again = type(exports)(
        folder, exports._pool, made.db, made.clock, quota_bytes=1, keep=timedelta(days=1),
        on_changed=lambda _export: None,
    )  # fmt: skip
    await again.start()
    assert (again.find(ordered["id"]).state, list(folder.iterdir())) == (ExportState.FAILED, [])
    await again.close()


@pytest.fixture
async def look(made: Harness, sources: list[Source]) -> tuple[httpx.AsyncClient, str]:
    return await looking(made)


async def looking(made: Harness) -> tuple[httpx.AsyncClient, str]:
    """A look at the first five seconds that is open, and who has it."""
    client = await made.signed_in(Role.INVESTIGATOR)
    body = await order(
        client, begin=moment(ORIGIN_US).isoformat(), end=moment(ORIGIN_US + 5_000_000).isoformat()
    )
    opened = await client.post(
        "/api/recorded",
        json={name: body[name] for name in ("begin", "end", "purpose_id", "reason")}
        | {"channel_id": CHANNEL_ID},
    )
    assert opened.status_code == 201, opened.text
    return client, str(opened.json()["access_id"])


async def test_a_still_of_the_past_is_made_under_a_look(
    made: Harness, look: tuple[httpx.AsyncClient, str]
) -> None:
    client, access_id = look
    url = f"/api/recorded/{access_id}/0/still"
    at = moment(ORIGIN_US + 3_700_000).isoformat()
    still = await client.get(url, params={"at": at, "width": 160})
    assert (still.status_code, still.headers["content-type"]) == (200, "image/jpeg")
    assert still.content[:2] == b"\xff\xd8"
    assert still.headers["x-commonview-at"] == moment(ORIGIN_US + 3_000_000).isoformat()
    outside = await client.get(url, params={"at": moment(ORIGIN_US + 5_500_000).isoformat()})
    assert (outside.status_code, outside.json()["error"]["code"]) == (404, "nothing_recorded")
    await client.delete(f"/api/recorded/{access_id}")
    assert (await client.get(url, params={"at": at})).status_code == 404
    await until(lambda: [one.bytes_sent for one in records(made)] == [len(still.content)])


async def test_a_strip_says_when_each_of_its_pictures_is(look: tuple[httpx.AsyncClient, str]) -> None:
    client, access_id = look
    span = {
        "begin": moment(ORIGIN_US - 2_000_000).isoformat(),
        "end": moment(ORIGIN_US + 4_000_000).isoformat(),
    }
    strip = await client.get(f"/api/recorded/{access_id}/0/strip", params=span | {"count": 6})
    assert strip.status_code == 200, strip.text
    told = strip.headers["x-commonview-at"].split(",")
    assert told == ["-", "-", *(str(ORIGIN_US // 1000 + second * 1000) for second in range(4))]
