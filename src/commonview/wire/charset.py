"""Text from devices: UTF-8 when the bytes are UTF-8, GB18030 otherwise.

GB/T 28181-2016 asks for GB2312, the 2022 edition (6.10) for GB18030, and fielded devices declare one and
send another. GB18030 contains GBK and GB2312, and Chinese text in GBK is practically never valid UTF-8, so
the bytes themselves answer the question better than any declaration.
"""

from typing import Final

UTF_8: Final = "UTF-8"
GB18030: Final = "GB18030"
GB2312: Final = "GB2312"
DAMAGED: Final = "GB18030-damaged"
"""Reported when the bytes are valid in neither; U+FFFD stands where a byte could not be read."""

_UTF_8_MARK = b"\xef\xbb\xbf"


def decode_text(data: bytes, declared: str = "") -> tuple[str, str]:
    """Decode `data`; returns the text and the charset that fitted: UTF-8, GB18030 or `DAMAGED`.

    Never raises. A leading UTF-8 byte order mark is removed. `declared` decides only what the bytes leave
    open: single characters in GB2312 can be valid UTF-8 of Latin, Greek or Cyrillic letters (the two bytes
    of U+591C read as U+04B9), while Chinese in UTF-8 takes three bytes a character.
    """
    if data.startswith(_UTF_8_MARK):
        data, declared = data[len(_UTF_8_MARK) :], UTF_8
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = None
    if text is not None and (text.isascii() or not declared.upper().startswith("GB") or _is_chinese(text)):
        return text, UTF_8
    try:
        return data.decode("gb18030"), GB18030
    except UnicodeDecodeError:
        return (text, UTF_8) if text is not None else (data.decode("gb18030", errors="replace"), DAMAGED)


def _is_chinese(text: str) -> bool:
    """Whether a character lies beyond the two-byte sequences of UTF-8, as every Chinese one does."""
    return max(text) >= "\u0800"


def encode_text(text: str, charset: str = GB2312) -> tuple[bytes, str]:
    """Encode `text`; returns the bytes and the charset they are truly in.

    A character outside GB2312 moves the whole text to GB18030, whose GB2312 part has the same bytes: an older
    reader still reads everything it knows. Raises `LookupError` for a charset that does not exist and
    `UnicodeEncodeError` for lone surrogates.
    """
    try:
        return text.encode(charset), charset
    except UnicodeEncodeError:
        return text.encode("gb18030"), GB18030


def readable(text: str, limit: int) -> str:
    """At most `limit` characters of header text from a stranger, fit to be stored, logged and shown.

    Bytes that were kept as surrogate escapes are decoded as `decode_text` does, because cameras write their
    makers' names in GBK; what cannot be printed becomes U+FFFD.
    """
    if not text.isprintable():
        text = decode_text(text[:limit].encode("utf-8", "surrogateescape"))[0]
        text = "".join(mark if mark.isprintable() else "\ufffd" for mark in text)
    return text[:limit]
