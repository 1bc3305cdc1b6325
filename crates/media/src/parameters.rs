//! What a viewer must know before the first picture: codec, size, parameter sets, init segment.

use bytes::Bytes;

use crate::fmp4::{self, Fragment};
use crate::{h264, h265};

/// Most picture parameter sets kept; more in one stream is nonsense.
const MAX_PPS: usize = 64;

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

/// What a sequence parameter set says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureFormat {
    /// Visible width in pixels.
    pub width: u32,
    /// Visible height in pixels.
    pub height: u32,
    /// `chroma_format_idc`: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format: u8,
    /// Bits per luma sample.
    pub bit_depth_luma: u8,
    /// Bits per chroma sample.
    pub bit_depth_chroma: u8,
    /// RFC 6381 codec string.
    pub codec_string: String,
    /// Temporal sub-layers (H.265), else 1.
    pub sub_layers: u8,
    /// `sps_temporal_id_nesting_flag` (H.265).
    pub is_temporal_nested: bool,
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
    /// The `avcC` or `hvcC` payload.
    pub record: Bytes,
    /// fMP4 init segment (`ftyp` + `moov`) of this generation, ready for HTTP and WebSocket.
    pub init: Fragment,
}

impl VideoParameters {
    /// The MIME type for Media Source Extensions, such as `video/mp4; codecs="avc1.64001f"`.
    pub fn mime(&self) -> String {
        format!("video/mp4; codecs=\"{}\"", self.codec_string)
    }
}

/// The parameter sets of a stream, by kind, in the order they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParameterSets {
    /// Video parameter sets (H.265).
    pub vps: Vec<Bytes>,
    /// Sequence parameter sets.
    pub sps: Vec<Bytes>,
    /// Picture parameter sets.
    pub pps: Vec<Bytes>,
}

impl ParameterSets {
    /// Whether exactly this NAL unit is among them.
    pub fn contains(&self, nal: &[u8]) -> bool {
        [&self.sps, &self.pps, &self.vps]
            .iter()
            .any(|sets| sets.iter().any(|set| set == nal))
    }

    /// Replaces the VPS and SPS by those of an access unit that brings its own.
    pub fn replace_sequence(&mut self, vps: Vec<Bytes>, sps: Vec<Bytes>) {
        if !vps.is_empty() {
            self.vps = vps;
        }
        if !sps.is_empty() {
            self.sps = sps;
        }
    }

    /// Adds a PPS or replaces the one with its id; one with an unreadable id is refused with `false`.
    pub fn put_pps(&mut self, codec: VideoCodec, nal: &[u8]) -> bool {
        let id_of = match codec {
            VideoCodec::H264 => h264::pps_id,
            VideoCodec::H265 => h265::pps_id,
        };
        let Some(id) = id_of(nal) else {
            return false;
        };
        let nal = Bytes::copy_from_slice(nal);
        if let Some(known) = self.pps.iter_mut().find(|known| id_of(known) == Some(id)) {
            *known = nal;
            return true;
        }
        let has_room = self.pps.len() < MAX_PPS;
        if has_room {
            self.pps.push(nal);
        }
        has_room
    }

    /// Whether a decoder could start with these.
    pub fn is_complete(&self, codec: VideoCodec) -> bool {
        !self.sps.is_empty()
            && !self.pps.is_empty()
            && (codec == VideoCodec::H264 || !self.vps.is_empty())
    }

    /// Reads the SPS and makes the parameters of a generation; `None` when the SPS is damaged.
    pub fn to_parameters(&self, codec: VideoCodec, generation: u32) -> Option<VideoParameters> {
        let sps = self.sps.first()?;
        let (format, record) = match codec {
            VideoCodec::H264 => {
                let format = h264::parse_sps(sps)?;
                let record = h264::configuration_record(&self.sps, &self.pps, &format);
                (format, record)
            }
            VideoCodec::H265 => {
                let format = h265::parse_sps(sps)?;
                let record = h265::configuration_record(&self.vps, &self.sps, &self.pps, &format);
                (format, record)
            }
        };
        Some(VideoParameters {
            generation,
            codec,
            width: format.width,
            height: format.height,
            init: fmp4::init_segment(codec, format.width, format.height, &record),
            record,
            codec_string: format.codec_string,
            parameter_sets: [&self.vps, &self.sps, &self.pps]
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
        })
    }
}
