"""The jobs of a worker, by name. Imports PyAV: worker processes only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from commonview.rendering import clip, pictures, recode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from commonview.rendering.worker import Job

JOBS: Final[Mapping[str, Job]] = {
    "clip": clip.clip,
    "recode": recode.recode,
    "still": pictures.still,
    "strip": pictures.strip,
}
