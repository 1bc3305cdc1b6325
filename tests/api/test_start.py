"""Starting and stopping as an operator sees it: plain words, no traceback, the setting to change."""

import asyncio
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import pytest

from commonview import __version__
from commonview.api.server import BackgroundFailed, Ready, serve
from commonview.foundation.datadir import DataDirectory
from commonview.foundation.settings import Settings
from commonview.security import SecurityService
from tests.ports import free_port
from tests.processes import Server, running
from tests.waiting import PATIENCE_S


def _commonview(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "commonview", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _refused(result: subprocess.CompletedProcess[str]) -> str:
    """The sentence of a start that failed."""
    assert result.returncode == 1, result
    assert "Traceback" not in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("commonview: ")
    return last


def test_version() -> None:
    assert _commonview("--version").stdout.strip() == f"commonview {__version__}"


def test_without_a_command_the_help_is_shown() -> None:
    result = _commonview()
    assert result.returncode == 2
    for command in ("serve", "simulate", "verify", "setup-link"):
        assert command in result.stdout


@pytest.mark.parametrize("command", [("simulate", "cameras"), ("verify", "audit"), ("setup-link",)])
def test_every_command_has_help(command: tuple[str, ...]) -> None:
    result = _commonview(*command, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert " ".join(("usage: commonview", *command)) in result.stdout


def test_a_wrong_setting_is_told_before_anything_is_touched(tmp_path: Path) -> None:
    data = tmp_path / "data"
    sentence = _refused(_commonview("serve", "--data-dir", data, "--sip-id", "12"))
    assert "--sip-id" in sentence
    assert not data.exists()


def test_broken_toml_is_told_with_file_and_line(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text("http_port = 1\nsip_port =\n")
    sentence = _refused(_commonview("serve", "--config", config))
    assert str(config) in sentence
    assert "line 2" in sentence


def test_a_busy_port_is_told_with_the_setting_to_change(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        sentence = _refused(_commonview("serve", "--data-dir", tmp_path / "data", "--http-port", port))
    for part in (f"127.0.0.1:{port}", "Address already in use", "--http-port", "COMMONVIEW_HTTP_PORT"):
        assert part in sentence


def test_an_address_of_another_machine_is_told(tmp_path: Path) -> None:
    arguments = ("serve", "--data-dir", tmp_path / "data", "--http-port", 0, "--rtp-host", "192.0.2.1")
    assert "--rtp-host" in _refused(_commonview(*arguments))


def test_a_data_directory_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    arguments = ("serve", "--data-dir", tmp_path / "file" / "data", "--http-port", 0)
    assert "--data-dir" in _refused(_commonview(*arguments))


def test_a_second_server_on_one_directory_is_refused(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "data")
    directory.prepare()
    directory.lock()
    try:
        sentence = _refused(_commonview("serve", "--data-dir", directory.root, "--http-port", 0))
    finally:
        directory.unlock()
    assert "another Commonview server" in sentence


def test_a_key_that_others_can_read_is_told_with_the_remedy(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "data")
    directory.prepare()
    directory.instance_key.write_bytes(b"k" * 32)
    directory.instance_key.chmod(0o644)
    sentence = _refused(_commonview("serve", "--data-dir", directory.root, "--http-port", 0))
    assert f"chmod 600 {directory.instance_key}" in sentence


def test_a_damaged_database_is_told(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "data")
    directory.prepare()
    directory.database.write_bytes(b"this is not a database" * 500)
    sentence = _refused(_commonview("serve", "--data-dir", directory.root, "--http-port", 0))
    assert str(directory.database) in sentence


def test_serving_loads_nothing_that_only_simulated_cameras_or_migrations_need() -> None:
    heavy = {"av", "numpy", "PIL", "alembic", "commonview.simulator"}
    program = f"import sys, commonview.api.server; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_console_script_is_this_command_line() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"commonview": "commonview.cli:main"}


def test_a_server_starts_says_where_it_is_and_stops_in_order(tmp_path: Path) -> None:
    server = Server(tmp_path)
    with running(server):
        text = server.text()
        for part in (server.url, f"127.0.0.1:{server.sip_port}", "device-enrolment.password", "setup?token="):
            assert part in text
        assert (server.data_dir / "keys" / "device-enrolment.password").read_text().strip() not in text
        assert server.stop(signal.SIGTERM) == 0
    assert "Traceback" not in server.text()
    with running(server):
        server.set_up()
        assert not (server.data_dir / "setup-link").exists()
        assert _commonview("setup-link", "--data-dir", server.data_dir).returncode == 1
    with running(server):
        assert httpx.get(f"{server.url}/api/setup", timeout=PATIENCE_S).json() == {"needed": False}


async def _dies(_service: SecurityService) -> None:
    raise RuntimeError("a part died")


def test_a_server_does_not_go_on_when_a_part_of_it_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SecurityService, "run", _dies)
    settings = Settings(data_dir=tmp_path / "data", http_port=0, media_port=0, media_rtsp_port=0, sip_port=0)
    with pytest.raises(BackgroundFailed, match="grants and checkpoints"):
        asyncio.run(serve(settings, on_ready=lambda _: None))


def test_a_stopped_server_gives_everything_back(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", http_port=0, media_port=0, media_rtsp_port=0, sip_port=0)

    async def start_and_stop() -> list[Ready]:
        stop = asyncio.Event()
        seen = []

        def ready(one: Ready) -> None:
            seen.append(one)
            stop.set()

        await serve(settings, on_ready=ready, stop=stop)
        return seen

    for _ in range(2):  # the second start needs the lock, the ports and the database of the first
        assert len(asyncio.run(start_and_stop())) == 1


def test_two_servers_run_side_by_side(tmp_path: Path) -> None:
    first, second = Server(tmp_path / "a"), Server(tmp_path / "b")
    for one in (first, second):
        one.data_dir.parent.mkdir()
    with running(first, second):
        for one in (first, second):
            assert httpx.get(f"{one.url}/api/health", timeout=PATIENCE_S).json() == {"status": "ok"}


def test_the_setup_link_can_be_shown_again(tmp_path: Path) -> None:
    server = Server(tmp_path)
    with running(server):
        shown = _commonview("setup-link", "--data-dir", server.data_dir)
        assert shown.stdout.strip().startswith(f"{server.url}/#/setup?token=")


def test_a_busy_media_or_sip_port_is_told(tmp_path: Path) -> None:
    for setting in ("media-port", "media-rtsp-port", "sip-port"):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            free = {"http-port": 0, "media-port": free_port(), "media-rtsp-port": 0, "sip-port": 0}
            ports = {**free, setting: port}
            flags = [word for name, value in ports.items() for word in (f"--{name}", value)]
            sentence = _refused(_commonview("serve", "--data-dir", tmp_path / setting, *flags))
        assert f"127.0.0.1:{port}" in sentence
        assert setting.replace("-", "_") in sentence
