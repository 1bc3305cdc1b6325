//! Counters as dictionaries.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::feeding::tap::TapStats;
use crate::file_sink::SinkStats;
use crate::sender::SenderStats;
use crate::stats::{NodeStats, StreamStats};
use crate::stream::ViewerStats;

pub fn stream_dict<'py>(py: Python<'py>, stats: &StreamStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("stream_id", &stats.stream_id)?;
    dict.set_item("transport", stats.transport)?;
    dict.set_item("port", stats.port)?;
    let ingest = &stats.ingest;
    dict.set_item("packets", ingest.packets)?;
    dict.set_item("bytes", ingest.bytes)?;
    dict.set_item("lost", ingest.lost)?;
    dict.set_item("reordered", ingest.reordered)?;
    dict.set_item("duplicates", ingest.duplicates)?;
    dict.set_item("malformed", ingest.malformed)?;
    dict.set_item(
        "discarded",
        ingest.late + ingest.out_of_range + ingest.ssrc_dropped,
    )?;
    dict.set_item("rtcp_packets", stats.sockets.rtcp_packets + ingest.rtcp)?;
    dict.set_item("frames", stats.frames)?;
    dict.set_item("key_frames", stats.key_frames)?;
    dict.set_item("bitrate_kbps", stats.bitrate_kbps)?;
    dict.set_item("fps", stats.fps)?;
    dict.set_item("codec", stats.codec)?;
    dict.set_item("width", stats.width)?;
    dict.set_item("height", stats.height)?;
    dict.set_item("tracks", &stats.tracks)?;
    dict.set_item("viewers", stats.viewers)?;
    dict.set_item("cache_bytes", stats.cache_bytes)?;
    dict.set_item("fragments", stats.fragments)?;
    dict.set_item("viewer_drops", stats.viewer_drops)?;
    dict.set_item("viewer_bytes", stats.viewer_bytes)?;
    dict.set_item("ssrc", stats.ssrc)?;
    dict.set_item("ssrc_mismatches", stats.ssrc_mismatches)?;
    dict.set_item("media_ms", stats.media_ms)?;
    dict.set_item("peer", &stats.peer)?;
    dict.set_item("tcp_connections", stats.sockets.tcp_connections)?;
    dict.set_item(
        "foreign_sources",
        stats.sockets.foreign_sources + ingest.ssrc_dropped,
    )?;
    dict.set_item("last_packet_age_ms", stats.last_packet_age_ms)?;
    dict.set_item("stall_reason", stats.stall_reason)?;
    let details = PyDict::new(py);
    for (name, value) in stats.details() {
        details.set_item(name, value)?;
    }
    dict.set_item("details", details)?;
    Ok(dict)
}

pub fn sender_dict<'py>(py: Python<'py>, stats: &SenderStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("sender_id", &stats.sender_id)?;
    dict.set_item("stream_id", &stats.stream_id)?;
    dict.set_item("transport", stats.transport)?;
    dict.set_item("local_port", stats.local_port)?;
    dict.set_item("peer", &stats.peer)?;
    dict.set_item("packets", stats.queue.packets_sent)?;
    dict.set_item("bytes", stats.queue.bytes_sent)?;
    dict.set_item("drops", stats.queue.drops)?;
    dict.set_item("falls", stats.queue.falls)?;
    dict.set_item("lost_upstream", stats.queue.lost_upstream)?;
    dict.set_item("waiting_bytes", stats.waiting_bytes)?;
    dict.set_item("send_errors", stats.send_errors)?;
    dict.set_item("rtcp_packets", stats.rtcp_packets)?;
    dict.set_item("foreign_sources", stats.foreign_sources)?;
    Ok(dict)
}

pub fn sink_dict<'py>(py: Python<'py>, stats: &SinkStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("sink_id", &stats.sink_id)?;
    dict.set_item("stream_id", &stats.stream_id)?;
    dict.set_item("bytes", stats.bytes)?;
    dict.set_item("duration_ms", stats.duration_ms)?;
    dict.set_item("pictures", stats.pictures)?;
    dict.set_item("drops", stats.drops)?;
    dict.set_item("waiting_bytes", stats.waiting_bytes)?;
    dict.set_item("audio_skipped", stats.audio_skipped)?;
    dict.set_item("format_changes", stats.format_changes)?;
    Ok(dict)
}

pub fn tap_dict<'py>(py: Python<'py>, stats: &TapStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("tap_id", &stats.tap_id)?;
    dict.set_item("stream_id", &stats.stream_id)?;
    dict.set_item("pictures", stats.pictures)?;
    dict.set_item("drops", stats.drops)?;
    dict.set_item("falls", stats.falls)?;
    dict.set_item("bytes", stats.bytes)?;
    dict.set_item("waiting_bytes", stats.waiting_bytes)?;
    Ok(dict)
}

pub fn node_dict<'py>(py: Python<'py>, stats: &NodeStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("reactors", stats.reactors)?;
    dict.set_item("streams", stats.streams)?;
    dict.set_item("viewers", stats.viewers)?;
    dict.set_item("connections", stats.connections)?;
    dict.set_item("ports_free", stats.ports_free)?;
    dict.set_item("ports_quarantined", stats.ports_quarantined)?;
    dict.set_item("nonces", stats.nonces)?;
    dict.set_item("events_lost", stats.events_lost)?;
    dict.set_item("counters", &stats.counters)?;
    Ok(dict)
}

pub fn viewer_dict<'py>(py: Python<'py>, stats: &ViewerStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("stream_id", &stats.stream_id)?;
    dict.set_item("access_id", &stats.access_id)?;
    dict.set_item("protocol", stats.protocol)?;
    dict.set_item("bytes_sent", stats.bytes_sent)?;
    dict.set_item("drops", stats.drops)?;
    dict.set_item("falls", stats.falls)?;
    dict.set_item("waiting_bytes", stats.waiting_bytes)?;
    dict.set_item("waiting_ms", stats.waiting_ms)?;
    let reception = stats.reception;
    dict.set_item("lost", reception.map(|told| told.lost))?;
    dict.set_item("loss", reception.map(|told| told.loss))?;
    dict.set_item("jitter_ms", reception.map(|told| told.jitter_ms))?;
    let round_trip_ms = reception.and_then(|told| told.round_trip_ms);
    dict.set_item("round_trip_ms", round_trip_ms)?;
    Ok(dict)
}
