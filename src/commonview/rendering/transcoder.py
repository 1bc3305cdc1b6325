"""A live transcoder as the server sees it: one process, what it says of itself, and its end."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from commonview.rendering import pipe
from commonview.rendering.errors import RenderUnavailable
from commonview.rendering.pool import worker_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)

LIVE_WORKER: Final = (sys.executable, "-m", "commonview.rendering.live_worker")
_NICE: Final = 5


@dataclass(frozen=True, slots=True)
class TranscoderLimits:
    """What one transcoder may take and give."""

    memory_bytes: int
    """Address space of its process."""
    long_side: int
    """Pixels of the longer side of a picture that comes out."""
    short_side: int
    kbps: int
    silence_s: float = 20.0
    """It says something every second; one that says nothing for so long is ended."""


@dataclass(frozen=True, slots=True)
class TranscoderReport:
    """What a transcoder says of itself. Sizes are (width, height) in pixels."""

    codec: str = ""
    """What comes in: `h265`, or `h264`, which is passed on as it is."""
    size: tuple[int, int] | None = None
    made: tuple[int, int] | None = None
    decoded: int = 0
    encoded: int = 0
    passed: int = 0
    damaged: int = 0
    """Pictures that could not be decoded."""
    skipped: int = 0
    """Pictures of the cached group that were only decoded."""


@dataclass(slots=True, eq=False)
class LiveTranscoder:
    """A running transcoder. All methods run on the event loop."""

    limits: TranscoderLimits
    report: TranscoderReport = field(default_factory=TranscoderReport)
    _process: asyncio.subprocess.Process | None = None

    @staticmethod
    def is_available() -> bool:
        """Whether the library that the process needs is installed."""
        return importlib.util.find_spec("av") is not None

    @property
    def pid(self) -> int | None:
        """The process, None before there is one."""
        return None if self._process is None else self._process.pid

    async def run(self, source: int, sink: int, *, command: Sequence[str] = LIVE_WORKER) -> str:
        """Start it on these two descriptors, which are closed here, and wait for its end.

        Returns why it ended: `transcoder_failed` (its process is gone) or `transcoder_stalled` (it said
        nothing, and was ended). Cancelling this ends it. Raises `RenderUnavailable`.
        """
        try:
            process = self._process = await self._start(source, sink, command)
        finally:
            os.close(source)
            os.close(sink)
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        why = "transcoder_failed"
        try:
            await self._listen(process.stdout)
        except TimeoutError:
            why = "transcoder_stalled"
        except (asyncio.IncompleteReadError, OSError, ValueError, pipe.BadFrame):
            pass  # it is gone, or talks nonsense
        finally:
            await asyncio.shield(self._end(process))
        log.warning("a transcoder ended: %s (process %d, status %s)", why, process.pid, process.returncode)
        return why

    async def _start(self, source: int, sink: int, command: Sequence[str]) -> asyncio.subprocess.Process:
        limits = self.limits
        numbers = (source, sink, limits.memory_bytes, _NICE, limits.long_side, limits.short_side, limits.kbps)
        if not self.is_available():
            raise RenderUnavailable("nothing can be transcoded here: install commonview[rendering]")
        try:
            return await asyncio.create_subprocess_exec(
                *command,
                *(str(number) for number in numbers),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                pass_fds=(source, sink),
                env=worker_environment(),
                cwd="/",
            )
        except OSError as error:
            raise RenderUnavailable(f"no transcoder can be started ({error.strerror})") from error

    async def _listen(self, said: asyncio.StreamReader) -> None:
        while True:
            async with asyncio.timeout(self.limits.silence_s):
                head = await said.readexactly(pipe.HEAD.size)
                text = await said.readexactly(pipe.length_of(head, pipe.TEXT))
            self.report = _report(pipe.said(text).get("progress"))

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _report(told: Any) -> TranscoderReport:
    """What a process says that decodes what strangers send is read like what strangers send. Raises
    ValueError.
    """
    if not isinstance(told, dict) or told.get("codec") not in ("", "h264", "h265"):
        raise ValueError("no report")
    counts = [told.get(name) for name in ("decoded", "encoded", "passed", "damaged", "skipped")]
    numbers = [count for count in counts if isinstance(count, int)]
    if len(numbers) != len(counts):
        raise ValueError("no report")
    return TranscoderReport(told["codec"], _size(told.get("size")), _size(told.get("made")), *numbers)


def _size(told: Any) -> tuple[int, int] | None:
    if told is None:
        return None
    if not isinstance(told, list) or len(told) != 2 or not all(isinstance(side, int) for side in told):
        raise ValueError("no size")
    return told[0], told[1]
