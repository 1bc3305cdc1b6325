//! Central recordings: a stream becomes a chain of segments, each a fragmented MP4 file that any player opens.
//!
//! ```text
//! stream (reactor) --feed--> bounded queue --> writer thread of the disk --> syncer thread of the disk --> events
//! ```
//!
//! A fragment goes to the kernel as soon as its length is known, so a killed process loses no more than the picture in
//! the making. Files that changed are made durable together at least every `sync_ms`, so a power cut loses little more.
//! A segment is hashed while it is written; it has its final name when it is on the disk, and only then is it reported.
//!
//! A recorder never slows its stream: what the disk cannot take in time is dropped up to a key frame, counted, and
//! shows as a gap with its reason.

mod clock;
mod disk;
mod ledger;
pub mod reader;
mod recorder;
pub mod scan;
mod segment;
pub mod sound;
mod syncer;
mod writer;

use std::io::{self, ErrorKind};

pub(crate) use clock::civil;
pub use disk::{DiskStats, Disks};
pub use ledger::Durable;
pub use recorder::{OpenSegment, Recorder, RecorderFeed, RecorderRequest, RecorderStats};

/// The name of a segment that is not finished ends with this.
pub const UNFINISHED: &str = ".part";
/// The name of a finished segment ends with this.
pub const FINISHED: &str = ".mp4";

/// Why a recording has a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// Packets were lost on the way.
    PacketLoss,
    /// The camera sent nothing.
    NoPackets,
    /// Packets came, pictures did not.
    NoPictures,
    /// The disk did not take the pictures in time.
    DiskSlow,
    /// No room on the disk.
    DiskFull,
    /// The disk cannot be written to.
    ReadOnly,
    /// The disk is not there.
    DiskGone,
    /// The disk refused for another reason.
    WriteFailed,
    /// The server's clock was set.
    ClockStep,
}

impl GapReason {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            GapReason::PacketLoss => "packet_loss",
            GapReason::NoPackets => "no_packets",
            GapReason::NoPictures => "no_pictures",
            GapReason::DiskSlow => "disk_slow",
            GapReason::DiskFull => "disk_full",
            GapReason::ReadOnly => "read_only",
            GapReason::DiskGone => "disk_gone",
            GapReason::WriteFailed => "write_failed",
            GapReason::ClockStep => "clock_step",
        }
    }

    /// What an error of the disk means.
    fn of(error: &io::Error) -> GapReason {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                GapReason::DiskFull
            }
            ErrorKind::ReadOnlyFilesystem => GapReason::ReadOnly,
            ErrorKind::NotFound => GapReason::DiskGone,
            _ => GapReason::WriteFailed,
        }
    }
}

/// Why a recorder ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecorderEnd {
    /// Asked for.
    Closed,
    /// The stream ended.
    StreamEnded,
    /// The writer failed.
    InternalError,
}

impl RecorderEnd {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            RecorderEnd::Closed => "closed",
            RecorderEnd::StreamEnded => "stream_ended",
            RecorderEnd::InternalError => "internal_error",
        }
    }
}

#[cfg(test)]
mod tests;
