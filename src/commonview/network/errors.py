"""What can go wrong when somebody asks the network room for something."""

from __future__ import annotations

from typing import Self

from commonview.foundation.errors import CommonviewError


class NetworkError(CommonviewError):
    """Root of this room's errors."""

    default_code = "network_error"


class DeviceUnknown(NetworkError):
    """No device has this id."""

    default_code = "device_unknown"
    http_status = 404

    @classmethod
    def of(cls, device_id: str) -> Self:
        """The id is a stranger's text: it is cut before it is told."""
        return cls(f"no device {device_id[:40]!r}", device_id=device_id[:40])


class ChannelUnknown(NetworkError):
    """No channel has this id."""

    default_code = "channel_unknown"
    http_status = 404

    @classmethod
    def of(cls, channel_id: str) -> Self:
        """The id is a stranger's text: it is cut before it is told."""
        return cls(f"no channel {channel_id[:80]!r}", channel_id=channel_id[:80])


class SessionUnknown(NetworkError):
    """No live session, running or recent, has this id."""

    default_code = "session_unknown"
    http_status = 404


class DeviceOffline(NetworkError):
    """The device cannot be asked anything now."""

    default_code = "device_offline"
    http_status = 409


class DeviceInvalid(NetworkError):
    """A value given for a device cannot be used; the message says which and why."""

    default_code = "device_invalid"
    http_status = 422
