"""How single fields travel: what an element is called, how its text is read and written, since when.

Reading is tolerant: a value that cannot be understood leaves the field at its default, stays raw in `extra`
and is counted. Writing is strict: a value outside the standard's bounds is refused.
"""

import re
from collections.abc import Generator, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Any, Final, Generic, Protocol, Self, TypeVar

from commonview.wire.manscdp.body import Body
from commonview.wire.manscdp.errors import ManscdpError, ManscdpFault, Repair
from commonview.wire.manscdp.xml import Element, clean, element
from commonview.wire.times import parse_time, write_time
from commonview.wire.version import GbVersion

MAX_TEXT: Final = 4096
MAX_NUMBER: Final = 2**63 - 1
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}(?:\.0{1,9})?")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,19}(?:\.[0-9]{0,19})?|\.[0-9]{1,19})(?:[eE][+-]?[0-9]{1,2})?")
_STEP_ITEMS: Final = 100

T = TypeVar("T")
R = TypeVar("R", bound="RecordLike")


class RecordLike(Protocol):
    """What a codec needs of a record: reading it from an element and writing it as one."""

    @classmethod
    def read_element(cls, source: Element, repairs: list[Repair]) -> Self | None:
        """Build from an element; None when it means nothing."""

    def element(self, tag: str, version: GbVersion) -> Element:
        """The element that carries the record."""


class _Unreadable(Exception):
    """The text means nothing to this codec."""


class Codec(Generic[T]):
    """How one field travels. `tag` is the element's name, `aliases` other spellings that are read.

    A field that `since` a later edition exists is left out for peers of an earlier one.
    """

    def __init__(self, tag: str, *aliases: str, since: GbVersion = GbVersion.V2011) -> None:
        self.tag = tag
        self.aliases = aliases
        self.since = since

    def parse(self, text: str) -> T:
        """The value of a text that is not blank. Raises `_Unreadable`."""
        raise _Unreadable

    def print(self, value: T) -> str:
        """The text of a value; a blank one is left out. Raises `ManscdpError` for one out of bounds."""
        return str(value)

    def read(self, body: Body, repairs: list[Repair]) -> T | None:
        """Take the field out of the body; None when absent, blank or not understood."""
        found = self._find(body)
        if found is None:
            return None
        text = clean(found.text)
        if not text:
            return None
        try:
            return self.parse(text)
        except _Unreadable:
            body.put_back(found)
            repairs.append(Repair.UNREADABLE_VALUE)
            return None

    def read_in_steps(self, body: Body, repairs: list[Repair]) -> Generator[None, None, T | None]:
        """As `read`, long lists some items at a time."""
        yield from ()
        return self.read(body, repairs)

    def _find(self, body: Body) -> Element | None:
        for name in (self.tag, *self.aliases):
            if (found := body.take(name)) is not None:
                return found
        return None

    def write(self, value: T, _version: GbVersion) -> Iterable[Element]:
        """The elements that carry `value`."""
        text = self.print(value)
        return (element(self.tag, text),) if text else ()

    def refuse(self, value: object, why: str) -> ManscdpError:
        """The error for a value that may not be sent."""
        return ManscdpError(ManscdpFault.NOT_ENCODABLE, f"{self.tag} {str(value)[:60]!r}: {why}")


class _Text(Codec[str]):
    def __init__(self, tag: str, *aliases: str, since: GbVersion, limit: int, limit_bytes: int) -> None:
        Codec.__init__(self, tag, *aliases, since=since)
        self.limit = limit
        self.limit_bytes = limit_bytes

    def parse(self, text: str) -> str:
        if len(text) > max(self.limit, MAX_TEXT):
            raise _Unreadable
        return text

    def print(self, value: str) -> str:
        if len(value) > self.limit:
            raise self.refuse(value, f"more than {self.limit} characters")
        if self.limit_bytes and len(value.encode("gb18030", "replace")) > self.limit_bytes:
            raise self.refuse(value, f"more than {self.limit_bytes} bytes")
        return value


class _Number(Codec[int]):
    def __init__(self, tag: str, *aliases: str, since: GbVersion, low: int, high: int) -> None:
        Codec.__init__(self, tag, *aliases, since=since)
        self.low, self.high = low, high

    def parse(self, text: str) -> int:
        if _INTEGER.fullmatch(text) is None:
            raise _Unreadable
        value = int(text.partition(".")[0])
        if not self.low <= value <= self.high:
            raise _Unreadable
        return value

    def print(self, value: int) -> str:
        if not self.low <= value <= self.high:
            raise self.refuse(value, f"not within {self.low} to {self.high}")
        return str(int(value))


class _Decimal(Codec[float]):
    def __init__(self, tag: str, *aliases: str, since: GbVersion, low: float, high: float) -> None:
        Codec.__init__(self, tag, *aliases, since=since)
        self.low, self.high = low, high

    def parse(self, text: str) -> float:
        if _DECIMAL.fullmatch(text) is None:
            raise _Unreadable
        value = float(text)
        if not self.low <= value <= self.high:
            raise _Unreadable
        return value

    def print(self, value: float) -> str:
        if not (isfinite(value) and self.low <= value <= self.high):
            raise self.refuse(value, f"not within {self.low} to {self.high}")
        return write_decimal(value)


def write_decimal(value: float) -> str:
    """The shortest decimal text that reads the same, without an exponent: 118.37, 4, 0.00001."""
    text = format(Decimal(repr(float(value))), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


class _Time(Codec[datetime]):
    def parse(self, text: str) -> datetime:
        moment = parse_time(text)
        if moment is None:
            raise _Unreadable
        return moment

    def print(self, value: datetime) -> str:
        return write_time(value)


_TRUE: Final = frozenset({"1", "true", "on", "yes"})
_FALSE: Final = frozenset({"0", "false", "off", "no"})


class _Flag(Codec[bool]):
    def parse(self, text: str) -> bool:
        word = text.casefold()
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
        raise _Unreadable

    def print(self, value: bool) -> str:
        return "1" if value else "0"


E = TypeVar("E", bound=Enum)


class _Choice(Codec[E]):
    """One word of an enumeration whose values are the words (or numbers) on the wire."""

    def __init__(self, tag: str, kind: type[E], *aliases: str, since: GbVersion) -> None:
        Codec.__init__(self, tag, *aliases, since=since)
        self.words = {str(each.value).casefold(): each for each in kind}

    def parse(self, text: str) -> E:
        found = self.words.get(text.casefold())
        if found is None:
            raise _Unreadable
        return found

    def print(self, value: E) -> str:
        return str(value.value)


class _Nested(Codec[R]):
    """An element that holds the fields of a record."""

    def __init__(self, tag: str, kind: type[R], *aliases: str, since: GbVersion) -> None:
        Codec.__init__(self, tag, *aliases, since=since)
        self.kind = kind

    def read(self, body: Body, repairs: list[Repair]) -> R | None:
        found = self._find(body)
        if found is None or not (found.children or found.attributes or clean(found.text)):
            return None
        record = self.kind.read_element(found, repairs)
        if record is None:
            body.put_back(found)
            repairs.append(Repair.UNREADABLE_VALUE)
        return record

    def write(self, value: R, version: GbVersion) -> Iterable[Element]:
        return (value.element(self.tag, version),)


class _Repeated(Codec[tuple[R, ...]]):
    """The same element several times in a row. Beyond `limit` items nothing is written."""

    def __init__(self, tag: str, kind: type[R], *aliases: str, since: GbVersion, limit: int | None) -> None:
        Codec.__init__(self, tag, *aliases, since=since)
        self.kind = kind
        self.limit = limit

    def read(self, body: Body, repairs: list[Repair]) -> tuple[R, ...]:
        found = body.take_all(self.tag)
        for each in self.aliases:
            found = found or body.take_all(each)
        return _records(found, self.kind, repairs)

    def write(self, value: tuple[R, ...], version: GbVersion) -> Iterable[Element]:
        if self.limit is not None and len(value) > self.limit:
            raise self.refuse(len(value), f"more than {self.limit} items")
        return [each.element(self.tag, version) for each in value]


def _records(found: Iterable[Element], kind: type[R], repairs: list[Repair]) -> tuple[R, ...]:
    read = []
    for each in found:
        record = kind.read_element(each, repairs)
        if record is None:
            repairs.append(Repair.REFUSED_ITEM)
        else:
            read.append(record)
    return tuple(read)


class _Listed(Codec[tuple[R, ...]]):
    """A list element with a Num attribute around its items; an empty list has no element (Annex M).

    The Num attribute is never trusted, nor is the name of the items.
    """

    def __init__(
        self, tag: str, kind: type[R], *aliases: str, item: str, since: GbVersion, limit: int | None
    ) -> None:
        Codec.__init__(self, tag, *aliases, since=since)
        self.kind = kind
        self.item = item
        self.limit = limit

    def read(self, body: Body, repairs: list[Repair]) -> tuple[R, ...]:
        found = self._find(body)
        return () if found is None else _records(found.children, self.kind, repairs)

    def read_in_steps(self, body: Body, repairs: list[Repair]) -> Generator[None, None, tuple[R, ...]]:
        """As `read`, some items at a time."""
        found = self._find(body)
        children = () if found is None else found.children
        read: list[R] = []
        for start in range(0, len(children), _STEP_ITEMS):
            read += _records(children[start : start + _STEP_ITEMS], self.kind, repairs)
            yield
        return tuple(read)

    def write(self, value: tuple[R, ...], version: GbVersion) -> Iterable[Element]:
        if not value:
            return ()
        if self.limit is not None and len(value) > self.limit:
            raise self.refuse(len(value), f"more than {self.limit} items")
        items = [each.element(self.item, version) for each in value]
        return (element(self.tag, items, Num=len(items)),)


class _Texts(Codec[tuple[str, ...]]):
    """A list element around texts, or (without `item`) the same text element several times in a row."""

    def __init__(self, tag: str, *aliases: str, item: str | None, since: GbVersion, limit: int) -> None:
        Codec.__init__(self, tag, *aliases, since=since)
        self.item = item
        self.limit = limit

    def read(self, body: Body, repairs: list[Repair]) -> tuple[str, ...]:
        found: list[Element] = []
        for name in (self.tag, *self.aliases):
            found += body.take_all(name)
        if self.item is not None:
            found = [child for each in found for child in each.children]
        texts = [text for each in found if (text := clean(each.text))]
        bounded = [text for text in texts if len(text) <= MAX_TEXT]
        repairs += [Repair.REFUSED_ITEM] * (len(texts) - len(bounded))
        return tuple(bounded)

    def write(self, value: tuple[str, ...], _version: GbVersion) -> Iterable[Element]:
        if any(len(each) > self.limit for each in value):
            raise self.refuse(max(value, key=len), f"more than {self.limit} characters")
        if self.item is None:
            return [element(self.tag, each) for each in value]
        return (element(self.tag, [element(self.item, each) for each in value]),) if value else ()


# The names under which modules declare their fields; each returns the metadata of a dataclass field.

Metadata = Mapping[str, Any]
_SINCE: Final = GbVersion.V2011


def text(
    tag: str, *aliases: str, since: GbVersion = _SINCE, limit: int = MAX_TEXT, limit_bytes: int = 0
) -> Metadata:
    """A text; `limit` characters or `limit_bytes` in GB18030 are the most that is sent."""
    return {"codec": _Text(tag, *aliases, since=since, limit=limit, limit_bytes=limit_bytes)}


def whole(
    tag: str, *aliases: str, since: GbVersion = _SINCE, low: int = 0, high: int = MAX_NUMBER
) -> Metadata:
    """An integer within bounds."""
    return {"codec": _Number(tag, *aliases, since=since, low=low, high=high)}


def decimal(
    tag: str, *aliases: str, since: GbVersion = _SINCE, low: float = -1e12, high: float = 1e12
) -> Metadata:
    """A finite decimal number within bounds."""
    return {"codec": _Decimal(tag, *aliases, since=since, low=low, high=high)}


def moment(tag: str, *aliases: str, since: GbVersion = _SINCE) -> Metadata:
    """A time (see `commonview.wire.times`)."""
    return {"codec": _Time(tag, *aliases, since=since)}


def flag(tag: str, *aliases: str, since: GbVersion = _SINCE) -> Metadata:
    """Yes or no, 1 or 0 on the wire."""
    return {"codec": _Flag(tag, *aliases, since=since)}


def choice(tag: str, kind: type[Enum], *aliases: str, since: GbVersion = _SINCE) -> Metadata:
    """One of the values of an enumeration."""
    return {"codec": _Choice(tag, kind, *aliases, since=since)}


def nested(tag: str, kind: type[RecordLike], *aliases: str, since: GbVersion = _SINCE) -> Metadata:
    """A record inside an element of its own."""
    return {"codec": _Nested(tag, kind, *aliases, since=since)}


def repeated(
    tag: str, kind: type[RecordLike], *aliases: str, since: GbVersion = _SINCE, limit: int | None = None
) -> Metadata:
    """Records as the same element several times in a row."""
    return {"codec": _Repeated(tag, kind, *aliases, since=since, limit=limit)}


def listed(
    tag: str,
    kind: type[RecordLike],
    *aliases: str,
    item: str = "Item",
    since: GbVersion = _SINCE,
    limit: int | None = None,
) -> Metadata:
    """Records inside a list element with Num."""
    return {"codec": _Listed(tag, kind, *aliases, item=item, since=since, limit=limit)}


def texts(
    tag: str, *aliases: str, item: str | None = None, since: GbVersion = _SINCE, limit: int = MAX_TEXT
) -> Metadata:
    """Texts inside a list element, or as the same element several times when `item` is None."""
    return {"codec": _Texts(tag, *aliases, item=item, since=since, limit=limit)}
