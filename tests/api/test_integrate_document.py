"""docs/integrate.md is run as it stands, against a server and a simulated camera started as processes."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.api.harness import signed_in_at
from tests.processes import OPERATOR, Cameras, Server, channels, running, wait_for
from tests.waiting import PATIENCE_S

DOCUMENT = Path(__file__).parents[2] / "docs" / "integrate.md"


def _program() -> str:
    found = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert found, "docs/integrate.md has no Python block"
    return found[1]


def test_the_program_is_a_dozen_lines() -> None:
    lines = [line for line in _program().splitlines() if line and not line.startswith("import")]
    assert len(lines) <= 12


def test_the_program_obtains_a_url_that_plays(tmp_path: Path) -> None:
    server = Server(tmp_path)
    cameras = Cameras(server, count=1)
    script = tmp_path / "watch.py"
    script.write_text(_program(), encoding="utf-8")
    environment = {
        **os.environ,
        "COMMONVIEW_URL": server.url,
        "COMMONVIEW_USER": OPERATOR["username"],
        "COMMONVIEW_PASSWORD": OPERATOR["password"],
    }
    with running(server):
        server.set_up()
        with running(cameras), signed_in_at(server.url, OPERATOR) as operator:
            wait_for(
                lambda: [one for one in channels(operator) if one["device"]["online"]],
                "the camera",
                timeout_s=60,
            )
            run = subprocess.run(
                [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=True
            )
            url = run.stdout.strip()
            assert _plays(url)


def _plays(url: str) -> bool:
    if shutil.which("ffprobe") is None:
        with httpx.stream("GET", url, timeout=PATIENCE_S) as answer:
            start = next(answer.iter_bytes())
        return start[4:8] == b"ftyp"
    command = [
        "ffprobe",
        "-v",
        "error",
        "-of",
        "json",
        "-show_entries",
        "stream=codec_name,width,height",
        url,
    ]
    probed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    [stream] = json.loads(probed.stdout)["streams"]
    return stream["codec_name"] in {"h264", "hevc"} and stream["width"] > 0


@pytest.mark.parametrize(
    "path", re.findall(r"`(?:GET|POST|DELETE) (/api/[^`]+)`", DOCUMENT.read_text("utf-8"))
)
def test_every_operation_the_document_names_exists(path: str) -> None:
    from commonview.api.app import create_app

    assert path in create_app(None).openapi()["paths"]
