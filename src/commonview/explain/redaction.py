"""Secrets leave a message before it is kept or shown; everything else stays byte for byte.

Blotted out: the proof in Authorization and Proxy-Authorization (and the client nonce it was made with, so
that nobody can try passwords against it), every XML element whose name says password, and everything
behind the host of an upload or file address, which is where one-time tokens stand.
"""

from __future__ import annotations

import re
from typing import Final

BLOT: Final = b"***"

_AUTHORIZATION: Final = re.compile(
    rb"^(?:proxy-)?authorization[ \t]*:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*", re.IGNORECASE | re.MULTILINE
)
_PROOF: Final = re.compile(rb'\b(response|cnonce)(\s*=\s*)("(?:[^"\\]|\\.)*"?|[^",\s]*)', re.IGNORECASE)
_OTHER_SCHEME: Final = re.compile(rb"(:[ \t]*)(?!digest\b)([A-Za-z]+)([ \t]+)\S.*", re.IGNORECASE | re.DOTALL)
_PASSWORD: Final = re.compile(
    rb"(<((?:[\w.-]*:)?\w*(?:password|passwd|passphrase)\w*)(?:\s[^<>]*)?>)[^<]*", re.IGNORECASE
)
_ADDRESS: Final = re.compile(
    rb"(<\w*URL(?:\s[^<>]*)?>\s*(?:[A-Za-z][\w+.-]*://)?)([^<\s/?]*)([^<]*)", re.IGNORECASE
)
_PASSWORD_ATTRIBUTE: Final = re.compile(
    rb"""(\b\w*passw(?:or)?d\w*\s*=\s*)("[^"]*"?|'[^']*'?)""", re.IGNORECASE
)

# In lower case already, which is far quicker to search than to ignore the case.
_MAY_HAVE_URI_PASSWORD: Final = re.compile(rb"sips?:[^\s@:;<>]{1,128}:[^\s@<>]{1,128}@")
_URI_PASSWORD: Final = re.compile(rb"(sips?:[^\s@:;<>]{1,128}:)[^\s@<>]{1,128}@", re.IGNORECASE)


def redact(data: bytes) -> bytes:
    """`data` without its secrets; the same object when there are none. Never raises."""
    lowered = data.lower()
    if b"authorization" in lowered:
        data = _AUTHORIZATION.sub(_blot_authorization, data)
    if _MAY_HAVE_URI_PASSWORD.search(lowered):
        data = _URI_PASSWORD.sub(rb"\1" + BLOT + b"@", data)
    if b"passw" in lowered or b"passphrase" in lowered:
        data = _PASSWORD.sub(rb"\1" + BLOT, data)
        data = _PASSWORD_ATTRIBUTE.sub(rb'\1"' + BLOT + rb'"', data)
    if b"url>" in lowered or b"url " in lowered:
        data = _ADDRESS.sub(_blot_address, data)
    return data


def _blot_authorization(found: re.Match[bytes]) -> bytes:
    line = _PROOF.sub(rb'\1\2"' + BLOT + rb'"', found[0])
    return _OTHER_SCHEME.sub(rb"\1\2\3" + BLOT, line)


def _blot_address(found: re.Match[bytes]) -> bytes:
    host = found[2].rpartition(b"@")[2]  # a user and password may stand before it
    blotted = b"/" + BLOT if found[3].strip() not in (b"", b"/") else found[3]
    return found[1] + host + blotted
