"""The words of the security room: who may do what, for which purpose, until when, and what was done.

Purpose -> Grant -> AccessRecord. No video URL exists without a Grant, every Grant has a Purpose, and every
use leaves an AccessRecord and an entry in the audit log. All times are aware and UTC. The persons spoken of
here are those who *use* the system; nothing in it describes anybody who is filmed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """What an account is for. See `roles.ROLE_ACTIONS` for the rights of each."""

    OPERATOR = "operator"
    SUPERVISOR = "supervisor"
    INVESTIGATOR = "investigator"
    MAINTAINER = "maintainer"
    SYSTEM_ADMIN = "system_admin"
    SECURITY_ADMIN = "security_admin"
    AUDITOR = "auditor"
    INSPECTOR = "inspector"


class Action(StrEnum):
    """Everything `decide()` can be asked about."""

    LIVE_VIEW = "live.view"
    RECORDING_VIEW = "recording.view"
    EXPORT = "export"
    UNMASK = "unmask"
    CAMERA_CONTROL = "camera.control"  # steer it: pan, tilt, zoom, presets
    CAMERA_TALK = "camera.talk"  # speak through it
    GRANT_REQUEST = "grant.request"  # ask for a grant in one's own name
    GRANT_READ = "grant.read"  # everybody's; one's own are always readable
    GRANT_REVOKE = "grant.revoke"  # anybody's; one's own can always be given back
    ACCESS_READ = "access.read"  # everybody's access records
    PURPOSE_READ = "purpose.read"
    PURPOSE_MANAGE = "purpose.manage"
    ACCOUNT_READ = "account.read"
    ACCOUNT_MANAGE = "account.manage"
    DEVICE_READ = "device.read"
    DEVICE_MANAGE = "device.manage"
    SHARING_READ = "sharing.read"
    SHARING_MANAGE = "sharing.manage"  # decide what other platforms may pull
    ALARM_HANDLE = "alarm.handle"  # acknowledge what devices report
    RECORDING_READ = "recording.read"  # plans, what is recorded, gaps, disks; no pictures
    RECORDING_MANAGE = "recording.manage"  # decide who is recorded and for how long; place and lift holds
    STORAGE_MANAGE = "storage.manage"  # disks of recordings
    SESSION_READ = "session.read"  # media sessions: the hops of a stream
    SYSTEM_READ = "system.read"
    SYSTEM_MANAGE = "system.manage"
    AUDIT_READ = "audit.read"


class Reason(StrEnum):
    """Why `decide()` answered as it did: stable words that the console translates."""

    ALLOWED = "allowed"
    ACCOUNT_DISABLED = "account_disabled"
    ROLE_LACKS_RIGHT = "role_lacks_right"
    GRANT_REQUIRED = "grant_required"
    GRANT_ACTION_NOT_COVERED = "grant_action_not_covered"
    GRANT_CHANNEL_NOT_COVERED = "grant_channel_not_covered"
    PURPOSE_ACTION_NOT_ALLOWED = "purpose_action_not_allowed"
    PURPOSE_RETIRED = "purpose_retired"
    GRANT_NOT_STARTED = "grant_not_started"
    GRANT_ENDED = "grant_ended"
    GRANT_REVOKED = "grant_revoked"


class GrantOrigin(StrEnum):
    """How a grant came to be."""

    SELF_SERVICE = "self_service"
    SHARING = "sharing"  # what a platform pulls under an agreement; in the name of who made that


class AccessOutcome(StrEnum):
    """How an access ended. OPEN while it lasts."""

    OPEN = "open"
    CLOSED = "closed"  # the viewer left
    GRANT_ENDED = "grant_ended"
    GRANT_REVOKED = "grant_revoked"
    STREAM_ENDED = "stream_ended"
    NEVER_STARTED = "never_started"  # the ticket was not used in time
    FAILED = "failed"  # the camera gave no picture
    LOST = "lost"  # the viewer vanished, fell silent or took nothing any more
    INTERRUPTED = "interrupted"  # the server stopped while it lasted


@dataclass(frozen=True, slots=True)
class Account:
    """A local account. No secret is ever part of it."""

    id: str
    username: str
    display_name: str
    roles: frozenset[Role]
    disabled: bool
    totp_enabled: bool
    created_at: datetime
    last_sign_in_at: datetime | None


@dataclass(frozen=True, slots=True)
class Subject:
    """Who asks, as authenticated: what `decide()` and every verb of the service takes."""

    account_id: str
    username: str
    display_name: str
    roles: frozenset[Role]
    disabled: bool = False
    session_id: str | None = None
    client_address: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in as it may be listed: the token itself is known to the browser only."""

    id: str
    account_id: str
    client_address: str
    user_agent: str
    created_at: datetime
    last_seen_at: datetime
    ends_at: datetime
    """At the latest: idle time may end it sooner."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The answer to a sign-in: `token` goes into the cookie, `csrf_token` to the page, neither into a log."""

    subject: Subject
    session: Session
    token: str = field(repr=False)
    csrf_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Resource:
    """What is asked about. `channel_id` is set for everything that shows pictures."""

    channel_id: str | None = None
    owner_account_id: str | None = None


SYSTEM = Resource()
"""The resource of actions that are about no channel."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """A reason for looking, decided by a supervisor before anybody looks."""

    id: str
    name_zh: str
    name_en: str
    legal_basis: str
    owner: str
    """The unit or post that answers for it."""
    review_at: datetime
    actions: frozenset[Action]
    max_duration_s: int
    retired: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Grant:
    """Permission for one account, for one purpose, on named channels, between two moments."""

    id: str
    account_id: str
    purpose_id: str
    reason: str
    actions: frozenset[Action]
    channel_ids: frozenset[str]
    starts_at: datetime
    ends_at: datetime
    revoked_at: datetime | None
    revoked_by: str | None
    revoked_reason: str | None
    origin: GrantOrigin
    ended_recorded: bool = False
    """True once the end (by time or by revocation) stands in the audit log."""

    def state_at(self, now: datetime) -> "GrantState":
        """What the grant is at the moment `now`."""
        if self.revoked_at is not None and now >= self.revoked_at:
            return GrantState.REVOKED
        if now >= self.ends_at:
            return GrantState.ENDED
        if now < self.starts_at:
            return GrantState.NOT_STARTED
        return GrantState.ACTIVE


class GrantState(StrEnum):
    """Only ACTIVE permits anything."""

    NOT_STARTED = "not_started"
    ACTIVE = "active"
    ENDED = "ended"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class HeldGrant:
    """A grant with the purpose it stands on: `decide()` needs both."""

    grant: Grant
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer of `decide()`. `grant_id` names the grant that permits, when one was needed."""

    allow: bool
    reason: Reason
    grant_id: str | None = None


@dataclass(frozen=True, slots=True)
class AccessRecord:
    """That somebody looked: written before the first byte, closed when the looking ends, never deleted."""

    id: str
    grant_id: str
    account_id: str
    channel_id: str
    action: Action
    protocol: str
    client_address: str
    started_at: datetime
    ended_at: datetime | None
    outcome: AccessOutcome
    bytes_sent: int
    detail: Mapping[str, str | int] = field(default_factory=dict)
    """What of the channel was opened: the time range of a recording, for one."""


@dataclass(frozen=True, slots=True)
class OpenedAccess:
    """What `open_access` gives: durable before it is returned; only now may a ticket be made."""

    grant: Grant
    purpose: Purpose
    record: AccessRecord


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the audit log, as the leaf of the Merkle tree holds it."""

    sequence: int
    at: datetime
    actor_id: str
    actor_name: str
    action: str
    resource: str
    outcome: str
    detail: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class AuditHealth:
    """How the audit log is: `state` is `ok`, `storage_full`, `storage_unavailable` or `damaged`."""

    state: str
    entries: int
    signed_entries: int
    last_checkpoint_at: datetime | None
    refused_appends: int
    """Changes refused because their audit entry could not be written, since the start."""
    message: str = ""


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What it takes to make an account; `password` is hashed at once and never kept."""

    username: str
    display_name: str
    password: str = field(repr=False)
    roles: frozenset[Role] = frozenset()


@dataclass(frozen=True, slots=True)
class TotpEnrolment:
    """A one-time-code secret waiting to be confirmed: shown once, to its owner only."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)
