//! Access units: one coded picture with everything that belongs to it.

use bytes::Bytes;

use crate::fmp4::Fragment;
use crate::parameters::VideoCodec;

/// The role of a NAL unit in its access unit, for either standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NalKind {
    /// Coded picture data.
    Slice {
        /// Whether it begins a picture (first macroblock, first slice segment).
        is_first: bool,
        /// Whether decoding may start at its picture.
        is_key: bool,
    },
    /// Video parameter set.
    Vps,
    /// Sequence parameter set.
    Sps,
    /// Picture parameter set.
    Pps,
    /// Supplemental information and reserved types that stand before the picture they belong to.
    Prefix,
    /// Access unit delimiter.
    Delimiter,
    /// Kept with the picture, wherever it stands.
    Other,
    /// Of no use to a decoder (filler, end marks, unspecified types, damaged header).
    Discardable,
}

impl NalKind {
    /// Whether this NAL unit after picture data begins the next access unit (H.264 7.4.1.2.3, H.265 7.4.2.4.4).
    pub fn begins_access_unit(self) -> bool {
        match self {
            Self::Slice { is_first, .. } => is_first,
            Self::Vps | Self::Sps | Self::Pps | Self::Prefix | Self::Delimiter => true,
            Self::Other | Self::Discardable => false,
        }
    }
}

/// One coded picture on the repaired timeline, already laid out as an fMP4 fragment.
///
/// The NAL units are stored once, length-prefixed, inside the `mdat` of [`AccessUnit::fragment`];
/// caches, viewers and forwarders share that one allocation. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct AccessUnit {
    /// The [`crate::parameters::VideoParameters::generation`] in force.
    pub generation: u32,
    /// The coding standard.
    pub codec: VideoCodec,
    /// True when decoding may start here (H.264 IDR, H.265 IRAP).
    pub is_key_frame: bool,
    /// True when packets of this picture were lost; only delivered when the configuration asks for it.
    pub is_damaged: bool,
    /// Presentation time, 90 kHz, on the stream's repaired timeline.
    pub pts: i64,
    /// Decoding time, 90 kHz, strictly increasing within a stream.
    pub dts: i64,
    /// Expected time until the next access unit, 90 kHz.
    pub duration: u32,
    /// When the last byte arrived, microseconds on the caller's clock.
    pub received_us: u64,
    /// The PTS as the device sent it (33 bits), for recording beside the repaired one.
    pub device_pts: Option<u64>,
    /// `moof` + `mdat` with room for a WebSocket header in front.
    pub fragment: Fragment,
    pub(crate) payload_at: usize,
}

impl AccessUnit {
    /// The NAL units, each behind its 4-byte big-endian length; shares the fragment's memory.
    pub fn payload(&self) -> Bytes {
        self.fragment.buffer.slice(self.payload_at..)
    }

    /// The NAL units without length or start code, in decoding order.
    pub fn nal_units(&self) -> NalUnits<'_> {
        NalUnits {
            rest: &self.fragment.buffer[self.payload_at..],
        }
    }

    /// Bytes this unit keeps alive.
    pub fn size(&self) -> usize {
        self.fragment.buffer.len()
    }
}

/// Iterator over length-prefixed NAL units.
#[derive(Clone, Debug)]
pub struct NalUnits<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let unit = rest.get(..length)?;
        self.rest = &rest[length..];
        Some(unit)
    }
}
