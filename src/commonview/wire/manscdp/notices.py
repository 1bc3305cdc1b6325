"""Notices new in 2022: snapshots sent, upgrade ended, please pull (GB/T 28181-2022 A.2.5.8 ff)."""

from dataclasses import dataclass, field
from datetime import datetime

from commonview.wire.manscdp.codecs import decimal, moment, text, texts
from commonview.wire.manscdp.registry import Message, message
from commonview.wire.version import GbVersion


@message("Notify", "UploadSnapShotFinished", since=GbVersion.V2022)
@dataclass(frozen=True, slots=True, kw_only=True)
class UploadSnapShotFinished(Message):
    """The pictures of `session_id` were uploaded; fewer ids than asked mean partial or total failure."""

    session_id: str = field(metadata=text("SessionID", limit=128))
    file_ids: tuple[str, ...] = field(
        default=(), metadata=texts("SnapShotList", item="SnapShotFileID", limit=256)
    )


@message("Notify", "VideoUploadNotify", since=GbVersion.V2022)
@dataclass(frozen=True, slots=True, kw_only=True)
class VideoUploadNotify(Message):
    """A device asks to be pulled, from where it is (degrees WGS-84)."""

    time: datetime | None = field(default=None, metadata=moment("Time"))
    longitude: float | None = field(default=None, metadata=decimal("Longitude", low=-180, high=180))
    latitude: float | None = field(default=None, metadata=decimal("Latitude", low=-90, high=90))


UPGRADE_FAILED_REASONS = {"01": "timeout", "02": "bad_package", "03": "system", "99": "other"}
"""UpgradeFailedReason by its code."""


@message("Notify", "DeviceUpgradeResult", since=GbVersion.V2022)
@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUpgradeResult(Message):
    """How the upgrade of `session_id` ended; `firmware` is what runs now."""

    session_id: str = field(metadata=text("SessionID", limit=128))
    upgrade_result: str = field(default="", metadata=text("UpgradeResult", "Result", limit=16))
    firmware: str = field(default="", metadata=text("Firmware", limit=256))
    upgrade_failed_reason: str = field(default="", metadata=text("UpgradeFailedReason", limit=64))

    @property
    def ok(self) -> bool:
        """Whether the device said OK; anything else, and nothing, is no success."""
        return self.upgrade_result.upper() == "OK"

    @property
    def failed_reason(self) -> str:
        """timeout, bad_package, system, other; empty when it did not fail or did not tell."""
        code = self.upgrade_failed_reason.zfill(2)
        return UPGRADE_FAILED_REASONS.get(code, "other") if self.upgrade_failed_reason else ""
