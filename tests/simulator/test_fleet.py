"""Fleets and the command line: several cameras, one process, clean start and stop."""

import argparse
import asyncio
import builtins
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from commonview.cli import main
from commonview.simulator import FleetSettings, SimulatedFleet, SimulatorExtraMissing
from commonview.simulator.cli import PASSWORD_VARIABLE, add_arguments, numeric_address
from commonview.simulator.sources import open_scene
from commonview.wire.manscdp import Catalog, CatalogQuery
from tests.simulator.depacketise import packs_of
from tests.simulator.material import make_video, probe
from tests.simulator.platform import PASSWORD, ScriptedPlatform, offer, udp_receiver
from tests.waiting import PATIENCE_S


def fleet_settings(platform: ScriptedPlatform, **changes: Any) -> FleetSettings:
    return FleetSettings(server=platform.server, password=PASSWORD, **changes)


def test_a_fleet_registers_every_camera_under_its_own_id() -> None:
    async def scenario() -> None:
        async with ScriptedPlatform() as platform:
            settings = fleet_settings(platform, count=3, channels_per_device=2)
            async with SimulatedFleet(settings) as fleet:
                await fleet.wait_registered()
                ids = [f"3402000000132000000{number}" for number in (1, 2, 3)]
                assert sorted(platform.registered) == ids
                for device in ids:
                    await platform.send(device, CatalogQuery(sn=1, device_id=device))
                await platform.until(lambda: len(platform.messages) == 3)
            channels = {
                (item.device_id, item.name)
                for page in platform.messages
                if isinstance(page, Catalog)
                for item in page.items
            }
            assert len(channels) == 6
            assert ("34020000001310000006", "滨河路 Riverside Road #2") in channels
            assert set(platform.registered.values()) == {0}

    asyncio.run(scenario())


@pytest.mark.interop
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_file_played_by_a_fleet_is_the_file_ffprobe_reads(tmp_path: Path, codec: str) -> None:
    path = make_video(tmp_path / "in.mp4", codec=codec, audio="aac", audio_rate=44_100)

    async def scenario() -> bytes:
        async with (
            ScriptedPlatform() as platform,
            udp_receiver() as receiver,
            SimulatedFleet(fleet_settings(platform, video=path)) as fleet,
        ):
            await fleet.wait_registered()
            await (await platform.invite(offer(receiver.port))).ack()
            packets = await receiver.until_packets(150)
        return b"".join(packs_of(packets))

    out = tmp_path / "out.ps"
    out.write_bytes(asyncio.run(scenario()))
    found = probe(out)
    assert found["video"]["codec_name"] == {"libx264": "h264", "libx265": "hevc"}[codec]
    assert int(found["video"]["nb_read_frames"]) > 20
    assert found["audio"]["codec_name"] == "aac"


@pytest.mark.interop
def test_a_drawn_street_sent_over_rtp_is_read_by_ffprobe(tmp_path: Path) -> None:
    async def scenario() -> bytes:
        async with (
            ScriptedPlatform() as platform,
            udp_receiver() as receiver,
            SimulatedFleet(fleet_settings(platform, size=(352, 288), fps=25)) as fleet,
        ):
            await fleet.wait_registered()
            await (await platform.invite(offer(receiver.port))).ack()
            packets = await receiver.until_packets(80)
        return b"".join(packs_of(packets))

    out = tmp_path / "out.ps"
    out.write_bytes(asyncio.run(scenario()))
    found = probe(out)
    assert (found["video"]["codec_name"], found["video"]["width"]) == ("h264", 352)
    assert found["warnings"] == ""


def test_an_id_that_cannot_be_counted_up_is_refused() -> None:
    async def scenario() -> None:
        async with ScriptedPlatform() as platform:
            await SimulatedFleet(fleet_settings(platform, first_id="34020000001320999999", count=2)).start()

    with pytest.raises(ValueError, match="34020000001320999999"):
        asyncio.run(scenario())


def test_a_missing_extra_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = builtins.__import__

    def without_av(name: str, *rest: Any, **named: Any) -> Any:
        if name == "av" or name.startswith("av."):
            raise ImportError("No module named 'av'", name="av")
        return genuine(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without_av)
    for module in [name for name in sys.modules if name.startswith("commonview.simulator.")]:
        if module.rsplit(".", 1)[1] in {"scene_source", "encoder", "file_source"}:
            monkeypatch.delitem(sys.modules, module)
    with pytest.raises(SimulatorExtraMissing, match=r"pip install commonview\[simulator\]"):
        open_scene("x", size=(320, 240), fps=15)


class TestCommandLine:
    @pytest.fixture(autouse=True)
    def _no_password(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)

    def test_no_flag_takes_a_password(self) -> None:
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        takers = [action.dest for action in parser._actions if "password" in action.dest]
        assert takers == ["password_file"]

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ([], PASSWORD_VARIABLE),
            (["--password-file", "/nonexistent/file"], "cannot read the password file"),
            (["--server", "nowhere"], "not HOST:PORT"),
            (["--server", "127.0.0.1:99999"], "not HOST:PORT"),
        ],
    )
    def test_what_is_missing_is_said_in_words(
        self, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["simulate", "cameras", *arguments]) == 1
        assert words in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("text", "address"),
        [
            ("127.0.0.1:5060", ("127.0.0.1", 5060)),
            ("0.0.0.0:5060", ("127.0.0.1", 5060)),
            ("[::1]:5061", ("::1", 5061)),
            ("[::]:5061", ("::1", 5061)),
        ],
    )
    def test_a_server_bound_everywhere_is_reached_on_this_machine(
        self, text: str, address: tuple[str, int]
    ) -> None:
        assert numeric_address(text) == address

    @pytest.mark.parametrize(
        "arguments", [["--count", "0"], ["--size", "1x1"], ["--size", "321x240"], ["--keepalive", "0"]]
    )
    def test_values_out_of_bounds_are_misuse(self, arguments: list[str]) -> None:
        with pytest.raises(SystemExit):
            main(["simulate", "cameras", *arguments])

    def test_a_video_that_cannot_be_read_ends_with_a_sentence(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
        path = tmp_path / "in.mp4"
        path.write_bytes(b"no video")
        assert main(["simulate", "cameras", "--video", str(path)]) == 1
        assert "in.mp4" in capsys.readouterr().err

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_the_process_registers_speaks_and_stops_cleanly(self, tmp_path: Path, number: int) -> None:
        password = tmp_path / "password"
        password.write_text(PASSWORD + "\n")

        async def scenario() -> tuple[str, dict[str, int]]:
            async with ScriptedPlatform() as platform:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *("-m", "commonview", "simulate", "cameras", "--count", "2"),
                    *("--server", f"127.0.0.1:{platform.port}", "--password-file", str(password)),
                    stdout=subprocess.PIPE,
                    env=os.environ | {"PYTHONIOENCODING": "utf-8"},
                )
                await platform.until(lambda: len(platform.registered) == 2, timeout_s=30)
                process.send_signal(number)
                output, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
                assert process.returncode == 0
                return output.decode(), dict(platform.registered)

        output, registered = asyncio.run(scenario())
        assert set(registered.values()) == {0}
        assert "东门 East Gate (34020000001320000001): registered with 127.0.0.1:" in output
        assert output.rstrip().endswith("stopped")
        assert PASSWORD not in output
