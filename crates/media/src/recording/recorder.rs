//! A recorder as the stream, the control plane and its writer share it, and the stream's side of it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::Disk;
use super::ledger::Durable;
use super::syncer::SegmentFile;
use super::{GapReason, RecorderEnd};
use crate::access_unit::AccessUnit;
use crate::audio::AudioFrame;
use crate::events::{Event, Value, text};
use crate::parameters::VideoParameters;

/// What of one recorder may wait for its disk.
pub const QUEUE_MAX: usize = 16 << 20;
/// What of all recorders may wait for one disk.
pub const DISK_QUEUE_MAX: usize = 256 << 20;
/// A hole in the timeline of more than this is a gap: one second.
const GAP: i64 = 90_000;

/// What is wanted of a recorder.
#[derive(Clone, Debug)]
pub struct RecorderRequest {
    /// Its id.
    pub recorder_id: String,
    /// The stream it records.
    pub stream_id: String,
    /// The folder that stands for the disk.
    pub root: PathBuf,
    /// A file that exists while the disk is mounted.
    pub marker: Option<PathBuf>,
    /// Where the days of this recording lie.
    pub directory: PathBuf,
    /// A segment ends with the first key frame after so much, 90 kHz.
    pub segment_ticks: i64,
    /// Or after so many bytes.
    pub max_segment_bytes: u64,
}

/// Counters of a recorder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecorderStats {
    /// Its id.
    pub recorder_id: String,
    /// Its stream.
    pub stream_id: String,
    /// Segments finished.
    pub segments: u64,
    /// Bytes handed to the kernel.
    pub bytes: u64,
    /// Pictures taken.
    pub pictures: u64,
    /// Pictures dropped because of the disk.
    pub drops: u64,
    /// Bytes that wait for the disk.
    pub waiting_bytes: usize,
    /// Why nothing is written at present.
    pub failing: Option<&'static str>,
}

/// A segment that is not reported yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSegment {
    /// Its name while it is unfinished.
    pub path: PathBuf,
    /// When its first picture was taken, microseconds UTC since 1970.
    pub begin_us: i64,
    /// What is durable of it; `None` before its first picture is.
    pub durable: Option<Durable>,
}

/// Work for the writer.
#[derive(Debug)]
pub enum Work {
    /// A picture; the wall clock minus the reactors' clock; what is missing in front of it.
    Picture(AccessUnit, Arc<VideoParameters>, i64, Option<GapReason>),
    /// Sound.
    Audio(AudioFrame),
    /// No more comes.
    End(RecorderEnd),
}

/// Work of a recorder.
#[derive(Debug)]
pub struct Message {
    pub recorder: Arc<Recorder>,
    pub work: Work,
}

impl Message {
    /// What it keeps in memory.
    pub fn size(&self) -> usize {
        match &self.work {
            Work::Picture(unit, ..) => unit.size(),
            Work::Audio(frame) => frame.data.len() + 64,
            Work::End(_) => 0,
        }
    }
}

/// A recorder.
#[derive(Debug)]
pub struct Recorder {
    /// What was asked for.
    pub request: RecorderRequest,
    /// Where it writes.
    pub disk: Arc<Disk>,
    /// Tells recorders apart for the writer.
    pub number: u64,
    waiting: AtomicUsize,
    has_ended: AtomicBool,
    is_done: AtomicBool,
    is_to_turn: AtomicBool,
    files: Mutex<Vec<Arc<SegmentFile>>>,
    failing: AtomicU8,
    segments: AtomicU64,
    bytes: AtomicU64,
    pictures: AtomicU64,
    drops: AtomicU64,
}

impl Recorder {
    /// A recorder that has seen nothing.
    pub fn new(request: RecorderRequest, disk: Arc<Disk>) -> Arc<Recorder> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        Arc::new(Recorder {
            request,
            disk,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            waiting: AtomicUsize::new(0),
            has_ended: AtomicBool::new(false),
            is_done: AtomicBool::new(false),
            is_to_turn: AtomicBool::new(false),
            files: Mutex::default(),
            failing: AtomicU8::new(0),
            segments: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            pictures: AtomicU64::new(0),
            drops: AtomicU64::new(0),
        })
    }

    /// Finish what is begun; events say when it is on the disk.
    pub fn end(self: &Arc<Self>, reason: RecorderEnd) {
        if !self.has_ended.swap(true, Ordering::Relaxed) {
            self.send(Work::End(reason));
        }
    }

    /// Let the next key frame begin another segment.
    pub fn turn(&self) {
        self.is_to_turn.store(true, Ordering::Relaxed);
    }

    /// Whether a key frame is to begin another segment; asked once.
    pub fn takes_turn(&self) -> bool {
        self.is_to_turn.swap(false, Ordering::Relaxed)
    }

    /// A file for a segment is there.
    pub fn opened(&self, file: &Arc<SegmentFile>) {
        self.files().push(Arc::clone(file));
    }

    /// It has been reported, or nothing came of it.
    pub fn settled(&self, file: &Arc<SegmentFile>) {
        self.files().retain(|one| !Arc::ptr_eq(one, file));
    }

    /// The segments that are not reported yet, oldest first: those that are being finished, and the one that is written.
    pub fn open_segments(&self) -> Vec<OpenSegment> {
        let told = |file: &Arc<SegmentFile>| OpenSegment {
            path: file.path.clone(),
            begin_us: file.begin_us,
            durable: file.ledger.durable(),
        };
        self.files().iter().map(told).collect()
    }

    fn files(&self) -> MutexGuard<'_, Vec<Arc<SegmentFile>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it takes nothing more.
    pub fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    /// The counters.
    pub fn stats(&self) -> RecorderStats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RecorderStats {
            recorder_id: self.request.recorder_id.clone(),
            stream_id: self.request.stream_id.clone(),
            segments: of(&self.segments),
            bytes: of(&self.bytes),
            pictures: of(&self.pictures),
            drops: of(&self.drops),
            waiting_bytes: self.waiting.load(Ordering::Relaxed),
            failing: FAILURES
                .get(usize::from(self.failing.load(Ordering::Relaxed)))
                .copied()
                .flatten()
                .map(GapReason::word),
        }
    }

    fn send(self: &Arc<Self>, work: Work) {
        let message = Message {
            recorder: Arc::clone(self),
            work,
        };
        let size = message.size();
        self.waiting.fetch_add(size, Ordering::Relaxed);
        self.disk.waiting.fetch_add(size, Ordering::Relaxed);
        if !self.disk.send(message) {
            self.taken(size);
        }
    }

    /// The writer has seen its end; what a stream hands over after it comes too late.
    pub fn is_done(&self) -> bool {
        self.is_done.load(Ordering::Relaxed)
    }

    /// The writer sees its end.
    pub fn set_done(&self) {
        self.is_done.store(true, Ordering::Relaxed);
    }

    /// The writer has taken work of this size.
    pub fn taken(&self, size: usize) {
        self.waiting.fetch_sub(size, Ordering::Relaxed);
        self.disk.waiting.fetch_sub(size, Ordering::Relaxed);
    }

    /// Bytes went to the kernel.
    pub fn wrote(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Pictures are lost to the disk.
    pub fn dropped(&self, pictures: u64) {
        self.drops.fetch_add(pictures, Ordering::Relaxed);
    }

    /// Pictures lost to the disk so far.
    pub fn drops(&self) -> u64 {
        self.drops.load(Ordering::Relaxed)
    }

    /// A segment is on the disk.
    pub fn finished_segment(&self) {
        self.segments.fetch_add(1, Ordering::Relaxed);
    }

    /// It cannot be written for this reason, or can again.
    pub fn set_failing(&self, reason: Option<GapReason>) {
        let index = FAILURES.iter().position(|&known| known == reason);
        self.failing
            .store(index.unwrap_or(0) as u8, Ordering::Relaxed);
    }

    /// An event of this recorder.
    pub fn event(&self, kind: &'static str, fields: Vec<(&'static str, Value)>) -> Event {
        let mut all = vec![
            ("recorder_id", text(&*self.request.recorder_id)),
            ("stream_id", text(&*self.request.stream_id)),
        ];
        all.extend(fields);
        Event::lifecycle(kind, all)
    }
}

/// What may keep a recorder from writing.
const FAILURES: [Option<GapReason>; 5] = [
    None,
    Some(GapReason::DiskFull),
    Some(GapReason::ReadOnly),
    Some(GapReason::DiskGone),
    Some(GapReason::WriteFailed),
];

/// The stream's side of a recorder: what it drops when the disk is too slow, and which holes it sees.
#[derive(Debug)]
pub struct RecorderFeed {
    recorder: Arc<Recorder>,
    awaits_key_frame: bool,
    gap: Option<GapReason>,
    end_dts: Option<i64>,
}

impl RecorderFeed {
    /// A feed that begins with the next key frame.
    pub fn new(recorder: Arc<Recorder>) -> RecorderFeed {
        RecorderFeed {
            recorder,
            awaits_key_frame: true,
            gap: None,
            end_dts: None,
        }
    }

    /// The recorder.
    pub fn recorder(&self) -> &Arc<Recorder> {
        &self.recorder
    }

    /// Hand over a picture. `offset_us` is the wall clock minus the reactors'; `why` says what caused a hole in front of it.
    pub fn picture(
        &mut self,
        unit: &AccessUnit,
        parameters: &Arc<VideoParameters>,
        offset_us: i64,
        why: impl FnOnce() -> GapReason,
    ) {
        let recorder = &self.recorder;
        let (waiting, of_disk) = (&recorder.waiting, &recorder.disk.waiting);
        let has_room = waiting.load(Ordering::Relaxed) + unit.size() <= QUEUE_MAX
            && of_disk.load(Ordering::Relaxed) + unit.size() <= DISK_QUEUE_MAX;
        if !has_room {
            self.awaits_key_frame = true;
            self.gap = Some(GapReason::DiskSlow);
        }
        if !has_room || self.awaits_key_frame && !unit.is_key_frame {
            let is_lost = self.gap.is_some();
            recorder.dropped(u64::from(is_lost));
            return;
        }
        self.awaits_key_frame = false;
        let has_hole = self.end_dts.is_some_and(|end| unit.dts - end > GAP);
        let gap = self.gap.take().or_else(|| has_hole.then(why));
        self.end_dts = Some(unit.dts + i64::from(unit.duration));
        recorder.pictures.fetch_add(1, Ordering::Relaxed);
        let parameters = Arc::clone(parameters);
        recorder.send(Work::Picture(unit.clone(), parameters, offset_us, gap));
    }

    /// Hand over sound.
    pub fn audio(&self, frame: &AudioFrame) {
        let waiting = self.recorder.waiting.load(Ordering::Relaxed);
        if !self.awaits_key_frame && !self.recorder.has_ended() && waiting <= QUEUE_MAX {
            self.recorder.send(Work::Audio(frame.clone()));
        }
    }
}

impl Drop for RecorderFeed {
    fn drop(&mut self) {
        // Whatever became of the stream, what was recorded of it is finished.
        self.recorder.end(RecorderEnd::StreamEnded);
    }
}
