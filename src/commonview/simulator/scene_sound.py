"""What a drawn street sounds like: a tone, louder at the full second, in the codings of real cameras."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import av
import numpy as np

from commonview.simulator.annexb import adts_writer
from commonview.simulator.errors import SimulatorError
from commonview.simulator.frames import Frame, FrameKind, StreamType
from commonview.simulator.sources import SoundChoice

_CLOCK_90K: Final = 90_000
_PITCHES_HZ: Final = (440.0, 523.25, 587.33, 659.25, 783.99)
_QUIET: Final = 0.2
_LOUD: Final = 0.6
_LOUD_S: Final = 0.1
_TYPES: Final = {"g711a": StreamType.G711A, "g711u": StreamType.G711U, "aac": StreamType.AAC}
_ENCODERS: Final = {"g711a": "pcm_alaw", "g711u": "pcm_mulaw", "aac": "aac"}


def sound_type(choice: SoundChoice) -> StreamType | None:
    """What the program stream map says of it."""
    return _TYPES.get(choice)


def second_of_sound(choice: SoundChoice, seed: int = 0) -> list[bytes]:
    """The packets of one second that follow one another, whatever second it is (G.711)."""
    return [frame.data for frame in SceneSound(choice, seed).until(1.0)]


class SceneSound:
    """Frames of sound, one after the other: 40 ms of G.711 at 8 kHz or 64 ms of AAC at 16 kHz."""

    def __init__(self, choice: SoundChoice, seed: int = 0) -> None:
        is_aac = choice == "aac"
        self._rate = 16_000 if is_aac else 8000
        self._block = 1024 if is_aac else 320
        self._pitch = _PITCHES_HZ[seed % len(_PITCHES_HZ)]
        self._done = 0
        encoder = av.CodecContext.create(_ENCODERS[choice], "w")
        if not isinstance(encoder, av.AudioCodecContext):
            raise SimulatorError(f"{choice} is no sound")
        encoder.sample_rate, encoder.layout, encoder.time_base = self._rate, "mono", Fraction(1, self._rate)
        encoder.format = "fltp" if is_aac else "s16"
        encoder.open()
        self._encoder = encoder
        self._header = adts_writer(bytes(encoder.extradata or b"")) if is_aac else None

    def until(self, seconds: float) -> Iterator[Frame]:
        """What sounds before that moment and was not given yet."""
        while (self._done + self._block) / self._rate <= seconds:
            frame = self._frame()
            self._done += self._block
            for packet in self._encoder.encode(frame):
                data = bytes(packet)
                if self._header is not None:
                    data = self._header(len(data)) + data
                at = max(0, round((packet.pts or 0) * _CLOCK_90K / self._rate))
                yield Frame(FrameKind.AUDIO, data, at, at, key=False)

    def skip(self, seconds: float) -> None:
        """Go on at that moment."""
        self._done = max(self._done, round(seconds * self._rate))

    def _frame(self) -> av.AudioFrame:
        times = (self._done + np.arange(self._block)) / self._rate
        level = np.where(times % 1.0 < _LOUD_S, _LOUD, _QUIET)
        wave = (np.sin(2 * np.pi * self._pitch * times) * level).reshape(1, -1)
        floats = self._encoder.format.name == "fltp"
        samples = wave.astype(np.float32) if floats else (wave * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format=self._encoder.format.name, layout="mono")
        frame.sample_rate, frame.pts = self._rate, self._done
        return frame
