"""Opening frame sources. PyAV, numpy and Pillow are loaded here and nowhere earlier: they are optional."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from commonview.simulator.errors import SimulatorExtraMissing
from commonview.simulator.frames import FrameSource
from commonview.simulator.recorder import Painter

CodecChoice = Literal["as-is", "h264", "h265"]
SoundChoice = Literal["none", "g711a", "g711u", "aac"]


async def open_video(path: Path, codec: CodecChoice, progress: Callable[[str], None]) -> FrameSource:
    """A looped file; reading and re-encoding happen in a thread.

    Raises `SourceError` for a file that cannot be used, `SimulatorExtraMissing` without PyAV.
    """
    try:
        from commonview.simulator.file_source import open_file
    except ImportError as error:
        raise SimulatorExtraMissing(error.name or "PyAV") from error
    loop = asyncio.get_running_loop()

    def report(line: str) -> None:
        loop.call_soon_threadsafe(progress, f"{path.name}: {line}")

    return await asyncio.to_thread(open_file, path, codec, report)


def open_scene(
    name: str,
    *,
    size: tuple[int, int],
    fps: int,
    codec: CodecChoice = "as-is",
    seed: int = 0,
    sound: SoundChoice = "none",
) -> FrameSource:
    """A drawn street in H.264, or H.265 when asked for. Raises `SimulatorExtraMissing`."""
    try:
        from commonview.simulator.scene_source import SceneSource
    except ImportError as error:
        raise SimulatorExtraMissing(error.name or "PyAV, numpy and Pillow") from error
    return SceneSource(name, width=size[0], height=size[1], fps=fps, codec=codec, seed=seed, sound=sound)


def open_painter(name: str, *, seed: int = 0, sound: SoundChoice = "none") -> Painter:
    """The same street at any moment of the past, for a recorder. Raises `SimulatorExtraMissing`."""
    try:
        from commonview.simulator.scene_painter import ScenePainter
    except ImportError as error:
        raise SimulatorExtraMissing(error.name or "PyAV, numpy and Pillow") from error
    return ScenePainter(name, seed=seed, sound=sound)
