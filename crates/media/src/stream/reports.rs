//! What a stream tells: its events and its counters.

use super::{Stream, Transport};
use crate::connection::ViewerConnection;
use crate::events::{Event, Value, text};
use crate::outlets::hls::feed::HlsFeed;
use crate::outlets::rtsp::Player;
use crate::stats::StreamStats;

impl Stream {
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
        let players = |of: fn(&Player) -> u64| {
            let players = self.players.players();
            players.map(|(_, player)| of(player)).sum::<u64>()
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
            transport: self.transport.map(Transport::word),
            port: self.port,
            frames: self.frames,
            key_frames: self.key_frames,
            bitrate_kbps: self.rate.bitrate_kbps(),
            fps: self.rate.fps(),
            codec: parameters.map(|video| video.codec.name()),
            width: parameters.map(|video| video.width),
            height: parameters.map(|video| video.height),
            tracks,
            viewers: self.viewers.len()
                + self.players.len()
                + self.hls.as_ref().map_or(0, HlsFeed::sessions),
            listeners: self.listeners(),
            sound: self.sound.stats(),
            cache_bytes: self.cache.bytes(),
            fragments: self.fragments,
            viewer_drops: self.viewer_drops
                + live(|viewer| viewer.queue.drops())
                + players(|player| player.media().drops),
            viewer_bytes: self.viewer_bytes
                + live(|viewer| viewer.queue.bytes_sent())
                + players(Player::bytes_sent)
                + self.hls.as_ref().map_or(0, HlsFeed::bytes_sent),
            hls: self.hls.as_ref().map(HlsFeed::details).unwrap_or_default(),
            viewer_falls: self.viewer_falls
                + live(|viewer| viewer.queue.falls())
                + players(|player| player.media().falls),
            ssrc: self.ingest.ssrc(),
            ssrc_mismatches: self.ssrc_mismatches,
            peer: self.peer.map(|peer| peer.to_string()),
            sockets: self.sockets,
            relaying: self.relaying.details(),
            players: self.players.details(),
            cache_overflows: self.cache.overflows(),
            media_ms: self.last_dts.map(|dts| dts / 90),
            last_packet_age_ms: self
                .last_packet_us
                .map(|at| now_us.saturating_sub(at) / 1000),
            stall_reason: self.stalled,
            ingest,
        }
    }

    pub(super) fn first_packet(&mut self, ssrc: u32, payload_type: u8) {
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

    pub(super) fn ssrc_mismatch(&mut self, expected: u32, seen: u32) {
        self.ssrc_mismatches += 1;
        let fields = vec![
            ("stream_id", text(&*self.id)),
            ("expected", Value::Number(expected.into())),
            ("seen", Value::Number(seen.into())),
        ];
        self.report(Event::notice("SsrcMismatch", fields));
    }

    pub(super) fn first_key_frame(&self) {
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
}
