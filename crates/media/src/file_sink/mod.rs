//! A stream written to a file: the reactor hands over shared fragments, a thread of its own writes them.
//!
//! Memory is bounded by [`QUEUE_HIGH`] and [`QUEUE_MAX`]. A stream over TCP is not read on while more than the first waits for
//! the disk, so that the sender is slowed down and nothing is lost. A stream over UDP cannot be slowed down: above
//! the second pictures are dropped up to the next key frame, counted, and the last event says how many.

//!
//! [`SinkFeed`] is the stream's side, [`FileSink`] what both sides and the control plane share, `writer` the disk's side.

mod feed;
mod writer;

pub use feed::SinkFeed;

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::access_unit::AccessUnit;
use crate::audio::AudioFrame;
use crate::events::{Event, Value, text};
use crate::parameters::VideoParameters;

/// While more than this waits for the disk a TCP source is not read on.
pub const QUEUE_HIGH: usize = 8 << 20;
/// More than this never waits; pictures are dropped instead.
pub const QUEUE_MAX: usize = 32 << 20;

/// The name of a file that is not finished ends with this.
const UNFINISHED: &str = ".part";

/// Why a file ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkEnd {
    /// Asked for.
    Closed,
    /// The stream ended.
    StreamEnded,
    /// `max_bytes` was reached.
    MaxBytes,
    /// The stream went on with another codec, which one file cannot hold.
    CodecChanged,
    /// No room on the disk.
    DiskFull,
    /// The disk refused for another reason.
    WriteFailed,
    /// The writer failed.
    InternalError,
}

impl SinkEnd {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            SinkEnd::Closed => "closed",
            SinkEnd::StreamEnded => "stream_ended",
            SinkEnd::MaxBytes => "max_bytes",
            SinkEnd::CodecChanged => "codec_changed",
            SinkEnd::DiskFull => "disk_full",
            SinkEnd::WriteFailed => "write_failed",
            SinkEnd::InternalError => "internal_error",
        }
    }

    fn of(error: &io::Error) -> SinkEnd {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                SinkEnd::DiskFull
            }
            _ => SinkEnd::WriteFailed,
        }
    }
}

enum Message {
    Picture(AccessUnit, Arc<VideoParameters>),
    Audio(AudioFrame),
    End(SinkEnd),
}

impl Message {
    /// What it keeps in memory.
    fn size(&self) -> usize {
        match self {
            Message::Picture(unit, _) => unit.size(),
            Message::Audio(frame) => frame.data.len() + 64,
            Message::End(_) => 0,
        }
    }
}

/// Counters of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkStats {
    /// The file.
    pub sink_id: String,
    /// The stream it is written from.
    pub stream_id: String,
    /// Bytes written.
    pub bytes: u64,
    /// Media time from the first picture to the end of the last one written, milliseconds.
    pub duration_ms: u64,
    /// Pictures handed to the writer.
    pub pictures: u64,
    /// Pictures dropped because the disk was too slow.
    pub drops: u64,
    /// Bytes that wait for the disk.
    pub waiting_bytes: usize,
    /// Audio frames that are not in the file.
    pub audio_skipped: u64,
    /// Key frames that brought other parameter sets.
    pub format_changes: u64,
}

/// What the stream, the control plane and the writer share.
#[derive(Debug)]
pub struct FileSink {
    sink_id: String,
    stream_id: String,
    path: PathBuf,
    messages: Sender<Message>,
    waiting: AtomicUsize,
    has_ended: AtomicBool,
    bytes: AtomicU64,
    duration: AtomicU64,
    pictures: AtomicU64,
    drops: AtomicU64,
    audio_skipped: AtomicU64,
    format_changes: AtomicU64,
}

impl FileSink {
    fn without_writer(
        sink_id: &str,
        stream_id: &str,
        path: &Path,
    ) -> (Arc<FileSink>, Receiver<Message>) {
        let (messages, inbox) = channel();
        let sink = Arc::new(FileSink {
            sink_id: sink_id.to_owned(),
            stream_id: stream_id.to_owned(),
            path: path.to_owned(),
            messages,
            waiting: AtomicUsize::new(0),
            has_ended: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            duration: AtomicU64::new(0),
            pictures: AtomicU64::new(0),
            drops: AtomicU64::new(0),
            audio_skipped: AtomicU64::new(0),
            format_changes: AtomicU64::new(0),
        });
        (sink, inbox)
    }

    /// A file on a disk that takes nothing until the messages are read.
    #[cfg(test)]
    pub(crate) fn on_a_stuck_disk(stream_id: &str) -> (Arc<FileSink>, StuckDisk) {
        let (sink, inbox) = FileSink::without_writer("stuck", stream_id, Path::new("stuck.mp4"));
        (Arc::clone(&sink), StuckDisk { sink, inbox })
    }

    /// Its id.
    pub fn sink_id(&self) -> &str {
        &self.sink_id
    }

    /// Its stream.
    pub fn stream_id(&self) -> &str {
        &self.stream_id
    }

    /// Whether so much waits for the disk that a source that can be slowed down should be.
    pub fn is_behind(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > QUEUE_HIGH && !self.has_ended()
    }

    /// Whether nothing more is written.
    pub fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    /// Finish the file; the event comes when it is on the disk.
    pub fn end(&self, reason: SinkEnd) {
        self.send(Message::End(reason));
    }

    /// The counters.
    pub fn stats(&self) -> SinkStats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SinkStats {
            sink_id: self.sink_id.clone(),
            stream_id: self.stream_id.clone(),
            bytes: of(&self.bytes),
            duration_ms: of(&self.duration) / 90,
            pictures: of(&self.pictures),
            drops: of(&self.drops),
            waiting_bytes: self.waiting.load(Ordering::Relaxed),
            audio_skipped: of(&self.audio_skipped),
            format_changes: of(&self.format_changes),
        }
    }

    fn send(&self, message: Message) {
        let size = message.size();
        self.waiting.fetch_add(size, Ordering::Relaxed);
        if self.messages.send(message).is_err() {
            self.waiting.fetch_sub(size, Ordering::Relaxed);
        }
    }
}

impl FileSink {
    fn ended_event(&self, reason: SinkEnd, is_complete: bool) -> Event {
        let stats = self.stats();
        let has_file = stats.pictures > 0;
        let path = if is_complete {
            self.path.clone()
        } else {
            unfinished_name(&self.path)
        };
        let fields = vec![
            ("sink_id", text(&*self.sink_id)),
            ("stream_id", text(&*self.stream_id)),
            ("reason", text(reason.word())),
            (
                "path",
                text(if has_file {
                    path.to_string_lossy()
                } else {
                    "".into()
                }),
            ),
            ("is_complete", Value::Flag(is_complete && has_file)),
            ("bytes_written", Value::Number(stats.bytes)),
            ("duration_ms", Value::Number(stats.duration_ms)),
            ("pictures", Value::Number(stats.pictures)),
            ("drops", Value::Number(stats.drops)),
            ("audio_skipped", Value::Number(stats.audio_skipped)),
        ];
        Event::lifecycle("FileSinkEnded", fields)
    }
}

fn unfinished_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    name.into()
}

/// What waits for a disk that takes nothing.
#[cfg(test)]
pub(crate) struct StuckDisk {
    sink: Arc<FileSink>,
    inbox: Receiver<Message>,
}

#[cfg(test)]
impl StuckDisk {
    /// Take everything that waits; returns how many pictures it was.
    pub(crate) fn take(&self) -> usize {
        let taken = self.inbox.try_iter().inspect(|message| {
            self.sink
                .waiting
                .fetch_sub(message.size(), Ordering::Relaxed);
        });
        taken
            .filter(|message| matches!(message, Message::Picture(..)))
            .count()
    }
}
