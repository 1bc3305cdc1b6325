//! Central recordings of streams.

use std::sync::Arc;

use super::{Node, NodeError, check_id};
use crate::reactor::Command;
use crate::recording::{
    DiskStats, OpenSegment, Recorder, RecorderEnd, RecorderRequest, RecorderStats,
};

impl Node {
    /// Record a stream from its cached or next key frame on.
    pub fn open_recorder(&self, request: RecorderRequest) -> Result<(), NodeError> {
        check_id("recorder_id", &request.recorder_id)?;
        let is_inside = request.root.is_absolute() && request.directory.starts_with(&request.root);
        if !is_inside || request.segment_ticks <= 0 || request.max_segment_bytes == 0 {
            return Err(NodeError::Invalid(format!(
                "cannot record to {} on {}",
                request.directory.display(),
                request.root.display()
            )));
        }
        let owner = self.owner(&request.stream_id)?;
        let recorder_id = request.recorder_id.clone();
        let recorder = {
            let mut recorders = self.shared.recorders();
            if recorders.contains_key(&recorder_id) {
                return Err(NodeError::OutputExists(recorder_id));
            }
            let shared = &self.shared;
            let disk = shared
                .disks
                .take(&request.root, request.marker.as_deref(), shared)
                .map_err(|error| {
                    NodeError::Unavailable(format!("no thread for recordings: {error}"))
                })?;
            let recorder = Recorder::new(request, disk);
            recorders.insert(recorder_id, Arc::clone(&recorder));
            recorder
        };
        let command = Command::AttachRecorder(Arc::clone(&recorder));
        self.send(owner.reactor, command)
            .inspect_err(|_| recorder.end(RecorderEnd::StreamEnded))
    }

    /// End a recorder; `RecorderEnded` comes when its last segment is on the disk. Fine for recorders that are gone.
    pub fn close_recorder(&self, recorder_id: &str) {
        let recorder = self.shared.recorders().get(recorder_id).cloned();
        recorder.inspect(|recorder| recorder.end(RecorderEnd::Closed));
    }

    /// Begin another segment with the next key frame, whatever the length of this one. Fine for recorders that are gone.
    pub fn turn_recorder(&self, recorder_id: &str) {
        self.shared
            .recorders()
            .get(recorder_id)
            .inspect(|recorder| recorder.turn());
    }

    /// A recorder's segments that are not reported yet, oldest first.
    pub fn open_segments(&self, recorder_id: &str) -> Vec<OpenSegment> {
        let recorder = self.shared.recorders().get(recorder_id).cloned();
        recorder.map_or_else(Vec::new, |recorder| recorder.open_segments())
    }

    /// Counters of every recorder.
    pub fn recorder_stats(&self) -> Vec<RecorderStats> {
        let recorders = self.shared.recorders();
        recorders
            .values()
            .map(|recorder| recorder.stats())
            .collect()
    }

    /// How the disks of recordings do.
    pub fn disk_stats(&self) -> Vec<DiskStats> {
        self.shared.disks.stats()
    }
}
