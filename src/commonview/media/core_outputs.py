"""The outputs of a media node: streams to other platforms, voices to devices, files and recordings."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, cast

from commonview.media import _core
from commonview.media.core_words import disk_stats, media_error, milliseconds
from commonview.media.model import (
    FileSinkStats,
    MediaTransport,
    RecorderStats,
    RecorderTarget,
    RecordingDiskStats,
    Sender,
    SenderStats,
    SenderTarget,
    Talk,
    TalkCarriage,
    TapStats,
)
from commonview.media.segments import OpenSegment, SegmentGroup, SegmentHead


class CoreOutputs:
    """What leaves a stream of the Rust core otherwise than to a viewer."""

    _core: _core.Node

    def open_tap(self, tap_id: str, stream_id: str) -> int:
        """See `MediaNode.open_tap`."""
        try:
            return self._core.open_tap(tap_id, stream_id)
        except _core.CoreError as error:
            raise media_error(error) from None

    def close_tap(self, tap_id: str) -> None:
        """See `MediaNode.close_tap`."""
        try:
            self._core.close_tap(tap_id)
        except _core.CoreError as error:
            raise media_error(error) from None

    def tap_stats(self, tap_id: str) -> TapStats | None:
        """See `MediaNode.tap_stats`."""
        values = self._core.tap_stats(tap_id)
        return None if values is None else TapStats(**cast(dict[str, Any], values))

    def open_sender(
        self,
        sender_id: str,
        stream_id: str,
        target: SenderTarget,
        *,
        ssrc: int,
        payload_type: int = 96,
        access_id: str,
        grant_id: str,
        end_by: datetime,
    ) -> Sender:
        """See `MediaNode.open_sender`."""
        try:
            port = self._core.open_sender(
                sender_id=sender_id,
                stream_id=stream_id,
                transport=target.transport.value,
                host=target.host,
                port=target.port,
                ssrc=ssrc,
                payload_type=payload_type,
                access_id=access_id,
                grant_id=grant_id,
                end_by_ms=milliseconds(end_by),
            )
        except _core.CoreError as error:
            raise media_error(error) from None
        return Sender(local_port=port)

    def close_sender(self, sender_id: str) -> None:
        """See `MediaNode.close_sender`."""
        try:
            self._core.close_sender(sender_id)
        except _core.CoreError as error:
            raise media_error(error) from None

    def sender_stats(self, sender_id: str) -> SenderStats | None:
        """See `MediaNode.sender_stats`."""
        try:
            values = self._core.sender_stats(sender_id)
        except _core.CoreError as error:
            raise media_error(error) from None
        if values is None:
            return None
        fields = cast(dict[str, Any], dict(values))
        fields["transport"] = MediaTransport(fields["transport"])
        return SenderStats(**fields)

    def keep_packets(self, stream_id: str, are_kept: bool) -> None:
        """See `MediaNode.keep_packets`."""
        try:
            self._core.keep_packets(stream_id, are_kept)
        except _core.CoreError as error:
            raise media_error(error) from None

    def open_talk(
        self,
        talk_id: str,
        target: SenderTarget,
        *,
        ssrc: int,
        payload_type: int = 8,
        carriage: TalkCarriage = TalkCarriage.PCMA,
        aac_rate_hz: int = 0,
        access_id: str,
        grant_id: str,
        end_by: datetime,
        stream_id: str = "",
    ) -> Talk:
        """See `MediaNode.open_talk`."""
        try:
            port = self._core.open_talk(
                talk_id=talk_id,
                transport=target.transport.value,
                host=target.host,
                port=target.port,
                ssrc=ssrc,
                payload_type=payload_type,
                as_program_stream=carriage.is_program_stream,
                access_id=access_id,
                grant_id=grant_id,
                end_by_ms=milliseconds(end_by),
                stream_id=stream_id,
                **({"aac_rate": aac_rate_hz} if carriage.is_aac else {}),
            )
        except _core.CoreError as error:
            raise media_error(error) from None
        return Talk(local_port=port)

    def close_talk(self, talk_id: str) -> None:
        """See `MediaNode.close_talk`."""
        try:
            self._core.close_talk(talk_id)
        except _core.CoreError as error:
            raise media_error(error) from None

    def open_file_sink(
        self, sink_id: str, stream_id: str, path: Path, *, max_bytes: int | None = None
    ) -> None:
        """See `MediaNode.open_file_sink`."""
        try:
            self._core.open_file_sink(sink_id, stream_id, str(path), max_bytes)
        except _core.CoreError as error:
            raise media_error(error) from None

    def close_file_sink(self, sink_id: str) -> None:
        """See `MediaNode.close_file_sink`."""
        self._core.close_file_sink(sink_id)

    def sink_stats(self, sink_id: str) -> FileSinkStats | None:
        """See `MediaNode.sink_stats`."""
        values = self._core.sink_stats(sink_id)
        return None if values is None else FileSinkStats(**cast(dict[str, Any], values))

    def open_recorder(
        self,
        recorder_id: str,
        stream_id: str,
        target: RecorderTarget,
        *,
        segment_s: float = 60.0,
        max_segment_bytes: int = 2**30,
    ) -> None:
        """See `MediaNode.open_recorder`."""
        try:
            self._core.open_recorder(
                recorder_id=recorder_id,
                stream_id=stream_id,
                root=str(target.root),
                marker=None if target.marker is None else str(target.marker),
                directory=str(target.directory),
                segment_ms=round(segment_s * 1000),
                max_segment_bytes=max_segment_bytes,
            )
        except _core.CoreError as error:
            raise media_error(error) from None

    def close_recorder(self, recorder_id: str) -> None:
        """See `MediaNode.close_recorder`."""
        self._core.close_recorder(recorder_id)

    def recorder_stats(self) -> list[RecorderStats]:
        """See `MediaNode.recorder_stats`."""
        return [RecorderStats(**cast(dict[str, Any], one)) for one in self._core.recorder_stats()]

    def recording_disks(self) -> list[RecordingDiskStats]:
        """See `MediaNode.recording_disks`."""
        return [disk_stats(one) for one in self._core.disk_stats()]

    def turn_recorder(self, recorder_id: str) -> None:
        """See `MediaNode.turn_recorder`."""
        self._core.turn_recorder(recorder_id)

    def open_segments(self, recorder_id: str) -> list[OpenSegment]:
        """See `MediaNode.open_segments`."""
        return [
            OpenSegment(
                path=Path(path),
                begin_us=begin_us,
                end_us=end_us,
                head=None if head is None else SegmentHead(**cast(dict[str, Any], head)),
                groups=tuple(SegmentGroup(*one) for one in groups),
            )
            for path, begin_us, end_us, head, groups in self._core.open_segments(recorder_id)
        ]
