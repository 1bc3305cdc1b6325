//! What makes recordings durable: one round a second over the files that changed, and the last steps of a segment.
//!
//! A thread beside the writer, so that fragments reach the kernel while the disk is busy with a sync.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::disk::Disk;
use super::ledger::Ledger;
use super::recorder::Recorder;
use super::{FINISHED, GapReason, RecorderEnd};
use crate::events::{Value, text};
use crate::shared::Shared;

/// A file that is being written.
#[derive(Debug)]
pub struct SegmentFile {
    /// The open file.
    pub file: File,
    /// Its name while it is unfinished.
    pub path: PathBuf,
    /// When its first picture was taken, microseconds UTC since 1970.
    pub begin_us: i64,
    /// What of it is written, and what is durable.
    pub ledger: Ledger,
    is_dirty: AtomicBool,
    is_closed: AtomicBool,
    has_failed: AtomicBool,
}

impl SegmentFile {
    /// A file just created.
    pub fn new(file: File, path: PathBuf, begin_us: i64) -> Arc<SegmentFile> {
        Arc::new(SegmentFile {
            file,
            path,
            begin_us,
            ledger: Ledger::default(),
            is_dirty: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
        })
    }

    /// It has changed.
    pub fn touch(&self) {
        self.is_dirty.store(true, Ordering::Release);
    }

    /// Make durable what the kernel has of it.
    fn sync(&self) -> io::Result<()> {
        let written = self.ledger.written();
        self.file.sync_data()?;
        self.ledger.synced(written);
        Ok(())
    }

    /// Nothing more is written to it.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    /// A sync of it failed: what the kernel still holds may be lost, and no later sync would say so.
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }
}

/// Work for the syncer.
#[derive(Debug)]
pub enum Finish {
    /// A file to look after.
    Opened(Arc<SegmentFile>),
    /// A segment that is written to its end: make it durable, name it, report it.
    Segment(Arc<Recorder>, Arc<SegmentFile>, Vec<(&'static str, Value)>),
    /// A file nothing came of.
    Empty(Arc<Recorder>, Arc<SegmentFile>),
    /// A recorder has handed in its last segment.
    Ended(Arc<Recorder>, RecorderEnd),
}

/// Until the writer is gone.
pub fn run(inbox: &Receiver<Finish>, disk: &Weak<Disk>, shared: &Shared, every: Duration) {
    let mut files: Vec<Arc<SegmentFile>> = Vec::new();
    let mut next = Instant::now() + every;
    loop {
        match inbox.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(Finish::Opened(file)) => files.push(file),
            Ok(work) => carry_out(work, shared),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = Instant::now();
        if now >= next {
            files.retain(|file| !file.is_closed.load(Ordering::Acquire));
            match disk.upgrade() {
                Some(disk) => disk.sync(|| round(&files)),
                None => round(&files),
            }
            let took = now.elapsed();
            disk.upgrade().inspect(|disk| disk.synced(took));
            next = now + every;
        }
    }
}

fn round(files: &[Arc<SegmentFile>]) {
    for file in files {
        if file.is_dirty.swap(false, Ordering::AcqRel) && file.sync().is_err() {
            file.has_failed.store(true, Ordering::Release);
        }
    }
}

fn carry_out(work: Finish, shared: &Shared) {
    match work {
        Finish::Opened(_) => {}
        Finish::Segment(recorder, file, facts) => {
            let finished = recorder.disk.sync(|| finish(&file));
            match finished {
                Ok(path) => {
                    recorder.finished_segment();
                    let mut fields = vec![("path", text(path.to_string_lossy()))];
                    fields.extend(facts);
                    shared
                        .events
                        .push(recorder.event("RecorderSegment", fields));
                }
                Err(error) => report_failure(shared, &recorder, GapReason::of(&error), &file.path),
            }
            recorder.settled(&file);
        }
        Finish::Empty(recorder, file) => {
            let _nothing_is_lost = std::fs::remove_file(&file.path);
            recorder.settled(&file);
        }
        Finish::Ended(recorder, reason) => {
            shared.forget_recorder(&recorder.request.recorder_id);
            shared
                .counters
                .add("recorder_drops", recorder.stats().drops);
            let fields = vec![("reason", text(reason.word()))];
            shared.events.push(recorder.event("RecorderEnded", fields));
        }
    }
}

/// To the disk, and only then its name.
fn finish(file: &SegmentFile) -> io::Result<PathBuf> {
    if file.has_failed() {
        return Err(io::Error::other("an earlier sync of this file failed"));
    }
    let written = file.ledger.written();
    file.file.sync_all()?;
    file.ledger.synced(written);
    let path = file.path.with_extension(FINISHED.trim_start_matches('.'));
    std::fs::rename(&file.path, &path)?;
    File::open(file.folder())?.sync_all()?;
    Ok(path)
}

/// Tell that a recorder cannot write.
pub fn report_failure(shared: &Shared, recorder: &Recorder, reason: GapReason, path: &Path) {
    recorder.set_failing(Some(reason));
    let fields = vec![
        ("reason", text(reason.word())),
        ("path", text(path.to_string_lossy())),
    ];
    shared.events.push(recorder.event("RecorderFailed", fields));
}
