"""Secrets leave a message before it is kept or shown; everything else stays byte for byte.

Blotted out: the proof in Authorization and Proxy-Authorization (and the client nonce it was made with, so
that nobody can try passwords against it), every XML element whose name says password, and everything
behind the host of an upload or file address, which is where one-time tokens stand.
"""

from __future__ import annotations

import re
from typing import Final

BLOT: Final = b"***"
_LINE_FEED: Final = 0x0A
_WORD: Final = re.compile(rb"\w")

# In lower case already, which is far quicker to search than to ignore the case.
_AUTHORIZATION: Final = re.compile(rb"authorization[ \t]*:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*")
_SCHEME: Final = re.compile(rb"[^:]*:\s*(?:([a-z]+)[ \t]+)?")
_PROOF: Final = re.compile(rb'(?:response|cnonce)\s*=\s*("(?:[^"\\]|\\.)*"?|[^",\s]*)')
_MAY_HAVE_URI_PASSWORD: Final = re.compile(rb"sips?:[^\s@:;<>]{1,128}:[^\s@<>]{1,128}@")
_PASSWORD: Final = re.compile(
    rb"(<((?:[\w.-]*:)?\w*(?:password|passwd|passphrase)\w*)(?:\s[^<>]*)?>)[^<]*", re.IGNORECASE
)
_ADDRESS: Final = re.compile(
    rb"(<\w*URL(?:\s[^<>]*)?>\s*(?:[A-Za-z][\w+.-]*://)?)([^<\s/?]*)([^<]*)", re.IGNORECASE
)
_PASSWORD_ATTRIBUTE: Final = re.compile(
    rb"""(\b\w*passw(?:or)?d\w*\s*=\s*)("[^"]*"?|'[^']*'?)""", re.IGNORECASE
)
_URI_PASSWORD: Final = re.compile(rb"(sips?:[^\s@:;<>]{1,128}:)[^\s@<>]{1,128}@", re.IGNORECASE)


def redact(data: bytes) -> bytes:
    """`data` without its secrets; the same object when there are none. Never raises."""
    lowered = data.lower()
    if b"authorization" in lowered:
        data = _without_proofs(data, lowered)
    if _MAY_HAVE_URI_PASSWORD.search(lowered):
        data = _URI_PASSWORD.sub(rb"\1" + BLOT + b"@", data)
    if b"passw" in lowered or b"passphrase" in lowered:
        data = _PASSWORD.sub(rb"\1" + BLOT, data)
        data = _PASSWORD_ATTRIBUTE.sub(rb'\1"' + BLOT + rb'"', data)
    if b"url>" in lowered or b"url " in lowered:
        data = _ADDRESS.sub(_blot_address, data)
    return data


def _without_proofs(data: bytes, lowered: bytes) -> bytes:
    """Without what stands in headers whose lower-case name ends with "authorization"."""
    pieces: list[bytes] = []
    kept = at = 0
    while (at := lowered.find(b"authorization", at)) >= 0:
        start = at - 6 if lowered[max(at - 6, 0) : at] == b"proxy-" else at
        line = _AUTHORIZATION.match(lowered, at)
        if line is None or (start and lowered[start - 1] != _LINE_FEED):
            at += 1
            continue
        for begin, end, blot in _secrets_of(lowered, at, line.end()):
            pieces += (data[kept:begin], blot)
            kept = end
        at = line.end()
    return b"".join((*pieces, data[kept:]))


def _secrets_of(lowered: bytes, start: int, end: int) -> list[tuple[int, int, bytes]]:
    """Where secrets stand in a header, and what takes their place: all of it, where it is no digest."""
    scheme = _SCHEME.match(lowered, start, end)
    if scheme is not None and scheme[1] != b"digest":
        return [(scheme.end(), end, BLOT)] if scheme.end() < end else []
    return [
        (*found.span(1), b'"' + BLOT + b'"')
        for found in _PROOF.finditer(lowered, start, end)
        if not _WORD.match(lowered, found.start() - 1)
    ]


def _blot_address(found: re.Match[bytes]) -> bytes:
    host = found[2].rpartition(b"@")[2]  # a user and password may stand before it
    blotted = b"/" + BLOT if found[3].strip() not in (b"", b"/") else found[3]
    return found[1] + host + blotted
