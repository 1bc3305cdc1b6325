"""What can go wrong when somebody asks for a talk."""

from commonview.network.errors import NetworkError


class TalkBusy(NetworkError):
    """Somebody else has the word at this device; `access_id` says under which access."""

    default_code = "talk_busy"
    http_status = 409


class TalkUnknown(NetworkError):
    """No talk, running or recent, has this id."""

    default_code = "talk_unknown"
    http_status = 404
