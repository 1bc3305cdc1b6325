"""What a camera uploads: pictures, told from everything else. Pure.

The edition says only "http" for UploadURL (2022 9.14): no method, no field names. Ours: POST or PUT; either
the picture itself as the body, or multipart/form-data, whose parts that hold pictures count and whose other
parts are ignored, but for a SessionID, which must be the right one when it is there.
"""

from __future__ import annotations

import re
from email.message import Message
from typing import Final

from commonview.network.control.errors import UploadRefused

_JPEG: Final = b"\xff\xd8\xff"
_MAX_PARTS: Final = 40
_MAX_HEAD: Final = 8192
_NAME: Final = re.compile(r'name="?([^";\r\n]{0,80})', re.IGNORECASE)


def pictures_of(body: bytes, content_type: str, session_id: str) -> list[bytes]:
    """The JPEG pictures in a body. Raises `UploadRefused`: `upload_empty`, `upload_not_jpeg`,
    `upload_malformed`, `upload_other_session`."""
    if not body:
        raise UploadRefused("the upload has no body", code="upload_empty")
    kind, boundary = _boundary(content_type)
    if kind != "multipart/form-data":
        return [_jpeg(body)]
    if not boundary:
        raise UploadRefused("a multipart upload without a boundary", code="upload_malformed")
    found = []
    for head, content in _parts(body, boundary):
        named = _NAME.search(head)
        if named is not None and named[1].casefold() == "sessionid":
            if content.strip().decode("ascii", "replace") != session_id:
                raise UploadRefused("the upload belongs to another session", code="upload_other_session")
        elif content.startswith(_JPEG):
            found.append(content)
    if not found:
        raise UploadRefused("the upload holds no JPEG picture", code="upload_not_jpeg")
    return found


def _jpeg(body: bytes) -> bytes:
    if not body.startswith(_JPEG):
        raise UploadRefused("the upload is no JPEG picture", code="upload_not_jpeg")
    return body


def _boundary(content_type: str) -> tuple[str, str]:
    message = Message()
    message["Content-Type"] = content_type[:512] or "application/octet-stream"
    boundary = message.get_param("boundary", "")
    return message.get_content_type(), boundary[:200] if isinstance(boundary, str) else ""


def _parts(body: bytes, boundary: str) -> list[tuple[str, bytes]]:
    """(head, content) of every part (RFC 7578, RFC 2046 5.1)."""
    mark = b"--" + boundary.encode("latin-1", "replace")
    pieces = (b"\r\n" + body).split(b"\r\n" + mark, _MAX_PARTS + 1)
    if len(pieces) < 3 or len(pieces) > _MAX_PARTS + 1:
        raise UploadRefused("the upload is not well-formed multipart", code="upload_malformed")
    parts = []
    for piece in pieces[1:]:
        if piece.startswith(b"--"):
            break
        head, separator, content = piece.partition(b"\r\n\r\n")
        if not separator or len(head) > _MAX_HEAD:
            raise UploadRefused("the upload is not well-formed multipart", code="upload_malformed")
        parts.append((head.decode("latin-1"), content))
    return parts
