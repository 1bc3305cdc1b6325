"""What a voice is coded in: what a device offers, what a browser can, and what comes of the two. Pure.

AAC is what devices offer that sound better than a telephone (RFC 3640, mode AAC-hbr, or a program stream with
stream type 0F). A browser encodes it or it is not had: nothing is transcoded here. A-law every browser can.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from commonview.media import TalkCarriage
from commonview.wire.media_format import AudioCodec
from commonview.wire.sdp import PS, RtpMap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from commonview.wire.sdp import GbSdp

PCMA_TYPE: Final = 8
"""A-law's own payload type (RFC 3551), which needs no rtpmap."""

AAC_RATES: Final = (8000, 12000, 16000, 24000, 32000, 48000, 64000, 96000)
"""What the media core sends, Hz: every rate of AAC that whole kilohertz can count."""

_INDEXES: Final = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_SAMPLING: Final = {"1": 8000, "3": 16000, "4": 32000}  # of f=; 2 is 14 kHz, which AAC has not
_HBR: Final = {"sizelength": "13", "indexlength": "3", "indexdeltalength": "3"}
PCMA: Final = RtpMap(PCMA_TYPE, "PCMA", 8000)
FORMAT: Final = "v/////a/1/8/1"
"""`f=`: G.711, 64 kbit/s, 8 kHz."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A coding, how it is carried and under which number; ``aac_rate_hz`` is 0 for A-law."""

    carriage: TalkCarriage
    payload_type: int
    aac_rate_hz: int = 0

    @property
    def rtpmap(self) -> RtpMap:
        """What an answer says of the number."""
        if self.carriage.is_program_stream:
            return RtpMap(self.payload_type, PS.encoding, PS.clock_hz)
        if self.carriage.is_aac:
            return RtpMap(self.payload_type, "MPEG4-GENERIC", self.aac_rate_hz)
        return RtpMap(self.payload_type, PCMA.encoding, PCMA.clock_hz)

    @property
    def attributes(self) -> tuple[str, ...]:
        """`a=fmtp` of AAC by RFC 3640; its config is an AudioSpecificConfig (ISO/IEC 14496-3 1.6.2.1)."""
        if self.carriage is not TalkCarriage.AAC:
            return ()
        config = 2 << 11 | _INDEXES.index(self.aac_rate_hz) << 7 | 1 << 3
        said = {
            "streamtype": "5",
            "profile-level-id": "1",
            "mode": "AAC-hbr",
            **_HBR,
            "config": f"{config:04X}",
        }
        return (f"fmtp:{self.payload_type} " + ";".join(f"{name}={value}" for name, value in said.items()),)

    @property
    def media_format(self) -> str:
        """`f=` of an answer (Annex G)."""
        if not self.carriage.is_aac:
            return FORMAT
        sampling = next((code for code, rate in _SAMPLING.items() if rate == self.aac_rate_hz), "")
        return f"v/////a/{AudioCodec.AAC.value}//{sampling}"


class NoCommonSound(Exception):
    """Nothing that the device offers can be sent; ``why`` says whose lack it is.

    `aac_not_encoded`: the device takes AAC only, and the browser does not encode it. `aac_rate`: it does, but
    not at a rate of the device's. `not_offered`: neither G.711 A-law nor AAC.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def choose_sound(offered: GbSdp, aac_rates: Sequence[int]) -> Sound:
    """AAC where the browser encodes it at a rate the device takes, else A-law; straight before in a program
    stream, whatever the order. Raises `NoCommonSound`.
    """
    found = [*_aac(offered), *_telephone(offered)]
    for sound in found:
        if not sound.carriage.is_aac or sound.aac_rate_hz in aac_rates:
            return sound
    if not found:
        raise NoCommonSound("not_offered")
    raise NoCommonSound("aac_rate" if aac_rates else "aac_not_encoded")


def _aac(offered: GbSdp) -> Iterator[Sound]:
    for payload_type in offered.payload_types:
        read = offered.rtpmap(payload_type)
        if read is None or read.encoding.upper() != "MPEG4-GENERIC" or read.clock_hz not in AAC_RATES:
            continue
        if read.channels == 1 and _is_hbr(offered, payload_type):
            yield Sound(TalkCarriage.AAC, payload_type, read.clock_hz)
    said = offered.format
    if said is not None and said.audio_codec is AudioCodec.AAC and said.audio_sample_code in _SAMPLING:
        for payload_type in _program_streams(offered):
            rate = _SAMPLING[said.audio_sample_code]
            yield Sound(TalkCarriage.AAC_PROGRAM_STREAM, payload_type, rate)


def _is_hbr(offered: GbSdp, payload_type: int) -> bool:
    """Whether `a=fmtp` describes the mode we write; without one it is the only mode devices know."""
    for attribute in offered.attributes:
        name, _, value = attribute.partition(" ")
        if name.lower() != f"fmtp:{payload_type}":
            continue
        pairs = (part.partition("=") for part in value.split(";"))
        said = {key.strip().lower(): text.strip() for key, _, text in pairs}
        is_mode = said.get("mode", "AAC-hbr").lower() == "aac-hbr"
        return is_mode and all(said.get(key, width) == width for key, width in _HBR.items())
    return True


def _telephone(offered: GbSdp) -> Iterator[Sound]:
    """By name first, for names say what numbers only hint."""
    names = {each.payload_type: each.encoding.upper() for each in offered.rtpmaps}
    for payload_type in offered.payload_types:
        if names.get(payload_type, "PCMA" if payload_type == PCMA_TYPE else "") == "PCMA":
            yield Sound(TalkCarriage.PCMA, payload_type)
    said = offered.format
    if said is not None and said.audio_codec is AudioCodec.AAC:
        return  # the program stream it takes holds AAC
    for payload_type in _program_streams(offered):
        yield Sound(TalkCarriage.PROGRAM_STREAM, payload_type)


def _program_streams(offered: GbSdp) -> Iterator[int]:
    for payload_type in offered.payload_types:
        read = offered.rtpmap(payload_type)
        if read is not None and read.encoding.upper() == "PS":
            yield payload_type
