"""Bodies of admission: devices that wait, rules, lockouts, passwords made for devices."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from commonview.api.schemas import Answer, Id, Request
from commonview.api.schemas_tree import ShownName
from commonview.network.admission import ApplicationState, RuleEffect, RuleSubject

ShortReason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]


class ApplicationOut(Answer):
    """An unknown device that proved the enrolment password and waits, or was refused."""

    device_id: str
    state: ApplicationState
    address: str
    transport: str
    user_agent: str
    gb_version: str | None
    attempts: int
    first_at: datetime
    last_at: datetime
    decided_at: datetime | None
    decided_by: str
    reason: str


class AdmissionOut(Answer):
    """Who waits, in which mode: `open` lets unknown devices in, `approve` lets them wait."""

    mode: str
    applications: list[ApplicationOut]


class DeviceAdd(Request):
    """A device to make known before it comes."""

    device_id: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_-]{1,32}$", max_length=32)]
    name: ShownName | None = None
    own_password: bool = Field(default=False, description="Make a password of its own, shown once.")


class Approval(Request):
    """How to take a waiting device in."""

    name: ShownName | None = None
    own_password: bool = Field(default=False, description="Make a password of its own, shown once.")


class RefusalOfDevice(Request):
    """Why a device is turned away."""

    reason: ShortReason = ""


class MadePasswordOut(Answer):
    """The password made for a device, shown this once; null when it has none of its own."""

    device_id: str
    password: str | None


class RuleOut(Answer):
    """A ban or an exemption; `ends_at` null until somebody lifts it."""

    id: str
    effect: RuleEffect
    subject: RuleSubject
    value: str
    reason: str
    made_by: str
    created_at: datetime
    ends_at: datetime | None


class RuleCreate(Request):
    """Ban or exempt devices by id, address, network or User-Agent."""

    effect: RuleEffect = RuleEffect.BAN
    subject: RuleSubject
    value: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
    reason: ShortReason = ""
    duration_s: Annotated[int, Field(ge=60, le=10 * 366 * 86400)] | None = None


class LockoutOut(Answer):
    """An address that guessed wrong passwords too often, for one device or (empty) for all together."""

    host: str
    device_id: str
    wrong: int
    seconds_left: float


class LockoutLift(Request):
    """Whom to let try again at once."""

    host: Annotated[str, StringConstraints(max_length=64)]
    device_id: Id | None = None
