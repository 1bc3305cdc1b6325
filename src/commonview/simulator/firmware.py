"""Fetching firmware from where an order says it lies (GB/T 28181-2022 9.13). Blocks: call it in a thread.

A simulated package is any file that is not empty; nothing of it is kept or run.
"""

import http.client
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

TIMEOUT: Final = "01"
BAD_PACKAGE: Final = "02"
OTHER: Final = "99"
_PIECE_BYTES: Final = 64 * 1024
_MAX_BYTES: Final = 512 * 1024 * 1024
_STEPS: Final = 4

Progress = Callable[[int, int | None], None]
"""How many bytes have come, and of how many where the server said so."""


class NotFetched(Exception):
    """The package did not come whole; `code` is the UpgradeFailedReason (A.2.5.11)."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


def fetch(url: str, progress: Progress, *, timeout_s: float = 10.0) -> int:
    """Read the package at `url` to its end; its size in bytes. Raises `NotFetched`."""
    try:
        return _fetch(url, progress, timeout_s)
    except TimeoutError as error:
        raise NotFetched(TIMEOUT, "the server did not answer in time") from error
    except http.client.IncompleteRead as error:
        raise NotFetched(BAD_PACKAGE, "the package was cut short") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotFetched(OTHER, f"the package could not be fetched: {type(error).__name__}") from error


def _fetch(url: str, progress: Progress, timeout_s: float) -> int:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise NotFetched(OTHER, "the firmware has no http address")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=timeout_s)
    path = parts.path or "/"
    try:
        connection.request("GET", f"{path}?{parts.query}" if parts.query else path)
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise NotFetched(OTHER, f"the server answered {response.status}")
        return _read(response, progress)
    finally:
        connection.close()


def _read(response: http.client.HTTPResponse, progress: Progress) -> int:
    whole = response.length
    come = told = 0
    while piece := response.read(_PIECE_BYTES):
        come += len(piece)
        if come > _MAX_BYTES:
            raise NotFetched(BAD_PACKAGE, "the package is too large")
        if whole and come * _STEPS // whole > told:
            told = come * _STEPS // whole
            progress(come, whole)
    if whole is not None and response.length:
        raise NotFetched(BAD_PACKAGE, "the package was cut short")
    if not come:
        raise NotFetched(BAD_PACKAGE, "the package is empty")
    return come
