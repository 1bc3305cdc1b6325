//! Finished segments for those who play them: where each picture lies in the file, and when it is shown.
//!
//! [`groups`] reads the index at the end of a segment only (three reads, however long it is): enough to play, to seek
//! and to go backwards by key frames. [`fragments`] walks over the whole file and tells every fragment. Both believe
//! nothing that the file does not bear out.

use std::fs::File;
use std::io::{self, Error, ErrorKind};
use std::path::Path;

use super::scan::{self, Fragment, HEAD_MAX, Scan, VIDEO_TRACK, children, inside, number, word};
use crate::fmp4::TIMESCALE;

/// A segment of so many fragments is refused: an hour of 100 pictures a second with sound has fewer.
pub const FRAGMENTS_MAX: usize = 1 << 19;
/// The head of a box.
pub(super) const HEAD: u64 = 8;

/// What a player must know before it asks for bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the file.
    pub length: u64,
    /// Bytes of `ftyp` and `moov` at its beginning.
    pub init: u64,
    /// RFC 6381 names of what is in it, such as `avc1.64001f,mp4a.40.2`; empty for sound that has none.
    pub codecs: Codecs,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Ticks a second of the track of sound; nought without one.
    pub audio_timescale: u32,
}

/// RFC 6381 names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codecs {
    /// `avc1...` or `hvc1...`.
    pub video: String,
    /// `mp4a...`, `alaw` or `ulaw`; empty without sound.
    pub audio: String,
}

/// A key frame with what follows it, up to the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// When its key frame is shown, microseconds from the beginning of the segment.
    pub begin_us: u64,
    /// Where it begins in the file.
    pub offset: u64,
    /// Its bytes.
    pub bytes: u64,
}

/// One `moof` with its `mdat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where it begins in the file.
    pub offset: u64,
    /// Its bytes.
    pub bytes: u64,
    /// When its first sample is shown, microseconds from the beginning of the segment.
    pub begin_us: u64,
    /// How long it lasts, microseconds.
    pub duration_us: u64,
    /// Whether it begins with a key frame.
    pub is_key_frame: bool,
    /// Whether it is sound.
    pub is_audio: bool,
}

/// The groups of pictures of a segment. From its index; where that is not what it should be, from the fragments.
pub fn groups(path: &Path) -> io::Result<(Head, Vec<Group>)> {
    let file = File::open(path)?;
    let head = head(&file)?;
    let found = match indexed(&file, &head)? {
        Some(found) => found,
        None => grouped(&walk(&file, &head)?),
    };
    Ok((head, found))
}

/// Every whole fragment of a segment, finished or not.
pub fn fragments(path: &Path) -> io::Result<(Head, Vec<Place>)> {
    let file = File::open(path)?;
    let head = head(&file)?;
    let found = walk(&file, &head)?;
    Ok((head, found))
}

pub(super) fn unreadable(what: &str) -> Error {
    Error::new(
        ErrorKind::InvalidData,
        format!("not a readable segment: {what}"),
    )
}

/// `ftyp` and `moov`.
pub(super) struct Beginning {
    /// Bytes of the file.
    length: u64,
    /// Bytes of both boxes.
    init: u64,
    /// The content of `moov`.
    pub moov: Vec<u8>,
}

pub(super) fn beginning(file: &File) -> io::Result<Beginning> {
    let length = file.metadata()?.len();
    let Some((kind, first)) = scan::head(file, 0, length)? else {
        return Err(unreadable("no box at its beginning"));
    };
    if &kind != b"ftyp" {
        return Err(unreadable("no ftyp"));
    }
    let Some((kind, size)) = scan::head(file, first, length)? else {
        return Err(unreadable("no moov"));
    };
    let moov = if &kind == b"moov" {
        scan::read(file, first + HEAD..first + size)?
    } else {
        None
    };
    let moov = moov.ok_or_else(|| unreadable("no moov"))?;
    let init = first + size;
    Ok(Beginning { length, init, moov })
}

fn head(file: &File) -> io::Result<Head> {
    let Beginning { length, init, moov } = beginning(file)?;
    let head = Head::of(&moov, init).ok_or_else(|| unreadable("no picture in moov"))?;
    Ok(Head { length, ..head })
}

impl Head {
    /// What the content of a `moov` says that ends there; `None` when it has no picture.
    pub(super) fn of(moov: &[u8], end: u64) -> Option<Head> {
        let mut told = Scan::default();
        scan::describe(moov, &mut told);
        let codecs = codecs(moov);
        (!codecs.video.is_empty()).then(|| Head {
            length: end,
            init: end,
            codecs,
            width: told.width,
            height: told.height,
            audio_timescale: audio_timescale(moov),
        })
    }
}

fn codecs(moov: &[u8]) -> Codecs {
    let mut names = Codecs::default();
    for track in children(moov, b"trak") {
        let Some(stsd) = inside(track, &[b"mdia", b"minf", b"stbl", b"stsd"]) else {
            continue;
        };
        // A VisualSampleEntry has 78 octets before its boxes, an AudioSampleEntry 28 (12.1.3, 12.2.3).
        let within = |kind: &'static [u8; 4], before: usize| {
            children(stsd.get(8..)?, kind)
                .next()
                .and_then(|entry| entry.get(before..))
        };
        if let Some(record) = within(b"avc1", 78).and_then(|entry| inside(entry, &[b"avcC"])) {
            names.video = avc(record).unwrap_or_default();
        } else if let Some(record) = within(b"hvc1", 78).and_then(|entry| inside(entry, &[b"hvcC"]))
        {
            names.video = hevc(record).unwrap_or_default();
        } else if let Some(esds) = within(b"mp4a", 28).and_then(|entry| inside(entry, &[b"esds"])) {
            // The object type is the first five bits of the AudioSpecificConfig, last of the DecoderConfigDescriptor.
            let config = esds.windows(3).find(|octets| octets[..2] == [0x05, 2]);
            let kind = config.map_or(2, |octets| octets[2] >> 3);
            names.audio = format!("mp4a.40.{kind}");
        } else if within(b"alaw", 0).is_some() {
            names.audio = "alaw".to_owned();
        } else if within(b"ulaw", 0).is_some() {
            names.audio = "ulaw".to_owned();
        }
    }
    names
}

/// Profile, compatibility and level stand behind the version (ISO/IEC 14496-15 5.3.3.1).
fn avc(record: &[u8]) -> Option<String> {
    let octets = record.get(1..4)?;
    Some(format!(
        "avc1.{:02x}{:02x}{:02x}",
        octets[0], octets[1], octets[2]
    ))
}

/// ISO/IEC 14496-15 8.3.3.1 and E.3.
fn hevc(record: &[u8]) -> Option<String> {
    let general = record.get(1..13)?;
    let space = ["", "A", "B", "C"][usize::from(general[0] >> 6)];
    let tier = if general[0] & 0x20 == 0 { 'L' } else { 'H' };
    let mut name = format!(
        "hvc1.{space}{}.{:X}.{tier}{}",
        general[0] & 0x1f,
        word(general, 1)?.reverse_bits(),
        general[11]
    );
    let constraints = &general[5..11];
    let used = constraints
        .iter()
        .rposition(|&octet| octet != 0)
        .map_or(0, |last| last + 1);
    for octet in &constraints[..used] {
        name.push_str(&format!(".{octet:X}"));
    }
    Some(name)
}

fn audio_timescale(moov: &[u8]) -> u32 {
    children(moov, b"trak")
        .filter_map(|track| inside(track, &[b"mdia"]))
        .find(|media| inside(media, &[b"minf", b"smhd"]).is_some())
        // Version, flags, creation and modification time stand in front of it (8.4.2).
        .and_then(|media| word(inside(media, &[b"mdhd"])?, 12))
        .unwrap_or(0)
}

/// What `mfra` says; `None` when it is missing or does not fit the file.
fn indexed(file: &File, head: &Head) -> io::Result<Option<Vec<Group>>> {
    // `mfro`, 16 octets, ends the file and tells where `mfra` begins (8.8.11).
    let Some(last) = head.length.checked_sub(16).filter(|at| *at >= head.init) else {
        return Ok(None);
    };
    let size = scan::read(file, last..head.length)?
        .filter(|mfro| &mfro[4..8] == b"mfro")
        .and_then(|mfro| word(&mfro, 12));
    let begin = size.and_then(|size| head.length.checked_sub(size.into()));
    let Some(begin) = begin.filter(|at| *at >= head.init && head.length - at <= HEAD_MAX) else {
        return Ok(None);
    };
    let Some(mfra) = scan::read(file, begin..head.length)? else {
        return Ok(None);
    };
    Ok(entries(&mfra, head.init, begin))
}

fn entries(mfra: &[u8], from: u64, to: u64) -> Option<Vec<Group>> {
    let tfra = inside(mfra, &[b"mfra", b"tfra"])?;
    // Version 1, our track, lengths of one octet each: 19 octets an entry.
    if word(tfra, 0)? != 0x0100_0000 || word(tfra, 4)? != VIDEO_TRACK || word(tfra, 8)? != 0 {
        return None;
    }
    let rest = tfra.get(16..)?;
    if rest.len() != word(tfra, 12)? as usize * 19 || rest.len() / 19 > FRAGMENTS_MAX {
        return None;
    }
    let mut found: Vec<Group> = Vec::with_capacity(rest.len() / 19);
    for entry in rest.chunks_exact(19) {
        let (begin_us, offset) = (
            microseconds(number(entry, 0)?, TIMESCALE),
            number(entry, 8)?,
        );
        let least = found.last().map_or(from, |last| last.offset + 1);
        if offset < least || offset >= to {
            return None;
        }
        if let Some(last) = found.last_mut() {
            last.bytes = offset - last.offset;
            if begin_us < last.begin_us {
                return None;
            }
        }
        found.push(Group {
            begin_us,
            offset,
            bytes: to - offset,
        });
    }
    (!found.is_empty()).then_some(found)
}

fn grouped(places: &[Place]) -> Vec<Group> {
    let mut found: Vec<Group> = Vec::new();
    for place in places {
        if place.is_key_frame && !place.is_audio {
            found.push(Group {
                begin_us: place.begin_us,
                offset: place.offset,
                bytes: place.bytes,
            });
        } else if let Some(last) = found.last_mut() {
            last.bytes = place.offset + place.bytes - last.offset;
        }
    }
    found
}

/// A whole fragment and the octets of both its boxes.
pub(super) struct Located {
    pub fragment: Fragment,
    pub bytes: u64,
}

/// The whole fragment at a place of a file of `length`; `None` when there is none.
pub(super) fn fragment_at(file: &File, length: u64, at: u64) -> io::Result<Option<Located>> {
    let Some((kind, size)) = scan::head(file, at, length)? else {
        return Ok(None);
    };
    if &kind != b"moof" {
        return Ok(None);
    }
    let Some(moof) = scan::read(file, at + HEAD..at + size)? else {
        return Ok(None);
    };
    let Some(fragment) = Fragment::of(&moof, at) else {
        return Ok(None);
    };
    let content = scan::head(file, at + size, length)?;
    let content =
        content.filter(|(kind, payload)| kind == b"mdat" && payload - HEAD == fragment.payload);
    Ok(content.map(|(_, payload)| Located {
        fragment,
        bytes: size + payload,
    }))
}

fn walk(file: &File, head: &Head) -> io::Result<Vec<Place>> {
    let mut found = Vec::new();
    let mut at = head.init;
    while let Some(Located { fragment, bytes }) = fragment_at(file, head.length, at)? {
        if found.len() == FRAGMENTS_MAX {
            return Err(unreadable("too many fragments"));
        }
        found.push(place(&fragment, head, at, bytes));
        at += bytes;
    }
    Ok(found)
}

fn place(fragment: &Fragment, head: &Head, offset: u64, bytes: u64) -> Place {
    let is_audio = fragment.track != VIDEO_TRACK;
    let scale = if is_audio {
        head.audio_timescale
    } else {
        TIMESCALE
    };
    Place {
        offset,
        bytes,
        begin_us: microseconds(fragment.run.presented, scale),
        duration_us: microseconds(fragment.run.ticks, scale),
        is_key_frame: fragment.run.is_key_frame,
        is_audio,
    }
}

/// When the first picture of a fragment is shown, microseconds from the beginning of its segment.
pub(super) fn shown_us(fragment: &Fragment) -> u64 {
    microseconds(fragment.run.presented, TIMESCALE)
}

/// When the last picture of a fragment ends.
pub(super) fn end_us(fragment: &Fragment) -> u64 {
    microseconds(
        fragment.run.time.saturating_add(fragment.run.ticks),
        TIMESCALE,
    )
}

pub(super) fn microseconds(ticks: u64, scale: u32) -> u64 {
    (u128::from(ticks) * 1_000_000 / u128::from(scale.max(1))).min(u128::from(u64::MAX)) as u64
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
