"""The 20-digit identifier of GB/T 28181 (Annex E), validated softly.

Layout: 8 digits centre (province, city, district, local), 2 industry, 3 type, 1 network, 6 serial.
Real fleets ignore much of this, so an identifier is *classified*, and what is odd about it is listed as
`IdProblem`s for people to see; only text that cannot be an identifier at all is refused.
"""

import re
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

ID_LENGTH: Final = 20
_USABLE = re.compile(r"[0-9A-Za-z_-]{1,32}")
_REGION = re.compile(r"[0-9]{2}(?:[0-9]{2}){0,3}")


class TypeCode(IntEnum):
    """Digits 11 to 13 of an identifier (GB/T 28181-2022 Annex E, table E.1), those with a meaning for us."""

    DVR = 111
    VIDEO_SERVER = 112
    ENCODER = 113
    DECODER = 114
    ALARM_CONTROLLER = 117
    NVR = 118
    HYBRID_RECORDER = 130
    CAMERA = 131
    IP_CAMERA = 132
    DISPLAY = 133
    ALARM_INPUT = 134
    ALARM_OUTPUT = 135
    MICROPHONE = 136
    SPEAKER = 137
    MOBILE_UNIT = 138
    SIGNALLING_SERVER = 200
    BUSINESS_SERVER = 201
    MEDIA_SERVER = 202
    ACCESS_GATEWAY = 209
    STORAGE_SERVER = 210
    SECURITY_GATEWAY = 211
    BUSINESS_GROUP = 215
    VIRTUAL_ORGANISATION = 216


class IdProblem(Enum):
    """What is unusual about an identifier; none of these refuses it."""

    NOT_TWENTY_DIGITS = "not_twenty_digits"
    UNKNOWN_TYPE = "unknown_type"
    NO_CIVIL_CODE = "no_civil_code"


_TYPE_CODES: Final = frozenset(int(each) for each in TypeCode)
VIDEO_CHANNEL_TYPES: Final = frozenset({TypeCode.CAMERA, TypeCode.IP_CAMERA})
ORGANISATION_TYPES: Final = frozenset({TypeCode.BUSINESS_GROUP, TypeCode.VIRTUAL_ORGANISATION})


@dataclass(frozen=True, slots=True)
class GbId:
    """A classified identifier. `type_code` and the parts are None when the text does not have 20 digits."""

    value: str
    centre: str | None
    industry: str | None
    type_code: int | None
    network: str | None
    serial: str | None
    problems: tuple[IdProblem, ...]

    @property
    def type(self) -> TypeCode | None:
        """The type as a word, None when the code has no meaning here."""
        try:
            return TypeCode(self.type_code) if self.type_code is not None else None
        except ValueError:
            return None

    @property
    def civil_code(self) -> str | None:
        """The region (GB/T 2260) of 2 to 8 digits, trailing empty levels removed; None when unknown."""
        return trim_region(self.centre) if self.centre is not None else None

    @property
    def domain(self) -> str | None:
        """The first ten digits, which name the SIP domain (6.1.2)."""
        return self.value[:10] if self.centre is not None else None


def is_usable(text: str) -> bool:
    """Whether `text` may serve as an identifier: 1 to 32 ASCII letters, digits, hyphens or underscores."""
    return _USABLE.fullmatch(text) is not None


def is_region(text: str) -> bool:
    """Whether `text` is a region of the catalogue: 2, 4, 6 or 8 digits (A.2.1.2)."""
    return _REGION.fullmatch(text) is not None


def trim_region(centre: str) -> str | None:
    """Remove the unused lower levels ("00" pairs) of an administrative code; None when nothing is left."""
    while centre.endswith("00"):
        centre = centre[:-2]
    return centre or None


def classify(text: str) -> GbId:
    """Take an identifier apart. Raises `ValueError` when `text` is not usable as an identifier at all."""
    if not is_usable(text):
        raise ValueError(f"not a device identifier: {text[:40]!r}; expected up to 32 letters and digits")
    if len(text) != ID_LENGTH or not (text.isascii() and text.isdigit()):
        return GbId(text, None, None, None, None, None, (IdProblem.NOT_TWENTY_DIGITS,))
    type_code = int(text[10:13])
    problems: list[IdProblem] = []
    if type_code not in _TYPE_CODES:
        problems.append(IdProblem.UNKNOWN_TYPE)
    if trim_region(text[:8]) is None:
        problems.append(IdProblem.NO_CIVIL_CODE)
    return GbId(text, text[:8], text[8:10], type_code, text[13], text[14:], tuple(problems))


def compose(domain: str, type_code: TypeCode, network: int, serial: int) -> str:
    """Build an identifier from the 10-digit domain, a type, the network digit and a serial number.

    Raises `ValueError` when a part does not fit its digits.
    """
    if len(domain) != 10 or not domain.isdigit():
        raise ValueError(f"a domain has 10 digits, got {domain!r}")
    if not 0 <= network <= 9 or not 0 <= serial <= 999_999:
        raise ValueError(f"network digit {network} or serial {serial} does not fit")
    return f"{domain}{type_code:03d}{network}{serial:06d}"


def successor(identifier: str, steps: int = 1) -> str:
    """The identifier whose serial lies `steps` further. Raises `ValueError` at the end of the six digits."""
    if classify(identifier).serial is None:
        raise ValueError(f"cannot count up from {identifier!r}: it does not have 20 digits")
    serial = int(identifier[14:]) + steps
    if not 0 <= serial <= 999_999:
        raise ValueError(f"no serial left after {identifier!r}")
    return f"{identifier[:14]}{serial:06d}"
