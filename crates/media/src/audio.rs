//! Audio that travels beside the video: kept as tracks, not decoded here.

use bytes::Bytes;

/// Audio coding of a track, from the program stream map (GB/T 28181-2022 Annex C) or the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// G.711 A-law, 8 kHz mono.
    G711A,
    /// G.711 mu-law, 8 kHz mono.
    G711U,
    /// AAC in ADTS frames.
    Aac,
    /// Announced with this stream_type, which the core does not know.
    Other(u8),
}

/// One audio PES payload (G.711) or one ADTS frame (AAC).
#[derive(Clone, Debug)]
pub struct AudioFrame {
    /// Coding of [`AudioFrame::data`].
    pub codec: AudioCodec,
    /// Presentation time on the stream's repaired timeline, 90 kHz.
    pub pts: i64,
    /// When the last byte arrived, microseconds on the caller's clock.
    pub received_us: u64,
    /// The coded samples; AAC without its ADTS header.
    pub data: Bytes,
}
