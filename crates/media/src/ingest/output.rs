//! What the pipeline says: pictures, audio, what it found, and why there is no picture.

use std::sync::Arc;

use super::SourceId;
use crate::access_unit::AccessUnit;
use crate::audio::{AudioCodec, AudioFrame};
use crate::parameters::VideoParameters;
use crate::payload_format::PayloadFormat;
use crate::relaying::RawPayload;

/// Why there is no picture yet. Stable words for events and the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoVideoReason {
    /// Nothing has arrived.
    NoPackets,
    /// Packets arrive, none from an accepted SSRC.
    SsrcMismatch,
    /// Packets arrive, but they carry no format the core knows.
    UnknownPayload,
    /// A known container, but no video track of a known codec in it.
    UnknownCodec,
    /// Video arrives, but no key frame with its parameter sets so far.
    NoKeyFrame,
}

impl NoVideoReason {
    /// The stable word: `no_packets`, `ssrc_mismatch`, `unknown_payload`, `unknown_codec`, `no_key_frame`.
    pub fn word(self) -> &'static str {
        match self {
            Self::NoPackets => "no_packets",
            Self::SsrcMismatch => "ssrc_mismatch",
            Self::UnknownPayload => "unknown_payload",
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
        /// True when the stream follows it (policy `Learn` or `Follow` without a better one).
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
    /// A payload of a program stream in order, before what it completes; only when [`Ingest::tap`] asks for it.
    Payload(RawPayload),
}
