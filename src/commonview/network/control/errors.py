"""Refusals of control: nothing was sent when one of these is raised."""

from commonview.network.errors import NetworkError


class NeedsNewerEdition(NetworkError):
    """The device speaks an older edition, which has no such command (Annex I)."""

    default_code = "needs_2022"
    http_status = 409


class OrderNotForSource(NetworkError):
    """This camera is no GB/T 28181 device, and its own protocol has no such order."""

    default_code = "order_not_for_source"
    http_status = 409


class PtzBusy(NetworkError):
    """Somebody else steers this camera; params name the holder and when the lease ends by itself."""

    default_code = "ptz_busy"
    http_status = 409


class CommandUnknown(NetworkError):
    """No command has this id, or it is too old to be remembered."""

    default_code = "command_unknown"
    http_status = 404


class NotAnswered(NetworkError):
    """The device took the question and did not answer it."""

    default_code = "not_answered"
    http_status = 504


class RefusedByDevice(NetworkError):
    """The device answered the question with Result ERROR."""

    default_code = "refused_by_device"
    http_status = 502


class CapabilityUnknown(NetworkError):
    """Nothing is known of this kind of command at this device or channel."""

    default_code = "capability_unknown"
    http_status = 404


class UploadUnknown(NetworkError):
    """No upload is expected at this address, or no longer."""

    default_code = "upload_unknown"
    http_status = 404


class UploadRefused(NetworkError):
    """What was uploaded is no picture that was asked for; ``code`` says why."""

    default_code = "upload_refused"
    http_status = 422


class SnapshotUnknown(NetworkError):
    """No picture has this id, or it has been deleted."""

    default_code = "snapshot_unknown"
    http_status = 404


class SnapshotBusy(NetworkError):
    """A snapshot of this channel is under way."""

    default_code = "snapshot_busy"
    http_status = 409
