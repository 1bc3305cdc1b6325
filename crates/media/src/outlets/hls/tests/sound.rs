//! Sound beside the pictures: one line without a hole, and never a picture that waits for it.

use super::*;
use crate::audio::{AudioCodec, AudioFrame};
use crate::sound::Sound;

/// 40 ms of G.711.
const SAMPLES: u64 = 320;
const PICTURE_SAMPLES: u64 = 320;

/// A camera with a microphone, and what the stream makes of it.
struct Street {
    camera: Camera,
    sound: Sound,
}

impl Street {
    fn new() -> Street {
        Street {
            camera: Camera::new(50),
            sound: Sound::default(),
        }
    }

    /// The sound of the moment of a picture, `late` pictures ago.
    fn hear(&mut self, late: i64) {
        self.hear_as(AudioCodec::G711A, late);
    }

    fn hear_as(&mut self, codec: AudioCodec, late: i64) {
        let frame = AudioFrame {
            codec,
            pts: self.camera.dts - late * FRAME,
            received_us: 0,
            data: Bytes::from(vec![0x55; SAMPLES as usize]),
            aac: None,
        };
        self.sound.notice(&frame);
        let ring = &mut self.camera.ring;
        if ring.hear(self.sound.track()) {
            self.sound
                .take(&frame, &mut |track, made| ring.push_sound(track, &made));
        }
    }

    fn see(&mut self, number: i64) {
        self.camera.send(number % 50 == 0, FRAME);
    }

    /// The runs of sound in all segments: begin and length in samples.
    fn runs(&self) -> Vec<(u64, u64)> {
        let numbers = self.camera.playlist().segments.into_iter();
        let parts = numbers.flat_map(|listed| {
            (0..listed.parts.len() as u32)
                .map(move |part| here(self.camera.ring.part_bytes(listed.number, part)))
        });
        parts.flat_map(|media| sounds(&media)).collect()
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn sounds(media: &Media) -> Vec<(u64, u64)> {
    let boxes = media
        .bytes
        .iter()
        .filter(|boxes| boxes[4..].starts_with(b"moof"));
    let run = |boxes: &Bytes| {
        let after = |kind: &[u8; 4]| memchr::memmem::find(boxes, kind).unwrap() + 4;
        let begin = u64::from_be_bytes(boxes[after(b"tfdt") + 4..][..8].try_into().unwrap());
        let run = after(b"trun");
        let count = word(boxes, run + 4) as usize;
        let samples = (0..count).map(|n| u64::from(word(boxes, run + 12 + 8 * n)));
        (begin, samples.sum())
    };
    let found: Vec<_> = boxes.map(run).collect();
    assert_eq!(media.pictures + found.len(), media.bytes.len());
    found
}

/// Where the line ends, after proof that nothing is missing in it and nothing twice.
fn unbroken(runs: &[(u64, u64)]) -> u64 {
    let first = runs.first().map_or(0, |run| run.0);
    runs.iter().fold(first, |end, (begin, length)| {
        assert_eq!(*begin, end, "{runs:?}");
        begin + length
    })
}

#[test]
fn sound_lies_beside_its_pictures_and_both_are_named() {
    let mut street = Street::new();
    for number in 0..=100 {
        street.hear(0);
        street.see(number);
    }
    // What came before the first picture belongs to no segment.
    assert_eq!(street.runs()[0].0, 0);
    let end = unbroken(&street.runs());
    assert!((100 * PICTURE_SAMPLES).abs_diff(end) <= 6 * PICTURE_SAMPLES);
    let ring = &street.camera.ring;
    assert_eq!(ring.sound_codecs().unwrap(), "fLaC");
    let text = playlist::multivariant(&parameters(1), Some("fLaC"), 1000, "live.m3u8");
    assert!(text.contains("CODECS=\"avc1.640028,fLaC\""));
    let init = ring.init(1).unwrap();
    assert!(memchr::memmem::find(&init, b"avc1").is_some());
    assert!(memchr::memmem::find(&init, b"dfLa").is_some());
    assert_eq!(ring.late_sound(), 0);
}

#[test]
fn a_camera_without_sound_is_told_to_have_none() {
    let mut street = Street::new();
    (0..60).for_each(|number| street.see(number));
    assert!(street.camera.ring.has_begun());
    assert_eq!(street.camera.ring.sound_codecs(), None);
    street.hear(0);
    assert!(
        !street.camera.ring.hear(street.sound.track()),
        "too late for those who read"
    );
    assert_eq!(street.camera.ring.init(1).unwrap(), "init 1");
}

#[test]
fn sound_that_shows_itself_before_anybody_is_told_is_taken_up() {
    let mut street = Street::new();
    for number in 0..30 {
        street.see(number);
        if number >= 10 {
            street.hear(1);
        }
    }
    assert!(street.camera.ring.begin_list());
    let list = street.camera.playlist();
    let init: u32 = list.segments[0].init[5..6].parse().unwrap();
    let bytes = street.camera.ring.init(init).unwrap();
    assert!(memchr::memmem::find(&bytes, b"dfLa").is_some());
    unbroken(&street.runs());
}

#[test]
fn what_does_not_come_is_silence_and_no_picture_waits() {
    let mut street = Street::new();
    for number in 0..=200 {
        if !(60..140).contains(&number) {
            street.hear(0);
        }
        street.see(number);
        let heard = unbroken(&street.runs());
        let listed = street
            .camera
            .playlist()
            .segments
            .iter()
            .flat_map(|one| &one.parts)
            .count();
        let seen = listed as u64 * 5 * PICTURE_SAMPLES;
        // Three tenths of a second, a piece of silence and a part at most.
        assert!(
            seen.saturating_sub(heard) <= 2400 + 800 + 1600,
            "{seen} {heard} at {number}"
        );
    }
    assert_eq!(street.camera.ring.late_sound(), 0);
}

#[test]
fn a_camera_whose_sound_is_always_late_is_waited_for_and_then_heard() {
    let mut street = Street::new();
    street.hear(0);
    for number in 0..=200 {
        street.see(number);
        // 600 ms behind its pictures.
        street.hear(15);
    }
    let late = street.camera.ring.late_sound();
    assert!((1..60).contains(&late), "{late}");
    unbroken(&street.runs());
}

#[test]
fn another_coding_begins_anew() {
    let mut street = Street::new();
    for number in 0..=100 {
        street.hear(0);
        street.see(number);
    }
    for number in 101..=200 {
        street.hear_as(AudioCodec::G711U, 0);
        street.see(number);
    }
    let list = street.camera.playlist();
    let breaks = list
        .segments
        .iter()
        .filter(|one| one.is_discontinuous)
        .count();
    assert_eq!(breaks, 1, "{list:?}");
    assert_eq!(street.camera.ring.sound_codecs().unwrap(), "fLaC");
}

#[test]
fn sound_without_pictures_is_not_piled_up() {
    let mut street = Street::new();
    for number in 0..=60 {
        street.hear(0);
        street.see(number);
    }
    let before = street.camera.ring.bytes();
    for _ in 0..10_000 {
        street.hear(0);
        street.camera.dts += FRAME;
    }
    assert!(street.camera.ring.bytes() < before + 100 * 1000);
    street.camera.ring.forget();
    assert_eq!(street.camera.ring.bytes(), 0);
}
