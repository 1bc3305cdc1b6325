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
    CENTRE_USER = 300
    TERMINAL_USER = 400


class IdKind(Enum):
    """What range of Annex E a type code lies in; enough to place an identifier whose code is not named."""

    MAIN_DEVICE = "main_device"
    PERIPHERAL = "peripheral"
    PLATFORM = "platform"
    CENTRE_USER = "centre_user"
    TERMINAL_USER = "terminal_user"
    EXTERNAL = "external"
    OTHER = "other"


_KINDS: Final = (
    (range(111, 131), IdKind.MAIN_DEVICE),
    (range(131, 200), IdKind.PERIPHERAL),
    (range(200, 300), IdKind.PLATFORM),
    (range(300, 400), IdKind.CENTRE_USER),
    (range(400, 500), IdKind.TERMINAL_USER),
    (range(500, 600), IdKind.EXTERNAL),
)


class Industry(Enum):
    """Digits 9 and 10 of an identifier (Annex E, table E.2), in groups."""

    PUBLIC_ORDER = "public_order"
    TRAFFIC = "traffic"
    CITY = "city"
    NATIONAL = "national"
    CUSTOM = "custom"
    RESERVED = "reserved"


_INDUSTRIES: Final = (
    (range(4), Industry.PUBLIC_ORDER),
    (range(4, 8), Industry.TRAFFIC),
    (range(8, 15), Industry.CITY),
    (range(40, 60), Industry.NATIONAL),
    (range(90, 100), Industry.CUSTOM),
)


class Network(Enum):
    """Digit 14 of an identifier in 2022 (2016 used it otherwise): the network a device is on."""

    VIDEO = "video"
    INDUSTRY = "industry"
    POLITICAL_LEGAL = "political_legal"
    POLICE_MOBILE = "police_mobile"
    POLICE_INFORMATION = "police_information"
    E_GOVERNMENT = "e_government"
    INTERNET = "internet"
    LEASED = "leased"
    RESERVED = "reserved"


_NETWORKS: Final = (Network.VIDEO, *Network)
"""By digit: 0 and 1 are the video network of the police."""


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
    def kind(self) -> IdKind:
        """The range of Annex E that the type code lies in."""
        return kind_of(self.type_code)

    @property
    def industry_group(self) -> Industry | None:
        """The group of the industry digits, None when the identifier has no parts."""
        if self.industry is None:
            return None
        digits = int(self.industry)
        return next((group for span, group in _INDUSTRIES if digits in span), Industry.RESERVED)

    @property
    def industry_letter(self) -> str | None:
        """The letter A to T of GB/T 4754 for the national industries (40 to 59), None for others."""
        if self.industry is None or not 40 <= int(self.industry) <= 59:
            return None
        return chr(ord("A") + int(self.industry) - 40)

    @property
    def network_kind(self) -> Network | None:
        """The network by the 2022 table, None when the identifier has no parts."""
        return None if self.network is None else _NETWORKS[int(self.network)]

    @property
    def civil_code(self) -> str | None:
        """The region (GB/T 2260) of 2 to 8 digits, trailing empty levels removed; None when unknown."""
        return trim_region(self.centre) if self.centre is not None else None

    @property
    def domain(self) -> str | None:
        """The first ten digits, which name the SIP domain (6.1.2)."""
        return self.value[:10] if self.centre is not None else None


def kind_of(type_code: int | None) -> IdKind:
    """The range of Annex E that a type code lies in; `OTHER` for None and codes of no range."""
    return next((kind for span, kind in _KINDS if type_code is not None and type_code in span), IdKind.OTHER)


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
    if type_code not in _TYPE_CODES and kind_of(type_code) is IdKind.OTHER:
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
