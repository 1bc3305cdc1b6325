"""What the loopback proof covers: every message of Annex A.2, each with the parts it may carry.

`commonview` speaks on both ends. Above stands our superior, below our simulator or our own subordinate; what
every row is shown by stands in `scenes_below.py` and `scenes_upward.py`, and `docs/conformance.md` shows this
table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import Final

from commonview.wire.charset import GB2312, GB18030, UTF_8
from commonview.wire.version import GbVersion

EDITIONS: Final = (GbVersion.V2016, GbVersion.V2022)
TRANSPORTS: Final = ("udp", "tcp", "tls")
CHARSETS: Final = (GB2312, GB18030, UTF_8)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to speak with a peer."""

    version: GbVersion
    transport: str
    charset: str

    @property
    def name(self) -> str:
        year = "2022" if self.version >= GbVersion.V2022 else "2016"
        return f"{year}-{self.transport}-{self.charset}"


WAYS: Final = tuple(Way(*each) for each in product(EDITIONS, TRANSPORTS, CHARSETS))


class Upward(StrEnum):
    """What our subordinate makes of a row towards our superior."""

    PASSED = "handed on to the camera, and back"
    OWN = "answered or told by the subordinate itself"
    REFUSED = "refused: it belongs to the device's owner"
    NOT_TOLD = "not told upward: it concerns the device's owner"
    VOICE = "handed on where a voice is shared, refused where it is not"


@dataclass(frozen=True, slots=True)
class Row:
    """One message. `part` is the command or the block inside it, where there are several."""

    root: str
    cmd_type: str
    since: GbVersion
    upward: Upward
    part: str = ""

    @property
    def from_above(self) -> bool:
        """Whether the superior sends it."""
        if self.root in ("Control", "Query"):
            return True
        return (self.root, self.cmd_type) in {("Notify", "Broadcast"), ("Response", "Alarm")}

    @property
    def goes_up(self) -> bool:
        """Whether it passes between a subordinate of ours and its superior at all."""
        return self.from_above or self.upward is not Upward.NOT_TOLD

    @property
    def spellings(self) -> frozenset[str]:
        """How the part is written; the key frame command had a letter less before 2022 (trap 50)."""
        return frozenset({self.part, "IFameCmd"} if self.part == "IFrameCmd" else {self.part})

    @property
    def name(self) -> str:
        return "/".join(filter(None, (self.root, self.cmd_type, self.part)))


OLD, NEW = GbVersion.V2016, GbVersion.V2022
P, O, R, N, V = Upward  # noqa: E741 - the column of a table

ROWS: Final = (
    *(
        Row("Control", "DeviceControl", since, upward, part)
        for part, since, upward in (
            ("PTZCmd", OLD, P),
            ("TeleBoot", OLD, R),
            ("RecordCmd", OLD, R),
            ("GuardCmd", OLD, R),
            ("AlarmCmd", OLD, P),
            ("IFrameCmd", OLD, P),
            ("DragZoomIn", OLD, P),
            ("DragZoomOut", OLD, P),
            ("HomePosition", OLD, P),
            ("PTZPreciseCtrl", NEW, P),
            ("DeviceUpgrade", NEW, R),
            ("FormatSDCard", NEW, R),
        )
    ),
    *(
        Row("Control", "DeviceConfig", since, R, part)
        for part, since in (
            ("BasicParam", OLD),
            ("VideoParamOpt", OLD),
            ("SVACEncodeConfig", OLD),
            ("SVACDecodeConfig", OLD),
            ("VideoParamAttribute", NEW),
            ("VideoRecordPlan", NEW),
            ("VideoAlarmRecord", NEW),
            ("PictureMask", NEW),
            ("FrameMirror", NEW),
            ("AlarmReport", NEW),
            ("OSDConfig", NEW),
            ("SnapShotConfig", NEW),
        )
    ),
    Row("Query", "DeviceStatus", OLD, O),
    Row("Query", "Catalog", OLD, O),
    Row("Query", "DeviceInfo", OLD, O),
    Row("Query", "RecordInfo", OLD, P),
    Row("Query", "Alarm", OLD, O),
    Row("Query", "ConfigDownload", OLD, P),
    Row("Query", "PresetQuery", OLD, P),
    Row("Query", "MobilePosition", OLD, O),
    Row("Query", "HomePositionQuery", NEW, P),
    Row("Query", "CruiseTrackListQuery", NEW, P),
    Row("Query", "CruiseTrackQuery", NEW, P),
    Row("Query", "PTZPosition", NEW, P),
    Row("Query", "SDCardStatus", NEW, P),
    Row("Notify", "Keepalive", OLD, O),
    Row("Notify", "Alarm", OLD, P),
    Row("Notify", "MediaStatus", OLD, P),
    Row("Notify", "Broadcast", OLD, V),
    Row("Notify", "MobilePosition", OLD, P),
    Row("Notify", "UploadSnapShotFinished", NEW, N),
    Row("Notify", "VideoUploadNotify", NEW, N),
    Row("Notify", "DeviceUpgradeResult", NEW, N),
    Row("Notify", "Catalog", OLD, O),
    Row("Notify", "PTZPosition", NEW, P),
    Row("Response", "DeviceControl", OLD, P),
    Row("Response", "Alarm", OLD, O),
    Row("Response", "Catalog", OLD, O),
    Row("Response", "DeviceInfo", OLD, O),
    Row("Response", "DeviceStatus", OLD, O),
    Row("Response", "RecordInfo", OLD, P),
    Row("Response", "DeviceConfig", OLD, R),
    Row("Response", "ConfigDownload", OLD, P),
    Row("Response", "PresetQuery", OLD, P),
    Row("Response", "Broadcast", OLD, V),
    Row("Response", "HomePositionQuery", NEW, P),
    Row("Response", "CruiseTrackListQuery", NEW, P),
    Row("Response", "CruiseTrackQuery", NEW, P),
    Row("Response", "PTZPosition", NEW, P),
    Row("Response", "SDCardStatus", NEW, P),
)
