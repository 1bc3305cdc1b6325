//! The program stream map (ISO/IEC 13818-1 2.5.4), read as far as it makes sense.

/// Streams kept from a map; devices announce two or three.
const MAX_STREAMS: usize = 16;

/// `stream_type` values with a meaning here (GB/T 28181-2022 Annex C; ISO/IEC 13818-1 table 2-34).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamType {
    /// 0x1B.
    H264,
    /// 0x24.
    H265,
    /// 0x0F, ADTS.
    Aac,
    /// 0x90.
    G711A,
    /// 0x91.
    G711U,
    /// Video the core does not know: MPEG-4 (0x10), SVAC (0x80).
    OtherVideo(u8),
    /// Anything else.
    Other(u8),
}

impl From<u8> for StreamType {
    fn from(value: u8) -> Self {
        match value {
            0x1b => Self::H264,
            0x24 => Self::H265,
            0x0f => Self::Aac,
            0x90 => Self::G711A,
            0x91 => Self::G711U,
            0x01 | 0x02 | 0x10 | 0x80 => Self::OtherVideo(value),
            _ => Self::Other(value),
        }
    }
}

/// What the last readable map announced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamMap {
    streams: Vec<(u8, u8)>,
}

impl StreamMap {
    /// The announced `stream_type` of a stream id.
    pub fn stream_type(&self, id: u8) -> Option<u8> {
        self.streams
            .iter()
            .find(|(of, _)| *of == id)
            .map(|&(_, kind)| kind)
    }

    /// `(elementary_stream_id, stream_type)` in the order of the map.
    pub fn streams(&self) -> &[(u8, u8)] {
        &self.streams
    }

    /// Whether a video stream of an unknown kind is announced and none of a known one.
    pub fn has_only_unknown_video(&self) -> bool {
        let kinds = || self.streams.iter().map(|&(_, kind)| StreamType::from(kind));
        kinds().any(|kind| matches!(kind, StreamType::OtherVideo(_)))
            && !kinds().any(|kind| matches!(kind, StreamType::H264 | StreamType::H265))
    }

    /// Reads the bytes after `program_stream_map_length`. Lengths that lead outside end the reading, they do not undo it; the CRC is not
    /// checked. A map in which nothing is found leaves the last one in force and returns false.
    pub fn read(&mut self, content: &[u8]) -> bool {
        let streams = read_streams(content).unwrap_or_default();
        if streams.is_empty() {
            return false;
        }
        self.streams = streams;
        true
    }
}

fn read_streams(content: &[u8]) -> Option<Vec<(u8, u8)>> {
    let info_length = read_u16(content.get(2..)?)?;
    let map = content.get(4 + info_length..)?;
    let declared = read_u16(map)?;
    let map = map.get(2..)?;
    // CRC_32 stands at the end; a wrong elementary_stream_map_length must not run into it.
    let limit = map.len().saturating_sub(4);
    let mut map = &map[..declared.min(limit)];
    let mut streams = Vec::new();
    while let Some(&[kind, id]) = map.first_chunk::<2>() {
        if streams.len() < MAX_STREAMS && id >= 0xbd {
            streams.push((id, kind));
        }
        let Some(rest) = map
            .get(2..)
            .and_then(read_u16)
            .and_then(|length| map.get(4 + length..))
        else {
            break;
        };
        map = rest;
    }
    Some(streams)
}

fn read_u16(data: &[u8]) -> Option<usize> {
    data.first_chunk::<2>()
        .map(|octets| usize::from(u16::from_be_bytes(*octets)))
}
