"""The root of every error that may reach a person."""

from typing import ClassVar


class CommonviewError(Exception):
    """An error with a stable machine word, a plain sentence and the values it speaks about.

    Rooms subclass it and set `default_code` and `http_status`; `code` is what clients and translations
    key on, so it never changes once released. Neither message nor params may hold a secret.
    """

    default_code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 400

    def __init__(self, message: str, *, code: str | None = None, **params: str | int | float) -> None:
        super().__init__(message)
        self.code: str = code if code is not None else self.default_code
        self.message: str = message
        self.params: dict[str, str | int | float] = params


class StorageUnavailable(CommonviewError):
    """The database cannot take the change: disk full, read-only, failing or held by somebody else.

    Nothing was half-done: the transaction that raised it was rolled back. `code` is `storage_full` when the
    disk is full, `storage_damaged` when the file is no longer a sound database, else `storage_unavailable`.
    """

    default_code = "storage_unavailable"
    http_status = 503


class StartupError(CommonviewError):
    """The program cannot start; the message says what is wrong and which setting to change."""

    default_code = "startup_failed"
    http_status = 500
