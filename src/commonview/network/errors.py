"""What can go wrong when somebody asks the network room for something."""

from commonview.foundation.errors import CommonviewError


class NetworkError(CommonviewError):
    """Root of this room's errors."""

    default_code = "network_error"


class DeviceUnknown(NetworkError):
    """No device has this id."""

    default_code = "device_unknown"
    http_status = 404


class ChannelUnknown(NetworkError):
    """No channel has this id."""

    default_code = "channel_unknown"
    http_status = 404


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
