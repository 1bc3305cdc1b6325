"""What somebody asks to look at, and how a look is opened in the books."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from anyio import to_thread

from commonview.security import Action, OpenedAccess, SecurityService, Subject


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks to see, and what for: a purpose and a reason, or a running grant."""

    channel_id: str
    purpose_id: str | None
    reason: str | None
    duration_s: int | None
    grant_id: str | None


def span_detail(start: datetime, end: datetime) -> dict[str, str]:
    """A span of the past as records and log name it: UTC, ISO 8601."""
    return {name: moment.astimezone(UTC).isoformat() for name, moment in (("from", start), ("to", end))}


async def open_wish(
    security: SecurityService,
    subject: Subject,
    wish: Wish,
    action: Action,
    protocol: str,
    detail: Mapping[str, str | int],
) -> OpenedAccess:
    """`SecurityService.open_access` off the event loop."""
    return await to_thread.run_sync(
        lambda: security.open_access(
            subject,
            wish.channel_id,
            action,
            purpose_id=wish.purpose_id,
            reason=wish.reason,
            duration_s=wish.duration_s,
            grant_id=wish.grant_id,
            protocol=protocol,
            detail=detail,
        )
    )
