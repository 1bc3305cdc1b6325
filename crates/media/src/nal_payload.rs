//! H.264 in RTP (RFC 6184) and H.265 in RTP (RFC 7798), turned back into a byte stream with start codes.
//!
//! Non-interleaved modes only: single NAL units, aggregation packets without DON, fragmentation units.

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Octets that differ between the two payload formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NalFormat {
    /// RFC 6184: one octet of NAL header; STAP-A is 24, FU-A is 28.
    H264,
    /// RFC 7798: two octets of NAL header; AP is 48, FU is 49.
    H265,
}

/// Undoes the packing of one stream.
#[derive(Debug)]
pub struct NalDepacketizer {
    format: NalFormat,
    is_in_fragment: bool,
    /// Packets that could not be read, or fragments without their beginning.
    pub malformed: u64,
}

impl NalDepacketizer {
    /// A depacketiser for one of the formats.
    pub fn new(format: NalFormat) -> Self {
        Self {
            format,
            is_in_fragment: false,
            malformed: 0,
        }
    }

    /// Packets are missing: fragments that follow have no beginning.
    pub fn gap(&mut self) {
        self.is_in_fragment = false;
    }

    /// Takes one RTP payload; gives pieces of the byte stream.
    pub fn push(&mut self, payload: &[u8], sink: &mut impl FnMut(&[u8])) {
        let is_read = match (self.format, payload) {
            (_, []) => return,
            (NalFormat::H264, [header, rest @ ..]) => match header & 0x1f {
                1..=23 => self.single(payload, sink),
                24 => self.aggregate(rest, sink),
                28 => match rest {
                    [fragment, data @ ..] => {
                        self.fragment(*fragment, &[header & 0xe0 | fragment & 0x1f], data, sink)
                    }
                    [] => false,
                },
                _ => false,
            },
            (NalFormat::H265, [first, second, rest @ ..]) => match first >> 1 & 0x3f {
                0..=47 => self.single(payload, sink),
                48 => self.aggregate(rest, sink),
                49 => match rest {
                    [fragment, data @ ..] => self.fragment(
                        *fragment,
                        &[first & 0x81 | (fragment & 0x3f) << 1, *second],
                        data,
                        sink,
                    ),
                    [] => false,
                },
                _ => false,
            },
            (NalFormat::H265, [_]) => false,
        };
        self.malformed += u64::from(!is_read);
    }

    fn single(&mut self, nal: &[u8], sink: &mut impl FnMut(&[u8])) -> bool {
        self.is_in_fragment = false;
        sink(&START_CODE);
        sink(nal);
        true
    }

    fn aggregate(&mut self, mut rest: &[u8], sink: &mut impl FnMut(&[u8])) -> bool {
        self.is_in_fragment = false;
        while let Some((length, data)) = rest.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            let Some(nal) = data.get(..length) else {
                return false;
            };
            if !nal.is_empty() {
                sink(&START_CODE);
                sink(nal);
            }
            rest = &data[length..];
        }
        rest.is_empty()
    }

    fn fragment(
        &mut self,
        fragment: u8,
        header: &[u8],
        data: &[u8],
        sink: &mut impl FnMut(&[u8]),
    ) -> bool {
        if fragment & 0x80 != 0 {
            self.is_in_fragment = true;
            sink(&START_CODE);
            sink(header);
        } else if !self.is_in_fragment {
            return false;
        }
        sink(data);
        self.is_in_fragment &= fragment & 0x40 == 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(format: NalFormat, payloads: &[&[u8]]) -> (Vec<u8>, u64) {
        let mut depacketizer = NalDepacketizer::new(format);
        let mut out = Vec::new();
        for payload in payloads {
            depacketizer.push(payload, &mut |bytes| out.extend_from_slice(bytes));
        }
        (out, depacketizer.malformed)
    }

    #[test]
    fn h264_single_aggregated_and_fragmented() {
        let payloads: [&[u8]; 5] = [
            &[0x67, 1],
            &[0x78, 0, 2, 0x68, 2, 0, 1, 0x06],
            &[0x7c, 0x85, 3],
            &[0x7c, 0x05, 4],
            &[0x7c, 0x45, 5],
        ];
        let expected = [
            0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2, 0, 0, 0, 1, 0x06, 0, 0, 0, 1, 0x65, 3, 4, 5,
        ];
        assert_eq!(run(NalFormat::H264, &payloads), (expected.to_vec(), 0));
    }

    #[test]
    fn h265_single_aggregated_and_fragmented() {
        let payloads: [&[u8]; 4] = [
            &[0x40, 1, 9],
            &[0x60, 1, 0, 3, 0x42, 1, 8],
            &[0x62, 1, 0x93, 3],
            &[0x62, 1, 0x53, 4],
        ];
        let expected = [
            0, 0, 0, 1, 0x40, 1, 9, 0, 0, 0, 1, 0x42, 1, 8, 0, 0, 0, 1, 0x26, 1, 3, 4,
        ];
        assert_eq!(run(NalFormat::H265, &payloads), (expected.to_vec(), 0));
    }

    #[test]
    fn fragments_without_beginning_and_broken_packets_are_counted() {
        assert_eq!(
            run(
                NalFormat::H264,
                &[&[0x7c, 0x05, 4], &[0x7c], &[0x78, 0, 9, 1], &[0x1f]]
            )
            .1,
            4
        );
        assert_eq!(run(NalFormat::H265, &[&[0x62], &[0x62, 1, 0x13, 4]]).1, 2);
    }
}
