"""How golden documents are put together: head, lines, declaration."""

from commonview.wire.manscdp import Message
from commonview.wire.version import GbVersion

DEVICE = "34020000001320000001"
CHANNEL = "34020000001310000001"
SESSION = "0123456789abcdef0123456789abcdef"

V2016, V2022 = GbVersion.V2016, GbVersion.V2022
Golden = tuple[Message, GbVersion, bytes]


def document(root: str, *lines: str, charset: str = "GB2312") -> bytes:
    text = "\r\n".join([f'<?xml version="1.0" encoding="{charset}"?>', f"<{root}>", *lines, f"</{root}>", ""])
    return text.encode(charset)


def head(cmd_type: str, sn: int = 17) -> tuple[str, str, str]:
    return f"<CmdType>{cmd_type}</CmdType>", f"<SN>{sn}</SN>", f"<DeviceID>{DEVICE}</DeviceID>"


def golden(message: Message, *lines: str, version: GbVersion = V2022) -> Golden:
    """The message, the edition spoken, and what it looks like; `lines` follow the head."""
    written = document(message.root, *head(message.cmd_type), *lines, charset=version.charset)
    return message, version, written
