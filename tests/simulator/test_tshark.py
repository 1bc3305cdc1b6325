"""tshark, knowing nothing of our code, dissects what a simulated camera and a platform say to each other."""

import asyncio
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from commonview.network.sip_endpoint import Flow, SipEndpoint
from commonview.simulator import SimulatedCamera
from commonview.simulator.camera import CameraState
from commonview.wire.manscdp import CatalogQuery
from tests.simulator.material import ScriptedSource
from tests.simulator.platform import (
    DEVICE_ID,
    ScriptedPlatform,
    answered,
    camera_settings,
    offer,
    udp_receiver,
)

pytestmark = pytest.mark.interop

Datagram = tuple[tuple[str, int], tuple[str, int], bytes]


def write_pcap(path: Path, datagrams: list[Datagram]) -> None:
    """A capture file of raw IPv4 packets (link type 101)."""
    out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)]
    for number, (source, target, data) in enumerate(datagrams):
        udp = struct.pack("!HHHH", source[1], target[1], 8 + len(data), 0) + data
        addresses = bytes(map(int, source[0].split("."))) + bytes(map(int, target[0].split(".")))
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), number & 0xFFFF, 0, 64, 17, 0) + addresses
        out.append(struct.pack("<IIII", 1_700_000_000, number, len(ip + udp), len(ip + udp)) + ip + udp)
    path.write_bytes(b"".join(out))


def dissect(path: Path, sip_port: int, rtp_port: int, *arguments: str) -> list[str]:
    program = shutil.which("tshark")
    if program is None:
        pytest.skip("tshark is not installed")
    ports = ["-d", f"udp.port=={sip_port},sip", "-d", f"udp.port=={rtp_port},rtp"]
    command = [program, "-n", "-r", str(path), *ports, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [line for line in done.stdout.splitlines() if line.strip()]


def test_signalling_and_media_are_dissected_without_a_malformed_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datagrams: list[Datagram] = []
    receive = SipEndpoint.datagrams_received

    def recorded(self: SipEndpoint, batch: list[tuple[Flow, bytes]]) -> None:
        datagrams.extend((flow.peer, flow.local, data) for flow, data in batch)
        receive(self, batch)

    monkeypatch.setattr(SipEndpoint, "datagrams_received", recorded)

    async def scenario() -> tuple[int, int]:
        async with ScriptedPlatform() as platform, udp_receiver() as receiver:
            async with SimulatedCamera(camera_settings(platform, ScriptedSource())) as camera:
                await camera.wait_for(CameraState.REGISTERED)
                await platform.send(DEVICE_ID, CatalogQuery(sn=1, device_id=DEVICE_ID))
                await platform.until(lambda: len(platform.messages) == 1)
                call = await platform.invite(offer(receiver.port))
                await call.ack()
                packets = await receiver.until_packets(40)
                await platform.bye(call)
            sender, target = ("127.0.0.1", answered(call).port), ("127.0.0.1", receiver.port)
            datagrams.extend((sender, target, packet) for packet in packets)
            return platform.port, receiver.port

    sip_port, rtp_port = asyncio.run(scenario())
    path = tmp_path / "capture.pcap"
    write_pcap(path, datagrams)

    faults = "_ws.malformed || _ws.expert.severity == error"
    assert dissect(path, sip_port, rtp_port, "-Y", faults) == []
    methods = dissect(path, sip_port, rtp_port, "-Y", "sip.Method", "-T", "fields", "-e", "sip.Method")
    assert set(methods) == {"REGISTER", "MESSAGE", "INVITE", "ACK", "BYE"}
    media = dissect(path, sip_port, rtp_port, "-Y", "sdp", "-T", "fields", "-e", "sdp.media")
    assert [line.split()[0] for line in media] == ["video", "video"]
    sources = dissect(
        path, sip_port, rtp_port, "-Y", "rtp", "-T", "fields", "-e", "rtp.ssrc", "-e", "rtp.p_type"
    )
    assert set(sources) == {"0x0bebc211\t96"}
    assert len(sources) == 40
