//! One stream inside its reactor: camera packets in, fragments to every viewer out, and the books of both.
//!
//! ```text
//! arrivals -> ingest -> deliver -> viewers   shared fragments, at once
//!                          |-----> outputs   senders, files and talks; each brings its own queue
//!                          '-----> cache     the latest group of pictures, what everybody new begins with
//! ```
//!
//! An output takes what `picture` and `audio` hand it, by reference count and never by copy, and is fed from the cache when it
//! joins. `health` notices what stays away, `reports` counts and tells.

mod arrivals;
mod feeding;
mod flv;
mod health;
mod hls;
mod outputs;
mod players;
mod reports;
mod sounds;
mod transport;
mod viewers;
mod viewings;

pub use feeding::FEED_LOST;
pub use transport::{ExpectedSender, SocketCounters, Transport};
pub use viewings::ViewerStats;

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use slab::Slab;

use crate::access_unit::AccessUnit;
use crate::audio::AudioFrame;
use crate::cache::KeyFrameCache;
use crate::connection::ViewerConnection;
use crate::events::{Event, text};
use crate::feeding::tap::TapFeed;
use crate::file_sink::{SinkEnd, SinkFeed};
use crate::ingest::{Ingest, IngestConfig, IngestOutput};
use crate::outlets::hls::feed::HlsFeed;
use crate::outlets::rtsp::feed::Feed;
use crate::parameters::VideoParameters;
use crate::recording::RecorderFeed;
use crate::relaying::Relaying;
use crate::rtsp::tracks::RtspTracks;
use crate::shared::Shared;
use crate::sound::Sound;
use crate::stats::RateWindow;
use crate::talk_room::TalkRoom;

/// Streams of this name panic on their first packet, to prove that it harms no other.
#[cfg(test)]
pub(crate) const FAILING_STREAM: &str = "failing";

/// One stream.
pub struct Stream {
    /// Counters of the receiving sockets.
    pub sockets: SocketCounters,
    id: String,
    /// None when nothing was negotiated: a program beside the server gives the stream.
    transport: Option<Transport>,
    port: u16,
    shared: Arc<Shared>,
    ingest: Ingest,
    rtsp: RtspTracks,
    outputs: Vec<IngestOutput>,
    cache: KeyFrameCache,
    parameters: Option<Arc<VideoParameters>>,
    viewers: Slab<ViewerConnection>,
    sound: Sound,
    hls: Option<HlsFeed>,
    sinks: Vec<SinkFeed>,
    recorders: Vec<RecorderFeed>,
    /// Programs beside the server that take the stream.
    taps: Vec<TapFeed>,
    /// Packets lost up to the latest recorded key frame.
    recorded_losses: u64,
    relaying: Relaying,
    /// Players by RTSP.
    players: Feed,
    /// Talks whose voice comes from here.
    talks: Vec<Rc<RefCell<TalkRoom>>>,
    peer: Option<SocketAddr>,
    opened_us: u64,
    is_paused: bool,
    /// A seek or the end of a pause: a stall counts from here at the earliest.
    resumed_us: u64,
    last_packet_us: Option<u64>,
    last_picture_us: Option<u64>,
    /// Where the last picture lies on the repaired timeline, 90 kHz.
    last_dts: Option<i64>,
    /// Where the camera signals from: what comes from there goes before what a stranger sent first.
    home: Option<IpAddr>,
    stalled: Option<&'static str>,
    frames: u64,
    key_frames: u64,
    /// No key frame was reported since this source took the stream over.
    awaits_key_frame: bool,
    ssrc_mismatches: u64,
    fragments: u64,
    viewer_drops: u64,
    viewer_falls: u64,
    viewer_bytes: u64,
    rate: RateWindow,
}

impl Stream {
    /// A stream that has seen nothing.
    pub fn new(
        id: String,
        transport: Option<Transport>,
        port: u16,
        sender: ExpectedSender,
        shared: Arc<Shared>,
        now_us: u64,
    ) -> Stream {
        let config = IngestConfig {
            ssrc: sender.ssrc,
            ..IngestConfig::default()
        };
        let relaying = Relaying::new(Arc::clone(&shared));
        let cache = KeyFrameCache::new(shared.settings.gop_max_bytes);
        Stream {
            sockets: SocketCounters::default(),
            id,
            transport,
            port,
            shared,
            ingest: Ingest::new(config),
            rtsp: RtspTracks::default(),
            outputs: Vec::new(),
            cache,
            parameters: None,
            viewers: Slab::new(),
            sound: Sound::default(),
            hls: None,
            sinks: Vec::new(),
            recorders: Vec::new(),
            taps: Vec::new(),
            recorded_losses: 0,
            relaying,
            players: Feed::default(),
            talks: Vec::new(),
            peer: None,
            opened_us: now_us,
            is_paused: false,
            resumed_us: 0,
            last_packet_us: None,
            last_picture_us: None,
            last_dts: None,
            home: sender.home,
            stalled: None,
            frames: 0,
            key_frames: 0,
            awaits_key_frame: true,
            ssrc_mismatches: 0,
            fragments: 0,
            viewer_drops: 0,
            viewer_falls: 0,
            viewer_bytes: 0,
            rate: RateWindow::new(now_us),
        }
    }

    /// The stream's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Another SSRC was negotiated.
    pub fn set_ssrc(&mut self, ssrc: u32) {
        self.ingest.set_ssrc(ssrc);
    }

    /// Playback pauses or goes on. A paused stream keeps its viewers and does not stall.
    pub fn pause(&mut self, is_paused: bool, now_us: u64) {
        self.is_paused = is_paused;
        self.resumed_us = now_us;
        self.ingest.pause(is_paused);
    }

    /// Playback jumps: the viewers stay and go on with the next key frame, without a hole in their timeline.
    pub fn discontinue(&mut self, now_us: u64) {
        self.resumed_us = now_us;
        self.ingest.discontinue(now_us, &mut self.outputs);
        self.deliver(now_us);
        self.cache.clear();
        self.players.forget_group();
        self.relaying.discontinue();
    }

    /// Playback at another speed; see [`crate::pace`].
    pub fn set_scale(&mut self, scale: f64) {
        self.ingest.set_scale(scale);
        self.sound.set_scale(scale);
    }

    /// Let time pass: reorder time-outs, viewers' ends, stalls, rates.
    pub fn tick(&mut self, now_us: u64) {
        if self.ingest.wake_at().is_some_and(|at| at <= now_us) {
            self.ingest.tick(now_us, &mut self.outputs);
            self.deliver(now_us);
        }
        self.end_overdue_viewers(now_us);
        self.tick_players(now_us);
        if !self.relaying.is_idle() {
            self.relaying.tick(now_us);
            self.ingest.tap(self.relaying.wants_payloads());
        }
        self.watch_for_stall(now_us);
        self.rate
            .update(now_us, self.ingest.stats().bytes, self.frames);
    }

    /// End the stream: its viewers first, so that each leaves before the stream does.
    pub fn end(&mut self, reason: &'static str) {
        let told = feeding::end_reason(reason);
        self.cut(|_| true, told);
        self.cut_players(|_| true, told, 0);
        self.cut_senders(|_| true, "stream_ended");
        for feed in self.sinks.drain(..) {
            feed.sink().end(SinkEnd::StreamEnded);
        }
        // Each finishes what it has.
        self.recorders.clear();
        self.taps.clear();
        self.cache.clear();
        self.report(Event::lifecycle(
            "StreamEnded",
            vec![("stream_id", text(&*self.id)), ("reason", text(reason))],
        ));
    }

    /// Drain the pipeline after every change of it.
    fn deliver(&mut self, now_us: u64) {
        if self.outputs.is_empty() {
            return;
        }
        let mut outputs = std::mem::take(&mut self.outputs);
        for output in outputs.drain(..) {
            match output {
                IngestOutput::AccessUnit(unit) => self.picture(unit, now_us),
                IngestOutput::ParametersChanged(parameters) => self.parameters = Some(parameters),
                IngestOutput::FirstPacket {
                    ssrc, payload_type, ..
                } => self.first_packet(ssrc, payload_type),
                IngestOutput::SsrcMismatch { expected, seen, .. } => {
                    self.ssrc_mismatch(expected, seen)
                }
                IngestOutput::AudioFrame(frame) => self.audio(&frame, now_us),
                IngestOutput::Payload(payload) => {
                    let parameters = self.parameters.as_deref();
                    self.relaying.payload(payload, parameters, now_us);
                }
                // Audio is a track in the counters; viewers learn of it with its first frame.
                IngestOutput::FormatDetected(_) | IngestOutput::AudioDetected(_) => {}
            }
        }
        // Keep the allocation: this runs for every picture.
        self.outputs = outputs;
    }

    fn picture(&mut self, unit: AccessUnit, now_us: u64) {
        self.frames += 1;
        self.key_frames += u64::from(unit.is_key_frame);
        self.last_picture_us = Some(now_us);
        self.last_dts = Some(unit.dts);
        if unit.is_key_frame && std::mem::take(&mut self.awaits_key_frame) {
            self.first_key_frame();
        }
        self.fan_out(&unit, now_us);
        self.feed_hls(&unit, now_us);
        self.feed_players(&unit, now_us);
        if !self.sinks.is_empty() {
            self.feed_sinks(&unit);
        }
        if !self.recorders.is_empty() {
            self.feed_recorders(&unit, now_us);
        }
        if !self.taps.is_empty() {
            self.feed_taps(&unit, now_us);
        }
        if !self.relaying.is_idle()
            && let Some(parameters) = &self.parameters
        {
            self.relaying
                .picture(&unit, parameters, self.ingest.format(), now_us);
        }
        self.cache.push(unit);
    }

    fn audio(&mut self, frame: &AudioFrame, now_us: u64) {
        self.relaying.audio(frame, self.ingest.format(), now_us);
        self.sound_to_players(frame, now_us);
        for feed in &self.recorders {
            feed.audio(frame);
        }
        for feed in &self.sinks {
            feed.audio(frame);
        }
        for feed in &mut self.taps {
            feed.audio(frame, now_us);
        }
        self.speak(frame, now_us);
        self.sound_out(frame, now_us);
        self.sound_to_flv(frame, now_us);
    }
}
