//! The disks recordings lie on: each has threads of its own, so that one that hangs holds up no other.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::recorder::Message;
use super::syncer::{self, Finish};
use super::writer;
use crate::shared::Shared;

/// Longest a file that changed stays without being made durable, if the disk keeps up.
pub const SYNC_EVERY: Duration = Duration::from_millis(1000);

/// One disk, by the folder recordings lie under.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
    /// Exists while the disk is mounted; recordings must not fill an empty mount point.
    marker: Option<PathBuf>,
    messages: Sender<Message>,
    epoch: Instant,
    /// Bytes that wait for the disk, of all its recorders.
    pub waiting: AtomicUsize,
    writing: Busy,
    syncing: Busy,
    sync_round_ms: AtomicU64,
    #[cfg(test)]
    pub fault: std::sync::atomic::AtomicI32,
}

/// Since when a thread waits for the disk; 0 while it does not.
#[derive(Debug, Default)]
pub struct Busy(AtomicU64);

impl Busy {
    fn since(&self, epoch: Instant) -> u64 {
        match self.0.load(Ordering::Relaxed) {
            0 => 0,
            since => (epoch.elapsed().as_millis() as u64).saturating_sub(since - 1),
        }
    }
}

/// How a disk does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskStats {
    /// The folder recordings lie under.
    pub root: PathBuf,
    /// Bytes that wait for it.
    pub waiting_bytes: usize,
    /// How long the write or sync under way takes already, milliseconds.
    pub stuck_ms: u64,
    /// What the last round of syncs took, milliseconds.
    pub sync_round_ms: u64,
}

impl Disk {
    /// A disk with threads of its own.
    pub(super) fn start(
        root: &Path,
        marker: Option<&Path>,
        shared: &Arc<Shared>,
        sync_every: Duration,
    ) -> io::Result<Arc<Disk>> {
        let (messages, inbox) = channel();
        let (finishing, finished) = channel();
        let disk = Arc::new(Disk {
            root: root.to_owned(),
            marker: marker.map(Path::to_owned),
            messages,
            epoch: Instant::now(),
            waiting: AtomicUsize::new(0),
            writing: Busy::default(),
            syncing: Busy::default(),
            sync_round_ms: AtomicU64::new(0),
            #[cfg(test)]
            fault: std::sync::atomic::AtomicI32::new(0),
        });
        let (weak, events) = (Arc::downgrade(&disk), Arc::clone(shared));
        std::thread::Builder::new()
            .name("recording-sync".to_owned())
            .spawn(move || syncer::run(&finished, &weak, &events, sync_every))?;
        let events = Arc::clone(shared);
        std::thread::Builder::new()
            .name("recording".to_owned())
            .spawn(move || writer::run(&inbox, &finishing, &events))?;
        Ok(disk)
    }

    /// The disk is there: the marker says that this is not the empty place it is mounted at.
    pub fn check(&self) -> io::Result<()> {
        #[cfg(test)]
        match self.fault.load(Ordering::Relaxed) {
            0 => {}
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
        match &self.marker {
            Some(marker) => marker.metadata().map(|_| ()),
            None => Ok(()),
        }
    }

    /// Hand work to the writer.
    pub fn send(&self, message: Message) -> bool {
        self.messages.send(message).is_ok()
    }

    /// Let the writer wait for the disk.
    pub fn write<R>(&self, work: impl FnOnce() -> R) -> R {
        self.busy(&self.writing, work)
    }

    /// Let the syncer wait for the disk.
    pub fn sync<R>(&self, work: impl FnOnce() -> R) -> R {
        self.busy(&self.syncing, work)
    }

    fn busy<R>(&self, thread: &Busy, work: impl FnOnce() -> R) -> R {
        let now = self.epoch.elapsed().as_millis() as u64 + 1;
        thread.0.store(now, Ordering::Relaxed);
        let done = work();
        thread.0.store(0, Ordering::Relaxed);
        done
    }

    /// A round of syncs is over.
    pub fn synced(&self, took: Duration) {
        self.sync_round_ms
            .store(took.as_millis() as u64, Ordering::Relaxed);
    }

    fn stats(&self) -> DiskStats {
        DiskStats {
            root: self.root.clone(),
            waiting_bytes: self.waiting.load(Ordering::Relaxed),
            stuck_ms: self
                .writing
                .since(self.epoch)
                .max(self.syncing.since(self.epoch)),
            sync_round_ms: self.sync_round_ms.load(Ordering::Relaxed),
        }
    }
}

/// The disks in use. A disk's threads end when its last recorder has.
#[derive(Debug, Default)]
pub struct Disks {
    by_root: Mutex<HashMap<PathBuf, Weak<Disk>>>,
}

impl Disks {
    /// The disk of this folder; its threads are started for its first recorder.
    pub fn take(
        &self,
        root: &Path,
        marker: Option<&Path>,
        shared: &Arc<Shared>,
    ) -> io::Result<Arc<Disk>> {
        let mut by_root = self.by_root.lock().unwrap_or_else(PoisonError::into_inner);
        by_root.retain(|_, disk| disk.strong_count() > 0);
        if let Some(disk) = by_root.get(root).and_then(Weak::upgrade) {
            return Ok(disk);
        }
        let disk = Disk::start(root, marker, shared, SYNC_EVERY)?;
        by_root.insert(root.to_owned(), Arc::downgrade(&disk));
        Ok(disk)
    }

    /// How each does.
    pub fn stats(&self) -> Vec<DiskStats> {
        let by_root = self.by_root.lock().unwrap_or_else(PoisonError::into_inner);
        by_root
            .values()
            .filter_map(Weak::upgrade)
            .map(|disk| disk.stats())
            .collect()
    }
}

/// The way from the writer to the syncer.
pub type ToSyncer = Sender<Finish>;
