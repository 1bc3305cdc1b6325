//! H.264 (ITU-T H.264) NAL units: what starts a picture, what the SPS says, `avcC`.

use bytes::{BufMut, Bytes, BytesMut};

use crate::access_unit::NalKind;
use crate::bits::{BitReader, rbsp};
use crate::parameters::PictureFormat;

/// Largest picture side the core believes; level 6.2 ends at 16,888.
pub(crate) const MAX_SIDE: u32 = 16_888;

/// `profile_idc` values of Annexes A, F, G and H; anything else is not an SPS.
const PROFILES: [u8; 16] = [
    66, 77, 88, 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135,
];

/// `nal_unit_type` (7.4.1, table 7-1).
pub fn nal_type(header: u8) -> u8 {
    header & 0x1f
}

/// The role of a NAL unit in its access unit (7.4.1.2.3). `nal` needs its first two bytes only.
pub fn kind(nal: &[u8]) -> NalKind {
    let Some(&header) = nal.first() else {
        return NalKind::Discardable;
    };
    if header & 0x80 != 0 {
        return NalKind::Discardable;
    }
    match nal_type(header) {
        // first_mb_in_slice is ue(v): zero is the single bit 1.
        kind @ (1 | 2 | 5) => NalKind::Slice {
            is_first: nal.get(1).is_some_and(|byte| byte & 0x80 != 0),
            is_key: kind == 5,
        },
        3 | 4 => NalKind::Slice {
            is_first: false,
            is_key: false,
        },
        6 => NalKind::Prefix,
        7 => NalKind::Sps,
        8 => NalKind::Pps,
        9 => NalKind::Delimiter,
        // End of sequence, end of stream, filler data.
        10..=12 => NalKind::Discardable,
        14..=18 => NalKind::Prefix,
        0 | 24.. => NalKind::Discardable,
        _ => NalKind::Other,
    }
}

/// The id of a picture parameter set (7.3.2.2).
pub fn pps_id(nal: &[u8]) -> Option<u32> {
    BitReader::new(nal.get(1..)?).ue().filter(|&id| id < 256)
}

/// Reads a sequence parameter set (7.3.2.1.1) with its NAL header; `None` when it is damaged.
pub fn parse_sps(nal: &[u8]) -> Option<PictureFormat> {
    if nal_type(*nal.first()?) != 7 {
        return None;
    }
    let rbsp = rbsp(nal);
    let profile = *rbsp.get(1).filter(|profile| PROFILES.contains(profile))?;
    let compatibility = *rbsp.get(2)?;
    let level = *rbsp.get(3)?;
    let mut reader = BitReader::new(rbsp.get(4..)?);
    reader.ue().filter(|&id| id < 32)?;
    let mut chroma = Chroma::default();
    if matches!(
        profile,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    ) {
        chroma = parse_chroma(&mut reader)?;
    }
    reader.ue()?; // log2_max_frame_num_minus4
    skip_picture_order_count(&mut reader)?;
    reader.ue()?; // max_num_ref_frames
    reader.flag()?; // gaps_in_frame_num_value_allowed_flag
    let width_in_mbs = reader.ue()?.checked_add(1)?;
    let height_in_map_units = reader.ue()?.checked_add(1)?;
    let frame_mbs_only = reader.flag()?;
    if !frame_mbs_only {
        reader.flag()?; // mb_adaptive_frame_field_flag
    }
    reader.flag()?; // direct_8x8_inference_flag
    let fields = if frame_mbs_only { 1 } else { 2 };
    let coded_width = width_in_mbs.checked_mul(16)?;
    let coded_height = height_in_map_units.checked_mul(16)?.checked_mul(fields)?;
    let (mut crop_width, mut crop_height) = (0, 0);
    if reader.flag()? {
        let (left, right, top, bottom) = (reader.ue()?, reader.ue()?, reader.ue()?, reader.ue()?);
        // Table 6-1: crop units by chroma subsampling.
        let unit_x = if matches!(chroma.format, 1 | 2) { 2 } else { 1 };
        let unit_y = if chroma.format == 1 { 2 } else { 1 } * fields;
        crop_width = left.checked_add(right)?.checked_mul(unit_x)?;
        crop_height = top.checked_add(bottom)?.checked_mul(unit_y)?;
    }
    let width = coded_width
        .checked_sub(crop_width)
        .filter(|side| (1..=MAX_SIDE).contains(side))?;
    let height = coded_height
        .checked_sub(crop_height)
        .filter(|side| (1..=MAX_SIDE).contains(side))?;
    Some(PictureFormat {
        width,
        height,
        chroma_format: chroma.format,
        bit_depth_luma: chroma.bit_depth_luma,
        bit_depth_chroma: chroma.bit_depth_chroma,
        codec_string: format!("avc1.{profile:02x}{compatibility:02x}{level:02x}"),
        sub_layers: 1,
        is_temporal_nested: false,
    })
}

struct Chroma {
    format: u8,
    bit_depth_luma: u8,
    bit_depth_chroma: u8,
}

impl Default for Chroma {
    fn default() -> Self {
        Self {
            format: 1,
            bit_depth_luma: 8,
            bit_depth_chroma: 8,
        }
    }
}

fn parse_chroma(reader: &mut BitReader<'_>) -> Option<Chroma> {
    let format = reader.ue().filter(|&format| format <= 3)? as u8;
    if format == 3 {
        reader.flag()?; // separate_colour_plane_flag
    }
    let bit_depth_luma = reader.ue().filter(|&depth| depth <= 6)? as u8 + 8;
    let bit_depth_chroma = reader.ue().filter(|&depth| depth <= 6)? as u8 + 8;
    reader.flag()?; // qpprime_y_zero_transform_bypass_flag
    if reader.flag()? {
        let lists = if format == 3 { 12 } else { 8 };
        for list in 0..lists {
            if reader.flag()? {
                skip_scaling_list(reader, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some(Chroma {
        format,
        bit_depth_luma,
        bit_depth_chroma,
    })
}

/// 7.3.2.1.1.1.
fn skip_scaling_list(reader: &mut BitReader<'_>, size: usize) -> Option<()> {
    let (mut last, mut next) = (8i32, 8i32);
    for _ in 0..size {
        if next != 0 {
            next = last.checked_add(reader.se()?)?.rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}

fn skip_picture_order_count(reader: &mut BitReader<'_>) -> Option<()> {
    match reader.ue()? {
        0 => {
            reader.ue()?; // log2_max_pic_order_cnt_lsb_minus4
        }
        1 => {
            reader.flag()?; // delta_pic_order_always_zero_flag
            reader.se()?;
            reader.se()?;
            let cycle = reader.ue().filter(|&count| count <= 255)?;
            for _ in 0..cycle {
                reader.se()?;
            }
        }
        2 => {}
        _ => return None,
    }
    Some(())
}

/// `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 5.3.3.1), lengths of 4 octets.
///
/// `sps` and `pps` must not be empty; at most 31 and 255 of them are written.
pub fn configuration_record(sps: &[Bytes], pps: &[Bytes], format: &PictureFormat) -> Bytes {
    let mut out = BytesMut::new();
    let first = sps.first().map_or(&[][..], |sps| sps);
    let profile = first.get(1).copied().unwrap_or(0);
    out.put_u8(1);
    out.put_u8(profile);
    out.put_u8(first.get(2).copied().unwrap_or(0));
    out.put_u8(first.get(3).copied().unwrap_or(0));
    out.put_u8(0xfc | 3);
    let sps = &sps[..sps.len().min(31)];
    out.put_u8(0xe0 | sps.len() as u8);
    for set in sps {
        out.put_u16(set.len() as u16);
        out.put_slice(set);
    }
    let pps = &pps[..pps.len().min(255)];
    out.put_u8(pps.len() as u8);
    for set in pps {
        out.put_u16(set.len() as u16);
        out.put_slice(set);
    }
    if matches!(profile, 100 | 110 | 122 | 144) {
        out.put_u8(0xfc | format.chroma_format);
        out.put_u8(0xf8 | (format.bit_depth_luma - 8));
        out.put_u8(0xf8 | (format.bit_depth_chroma - 8));
        out.put_u8(0);
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with x264: 1920x1080, High 4.0 (coded 1920x1088, cropped).
    pub(crate) const SPS_1080: &[u8] = &[
        0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44, 0x00, 0x00,
        0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xca, 0x3c, 0x60, 0xc6, 0x58,
    ];

    #[test]
    fn size_is_the_cropped_one() {
        let format = parse_sps(SPS_1080).unwrap();
        assert_eq!((format.width, format.height), (1920, 1080));
        assert_eq!(format.codec_string, "avc1.640028");
        assert_eq!((format.chroma_format, format.bit_depth_luma), (1, 8));
    }

    #[test]
    fn a_baseline_sps_written_by_hand_is_read() {
        // 42 c0 1e: Constrained Baseline 3.0; ue: id 0, 0, poc type 2, refs 1, no gaps, 11x9 macroblocks (QCIF).
        // 1 1 011 010 0 0001011 0001001 1 1 0 0 1
        let sps = [
            0x67,
            0x42,
            0xc0,
            0x1e,
            0b1101_1010,
            0b0000_1011,
            0b0001_0011,
            0b1001_0000,
        ];
        let format = parse_sps(&sps).unwrap();
        assert_eq!(
            (format.width, format.height, format.codec_string.as_str()),
            (176, 144, "avc1.42c01e")
        );
    }

    #[test]
    fn a_truncated_sps_is_refused() {
        for length in 0..11 {
            assert!(parse_sps(&SPS_1080[..length]).is_none(), "length {length}");
        }
    }

    #[test]
    fn slices_tell_whether_they_begin_a_picture() {
        assert_eq!(
            kind(&[0x65, 0x88]),
            NalKind::Slice {
                is_first: true,
                is_key: true
            }
        );
        assert_eq!(
            kind(&[0x41, 0x9a]),
            NalKind::Slice {
                is_first: true,
                is_key: false
            }
        );
        assert_eq!(
            kind(&[0x41, 0x40]),
            NalKind::Slice {
                is_first: false,
                is_key: false
            }
        );
        assert_eq!(kind(&[0x67]), NalKind::Sps);
        assert_eq!(kind(&[0xe7]), NalKind::Discardable);
    }

    #[test]
    fn configuration_record_bytes() {
        let format = parse_sps(SPS_1080).unwrap();
        let record = configuration_record(
            &[Bytes::from_static(SPS_1080)],
            &[Bytes::from_static(&[0x68, 0xeb])],
            &format,
        );
        assert_eq!(
            record[..8],
            [1, 0x64, 0, 0x28, 0xff, 0xe1, 0, SPS_1080.len() as u8]
        );
        assert_eq!(
            record[8 + SPS_1080.len()..],
            [1, 0, 2, 0x68, 0xeb, 0xfd, 0xf8, 0xf8, 0]
        );
    }
}
