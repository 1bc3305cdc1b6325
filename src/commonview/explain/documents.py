"""What a diagnosis needs of a message body: MANSCDP read generically, SDP, and how its text was encoded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from commonview.wire.charset import DAMAGED, decode_text
from commonview.wire.manscdp import ManscdpError
from commonview.wire.manscdp.errors import Repair
from commonview.wire.manscdp.xml import finish, read_document
from commonview.wire.sdp import GbSdp, SdpError
from commonview.wire.sdp_reader import parse_sdp
from commonview.wire.sip import NameAddr, SipParseError, SipUri

if TYPE_CHECKING:
    from commonview.explain.model import Sighting
    from commonview.wire.manscdp import Element

_DECLARED: Final = re.compile(rb"""<\?xml[^>]{0,200}encoding\s*=\s*["']([A-Za-z0-9_.-]{1,32})""")
_ID: Final = re.compile(r"[0-9A-Za-z_.+-]{1,64}")
_MAX_ITEMS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Document:
    """One MANSCDP body. `items` are the ids listed; `fields` the plain texts under the root, by name."""

    root: str
    cmd_type: str
    sn: str
    device_id: str
    fields: dict[str, str]
    items: tuple[str, ...]
    charset: str
    declared: str
    repairs: tuple[Repair, ...]

    @property
    def promised(self) -> int | None:
        """SumNum, when there is a usable one."""
        text = self.fields.get("SumNum", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None

    @property
    def result(self) -> str:
        """OK, ERROR or what else stands in Result, in capitals."""
        return self.fields.get("Result", "").upper()


def read_manscdp(body: bytes) -> Document | None:
    """The document in a body, None when it is none or cannot be read."""
    try:
        root, repairs = finish(read_document(body))
    except ManscdpError:
        return None
    fields: dict[str, str] = {}
    items: list[str] = []
    for child in root.children:
        if child.children:
            # SDCardStatusInfo is a list too, though it is not called one (GB/T 28181-2022 A.2.6.16)
            if child.name.endswith("List") or child.children[0].name == "Item":
                items += [_item_id(each) for each in child.children[: _MAX_ITEMS - len(items)]]
            fields.setdefault(child.name, "")
        else:
            fields.setdefault(child.name, child.text)
    declared = _DECLARED.match(body.lstrip())
    return Document(
        root=root.name,
        cmd_type=fields.get("CmdType", "") or root.attributes.get("CmdType", ""),
        sn=fields.get("SN", "") or root.attributes.get("SN", ""),
        device_id=fields.get("DeviceID", "") or root.attributes.get("DeviceID", ""),
        fields=fields,
        items=tuple(items),
        charset=DAMAGED if Repair.DAMAGED_TEXT in repairs else decode_text(body)[1],
        declared=declared[1].decode().upper() if declared is not None else "",
        repairs=tuple(repairs),
    )


def _item_id(item: Element) -> str:
    first = "\x1f".join(child.text for child in item.children[:6] if not child.children)
    # Recordings share one device id: there the times are what makes an item.
    begin = item.value("StartTime")
    return f"{item.value('DeviceID')}/{begin}" if begin else item.value("DeviceID") or first


def read_sdp(sighting: Sighting | None) -> GbSdp | None:
    """The session description in a message, None when there is none that can be read."""
    if sighting is None or sighting.message is None or not sighting.message.body.strip():
        return None
    try:
        return parse_sdp(sighting.message.body)
    except SdpError:
        return None


@lru_cache(maxsize=4096)
def user_and_host(value: str) -> tuple[str, str]:
    """User and host of a From, To or Contact value or of a bare URI; blanks when unreadable."""
    try:
        uri = NameAddr.parse(value).sip_uri() if "<" in value else SipUri.parse(value.partition(";")[0])
    except SipParseError:
        return "", ""
    user = uri.user or ""
    return (user if _ID.fullmatch(user) else ""), uri.host
