"""Bodies of the security room: set-up, sessions, accounts, purposes, grants, access records, audit."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator, Field, SecretStr, StringConstraints

from commonview.api.schemas import Answer, Id, Name, Request
from commonview.security import AccessOutcome, Action, GrantOrigin, GrantState, Role

Username = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
Password = Annotated[SecretStr, Field(min_length=1, max_length=256)]
TotpCode = Annotated[SecretStr, Field(min_length=6, max_length=10)]
ReviewDate = Annotated[
    AwareDatetime,
    Field(ge=datetime(2000, 1, 1, tzinfo=UTC), lt=datetime(2200, 1, 1, tzinfo=UTC)),
]
_IN_ORDER = BeforeValidator(sorted)  # the rooms keep sets; an answer is the same every time
ReasonText = Annotated[str, StringConstraints(max_length=500)]


class SetupState(Answer):
    """Whether this installation still waits for its first accounts."""

    needed: bool


class FirstAccount(Request):
    """One of the first accounts."""

    username: Username
    password: Password
    display_name: Name


class SetupRequest(Request):
    """The one-time set-up link's token and the first accounts, made together or not at all."""

    token: Annotated[SecretStr, Field(min_length=1, max_length=256)]
    administrator: FirstAccount
    operator: FirstAccount | None = None
    supervisor: FirstAccount | None = None


class SignInRequest(Request):
    """Who signs in. `totp` only when the account asks for it."""

    username: Username
    password: Password
    totp: TotpCode | None = None


class AccountOut(Answer):
    """A local account, without any secret."""

    id: str
    username: str
    display_name: str
    roles: Annotated[list[Role], _IN_ORDER]
    disabled: bool
    totp_enabled: bool
    created_at: datetime
    last_sign_in_at: datetime | None


class SessionOut(Answer):
    """The sign-in of whoever asks. `csrf_token` goes into X-CSRF-Token of requests that change something."""

    account: AccountOut
    actions: list[Action] = Field(description="What the roles of this account permit at all.")
    csrf_token: str
    created_at: datetime
    ends_at: datetime = Field(description="At the latest; idle time ends a session sooner.")


class PasswordChange(Request):
    """A new password, against the current one."""

    current_password: Password
    new_password: Password


class TotpBegin(Request):
    """Asks for a new one-time-code secret; the password again, because this changes how one signs in."""

    password: Password


class TotpEnrolmentOut(Answer):
    """The secret for an authenticator app, shown once and not in force before it is confirmed."""

    secret: str
    uri: str


class TotpConfirm(Request):
    """A code of the new secret, which puts it in force."""

    totp: TotpCode


class AccountCreate(Request):
    """A new account."""

    username: Username
    display_name: Name
    password: Password
    roles: Annotated[list[Role], Field(min_length=1, max_length=8)]


class AccountUpdate(Request):
    """Changes to an account; what is absent stays. `remove_totp` removes a lost authenticator."""

    display_name: Name | None = None
    roles: Annotated[list[Role], Field(min_length=1, max_length=8)] | None = None
    disabled: bool | None = None
    password: Password | None = None
    remove_totp: bool = False


class PurposeOut(Answer):
    """Why one may look, decided beforehand."""

    id: str
    name_zh: str
    name_en: str
    legal_basis: str
    owner: str
    review_at: datetime
    actions: Annotated[list[Action], _IN_ORDER]
    max_duration_s: int
    retired: bool


class PurposeCreate(Request):
    """A new purpose."""

    name_zh: Name
    name_en: Name
    legal_basis: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
    owner: Name
    review_at: ReviewDate
    actions: Annotated[list[Action], Field(min_length=1, max_length=20)]
    max_duration_s: Annotated[int, Field(ge=60, le=86400)]


class PurposeUpdate(Request):
    """Changes to a purpose; what is absent stays. A retired purpose permits nothing from that moment on."""

    name_zh: Name | None = None
    name_en: Name | None = None
    legal_basis: (
        Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)] | None
    ) = None
    owner: Name | None = None
    review_at: ReviewDate | None = None
    actions: Annotated[list[Action], Field(min_length=1, max_length=20)] | None = None
    max_duration_s: Annotated[int, Field(ge=60, le=86400)] | None = None
    retired: bool | None = None


class GrantOut(Answer):
    """Permission for one account, one purpose, named channels, between two moments."""

    id: str
    account_id: str
    account_name: str
    purpose_id: str
    purpose_name_zh: str
    purpose_name_en: str
    reason: str
    actions: list[Action]
    channel_ids: list[str]
    starts_at: datetime
    ends_at: datetime
    revoked_at: datetime | None
    revoked_by: str | None
    revoked_reason: str | None
    origin: GrantOrigin
    state: GrantState


class GrantCreate(Request):
    """Asks for a grant in one's own name."""

    channel_ids: Annotated[list[Id], Field(min_length=1, max_length=64)]
    purpose_id: Id
    reason: ReasonText
    duration_s: Annotated[int, Field(ge=1, le=86400)] | None = None
    actions: list[Action] = Field(default_factory=lambda: [Action.LIVE_VIEW], min_length=1, max_length=20)


class AccessRecordOut(Answer):
    """That somebody looked."""

    id: str
    grant_id: str
    account_id: str
    account_name: str
    channel_id: str
    action: Action
    protocol: str
    client_address: str
    started_at: datetime
    ended_at: datetime | None
    outcome: AccessOutcome
    bytes_sent: int
    detail: dict[str, str | int]


class AuditEntryOut(Answer):
    """One line of the audit log."""

    sequence: int
    at: datetime
    actor_id: str
    actor_name: str
    action: str
    resource: str
    outcome: str
    detail: dict[str, Any]


class CheckpointOut(Answer):
    """The newest signed checkpoint, as a C2SP signed note."""

    note: str
