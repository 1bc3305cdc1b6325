"""The words of admission: unknown devices that knock, and rules for who may."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from commonview.network.errors import NetworkError

if TYPE_CHECKING:
    from datetime import datetime


class ApplicationState(StrEnum):
    """What became of an unknown device that proved the enrolment password."""

    WAITING = "waiting"
    REFUSED = "refused"


class RuleEffect(StrEnum):
    """What a rule does to those it names."""

    BAN = "ban"  # turned away before they are challenged
    ALLOW = "allow"  # never banned by another rule, and admitted without approval


class RuleSubject(StrEnum):
    """By what a rule names devices."""

    DEVICE = "device"  # the claimed id
    HOST = "host"  # one address
    NETWORK = "network"  # an address prefix
    USER_AGENT = "user_agent"  # a part of the User-Agent header, letter case aside


@dataclass(frozen=True, slots=True)
class Application:
    """An unknown device that proved the enrolment password and waits for an operator.

    ``attempts`` counts its registrations since it first came.
    """

    device_id: str
    state: ApplicationState
    address: str
    transport: str
    user_agent: str
    gb_version: str | None
    attempts: int
    first_at: datetime
    last_at: datetime
    decided_at: datetime | None = None
    decided_by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A ban or an exemption. ``ends_at`` None: until somebody lifts it."""

    id: str
    effect: RuleEffect
    subject: RuleSubject
    value: str
    reason: str
    made_by: str
    created_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class Lockout:
    """An address that guessed wrong passwords too often, for one device or ("") for all together."""

    host: str
    device_id: str
    wrong: int
    seconds_left: float


class ApplicationUnknown(NetworkError):
    """No device of this id waits or was refused."""

    default_code = "application_unknown"
    http_status = 404


class RuleUnknown(NetworkError):
    """There is no such rule."""

    default_code = "rule_unknown"
    http_status = 404


class AdmissionInvalid(NetworkError):
    """A rule or a device that cannot be; the message says what and why."""

    default_code = "admission_invalid"
    http_status = 422
