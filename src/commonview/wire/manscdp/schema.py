"""Messages and items whose fields are data.

A message or item is a frozen dataclass whose fields carry a codec (`codecs.py`) in their metadata:

    name: str = field(default="", metadata=text("PresetName"))

The order of the dataclass is the order of the standard's schema.
"""

from collections.abc import Generator
from dataclasses import MISSING, dataclass, fields
from typing import Any, Self, TypeAlias

from commonview.wire.manscdp.body import Body
from commonview.wire.manscdp.codecs import Codec
from commonview.wire.manscdp.errors import ManscdpError, ManscdpFault, Repair
from commonview.wire.manscdp.xml import Element, element
from commonview.wire.version import GbVersion

_Schema: TypeAlias = tuple[tuple[str, Codec[Any], bool], ...]
_SCHEMAS: dict[Any, _Schema] = {}


def schema_of(kind: Any) -> _Schema:
    """(field name, codec, mandatory) of a dataclass, in the order of its fields."""
    found = _SCHEMAS.get(kind)
    if found is None:
        found = _SCHEMAS[kind] = tuple(
            (each.name, each.metadata["codec"], each.default is MISSING and each.default_factory is MISSING)
            for each in fields(kind)
            if "codec" in each.metadata
        )
    return found


def read_fields(kind: type, body: Body, repairs: list[Repair]) -> dict[str, Any]:
    """The values of all fields found. Raises `ManscdpError` when a mandatory one is missing."""
    values: dict[str, Any] = {}
    for name, codec, mandatory in schema_of(kind):
        value = codec.read(body, repairs)
        if value is not None:
            values[name] = value
        elif mandatory:
            raise ManscdpError(ManscdpFault.MISSING_FIELD, codec.tag)
    return values


def read_fields_in_steps(
    kind: type, body: Body, repairs: list[Repair]
) -> Generator[None, None, dict[str, Any]]:
    """As `read_fields`, long lists some items at a time."""
    values: dict[str, Any] = {}
    for name, codec, mandatory in schema_of(kind):
        value = yield from codec.read_in_steps(body, repairs)
        if value is not None:
            values[name] = value
        elif mandatory:
            raise ManscdpError(ManscdpFault.MISSING_FIELD, codec.tag)
    return values


def write_fields(record: object, version: GbVersion) -> list[Element]:
    """The elements of all fields that have a value and that `version` knows, in order."""
    written: list[Element] = []
    for name, codec, _ in schema_of(type(record)):
        value = getattr(record, name)
        if value is not None and codec.since <= version:
            written += codec.write(value, version)
    return written


def newer_fields(record: object, version: GbVersion) -> tuple[str, ...]:
    """The names of the elements that have a value and that `version` does not know: they are left out."""
    newer: list[str] = []
    for name, codec, _ in schema_of(type(record)):
        value = getattr(record, name)
        if value is None or value in ("", ()):
            continue
        if codec.since > version:
            newer.append(codec.tag)
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, Record):
                newer += newer_fields(each, version)
    return tuple(dict.fromkeys(newer))


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Fields inside a message: an item of a list, or a block. `extra` keeps unknown elements raw."""

    extra: tuple[Element, ...] = ()

    @classmethod
    def read_element(cls, source: Element, repairs: list[Repair]) -> Self | None:
        """Build from an element; None when a mandatory field is missing, without which it means nothing."""
        body = Body(source)
        try:
            values = read_fields(cls, body, repairs)
        except ManscdpError:
            return None
        return cls(**values, extra=body.rest())

    def element(self, tag: str, version: GbVersion) -> Element:
        """The element that carries the record."""
        return element(tag, [*write_fields(self, version), *self.extra])
