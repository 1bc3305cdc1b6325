use std::path::PathBuf;

use bytes::Bytes;

use super::*;
use crate::audio::{AudioCodec, AudioFrame};
use crate::mp4_file::{AudioTrack, Mp4File};
use crate::recording::tests::{Folder, parameters, picture};

const PICTURES: i64 = 60;
const GROUP: i64 = 25;
const PICTURE_US: u64 = 40_000;

/// A segment of pictures with sound, and its file.
fn segment(name: &str) -> (Folder, PathBuf, Vec<u8>) {
    let mut layout = Mp4File::segment(Some(AudioTrack::Alaw));
    let mut bytes = Vec::new();
    for n in 0..PICTURES {
        layout.picture(picture(n, GROUP), &parameters(1)).unwrap();
        layout.audio(AudioFrame {
            codec: AudioCodec::G711A,
            pts: n * 3600,
            received_us: 0,
            data: Bytes::from(vec![0xd5; 320]),
            aac: None,
        });
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
    (folder, path, bytes)
}

#[test]
fn every_picture_is_found_where_it_lies() {
    let (_folder, path, bytes) = segment("places");
    let (head, found) = fragments(&path).unwrap();
    assert_eq!((head.width, head.height), (640, 360));
    assert_eq!(head.codecs.video, "avc1.64001e");
    assert_eq!(
        (head.codecs.audio.as_str(), head.audio_timescale),
        ("alaw", 8000)
    );
    assert_eq!(head.length, bytes.len() as u64);
    assert_eq!(&bytes[head.init as usize + 4..][..4], b"moof");
    let mut at = head.init;
    for one in &found {
        assert_eq!(one.offset, at, "fragments lie side by side");
        at += one.bytes;
    }
    assert_eq!(&bytes[at as usize + 4..][..4], b"mfra");
    let pictures: Vec<_> = found.iter().filter(|one| !one.is_audio).collect();
    assert_eq!(pictures.len() as i64, PICTURES);
    for (n, one) in pictures.iter().enumerate() {
        assert_eq!(one.begin_us, n as u64 * PICTURE_US);
        assert_eq!(one.duration_us, PICTURE_US);
        assert_eq!(one.is_key_frame, n as i64 % GROUP == 0);
    }
    let sound: u64 = found
        .iter()
        .filter(|one| one.is_audio)
        .map(|one| one.duration_us)
        .sum();
    assert_eq!(sound, PICTURES as u64 * PICTURE_US);
}

#[test]
fn the_index_at_the_end_and_the_fragments_tell_the_same_groups() {
    let (_folder, path, _) = segment("groups");
    let (head, quick) = groups(&path).unwrap();
    let (same, found) = fragments(&path).unwrap();
    assert_eq!(head, same);
    assert_eq!(quick, grouped(&found));
    let begins: Vec<_> = quick.iter().map(|one| one.begin_us).collect();
    assert_eq!(begins, [0, 1_000_000, 2_000_000]);
}

#[test]
fn without_its_index_a_segment_is_read_as_far_as_it_is_whole() {
    let (folder, path, bytes) = segment("cut");
    let (_, all) = fragments(&path).unwrap();
    let cut = folder.0.join("cut.part");
    let most = all[40];
    std::fs::write(&cut, &bytes[..(most.offset + most.bytes) as usize + 100]).unwrap();
    let (_, found) = fragments(&cut).unwrap();
    assert_eq!(found, all[..=40]);
    assert_eq!(groups(&cut).unwrap().1, grouped(&found));
}

#[test]
fn no_flipped_bit_makes_a_group_that_is_not_in_the_file() {
    let (folder, _, bytes) = segment("hostile");
    let path = folder.0.join("flipped.mp4");
    let heads = (0..bytes.len().min(1400)).chain(bytes.len() - 140..bytes.len());
    for at in heads {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&path, &flipped).unwrap();
        if let Ok((head, found)) = groups(&path) {
            assert!(head.init <= head.length);
            for one in &found {
                assert!(one.offset >= head.init && one.offset + one.bytes <= head.length);
            }
        }
        if let Ok((head, found)) = fragments(&path) {
            assert!(
                found
                    .iter()
                    .all(|one| one.offset + one.bytes <= head.length)
            );
        }
    }
}

#[test]
fn what_is_no_segment_is_refused_in_words() {
    let folder = Folder::new("none");
    let path = folder.0.join("none.mp4");
    for content in [
        &b""[..],
        b"text",
        &[0; 64],
        b"\0\0\0\x08ftyp",
        b"\0\0\0\x08ftyp\0\0\0\x08moov",
    ] {
        std::fs::write(&path, content).unwrap();
        let error = groups(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(error.to_string().starts_with("not a readable segment"));
    }
}

#[test]
fn the_name_of_an_h265_stream_is_read_from_its_record() {
    let mut record = vec![1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93];
    record.resize(23, 0);
    assert_eq!(hevc(&record).unwrap(), "hvc1.1.6.L93.90");
    assert_eq!(hevc(&record[..12]), None);
    assert_eq!(avc(&[1, 0x64]), None);
}
