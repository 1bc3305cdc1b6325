"""What the media room can refuse, as one tree under `MediaError`."""

from __future__ import annotations

from commonview.foundation.errors import CommonviewError


class MediaError(CommonviewError):
    """A media command that could not be carried out."""

    default_code = "media_failed"
    http_status = 503


class PortsExhausted(MediaError):
    """No pair of RTP/RTCP ports is free; `params` says the range and how many are quarantined."""

    default_code = "media_ports_exhausted"


class StreamUnknown(MediaError):
    """The node holds no stream of that id (never opened, or closed meanwhile)."""

    default_code = "media_stream_unknown"
    http_status = 404


class StreamExists(MediaError):
    """A stream of that id is open already; close it first."""

    default_code = "media_stream_exists"
    http_status = 409


class OutputUnknown(MediaError):
    """The node has no sender, file sink or talk of that id (never opened, or ended meanwhile)."""

    default_code = "media_output_unknown"
    http_status = 404


class OutputExists(MediaError):
    """A sender, file sink or talk of that id is open already; close it first."""

    default_code = "media_output_exists"
    http_status = 409


class TransportMismatch(MediaError):
    """The command does not fit the transport the stream was opened with."""

    default_code = "media_transport_mismatch"
    http_status = 409


class InvalidMediaArgument(MediaError):
    """An id, address or setting that the node cannot take."""

    default_code = "media_invalid_argument"
    http_status = 400


class CertificateUnusable(MediaError):
    """The certificate or key that viewers are to be shown is none, or they do not belong together."""

    default_code = "media_certificate_unusable"
    http_status = 400


class NodeUnavailable(MediaError):
    """The node is closed, could not bind its outlet, or does not answer."""

    default_code = "media_node_unavailable"


class RtspOutletUnavailable(NodeUnavailable):
    """The outlet for RTSP players could not be bound."""

    default_code = "media_rtsp_unavailable"


class EventsInUse(MediaError):
    """`events()` has one consumer at a time; a second one was refused."""

    default_code = "media_events_in_use"
    http_status = 409
