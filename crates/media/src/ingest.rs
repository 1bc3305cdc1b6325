//! The composed pipeline of one stream: packets in, access units out.
//!
//! Contract: after every `push_*`, `tick` or `close_connection` the caller drains `out`. Time is an argument
//! (`now_us`, microseconds, monotone); nothing here reads a clock, blocks or spawns.

use std::sync::Arc;

use crate::access_unit::AccessUnit;
use crate::audio::{AudioCodec, AudioFrame};
use crate::parameters::VideoParameters;

/// Names where packets come from: a UDP peer or a TCP connection. The caller chooses the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceId(pub u64);

/// Which synchronisation source (RFC 3550 3) a stream accepts.
///
/// Whatever the policy, a source that does not match is counted and reported once per SSRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SsrcPolicy {
    /// Only this SSRC; all else is dropped.
    Strict(u32),
    /// The expected SSRC if it comes, else the first one seen; the peer address may change.
    Learn(Option<u32>),
    /// As `Learn`, and bound to the peer it was first seen from until that peer falls silent.
    Latch(Option<u32>),
}

/// What to do with pictures after packet loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterLoss {
    /// Hold the last good picture: drop everything until the next key frame.
    DropToKeyFrame,
    /// Deliver damaged and dependent pictures, marked.
    Deliver,
}

/// Limits and policies of one stream.
#[derive(Clone, Debug)]
pub struct IngestConfig {
    /// Which SSRC to accept.
    pub ssrc: SsrcPolicy,
    /// What to do after loss.
    pub after_loss: AfterLoss,
    /// Largest number of datagrams held back while one is missing.
    pub reorder_packets: usize,
    /// Longest time a datagram is held back, microseconds.
    pub reorder_us: u64,
    /// Silence after which a latched source may be replaced, microseconds.
    pub relatch_us: u64,
    /// Largest access unit; a larger one is dropped and counted.
    pub max_access_unit_bytes: usize,
}

impl Default for IngestConfig {
    fn default() -> Self {
        Self {
            ssrc: SsrcPolicy::Latch(None),
            after_loss: AfterLoss::DropToKeyFrame,
            reorder_packets: 64,
            reorder_us: 100_000,
            relatch_us: 3_000_000,
            max_access_unit_bytes: 4 << 20,
        }
    }
}

/// How the payload is packed, found by looking at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PayloadFormat {
    /// MPEG-2 program stream (GB/T 28181 Annex C).
    ProgramStream,
    /// MPEG-2 transport stream.
    TransportStream,
    /// H.264/H.265 byte stream with start codes, straight in RTP.
    ByteStream,
    /// H.264 NAL units by RFC 6184.
    RtpH264,
    /// H.265 NAL units by RFC 7798.
    RtpH265,
}

/// Why there is no picture yet. Stable words for events and the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoVideoReason {
    /// Nothing has arrived.
    NoPackets,
    /// Packets arrive, none from an accepted SSRC.
    SsrcMismatch,
    /// Packets arrive, but they carry no format the core knows.
    UnknownPayload,
    /// Packets arrive as a transport stream, which is not demultiplexed.
    TransportStream,
    /// A known container, but no video track of a known codec in it.
    UnknownCodec,
    /// Video arrives, but no key frame with its parameter sets so far.
    NoKeyFrame,
}

impl NoVideoReason {
    /// The stable word: `no_packets`, `ssrc_mismatch`, `unknown_payload`, `transport_stream`, `unknown_codec`, `no_key_frame`.
    pub fn word(self) -> &'static str {
        match self {
            Self::NoPackets => "no_packets",
            Self::SsrcMismatch => "ssrc_mismatch",
            Self::UnknownPayload => "unknown_payload",
            Self::TransportStream => "transport_stream",
            Self::UnknownCodec => "unknown_codec",
            Self::NoKeyFrame => "no_key_frame",
        }
    }
}

/// What the pipeline has to say.
#[derive(Clone, Debug)]
pub enum IngestOutput {
    /// The first RTP packet of an accepted source.
    FirstPacket {
        /// Where it came from.
        source: SourceId,
        /// Its SSRC, which is now the stream's.
        ssrc: u32,
        /// Its RTP payload type.
        payload_type: u8,
    },
    /// An SSRC other than the expected one was seen; once per SSRC.
    SsrcMismatch {
        /// The SSRC in force or expected.
        expected: u32,
        /// The SSRC seen.
        seen: u32,
        /// True when the stream follows it (policy `Learn` or `Latch` without a better one).
        accepted: bool,
    },
    /// The payload format is known now.
    FormatDetected(PayloadFormat),
    /// A new generation begins with the next access unit, which is a key frame.
    ParametersChanged(Arc<VideoParameters>),
    /// One picture. The first one is always a key frame and follows `ParametersChanged`.
    AccessUnit(AccessUnit),
    /// A track of this audio codec exists; once per codec.
    AudioDetected(AudioCodec),
    /// Audio of a track.
    AudioFrame(AudioFrame),
}

/// Counters of one stream. Every packet is in exactly one of `used`, `late`, `duplicates`, `malformed`,
/// `rtcp`, `ssrc_dropped`, `out_of_range`, or still held for reordering (`held`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngestStats {
    /// Datagrams and RFC 4571 frames received.
    pub packets: u64,
    /// Their bytes, without framing.
    pub bytes: u64,
    /// Packets given to the demultiplexer.
    pub used: u64,
    /// Sequence numbers that never came.
    pub lost: u64,
    /// Packets that came out of order and were put back in place.
    pub reordered: u64,
    /// Packets with a sequence number already used or held.
    pub duplicates: u64,
    /// Packets that came after their place was given up.
    pub late: u64,
    /// Packets far outside the sequence window, dropped while the source may be restarting.
    pub out_of_range: u64,
    /// Packets that are not RTP version 2 or whose lengths contradict each other.
    pub malformed: u64,
    /// RTCP packets, recognised and ignored.
    pub rtcp: u64,
    /// RTP packets of a source that is not accepted.
    pub ssrc_dropped: u64,
    /// Packets held for reordering at this moment.
    pub held: u64,
}

/// The pipeline of one stream.
#[derive(Debug)]
pub struct Ingest {
    stats: IngestStats,
    ssrc: Option<u32>,
    config: IngestConfig,
}

impl Ingest {
    /// A pipeline that has seen nothing.
    pub fn new(config: IngestConfig) -> Self {
        Self {
            stats: IngestStats::default(),
            ssrc: None,
            config,
        }
    }

    /// Takes one UDP datagram.
    pub fn push_rtp(
        &mut self,
        now_us: u64,
        datagram: &[u8],
        source: SourceId,
        out: &mut Vec<IngestOutput>,
    ) {
        let _ = (now_us, source, out);
        self.stats.packets += 1;
        self.stats.bytes += datagram.len() as u64;
    }

    /// Takes bytes just read from a TCP connection (RFC 4571 framing), any split.
    pub fn push_stream(
        &mut self,
        now_us: u64,
        connection: SourceId,
        bytes: &[u8],
        out: &mut Vec<IngestOutput>,
    ) {
        let _ = (now_us, connection, out);
        self.stats.bytes += bytes.len() as u64;
    }

    /// Forgets the framing state of a TCP connection that has ended and delivers what is complete.
    pub fn close_connection(
        &mut self,
        now_us: u64,
        connection: SourceId,
        out: &mut Vec<IngestOutput>,
    ) {
        let _ = (now_us, connection, out);
    }

    /// Lets time pass: gives up missing datagrams, completes a last picture. Call at [`Ingest::wake_at`] or more often.
    pub fn tick(&mut self, now_us: u64, out: &mut Vec<IngestOutput>) {
        let _ = (now_us, out);
    }

    /// When `tick` has something to do, if nothing else arrives before.
    pub fn wake_at(&self) -> Option<u64> {
        None
    }

    /// The answer named another SSRC than the offer: follow that one from now on.
    pub fn set_ssrc(&mut self, ssrc: u32) {
        self.config.ssrc = match self.config.ssrc {
            SsrcPolicy::Strict(_) => SsrcPolicy::Strict(ssrc),
            SsrcPolicy::Learn(_) => SsrcPolicy::Learn(Some(ssrc)),
            SsrcPolicy::Latch(_) => SsrcPolicy::Latch(Some(ssrc)),
        };
    }

    /// The counters.
    pub fn stats(&self) -> IngestStats {
        self.stats.clone()
    }

    /// The SSRC in force.
    pub fn ssrc(&self) -> Option<u32> {
        self.ssrc
    }

    /// Why no access unit has come out so far; `None` once one has.
    pub fn no_video_reason(&self) -> Option<NoVideoReason> {
        Some(NoVideoReason::NoPackets)
    }

    /// The parameters in force.
    pub fn parameters(&self) -> Option<&Arc<VideoParameters>> {
        None
    }

    /// The audio codecs seen so far.
    pub fn audio_codecs(&self) -> &[AudioCodec] {
        &[]
    }
}
