"""Cut a TCP byte stream into SIP messages (RFC 3261 18.3), also when Content-Length lies.

GB/T 28181 devices send ``Content-Length: 0`` although a body follows, or count characters instead of bytes.
On a stream that would shift every later message. A MANSCDP body marks its own end by the closing tag of its
root, so for those the tag decides when it and the count disagree; everything else obeys the count. Whatever
then stands where a start line should be is skipped up to the next start line, and counted.

How the bytes are split over reads never changes what comes out: a decision is taken only when no later byte
could change it. Where a peer falls silent in the middle of such doubt (`held`), the caller calls `flush`
after a moment.
"""

from __future__ import annotations

import re
from typing import Final

from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.message import (
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    SipMessage,
    SipRequest,
    declared_length,
    is_manscdp,
    parse_head,
)

MAX_LINE_BYTES: Final = 8192
MAX_JUNK_BYTES: Final = 64 * 1024

_CLOSING_TAG: Final = re.compile(rb"</(?:Notify|Response|Query|Control)[ \t\r\n]*>")
_TAG_OVERLAP: Final = 64
_WORD: Final = re.compile(rb"[A-Za-z0-9\-.!%*_+`'~/]{1,64}")
_START_LINE: Final = re.compile(
    rb"(?:SIP/[0-9]\.[0-9] [^\r\n]*|[A-Za-z0-9\-.!%*_+`'~]{1,64} [^\r\n]*SIP/[0-9]\.[0-9][ \t]*)\r?\n"
)
_LATER_START_LINE: Final = re.compile(rb"\n" + _START_LINE.pattern)
_JUNK_MARK: Final = b"<"
_BLANK: Final = re.compile(rb"[ \t\r\n]*")

Item = SipMessage | SipParseError


class StreamFramer:
    """Sans-I/O framer of one connection.

    ``broken`` is set, with the reason, once the stream is beyond repair.
    """

    __slots__ = (
        "_buffer",
        "_declared",
        "_delimited",
        "_junk_run",
        "_line_scan",
        "_message",
        "_scan",
        "_tag_end",
        "broken",
        "junk_bytes",
        "keepalive_bytes",
    )

    def __init__(self) -> None:
        self.broken: str | None = None
        self.junk_bytes = 0
        self.keepalive_bytes = 0
        self._buffer = bytearray()
        self._message: SipMessage | None = None
        self._declared = 0
        self._delimited = False
        self._junk_run = 0
        self._reset_scan()

    def _reset_scan(self) -> None:
        self._scan = 0
        self._line_scan = 0
        self._tag_end: int | None = None

    @property
    def held(self) -> bool:
        """Whether a message is complete but for doubt about where its body ends; see `flush`."""
        if self._message is None or not self._delimited:
            return False
        return self._tag_end is not None or len(self._buffer) >= self._declared

    @property
    def buffered(self) -> int:
        """Bytes waiting for the rest of their message."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Item]:
        """Take bytes; return what they completed: messages, and errors for messages that could not be read.

        Once `broken`, bytes are only counted. Never raises.
        """
        if self.broken is not None:
            self.junk_bytes += len(data)
            return []
        self._buffer += data
        found: list[Item] = []
        while self.broken is None and (self._take_body(found) if self._message else self._take_head(found)):
            pass
        return found

    def flush(self) -> list[Item]:
        """Give up waiting for proof and return the held message, if any, with the likeliest body."""
        if not self.held:
            return []
        found: list[Item] = []
        end = self._tag_end if self._tag_end is not None else self._declared
        self._emit(end, found)
        found += self.feed(b"")
        if self._message is None and self._buffer == _JUNK_MARK:
            # The silence also ended the line of noise behind that body; what comes next begins afresh.
            self.junk_bytes += len(_JUNK_MARK)
            self._buffer.clear()
        return found

    def _break(self, why: str) -> bool:
        self.broken = why
        self.junk_bytes += len(self._buffer)
        self._buffer.clear()
        self._message = None
        return False

    def _take_head(self, found: list[Item]) -> bool:
        buffer = self._buffer
        if buffer.startswith((b"\r", b"\n")):
            blank = len(buffer) - len(buffer.lstrip(b"\r\n"))
            self.keepalive_bytes += blank
            del buffer[:blank]
            self._reset_scan()
        if not buffer:
            return False
        if self._scan == 0:
            starts = _starts_here(buffer, 0)
            if starts is None:
                return False
            if not starts:
                return self._skip_line()
        end, size = self._find_head_end()
        if end < 0:
            return False if len(buffer) <= MAX_HEAD_BYTES else self._break("header too large")
        if end > MAX_HEAD_BYTES:
            return self._break("header too large")
        head = bytes(buffer[:end])
        del buffer[: end + size]
        self._reset_scan()
        self._junk_run = 0
        try:
            self._begin_body(parse_head(head))
        except SipParseError as error:
            found.append(error)
            if error.status == 413:
                self._break("body too large")
        return True

    def _find_head_end(self) -> tuple[int, int]:
        """Index of the LF ending the last header line, and the size of the empty line with it; or -1."""
        buffer, start = self._buffer, max(0, self._scan - 2)
        crlf = buffer.find(b"\n\r\n", start)
        bare = buffer.find(b"\n\n", start, crlf + 1 if crlf >= 0 else len(buffer))
        self._scan = len(buffer)
        if bare >= 0:
            return bare, 2
        return crlf, 3

    def _skip_line(self) -> bool:
        """Resynchronise: drop up to the next line end."""
        buffer = self._buffer
        end = buffer.find(b"\n")
        size = end + 1 if end >= 0 else len(buffer)
        self.junk_bytes += size
        self._junk_run += size
        if self._junk_run > MAX_JUNK_BYTES:
            return self._break("not SIP")
        if end < 0:
            # Keep one byte that no start line begins with: the rest of this line is junk as well.
            self.junk_bytes -= len(_JUNK_MARK)
            self._junk_run -= len(_JUNK_MARK)
            buffer[:] = _JUNK_MARK
            return False
        del buffer[:size]
        return True

    def _begin_body(self, message: SipMessage) -> None:
        length = declared_length(message)
        delimited = is_manscdp(message)
        if length is None:
            if isinstance(message, SipRequest) and not delimited and "Content-Type" in message.headers:
                raise SipParseError(400, "stream message without Content-Length", message)
            length = 0
        if length > MAX_BODY_BYTES:
            partial = message if isinstance(message, SipRequest) else None
            raise SipParseError(413, "body too large", partial)
        self._message = message
        self._declared = length
        self._delimited = delimited

    def _take_body(self, found: list[Item]) -> bool:
        if not self._delimited:
            if len(self._buffer) < self._declared:
                return False
            self._emit(self._declared, found)
            return True
        end = self._delimited_end()
        if end is None:
            if len(self._buffer) > MAX_BODY_BYTES + MAX_HEAD_BYTES:
                return self._break("body too large")
            return False
        self._emit(end, found)
        return True

    def _emit(self, end: int, found: list[Item]) -> None:
        message = self._message
        if message is None:
            return
        message.body = bytes(self._buffer[:end])
        if end < self._declared:
            message.repairs += ("length_too_large",)
        elif end > self._declared:
            message.repairs += ("length_too_small",)
        del self._buffer[:end]
        self._message = None
        self._reset_scan()
        found.append(message)

    def _delimited_end(self) -> int | None:
        """Where the MANSCDP body ends, or None while later bytes could still change that."""
        buffer, declared = self._buffer, self._declared
        if self._tag_end is None:
            tag = _CLOSING_TAG.search(buffer, max(0, self._scan - _TAG_OVERLAP))
            self._scan = len(buffer)
            if tag is not None:
                self._tag_end = tag.end()
        if self._tag_end is not None and self._tag_end <= declared:
            return self._end_within(self._tag_end)
        if len(buffer) < declared:
            return None
        blank = _BLANK.match(buffer, declared)
        after = blank.end() if blank is not None else declared
        if after >= len(buffer):
            return None
        starts = _starts_here(buffer, after)
        if starts is None:
            return None
        if starts:
            return declared
        return self._end_beyond()

    def _end_within(self, tag_end: int) -> int | None:
        """The closing tag came within the count: the count holds unless another message begins before it."""
        buffer, declared = self._buffer, self._declared
        blank = _BLANK.match(buffer, tag_end)
        after = blank.end() if blank is not None else tag_end
        if after < min(declared, len(buffer)):
            starts = _starts_here(buffer, after)
            if starts is None:
                return None
            if starts:
                return tag_end
        return declared if len(buffer) >= declared else None

    def _end_beyond(self) -> int | None:
        """The count ends inside the body: take all up to the closing tag, or to another message."""
        buffer, declared = self._buffer, self._declared
        limit = len(buffer) if self._tag_end is None else self._tag_end
        later = _LATER_START_LINE.search(buffer, max(declared, self._line_scan), limit)
        if later is not None:
            return declared
        self._line_scan = max(declared, buffer.rfind(b"\n"))
        return self._tag_end


def _starts_here(buffer: bytearray, position: int) -> bool | None:
    """Whether a start line stands at `position`; None while its end is not here yet."""
    word = _WORD.match(buffer, position)
    if word is None:
        return False
    if word.end() == len(buffer):
        return None
    if buffer[word.end()] != 0x20:
        return False
    end = buffer.find(b"\n", position, position + MAX_LINE_BYTES)
    if end < 0:
        return None if len(buffer) - position < MAX_LINE_BYTES else False
    return _START_LINE.match(buffer, position, end + 1) is not None
