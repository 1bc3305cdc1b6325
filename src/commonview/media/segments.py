"""Segments of recordings on a disk: read from end to end, hashed, mended. No media node is needed for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from commonview.media.model import SegmentScan


def scan_segment(path: Path) -> SegmentScan:
    """What a segment holds, finished or not. Reads all of it; blocks. Raises `OSError`."""
    from commonview.media import _core

    return SegmentScan(**cast(dict[str, Any], _core.scan_segment(str(path))))


def hash_segment(path: Path) -> str:
    """The SHA-256 of a segment, lower-case hexadecimal. Blocks. Raises `OSError`."""
    from commonview.media import _core

    return _core.hash_segment(str(path))


def mend_segment(path: Path) -> tuple[Path, SegmentScan] | None:
    """Finish a segment that was cut off, and give it its name.

    What comes behind its last whole fragment is cut off. None when no fragment is whole: then the file is
    removed. Blocks. Raises `OSError`.
    """
    from commonview.media import _core

    mended = _core.mend_segment(str(path))
    if mended is None:
        return None
    finished, found = mended
    return Path(finished), SegmentScan(**cast(dict[str, Any], found))
