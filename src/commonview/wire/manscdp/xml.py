"""Reading and writing the XML of MANSCDP: expat underneath, everything from the network bounded.

The text is decoded by us (the declaration often lies), so a document type or an entity can only appear as
the literal characters we look for before expat sees them. Depth, size and number of elements are bounded
while parsing. Well-formedness errors that fielded devices make are mended once, and reported.
"""

import re
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar
from xml.parsers import expat
from xml.sax.saxutils import escape

from commonview.wire.charset import DAMAGED, decode_text, encode_text
from commonview.wire.manscdp.errors import ManscdpError, ManscdpFault, Repair

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
MAX_ELEMENTS: Final = 250_000
MAX_DEPTH: Final = 16
MAX_SEARCHED_CHARS: Final = 512 * 1024
MAX_ATTRIBUTES: Final = 16

_STEP_CHARS: Final = 32 * 1024

T = TypeVar("T")

_NO_CHILDREN: Final[tuple["Element", ...]] = ()
_NO_ATTRIBUTES: Final[dict[str, str]] = {}
_DECLARED = re.compile(rb"""\s*<\?xml[^>]{0,80}encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_FORBIDDEN = re.compile(r"<!(?!--|\[CDATA\[)")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_RAW_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});)")
_RAW_LESS_THAN = re.compile(r"<(?![A-Za-z_/!?])")
_TAG = re.compile(r"<(/?)([A-Za-z_][\w.:-]*)((?:\s+[\w.:-]+\s*=\s*(?:\"[^\"<]*\"|'[^'<]*'))*\s*)(/?)>")


@dataclass(slots=True)
class Element:
    """One XML element: its own text (children's text excluded, outer white space removed) and children."""

    name: str
    attributes: dict[str, str]
    children: "list[Element] | tuple[Element, ...]"
    text: str

    def child(self, name: str) -> "Element | None":
        """The first child called `name`, letter case disregarded when no exact match exists."""
        for child in self.children:
            if child.name == name:
                return child
        folded = name.casefold()
        for child in self.children:
            if child.name.casefold() == folded:
                return child
        return None

    def value(self, name: str) -> str:
        """The text of the child called `name`; empty when absent, blank or the word "null" (2.9)."""
        child = self.child(name)
        return "" if child is None else clean(child.text)


def clean(text: str) -> str:
    """Devices print their missing strings as "null" (seen in the field): such a text is blank."""
    return "" if text in {"null", "NULL", "(null)"} else text


def element(name: str, content: "str | int | Iterable[Element]" = "", **attributes: str | int) -> Element:
    """Build an element for sending: text, a number, or child elements."""
    written = {key: str(value) for key, value in attributes.items()}
    if isinstance(content, str | int):
        return Element(name, written, _NO_CHILDREN, str(content))
    return Element(name, written, list(content), "")


class _TreeBuilder:
    """Collects expat's events into `Element`s and stops at the bounds."""

    __slots__ = ("count", "root", "stack")

    def __init__(self) -> None:
        self.count = 0
        self.root: Element | None = None
        self.stack: list[Element] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.count += 1
        if self.count > MAX_ELEMENTS:
            raise ManscdpError(ManscdpFault.TOO_MANY_ELEMENTS, f"more than {MAX_ELEMENTS} elements")
        if len(attributes) > MAX_ATTRIBUTES:
            raise ManscdpError(ManscdpFault.TOO_MANY_ELEMENTS, f"more than {MAX_ATTRIBUTES} attributes")
        made = Element(name, attributes or _NO_ATTRIBUTES, _NO_CHILDREN, "")
        stack = self.stack
        if stack:
            if len(stack) >= MAX_DEPTH:
                raise ManscdpError(ManscdpFault.TOO_DEEP, f"more than {MAX_DEPTH} levels")
            parent = stack[-1]
            if parent.children:
                parent.children.append(made)  # type: ignore[union-attr]  # a non-empty one is a list
            else:
                parent.children = [made]
        else:
            self.root = made
        stack.append(made)

    def end(self, _name: str) -> None:
        done = self.stack.pop()
        done.text = done.text.strip()

    def data(self, text: str) -> None:
        self.stack[-1].text += text


def finish(steps: Generator[None, None, T]) -> T:
    """Run work that is divided into steps to its end, at one go."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: T = done.value
            return result


def _parse(text: str) -> Generator[None, None, Element]:
    builder = _TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    last = 0
    while len(text) - last > _STEP_CHARS:
        parser.Parse(text[last : last + _STEP_CHARS], False)
        last += _STEP_CHARS
        yield
    parser.Parse(text[last:] if last else text, True)
    if builder.root is None:  # expat would have raised; keeps the type honest
        raise ManscdpError(ManscdpFault.NOT_WELL_FORMED, "no root element")
    return builder.root


def _mend(text: str) -> Generator[None, None, tuple[Element, list[Repair]]]:
    """Parse after mending what fielded devices break (trap 4): raw & and <, control characters, late bytes.

    Text that merely looks like a tag is told from a tag only in bodies of at most `MAX_SEARCHED_CHARS`,
    because that search is slow. Raises `ManscdpError` when nothing helps.
    """
    repairs: list[Repair] = []
    mended = _CONTROLS.sub("", text)
    if mended != text:
        repairs.append(Repair.CONTROL_CHARACTERS)
    yield
    escaped = _RAW_LESS_THAN.sub("&lt;", _RAW_AMPERSAND.sub("&amp;", mended))
    if escaped != mended:
        repairs.append(Repair.RAW_MARKUP)
    end = escaped.rfind(">") + 1
    if escaped[end:].strip():
        repairs.append(Repair.TRAILING_BYTES)
        escaped = escaped[:end]
    yield
    try:
        return (yield from _parse(escaped)), repairs
    except expat.ExpatError as error:
        if len(escaped) > MAX_SEARCHED_CHARS:
            raise ManscdpError(ManscdpFault.NOT_WELL_FORMED, str(error)) from error
    if Repair.RAW_MARKUP not in repairs:
        repairs.append(Repair.RAW_MARKUP)
    yield
    try:
        return (yield from _parse(_escape_stray_tags(escaped))), repairs
    except expat.ExpatError as error:
        raise ManscdpError(ManscdpFault.NOT_WELL_FORMED, str(error)) from error


def _escape_stray_tags(text: str) -> str:
    """Escape every < that starts no element of this document.

    Something shaped like a tag is text when its name is opened but never closed, or closed but never opened.
    """
    opened: set[str] = set()
    closed: set[str] = set()
    for slash, name, _attributes, empty in _TAG.findall(text):
        if not empty:
            (closed if slash else opened).add(name)
    paired = opened & closed
    pieces: list[str] = []
    at = 0
    for found in re.finditer("<(?![!?])", text):
        start = found.start()
        tag = _TAG.match(text, start)
        if tag is not None and (tag[4] or tag[2] in paired):
            continue
        pieces += (text[at:start], "&lt;")
        at = start + 1
    pieces.append(text[at:])
    return "".join(pieces)


def read_document(body: bytes) -> Generator[None, None, tuple[Element, list[Repair]]]:
    """Parse a body into its root element and say what had to be mended, in steps of a few milliseconds.

    Raises `ManscdpError`: empty, too large, forbidden markup (DOCTYPE, ENTITY), beyond the bounds, or not
    well-formed even after mending.
    """
    if not body or body.isspace():
        raise ManscdpError(ManscdpFault.EMPTY, "the message has no body")
    if len(body) > MAX_BODY_BYTES:
        raise ManscdpError(ManscdpFault.TOO_LARGE, f"{len(body)} bytes, at most {MAX_BODY_BYTES} are read")
    declared = _DECLARED.match(body)
    text, charset = decode_text(body, "" if declared is None else declared[1].decode("ascii"))
    repairs = [Repair.DAMAGED_TEXT] if charset is DAMAGED else []
    if "<!" in text and _FORBIDDEN.search(text):
        raise ManscdpError(ManscdpFault.FORBIDDEN_MARKUP, "document types and entities are not accepted")
    try:
        return (yield from _parse(text)), repairs
    except expat.ExpatError:
        root, more = yield from _mend(text.lstrip())
        return root, repairs + more


def write_document(root: Element, charset: str) -> bytes:
    """Serialise for sending, with a declaration that is true: GB18030 when `charset` cannot hold the text.

    Raises `ManscdpError` for characters that no XML document may contain.
    """
    lines: list[str] = []
    _write(root, lines)
    text = "\r\n".join(lines) + "\r\n"
    if _CONTROLS.search(text):
        raise ManscdpError(ManscdpFault.NOT_ENCODABLE, "control characters cannot be sent in XML")
    try:
        data, true_charset = encode_text(text, charset)
    except UnicodeEncodeError as error:
        raise ManscdpError(ManscdpFault.NOT_ENCODABLE, "lone surrogates cannot be sent in XML") from error
    return f'<?xml version="1.0" encoding="{true_charset}"?>\r\n'.encode("ascii") + data


def _write(node: Element, lines: list[str]) -> None:
    attributes = "".join(
        f' {name}="{escape(value, {chr(34): "&quot;"})}"' for name, value in node.attributes.items()
    )
    if node.children:
        lines.append(f"<{node.name}{attributes}>{escape(node.text)}")
        for child in node.children:
            _write(child, lines)
        lines.append(f"</{node.name}>")
    else:
        lines.append(f"<{node.name}{attributes}>{escape(node.text)}</{node.name}>")
