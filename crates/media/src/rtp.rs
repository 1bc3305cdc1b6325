//! RTP packets (RFC 3550 5.1), validated once and read in place.

use std::ops::Range;

/// Shortest RTP header.
pub const MIN_HEADER: usize = 12;

/// Why a datagram is not an RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtpError {
    /// Shorter than its own header says.
    Truncated,
    /// The version field is not 2.
    Version,
    /// The padding count is zero or larger than the payload.
    Padding,
}

/// One RTP packet.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |V=2|P|X|  CC   |M|     PT      |       sequence number         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                           timestamp                           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |           synchronization source (SSRC) identifier            |
/// +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
/// |            contributing source (CSRC) identifiers             |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |      defined by profile       |  extension length in words    |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                          payload ...            padding, count|
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug)]
pub struct RtpPacket<'a> {
    raw: &'a [u8],
    payload: Range<usize>,
}

impl<'a> RtpPacket<'a> {
    /// Checks the header, its CSRC list, extension and padding against the length of `raw`.
    #[inline]
    pub fn parse(raw: &'a [u8]) -> Result<Self, RtpError> {
        if raw.len() < MIN_HEADER {
            return Err(RtpError::Truncated);
        }
        let first = raw[0];
        if first >> 6 != 2 {
            return Err(RtpError::Version);
        }
        // Plain header without CSRC, extension or padding: nearly every packet.
        if first == 0x80 {
            return Ok(Self {
                raw,
                payload: MIN_HEADER..raw.len(),
            });
        }
        let mut start = MIN_HEADER + usize::from(first & 0x0f) * 4;
        if first & 0x10 != 0 {
            let head = raw.get(start..start + 4).ok_or(RtpError::Truncated)?;
            start += 4 + usize::from(u16::from_be_bytes([head[2], head[3]])) * 4;
        }
        let mut end = raw.len();
        if start > end {
            return Err(RtpError::Truncated);
        }
        if first & 0x20 != 0 {
            let padding = usize::from(raw[end - 1]);
            if padding == 0 || padding > end - start {
                return Err(RtpError::Padding);
            }
            end -= padding;
        }
        Ok(Self {
            raw,
            payload: start..end,
        })
    }

    /// The marker bit: by GB/T 28181 practice the last packet of a picture, if the camera can be believed.
    pub fn marker(&self) -> bool {
        self.raw[1] & 0x80 != 0
    }

    /// The payload type, 0 to 127.
    pub fn payload_type(&self) -> u8 {
        self.raw[1] & 0x7f
    }

    /// The sequence number.
    pub fn sequence(&self) -> u16 {
        u16::from_be_bytes([self.raw[2], self.raw[3]])
    }

    /// The media timestamp.
    pub fn timestamp(&self) -> u32 {
        u32::from_be_bytes([self.raw[4], self.raw[5], self.raw[6], self.raw[7]])
    }

    /// The synchronisation source.
    pub fn ssrc(&self) -> u32 {
        u32::from_be_bytes([self.raw[8], self.raw[9], self.raw[10], self.raw[11]])
    }

    /// The payload without header, extension and padding.
    pub fn payload(&self) -> &'a [u8] {
        &self.raw[self.payload.clone()]
    }

    /// The whole packet as received.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

/// Whether `raw` is an RTCP packet (RFC 3550 6.4, types 200 to 207) and not RTP.
///
/// The RFC 5761 rule (second octet 192 to 223) is too wide here: payload types such as 69 with the
/// marker set are seen from cameras. The length field must fit as well.
#[inline]
pub fn is_rtcp(raw: &[u8]) -> bool {
    raw.len() >= 8
        && raw[0] >> 6 == 2
        && (200..=207).contains(&raw[1])
        && (usize::from(u16::from_be_bytes([raw[2], raw[3]])) + 1) * 4 <= raw.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(first: u8, extra: &[u8]) -> Vec<u8> {
        let mut raw = vec![first, 0xe0, 0x12, 0x34, 0, 0, 0x0e, 0x10, 0, 0, 0, 7];
        raw.extend_from_slice(extra);
        raw
    }

    #[test]
    fn plain_header_fields_are_read() {
        let raw = packet(0x80, b"payload");
        let rtp = RtpPacket::parse(&raw).unwrap();
        assert!(rtp.marker());
        assert_eq!(rtp.payload_type(), 96);
        assert_eq!(rtp.sequence(), 0x1234);
        assert_eq!(rtp.timestamp(), 3600);
        assert_eq!(rtp.ssrc(), 7);
        assert_eq!(rtp.payload(), b"payload");
    }

    #[test]
    fn csrc_extension_and_padding_are_stripped() {
        let mut extra = vec![0, 0, 0, 9]; // one CSRC
        extra.extend_from_slice(&[0xbe, 0xde, 0, 1, 1, 2, 3, 4]); // one word of extension
        extra.extend_from_slice(b"ok");
        extra.extend_from_slice(&[0, 0, 3]); // three octets of padding
        let raw = packet(0x80 | 0x20 | 0x10 | 1, &extra);
        assert_eq!(RtpPacket::parse(&raw).unwrap().payload(), b"ok");
    }

    #[test]
    fn contradicting_lengths_are_refused() {
        assert_eq!(
            RtpPacket::parse(&[0x80; 11]).unwrap_err(),
            RtpError::Truncated
        );
        assert_eq!(
            RtpPacket::parse(&packet(0x40, b"")).unwrap_err(),
            RtpError::Version
        );
        assert_eq!(
            RtpPacket::parse(&packet(0x8f, b"")).unwrap_err(),
            RtpError::Truncated
        );
        assert_eq!(
            RtpPacket::parse(&packet(0x90, &[0, 0, 0xff, 0xff])).unwrap_err(),
            RtpError::Truncated
        );
        assert_eq!(
            RtpPacket::parse(&packet(0xa0, &[1, 9])).unwrap_err(),
            RtpError::Padding
        );
        assert_eq!(
            RtpPacket::parse(&packet(0xa0, &[1, 0])).unwrap_err(),
            RtpError::Padding
        );
    }

    #[test]
    fn rtcp_is_told_from_rtp_with_unusual_payload_types() {
        assert!(is_rtcp(&[
            0x80, 200, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
        ]));
        // Payload type 69 with marker is 0xc5.
        assert!(!is_rtcp(&[0x80, 0xc5, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]));
        // Payload type 72 with marker shares the octet 200, but the "length" does not fit.
        assert!(!is_rtcp(&[0x80, 200, 0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 1]));
    }
}
