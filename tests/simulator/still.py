"""A source that shows nothing: for tests of what lies beside the picture."""

from collections.abc import AsyncGenerator

from commonview.simulator.controls_head import Look
from commonview.simulator.frames import Frame, SourceFormat, StreamType


class StillSource:
    """Delivers no frames; hands out one fixed picture."""

    PICTURE = b"\xff\xd8\xff\xe0 picture \xff\xd9"

    def __init__(self) -> None:
        self.keys_wanted = 0
        self.looks: list[Look] = []

    @property
    def format(self) -> SourceFormat:
        return SourceFormat(video=StreamType.H264, width=704, height=576, fps=15.0)

    def prepare(self) -> None:
        pass

    async def frames(self) -> AsyncGenerator[Frame, None]:
        nothing: tuple[Frame, ...] = ()
        for frame in nothing:
            yield frame

    async def close(self) -> None:
        pass

    def picture(self) -> bytes:
        return self.PICTURE

    def want_key(self) -> None:
        self.keys_wanted += 1

    def look_at(self, look: Look) -> None:
        self.looks.append(look)
