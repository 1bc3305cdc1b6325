//! What an RTP payload carries, told by looking at it.
//!
//! Neither the payload type (96, 100, 69, 40 are seen for the same program stream) nor the SDP can be relied on.

use memchr::memmem;

use crate::{h264, h265};

const TS_PACKET: usize = 188;

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

impl PayloadFormat {
    /// The stable word: `ps`, `ts`, `byte_stream`, `rtp_h264`, `rtp_h265`.
    pub fn word(self) -> &'static str {
        match self {
            Self::ProgramStream => "ps",
            Self::TransportStream => "ts",
            Self::ByteStream => "byte_stream",
            Self::RtpH264 => "rtp_h264",
            Self::RtpH265 => "rtp_h265",
        }
    }

    /// Looks at one payload; `None` when it shows nothing typical. A stream joined in the middle of a picture is told
    /// at the next pack, packet or parameter set.
    pub fn detect(payload: &[u8]) -> Option<Self> {
        if memmem::find(payload, &[0, 0, 1, 0xba]).is_some() {
            return Some(Self::ProgramStream);
        }
        if is_transport_stream(payload) {
            return Some(Self::TransportStream);
        }
        if let Some(nal) = payload
            .strip_prefix(&[0, 0, 0, 1])
            .or(payload.strip_prefix(&[0, 0, 1]))
        {
            return begins_sequence(nal).then_some(Self::ByteStream);
        }
        detect_nal_units(payload)
    }
}

fn is_transport_stream(payload: &[u8]) -> bool {
    payload.len() >= TS_PACKET
        && payload.len().is_multiple_of(TS_PACKET)
        && payload.iter().step_by(TS_PACKET).all(|&byte| byte == 0x47)
}

/// A parameter set or delimiter with which a coded sequence begins.
fn begins_sequence(nal: &[u8]) -> bool {
    matches!(
        nal,
        [0x27 | 0x47 | 0x67 | 0x09, _, ..] | [0x40 | 0x42 | 0x46, 0x01, ..]
    )
}

/// RFC 6184 and RFC 7798: parameter sets come as single NAL units or first in an aggregation packet.
fn detect_nal_units(payload: &[u8]) -> Option<PayloadFormat> {
    let h264 = match payload {
        [header, _, _, rest @ ..] if h264::nal_type(*header) == 24 => rest,
        _ => payload,
    };
    if h264::parse_sps(h264).is_some() {
        return Some(PayloadFormat::RtpH264);
    }
    match payload {
        // A VPS: id, then base layer flags 11, no reserved layers (7.3.2.1).
        [0x40, 0x01, first, second, ..] if first & 0x0c == 0x0c && second & 0xf0 == 0 => {
            Some(PayloadFormat::RtpH265)
        }
        [0x60, 0x01, _, _, 0x40 | 0x42, 0x01, ..] => Some(PayloadFormat::RtpH265),
        _ => h265::parse_sps(payload)
            .filter(|_| payload.get(1) == Some(&1))
            .map(|_| PayloadFormat::RtpH265),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_content() {
        assert_eq!(
            PayloadFormat::detect(&[0, 0, 1, 0xba, 0x44]),
            Some(PayloadFormat::ProgramStream)
        );
        assert_eq!(
            PayloadFormat::detect(&[9, 9, 0, 0, 1, 0xba]),
            Some(PayloadFormat::ProgramStream)
        );
        let mut packets = vec![0xff; 7 * TS_PACKET];
        packets
            .iter_mut()
            .step_by(TS_PACKET)
            .for_each(|byte| *byte = 0x47);
        assert_eq!(
            PayloadFormat::detect(&packets),
            Some(PayloadFormat::TransportStream)
        );
        assert_eq!(
            PayloadFormat::detect(&[0, 0, 0, 1, 0x67, 0x64, 0]),
            Some(PayloadFormat::ByteStream)
        );
        assert_eq!(
            PayloadFormat::detect(&[0, 0, 0, 1, 0x40, 1, 0xc]),
            Some(PayloadFormat::ByteStream)
        );
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
        assert_eq!(PayloadFormat::detect(&sps), Some(PayloadFormat::RtpH264));
        let aggregated = [&[0x78, 0, 8][..], &sps].concat();
        assert_eq!(
            PayloadFormat::detect(&aggregated),
            Some(PayloadFormat::RtpH264)
        );
        assert_eq!(
            PayloadFormat::detect(&[0x40, 1, 0x0c, 1, 0xff]),
            Some(PayloadFormat::RtpH265)
        );
    }

    #[test]
    fn the_middle_of_a_picture_tells_nothing() {
        assert_eq!(PayloadFormat::detect(&[0x7c, 0x05, 0x88, 0x84]), None);
        assert_eq!(PayloadFormat::detect(&[]), None);
        assert_eq!(PayloadFormat::detect(&[0x47; 100]), None);
    }
}
