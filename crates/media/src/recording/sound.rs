//! The sound of a segment for browsers, as fragmented MP4 of its own: AAC as it was recorded, G.711, which no browser
//! plays from MP4, as FLAC that gives back every sample.
//!
//! It is made when it is asked for, of a span, and bounded. Runs of sound lie in the file in their order, each
//! somewhere behind the pictures it belongs to, so they are looked for from there on and no further than needed.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use super::reader::{
    self, Beginning, FRAGMENTS_MAX, Group, Head, Located, microseconds, unreadable,
};
use super::scan::{self, children, inside};
use crate::audio::AacConfig;
use crate::audio_track::{self, AUDIO_TRACK, AudioTrack};
use crate::fmp4;
use crate::sound::flac;
use crate::sound::g711::Law;

/// Most bytes of recorded sound in one answer: a minute of AAC at 1 Mbit/s.
const SOUND_MAX: u64 = 8 << 20;

/// Sound that a browser plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Its MIME type with its codec.
    pub mime: String,
    /// `ftyp`, `moov`, and a fragment for each run; times from the beginning of the segment.
    pub bytes: Vec<u8>,
}

/// The runs of sound that begin in a span, microseconds from the beginning of the segment: spans side by side give each
/// run once. Of a segment that is being written, `readable` octets are looked at. `None` when the segment has no sound that browsers play.
pub fn sound(path: &Path, span: Range<u64>, readable: Option<u64>) -> io::Result<Option<Heard>> {
    let (mut head, groups) = reader::groups(path)?;
    head.length = head.length.min(readable.unwrap_or(u64::MAX));
    let file = File::open(path)?;
    let Beginning { moov, .. } = reader::beginning(&file)?;
    let Some(source) = recorded(&moov, head.audio_timescale) else {
        return Ok(None);
    };
    let law = match source {
        AudioTrack::Alaw => Some(Law::A),
        AudioTrack::Ulaw => Some(Law::Mu),
        _ => None,
    };
    let track = law.map_or(source, |_| AudioTrack::Flac);
    let mut bytes = Vec::new();
    fmp4::put_movie(&mut bytes, &[AUDIO_TRACK], |out| {
        fmp4::put_box(out, b"trak", |out| audio_track::put(out, track));
    });
    let mut taken = 0;
    let mut at = place_before(&file, &head, &groups, span.start)?;
    for sequence in 1..FRAGMENTS_MAX as u32 {
        let Some(found) = reader::fragment_at(&file, head.length, at)? else {
            break;
        };
        let content = at..at + found.bytes;
        at = content.end;
        let Some(begin_us) = begins(&found, &head) else {
            continue;
        };
        if begin_us >= span.end {
            break;
        }
        if begin_us < span.start {
            continue;
        }
        taken += found.bytes;
        if taken > SOUND_MAX {
            return Err(unreadable("more sound than there can be"));
        }
        match law {
            Some(law) => put_flac(&file, (law, sequence), &found, content, &mut bytes)?,
            None => bytes.extend(whole(&file, content)?),
        }
    }
    let mime = format!("audio/mp4; codecs=\"{}\"", track.codecs());
    Ok(Some(Heard { mime, bytes }))
}

/// How the sound of a segment was recorded, if a browser can have it.
fn recorded(moov: &[u8], timescale: u32) -> Option<AudioTrack> {
    let found = children(moov, b"trak").find_map(|track| {
        let stsd = inside(track, &[b"mdia", b"minf", b"stbl", b"stsd"])?.get(8..)?;
        let entry = |kind: &'static [u8; 4]| children(stsd, kind).next();
        if entry(b"alaw").is_some() {
            return Some(AudioTrack::Alaw);
        }
        if entry(b"ulaw").is_some() {
            return Some(AudioTrack::Ulaw);
        }
        // An AudioSampleEntry has 28 octets before its boxes (12.2.3).
        let esds = inside(entry(b"mp4a")?.get(28..)?, &[b"esds"])?;
        let config = esds.windows(4).find(|octets| octets[..2] == [0x05, 2])?;
        AacConfig::of([config[2], config[3]]).map(AudioTrack::Aac)
    });
    found.filter(|track| track.rate() == timescale)
}

/// Where to look from: a run that begins no later than `from_us` lies there, or the file begins.
fn place_before(file: &File, head: &Head, groups: &[Group], from_us: u64) -> io::Result<u64> {
    let after = groups.partition_point(|group| group.begin_us <= from_us);
    for group in groups[..after].iter().skip(1).rev() {
        let mut at = group.offset;
        while at < group.offset + group.bytes {
            let Some(found) = reader::fragment_at(file, head.length, at)? else {
                break;
            };
            if begins(&found, head).is_some_and(|begin_us| begin_us <= from_us) {
                return Ok(group.offset);
            }
            at += found.bytes;
        }
    }
    Ok(head.init)
}

/// When a run of sound begins; none for a picture.
fn begins(found: &Located, head: &Head) -> Option<u64> {
    let is_sound = found.fragment.track == AUDIO_TRACK;
    is_sound.then(|| microseconds(found.fragment.run.time, head.audio_timescale))
}

fn whole(file: &File, range: Range<u64>) -> io::Result<Vec<u8>> {
    scan::read(file, range)?.ok_or_else(|| unreadable("a run of sound that is too long"))
}

/// A run of G.711 as one of FLAC; `content` is where both of its boxes lie.
fn put_flac(
    file: &File,
    (law, sequence): (Law, u32),
    found: &Located,
    content: Range<u64>,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let run = &found.fragment.run;
    // An octet is a sample.
    if run.ticks != found.fragment.payload {
        return Err(unreadable("sound that is not as long as it says"));
    }
    let octets = whole(file, content.end - found.fragment.payload..content.end)?;
    let samples: Vec<i16> = octets.iter().map(|&octet| law.sample(octet)).collect();
    let mut first = run.time;
    let mut frames = Vec::new();
    for block in samples.chunks(flac::BLOCK_MAX) {
        frames.push((block.len() as u32, flac::frame(block, first)));
        first = first.saturating_add(block.len() as u64);
    }
    let frames = frames.iter().map(|(samples, frame)| (*samples, &frame[..]));
    audio_track::put_fragment(out, sequence, run.time, frames);
    Ok(())
}

#[cfg(test)]
#[path = "sound_tests.rs"]
mod tests;
