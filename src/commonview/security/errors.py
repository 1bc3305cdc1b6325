"""What the security room can refuse, and how each refusal is called.

`code` is the stable machine word the console translates; `http_status` is what the API answers.
No message and no parameter ever holds a password, a token, a code or a hash of one.
"""

from typing import ClassVar

from commonview.foundation.errors import CommonviewError


class SecurityError(CommonviewError):
    """The root of this room's errors."""

    default_code = "security_error"


class NotSignedIn(SecurityError):
    """No session, or one that has ended. Codes: `not_signed_in`, `session_ended`."""

    default_code = "not_signed_in"
    http_status: ClassVar[int] = 401


class SignInRefused(SecurityError):
    """Name, password or code is wrong: the answer never says which, and costs the same time.

    Codes: `sign_in_refused`, and `totp_required` when only the one-time code is missing.
    """

    default_code = "sign_in_refused"
    http_status: ClassVar[int] = 401


class TooManyAttempts(SecurityError):
    """Wait `params["retry_after_s"]` seconds. Nothing is locked for good."""

    default_code = "too_many_attempts"
    http_status: ClassVar[int] = 429


class Forbidden(SecurityError):
    """`decide()` said no; `code` is the `Reason` it gave. Also `csrf_token_wrong`."""

    default_code = "forbidden"
    http_status: ClassVar[int] = 403


class NotFound(SecurityError):
    """No such thing, or not one this person may know of; `params["kind"]`, `params["id"]`."""

    default_code = "not_found"
    http_status: ClassVar[int] = 404


class Conflict(SecurityError):
    """The change contradicts what is there: `username_taken`, `purpose_in_use`, `already_set_up` ..."""

    default_code = "conflict"
    http_status: ClassVar[int] = 409


class Invalid(SecurityError):
    """A value cannot be accepted; the code says which rule: `password_too_short`, `reason_required` ..."""

    default_code = "invalid"
    http_status: ClassVar[int] = 422


class ConflictingRoles(Invalid):
    """One account may not grant and use, nor examine its own doing; `params["first"]` and `["second"]`."""

    default_code = "conflicting_roles"


class SetupRefused(SecurityError):
    """The set-up link is wrong, used or replaced by a newer one (`setup_link_invalid`)."""

    default_code = "setup_link_invalid"
    http_status: ClassVar[int] = 403


class KeyFileError(SecurityError):
    """A key file is missing, damaged or readable by others; the message names it and the remedy."""

    default_code = "key_file_unusable"
    http_status: ClassVar[int] = 500


class AuditDamaged(SecurityError):
    """The audit log does not fit what was signed before: nothing is signed over it."""

    default_code = "audit_damaged"
    http_status: ClassVar[int] = 500
