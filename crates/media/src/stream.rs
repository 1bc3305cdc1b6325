//! One stream inside its reactor: camera packets in, fragments to every viewer out, and the books of both.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use slab::Slab;

use crate::access_unit::AccessUnit;
use crate::audio::AudioFrame;
use crate::cache::KeyFrameCache;
use crate::connection::{EndReason, ViewerConnection};
use crate::events::{Event, Value, text};
use crate::file_sink::{FileSink, SinkEnd, SinkFeed};
use crate::ingest::{Ingest, IngestConfig, IngestOutput, SourceId, SsrcPolicy};
use crate::parameters::VideoParameters;
use crate::relaying::Relaying;
use crate::rtsp::sdp::Track;
use crate::rtsp::tracks::RtspTracks;
use crate::sender::{Sender, SenderSocket, SenderStats};
use crate::shared::Shared;
use crate::stats::{RateWindow, StreamStats};
use crate::ticket::Protocol;
use crate::viewer::Chunk;

/// How a stream was negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// RTP over UDP.
    Udp,
    /// The camera dials us.
    TcpPassive,
    /// We dial the camera.
    TcpActive,
}

impl Transport {
    /// The transport named by a word of the settings.
    pub fn from_word(word: &str) -> Option<Transport> {
        Some(match word {
            "udp" => Transport::Udp,
            "tcp-passive" => Transport::TcpPassive,
            "tcp-active" => Transport::TcpActive,
            _ => return None,
        })
    }

    /// The word of the settings.
    pub fn word(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::TcpPassive => "tcp-passive",
            Transport::TcpActive => "tcp-active",
        }
    }
}

/// Counters of the receiving sockets, kept by [`crate::receiver`].
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketCounters {
    /// RTCP packets drained beside the media.
    pub rtcp_packets: u64,
    /// Media connections taken.
    pub tcp_connections: u64,
    /// Connections refused because another peer's stands.
    pub foreign_sources: u64,
}

/// A connection that brings pictures is safe from strangers; after this long without one it may be replaced.
const SHOWING_US: u64 = 3_000_000;

/// Media connections that are reported; more are only counted.
const CONNECTIONS_REPORTED: u64 = 64;

/// Streams of this name panic on their first packet, to prove that it harms no other.
#[cfg(test)]
pub(crate) const FAILING_STREAM: &str = "failing";

/// One stream.
pub struct Stream {
    /// Counters of the receiving sockets.
    pub sockets: SocketCounters,
    id: String,
    transport: Transport,
    port: u16,
    shared: Arc<Shared>,
    ingest: Ingest,
    rtsp: RtspTracks,
    outputs: Vec<IngestOutput>,
    cache: KeyFrameCache,
    parameters: Option<Arc<VideoParameters>>,
    viewers: Slab<ViewerConnection>,
    sinks: Vec<SinkFeed>,
    relaying: Relaying,
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

/// Whose packets a stream expects.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedSender {
    /// Which SSRC to accept.
    pub ssrc: SsrcPolicy,
    /// Where it signals from, when that is known.
    pub home: Option<IpAddr>,
}

impl Default for ExpectedSender {
    fn default() -> Self {
        Self {
            ssrc: SsrcPolicy::Learn(None),
            home: None,
        }
    }
}

impl Stream {
    /// A stream that has seen nothing.
    pub fn new(
        id: String,
        transport: Transport,
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
            sinks: Vec::new(),
            relaying,
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

    /// A UDP datagram arrived.
    pub fn push_datagram(
        &mut self,
        now_us: u64,
        datagram: &[u8],
        peer: SocketAddr,
        source: SourceId,
    ) {
        self.prefer_home(peer, source);
        self.ingest
            .push_rtp(now_us, datagram, source, &mut self.outputs);
        self.arrived(now_us, peer, source);
        self.deliver(now_us);
    }

    /// Bytes of the media connection arrived.
    pub fn push_connection(
        &mut self,
        now_us: u64,
        bytes: &[u8],
        peer: SocketAddr,
        source: SourceId,
    ) {
        self.prefer_home(peer, source);
        self.ingest
            .push_stream(now_us, source, bytes, &mut self.outputs);
        self.arrived(now_us, peer, source);
        self.deliver(now_us);
    }

    /// A stranger that sent first gives way to the camera.
    fn prefer_home(&mut self, peer: SocketAddr, source: SourceId) {
        let is_home = |of: SocketAddr| self.home == Some(of.ip());
        let is_taken_from_a_stranger = self.peer.is_some_and(|taken| !is_home(taken))
            && self.ingest.source().is_some_and(|taken| taken != source);
        if is_home(peer) && is_taken_from_a_stranger {
            self.ingest.release_source();
        }
    }

    /// The server of an RTSP stream plays these tracks now.
    pub fn rtsp_connected(&mut self, peer: SocketAddr, tracks: &[Track]) {
        self.rtsp = RtspTracks::begin(tracks, &mut self.ingest);
        self.peer = Some(peer);
        let fields = vec![
            ("stream_id", text(&*self.id)),
            ("peer", text(peer.to_string())),
            ("tracks", Value::Number(tracks.len() as u64)),
        ];
        self.report(Event::lifecycle("RtspConnected", fields));
    }

    /// The RTSP session is over or did not come about.
    pub fn rtsp_failed(&mut self, reason: &'static str, status: u16) {
        let fields = vec![
            ("stream_id", text(&*self.id)),
            ("reason", text(reason)),
            ("status", Value::Number(status.into())),
        ];
        self.report(Event::lifecycle("RtspFailed", fields));
    }

    /// A packet of a track of the RTSP session; `is_ordered` when it came inside the connection.
    pub fn push_rtsp(
        &mut self,
        now_us: u64,
        track: usize,
        packet: &[u8],
        (peer, source): (SocketAddr, SourceId),
        is_ordered: bool,
    ) {
        self.rtsp.push(
            &mut self.ingest,
            now_us,
            (track, packet),
            (source, is_ordered),
            &mut self.outputs,
        );
        self.arrived(now_us, peer, source);
        self.deliver(now_us);
    }

    /// A media connection stands.
    pub fn connected(&mut self, peer: SocketAddr) {
        self.sockets.tcp_connections += 1;
        if self.sockets.tcp_connections <= CONNECTIONS_REPORTED {
            let fields = vec![
                ("stream_id", text(&*self.id)),
                ("peer", text(peer.to_string())),
            ];
            // A notice: strangers can make any number of connections, and must not push lifecycle events out.
            self.report(Event::notice("TcpConnected", fields));
        }
    }

    /// A media connection ended.
    pub fn close_connection(&mut self, now_us: u64, source: SourceId) {
        self.ingest
            .close_connection(now_us, source, &mut self.outputs);
        self.deliver(now_us);
    }

    /// The peer ended a media connection. The stream has lost something only when it was taken from there, when it
    /// was the camera we dialled, or when it replaced the one the stream was taken from and brought nothing itself;
    /// that a stranger came and went is no news.
    pub fn connection_lost(&mut self, now_us: u64, source: SourceId, reason: &'static str) {
        let is_ours = match self.ingest.source() {
            _ if self.transport == Transport::TcpActive => true,
            Some(current) => current == source,
            None => self.peer.is_some(),
        };
        self.close_connection(now_us, source);
        if is_ours {
            self.report_word("TcpFailed", "reason", reason);
        }
    }

    /// Where the stream is taken from.
    pub fn source(&self) -> Option<SourceId> {
        self.ingest.source()
    }

    /// Whether a media connection from `ip` may be taken: pictures come from there, or none come at all.
    pub fn takes_media_from(&self, ip: IpAddr, now_us: u64) -> bool {
        let is_showing = self
            .last_picture_us
            .is_some_and(|at| now_us.saturating_sub(at) < SHOWING_US);
        !is_showing || self.peer.is_some_and(|peer| peer.ip() == ip)
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
        self.relaying.discontinue();
    }

    /// Playback at another speed; see [`crate::pace`].
    pub fn set_scale(&mut self, scale: f64) {
        self.ingest.set_scale(scale);
    }

    /// Let time pass: reorder time-outs, viewers' ends, stalls, rates.
    pub fn tick(&mut self, now_us: u64) {
        if self.ingest.wake_at().is_some_and(|at| at <= now_us) {
            self.ingest.tick(now_us, &mut self.outputs);
            self.deliver(now_us);
        }
        self.end_overdue_viewers(now_us);
        if !self.relaying.is_idle() {
            self.relaying.tick(now_us);
            self.ingest.tap(self.relaying.wants_payloads());
        }
        self.watch_for_stall(now_us);
        self.rate
            .update(now_us, self.ingest.stats().bytes, self.frames);
    }

    /// Take a viewer in; it gets the cached pictures at once. Returns its key.
    pub fn attach(&mut self, mut viewer: ViewerConnection, now_us: u64) -> usize {
        self.report(viewer.joined_event(&self.id));
        let protocol = viewer.queue.protocol();
        // A group of pictures that would overflow the queue at once is of no use: wait for the next one.
        let fits = self.cache.bytes() <= self.shared.settings.viewer_queue_bytes;
        if let (Some(parameters), true) = (&self.parameters, fits) {
            for unit in self.cache.units() {
                viewer
                    .queue
                    .offer(unit, parameters, &Chunk::picture(unit, protocol, now_us));
            }
        }
        let key = self.viewers.insert(viewer);
        self.flush(key, now_us);
        key
    }

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

    fn feed_sinks(&mut self, unit: &AccessUnit) {
        self.sinks.retain(|feed| !feed.sink().has_ended());
        if let Some(parameters) = &self.parameters {
            for feed in &mut self.sinks {
                feed.picture(unit, parameters);
            }
        }
    }

    /// Write what waits for a viewer, as far as its socket takes it.
    pub fn flush(&mut self, key: usize, now_us: u64) {
        let Some(viewer) = self.viewers.get_mut(key) else {
            return;
        };
        let outcome = viewer.flush(now_us);
        self.after_flush(key, outcome);
    }

    /// The viewer sent bytes (or closed, when there are none).
    pub fn viewer_sent(&mut self, key: usize, bytes: &[u8], now_us: u64) {
        let Some(viewer) = self.viewers.get_mut(key) else {
            return;
        };
        match viewer.receive(bytes, now_us) {
            Ok(()) => self.flush(key, now_us),
            Err(reason) => self.end_viewer(key, reason),
        }
    }

    /// End one viewer and report it.
    pub fn end_viewer(&mut self, key: usize, reason: EndReason) {
        let Some(viewer) = self.viewers.try_remove(key) else {
            return;
        };
        self.viewer_drops += viewer.queue.drops();
        self.viewer_falls += viewer.queue.falls();
        self.viewer_bytes += viewer.queue.bytes_sent();
        let event = viewer.end(reason, &self.id);
        self.report(event);
    }

    /// End every viewer `is_meant` says, and return how many.
    pub fn cut(
        &mut self,
        is_meant: impl Fn(&ViewerConnection) -> bool,
        reason: EndReason,
    ) -> usize {
        let meant: Vec<usize> = self
            .viewers
            .iter()
            .filter(|(_, viewer)| is_meant(viewer))
            .map(|(key, _)| key)
            .collect();
        for &key in &meant {
            self.end_viewer(key, reason);
        }
        meant.len()
    }

    /// End the stream: its viewers first, so that each leaves before the stream does.
    pub fn end(&mut self, reason: &'static str) {
        self.cut(|_| true, EndReason::StreamEnded);
        self.cut_senders(|_| true, "stream_ended");
        for feed in self.sinks.drain(..) {
            feed.sink().end(SinkEnd::StreamEnded);
        }
        self.cache.clear();
        self.report(Event::lifecycle(
            "StreamEnded",
            vec![("stream_id", text(&*self.id)), ("reason", text(reason))],
        ));
    }

    /// Report an event of the stream.
    pub fn report(&self, event: Event) {
        self.shared.events.push(event);
    }

    /// Report an event that only names the stream and one more word.
    pub fn report_word(&self, kind: &'static str, field: &'static str, word: impl Into<String>) {
        self.report(Event::lifecycle(
            kind,
            vec![("stream_id", text(&*self.id)), (field, text(word))],
        ));
    }

    /// The counters.
    pub fn stats(&self, now_us: u64) -> StreamStats {
        let ingest = self.ingest.stats();
        let live = |of: fn(&ViewerConnection) -> u64| {
            self.viewers
                .iter()
                .map(|(_, viewer)| of(viewer))
                .sum::<u64>()
        };
        let parameters = self.parameters.as_deref();
        let mut tracks: Vec<String> = parameters
            .map(|video| video.codec_string.clone())
            .into_iter()
            .collect();
        tracks.extend(
            self.ingest
                .audio_codecs()
                .iter()
                .map(|codec| format!("{codec:?}").to_ascii_lowercase()),
        );
        StreamStats {
            stream_id: self.id.clone(),
            transport: self.transport.word(),
            port: self.port,
            frames: self.frames,
            key_frames: self.key_frames,
            bitrate_kbps: self.rate.bitrate_kbps(),
            fps: self.rate.fps(),
            codec: parameters.map(|video| video.codec.name()),
            width: parameters.map(|video| video.width),
            height: parameters.map(|video| video.height),
            tracks,
            viewers: self.viewers.len(),
            cache_bytes: self.cache.bytes(),
            fragments: self.fragments,
            viewer_drops: self.viewer_drops + live(|viewer| viewer.queue.drops()),
            viewer_bytes: self.viewer_bytes + live(|viewer| viewer.queue.bytes_sent()),
            viewer_falls: self.viewer_falls + live(|viewer| viewer.queue.falls()),
            ssrc: self.ingest.ssrc(),
            ssrc_mismatches: self.ssrc_mismatches,
            peer: self.peer.map(|peer| peer.to_string()),
            sockets: self.sockets,
            relaying: self.relaying.details(),
            cache_overflows: self.cache.overflows(),
            media_ms: self.last_dts.map(|dts| dts / 90),
            last_packet_age_ms: self
                .last_packet_us
                .map(|at| now_us.saturating_sub(at) / 1000),
            stall_reason: self.stalled,
            ingest,
        }
    }

    /// What a stranger sends beside the stream's source says nothing about the stream.
    fn arrived(&mut self, now_us: u64, peer: SocketAddr, source: SourceId) {
        #[cfg(test)]
        assert_ne!(self.id, FAILING_STREAM, "a parser failed");
        let current = self.ingest.source();
        if current.is_none_or(|current| current == source) {
            self.last_packet_us = Some(now_us);
        }
        if current == Some(source) {
            self.peer = Some(peer);
        }
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
                // Audio is a track in the counters; viewers do not get it.
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
        if !self.sinks.is_empty() {
            self.feed_sinks(&unit);
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
        for feed in &self.sinks {
            feed.audio(frame);
        }
    }

    fn fan_out(&mut self, unit: &AccessUnit, now_us: u64) {
        let Some(parameters) = self.parameters.clone() else {
            return;
        };
        let mut websocket = None;
        let mut http = None;
        let mut failed = Vec::new();
        for (key, viewer) in &mut self.viewers {
            if viewer.has_ended(now_us) {
                // Not one picture more, even if the tick that ends it is still to come.
                failed.push((key, Err(EndReason::GrantEnded)));
                continue;
            }
            let protocol = viewer.queue.protocol();
            let made = match protocol {
                Protocol::WebSocket | Protocol::Talk => &mut websocket,
                Protocol::Http => &mut http,
            };
            let chunk = made.get_or_insert_with(|| Chunk::picture(unit, protocol, now_us));
            viewer.queue.offer(unit, &parameters, chunk);
            self.fragments += 1;
            // A viewer whose socket is full is written to when it has room again.
            if !viewer.is_blocked()
                && let outcome @ (Err(_) | Ok(Some(_))) = viewer.flush(now_us)
            {
                failed.push((key, outcome));
            }
        }
        for (key, outcome) in failed {
            self.after_flush(key, outcome);
        }
    }

    fn after_flush(&mut self, key: usize, outcome: Result<Option<f64>, EndReason>) {
        match outcome {
            Ok(None) => {}
            Ok(Some(elapsed_ms)) => {
                let Some(viewer) = self.viewers.get(key) else {
                    return;
                };
                let fields = vec![
                    ("stream_id", text(&*self.id)),
                    ("access_id", text(&*viewer.ticket.access_id)),
                    ("elapsed_ms", Value::Real(elapsed_ms)),
                ];
                self.report(Event::notice("ViewerFirstBytes", fields));
            }
            Err(reason) => self.end_viewer(key, reason),
        }
    }

    fn first_packet(&mut self, ssrc: u32, payload_type: u8) {
        self.awaits_key_frame = true;
        let fields = vec![
            ("stream_id", text(&*self.id)),
            (
                "peer",
                text(self.peer.map(|peer| peer.to_string()).unwrap_or_default()),
            ),
            ("ssrc", Value::Number(ssrc.into())),
            ("payload_type", Value::Number(payload_type.into())),
        ];
        self.report(Event::lifecycle("FirstPacket", fields));
    }

    fn ssrc_mismatch(&mut self, expected: u32, seen: u32) {
        self.ssrc_mismatches += 1;
        let fields = vec![
            ("stream_id", text(&*self.id)),
            ("expected", Value::Number(expected.into())),
            ("seen", Value::Number(seen.into())),
        ];
        self.report(Event::notice("SsrcMismatch", fields));
    }

    fn first_key_frame(&self) {
        let Some(parameters) = &self.parameters else {
            return;
        };
        let fields = vec![
            ("stream_id", text(&*self.id)),
            ("codec", text(parameters.codec.name())),
            ("width", Value::Number(parameters.width.into())),
            ("height", Value::Number(parameters.height.into())),
        ];
        self.report(Event::lifecycle("FirstKeyFrame", fields));
    }

    fn end_overdue_viewers(&mut self, now_us: u64) {
        // An invitation and the first media may each take the whole time-out.
        let wait_us = 2 * self.shared.settings.media_timeout.as_micros() as u64;
        // Nobody waits in vain for a playback that is paused.
        let since_us = if self.is_paused {
            now_us
        } else {
            self.resumed_us
        };
        let overdue: Vec<_> = self
            .viewers
            .iter()
            .filter_map(|(key, viewer)| {
                let reason = viewer.overdue(now_us, since_us, wait_us)?;
                Some((key, reason))
            })
            .collect();
        for (key, reason) in overdue {
            self.end_viewer(key, reason);
        }
    }

    fn watch_for_stall(&mut self, now_us: u64) {
        if self.is_paused {
            return;
        }
        if self.is_disk_behind() {
            // It is us who do not read on.
            self.resumed_us = now_us;
        }
        let timeout_us = self.shared.settings.media_timeout.as_micros() as u64;
        let is_late = |at: u64| now_us.saturating_sub(at.max(self.resumed_us)) >= timeout_us;
        let packets_since = self.last_packet_us.unwrap_or(self.opened_us);
        let pictures_since = self.last_picture_us.unwrap_or(self.opened_us);
        let reason = if is_late(packets_since) {
            Some("no_packets")
        } else if is_late(pictures_since) {
            Some(
                self.ingest
                    .no_video_reason()
                    .map_or("no_video", |reason| reason.word()),
            )
        } else {
            None
        };
        match (self.stalled, reason) {
            (None, Some(word)) => {
                self.report_word("StreamStalled", "reason", word);
                if self.last_picture_us.is_some() {
                    // What a new viewer would get is an old picture passing for a live one.
                    self.cache.clear();
                }
            }
            (Some(_), None) => {
                self.report(Event::lifecycle(
                    "StreamResumed",
                    vec![("stream_id", text(&*self.id))],
                ));
            }
            _ => {}
        }
        self.stalled = reason;
    }
}
