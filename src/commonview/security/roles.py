"""Roles and their rights, as data.

Three kinds of right never meet in one account: *granting* (who decides that somebody may look), *using*
(who looks) and *examining* (who checks both afterwards). State Council Decree 799 Art. 16 asks for
authorisation and access control; MLPS 2.0 level 3 asks that system, security and audit administration be
three persons.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Final

from commonview.security.errors import ConflictingRoles, Invalid
from commonview.security.model import Action, Role

USING: Final = frozenset(
    {
        Action.LIVE_VIEW,
        Action.RECORDING_VIEW,
        Action.EXPORT,
        Action.UNMASK,
        Action.CAMERA_CONTROL,
        Action.CAMERA_TALK,
        Action.GRANT_REQUEST,
    }
)
"""Actions that show or take away pictures, move or speak through a camera, and asking for them."""

GRANTING: Final = frozenset(
    {
        Action.PURPOSE_MANAGE,
        Action.GRANT_REVOKE,
        Action.SHARING_MANAGE,
        Action.RECORDING_MANAGE,
        Action.ACCOUNT_MANAGE,
        Action.SYSTEM_MANAGE,
    }
)
"""Actions that decide who may look, and under which rules."""

NEEDS_GRANT: Final = frozenset(
    {
        Action.LIVE_VIEW,
        Action.RECORDING_VIEW,
        Action.EXPORT,
        Action.UNMASK,
        Action.CAMERA_CONTROL,
        Action.CAMERA_TALK,
    }
)
"""A role alone never permits these: a running grant must cover action and channel."""

ROLE_ACTIONS: Final[Mapping[Role, frozenset[Action]]] = {
    Role.OPERATOR: frozenset(
        {
            Action.ALARM_HANDLE,
            Action.LIVE_VIEW,
            Action.CAMERA_CONTROL,
            Action.CAMERA_TALK,
            Action.GRANT_REQUEST,
            Action.PURPOSE_READ,
            Action.DEVICE_READ,
            Action.SESSION_READ,
            Action.RECORDING_READ,
        }
    ),
    Role.INVESTIGATOR: frozenset(
        {
            Action.ALARM_HANDLE,
            Action.LIVE_VIEW,
            Action.RECORDING_VIEW,
            Action.EXPORT,
            Action.CAMERA_CONTROL,
            Action.GRANT_REQUEST,
            Action.PURPOSE_READ,
            Action.DEVICE_READ,
            Action.SESSION_READ,
            Action.RECORDING_READ,
        }
    ),
    Role.SUPERVISOR: frozenset(
        {
            Action.ALARM_HANDLE,
            Action.PURPOSE_READ,
            Action.PURPOSE_MANAGE,
            Action.GRANT_READ,
            Action.GRANT_REVOKE,
            Action.ACCESS_READ,
            Action.ACCOUNT_READ,
            Action.DEVICE_READ,
            Action.SESSION_READ,
            Action.SHARING_READ,
            Action.SHARING_MANAGE,
            Action.RECORDING_READ,
            Action.RECORDING_MANAGE,
        }
    ),
    Role.MAINTAINER: frozenset(
        {
            Action.ALARM_HANDLE,
            Action.DEVICE_READ,
            Action.DEVICE_MANAGE,
            Action.SESSION_READ,
            Action.SHARING_READ,
            Action.SYSTEM_READ,
            Action.RECORDING_READ,
        }
    ),
    Role.SYSTEM_ADMIN: frozenset(
        {
            Action.DEVICE_READ,
            Action.DEVICE_MANAGE,
            Action.SESSION_READ,
            Action.SHARING_READ,
            Action.SYSTEM_READ,
            Action.SYSTEM_MANAGE,
            Action.RECORDING_READ,
            Action.STORAGE_MANAGE,
        }
    ),
    Role.SECURITY_ADMIN: frozenset(
        {
            Action.ACCOUNT_READ,
            Action.ACCOUNT_MANAGE,
            Action.PURPOSE_READ,
            Action.GRANT_READ,
            Action.GRANT_REVOKE,
            Action.SYSTEM_READ,
        }
    ),
    Role.AUDITOR: frozenset(
        {
            Action.AUDIT_READ,
            Action.ACCESS_READ,
            Action.GRANT_READ,
            Action.PURPOSE_READ,
            Action.ACCOUNT_READ,
            Action.SHARING_READ,
            Action.SYSTEM_READ,
            Action.RECORDING_READ,
        }
    ),
    # Decree 799 Art. 24: inspection by the authority. Reads the same books and the inventory.
    Role.INSPECTOR: frozenset(
        {
            Action.AUDIT_READ,
            Action.ACCESS_READ,
            Action.GRANT_READ,
            Action.PURPOSE_READ,
            Action.DEVICE_READ,
            Action.SHARING_READ,
            Action.RECORDING_READ,
        }
    ),
}

GRANTING_ROLES: Final = frozenset({Role.SUPERVISOR, Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN})
USING_ROLES: Final = frozenset({Role.OPERATOR, Role.INVESTIGATOR})
EXAMINING_ROLES: Final = frozenset({Role.AUDITOR, Role.INSPECTOR})


def actions_of(roles: Iterable[Role]) -> frozenset[Action]:
    """Every action the roles give a right to, together."""
    return frozenset().union(*(ROLE_ACTIONS[role] for role in roles))


def conflict(first: Role, second: Role) -> bool:
    """Whether one account may not hold both roles."""
    pair = {first, second}
    if len(pair) == 1:
        return False
    if pair & EXAMINING_ROLES and not pair <= EXAMINING_ROLES:
        return True
    return bool(pair & GRANTING_ROLES) and bool(pair & USING_ROLES)


def require_compatible(roles: frozenset[Role]) -> None:
    """Refuse an account without a role or with roles that exclude each other.

    Raises:
        Invalid: `role_required`.
        ConflictingRoles: naming the first two that conflict.
    """
    if not roles:
        raise Invalid("an account needs at least one role", code="role_required")
    for first, second in combinations(sorted(roles), 2):
        if conflict(first, second):
            raise ConflictingRoles(
                f"one account cannot be both {first} and {second}: nobody may both decide and use, "
                "or examine their own doing; make two accounts for two persons",
                first=first.value,
                second=second.value,
            )
