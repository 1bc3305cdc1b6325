"""Passwords: which are accepted, how they are kept, and the same work for a name that does not exist.

Argon2id with the second set of RFC 9106 section 4, on two lanes for small machines: 64 MiB, 3 passes.
At most two hashes run at once, so that signing in cannot be used to exhaust memory, and at most eight
callers wait for their turn, so that it cannot be used to occupy every worker thread of the server.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from commonview.security.errors import Invalid, TooManyAttempts

PASSWORD_MIN: Final = 10
PASSWORD_MAX: Final = 256
_CONCURRENT_HASHES: Final = 2
_WAITING_MAX: Final = 8

# What guessers try first, of those long enough to pass the length rule. Compared in lower case.
_COMMON_TEXT: Final = """
1234567890 0123456789 0987654321 9876543210 12345678910 123456789a a123456789 1q2w3e4r5t 1qaz2wsx3edc
qwertyuiop qwerty12345 qwerty123456 qwer123456 asdfghjkl1 asdfghjkl123 zxcvbnm123 1234qwerasdf
password12 password123 password1234 passw0rd123 p@ssw0rd123 p@ssword123 password123! password@123
administrator admin12345 admin123456 admin@12345 admin@123456 admin@2024 admin@2025 admin@2026
adminadmin admin123admin hik12345678 hikvision123 dahua123456 camera12345 surveillance
iloveyou12 iloveyou123 letmein1234 welcome123 welcome1234 welcome@123 changeme123 changeme1234
abc1234567 abcd123456 abcd1234567 abc123456789 aa12345678 aa123456789 a1b2c3d4e5 woaini1314
5201314520 1314520520 1111111111 0000000000 8888888888 6666666666 1122334455 1212121212 123123123123
123321123321 1472583690 987654321a qazwsxedc1 qazwsxedcrfv test123456 test1234567 root123456
commonview commonview123 commonview1 gongshi123456
"""
COMMON: Final = frozenset(_COMMON_TEXT.split())


class Passwords:
    """Hashes and verifies; every call costs the same work, also when there is nothing to compare with."""

    def __init__(self, *, memory_kib: int = 65536, passes: int = 3, lanes: int = 2) -> None:
        self._hasher = PasswordHasher(
            time_cost=passes,
            memory_cost=memory_kib,
            parallelism=lanes,
            hash_len=32,
            salt_len=16,
            type=Type.ID,
        )
        self._turns = threading.BoundedSemaphore(_CONCURRENT_HASHES)
        self._queue = threading.BoundedSemaphore(_CONCURRENT_HASHES + _WAITING_MAX)
        self._nobody = self.hash("the password of nobody, compared with when a name is unknown")

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._queue.acquire(blocking=False):
            raise TooManyAttempts("too many people are signing in at once: wait 1 s", retry_after_s=1)
        try:
            with self._turns:
                yield
        finally:
            self._queue.release()

    def hash(self, password: str) -> str:
        """The PHC string to keep. Blocks for the time of one hash. Raises: TooManyAttempts."""
        with self._turn():
            return self._hasher.hash(password)

    def verify(self, kept: str | None, password: str) -> bool:
        """Whether `password` is the one kept; with None the same work is done and the answer is no.

        Raises: TooManyAttempts.
        """
        with self._turn():
            try:
                right = self._hasher.verify(self._nobody if kept is None else kept, password[:PASSWORD_MAX])
            except (VerificationError, InvalidHashError):
                return False
        return right and kept is not None

    def outdated(self, kept: str) -> bool:
        """Whether it was hashed with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(kept)


def require_acceptable(password: str, username: str, display_name: str = "") -> None:
    """Refuse what would be guessed first.

    Raises:
        Invalid: `password_too_short`, `password_too_long`, `password_is_name`, `password_too_common`,
            `password_too_simple` (fewer than five different characters).
    """
    if len(password) < PASSWORD_MIN:
        raise Invalid(
            f"a password has at least {PASSWORD_MIN} characters",
            code="password_too_short",
            minimum=PASSWORD_MIN,
        )
    if len(password) > PASSWORD_MAX:
        raise Invalid(
            f"a password has at most {PASSWORD_MAX} characters",
            code="password_too_long",
            maximum=PASSWORD_MAX,
        )
    lower = password.casefold()
    if lower in {username.casefold(), username.casefold()[::-1], display_name.casefold()}:
        raise Invalid("the password is the name of the account", code="password_is_name")
    if lower in COMMON:
        raise Invalid("this password is among the first that are guessed", code="password_too_common")
    if len(set(password)) < 5:
        raise Invalid("the password repeats too few characters", code="password_too_simple")
