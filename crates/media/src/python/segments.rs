//! Recordings for Python: counters, and segments read back.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::recording::reader::{self, Group, Head, Place};
use crate::recording::scan::{self, Scan};
use crate::recording::sound;
use crate::recording::{DiskStats, OpenSegment, RecorderStats};

pub fn recorder_dict<'py>(py: Python<'py>, stats: &RecorderStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("recorder_id", &stats.recorder_id)?;
    dict.set_item("stream_id", &stats.stream_id)?;
    dict.set_item("segments", stats.segments)?;
    dict.set_item("bytes", stats.bytes)?;
    dict.set_item("pictures", stats.pictures)?;
    dict.set_item("drops", stats.drops)?;
    dict.set_item("waiting_bytes", stats.waiting_bytes)?;
    dict.set_item("failing", stats.failing)?;
    Ok(dict)
}

pub fn disk_dict<'py>(py: Python<'py>, stats: &DiskStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("root", &stats.root)?;
    dict.set_item("waiting_bytes", stats.waiting_bytes)?;
    dict.set_item("stuck_ms", stats.stuck_ms)?;
    dict.set_item("sync_round_ms", stats.sync_round_ms)?;
    Ok(dict)
}

fn scan_dict<'py>(py: Python<'py>, scan: &Scan) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("bytes", scan.length)?;
    dict.set_item("whole_bytes", scan.whole)?;
    dict.set_item("is_finished", scan.is_finished)?;
    dict.set_item("codec", scan.codec)?;
    dict.set_item("width", scan.width)?;
    dict.set_item("height", scan.height)?;
    dict.set_item("audio", scan.audio)?;
    dict.set_item("pictures", scan.pictures)?;
    dict.set_item("key_frames", scan.key_frames.len())?;
    dict.set_item("duration_ticks", scan.duration)?;
    dict.set_item("sha256", &scan.sha256)?;
    Ok(dict)
}

/// What a segment holds, finished or not.
#[pyfunction]
pub fn scan_segment<'py>(py: Python<'py>, path: PathBuf) -> PyResult<Bound<'py, PyDict>> {
    scan_dict(py, &py.detach(|| scan::scan(&path))?)
}

/// The SHA-256 of a segment.
#[pyfunction]
pub fn hash_segment(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    Ok(py.detach(|| scan::hash_file(&path))?)
}

/// Finish a segment that was cut off: its path and what it holds; none when it held nothing and is gone.
#[pyfunction]
pub fn mend_segment<'py>(
    py: Python<'py>,
    path: PathBuf,
) -> PyResult<Option<(PathBuf, Bound<'py, PyDict>)>> {
    match py.detach(|| scan::mend(&path))? {
        Some((finished, scan)) => Ok(Some((finished, scan_dict(py, &scan)?))),
        None => Ok(None),
    }
}

fn head_dict<'py>(py: Python<'py>, head: &Head) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("bytes", head.length)?;
    dict.set_item("init_bytes", head.init)?;
    dict.set_item("video_codec", &head.codecs.video)?;
    dict.set_item("audio_codec", &head.codecs.audio)?;
    dict.set_item("width", head.width)?;
    dict.set_item("height", head.height)?;
    Ok(dict)
}

/// A segment that is not reported yet: path, begins and ends (microseconds since 1970), what is durable of it.
pub type Open<'py> = (
    PathBuf,
    i64,
    i64,
    Option<Bound<'py, PyDict>>,
    Vec<(u64, u64, u64)>,
);

pub fn open_segment<'py>(py: Python<'py>, open: &OpenSegment) -> PyResult<Open<'py>> {
    let (begin_us, path) = (open.begin_us, open.path.clone());
    let Some(durable) = &open.durable else {
        return Ok((path, begin_us, begin_us, None, Vec::new()));
    };
    let end_us = begin_us.saturating_add_unsigned(durable.end_us);
    let head = head_dict(py, &durable.head)?;
    let groups = durable.groups.iter().map(triple).collect();
    Ok((path, begin_us, end_us, Some(head), groups))
}

fn triple(group: &Group) -> (u64, u64, u64) {
    (group.begin_us, group.offset, group.bytes)
}

/// What a finished segment holds, and its groups: (begins, microseconds; offset; bytes).
#[pyfunction]
#[allow(clippy::type_complexity)] // a list of triples
pub fn segment_groups<'py>(
    py: Python<'py>,
    path: PathBuf,
) -> PyResult<(Bound<'py, PyDict>, Vec<(u64, u64, u64)>)> {
    let (head, found) = py.detach(|| reader::groups(&path))?;
    Ok((head_dict(py, &head)?, found.iter().map(triple).collect()))
}

/// What a segment holds, and its whole fragments: (offset, bytes, begins and lasts, microseconds; key frame; sound).
#[pyfunction]
#[allow(clippy::type_complexity)] // a list of tuples
pub fn segment_index<'py>(
    py: Python<'py>,
    path: PathBuf,
) -> PyResult<(Bound<'py, PyDict>, Vec<(u64, u64, u64, u64, bool, bool)>)> {
    let (head, found) = py.detach(|| reader::fragments(&path))?;
    let told = |one: &Place| {
        (
            one.offset,
            one.bytes,
            one.begin_us,
            one.duration_us,
            one.is_key_frame,
            one.is_audio,
        )
    };
    Ok((head_dict(py, &head)?, found.iter().map(told).collect()))
}

/// The sound of a segment that begins in a span of it: MIME type and fragmented MP4; none when browsers play none of it.
#[pyfunction]
#[pyo3(signature = (path, begin_us, end_us, readable = None))]
#[allow(clippy::type_complexity)] // a pair
pub fn segment_sound(
    py: Python<'_>,
    path: PathBuf,
    begin_us: u64,
    end_us: u64,
    readable: Option<u64>,
) -> PyResult<Option<(String, Bound<'_, PyBytes>)>> {
    let heard = py.detach(|| sound::sound(&path, begin_us..end_us, readable))?;
    Ok(heard.map(|heard| (heard.mime, PyBytes::new(py, &heard.bytes))))
}
