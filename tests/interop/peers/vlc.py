"""VLC without a screen: what it gets goes into a file, its sound decoded; ffprobe looks at the file."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from tests.interop.peers import PEERS

_PLUGIN = PEERS / "vlc" / "access" / "liblive555_plugin.so"
_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
"""VLC refuses to be run by root."""
_SECONDS = 8


def require_vlc(*, rtsp: bool = False) -> None:
    """Skip the test when there is no VLC, or none that speaks RTSP."""
    for program in ("cvlc", "ffprobe", *(("setpriv",) if os.geteuid() == 0 else ())):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (scripts/test-packages.sh interop)")
    if rtsp and not _PLUGIN.is_file():
        pytest.skip("Debian's VLC speaks no RTSP, and the plug-in is not built (scripts/build-peers.sh)")


async def film(url: str, *flags: str, mux: str = "avi") -> Counter[str]:
    """Let VLC take a few seconds of a stream: how many pictures and pieces of sound came, by codec."""
    # A folder that nobody else's rights stand in front of.
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o777)
        if _PLUGIN.is_file():
            (place / "plugins").mkdir()
            shutil.copy(_PLUGIN, place / "plugins")
        out = place / f"film.{mux}"
        chain = f"#transcode{{acodec=s16l}}:std{{access=file,mux={mux},dst={out}}}"
        command = ["cvlc", "--quiet", "--intf", "dummy", f"--run-time={_SECONDS}", "--sout", chain]
        process = await asyncio.create_subprocess_exec(
            *(_NOBODY if os.geteuid() == 0 else ()),
            *command,
            *flags,
            url,
            "vlc://quit",
            env={**os.environ, "HOME": folder, "VLC_PLUGIN_PATH": str(place / "plugins")},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            # It measures the time of the stream, not ours.
            _, complaints = await asyncio.wait_for(process.communicate(), 20 * _SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, complaints.decode()
        return await _counted(out)


async def _counted(file: Path) -> Counter[str]:
    """Every picture is decoded for it. VLC ends the file where it stands."""
    command = ("ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=codec_name,nb_read_frames")
    probe = await asyncio.create_subprocess_exec(
        *command,
        "-of",
        "csv=p=0",
        str(file),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complaints = await probe.communicate()
    assert probe.returncode == 0, complaints.decode()
    rows = (line.split(",") for line in said.decode().split())
    return Counter({codec: int(frames) for codec, frames in rows})
