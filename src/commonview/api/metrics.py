"""Counters in the text format of Prometheus (exposition format 0.0.4).

No label holds a name, an account or an address of a person: a viewer is called by the id of its access
record, which says something to whoever may read the records, and to nobody else.
"""

from collections.abc import Iterable, Mapping

from commonview.api.statistics import Statistics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]
Sample = tuple[Labels, float]


def exposition(statistics: Statistics, counters: Mapping[str, Mapping[str, int]]) -> str:
    """Every stream, every viewer, and every counter of every room."""
    made = {one.stream_id for one in statistics.transcodes}
    streams = [
        (
            _stream_labels(
                row.channel_id,
                row.stream_number,
                row.stats.stream_id,
                is_transcoded=row.stats.stream_id in made,
            ),
            row.stats,
        )
        for row in statistics.streams
    ]
    transcoders = [
        (_stream_labels(one.session.channel_id, one.session.stream_number, one.stream_id), one)
        for one in statistics.transcodes
    ]
    viewers = [
        (
            {
                "viewer": row.stats.access_id,
                "protocol": row.stats.protocol,
                **_stream_labels(
                    row.channel_id,
                    row.stream_number,
                    row.stats.stream_id,
                    is_transcoded=row.stats.stream_id in made,
                ),
            },
            row.stats,
        )
        for row in statistics.viewers
    ]
    families: list[tuple[str, str, str, Iterable[Sample]]] = [
        ("stream_received_bytes_total", "counter", "Bytes received from the source.",
         [(labels, stats.bytes) for labels, stats in streams]),
        ("stream_received_packets_total", "counter", "RTP packets received.",
         [(labels, stats.packets) for labels, stats in streams]),
        ("stream_lost_packets_total", "counter", "RTP packets that never came.",
         [(labels, stats.lost) for labels, stats in streams]),
        ("stream_pictures_total", "counter", "Pictures made of them.",
         [(labels, stats.frames) for labels, stats in streams]),
        ("stream_bits_per_second", "gauge", "Bit rate of the source now.",
         [(labels, stats.bitrate_kbps * 1000) for labels, stats in streams]),
        ("stream_pictures_per_second", "gauge", "Pictures a second now.",
         [(labels, stats.fps) for labels, stats in streams]),
        ("stream_viewers", "gauge", "Viewers now, whatever the outlet.",
         [(labels, stats.viewers) for labels, stats in streams]),
        ("stream_viewer_drops_total", "counter", "Pictures not sent because viewers were too slow.",
         [(labels, stats.viewer_drops) for labels, stats in streams]),
        ("stream_viewer_bytes_total", "counter", "Bytes sent to viewers.",
         [(labels, stats.viewer_bytes) for labels, stats in streams]),
        ("stream_silent_seconds", "gauge", "Time since the last packet.",
         [(labels, stats.last_packet_age_ms / 1000) for labels, stats in streams
          if stats.last_packet_age_ms is not None]),
        ("viewer_sent_bytes_total", "counter", "Bytes sent to this viewer.",
         [(labels, stats.bytes_sent) for labels, stats in viewers]),
        ("viewer_drops_total", "counter", "Pictures not sent because it was too slow.",
         [(labels, stats.drops) for labels, stats in viewers]),
        ("viewer_falls_total", "counter", "Times it was moved to the next key frame.",
         [(labels, stats.falls) for labels, stats in viewers]),
        ("viewer_waiting_bytes", "gauge", "Bytes that wait for it.",
         [(labels, stats.waiting_bytes) for labels, stats in viewers]),
        ("viewer_waiting_seconds", "gauge", "How long the oldest of them waits.",
         [(labels, stats.waiting_ms / 1000) for labels, stats in viewers]),
        ("transcoders", "gauge", "Live streams converted to H.264 now.", [({}, len(transcoders))]),
        ("transcoders_quota", "gauge", "How many there may be.", [({}, statistics.transcode_quota)]),
        ("transcoder_pictures_total", "counter", "Pictures converted, or passed on as they were.",
         [(labels, one.report.encoded + one.report.passed) for labels, one in transcoders]),
        ("transcoder_drops_total", "counter", "Pictures left out because the transcoder was too slow.",
         [(labels, one.taken.drops) for labels, one in transcoders if one.taken is not None]),
        ("viewer_lost_packets", "gauge", "Packets it never got, as it reports (RTCP).",
         [(labels, stats.lost) for labels, stats in viewers if stats.lost is not None]),
        ("viewer_loss_ratio", "gauge", "Share of packets it lost between its last two reports.",
         [(labels, stats.loss) for labels, stats in viewers if stats.loss is not None]),
        ("viewer_jitter_seconds", "gauge", "How unevenly packets arrive there, as it reports.",
         [(labels, stats.jitter_ms / 1000) for labels, stats in viewers if stats.jitter_ms is not None]),
        ("viewer_round_trip_seconds", "gauge", "From a report of ours to it and back.",
         [(labels, stats.round_trip_ms / 1000) for labels, stats in viewers
          if stats.round_trip_ms is not None]),
        # Some of them go down again: none is promised to be a counter.
        ("room_count", "untyped", "Every counter of every room, as the system page shows them.",
         [({"room": room, "name": name}, value) for room, names in counters.items()
          for name, value in names.items()]),
    ]  # fmt: skip
    return "".join(_family(*family) for family in families)


def _stream_labels(
    channel_id: str | None, stream_number: int | None, stream_id: str, *, is_transcoded: bool = False
) -> Labels:
    if channel_id is None:
        return {"channel": "", "stream": stream_id}
    return {"channel": channel_id, "stream": f"{stream_number}{'-h264' if is_transcoded else ''}"}


def _family(name: str, kind: str, meaning: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP commonview_{name} {meaning}\n", f"# TYPE commonview_{name} {kind}\n"]
    for labels, value in samples:
        inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(f"commonview_{name}{{{inside}}} {value:.10g}\n" if isinstance(value, float)
                     else f"commonview_{name}{{{inside}}} {value}\n")  # fmt: skip
    return "".join(lines)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
