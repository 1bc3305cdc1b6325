"""The one table of MANSCDP: (root element, CmdType) -> message class. See GB/T 28181-2022 Annex A.

A further CmdType is one small module with a frozen dataclass under `@message(root, cmd_type)`; importing it
from the package's front door is all the wiring there is.
"""

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Self, TypeVar

from commonview.wire.charset import GB2312
from commonview.wire.gbid import is_usable
from commonview.wire.manscdp.body import MAX_DIGITS, Body, number
from commonview.wire.manscdp.codecs import text
from commonview.wire.manscdp.errors import ManscdpError, ManscdpFault, Repair
from commonview.wire.manscdp.schema import newer_fields, read_fields_in_steps, write_fields
from commonview.wire.manscdp.xml import Element, element, finish, read_document, write_document
from commonview.wire.version import GbVersion

CONTENT_TYPE: Final = "Application/MANSCDP+xml"
ROOTS: Final = frozenset({"Control", "Query", "Notify", "Response"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """The common head of every MANSCDP message (A.1).

    `sn` is kept beyond 32 bits (devices send millisecond clocks); 0 stands for a missing one. `extra` holds
    the elements this message class does not know, raw; `repairs` what the decoder had to mend.
    """

    root: ClassVar[str] = ""
    cmd_type: ClassVar[str] = ""
    since: ClassVar[GbVersion] = GbVersion.V2011
    addressed: ClassVar[bool] = True
    """Whether DeviceID is mandatory in the head."""

    sn: int
    device_id: str
    extra: tuple[Element, ...] = ()
    repairs: tuple[Repair, ...] = ()

    @classmethod
    def read_in_steps(
        cls, sn: int, device_id: str, body: Body, repairs: tuple[Repair, ...]
    ) -> Generator[None, None, Self]:
        """Build the message from its body, long lists some items at a time.

        Raises `ManscdpError` when a mandatory field is missing. Messages that need more than a schema, and
        those that come in great numbers, replace this.
        """
        mended = list(repairs)
        values = yield from read_fields_in_steps(cls, body, mended)
        return cls(sn=sn, device_id=device_id, extra=body.rest(), repairs=tuple(mended), **values)

    def elements(self, version: GbVersion = GbVersion.V2022) -> Sequence[Element]:
        """The message's own elements in the order of the standard's schema, without head and extra."""
        return write_fields(self, version)

    def allowed_for(self, version: GbVersion) -> bool:
        """Whether a peer of that edition has this message at all (Annex I: avoid what it cannot read)."""
        return self.since <= version

    def newer_than(self, version: GbVersion) -> tuple[str, ...]:
        """The elements of this message that the edition does not have; `encode` leaves them out."""
        return newer_fields(self, version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Message):
    """A Response. `result` is what the device wrote, empty when it wrote none."""

    result: str = field(default="", metadata=text("Result"))

    @property
    def failed(self) -> bool:
        """Whether the device said that it failed: ERROR in any spelling, or any other word than OK."""
        return self.result.upper() not in {"", "OK", "SUCCESS"}

    @property
    def ok(self) -> bool:
        """Whether the device said OK; a missing Result is no success (trap 23)."""
        return self.result.upper() in {"OK", "SUCCESS"}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownMessage:
    """A well-formed message whose (root, CmdType) nobody registered: to be counted and answered as such."""

    root: str
    cmd_type: str
    sn: int
    device_id: str
    body: Element
    repairs: tuple[Repair, ...] = ()


@dataclass(slots=True)
class DecodeCounters:
    """How many bodies were read, refused and mended, by reason."""

    decoded: int = 0
    unknown: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: Counter[ManscdpFault] = field(default_factory=Counter)
    repaired: Counter[Repair] = field(default_factory=Counter)

    MAX_UNKNOWN: ClassVar[int] = 256

    def note(self, decoded: "Message | UnknownMessage") -> None:
        """Count one decoded message; unknown CmdTypes beyond the bound share one line."""
        self.decoded += 1
        if decoded.repairs:
            self.repaired.update(decoded.repairs)
        if isinstance(decoded, UnknownMessage):
            key = (decoded.root, decoded.cmd_type[:40])
            if key not in self.unknown and len(self.unknown) >= self.MAX_UNKNOWN:
                key = ("", "")
            self.unknown[key] += 1


_REGISTRY: dict[tuple[str, str], type[Message]] = {}
_FOLDED: dict[tuple[str, str], type[Message]] = {}

M = TypeVar("M", bound=Message)


def message(
    root: str, cmd_type: str, *, since: GbVersion = GbVersion.V2011, read_as: tuple[str, ...] = ()
) -> Callable[[type[M]], type[M]]:
    """Class decorator that enters a message into the table.

    `since` is the first edition that has it. `read_as` are wrong CmdTypes under which devices send it
    (trap 23): read, counted as a repair, never written. Raises `ValueError` for a taken key.
    """

    def enter(cls: type[M]) -> type[M]:
        key = (root, cmd_type)
        folded = [(root, each.casefold()) for each in (cmd_type, *read_as)]
        if root not in ROOTS or key in _REGISTRY or any(each in _FOLDED for each in folded):
            raise ValueError(f"cannot register {key}: unknown root or already taken")
        cls.root = root
        cls.cmd_type = cmd_type
        cls.since = since
        _REGISTRY[key] = cls
        _FOLDED.update(dict.fromkeys(folded, cls))
        return cls

    return enter


def registered() -> frozenset[tuple[str, str]]:
    """Every (root, CmdType) that has a message class."""
    return frozenset(_REGISTRY)


def decode(
    body: bytes, content_type: str | None = None, counters: DecodeCounters | None = None
) -> Message | UnknownMessage:
    """Read one body, tolerantly (traps 4 and 16 and clause 2.9 of the interop notes).

    Raises `ManscdpError` when the content type is another one, when the body is empty, hostile or not
    mendable, when the root is none of Control, Query, Notify, Response, or CmdType or DeviceID is missing.
    """
    return finish(decode_in_steps(body, content_type, counters))


def decode_in_steps(
    body: bytes, content_type: str | None = None, counters: DecodeCounters | None = None
) -> Generator[None, None, Message | UnknownMessage]:
    """As `decode`, for long bodies on an event loop: each step takes a few milliseconds."""
    if counters is None:
        return (yield from _decode(body, content_type))
    try:
        decoded = yield from _decode(body, content_type)
    except ManscdpError as error:
        counters.refused[error.fault] += 1
        raise
    counters.note(decoded)
    return decoded


def _decode(body: bytes, content_type: str | None) -> Generator[None, None, Message | UnknownMessage]:
    if content_type and "xml" not in content_type.casefold():
        raise ManscdpError(ManscdpFault.CONTENT_TYPE, f"{content_type[:60]!r} is not {CONTENT_TYPE}")
    root, repairs = yield from read_document(body)
    if root.name not in ROOTS:
        raise ManscdpError(ManscdpFault.UNKNOWN_ROOT, f"root element {root.name[:40]!r}")
    fields = Body(root)
    cmd_type = fields.text("CmdType")
    if not cmd_type:  # the attribute form of the head, seen in the field
        cmd_type = _attribute(root, "CmdType", repairs)
    sn_text = fields.text("SN") or _attribute(root, "SN", repairs)
    device_id = fields.text("DeviceID") or _attribute(root, "DeviceID", repairs)
    if not cmd_type:
        raise ManscdpError(ManscdpFault.MISSING_FIELD, "CmdType")
    sn = number(sn_text)
    if sn is None:
        sn = 0
        repairs.append(Repair.SN_MISSING)
    if device_id and not is_usable(device_id):
        raise ManscdpError(ManscdpFault.BAD_VALUE, f"DeviceID {device_id[:40]!r}")
    cls = _REGISTRY.get((root.name, cmd_type)) or _FOLDED.get((root.name, cmd_type.casefold()))
    if cls is None:
        return UnknownMessage(
            root=root.name, cmd_type=cmd_type, sn=sn, device_id=device_id, body=root, repairs=tuple(repairs)
        )
    if not device_id and cls.addressed:
        raise ManscdpError(ManscdpFault.MISSING_FIELD, "DeviceID")
    if cls.cmd_type.casefold() != cmd_type.casefold():
        repairs.append(Repair.WRONG_CMD_TYPE)
    return (yield from cls.read_in_steps(sn, device_id, fields, tuple(repairs)))


def _attribute(root: Element, name: str, repairs: list[Repair]) -> str:
    value = root.attributes.get(name, "")
    if value and Repair.ATTRIBUTE_HEAD not in repairs:
        repairs.append(Repair.ATTRIBUTE_HEAD)
    return value.strip()


def encode(sent: Message, charset: str = GB2312, version: GbVersion = GbVersion.V2022) -> bytes:
    """Write one message, strictly: head first, then the fields in the order of the schema.

    `version` is the edition to speak with the peer: fields that it does not have are left out
    (`Message.newer_than` tells which). Raises `ManscdpError` when it does not have the message at all, when
    the head is not valid (SN at least 1, a usable DeviceID), a value is out of bounds, or a text holds
    characters that XML cannot carry. The declaration is true: see `write_document`.
    """
    if not sent.allowed_for(version):
        raise ManscdpError(
            ManscdpFault.NOT_IN_VERSION, f"{sent.cmd_type} is not in X-GB-Ver {version.header}"
        )
    if sent.sn < 1 or sent.sn >= 10**MAX_DIGITS:
        raise ManscdpError(ManscdpFault.NOT_ENCODABLE, f"SN {sent.sn} is not a positive integer")
    if not is_usable(sent.device_id) and (sent.device_id or sent.addressed):
        raise ManscdpError(ManscdpFault.NOT_ENCODABLE, f"DeviceID {sent.device_id[:40]!r}")
    head = [element("CmdType", sent.cmd_type), element("SN", sent.sn)]
    if sent.device_id:
        head.append(element("DeviceID", sent.device_id))
    return write_document(element(sent.root, (*head, *sent.elements(version), *sent.extra)), charset)
