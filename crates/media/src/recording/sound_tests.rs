use std::path::PathBuf;

use bytes::Bytes;

use super::*;
use crate::audio::{AudioCodec, AudioFrame};
use crate::mp4_file::Mp4File;
use crate::recording::tests::{Folder, parameters, picture};

const PICTURES: i64 = 250;
const GROUP: i64 = 25;
/// A run that is recorded: half a second.
const RUN: u64 = 4000;

/// Ten seconds of pictures; `sound` says what is heard with each, if anything.
fn segment(
    name: &str,
    track: AudioTrack,
    sound: impl Fn(i64) -> Option<AudioFrame>,
) -> (Folder, PathBuf) {
    let mut layout = Mp4File::segment(Some(track));
    let mut bytes = Vec::new();
    for n in 0..PICTURES {
        layout.picture(picture(n, GROUP), &parameters(1)).unwrap();
        sound(n).into_iter().for_each(|frame| layout.audio(frame));
    }
    let ending = layout.finish().unwrap();
    layout
        .take()
        .iter()
        .for_each(|piece| bytes.extend_from_slice(piece));
    bytes.extend_from_slice(&ending.tail);
    let folder = Folder::new(name);
    let path = folder.0.join("one.mp4");
    std::fs::write(&path, &bytes).unwrap();
    (folder, path)
}

fn g711(n: i64) -> AudioFrame {
    AudioFrame {
        codec: AudioCodec::G711A,
        pts: n * 3600,
        received_us: 0,
        data: Bytes::from((0..320).map(|at| (n + at) as u8).collect::<Vec<_>>()),
        aac: None,
    }
}

const AAC: AacConfig = AacConfig {
    object_type: 2,
    frequency_index: 8,
    channels: 1,
};

fn aac(n: i64) -> AudioFrame {
    AudioFrame {
        codec: AudioCodec::Aac,
        // 64 ms each, at 40 ms a picture: it runs ahead, and is placed anew.
        pts: n * 3600,
        data: Bytes::from(vec![n as u8; 20]),
        aac: Some(AAC),
        ..g711(n)
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Where each fragment begins, and how many samples it has in how many frames.
fn runs(heard: &Heard) -> Vec<(u64, u64, u32)> {
    let finder = memchr::memmem::Finder::new(b"moof");
    let found = finder.find_iter(&heard.bytes).map(|at| {
        let boxes = &heard.bytes[at - 4..];
        let after = |kind: &[u8; 4]| memchr::memmem::find(boxes, kind).unwrap() + 4;
        let begin = u64::from_be_bytes(boxes[after(b"tfdt") + 4..][..8].try_into().unwrap());
        let run = after(b"trun");
        let count = word(boxes, run + 4);
        let samples = (0..count as usize).map(|n| u64::from(word(boxes, run + 12 + 8 * n)));
        (begin, samples.sum(), count)
    });
    found.collect()
}

fn heard(path: &Path, span: Range<u64>) -> Heard {
    sound(path, span, None).unwrap().unwrap()
}

#[test]
fn g711_comes_as_flac_at_its_place() {
    let (_folder, path) = segment("flac", AudioTrack::Alaw, |n| Some(g711(n)));
    let all = heard(&path, 0..u64::MAX);
    assert_eq!(all.mime, "audio/mp4; codecs=\"flac\"");
    assert!(memchr::memmem::find(&all.bytes, b"fLaC").is_some());
    let whole: Vec<_> = (0..20).map(|n| (n * RUN, RUN, 1)).collect();
    let found = runs(&all);
    assert_eq!(found.iter().map(|run| run.1).sum::<u64>(), 80_000);
    assert!(found.iter().all(|run| run.1 <= 2 * RUN));
    // Runs end with a whole frame of 40 ms; 13 of them are the first half second and some.
    assert_eq!(found[0], (0, 13 * 320, 2));
    assert_ne!(found, whole);
}

#[test]
fn spans_side_by_side_give_each_run_once() {
    let (_folder, path) = segment("tiles", AudioTrack::Alaw, |n| Some(g711(n)));
    let all = runs(&heard(&path, 0..u64::MAX));
    for step_us in [333_333, 1_000_000, 4_000_000] {
        let spans = (0..11_000_000u64.div_ceil(step_us)).map(|n| n * step_us..(n + 1) * step_us);
        let tiled: Vec<_> = spans.flat_map(|span| runs(&heard(&path, span))).collect();
        assert_eq!(tiled, all);
    }
}

#[test]
fn sound_that_pauses_is_found_wherever_it_lies() {
    // Silent from the second to the eighth second: what was heard before stands behind it in the file.
    let (_folder, path) = segment("pause", AudioTrack::Alaw, |n| {
        (!(40..200).contains(&n)).then(|| g711(n))
    });
    let all = runs(&heard(&path, 0..u64::MAX));
    assert_eq!(all.iter().map(|run| run.1).sum::<u64>(), 90 * 320);
    let before = runs(&heard(&path, 0..3_000_000));
    assert_eq!(before.iter().map(|run| run.1).sum::<u64>(), 40 * 320);
    assert_eq!(runs(&heard(&path, 3_000_000..7_000_000)), []);
    assert_eq!(
        before.len() + runs(&heard(&path, 7_000_000..u64::MAX)).len(),
        all.len()
    );
}

#[test]
fn of_what_is_being_written_no_more_is_heard_than_may_be_read() {
    let (_folder, path) = segment("under-way", AudioTrack::Alaw, |n| Some(g711(n)));
    let (_, places) = reader::fragments(&path).unwrap();
    let end = places[100].offset + 3;
    let found = sound(&path, 0..u64::MAX, Some(end)).unwrap().unwrap();
    let read = places[..100].iter().filter(|place| place.is_audio);
    assert_eq!(runs(&found).len(), read.count());
}

#[test]
fn aac_comes_as_it_was_recorded() {
    let (_folder, path) = segment("aac", AudioTrack::Aac(AAC), |n| Some(aac(n)));
    let all = heard(&path, 0..u64::MAX);
    assert_eq!(all.mime, "audio/mp4; codecs=\"mp4a.40.2\"");
    let samples: u64 = runs(&all).iter().map(|run| run.1).sum();
    assert_eq!(samples % 1024, 0);
    assert!(memchr::memmem::find(&all.bytes, &[7; 20]).is_some());
}

#[test]
fn a_segment_without_sound_has_none() {
    let mut layout = Mp4File::segment(None);
    (0..PICTURES).for_each(|n| layout.picture(picture(n, GROUP), &parameters(1)).unwrap());
    let ending = layout.finish().unwrap();
    let mut bytes: Vec<u8> = layout.take().concat();
    bytes.extend_from_slice(&ending.tail);
    let folder = Folder::new("mute");
    let path = folder.0.join("one.mp4");
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(sound(&path, 0..u64::MAX, None).unwrap(), None);
}

#[test]
fn a_run_that_lies_about_its_length_is_refused() {
    let (_folder, path) = segment("lie", AudioTrack::Alaw, |n| Some(g711(n)));
    let mut bytes = std::fs::read(&path).unwrap();
    // The first run of sound is the first fragment of track 2: its first duration stands behind count and offset.
    let track = memchr::memmem::find_iter(&bytes, b"tfhd")
        .find(|at| word(&bytes, at + 8) == AUDIO_TRACK)
        .unwrap();
    let run = track + memchr::memmem::find(&bytes[track..], b"trun").unwrap();
    bytes[run + 16..run + 20].copy_from_slice(&9999u32.to_be_bytes());
    std::fs::write(&path, &bytes).unwrap();
    let refused = sound(&path, 0..u64::MAX, None).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
}
