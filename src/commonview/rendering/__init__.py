"""Pictures out of recordings and streams: thumbnails, strips, snapshots, exports. The front door of the room.

Whatever decodes or encodes does so in worker processes of its own. Nothing here knows who may look.
"""

from commonview.rendering.cutting import Source
from commonview.rendering.errors import RenderBusy, RenderError, RenderFailed, RenderUnavailable
from commonview.rendering.export_model import (
    ChannelPart,
    CutMode,
    Export,
    ExportFile,
    ExportState,
    Terms,
)
from commonview.rendering.exports import ExportRefused, Exports, ExportUnknown
from commonview.rendering.package import Package, Piece
from commonview.rendering.pool import Limits, RenderPool
from commonview.rendering.recoder import RecodedGroup, Recoder, RecordedGroup
from commonview.rendering.studio import Place, Still, Strip, Studio, Window
from commonview.rendering.transcoder import LiveTranscoder, TranscoderLimits, TranscoderReport

__all__ = [
    "ChannelPart",
    "CutMode",
    "Export",
    "ExportFile",
    "ExportRefused",
    "ExportState",
    "ExportUnknown",
    "Exports",
    "Limits",
    "LiveTranscoder",
    "Package",
    "Piece",
    "Place",
    "RecodedGroup",
    "Recoder",
    "RecordedGroup",
    "RenderBusy",
    "RenderError",
    "RenderFailed",
    "RenderPool",
    "RenderUnavailable",
    "Source",
    "Still",
    "Strip",
    "Studio",
    "Terms",
    "TranscoderLimits",
    "TranscoderReport",
    "Window",
]
