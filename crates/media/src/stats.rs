//! Counters as they are handed to the control plane.

use std::collections::BTreeMap;

use crate::ingest::IngestStats;
use crate::sound::SoundStats;
use crate::stream::SocketCounters;

/// Counters of one stream.
#[derive(Clone, Debug)]
pub struct StreamStats {
    /// The stream.
    pub stream_id: String,
    /// `udp`, `tcp-passive` or `tcp-active`; none for a stream that a program beside the server gives.
    pub transport: Option<&'static str>,
    /// RTP port.
    pub port: u16,
    /// Pictures.
    pub frames: u64,
    /// Pictures decoding may start with.
    pub key_frames: u64,
    /// Over the last whole window.
    pub bitrate_kbps: f64,
    /// Over the last whole window.
    pub fps: f64,
    /// `h264` or `h265`.
    pub codec: Option<&'static str>,
    /// Visible width in pixels.
    pub width: Option<u32>,
    /// Visible height in pixels.
    pub height: Option<u32>,
    /// Codecs of all tracks.
    pub tracks: Vec<String>,
    /// Viewers now.
    pub viewers: usize,
    /// Bytes of the key-frame cache.
    pub cache_bytes: usize,
    /// Pictures offered to viewers.
    pub fragments: u64,
    /// Pictures not sent to viewers that were too slow.
    pub viewer_drops: u64,
    /// Bytes sent to viewers.
    pub viewer_bytes: u64,
    /// How often a viewer was moved to the next key frame.
    pub viewer_falls: u64,
    /// The SSRC in force.
    pub ssrc: Option<u32>,
    /// Where the last picture lies on the repaired timeline, milliseconds.
    pub media_ms: Option<i64>,
    /// SSRCs seen that were not expected.
    pub ssrc_mismatches: u64,
    /// Where the last packet came from.
    pub peer: Option<String>,
    /// Counters of the sockets.
    pub sockets: SocketCounters,
    /// Counters of those who read by HLS, by name; none while nobody does.
    pub hls: Vec<(&'static str, u64)>,
    /// Counters of the senders, by name.
    pub relaying: [(&'static str, u64); 5],
    /// Counters of the players by RTSP, by name.
    pub players: [(&'static str, u64); 5],
    /// Viewers that listen.
    pub listeners: usize,
    /// Counters of what they hear.
    pub sound: SoundStats,
    /// Groups of pictures that were too large for the cache.
    pub cache_overflows: u64,
    /// Since the last packet.
    pub last_packet_age_ms: Option<u64>,
    /// Why the stream counts as stalled.
    pub stall_reason: Option<&'static str>,
    /// Counters of the pipeline.
    pub ingest: IngestStats,
}

impl StreamStats {
    /// Every counter of the pipeline that has no field of its own over there, by name.
    pub fn details(&self) -> Vec<(&'static str, u64)> {
        let pipeline = &self.ingest;
        let mut details = self.relaying.to_vec();
        details.extend(&self.hls);
        details.extend(self.players);
        details.extend([
            ("cache_overflows", self.cache_overflows),
            ("viewer_falls", self.viewer_falls),
            ("listeners", self.listeners as u64),
            ("sound_fragments", self.sound.fragments),
            ("sound_skipped", self.sound.skipped),
            ("sound_holes", self.sound.holes),
            ("used", pipeline.used),
            ("late", pipeline.late),
            ("out_of_range", pipeline.out_of_range),
            ("ssrc_dropped", pipeline.ssrc_dropped),
            ("held", pipeline.held),
            ("discontinued", pipeline.discontinued),
            ("sequence_restarts", pipeline.sequence_restarts),
            ("unknown_payloads", pipeline.unknown_payloads),
            ("framing_frames", pipeline.framing.frames),
            ("framing_empty_frames", pipeline.framing.empty_frames),
            ("framing_skipped_bytes", pipeline.framing.skipped_bytes),
            ("framing_resyncs", pipeline.framing.resyncs),
            ("ps_packs", pipeline.ps.packs),
            ("ps_maps", pipeline.ps.maps),
            ("ps_bad_maps", pipeline.ps.bad_maps),
            ("ps_video_packets", pipeline.ps.video_packets),
            ("ps_audio_packets", pipeline.ps.audio_packets),
            ("ps_private_packets", pipeline.ps.private_packets),
            ("ps_other_packets", pipeline.ps.other_packets),
            ("ps_length_errors", pipeline.ps.length_errors),
            ("ps_header_errors", pipeline.ps.header_errors),
            ("ps_resyncs", pipeline.ps.resyncs),
            ("ps_skipped_bytes", pipeline.ps.skipped_bytes),
            ("ts_packets", pipeline.ts.packets),
            ("ts_unusable", pipeline.ts.unusable),
            ("ts_gaps", pipeline.ts.gaps),
            ("ts_tables", pipeline.ts.tables),
            ("ts_bad_tables", pipeline.ts.bad_tables),
            ("ts_skipped_bytes", pipeline.ts.skipped_bytes),
            ("assembler_finished", pipeline.assembler.finished),
            ("assembler_oversized", pipeline.assembler.oversized),
            (
                "assembler_misplaced_markers",
                pipeline.assembler.misplaced_markers,
            ),
            ("assembler_stray_bytes", pipeline.assembler.stray_bytes),
            ("video_units", pipeline.video.units),
            ("video_delivered", pipeline.video.delivered),
            ("video_before_key_frame", pipeline.video.before_key_frame),
            ("video_damaged", pipeline.video.damaged),
            ("video_damaged_dropped", pipeline.video.damaged_dropped),
            (
                "video_after_loss_dropped",
                pipeline.video.after_loss_dropped,
            ),
            (
                "video_bad_parameter_sets",
                pipeline.video.bad_parameter_sets,
            ),
            ("audio_frames", pipeline.audio.frames),
            ("audio_discarded", pipeline.audio.discarded),
            ("audio_damaged", pipeline.audio.damaged),
            ("timeline_missing", pipeline.timeline.missing),
            ("timeline_backwards", pipeline.timeline.backwards),
            ("timeline_repeated", pipeline.timeline.repeated),
            ("timeline_jumps", pipeline.timeline.jumps),
            ("timeline_spliced", pipeline.timeline.spliced),
            ("timeline_rescaled", pipeline.timeline.rescaled),
            ("timeline_reversed", pipeline.timeline.reversed),
        ]);
        details
    }
}

/// Counters of the node.
#[derive(Clone, Debug)]
pub struct NodeStats {
    /// Reactor threads.
    pub reactors: usize,
    /// Streams open.
    pub streams: usize,
    /// Viewers connected.
    pub viewers: usize,
    /// Connections of viewers and of those that may become one.
    pub connections: usize,
    /// Pairs of ports that can be handed out.
    pub ports_free: usize,
    /// Pairs of ports that rest.
    pub ports_quarantined: usize,
    /// Used tickets remembered.
    pub nonces: usize,
    /// Events dropped.
    pub events_lost: u64,
    /// Rare events by name.
    pub counters: BTreeMap<String, u64>,
}

/// Bit rate and frame rate over windows of at least a second.
#[derive(Clone, Copy, Debug)]
pub struct RateWindow {
    began_us: u64,
    bytes: u64,
    frames: u64,
    bitrate_kbps: f64,
    fps: f64,
}

impl RateWindow {
    const LENGTH_US: u64 = 1_000_000;

    /// A window that begins now.
    pub fn new(now_us: u64) -> RateWindow {
        RateWindow {
            began_us: now_us,
            bytes: 0,
            frames: 0,
            bitrate_kbps: 0.0,
            fps: 0.0,
        }
    }

    /// Take the running totals; closes the window when it is long enough.
    pub fn update(&mut self, now_us: u64, bytes: u64, frames: u64) {
        let elapsed_us = now_us.saturating_sub(self.began_us);
        if elapsed_us < Self::LENGTH_US {
            return;
        }
        let seconds = elapsed_us as f64 / 1e6;
        self.bitrate_kbps = bytes.saturating_sub(self.bytes) as f64 * 8.0 / 1000.0 / seconds;
        self.fps = frames.saturating_sub(self.frames) as f64 / seconds;
        (self.began_us, self.bytes, self.frames) = (now_us, bytes, frames);
    }

    /// Kilobits a second.
    pub fn bitrate_kbps(&self) -> f64 {
        self.bitrate_kbps
    }

    /// Pictures a second.
    pub fn fps(&self) -> f64 {
        self.fps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_last_whole_window() {
        let mut rate = RateWindow::new(0);
        rate.update(999_999, 1_000_000, 20);
        assert_eq!((rate.bitrate_kbps(), rate.fps()), (0.0, 0.0));
        rate.update(2_000_000, 1_000_000, 50);
        assert_eq!((rate.bitrate_kbps(), rate.fps()), (4000.0, 25.0));
        rate.update(4_000_000, 1_000_000, 50);
        assert_eq!((rate.bitrate_kbps(), rate.fps()), (0.0, 0.0));
    }
}
