"""A drawn scene at any moment: what a simulated recorder plays back."""

import threading
from datetime import datetime
from fractions import Fraction
from typing import Final

import av
from av.video.frame import PictureType

from commonview.simulator.encoder import make_encoder
from commonview.simulator.frames import SourceFormat, StreamType
from commonview.simulator.scene import Scene
from commonview.simulator.scene_sound import second_of_sound, sound_type
from commonview.simulator.scene_source import plane_views
from commonview.simulator.sources import SoundChoice

_FPS: Final = 10


class ScenePainter:
    """Paints `name`'s street, ten pictures a second, a second at a time, with the clock of that second."""

    def __init__(
        self, name: str, *, width: int = 352, height: int = 288, seed: int = 0, sound: SoundChoice = "none"
    ) -> None:
        # A recorder keeps G.711: packets of AAC do not end with the second.
        self._sounds = second_of_sound(sound, seed) if sound in ("g711a", "g711u") else []
        audio = sound_type(sound) if self._sounds else None
        self.format = SourceFormat(StreamType.H264, width, height, float(_FPS), audio=audio)
        self._name, self._seed = name, seed
        self._scene: Scene | None = None
        self._drawing = threading.Lock()

    def sounds(self, _start: datetime) -> list[bytes]:
        """Every second sounds alike."""
        return self._sounds

    def group(self, start: datetime, *, key_only: bool = False) -> list[bytes]:
        """The ten pictures of one second, the first a key frame; or that alone."""
        with self._drawing:
            if self._scene is None:  # the still part costs some 50 ms: only whoever plays something pays
                self._scene = Scene(self._name, self.format.width, self.format.height, self._seed)
            encoder = make_encoder("h264", self.format.width, self.format.height, Fraction(_FPS))
            picture = av.VideoFrame(self.format.width, self.format.height, "yuv420p")
            picture.time_base = Fraction(1, _FPS)
            planes = plane_views(picture)
            self._scene.begin(planes)
            coded: list[bytes] = []
            for number in range(1 if key_only else _FPS):
                self._scene.draw(planes, start.timestamp() % 3600 + number / _FPS, start.astimezone())
                picture.pts = number
                picture.pict_type = PictureType.NONE if number else PictureType.I
                coded += [bytes(packet) for packet in encoder.encode(picture)]
            return coded + [bytes(packet) for packet in encoder.encode(None)]
