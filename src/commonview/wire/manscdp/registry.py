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
from commonview.wire.manscdp.errors import ManscdpError, ManscdpFault, Repair
from commonview.wire.manscdp.xml import Element, clean, element, finish, read_document, write_document

CONTENT_TYPE: Final = "Application/MANSCDP+xml"
ROOTS: Final = frozenset({"Control", "Query", "Notify", "Response"})
_MAX_SN_DIGITS: Final = 20


class Body:
    """The elements under the root, taken one by one by a message; what nobody takes stays as `rest`."""

    __slots__ = ("_fields", "_more")

    def __init__(self, root: Element) -> None:
        fields: dict[str, Element] = {}
        more: list[Element] = []
        for child in root.children:
            if child.name in fields:
                more.append(child)
            else:
                fields[child.name] = child
        self._fields = fields
        self._more = more

    def take(self, name: str) -> Element | None:
        """Remove and return the element called `name`; letter case is disregarded as a second try."""
        found = self._fields.pop(name, None)
        if found is None and self._fields:
            folded = name.casefold()
            for key in self._fields:
                if key.casefold() == folded:
                    return self._fields.pop(key)
        return found

    def text(self, name: str) -> str:
        """Take `name` and return its text; empty when absent, blank or "null"."""
        found = self.take(name)
        return "" if found is None else clean(found.text)

    def number(self, name: str) -> int | None:
        """Take `name` as a non-negative integer; None when absent or not a number of at most 20 digits."""
        return number(self.text(name))

    def rest(self) -> tuple[Element, ...]:
        """Everything not taken, in document order per name."""
        return (*self._fields.values(), *self._more)


def number(text: str) -> int | None:
    """A non-negative integer of at most 20 digits, else None."""
    return int(text) if len(text) <= _MAX_SN_DIGITS and text.isascii() and text.isdigit() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """The common head of every MANSCDP message (A.1).

    `sn` is kept beyond 32 bits (devices send millisecond clocks); 0 stands for a missing one. `extra` holds
    the elements this message class does not know, raw; `repairs` what the decoder had to mend.
    """

    root: ClassVar[str] = ""
    cmd_type: ClassVar[str] = ""

    sn: int
    device_id: str
    extra: tuple[Element, ...] = ()
    repairs: tuple[Repair, ...] = ()

    @classmethod
    def read(cls, sn: int, device_id: str, body: Body, repairs: tuple[Repair, ...]) -> Self:
        """Build the message from its body. Subclasses with fields of their own replace this."""
        return cls(sn=sn, device_id=device_id, extra=body.rest(), repairs=repairs)

    @classmethod
    def read_in_steps(
        cls, sn: int, device_id: str, body: Body, repairs: tuple[Repair, ...]
    ) -> Generator[None, None, Self]:
        """As `read`, divided by the subclasses that can be long."""
        yield from ()
        return cls.read(sn, device_id, body, repairs)

    def elements(self) -> Sequence[Element]:
        """The message's own elements in the order of the standard's schema, without head and extra."""
        return ()


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


def message(root: str, cmd_type: str) -> Callable[[type[M]], type[M]]:
    """Class decorator that enters a message into the table. Raises `ValueError` for a taken key."""

    def enter(cls: type[M]) -> type[M]:
        key = (root, cmd_type)
        if root not in ROOTS or key in _REGISTRY:
            raise ValueError(f"cannot register {key}: unknown root or already taken")
        cls.root = root
        cls.cmd_type = cmd_type
        _REGISTRY[key] = cls
        _FOLDED[(root, cmd_type.casefold())] = cls
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
    if not device_id:
        raise ManscdpError(ManscdpFault.MISSING_FIELD, "DeviceID")
    return (yield from cls.read_in_steps(sn, device_id, fields, tuple(repairs)))


def _attribute(root: Element, name: str, repairs: list[Repair]) -> str:
    value = root.attributes.get(name, "")
    if value and Repair.ATTRIBUTE_HEAD not in repairs:
        repairs.append(Repair.ATTRIBUTE_HEAD)
    return value.strip()


def encode(sent: Message, charset: str = GB2312) -> bytes:
    """Write one message, strictly: head first, then the fields in the order of the schema.

    Raises `ManscdpError` when the head is not valid (SN at least 1, a usable DeviceID) or a text holds
    characters that XML cannot carry. The declaration is true: see `write_document`.
    """
    if sent.sn < 1 or sent.sn >= 10**_MAX_SN_DIGITS:
        raise ManscdpError(ManscdpFault.NOT_ENCODABLE, f"SN {sent.sn} is not a positive integer")
    if not is_usable(sent.device_id):
        raise ManscdpError(ManscdpFault.NOT_ENCODABLE, f"DeviceID {sent.device_id[:40]!r}")
    head = (
        element("CmdType", sent.cmd_type),
        element("SN", sent.sn),
        element("DeviceID", sent.device_id),
    )
    return write_document(element(sent.root, (*head, *sent.elements(), *sent.extra)), charset)
