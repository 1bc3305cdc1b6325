//! Pictures and sound on a socket between the core and a program beside it. Sans-I/O.
//!
//! ```text
//! frame = length of the payload (4) | kind (1) | flags (1) | PTS (8) | DTS (8) | payload        all big-endian
//! kind    1 H.264, 2 H.265: an access unit in Annex B form, parameter sets in front of every key frame
//!         3 G.711 A-law, 4 G.711 mu-law, 5 AAC in ADTS frames
//! flags   1 decoding may start here; 2 something was left out in front of this picture;
//!         4 a newer picture follows at once: this one is only there to be decoded
//! times   90 kHz; that of the DTS is the PTS again for sound
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use crate::access_unit::AccessUnit;
use crate::audio::{AudioCodec, AudioFrame};
use crate::parameters::{VideoCodec, VideoParameters};

/// Bytes before a payload.
pub const HEAD: usize = 22;
/// The largest payload taken; a picture of the core is no larger.
pub const PAYLOAD_MAX: usize = 4 << 20;

const KEY: u8 = 1;
const GAP: u8 = 2;
const STALE: u8 = 4;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A picture.
    Video(VideoCodec),
    /// Sound.
    Audio(AudioCodec),
}

impl Kind {
    fn from_code(code: u8) -> Option<Kind> {
        Some(match code {
            1 => Kind::Video(VideoCodec::H264),
            2 => Kind::Video(VideoCodec::H265),
            3 => Kind::Audio(AudioCodec::G711A),
            4 => Kind::Audio(AudioCodec::G711U),
            5 => Kind::Audio(AudioCodec::Aac),
            _ => return None,
        })
    }

    fn code(self) -> Option<u8> {
        Some(match self {
            Kind::Video(VideoCodec::H264) => 1,
            Kind::Video(VideoCodec::H265) => 2,
            Kind::Audio(AudioCodec::G711A) => 3,
            Kind::Audio(AudioCodec::G711U) => 4,
            Kind::Audio(AudioCodec::Aac) => 5,
            Kind::Audio(AudioCodec::Other(_)) => return None,
        })
    }
}

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What it is.
    pub kind: Kind,
    /// Decoding may start here.
    pub is_key_frame: bool,
    /// Something is missing in front of it.
    pub follows_gap: bool,
    /// Newer pictures follow at once.
    pub is_stale: bool,
    /// Presentation time, 90 kHz.
    pub pts: i64,
    /// Decoding time, 90 kHz.
    pub dts: i64,
}

impl Head {
    /// The head as it stands on the socket; `None` for what has no code.
    pub fn to_bytes(self, length: usize) -> Option<[u8; HEAD]> {
        let code = self.kind.code()?;
        let length = u32::try_from(length)
            .ok()
            .filter(|&length| length as usize <= PAYLOAD_MAX)?;
        let mut bytes = [0; HEAD];
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        bytes[4] = code;
        bytes[5] = (u8::from(self.is_key_frame) * KEY)
            | (u8::from(self.follows_gap) * GAP)
            | (u8::from(self.is_stale) * STALE);
        bytes[6..14].copy_from_slice(&self.pts.to_be_bytes());
        bytes[14..].copy_from_slice(&self.dts.to_be_bytes());
        Some(bytes)
    }

    fn parse(bytes: &[u8; HEAD]) -> Option<(Head, usize)> {
        let [l0, l1, l2, l3, code, flags, times @ ..] = *bytes;
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        let (pts, dts) = times.split_first_chunk::<8>()?;
        let head = Head {
            kind: Kind::from_code(code)?,
            is_key_frame: flags & KEY != 0,
            follows_gap: flags & GAP != 0,
            is_stale: flags & STALE != 0,
            pts: i64::from_be_bytes(*pts),
            dts: i64::from_be_bytes(dts.try_into().ok()?),
        };
        let is_known = flags & !(KEY | GAP | STALE) == 0;
        (is_known && (1..=PAYLOAD_MAX).contains(&length)).then_some((head, length))
    }
}

/// A picture as a frame.
pub fn picture(
    unit: &AccessUnit,
    parameters: &VideoParameters,
    follows_gap: bool,
    is_stale: bool,
) -> Option<Bytes> {
    let sets: &[Bytes] = match unit.is_key_frame {
        true => &parameters.parameter_sets,
        false => &[],
    };
    let nals = || sets.iter().map(|set| &set[..]).chain(unit.nal_units());
    let length = nals().map(|nal| nal.len() + 4).sum();
    let head = Head {
        kind: Kind::Video(unit.codec),
        is_key_frame: unit.is_key_frame,
        follows_gap,
        is_stale,
        pts: unit.pts,
        dts: unit.dts,
    };
    let mut bytes = BytesMut::with_capacity(HEAD + length);
    bytes.put_slice(&head.to_bytes(length)?);
    for nal in nals() {
        bytes.put_slice(&[0, 0, 0, 1]);
        bytes.put_slice(nal);
    }
    Some(bytes.freeze())
}

/// Sound as a frame; `None` for a coding that has no code, or AAC too long for an ADTS frame.
pub fn sound(frame: &AudioFrame) -> Option<Bytes> {
    let adts = match frame.aac {
        Some(aac) => Some(aac.adts_header(frame.data.len())?),
        None => None,
    };
    let adts = adts.as_ref().map_or(&[][..], |adts| adts);
    let head = Head {
        kind: Kind::Audio(frame.codec),
        is_key_frame: false,
        follows_gap: false,
        is_stale: false,
        pts: frame.pts,
        dts: frame.pts,
    };
    let length = adts.len() + frame.data.len();
    let mut bytes = BytesMut::with_capacity(HEAD + length);
    bytes.put_slice(&head.to_bytes(length)?);
    bytes.put_slice(adts);
    bytes.put_slice(&frame.data);
    Some(bytes.freeze())
}

/// What came is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAFrame;

/// Cuts what a socket brings into frames.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
}

impl Reader {
    /// Takes the next bytes, any split, and gives every whole frame to `each`. After an error nothing more can be read.
    pub fn push(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(Head, &[u8]),
    ) -> Result<(), NotAFrame> {
        self.bytes.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(head) = self.bytes[at..].first_chunk::<HEAD>() {
            let (head, length) = Head::parse(head).ok_or(NotAFrame)?;
            let begin = at + HEAD;
            let Some(payload) = self.bytes.get(begin..begin + length) else {
                break;
            };
            each(head, payload);
            at = begin + length;
        }
        self.bytes.drain(..at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(kind: Kind) -> Head {
        Head {
            kind,
            is_key_frame: true,
            follows_gap: false,
            is_stale: true,
            pts: -7,
            dts: 1 << 40,
        }
    }

    fn framed(head: Head, payload: &[u8]) -> Vec<u8> {
        [&head.to_bytes(payload.len()).unwrap()[..], payload].concat()
    }

    fn read(pieces: &[&[u8]]) -> Result<Vec<(Head, Vec<u8>)>, NotAFrame> {
        let (mut reader, mut found) = (Reader::default(), Vec::new());
        for piece in pieces {
            reader.push(piece, |head, payload| found.push((head, payload.to_vec())))?;
        }
        Ok(found)
    }

    #[test]
    fn frames_come_back_whole_however_they_are_split() {
        let kinds = [
            Kind::Video(VideoCodec::H264),
            Kind::Video(VideoCodec::H265),
            Kind::Audio(AudioCodec::G711A),
            Kind::Audio(AudioCodec::G711U),
            Kind::Audio(AudioCodec::Aac),
        ];
        let all: Vec<u8> = kinds
            .iter()
            .flat_map(|&kind| framed(head(kind), &[9; 40]))
            .collect();
        for size in [1, 7, HEAD, 61, all.len()] {
            let found = read(&all.chunks(size).collect::<Vec<_>>()).unwrap();
            let expected: Vec<_> = kinds
                .iter()
                .map(|&kind| (head(kind), vec![9; 40]))
                .collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_is_no_frame_is_refused_before_anything_is_kept_for_it() {
        let good = framed(head(Kind::Video(VideoCodec::H264)), &[1]);
        let with = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            bytes
        };
        assert_eq!(read(&[&with(4, 0)]), Err(NotAFrame), "no such kind");
        assert_eq!(read(&[&with(4, 6)]), Err(NotAFrame), "no such kind");
        assert_eq!(read(&[&with(5, 8)]), Err(NotAFrame), "no such flag");
        assert_eq!(read(&[&with(0, 1)]), Err(NotAFrame), "16 MiB");
        assert_eq!(read(&[&with(3, 0)]), Err(NotAFrame), "nothing in it");
        let unknown = head(Kind::Audio(AudioCodec::Other(3)));
        assert_eq!(unknown.to_bytes(1), None);
        assert_eq!(
            head(Kind::Video(VideoCodec::H264)).to_bytes(PAYLOAD_MAX + 1),
            None
        );
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..20)) {
            let pieces: Vec<&[u8]> = pieces.iter().map(|piece| &piece[..]).collect();
            let _either = read(&pieces);
        }
    }
}
