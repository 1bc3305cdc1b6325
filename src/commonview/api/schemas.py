"""What every room's schemas share, and those of the system itself.

Requests refuse unknown fields and bound every length; answers name every field. Times are ISO 8601 in UTC,
durations carry their unit in the name.
"""

from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Item = TypeVar("Item")

Params = dict[str, str | int | float]

Id = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._~-]+$")]
"""Any id of the house: random ids, 20-digit GB/T 28181 ids and the channel keys made of two of them."""

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class Request(BaseModel):
    """A body from outside: nothing unknown, nothing coerced silently, nothing without bounds."""

    model_config = ConfigDict(extra="forbid", str_max_length=2000)


class Answer(BaseModel):
    """A body we send; built from a room's frozen dataclasses where the names agree."""

    model_config = ConfigDict(from_attributes=True)


class Items(Answer, Generic[Item]):
    """A list of things."""

    items: list[Item]


class ErrorDetail(Answer):
    """What went wrong: `code` is stable, and the console translates it; `message` is plain English."""

    code: str
    message: str
    params: Params


class ErrorAnswer(Answer):
    """The shape of every refusal."""

    error: ErrorDetail


class Health(Answer):
    """That the server answers at all. Says nothing else to strangers."""

    status: Literal["ok"]


class Instance(Answer):
    """Where this instance is reached."""

    id: str
    started_at: datetime
    sip_id: str
    sip_domain: str
    sip_address: str
    media_url: str


class AuditState(Answer):
    """Whether the audit log takes entries: `ok`, `storage_full`, `storage_unavailable` or `damaged`."""

    state: str
    entries: int
    signed_entries: int
    last_checkpoint_at: datetime | None
    refused_appends: int
    message: str


class System(Answer):
    """The state of the server and everything that is counted, drops included."""

    version: str
    instance: Instance
    audit: AuditState
    counters: dict[str, dict[str, int]] = Field(
        description="Counters since the start by room (sip, network, media, bus, api) and dotted name."
    )
