"""Reading the XML of ONVIF devices: expat underneath, prefixes cut off, everything bounded.

Prefixes are not resolved: names alone tell everything that is read here, and devices use prefixes that they
never declare (seen: ipycam 1.3 in its PTZ answers). Unlike MANSCDP, SOAP declares dozens of namespaces on its
root and nests deeper.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn
from xml.parsers import expat

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES: Final = 1024 * 1024
MAX_ELEMENTS: Final = 20_000
MAX_DEPTH: Final = 32
MAX_ATTRIBUTES: Final = 256
MAX_TEXT_CHARS: Final = 64 * 1024


class XmlRefused(ValueError):
    """Not XML, with a document type, or beyond the bounds."""


@dataclass(slots=True)
class Node:
    """One element by its local name."""

    name: str
    attributes: dict[str, str]
    children: list[Node] = field(default_factory=list)
    text: str = ""

    def find(self, *path: str) -> Node | None:
        """The first descendant by a path of local names."""
        node: Node | None = self
        for name in path:
            node = next((child for child in node.children if child.name == name), None) if node else None
        return node

    def all(self, name: str) -> list[Node]:
        """The children of this name."""
        return [child for child in self.children if child.name == name]

    def value(self, *path: str) -> str:
        """The text of a descendant, empty when there is none."""
        node = self.find(*path)
        return node.text if node is not None else ""

    def walk(self) -> Iterator[Node]:
        """This element and everything below it."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children))


class _Builder:
    def __init__(self) -> None:
        self.root: Node | None = None
        self.stack: list[Node] = []
        self.count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.count += 1
        if self.count > MAX_ELEMENTS or len(self.stack) >= MAX_DEPTH or len(attributes) > MAX_ATTRIBUTES:
            raise XmlRefused("too many elements, levels or attributes")
        local = {
            key.rpartition(":")[2]: value for key, value in attributes.items() if not key.startswith("xmlns")
        }
        node = Node(name.rpartition(":")[2], local)
        if self.stack:
            self.stack[-1].children.append(node)
        else:
            self.root = node
        self.stack.append(node)

    def end(self, _name: str) -> None:
        node = self.stack.pop()
        node.text = node.text.strip()

    def data(self, text: str) -> None:
        node = self.stack[-1]
        if len(node.text) + len(text) > MAX_TEXT_CHARS:
            raise XmlRefused("a text is too long")
        node.text += text


def _refuse(*_arguments: object) -> NoReturn:
    raise XmlRefused("document types and entities are not accepted")


def read(body: bytes) -> Node:
    """Parse a document. Raises `XmlRefused`."""
    if len(body) > MAX_BYTES:
        raise XmlRefused(f"{len(body)} bytes, at most {MAX_BYTES} are read")
    builder = _Builder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.ProcessingInstructionHandler = None
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise XmlRefused(str(error)) from None
    except (ValueError, LookupError) as error:  # encodings that expat does not know
        raise error if isinstance(error, XmlRefused) else XmlRefused("an unknown encoding") from None
    if builder.root is None:
        raise XmlRefused("no root element")
    return builder.root
