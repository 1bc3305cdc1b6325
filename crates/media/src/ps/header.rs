//! Headers of a program stream, each read whole or asked for again with more bytes.

use crate::timeline::DeviceTime;

/// Longest map kept; ISO/IEC 13818-1 2.5.4.1 allows 1018 bytes.
const MAX_MAP: usize = 4096;

/// What begins at a start code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header<'a> {
    /// Pack header with its stuffing.
    Pack,
    /// `MPEG_program_end_code`.
    End,
    /// Program stream map: the bytes after its length field.
    Map(&'a [u8]),
    /// A packet whose `length` bytes after this header are of no use here.
    Skip {
        /// Its stream id.
        id: u8,
        /// Bytes to pass over.
        length: usize,
    },
    /// Packet header of an elementary stream.
    Pes(Pes),
}

/// A PES packet header (2.4.3.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pes {
    /// `stream_id`.
    pub id: u8,
    /// Its time stamps.
    pub time: Option<DeviceTime>,
    /// Bytes of payload, or `None` when the length is not declared.
    pub payload: Option<usize>,
    /// Whether it contradicts itself.
    pub is_damaged: bool,
}

/// The outcome of looking at the beginning of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A header of `length` bytes.
    Header {
        /// What it says.
        header: Header<'a>,
        /// Its bytes, from the start code on.
        length: usize,
    },
    /// This many bytes are needed to say more.
    Need(usize),
    /// No start code of the system layer.
    Invalid,
}

/// Reads the header at the beginning of `data`. Never asks for more than it will use.
#[inline]
pub fn parse(data: &[u8]) -> Parsed<'_> {
    const PREFIX: [u8; 3] = [0, 0, 1];
    let seen = data.len().min(3);
    if data[..seen] != PREFIX[..seen] {
        return Parsed::Invalid;
    }
    let Some(&id) = data.get(3) else {
        return Parsed::Need(4);
    };
    match id {
        0xba => parse_pack(data),
        0xb9 => Parsed::Header {
            header: Header::End,
            length: 4,
        },
        0xbc => parse_map(data),
        0xc0..=0xef => parse_pes(data, id),
        0xbb | 0xbd..=0xbf | 0xf0.. => parse_skip(data, id),
        ..0xb9 => Parsed::Invalid,
    }
}

fn parse_pack(data: &[u8]) -> Parsed<'_> {
    let Some(&first) = data.get(4) else {
        return Parsed::Need(5);
    };
    // ISO/IEC 11172-1 packs begin with 0010 and are shorter.
    if first >> 4 == 2 {
        return whole(data, 12, Header::Pack);
    }
    let Some(&stuffing) = data.get(13) else {
        return Parsed::Need(14);
    };
    whole(data, 14 + usize::from(stuffing & 7), Header::Pack)
}

fn whole<'a>(data: &'a [u8], length: usize, header: Header<'a>) -> Parsed<'a> {
    if data.len() < length {
        return Parsed::Need(length);
    }
    Parsed::Header { header, length }
}

fn packet_length(data: &[u8]) -> Option<usize> {
    let octets = data.get(4..)?.first_chunk::<2>()?;
    Some(usize::from(u16::from_be_bytes(*octets)))
}

fn parse_map(data: &[u8]) -> Parsed<'_> {
    let Some(length) = packet_length(data) else {
        return Parsed::Need(6);
    };
    if length > MAX_MAP {
        return parse_skip(data, 0xbc);
    }
    match data.get(6..6 + length) {
        Some(content) => Parsed::Header {
            header: Header::Map(content),
            length: 6 + length,
        },
        None => Parsed::Need(6 + length),
    }
}

fn parse_skip(data: &[u8], id: u8) -> Parsed<'_> {
    match packet_length(data) {
        Some(length) => Parsed::Header {
            header: Header::Skip { id, length },
            length: 6,
        },
        None => Parsed::Need(6),
    }
}

#[inline]
fn parse_pes(data: &[u8], id: u8) -> Parsed<'_> {
    let Some(declared) = packet_length(data) else {
        return Parsed::Need(6);
    };
    let damaged = |payload| Parsed::Header {
        header: Header::Pes(Pes {
            id,
            time: None,
            payload,
            is_damaged: true,
        }),
        length: 6,
    };
    // Three bytes of flags and header length follow, unless the packet is too short to hold them.
    if declared != 0 && declared < 3 {
        return damaged(Some(declared));
    }
    let Some(&[marker, flags, header_length]) =
        data.get(6..).and_then(|rest| rest.first_chunk::<3>())
    else {
        return Parsed::Need(9);
    };
    let mut header_length = usize::from(header_length);
    let undeclared = declared == 0;
    if marker >> 6 == 3
        && let Some(parsed) = parse_short_pes(data, id, declared)
    {
        return parsed;
    }
    if marker >> 6 != 2 || (!undeclared && declared < 3 + header_length) {
        // The assembler leaves out what lies before the first start code of the payload.
        return damaged((!undeclared).then_some(declared));
    }
    let needed = match flags >> 6 {
        2 => 5,
        3 => 10,
        _ => 0,
    };
    // Devices write the header length in another octet or not at all (Mi-Bee-Studio/MiBeeNvr#326).
    let mut is_damaged = header_length < needed;
    if is_damaged {
        header_length = needed;
    }
    let length = 9 + header_length;
    let Some(optional) = data.get(9..length) else {
        return Parsed::Need(length);
    };
    if header_length > needed {
        // A start code among the optional bytes, possibly ending behind them, means that the payload begins there.
        let mut end = length;
        if optional.last() == Some(&0) {
            end += 3;
        }
        let Some(search) = data.get(9 + needed..end) else {
            return Parsed::Need(end);
        };
        if let Some(at) = memchr::memmem::find(search, &[0, 0, 1])
            && needed + at < header_length
        {
            header_length = needed + at;
            is_damaged = true;
        }
    }
    Parsed::Header {
        header: Header::Pes(Pes {
            id,
            time: parse_time(flags >> 6, optional),
            payload: (!undeclared).then(|| declared.saturating_sub(3 + header_length)),
            is_damaged,
        }),
        length: 9 + header_length,
    }
}

/// A header without its first octet of flags: it begins with `PTS_DTS_flags` 3, both time stamps with all their marker bits follow, and the
/// payload is a byte more (gb28181-rs 0.14). `None` when it is not that.
fn parse_short_pes(data: &[u8], id: u8, declared: usize) -> Option<Parsed<'static>> {
    const STAMPS: usize = 10;
    let &[_, header_length] = data.get(6..)?.first_chunk::<2>()?;
    let length = 8 + usize::from(header_length);
    if usize::from(header_length) < STAMPS || (declared != 0 && declared < length - 6) {
        return None;
    }
    let Some(optional) = data.get(8..length) else {
        return Some(Parsed::Need(length));
    };
    let is_stamp = |at: usize, prefix: u8| {
        let octets = &optional[at..at + 5];
        octets[0] >> 4 == prefix && octets[0] & octets[2] & octets[4] & 1 == 1
    };
    (is_stamp(0, 3) && is_stamp(5, 1)).then(|| Parsed::Header {
        header: Header::Pes(Pes {
            id,
            time: parse_time(3, optional),
            payload: (declared != 0).then(|| declared + 6 - length),
            is_damaged: true,
        }),
        length,
    })
}

/// PTS and DTS by `PTS_DTS_flags` (2.4.3.7).
#[inline]
fn parse_time(flags: u8, optional: &[u8]) -> Option<DeviceTime> {
    if flags < 2 {
        return None;
    }
    let pts = parse_stamp(optional.first_chunk::<5>()?);
    let dts = if flags == 3 {
        optional.get(5..).and_then(|rest| rest.first_chunk::<5>())
    } else {
        None
    };
    Some(DeviceTime {
        pts,
        dts: dts.map(parse_stamp),
    })
}

/// 33 bits in five octets. Marker bits are not insisted on: devices leave them out.
fn parse_stamp(octets: &[u8; 5]) -> u64 {
    let [a, b, c, d, e] = octets.map(u64::from);
    (a >> 1 & 7) << 30 | b << 22 | c >> 1 << 15 | d << 7 | e >> 1
}
