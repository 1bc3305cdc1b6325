"""What makers write differently in SDP: which of a camera's streams is meant, and what is asked for.

GB/T 28181-2022 Annex G has streamnumber; devices of before know stream, streamprofile (Dahua) or streamMode
(Mercury, TP-LINK). All are read, the ones a peer understands are written.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Self

from commonview.wire.gbid import is_usable


class StreamDialect(Enum):
    """The attribute that names the stream: 0 main, 1 sub."""

    STREAM_NUMBER = "streamnumber"
    STREAM = "stream"
    STREAM_PROFILE = "streamprofile"
    STREAM_MODE = "streamMode"


_BY_NAME = {each.value.lower(): each for each in StreamDialect}
_MODES = {"main": 0, "sub": 1}


def stream_dialect(name: str) -> StreamDialect | None:
    """The dialect whose attribute is called `name` (lower case), None when it is none."""
    return _BY_NAME.get(name)


def read_stream(value: str) -> int | None:
    """The stream number a value means: digits, MAIN or SUB; None when unreadable."""
    mode = _MODES.get(value.strip().lower())
    if mode is not None:
        return mode
    digits = value.strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 4 else None


def write_stream(number: int, dialects: Iterable[StreamDialect]) -> list[str]:
    """The attributes that ask for stream `number`, one for each dialect."""
    written: list[str] = []
    for each in dialects:
        value = str(number)
        if each is StreamDialect.STREAM_MODE:
            value = "MAIN" if number == 0 else "SUB"
        written.append(f"{each.value}:{value}")
    return written


class SessionKind(Enum):
    """What s= asks for; Talk was dropped in 2022 and is still in use."""

    PLAY = "Play"
    PLAYBACK = "Playback"
    DOWNLOAD = "Download"
    TALK = "Talk"

    @classmethod
    def of(cls, session_name: str) -> Self | None:
        """The kind that a session name means, letter case disregarded; None for any other text."""
        word = session_name.strip().casefold()
        return next((each for each in cls if each.value.casefold() == word), None)


class RecordType(Enum):
    """Which recordings u= asks for."""

    ALL = 0
    MANUAL = 1
    ALARM = 2
    TIME = 3


@dataclass(frozen=True, slots=True)
class RecordUri:
    """u= of a history session: "id:type", or a path such as http://storageId/path in `location`."""

    device_id: str = ""
    record_type: RecordType = RecordType.ALL
    location: str = ""

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """Read u=; None when absent or neither form. A missing or unknown type means all."""
        written = (text or "").strip()
        if not written or len(written) > 1024 or not written.isprintable():
            return None
        if "://" in written:
            return cls(location=written)
        device_id, _, kind = written.partition(":")
        if not is_usable(device_id):
            return None
        return cls(device_id, next((each for each in RecordType if str(each.value) == kind), RecordType.ALL))

    @property
    def text(self) -> str:
        """The value of u=."""
        return self.location or f"{self.device_id}:{self.record_type.value}"
