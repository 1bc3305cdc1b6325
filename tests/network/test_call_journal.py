"""The calls that stand are on disk, and a server that was killed knows them when it is back."""

import asyncio
import socket
from pathlib import Path

import pytest

from commonview.network.call_journal import CallJournal
from commonview.wire.sip.dialog import Dialog
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest
from tests.network.harness import DEVICE, open_room, until
from tests.waiting import PATIENCE_S

FLOW = Flow("udp", ("192.0.2.10", 5060), ("192.0.2.1", 5060))


def dialog(number: int) -> Dialog:
    return Dialog(
        call_id=f"call-{number}",
        local="<sip:34020000002000000001@3402000000>;tag=ours",
        remote=f"<sip:{DEVICE}@3402000000>;tag=theirs",
        local_tag="ours",
        remote_tag="theirs",
        remote_target=f"sip:{DEVICE}@192.0.2.10:5060",
        route_set=("<sip:proxy;lr>",),
        local_cseq=7,
    )


def test_what_stood_is_known_to_the_next_process_and_what_ended_is_not(tmp_path: Path) -> None:
    killed = CallJournal(tmp_path / "calls.jsonl")
    killed.load()
    killed.began(DEVICE, FLOW, dialog(1))
    killed.began(DEVICE, FLOW, dialog(2))
    killed.ended("call-1")
    (left,) = CallJournal(tmp_path / "calls.jsonl").load()
    assert (left.device_id, left.transport, left.peer) == (DEVICE, "udp", FLOW.peer)
    assert isinstance(left.call, Dialog)
    bye = left.call.new_request("BYE")
    assert bye.headers.get("Call-ID") == "call-2"
    assert bye.headers.get("To") == dialog(2).remote
    assert int((bye.headers.get("CSeq") or "").split()[0]) > 7


def test_a_call_left_over_stays_noted_until_it_is_ended(tmp_path: Path) -> None:
    CallJournal(tmp_path / "calls.jsonl").began(DEVICE, FLOW, dialog(1))
    second = CallJournal(tmp_path / "calls.jsonl")
    assert len(second.load()) == 1
    third = CallJournal(tmp_path / "calls.jsonl")
    assert len(third.load()) == 1
    third.ended("call-1")
    assert CallJournal(tmp_path / "calls.jsonl").load() == []


@pytest.mark.parametrize(
    "damage", ['{"call_id": "torn', "", "[1, 2]", '"word"', '{"call_id": 1}', '{"ended": {}}', "\x00\xff"]
)
def test_a_damaged_line_costs_itself_only(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "calls.jsonl"
    journal = CallJournal(path)
    journal.began(DEVICE, FLOW, dialog(1))
    with path.open("a", encoding="utf-8") as file:
        file.write(damage + "\n")
    journal.began(DEVICE, FLOW, dialog(2))
    assert [left.call_id for left in CallJournal(path).load()] == ["call-1", "call-2"]


def test_the_file_stays_small_however_many_calls_come_and_go(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    journal = CallJournal(path)
    for number in range(3000):
        journal.began(DEVICE, FLOW, dialog(number))
        journal.ended(f"call-{number}")
    assert len(path.read_text().splitlines()) <= 1100
    assert path.stat().st_mode & 0o077 == 0
    assert CallJournal(path).load() == []


def test_a_disk_that_refuses_costs_the_line_and_is_counted(tmp_path: Path) -> None:
    journal = CallJournal(tmp_path / "no such folder" / "calls.jsonl")
    assert journal.load() == []
    journal.began(DEVICE, FLOW, dialog(1))
    assert journal.unwritten == 2


@pytest.mark.anyio
async def test_a_device_whose_call_was_left_over_is_told_bye_at_the_next_start(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        device.bind(("127.0.0.1", 0))
        device.setblocking(False)
        CallJournal(tmp_path / "calls.jsonl").began(
            DEVICE, Flow("udp", device.getsockname(), FLOW.local), dialog(1)
        )
        async with open_room(tmp_path):
            async with asyncio.timeout(PATIENCE_S):
                told, server = await asyncio.get_running_loop().sock_recvfrom(device, 65536)
            head = told.decode().split("\r\n")
            assert head[0].startswith("BYE ")
            assert "Call-ID: call-1" in head
            copied = [line for line in head if line.split(":")[0] in ("Via", "From", "To", "Call-ID", "CSeq")]
            answer = "\r\n".join(["SIP/2.0 200 OK", *copied, "Content-Length: 0", "", ""])
            device.sendto(answer.encode(), server)
            await until(lambda: "call-1" not in _standing(tmp_path))


@pytest.mark.anyio
@pytest.mark.parametrize(("status", "told"), [(200, ["ACK", "BYE"]), (180, ["CANCEL"])])
async def test_an_invite_whose_answer_was_not_lived_to_hear_is_ended_at_the_next_start(
    tmp_path: Path, status: int, told: list[str]
) -> None:
    """The kill came between INVITE and 200: the device sends, and waits for an ACK that never comes."""
    headers = Headers(
        (
            ("Via", f"SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bKformer{status}"),
            ("From", "<sip:34020000002000000001@3402000000>;tag=ours"),
            ("To", f"<sip:{DEVICE}@3402000000>"),
            ("Call-ID", "call-9"),
            ("CSeq", "1 INVITE"),
            ("Contact", "<sip:34020000002000000001@192.0.2.1:5060>"),
        )
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        device.bind(("127.0.0.1", 0))
        device.setblocking(False)
        target = f"sip:{DEVICE}@127.0.0.1:{device.getsockname()[1]}"
        CallJournal(tmp_path / "calls.jsonl").began(
            DEVICE, Flow("udp", device.getsockname(), FLOW.local), SipRequest("INVITE", target, headers)
        )
        heard: list[str] = []
        async with open_room(tmp_path), asyncio.timeout(PATIENCE_S):
            while not set(told) <= set(heard):
                data, server = await asyncio.get_running_loop().sock_recvfrom(device, 65536)
                head = data.decode().split("\r\n")
                assert "Call-ID: call-9" in head
                method = head[0].partition(" ")[0]
                heard.append(method)
                if method == "ACK":
                    continue
                code = status if method == "INVITE" else 200
                copied = [line for line in head if line.split(":")[0] in ("Via", "From", "Call-ID", "CSeq")]
                answer = [f"SIP/2.0 {code} Here", *copied, f"To: <sip:{DEVICE}@3402000000>;tag=theirs"]
                answer += [f"Contact: <{target}>", "Content-Length: 0", "", ""]
                device.sendto("\r\n".join(answer).encode(), server)
            assert heard[0] == "INVITE"
            await until(lambda: "call-9" not in _standing(tmp_path))


def _standing(folder: Path) -> list[str]:
    copy = folder / "copy.jsonl"
    copy.write_bytes((folder / "calls.jsonl").read_bytes())
    return [left.call_id for left in CallJournal(copy).load()]
