"""What can go wrong when somebody asks about superiors."""

from commonview.network.errors import NetworkError


class SuperiorUnknown(NetworkError):
    """No superior has this id."""

    default_code = "superior_unknown"
    http_status = 404


class SuperiorInvalid(NetworkError):
    """A value given for a superior cannot be used; the message says which and why."""

    default_code = "superior_invalid"
    http_status = 422


class SuperiorShared(NetworkError):
    """A sharing with this superior is in force: revoke it first."""

    default_code = "superior_shared"
    http_status = 409
