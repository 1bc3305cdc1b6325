//! Reading segments back: what is whole, what it shows, and mending one that was cut off.
//!
//! A segment is hostile input too: a disk may give back anything. Every length is checked against the file before it is
//! believed, and nothing is read whole but `moov` and `moof` boxes of bounded size.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::segment::hex;
use super::{FINISHED, UNFINISHED};
use crate::mp4_file::random_access;

/// Largest `ftyp`, `moov`, `moof` or `mfra` box that is read.
pub(super) const HEAD_MAX: u64 = 32 << 20;
/// The file is hashed in pieces of this.
const PIECE: usize = 1 << 20;
pub(super) const VIDEO_TRACK: u32 = 1;

/// What a segment holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Bytes of the file.
    pub length: u64,
    /// Where its last whole fragment ends.
    pub whole: u64,
    /// Whether it has its index, and nothing behind it.
    pub is_finished: bool,
    /// `h264`, `h265`, or empty.
    pub codec: &'static str,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `aac`, `g711a`, `g711u`, or empty.
    pub audio: &'static str,
    /// Pictures in whole fragments.
    pub pictures: u64,
    /// Time (90 kHz, from the beginning) and place of each key frame.
    pub key_frames: Vec<(u64, u64)>,
    /// Where the last picture ends, 90 kHz.
    pub duration: u64,
    /// Of the whole file, lower-case hexadecimal.
    pub sha256: String,
}

/// Read a segment from end to end.
pub fn scan(path: &Path) -> io::Result<Scan> {
    let file = File::open(path)?;
    let mut found = boxes(&file)?;
    found.sha256 = hash(&file, found.length)?;
    Ok(found)
}

/// The SHA-256 of a file, lower-case hexadecimal.
pub fn hash_file(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    hash(&file, length)
}

/// Make an unfinished segment a finished one: cut it off behind its last whole fragment, add the index, give it its name.
/// `None` when no fragment is whole: the file holds no picture and is removed.
pub fn mend(path: &Path) -> io::Result<Option<(PathBuf, Scan)>> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let found = boxes(&file)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    if found.pictures == 0 {
        drop(file);
        std::fs::remove_file(path)?;
        File::open(folder)?.sync_all()?;
        return Ok(None);
    }
    if !found.is_finished {
        file.set_len(found.whole)?;
        file.write_all_at(&random_access(&found.key_frames), found.whole)?;
    }
    file.sync_all()?;
    let name = path.to_string_lossy();
    let finished = name.strip_suffix(UNFINISHED).unwrap_or(&name);
    let finished = PathBuf::from(format!("{finished}{FINISHED}"));
    // Unlike rename(2) this does not write over a file that is there already.
    std::fs::hard_link(path, &finished)?;
    std::fs::remove_file(path)?;
    File::open(folder)?.sync_all()?;
    let scanned = scan(&finished)?;
    Ok(Some((finished, scanned)))
}

fn hash(file: &File, length: u64) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; PIECE];
    let mut at = 0;
    while at < length {
        let wanted = PIECE.min((length - at) as usize);
        file.read_exact_at(&mut buffer[..wanted], at)?;
        hash.update(&buffer[..wanted]);
        at += wanted as u64;
    }
    Ok(hex(&hash.finalize()))
}

/// Walk over the boxes side by side, as far as they are whole.
fn boxes(file: &File) -> io::Result<Scan> {
    let mut found = Scan {
        length: file.metadata()?.len(),
        ..Scan::default()
    };
    let mut at = 0;
    let mut fragment: Option<Fragment> = None;
    while let Some((kind, size)) = head(file, at, found.length)? {
        let content = at + 8..at + size;
        match &kind {
            b"ftyp" if at == 0 => {}
            b"moov" if found.codec.is_empty() => {
                let Some(moov) = read(file, content)? else {
                    break;
                };
                describe(&moov, &mut found);
                if found.codec.is_empty() {
                    break;
                }
            }
            b"moof" if !found.codec.is_empty() && fragment.is_none() => {
                let Some(moof) = read(file, content)? else {
                    break;
                };
                fragment = Fragment::of(&moof, at);
                if fragment.is_none() {
                    break;
                }
            }
            b"mdat" => {
                let Some(whole) = fragment.take().filter(|one| one.payload == size - 8) else {
                    break;
                };
                whole.count(&mut found);
                found.whole = at + size;
            }
            b"mfra" if fragment.is_none() && found.pictures > 0 => {
                let index = read(file, at..at + size)?;
                found.is_finished = index
                    .is_some_and(|index| index == random_access(&found.key_frames))
                    && at + size == found.length;
                break;
            }
            _ => break,
        }
        at += size;
    }
    Ok(found)
}

/// Kind and size of the box at `at`, when all of it is in the file.
pub(super) fn head(file: &File, at: u64, length: u64) -> io::Result<Option<([u8; 4], u64)>> {
    if length.saturating_sub(at) < 8 {
        return Ok(None);
    }
    let mut header = [0; 8];
    file.read_exact_at(&mut header, at)?;
    let size = u64::from(word(&header, 0).unwrap_or(0));
    let kind = [header[4], header[5], header[6], header[7]];
    Ok((size >= 8 && size <= length - at).then_some((kind, size)))
}

pub(super) fn read(file: &File, range: std::ops::Range<u64>) -> io::Result<Option<Vec<u8>>> {
    let size = range.end - range.start;
    if size > HEAD_MAX {
        return Ok(None);
    }
    let mut content = vec![0; size as usize];
    file.read_exact_at(&mut content, range.start)?;
    Ok(Some(content))
}

pub(super) fn word(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

pub(super) fn number(data: &[u8], at: usize) -> Option<u64> {
    let bytes = data.get(at..at.checked_add(8)?)?;
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// The contents of the boxes of this kind side by side in `data`.
pub(super) fn children<'a>(data: &'a [u8], kind: &'a [u8; 4]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = data;
    std::iter::from_fn(move || {
        loop {
            let size = word(rest, 0)? as usize;
            let content = rest.get(8..size)?;
            let is_meant = rest.get(4..8)? == kind;
            rest = &rest[size..];
            if is_meant {
                return Some(content);
            }
        }
    })
}

pub(super) fn inside<'a>(data: &'a [u8], path: &[&'a [u8; 4]]) -> Option<&'a [u8]> {
    path.iter()
        .try_fold(data, |data, kind| children(data, kind).next())
}

/// What `moov` says of the tracks.
pub(super) fn describe(moov: &[u8], found: &mut Scan) {
    for track in children(moov, b"trak") {
        let Some(stsd) = inside(track, &[b"mdia", b"minf", b"stbl", b"stsd"]) else {
            continue;
        };
        // Version, flags and count stand in front of the first entry (8.5.2).
        let entry = stsd.get(12..16).unwrap_or_default();
        match entry {
            b"avc1" | b"hvc1" => {
                found.codec = if entry == b"avc1" { "h264" } else { "h265" };
                // VisualSampleEntry: width and height behind 32 octets of its head (12.1.3).
                let size = word(stsd, 8 + 32).unwrap_or(0);
                (found.width, found.height) = (size >> 16, size & 0xffff);
            }
            b"mp4a" => found.audio = "aac",
            b"alaw" => found.audio = "g711a",
            b"ulaw" => found.audio = "g711u",
            _ => {}
        }
    }
}

/// What a `moof` says of the `mdat` behind it.
pub(super) struct Fragment {
    /// Where it begins in the file.
    pub at: u64,
    /// Octets of the `mdat`'s content.
    pub payload: u64,
    /// The track it belongs to.
    pub track: u32,
    /// Its samples.
    pub run: Run,
}

/// The samples of a fragment; times in the scale of its track.
pub(super) struct Run {
    /// When the first is decoded.
    pub time: u64,
    pictures: u64,
    /// How long they last.
    pub ticks: u64,
    /// When the first is shown.
    pub presented: u64,
    /// Whether the first is a key frame.
    pub is_key_frame: bool,
}

impl Fragment {
    pub fn of(moof: &[u8], at: u64) -> Option<Fragment> {
        let traf = inside(moof, &[b"traf"])?;
        let track = word(inside(traf, &[b"tfhd"])?, 4)?;
        let time = number(inside(traf, &[b"tfdt"])?, 4)?;
        let trun = inside(traf, &[b"trun"])?;
        let flags = word(trun, 0)? & 0xff_ffff;
        let count = word(trun, 4)?;
        let has = |flag: u32| flags & flag != 0;
        // Each sample takes room in the box, so that its number is bounded by what was read.
        if !has(0x100) || !has(0x200) {
            return None;
        }
        let mut place = 8 + 4 * usize::from(has(1));
        let first_flags = if has(4) { word(trun, place)? } else { 0 };
        place += 4 * usize::from(has(4));
        let (mut payload, mut ticks, mut offset) = (0u64, 0u64, 0i32);
        let mut sample_flags = first_flags;
        for sample in 0..count {
            let mut field = |flag: u32| -> Option<u32> {
                if flags & flag == 0 {
                    return Some(0);
                }
                place += 4;
                word(trun, place - 4)
            };
            ticks += u64::from(field(0x100)?);
            payload += u64::from(field(0x200)?);
            let flags = field(0x400)?;
            let composition = field(0x800)? as i32;
            if sample == 0 {
                offset = composition;
                if has(0x400) {
                    sample_flags = flags;
                }
            }
        }
        let run = Run {
            time,
            pictures: count.into(),
            ticks,
            presented: time.saturating_add_signed(offset.into()),
            // sample_is_non_sync_sample (8.8.3.1); what has no sample is no picture.
            is_key_frame: count > 0 && sample_flags & 0x1_0000 == 0,
        };
        Some(Fragment {
            at,
            payload,
            track,
            run,
        })
    }

    fn count(self, found: &mut Scan) {
        if self.track != VIDEO_TRACK {
            return;
        }
        let run = self.run;
        found.pictures += run.pictures;
        found.duration = found.duration.max(run.time.saturating_add(run.ticks));
        if run.is_key_frame {
            found.key_frames.push((run.presented, self.at));
        }
    }
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
