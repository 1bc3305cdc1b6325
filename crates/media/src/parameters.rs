//! What a viewer must know before the first picture: codec, size, parameter sets, init segment.

use bytes::Bytes;

use crate::fmp4::Fragment;

/// A video coding standard the core can carry to viewers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// ITU-T H.264 (AVC).
    H264,
    /// ITU-T H.265 (HEVC).
    H265,
}

impl VideoCodec {
    /// The short lower-case name used in statistics and events: `h264` or `h265`.
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
        }
    }
}

/// The parameters that hold for all access units of one generation.
///
/// A new generation begins when a key frame carries parameter sets that differ from those in force
/// (another size, another profile); every viewer then needs the new [`VideoParameters::init`].
#[derive(Clone, Debug)]
pub struct VideoParameters {
    /// Counts from 1 for a stream; [`crate::access_unit::AccessUnit::generation`] refers to it.
    pub generation: u32,
    /// The coding standard.
    pub codec: VideoCodec,
    /// Visible picture width in pixels, after cropping.
    pub width: u32,
    /// Visible picture height in pixels, after cropping.
    pub height: u32,
    /// RFC 6381 codec string, such as `avc1.64001f` or `hvc1.1.6.L93.B0`.
    pub codec_string: String,
    /// VPS (H.265 only), SPS and PPS NAL units in decoding order, without start codes.
    pub parameter_sets: Vec<Bytes>,
    /// fMP4 init segment (`ftyp` + `moov`) of this generation, ready for HTTP and WebSocket.
    pub init: Fragment,
}

impl VideoParameters {
    /// The MIME type for Media Source Extensions, such as `video/mp4; codecs="avc1.64001f"`.
    pub fn mime(&self) -> String {
        format!("video/mp4; codecs=\"{}\"", self.codec_string)
    }
}
