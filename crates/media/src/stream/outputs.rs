//! What a stream goes out to beside its viewers: files, recorders, senders and talks.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use super::Stream;
use crate::access_unit::AccessUnit;
use crate::audio::{AudioCodec, AudioFrame};
use crate::events::unix_us;
use crate::file_sink::{FileSink, SinkFeed};
use crate::recording::{GapReason, Recorder, RecorderFeed};
use crate::sender::{Sender, SenderSocket, SenderStats};
use crate::talk_room::TalkRoom;

impl Stream {
    /// Write the stream to a file as well, from the cached key frame on.
    pub fn attach_sink(&mut self, sink: Arc<FileSink>) {
        let mut feed = SinkFeed::new(sink);
        if let Some(parameters) = &self.parameters {
            for unit in self.cache.units() {
                feed.picture(unit, parameters);
            }
        }
        self.sinks.push(feed);
    }

    /// What is heard here is spoken in a talk as well.
    pub fn attach_talk(&mut self, talk: Rc<RefCell<TalkRoom>>) {
        self.ingest.expect_voice();
        self.talks.push(talk);
    }

    pub(super) fn speak(&mut self, frame: &AudioFrame, now_us: u64) {
        if self.talks.is_empty() || frame.codec != AudioCodec::G711A {
            return;
        }
        self.talks.retain(|talk| !talk.borrow().has_ended());
        for talk in &self.talks {
            talk.borrow_mut().relay(&frame.data, now_us);
        }
    }

    pub(super) fn feed_sinks(&mut self, unit: &AccessUnit) {
        self.sinks.retain(|feed| !feed.sink().has_ended());
        if let Some(parameters) = &self.parameters {
            for feed in &mut self.sinks {
                feed.picture(unit, parameters);
            }
        }
    }

    /// Record the stream, from the cached key frame on.
    pub fn attach_recorder(&mut self, recorder: Arc<Recorder>, now_us: u64) {
        let mut feed = RecorderFeed::new(recorder);
        if let Some(parameters) = &self.parameters {
            for unit in self.cache.units() {
                let offset_us = unix_us() as i64 - now_us as i64;
                feed.picture(unit, parameters, offset_us, || GapReason::NoPictures);
            }
        }
        self.recorders.push(feed);
    }

    pub(super) fn feed_recorders(&mut self, unit: &AccessUnit, now_us: u64) {
        self.recorders.retain(|feed| !feed.recorder().has_ended());
        let Some(parameters) = &self.parameters else {
            return;
        };
        let offset_us = unix_us() as i64 - now_us as i64;
        let (stalled, lost) = (self.stalled, self.recorded_losses);
        let ingest = &self.ingest;
        for feed in &mut self.recorders {
            feed.picture(unit, parameters, offset_us, || match stalled {
                Some("no_packets") => GapReason::NoPackets,
                _ if ingest.stats().lost > lost => GapReason::PacketLoss,
                _ => GapReason::NoPictures,
            });
        }
        if unit.is_key_frame {
            self.recorded_losses = self.ingest.stats().lost;
        }
    }

    /// Whether a disk is so far behind that a source that can be slowed down should not be read on.
    pub fn is_disk_behind(&self) -> bool {
        self.sinks.iter().any(|feed| feed.sink().is_behind())
    }

    /// Forward the stream to a receiver as well. Returns the sender's key.
    pub fn attach_sender(&mut self, sender: Sender) -> usize {
        let key = self.relaying.attach(sender);
        self.ingest.tap(self.relaying.wants_payloads());
        key
    }

    /// The way to a receiver stands: it gets the current group of pictures at once.
    pub fn connect_sender(
        &mut self,
        key: usize,
        socket: SenderSocket,
        peer: SocketAddr,
        now_us: u64,
    ) {
        let mut units = self.cache.units();
        let cached = (
            self.ingest.format(),
            self.parameters.as_deref(),
            &mut units as _,
        );
        self.relaying.connect(key, (socket, peer), cached, now_us);
    }

    /// A sender, for its task.
    pub fn sender(&mut self, key: usize) -> Option<&mut Sender> {
        self.relaying.sender(key)
    }

    /// Send what waits for a receiver.
    pub fn flush_sender(&mut self, key: usize, now_us: u64) {
        self.relaying.flush(key, now_us);
    }

    /// End a sender.
    pub fn end_sender(&mut self, key: usize, reason: &'static str) {
        self.relaying.end(key, reason);
        self.ingest.tap(self.relaying.wants_payloads());
    }

    /// End the senders `is_meant` says, and return how many.
    pub fn cut_senders(
        &mut self,
        is_meant: impl Fn(&Sender) -> bool,
        reason: &'static str,
    ) -> usize {
        let count = self.relaying.cut(is_meant, reason);
        self.ingest.tap(self.relaying.wants_payloads());
        count
    }

    /// Counters of a sender.
    pub fn sender_stats(&self, sender_id: &str) -> Option<SenderStats> {
        self.relaying.stats(sender_id)
    }

    /// Keep the source's packets of the current group, so that the next sender starts at once.
    pub fn keep_packets(&mut self, are_kept: bool) {
        self.relaying.keep_group(are_kept);
        self.ingest.tap(self.relaying.wants_payloads());
    }
}
