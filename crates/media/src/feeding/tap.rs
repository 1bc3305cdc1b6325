//! A stream's way out to a program beside the server: a bounded queue of frames, and what is left out when it is full.
//!
//! The stream is never held up. When too much waits, or the oldest of it for too long, everything that waits is dropped and the
//! next key frame is the next thing sent: whole groups of pictures, counted.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::frame;
use crate::access_unit::AccessUnit;
use crate::audio::AudioFrame;
use crate::cache::KeyFrameCache;
use crate::parameters::VideoParameters;
use crate::shared::Shared;

/// Counters of a tap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapStats {
    /// The tap.
    pub tap_id: String,
    /// Its stream.
    pub stream_id: String,
    /// Pictures put into the queue.
    pub pictures: u64,
    /// Pictures left out because the reader was too slow.
    pub drops: u64,
    /// How often it was moved to the next key frame.
    pub falls: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Bytes that wait.
    pub waiting_bytes: usize,
}

/// What the stream, the writing task and the control plane share.
#[derive(Debug)]
pub struct Tap {
    tap_id: String,
    stream_id: String,
    has_ended: AtomicBool,
    pictures: AtomicU64,
    drops: AtomicU64,
    falls: AtomicU64,
    bytes: AtomicU64,
    waiting: AtomicUsize,
}

impl Tap {
    /// A tap nothing has come through.
    pub fn new(tap_id: &str, stream_id: &str) -> Tap {
        Tap {
            tap_id: tap_id.to_owned(),
            stream_id: stream_id.to_owned(),
            has_ended: AtomicBool::new(false),
            pictures: AtomicU64::new(0),
            drops: AtomicU64::new(0),
            falls: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Its id.
    pub fn tap_id(&self) -> &str {
        &self.tap_id
    }

    /// Its stream.
    pub fn stream_id(&self) -> &str {
        &self.stream_id
    }

    /// Whether nobody reads any more.
    pub fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    /// The reader is gone.
    pub fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
    }

    /// So many bytes more were written.
    pub fn wrote(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The counters.
    pub fn stats(&self) -> TapStats {
        TapStats {
            tap_id: self.tap_id.clone(),
            stream_id: self.stream_id.clone(),
            pictures: self.pictures.load(Ordering::Relaxed),
            drops: self.drops.load(Ordering::Relaxed),
            falls: self.falls.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            waiting_bytes: self.waiting.load(Ordering::Relaxed),
        }
    }
}

struct Waiting {
    frame: Bytes,
    is_picture: bool,
    since_us: u64,
}

/// Whole frames that wait for the socket. What the task has taken out is written to its end.
#[derive(Default)]
pub struct TapQueue {
    frames: RefCell<VecDeque<Waiting>>,
    bytes: Cell<usize>,
    filled: Notify,
}

impl TapQueue {
    /// The next frame, when there is one.
    pub async fn next(&self) -> Bytes {
        loop {
            let next = self.frames.borrow_mut().pop_front();
            if let Some(waiting) = next {
                self.bytes.set(self.bytes.get() - waiting.frame.len());
                return waiting.frame;
            }
            self.filled.notified().await;
        }
    }

    fn push(&self, frame: Bytes, is_picture: bool, now_us: u64) {
        self.bytes.set(self.bytes.get() + frame.len());
        self.frames.borrow_mut().push_back(Waiting {
            frame,
            is_picture,
            since_us: now_us,
        });
        self.filled.notify_one();
    }

    fn age_us(&self, now_us: u64) -> u64 {
        let frames = self.frames.borrow();
        let oldest = frames.front().map_or(now_us, |oldest| oldest.since_us);
        now_us.saturating_sub(oldest)
    }

    /// Drops everything; returns how many pictures it was.
    fn clear(&self) -> u64 {
        self.bytes.set(0);
        let dropped = self
            .frames
            .borrow_mut()
            .drain(..)
            .filter(|one| one.is_picture)
            .count();
        dropped as u64
    }
}

/// The stream's side of a tap. Dropping it ends the tap.
pub struct TapFeed {
    tap: Arc<Tap>,
    queue: Rc<TapQueue>,
    shared: Arc<Shared>,
    task: Option<AbortHandle>,
    awaits_key_frame: bool,
    follows_gap: bool,
}

impl TapFeed {
    /// A feed that begins with the next key frame; `task` writes what `queue` holds.
    pub fn new(
        tap: Arc<Tap>,
        queue: Rc<TapQueue>,
        shared: Arc<Shared>,
        task: Option<AbortHandle>,
    ) -> TapFeed {
        TapFeed {
            tap,
            queue,
            shared,
            task,
            awaits_key_frame: true,
            follows_gap: false,
        }
    }

    /// What it shares with the control plane.
    pub fn tap(&self) -> &Tap {
        &self.tap
    }

    /// Begin with the cached group; all but its last picture are only there to be decoded.
    pub fn begin(&mut self, cache: &KeyFrameCache, parameters: &VideoParameters, now_us: u64) {
        if cache.bytes() > self.shared.settings.viewer_queue_bytes {
            return;
        }
        let last = cache.units().len();
        for (n, unit) in cache.units().enumerate() {
            self.offer(unit, parameters, n + 1 < last, now_us);
        }
    }

    /// Hand over a picture.
    pub fn picture(&mut self, unit: &AccessUnit, parameters: &VideoParameters, now_us: u64) {
        self.offer(unit, parameters, false, now_us);
    }

    fn offer(
        &mut self,
        unit: &AccessUnit,
        parameters: &VideoParameters,
        is_stale: bool,
        now_us: u64,
    ) {
        let settings = &self.shared.settings;
        let is_full = self.queue.bytes.get() + unit.size() > settings.viewer_queue_bytes;
        let is_late = self.queue.age_us(now_us) > settings.viewer_queue_age.as_micros() as u64;
        if is_full || is_late {
            let dropped = self.queue.clear();
            self.tap.drops.fetch_add(dropped, Ordering::Relaxed);
            self.tap.falls.fetch_add(1, Ordering::Relaxed);
            self.awaits_key_frame = true;
            self.follows_gap = true;
        }
        if self.awaits_key_frame && !unit.is_key_frame {
            let has_begun = self.tap.pictures.load(Ordering::Relaxed) > 0;
            self.tap
                .drops
                .fetch_add(u64::from(has_begun), Ordering::Relaxed);
            return;
        }
        self.awaits_key_frame = false;
        let follows_gap = std::mem::take(&mut self.follows_gap);
        if let Some(frame) = frame::picture(unit, parameters, follows_gap, is_stale) {
            self.tap.pictures.fetch_add(1, Ordering::Relaxed);
            self.queue.push(frame, true, now_us);
        } else {
            self.shared.counters.count("tap_pictures_too_large");
            self.awaits_key_frame = true;
            self.follows_gap = true;
        }
        self.note_waiting();
    }

    /// Hand over sound; there is none before the first picture, nor while a key frame is awaited.
    pub fn audio(&mut self, sound: &AudioFrame, now_us: u64) {
        if self.awaits_key_frame {
            return;
        }
        let is_full = self.queue.bytes.get() > self.shared.settings.viewer_queue_bytes;
        match frame::sound(sound).filter(|_| !is_full) {
            Some(frame) => self.queue.push(frame, false, now_us),
            None => self.shared.counters.count("tap_sounds_left_out"),
        }
        self.note_waiting();
    }

    fn note_waiting(&self) {
        let waiting = self.queue.bytes.get();
        self.tap.waiting.store(waiting, Ordering::Relaxed);
    }
}

impl Drop for TapFeed {
    fn drop(&mut self) {
        self.tap.end();
        self.shared.taps().remove(self.tap.tap_id());
        // With the task goes the socket, and the reader is told.
        self.task.as_ref().inspect(|task| task.abort());
    }
}

#[cfg(test)]
#[path = "tap_tests.rs"]
mod tests;
