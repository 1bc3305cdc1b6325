"""What can be wrong with a request about alarms, positions, linkages and subscriptions."""

from commonview.network.errors import NetworkError


class AlarmUnknown(NetworkError):
    """No such alarm."""

    default_code = "alarm_unknown"
    http_status = 404


class AlarmAcknowledged(NetworkError):
    """Somebody was faster."""

    default_code = "alarm_acknowledged"
    http_status = 409


class LinkageUnknown(NetworkError):
    """No such linkage."""

    default_code = "linkage_unknown"
    http_status = 404


class LinkageInvalid(NetworkError):
    """The linkage cannot be as it was described; ``field`` says where."""

    default_code = "linkage_invalid"
    http_status = 422
