"""One download as its keeper holds it, its file, and what may go wrong when somebody asks for one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from commonview.network.errors import NetworkError
from commonview.network.history.model import DownloadState

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from commonview.network.history.model import Download
    from commonview.network.history.offer import HistoryAsk
    from commonview.network.history.source import HistorySource
    from commonview.network.model import Failure

SPEEDS = (1, 2, 4)
LONGEST = timedelta(hours=24)
KEPT = timedelta(hours=24)
"""How long a finished file stays."""

SHORT_S = 3.0
"""A file that lacks more than this is called short; cutting at key frames always costs some."""

_HASH_BYTES = 1024 * 1024
OVER = (DownloadState.FINISHED, DownloadState.SHORT, DownloadState.FAILED, DownloadState.CANCELLED)


class DownloadUnknown(NetworkError):
    """No download, running or kept, has this id."""

    default_code = "download_unknown"
    http_status = 404


class DownloadInvalid(NetworkError):
    """What was asked for cannot be; the message says why."""

    default_code = "download_invalid"
    http_status = 422


class DownloadsBusy(NetworkError):
    """Too many downloads run at once; wait for one to end."""

    default_code = "downloads_busy"
    http_status = 429


@dataclass(slots=True, eq=False)
class Run:
    """One download. ``ending`` is set once the device has said, or shown, that nothing more comes."""

    shown: Download
    ask: HistoryAsk
    source: HistorySource
    path: Path
    grant_id: str
    ending: DownloadState | None = None
    failure: Failure | None = None
    sink_open: bool = False
    task: asyncio.Task[None] | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.shown.state in OVER


def checksum(path: Path) -> str | None:
    """SHA-256 of a file in hexadecimal, None when it cannot be read. Blocks."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_HASH_BYTES):
                digest.update(chunk)
    except OSError:
        return None
    return digest.hexdigest()


def remove(path: Path) -> None:
    """Delete a file, finished or not. Blocks."""
    for each in (path, path.with_name(path.name + ".part")):
        each.unlink(missing_ok=True)


def clear_folder(folder: Path) -> int:
    """At start: files of a former life belong to nobody any more; returns how many were removed."""
    removed = 0
    for each in folder.glob("*.mp4*"):
        each.unlink(missing_ok=True)
        removed += 1
    return removed
