"""What can be wrong with a capture file."""

from commonview.foundation.errors import CommonviewError


class CaptureUnreadable(CommonviewError):
    """The file cannot be read at all, or is no capture; a damaged end is no error."""

    default_code = "capture_unreadable"
    http_status = 422
