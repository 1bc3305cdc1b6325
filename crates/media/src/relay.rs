//! Forwarding without remultiplexing: which packets of a source begin a group that a decoder can start with, and the
//! current group for senders that come later.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::parameters::VideoCodec;

/// Payload bytes of the packets a sender makes itself.
pub const PAYLOAD_BYTES: usize = 1400;

/// A payload in order, as the source sent it or as the muxer made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayPacket {
    /// The RTP payload.
    pub payload: Bytes,
    /// Its RTP time stamp.
    pub timestamp: u32,
    /// The RTP marker.
    pub marker: bool,
    /// Packets missing right before it.
    pub lost_before: u16,
    /// Whether a decoder can start here.
    pub starts_group: bool,
}

/// Cuts a pack of the muxer into packets.
pub fn packetize(
    pack: Vec<u8>,
    timestamp: u32,
    starts_group: bool,
) -> impl Iterator<Item = RelayPacket> {
    let pack = Bytes::from(pack);
    let count = pack.len().div_ceil(PAYLOAD_BYTES);
    (0..count).map(move |n| {
        let begin = n * PAYLOAD_BYTES;
        RelayPacket {
            payload: pack.slice(begin..pack.len().min(begin + PAYLOAD_BYTES)),
            timestamp,
            marker: n + 1 == count,
            lost_before: 0,
            starts_group: starts_group && n == 0,
        }
    })
}

/// Whether this payload begins a pack of a program stream whose picture is a key frame.
///
/// The system header and the map stand before key frames (GB/T 28181-2022 C.2.3), but devices leave them out (trap 39) or
/// repeat them with every picture; so the first NAL units that lie in this payload decide, when there are any.
pub fn starts_key_frame(payload: &[u8], codec: Option<VideoCodec>) -> bool {
    let Some(mut rest) = after_pack_header(payload) else {
        return false;
    };
    let mut has_head = false;
    while let Some((&[0, 0, 1, id], tail)) = rest.split_first_chunk::<4>() {
        let Some(length) = tail.first_chunk::<2>() else {
            break;
        };
        let content = &tail[2..];
        if matches!(id, 0xe0..=0xef) {
            return video_is_key(content, codec).unwrap_or(has_head);
        }
        has_head |= matches!(id, 0xbb | 0xbc);
        let length = usize::from(u16::from_be_bytes(*length));
        let Some(next) = content.get(length..) else {
            break;
        };
        rest = next;
    }
    has_head
}

/// What follows the pack header: 14 bytes and stuffing (ISO/IEC 13818-1 2.5.3.3), or 12 in MPEG-1.
fn after_pack_header(payload: &[u8]) -> Option<&[u8]> {
    let content = payload.strip_prefix(&[0, 0, 1, 0xba])?;
    match content.first()? >> 6 {
        1 => content.get(10 + usize::from(content.get(9)? & 7)..),
        _ => content.get(8..),
    }
}

/// Whether the picture that begins in this PES packet is a key frame; `None` when its first packet does not tell.
fn video_is_key(content: &[u8], codec: Option<VideoCodec>) -> Option<bool> {
    memchr::memmem::find_iter(content, &[0, 0, 1]).find_map(|at| {
        let head = content.get(at + 3..at + 5)?;
        match codec {
            Some(VideoCodec::H264) => match head[0] & 0x1f {
                5 | 7 | 8 => Some(true),
                1..=4 => Some(false),
                _ => None,
            },
            Some(VideoCodec::H265) => match head[0] >> 1 & 0x3f {
                16..=21 | 32..=34 => Some(true),
                0..=15 => Some(false),
                _ => None,
            },
            // An H.264 SPS, or an H.265 VPS or SPS; see the assembler.
            None => match (head[0], head[1]) {
                (0x27 | 0x47 | 0x67, _) | (0x40 | 0x42, 1) => Some(true),
                _ => None,
            },
        }
    })
}

/// The packets of the current group of pictures, bounded in bytes: a group that outgrows the bound is dropped whole.
#[derive(Debug)]
pub struct RelayGroup {
    packets: VecDeque<RelayPacket>,
    bytes: usize,
    max_bytes: usize,
    overflows: u64,
}

impl RelayGroup {
    /// An empty group of at most `max_bytes`.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            packets: VecDeque::new(),
            bytes: 0,
            max_bytes,
            overflows: 0,
        }
    }

    /// The next packet of the source.
    pub fn push(&mut self, packet: &RelayPacket) {
        if packet.starts_group {
            self.clear();
        } else if self.packets.is_empty() {
            return;
        }
        if packet.lost_before > 0 && !packet.starts_group {
            // A late sender would begin with a damaged group; the next one is soon enough.
            return self.clear();
        }
        if self.bytes + packet.payload.len() > self.max_bytes {
            self.overflows += 1;
            return self.clear();
        }
        self.bytes += packet.payload.len();
        self.packets.push_back(packet.clone());
    }

    /// Forgets everything, memory included.
    pub fn clear(&mut self) {
        self.packets = VecDeque::new();
        self.bytes = 0;
    }

    /// The packets, the first of which starts a group.
    pub fn packets(&self) -> impl ExactSizeIterator<Item = &RelayPacket> {
        self.packets.iter()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How often a group was too large.
    pub fn overflows(&self) -> u64 {
        self.overflows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACK: [u8; 14] = [0, 0, 1, 0xba, 0x44, 0, 4, 0, 4, 1, 0, 0, 3, 0xf8];
    const SYSTEM: [u8; 9] = [0, 0, 1, 0xbb, 0, 3, 1, 2, 3];
    const SOUND: [u8; 9] = [0, 0, 1, 0xc0, 0, 3, 0x80, 0, 0];

    fn video(nal: &[u8]) -> Vec<u8> {
        [&[0, 0, 1, 0xe0, 0, 99, 0x80, 0, 0, 0, 0, 0, 1][..], nal].concat()
    }

    fn starts(parts: &[&[u8]], codec: Option<VideoCodec>) -> bool {
        starts_key_frame(&parts.concat(), codec)
    }

    #[test]
    fn the_first_nal_unit_says_what_a_pack_begins_with_whatever_stands_before_it() {
        let h264 = Some(VideoCodec::H264);
        let h265 = Some(VideoCodec::H265);
        let cases: [(&[u8], _, bool); 8] = [
            (&[0x67, 0x64], h264, true),
            (&[0x65, 0x88], h264, true),
            (&[0x41, 0x9a], h264, false),
            (&[0x09, 0xf0, 0, 0, 0, 1, 0x41, 0x9a], h264, false),
            (&[0x06, 0x05, 0, 0, 0, 1, 0x67, 0x64], h264, true),
            (&[0x40, 0x01], h265, true),
            (&[0x26, 0x01], h265, true),
            (&[0x02, 0x01], h265, false),
        ];
        for (nal, codec, is_key) in cases {
            for before in [&[][..], &SYSTEM, &SOUND] {
                assert_eq!(
                    starts(&[&PACK, before, &video(nal)], codec),
                    is_key,
                    "{nal:x?}"
                );
            }
        }
        assert!(starts(&[&PACK, &video(&[0x67, 0x64])], None));
        assert!(!starts(&[&PACK, &video(&[0x41, 0x9a])], None));
    }

    #[test]
    fn without_a_nal_unit_in_reach_the_system_header_decides() {
        assert!(starts(&[&PACK, &SYSTEM], None));
        assert!(!starts(&[&PACK], None));
        assert!(!starts(&[&PACK, &SOUND], None));
    }

    #[test]
    fn what_is_no_pack_starts_nothing() {
        let whole = [&PACK[..], &SYSTEM, &video(&[0x67, 0x64])].concat();
        assert!(!starts_key_frame(&whole[1..], None));
        for length in 0..whole.len() {
            // Cut anywhere: an answer, never a panic.
            starts_key_frame(&whole[..length], Some(VideoCodec::H264));
        }
    }

    fn packet(starts_group: bool, lost_before: u16) -> RelayPacket {
        RelayPacket {
            payload: Bytes::from_static(&[0; 100]),
            timestamp: 0,
            marker: false,
            lost_before,
            starts_group,
        }
    }

    #[test]
    fn a_group_begins_with_its_first_packet_and_stays_within_its_bound() {
        let mut group = RelayGroup::new(350);
        group.push(&packet(false, 0));
        assert_eq!(group.bytes(), 0);
        for starts_group in [true, false, false] {
            group.push(&packet(starts_group, 0));
        }
        assert_eq!((group.packets().len(), group.bytes()), (3, 300));
        group.push(&packet(false, 0));
        assert_eq!((group.bytes(), group.overflows()), (0, 1));
        group.push(&packet(true, 5));
        assert_eq!(group.packets().len(), 1);
        group.push(&packet(false, 1));
        assert_eq!(group.packets().len(), 0, "no group with a hole");
    }

    #[test]
    fn a_pack_is_cut_into_packets_and_the_last_is_marked() {
        let pack: Vec<u8> = (0..3000).map(|n| n as u8).collect();
        let packets: Vec<_> = packetize(pack.clone(), 9, true).collect();
        assert_eq!(
            packets
                .iter()
                .map(|packet| packet.marker)
                .collect::<Vec<_>>(),
            [false, false, true]
        );
        assert_eq!(
            packets
                .iter()
                .map(|packet| packet.starts_group)
                .collect::<Vec<_>>(),
            [true, false, false]
        );
        assert_eq!(
            packets
                .iter()
                .flat_map(|packet| packet.payload.to_vec())
                .collect::<Vec<_>>(),
            pack
        );
    }
}
