"""The trace over HTTP: paged, redacted, exported with an audit entry."""

import io

import pytest

from commonview.explain import read_capture_from
from commonview.security import Role
from commonview.wire.sip.flow import Flow
from tests.api.harness import Harness
from tests.api.network_room import DEVICE_ID

pytestmark = pytest.mark.anyio

PEER = Flow("udp", ("192.0.2.10", 5060), ("192.0.2.1", 5060))


def said(made: Harness, number: int) -> None:
    """A device that is refused at once."""
    request = (
        "REGISTER sip:34020000002000000001@3402000000 SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK{number}\r\n"
        f"From: <sip:{DEVICE_ID}@3402000000>;tag=1\r\nTo: <sip:{DEVICE_ID}@3402000000>\r\n"
        f"Call-ID: c{number}\r\nCSeq: {number} REGISTER\r\n"
        "Authorization: Basic c2VjcmV0\r\nExpires: 60\r\n\r\n"
    )
    answer = request.partition("\r\n")[2].replace("Authorization: Basic c2VjcmV0\r\n", "")
    made.network.trace.recorder.received(made.clock.monotonic(), PEER, request.encode())
    made.network.trace.recorder.sent(PEER, b"SIP/2.0 403 Forbidden\r\n" + answer.encode())


@pytest.fixture
async def spoken(made: Harness) -> Harness:
    for number in range(1, 4):
        said(made, number)
        made.clock.advance(200)
    return made


async def test_a_device_has_a_paged_trace_with_causes(spoken: Harness) -> None:
    client = await spoken.signed_in(Role.MAINTAINER)
    answer = await client.get(f"/api/devices/{DEVICE_ID}/trace", params={"limit": 2})
    page = answer.json()
    assert (answer.status_code, page["total"], len(page["items"])) == (200, 3, 2)
    finding = page["items"][0]["findings"][0]
    assert (finding["cause"], finding["hop"]) == ("broken_proof", "authentication")
    rest = await client.get(f"/api/devices/{DEVICE_ID}/trace", params={"limit": 2, "offset": 2})
    assert len(rest.json()["items"]) == 1
    none = await client.get(f"/api/devices/{DEVICE_ID}/trace", params={"outcome": "ok"})
    assert none.json() == {"items": [], "total": 0}


async def test_an_exchange_shows_its_messages_without_secrets(spoken: Harness) -> None:
    client = await spoken.signed_in(Role.OPERATOR)
    first = (await client.get(f"/api/devices/{DEVICE_ID}/trace")).json()["items"][0]
    detail = (await client.get(f"/api/trace/exchanges/{first['id']}")).json()
    assert [each["summary"] for each in detail["messages"]] == [
        "REGISTER Expires 60, Authorization",
        "403 Forbidden (REGISTER)",
    ]
    assert "c2VjcmV0" not in str(detail)
    assert (await client.get(f"/api/trace/exchanges/{DEVICE_ID}~nothing")).status_code == 404


@pytest.mark.parametrize("ending", ["txt", "pcap"])
async def test_an_export_is_audited_and_holds_no_secret(spoken: Harness, ending: str) -> None:
    client = await spoken.signed_in(Role.MAINTAINER)
    answer = await client.get(f"/api/devices/{DEVICE_ID}/trace.{ending}")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == f'attachment; filename="{DEVICE_ID}.{ending}"'
    assert b"c2VjcmV0" not in answer.content
    if ending == "pcap":
        assert len(read_capture_from(io.BytesIO(answer.content)).recording.sightings) == 6
    else:
        assert "403 Forbidden (REGISTER)" in answer.text
    auditor = await spoken.signed_in(Role.AUDITOR)
    entries = (await auditor.get("/api/audit")).json()["items"]
    assert "trace.export" in {each["action"] for each in entries}


async def test_an_inspector_of_the_books_sees_no_signalling(spoken: Harness) -> None:
    client = await spoken.signed_in(Role.INSPECTOR)
    assert (await client.get(f"/api/devices/{DEVICE_ID}/trace")).status_code == 403


async def test_a_session_that_nobody_knows_has_no_trace(made: Harness) -> None:
    client = await made.signed_in(Role.MAINTAINER)
    assert (await client.get("/api/sessions/none/trace.txt")).status_code == 404
    assert (await client.get("/api/devices/34020000001110009999/trace.pcap")).status_code == 404
