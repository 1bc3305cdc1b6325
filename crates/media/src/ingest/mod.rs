//! The composed pipeline of one stream: packets in, access units out.
//!
//! Contract: after every `push_*`, `tick` or `close_connection` the caller drains `out`. Time is an argument
//! (`now_us`, microseconds, monotone); nothing here reads a clock, blocks or spawns.

mod config;
mod output;
mod stats;
mod units;

pub use crate::payload_format::PayloadFormat;
pub use config::{AfterLoss, IngestConfig, SourceId, SsrcPolicy};
pub use output::{IngestOutput, NoVideoReason};
pub use stats::IngestStats;

use std::sync::Arc;

use crate::audio::AudioCodec;
use crate::demux::Demux;
use crate::parameters::{VideoCodec, VideoParameters};
use crate::reorder::{Reorder, SequenceWatch};
use crate::rfc4571::{Framer, FramerStats};
use crate::rtp::{RtpPacket, is_rtcp};
use crate::ssrc::SsrcGate;

/// TCP connections of one stream whose framing is kept at the same time.
pub const MAX_CONNECTIONS: usize = 4;

/// The pipeline of one stream.
#[derive(Debug)]
pub struct Ingest {
    framers: Vec<(SourceId, Framer)>,
    closed_framing: FramerStats,
    core: Core,
}

/// Everything behind the framing.
#[derive(Debug)]
struct Core {
    gate: SsrcGate,
    reorder: Reorder,
    watch: SequenceWatch,
    demux: Demux,
    /// The packet counters; the parts count the rest.
    packets: IngestStats,
}

impl Ingest {
    /// A pipeline that has seen nothing.
    pub fn new(config: IngestConfig) -> Self {
        Self {
            framers: Vec::new(),
            closed_framing: FramerStats::default(),
            core: Core {
                gate: SsrcGate::new(config.ssrc, config.relatch_us),
                reorder: Reorder::new(config.reorder_packets, config.reorder_us),
                watch: SequenceWatch::default(),
                demux: Demux::new(config.after_loss, config.max_access_unit_bytes),
                packets: IngestStats::default(),
            },
        }
    }

    /// Takes one UDP datagram.
    #[inline]
    pub fn push_rtp(
        &mut self,
        now_us: u64,
        datagram: &[u8],
        source: SourceId,
        out: &mut Vec<IngestOutput>,
    ) {
        let core = &mut self.core;
        let Some(packet) = core.accept(now_us, datagram, source, out) else {
            return;
        };
        let demux = &mut core.demux;
        let mut sink = |lost, raw: &[u8]| {
            if let Ok(packet) = RtpPacket::parse(raw) {
                demux.packet(now_us, lost, &packet, out);
            }
        };
        core.reorder
            .push(now_us, packet.sequence(), datagram, &mut sink);
        if core.reorder.held() > 0 {
            core.reorder.expire(now_us, &mut sink);
        }
    }

    /// Takes bytes just read from a TCP connection (RFC 4571 framing), any split.
    ///
    /// At most four connections of a stream are followed; the oldest one gives way.
    pub fn push_stream(
        &mut self,
        now_us: u64,
        connection: SourceId,
        bytes: &[u8],
        out: &mut Vec<IngestOutput>,
    ) {
        let core = &mut self.core;
        let index = match self.framers.iter().position(|(of, _)| *of == connection) {
            Some(index) => index,
            None => {
                if self.framers.len() == MAX_CONNECTIONS {
                    let (_, framer) = self.framers.remove(0);
                    self.closed_framing.add(&framer.close());
                }
                self.framers.push((connection, Framer::new()));
                self.framers.len() - 1
            }
        };
        self.framers[index].1.push(bytes, &mut |frame| {
            core.frame(now_us, frame, connection, out)
        });
    }

    /// A description says what comes: a codec with its parameter sets, or what shows by itself.
    pub fn announce(&mut self, video: Option<(VideoCodec, &[Vec<u8>])>) {
        self.core.demux.announce(video);
    }

    /// Takes one packet of a connection whose framing the caller has undone (RTSP interleaved).
    pub fn push_frame(
        &mut self,
        now_us: u64,
        packet: &[u8],
        connection: SourceId,
        out: &mut Vec<IngestOutput>,
    ) {
        self.core.frame(now_us, packet, connection, out);
    }

    /// Takes audio that came beside the video's own packets, placed on the stream's timeline.
    pub fn push_audio(
        &mut self,
        now_us: u64,
        stream_type: u8,
        pts: i64,
        data: &[u8],
        out: &mut Vec<IngestOutput>,
    ) {
        self.core.demux.audio(now_us, stream_type, pts, data, out);
    }

    /// Where this moment lies on the stream's timeline, 90 kHz.
    pub fn present(&self, now_us: u64) -> i64 {
        self.core.demux.video().timeline().place_audio(None, now_us)
    }

    /// Forgets the framing state of a TCP connection that has ended and lets out what is complete.
    pub fn close_connection(
        &mut self,
        now_us: u64,
        connection: SourceId,
        out: &mut Vec<IngestOutput>,
    ) {
        if let Some(index) = self.framers.iter().position(|(of, _)| *of == connection) {
            let (_, framer) = self.framers.remove(index);
            self.closed_framing.add(&framer.close());
        }
        self.core.gate.release(connection);
        self.core.demux.flush(now_us, out);
    }

    /// Lets time pass: gives up missing datagrams, lets out a last picture. Call at [`Ingest::wake_at`] or more often.
    pub fn tick(&mut self, now_us: u64, out: &mut Vec<IngestOutput>) {
        let core = &mut self.core;
        let demux = &mut core.demux;
        core.reorder.expire(now_us, &mut |lost, raw| {
            if let Ok(packet) = RtpPacket::parse(raw) {
                demux.packet(now_us, lost, &packet, out);
            }
        });
        core.demux.tick(now_us, out);
    }

    /// When `tick` has something to do, if nothing else arrives before.
    pub fn wake_at(&self) -> Option<u64> {
        let deadlines = [self.core.reorder.deadline(), self.core.demux.wake_at()];
        deadlines.into_iter().flatten().min()
    }

    /// Lets another source take over at once.
    pub fn release_source(&mut self) {
        if let Some(source) = self.core.gate.source() {
            self.core.gate.release(source);
        }
    }

    /// The answer named another SSRC than the offer: follow that one from now on.
    pub fn set_ssrc(&mut self, ssrc: u32) {
        self.core.gate.expect(ssrc);
    }

    /// Playback jumps to another place or changes its speed: what is held and in the making is dropped, and the
    /// next key frame follows the last picture without a hole.
    pub fn discontinue(&mut self, now_us: u64, out: &mut Vec<IngestOutput>) {
        let core = &mut self.core;
        let mut dropped = 0;
        core.reorder.restart(&mut |_, _| dropped += 1);
        core.watch.restart();
        core.packets.discontinued += dropped;
        core.demux.discontinue(now_us, out);
    }

    /// Playback pauses or goes on: the timeline gets no hole.
    pub fn pause(&mut self, is_paused: bool) {
        self.core.demux.timeline_mut().pause(is_paused);
    }

    /// Playback at another speed; 1.0 is normal, below 0 is reverse. See [`crate::pace`].
    pub fn set_scale(&mut self, scale: f64) {
        self.core.demux.timeline_mut().set_scale(scale);
    }

    /// A voice comes here, perhaps without a container.
    pub fn expect_voice(&mut self) {
        self.core.demux.expect_voice();
    }

    /// Hand out the payloads of a program stream as well, one copy each.
    pub fn tap(&mut self, is_tapped: bool) {
        self.core.demux.tap(is_tapped);
    }

    /// The counters.
    pub fn stats(&self) -> IngestStats {
        let Core {
            reorder,
            watch,
            demux,
            packets,
            ..
        } = &self.core;
        let order = reorder.stats();
        let (ps, assembler, audio) = demux.stats();
        let mut framing = self.closed_framing;
        for (_, framer) in &self.framers {
            framing.add(&framer.stats());
        }
        IngestStats {
            used: packets.used + order.released,
            lost: order.lost + watch.lost,
            reordered: order.reordered,
            duplicates: order.duplicates,
            late: order.late,
            out_of_range: order.out_of_range,
            held: reorder.held() as u64,
            sequence_restarts: order.restarts + watch.restarts,
            unknown_payloads: demux.unknown_payloads(),
            framing,
            ps,
            ts: demux.ts_stats(),
            assembler,
            audio,
            video: demux.video().stats(),
            timeline: demux.video().timeline().stats(),
            ..packets.clone()
        }
    }

    /// The SSRC in force.
    pub fn ssrc(&self) -> Option<u32> {
        self.core.gate.current()
    }

    /// The UDP peer or TCP connection the stream is taken from.
    pub fn source(&self) -> Option<SourceId> {
        self.core.gate.source()
    }

    /// The payload format found.
    pub fn format(&self) -> Option<PayloadFormat> {
        self.core.demux.format()
    }

    /// Why no access unit has come out so far; `None` once one has.
    pub fn no_video_reason(&self) -> Option<NoVideoReason> {
        let packets = &self.core.packets;
        if packets.used + self.core.reorder.stats().released > 0 {
            self.core.demux.no_video_reason()
        } else if packets.ssrc_dropped > 0 {
            Some(NoVideoReason::SsrcMismatch)
        } else if packets.malformed > 0
            || self
                .framers
                .iter()
                .any(|(_, framer)| framer.stats().skipped_bytes > 0)
        {
            Some(NoVideoReason::UnknownPayload)
        } else {
            Some(NoVideoReason::NoPackets)
        }
    }

    /// The parameters in force.
    pub fn parameters(&self) -> Option<&Arc<VideoParameters>> {
        self.core.demux.video().parameters()
    }

    /// The audio codecs seen so far.
    pub fn audio_codecs(&self) -> &[AudioCodec] {
        self.core.demux.audio_codecs()
    }
}

impl Core {
    /// Counts a packet and tells whether it is one of ours.
    #[inline]
    fn accept<'a>(
        &mut self,
        now_us: u64,
        raw: &'a [u8],
        source: SourceId,
        out: &mut Vec<IngestOutput>,
    ) -> Option<RtpPacket<'a>> {
        self.packets.packets += 1;
        self.packets.bytes += raw.len() as u64;
        // RTCP comes first: its SSRC field must not be learned (ZLMediaKit/ZLMediaKit#2247).
        if is_rtcp(raw) {
            self.packets.rtcp += 1;
            return None;
        }
        let Ok(packet) = RtpPacket::parse(raw) else {
            self.packets.malformed += 1;
            return None;
        };
        let verdict = self.gate.check(now_us, packet.ssrc(), source);
        if let Some((expected, seen)) = verdict.mismatch {
            out.push(IngestOutput::SsrcMismatch {
                expected,
                seen,
                accepted: verdict.accept,
            });
        }
        if !verdict.accept {
            self.packets.ssrc_dropped += 1;
            return None;
        }
        if verdict.is_new_source {
            self.begin_source(now_us, &packet, source, out);
        }
        Some(packet)
    }

    fn begin_source(
        &mut self,
        now_us: u64,
        packet: &RtpPacket<'_>,
        source: SourceId,
        out: &mut Vec<IngestOutput>,
    ) {
        let demux = &mut self.demux;
        self.reorder.restart(&mut |lost, raw| {
            if let Ok(packet) = RtpPacket::parse(raw) {
                demux.packet(now_us, lost, &packet, out);
            }
        });
        self.watch.restart();
        self.demux.change_source(now_us, out);
        out.push(IngestOutput::FirstPacket {
            source,
            ssrc: packet.ssrc(),
            payload_type: packet.payload_type(),
        });
    }

    /// A frame of a TCP connection: in order by nature.
    #[inline]
    fn frame(
        &mut self,
        now_us: u64,
        frame: &[u8],
        connection: SourceId,
        out: &mut Vec<IngestOutput>,
    ) {
        if let Some(packet) = self.accept(now_us, frame, connection, out) {
            self.packets.used += 1;
            let lost = self.watch.observe(packet.sequence());
            self.demux.packet(now_us, lost, &packet, out);
        }
    }
}
