"""What an export says of itself, and what its worker is told."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from commonview.foundation.database import stored_time
from commonview.rendering.export_model import CutMode
from commonview.rendering.export_store import terms_told

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from commonview.rendering.export_model import ChannelPart, Export, Terms

NAME: Final = "manifest.json"
FORMAT: Final = "commonview-export/1"


def order(terms: Terms, part: ChannelPart, kept: Collection[int], folder: Path) -> dict[str, Any]:
    """What a worker is told to make of one channel."""
    stamp = None
    if terms.time_zone is not None or terms.watermark:
        stamp = {"time_zone": terms.time_zone, "watermark": terms.watermark}
    return {
        "sources": [asdict(source) for source in part.sources if source.sequence in kept],
        "begin_us": stored_time(terms.begin),
        "end_us": stored_time(terms.end),
        "exact": terms.cut is CutMode.EXACT,
        "stamp": stamp,
        "folder": str(folder),
        "stem": part.stem,
    }


def manifest(export: Export, channels: list[dict[str, Any]], finished_at: str) -> bytes:
    """What came out of what, who ordered it, why and when: for whoever is handed the files."""
    for channel in channels:
        states = {one["sequence"]: one for one in channel.pop("sources")}
        for source in channel["segments"]:
            found = states.get(source["sequence"], {"state": "deleted", "sha256": ""})
            source |= {"state": found["state"], "found_sha256": found["sha256"]}
        for file in channel["files"]:
            del file["crc32"]
    told = {
        "format": FORMAT,
        "export_id": export.id,
        "account_id": export.account_id,
        "grant_id": export.grant_id,
        "ordered_at": export.created_at.isoformat(),
        "finished_at": finished_at,
        "terms": terms_told(export.terms),
        "channels": channels,
    }
    return (json.dumps(told, ensure_ascii=False, indent=1) + "\n").encode()


def write_durably(folder: Path, manifest: bytes, names: list[str]) -> None:
    """Put it beside the files, all of them for the owner alone and on the disk."""
    (folder / NAME).write_bytes(manifest)
    for name in (NAME, *names):
        (folder / name).chmod(0o600)
        _sync(folder / name)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
