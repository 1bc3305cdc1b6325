//! H.265 (ITU-T H.265) NAL units: what starts a picture, what the SPS says, `hvcC`.

use bytes::{BufMut, Bytes, BytesMut};

use crate::access_unit::NalKind;
use crate::bits::{BitReader, rbsp};
use crate::h264::MAX_SIDE;
use crate::parameters::PictureFormat;

/// `nal_unit_type` (7.3.1.2), from the first octet of the header.
pub fn nal_type(header: u8) -> u8 {
    header >> 1 & 0x3f
}

/// The role of a NAL unit in its access unit (7.4.2.4.4). `nal` needs its first three bytes only.
pub fn kind(nal: &[u8]) -> NalKind {
    let (Some(&header), Some(&second)) = (nal.first(), nal.get(1)) else {
        return NalKind::Discardable;
    };
    // Forbidden bit; layers other than the base layer (nuh_layer_id) are left out; nuh_temporal_id_plus1 is never 0.
    if header & 0x81 != 0 || second & 0xf8 != 0 || second & 7 == 0 {
        return NalKind::Discardable;
    }
    match nal_type(header) {
        kind @ (0..=9 | 16..=21) => NalKind::Slice {
            // first_slice_segment_in_pic_flag is the first bit after the two octets of header.
            is_first: nal.get(2).is_some_and(|byte| byte & 0x80 != 0),
            is_key: kind >= 16,
        },
        32 => NalKind::Vps,
        33 => NalKind::Sps,
        34 => NalKind::Pps,
        35 => NalKind::Delimiter,
        // End of sequence, end of bitstream, filler data.
        36..=38 => NalKind::Discardable,
        39 | 41..=44 | 48..=55 => NalKind::Prefix,
        40 | 45..=47 | 56.. => NalKind::Other,
        _ => NalKind::Discardable,
    }
}

/// The id of a picture parameter set (7.3.2.3.1).
pub fn pps_id(nal: &[u8]) -> Option<u32> {
    BitReader::new(nal.get(2..)?).ue().filter(|&id| id < 64)
}

/// `profile_tier_level()` (7.3.3), its general part.
struct ProfileTierLevel {
    profile_space: u32,
    is_high_tier: bool,
    profile: u32,
    compatibility: u32,
    constraints: [u8; 6],
    level: u32,
}

impl ProfileTierLevel {
    fn parse(reader: &mut BitReader<'_>, sub_layers: u32) -> Option<Self> {
        let general = Self {
            profile_space: reader.bits(2)?,
            is_high_tier: reader.flag()?,
            profile: reader.bits(5)?,
            compatibility: reader.bits(32)?,
            constraints: {
                let mut octets = [0; 6];
                for octet in &mut octets {
                    *octet = reader.bits(8)? as u8;
                }
                octets
            },
            level: reader.bits(8)?,
        };
        let mut present = [(false, false); 8];
        let below = sub_layers.saturating_sub(1) as usize;
        for flags in present.iter_mut().take(below) {
            *flags = (reader.flag()?, reader.flag()?);
        }
        if below > 0 {
            reader.skip((8 - below) * 2)?;
        }
        for (has_profile, has_level) in present.into_iter().take(below) {
            reader.skip(if has_profile { 88 } else { 0 })?;
            reader.skip(if has_level { 8 } else { 0 })?;
        }
        Some(general)
    }

    /// ISO/IEC 14496-15 E.3: `hvc1.{space}{profile}.{compatibility reversed}.{tier}{level}.{constraints}`.
    fn codec_string(&self) -> String {
        let space = ["", "A", "B", "C"][self.profile_space as usize & 3];
        let tier = if self.is_high_tier { 'H' } else { 'L' };
        let mut out = format!(
            "hvc1.{space}{}.{:X}.{tier}{}",
            self.profile,
            self.compatibility.reverse_bits(),
            self.level
        );
        let used = self
            .constraints
            .iter()
            .rposition(|&octet| octet != 0)
            .map_or(0, |last| last + 1);
        for octet in &self.constraints[..used] {
            out.push_str(&format!(".{octet:X}"));
        }
        out
    }
}

/// Reads a sequence parameter set (7.3.2.2) with its NAL header; `None` when it is damaged.
pub fn parse_sps(nal: &[u8]) -> Option<PictureFormat> {
    if nal_type(*nal.first()?) != 33 {
        return None;
    }
    let rbsp = rbsp(nal);
    let mut reader = BitReader::new(rbsp.get(2..)?);
    reader.bits(4)?; // sps_video_parameter_set_id
    let sub_layers = reader.bits(3)?.min(6) + 1;
    let is_temporal_nested = reader.flag()?;
    let general = ProfileTierLevel::parse(&mut reader, sub_layers)?;
    reader.ue().filter(|&id| id < 16)?;
    let chroma_format = reader.ue().filter(|&format| format <= 3)? as u8;
    if chroma_format == 3 {
        reader.flag()?; // separate_colour_plane_flag
    }
    let (coded_width, coded_height) = (reader.ue()?, reader.ue()?);
    let (mut crop_width, mut crop_height) = (0, 0);
    if reader.flag()? {
        let (left, right, top, bottom) = (reader.ue()?, reader.ue()?, reader.ue()?, reader.ue()?);
        // Table 6-1: SubWidthC and SubHeightC.
        let unit_x = if matches!(chroma_format, 1 | 2) { 2 } else { 1 };
        let unit_y = if chroma_format == 1 { 2 } else { 1 };
        crop_width = left.checked_add(right)?.checked_mul(unit_x)?;
        crop_height = top.checked_add(bottom)?.checked_mul(unit_y)?;
    }
    let bit_depth_luma = reader.ue().filter(|&depth| depth <= 8)? as u8 + 8;
    let bit_depth_chroma = reader.ue().filter(|&depth| depth <= 8)? as u8 + 8;
    let width = coded_width
        .checked_sub(crop_width)
        .filter(|side| (1..=MAX_SIDE).contains(side))?;
    let height = coded_height
        .checked_sub(crop_height)
        .filter(|side| (1..=MAX_SIDE).contains(side))?;
    Some(PictureFormat {
        width,
        height,
        chroma_format,
        bit_depth_luma,
        bit_depth_chroma,
        codec_string: general.codec_string(),
        sub_layers: sub_layers as u8,
        is_temporal_nested,
    })
}

/// `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15 8.3.3.1), lengths of 4 octets, arrays complete (`hvc1`).
pub fn configuration_record(
    vps: &[Bytes],
    sps: &[Bytes],
    pps: &[Bytes],
    format: &PictureFormat,
) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(1);
    // The general profile, tier and level octets stand in the SPS as they are needed here, after removal of emulation prevention.
    let rbsp = rbsp(sps.first().map_or(&[][..], |sps| sps));
    let mut general = [0; 12];
    if let Some(octets) = rbsp.get(3..15) {
        general.copy_from_slice(octets);
    }
    out.put_slice(&general);
    out.put_u16(0xf000); // min_spatial_segmentation_idc: unknown
    out.put_u8(0xfc); // parallelismType: unknown
    out.put_u8(0xfc | format.chroma_format);
    out.put_u8(0xf8 | (format.bit_depth_luma - 8));
    out.put_u8(0xf8 | (format.bit_depth_chroma - 8));
    out.put_u16(0); // avgFrameRate: unspecified
    out.put_u8(format.sub_layers << 3 | u8::from(format.is_temporal_nested) << 2 | 3);
    let arrays = [(32, vps), (33, sps), (34, pps)];
    out.put_u8(arrays.len() as u8);
    for (kind, sets) in arrays {
        out.put_u8(0x80 | kind);
        out.put_u16(sets.len() as u16);
        for set in sets {
            out.put_u16(set.len() as u16);
            out.put_slice(set);
        }
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with x265: 1280x720, Main, level 3.1.
    const SPS_720: &[u8] = &[
        0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00,
        0x03, 0x00, 0x5d, 0xa0, 0x02, 0x80, 0x80, 0x2d, 0x16, 0x59, 0x59, 0xa4, 0x93, 0x2b, 0xc0,
        0x5a, 0x70, 0x80, 0x00, 0x01, 0xf4, 0x80, 0x00, 0x3a, 0x98, 0x04,
    ];

    #[test]
    fn size_profile_and_level_are_read() {
        let format = parse_sps(SPS_720).unwrap();
        assert_eq!((format.width, format.height), (1280, 720));
        assert_eq!(format.codec_string, "hvc1.1.6.L93.90");
        assert_eq!((format.sub_layers, format.is_temporal_nested), (1, true));
    }

    #[test]
    fn a_truncated_sps_is_refused() {
        for length in 0..22 {
            assert!(parse_sps(&SPS_720[..length]).is_none(), "length {length}");
        }
    }

    #[test]
    fn an_h264_slice_is_not_taken_for_a_vps() {
        // 0x41 read as H.265 is type 32 with layer id 32 or more: refused by its layer bit.
        assert_eq!(kind(&[0x41, 0x9a, 0x24]), NalKind::Discardable);
        assert_eq!(kind(&[0x40, 0x01, 0x0c]), NalKind::Vps);
    }

    #[test]
    fn slices_tell_whether_they_begin_a_picture() {
        assert_eq!(
            kind(&[0x26, 0x01, 0xaf]),
            NalKind::Slice {
                is_first: true,
                is_key: true
            }
        );
        assert_eq!(
            kind(&[0x02, 0x01, 0xd0]),
            NalKind::Slice {
                is_first: true,
                is_key: false
            }
        );
        assert_eq!(
            kind(&[0x02, 0x01, 0x50]),
            NalKind::Slice {
                is_first: false,
                is_key: false
            }
        );
    }

    #[test]
    fn configuration_record_bytes() {
        let format = parse_sps(SPS_720).unwrap();
        let sets = [&[0x40, 0x01][..], SPS_720, &[0x44, 0x01]].map(|set| [Bytes::from_static(set)]);
        let record = configuration_record(&sets[0], &sets[1], &sets[2], &format);
        assert_eq!(record[..13], [1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93]);
        assert_eq!(
            record[13..23],
            [0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f, 3]
        );
        assert_eq!(record[23..30], [0x80 | 32, 0, 1, 0, 2, 0x40, 0x01]);
    }
}
