//! Counters of the whole pipeline of one stream.

use crate::assembler::AssemblerStats;
use crate::audio::AudioStats;
use crate::ps::PsStats;
use crate::rfc4571::FramerStats;
use crate::timeline::TimelineStats;
use crate::ts::TsStats;
use crate::video_track::VideoStats;

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
    /// Packets among the used ones that were dropped by a seek while they waited for an earlier one.
    pub discontinued: u64,
    /// Times the numbering started anew.
    pub sequence_restarts: u64,
    /// Packets used before the payload format was known.
    pub unknown_payloads: u64,
    /// Framing of TCP connections, closed ones included.
    pub framing: FramerStats,
    /// The program stream.
    pub ps: PsStats,
    /// The transport stream.
    pub ts: TsStats,
    /// The cutting into access units.
    pub assembler: AssemblerStats,
    /// The video track.
    pub video: VideoStats,
    /// The audio tracks.
    pub audio: AudioStats,
    /// Repairs of the timeline.
    pub timeline: TimelineStats,
}
