"""What can go wrong while something is rendered."""

from commonview.foundation.errors import CommonviewError


class RenderError(CommonviewError):
    """The root of this room's errors."""

    default_code = "render_failed"
    http_status = 409


class RenderUnavailable(RenderError):
    """PyAV is not installed beside the server (`commonview[rendering]`), or no worker can be started."""

    default_code = "render_unavailable"
    http_status = 503


class RenderBusy(RenderError):
    """So much waits already that no more is taken."""

    default_code = "render_busy"
    http_status = 503


class RenderFailed(RenderError):
    """A job came to nothing.

    `code`: `render_timed_out`, `render_stalled` (killed), `render_crashed` (its process ended), or what the
    job itself found: `picture_absent`, `media_unreadable`, `media_too_large`, `source_missing`,
    `disk_full`, ...
    """
