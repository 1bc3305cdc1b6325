//! A stream written to a file: the reactor hands over shared fragments, a thread of its own writes them.
//!
//! Memory is bounded by [`QUEUE_HIGH`] and [`QUEUE_MAX`]. A stream over TCP is not read on while more than the first waits for
//! the disk, so that the sender is slowed down and nothing is lost. A stream over UDP cannot be slowed down: above
//! the second pictures are dropped up to the next key frame, counted, and the last event says how many.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::access_unit::AccessUnit;
use crate::audio::AudioFrame;
use crate::events::{Event, Value, text};
use crate::mp4_file::Mp4File;
use crate::parameters::VideoParameters;
use crate::shared::Shared;

/// While more than this waits for the disk a TCP source is not read on.
pub const QUEUE_HIGH: usize = 8 << 20;
/// More than this never waits; pictures are dropped instead.
pub const QUEUE_MAX: usize = 32 << 20;
/// One write to the disk takes about this much.
const WRITE_BYTES: usize = 256 << 10;
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
    /// Create the unfinished file and start its writer. Fails when the file, finished or not, exists already.
    pub fn open(
        shared: &Arc<Shared>,
        sink_id: &str,
        stream_id: &str,
        path: &Path,
        max_bytes: Option<u64>,
    ) -> io::Result<Arc<FileSink>> {
        if path.try_exists()? {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let unfinished = unfinished_name(path);
        // Pictures of a public place are nobody else's business on this machine.
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)?;
        let (sink, inbox) = FileSink::without_writer(sink_id, stream_id, path);
        let writer = Writer {
            sink: Arc::clone(&sink),
            file: BufWriter::with_capacity(WRITE_BYTES, file),
            layout: Mp4File::new(),
            max_bytes: max_bytes.unwrap_or(u64::MAX),
            unfinished: unfinished.clone(),
            skips_counted: 0,
        };
        let shared = Arc::clone(shared);
        let spawned = std::thread::Builder::new()
            .name("media-file".to_owned())
            .spawn(move || writer.run(&inbox, &shared));
        if spawned.is_err() {
            let _best_effort = std::fs::remove_file(&unfinished);
        }
        spawned.map(|_detached| sink)
    }

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

/// The stream's side of a file: what it drops when the disk is too slow.
#[derive(Debug)]
pub struct SinkFeed {
    sink: Arc<FileSink>,
    awaits_key_frame: bool,
}

impl SinkFeed {
    /// A feed that begins with the next key frame.
    pub fn new(sink: Arc<FileSink>) -> SinkFeed {
        SinkFeed {
            sink,
            awaits_key_frame: true,
        }
    }

    /// The file.
    pub fn sink(&self) -> &FileSink {
        &self.sink
    }

    /// Hand over a picture.
    pub fn picture(&mut self, unit: &AccessUnit, parameters: &Arc<VideoParameters>) {
        let has_room = self.sink.waiting.load(Ordering::Relaxed) + unit.size() <= QUEUE_MAX;
        let has_begun = self.sink.pictures.load(Ordering::Relaxed) > 0;
        if !has_room || self.awaits_key_frame && !unit.is_key_frame {
            self.awaits_key_frame = true;
            self.sink
                .drops
                .fetch_add(u64::from(has_begun || !has_room), Ordering::Relaxed);
            return;
        }
        self.awaits_key_frame = false;
        self.sink.pictures.fetch_add(1, Ordering::Relaxed);
        self.sink
            .send(Message::Picture(unit.clone(), Arc::clone(parameters)));
    }

    /// Hand over audio.
    pub fn audio(&self, frame: &AudioFrame) {
        if self.sink.waiting.load(Ordering::Relaxed) <= QUEUE_MAX {
            self.sink.send(Message::Audio(frame.clone()));
        } else {
            self.sink.audio_skipped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Writer {
    sink: Arc<FileSink>,
    file: BufWriter<File>,
    layout: Mp4File,
    max_bytes: u64,
    unfinished: PathBuf,
    /// Audio the layout left out that is in the counters already.
    skips_counted: u64,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Message>, shared: &Shared) {
        let work = || {
            let asked = self.write_until_end(inbox)?;
            self.finish()?;
            Ok(asked)
        };
        let outcome = catch_unwind(AssertUnwindSafe(work));
        let (reason, is_complete) = match outcome {
            Ok(Ok(reason)) => (reason, true),
            Ok(Err(error)) => (SinkEnd::of(&error), false),
            Err(_panic) => {
                shared.counters.count("internal_errors");
                (SinkEnd::InternalError, false)
            }
        };
        let sink = &self.sink;
        sink.has_ended.store(true, Ordering::Relaxed);
        shared.sinks().remove(&sink.sink_id);
        shared.counters.add("sink_drops", sink.stats().drops);
        shared
            .counters
            .add("sink_audio_skipped", sink.stats().audio_skipped);
        shared.events.push(sink.ended_event(reason, is_complete));
    }

    fn write_until_end(&mut self, inbox: &Receiver<Message>) -> io::Result<SinkEnd> {
        while let Ok(message) = inbox.recv() {
            let size = message.size();
            let step = self.take(message);
            self.sink.waiting.fetch_sub(size, Ordering::Relaxed);
            if let Some(end) = step? {
                return Ok(end);
            }
        }
        // The stream and the node are gone without a word; what came is kept.
        Ok(SinkEnd::StreamEnded)
    }

    fn take(&mut self, message: Message) -> io::Result<Option<SinkEnd>> {
        match message {
            Message::Picture(unit, parameters) => {
                if self.layout.picture(unit, &parameters).is_err() {
                    return Ok(Some(SinkEnd::CodecChanged));
                }
            }
            Message::Audio(frame) => self.layout.audio(frame),
            Message::End(reason) => return Ok(Some(reason)),
        }
        self.write_pieces()?;
        Ok((self.layout.position() >= self.max_bytes).then_some(SinkEnd::MaxBytes))
    }

    fn write_pieces(&mut self) -> io::Result<()> {
        for piece in self.layout.take() {
            self.file.write_all(&piece)?;
            self.sink
                .bytes
                .fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        let stats = self.layout.stats();
        self.sink
            .duration
            .store(self.layout.duration() as u64, Ordering::Relaxed);
        let skips =
            stats.audio_skipped - std::mem::replace(&mut self.skips_counted, stats.audio_skipped);
        self.sink.audio_skipped.fetch_add(skips, Ordering::Relaxed);
        self.sink
            .format_changes
            .store(stats.format_changes, Ordering::Relaxed);
        Ok(())
    }

    /// Index, duration, to the disk, and only then its name.
    fn finish(&mut self) -> io::Result<()> {
        let Some(ending) = self.layout.finish() else {
            // Not one picture: no file either.
            return std::fs::remove_file(&self.unfinished);
        };
        self.write_pieces()?;
        self.file.write_all(&ending.tail)?;
        self.file.flush()?;
        self.sink
            .bytes
            .fetch_add(ending.tail.len() as u64, Ordering::Relaxed);
        let file = self.file.get_ref();
        if let Some((at, bytes)) = ending.patch {
            file.write_all_at(&bytes, at)?;
        }
        file.sync_all()?;
        // Unlike rename(2) this does not write over a file that has come to be meanwhile.
        std::fs::hard_link(&self.unfinished, &self.sink.path)?;
        std::fs::remove_file(&self.unfinished)?;
        let folder = self
            .sink
            .path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmp4::Fragment;
    use crate::parameters::VideoCodec;
    use bytes::Bytes;

    fn picture(is_key_frame: bool) -> AccessUnit {
        let buffer = Bytes::from(vec![0; 1 << 20]);
        AccessUnit {
            generation: 1,
            codec: VideoCodec::H264,
            is_key_frame,
            is_damaged: false,
            pts: 0,
            dts: 0,
            duration: 3600,
            received_us: 0,
            device_pts: None,
            fragment: Fragment {
                buffer,
                ws_offset: 0,
                payload_offset: 0,
            },
            payload_at: 0,
        }
    }

    fn parameters() -> Arc<VideoParameters> {
        Arc::new(VideoParameters {
            generation: 1,
            codec: VideoCodec::H264,
            width: 16,
            height: 16,
            codec_string: String::new(),
            parameter_sets: Vec::new(),
            record: Bytes::new(),
            init: picture(true).fragment,
        })
    }

    #[test]
    fn what_outgrows_the_memory_is_dropped_up_to_a_key_frame_and_counted() {
        let (sink, disk) = FileSink::on_a_stuck_disk("s1");
        let mut feed = SinkFeed::new(Arc::clone(&sink));
        let parameters = parameters();
        feed.picture(&picture(true), &parameters);
        (0..40).for_each(|_| feed.picture(&picture(false), &parameters));
        let kept = QUEUE_MAX >> 20;
        assert!(sink.is_behind() && sink.stats().waiting_bytes <= QUEUE_MAX);
        assert_eq!(
            (sink.stats().pictures, sink.stats().drops),
            (kept as u64, 41 - kept as u64)
        );
        assert_eq!(disk.take(), kept);
        feed.picture(&picture(false), &parameters);
        assert_eq!(disk.take(), 0, "it depends on what was dropped");
        feed.picture(&picture(true), &parameters);
        assert_eq!((disk.take(), sink.stats().drops), (1, 42 - kept as u64));
    }
}
