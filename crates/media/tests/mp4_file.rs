//! Files: what goes in comes out of the boxes again, with times that add up.

mod support;

use std::sync::Arc;

use bytes::Bytes;
use commonview_media::access_unit::AccessUnit;
use commonview_media::audio::{AacConfig, AudioCodec, AudioFrame};
use commonview_media::ingest::IngestOutput;
use commonview_media::mp4_file::{CodecChanged, Mp4File};
use commonview_media::parameters::VideoParameters;
use support::*;

/// The pictures of a stream, each with its parameters.
fn received(pictures: &[Picture]) -> Vec<(AccessUnit, Arc<VideoParameters>)> {
    let (out, _) = receive_default(&packets(pictures, &Packing::default()));
    let mut current = None;
    let mut units = Vec::new();
    for output in out {
        match output {
            IngestOutput::ParametersChanged(parameters) => current = Some(parameters),
            IngestOutput::AccessUnit(unit) => {
                units.push((unit, Arc::clone(current.as_ref().unwrap())))
            }
            _ => {}
        }
    }
    units
}

fn finished(mut file: Mp4File) -> Vec<u8> {
    let ending = file.finish().unwrap();
    let mut bytes = file.take().concat();
    bytes.extend(&ending.tail);
    let (at, patch) = ending.patch.unwrap();
    bytes[at as usize..][..8].copy_from_slice(&patch);
    bytes
}

/// Kind, place and content of the boxes side by side in `data`.
fn boxes(data: &[u8]) -> Vec<([u8; 4], usize, &[u8])> {
    let mut at = 0;
    let mut found = Vec::new();
    while at < data.len() {
        let size = u32::from_be_bytes(data[at..at + 4].try_into().unwrap()) as usize;
        assert!(size >= 8, "box of {size} bytes at {at}");
        found.push((
            data[at + 4..at + 8].try_into().unwrap(),
            at,
            &data[at + 8..at + size],
        ));
        at += size;
    }
    found
}

fn inside<'a>(data: &'a [u8], path: &[&[u8; 4]]) -> Vec<&'a [u8]> {
    path.iter().fold(vec![data], |parents, kind| {
        parents
            .into_iter()
            .flat_map(boxes)
            .filter(|(of, ..)| of == *kind)
            .map(|(.., content)| content)
            .collect()
    })
}

fn number(data: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(data[at..at + 8].try_into().unwrap())
}

fn word(data: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(data[at..at + 4].try_into().unwrap())
}

/// (decode time, summed duration of its samples) of every fragment of a track.
fn runs(file: &[u8], track: u32) -> Vec<(u64, u64)> {
    let trafs = inside(file, &[b"moof", b"traf"]);
    let of_track = trafs
        .iter()
        .filter(|traf| word(inside(traf, &[b"tfhd"])[0], 4) == track);
    of_track
        .map(|traf| {
            let run = inside(traf, &[b"trun"])[0];
            let durations = match track {
                1 => u64::from(word(run, 12)),
                _ => (0..word(run, 4) as usize)
                    .map(|n| u64::from(word(run, 12 + 8 * n)))
                    .sum(),
            };
            (number(inside(traf, &[b"tfdt"])[0], 4), durations)
        })
        .collect()
}

fn g711(pts: i64) -> AudioFrame {
    AudioFrame {
        codec: AudioCodec::G711A,
        pts,
        received_us: 0,
        data: Bytes::from(vec![0xd5; 320]),
        aac: None,
    }
}

#[test]
fn a_file_holds_every_picture_and_its_times_add_up() {
    let units = received(&pictures(60, 25));
    let mut file = Mp4File::new();
    for (unit, parameters) in &units {
        file.picture(unit.clone(), parameters).unwrap();
    }
    assert_eq!(file.duration(), 60 * 3600);
    let bytes = finished(file);
    let times = runs(&bytes, 1);
    assert_eq!(times.len(), 60);
    assert!(
        times
            .iter()
            .zip(0..)
            .all(|(&run, n)| run == (n * 3600, 3600)),
        "{times:?}"
    );
    let payloads = inside(&bytes, &[b"mdat"]);
    assert!(
        payloads
            .iter()
            .zip(&units)
            .all(|(mdat, (unit, _))| **mdat == unit.payload()[..])
    );
    assert_eq!(
        number(inside(&bytes, &[b"moov", b"mvex", b"mehd"])[0], 4),
        60 * 3600
    );
}

#[test]
fn the_index_leads_to_every_key_frame() {
    let mut file = Mp4File::new();
    for (unit, parameters) in received(&pictures(60, 25)) {
        file.picture(unit, &parameters).unwrap();
    }
    let bytes = finished(file);
    let index = inside(&bytes, &[b"mfra", b"tfra"])[0];
    assert_eq!(word(index, 12), 3);
    for (entry, n) in index[16..].chunks(19).zip(0..) {
        assert_eq!(number(entry, 0), n * 25 * 3600);
        let place = number(entry, 8) as usize;
        assert_eq!(&bytes[place + 4..place + 8], b"moof");
    }
    // The last four bytes say where the index begins.
    let back = word(&bytes, bytes.len() - 4) as usize;
    assert_eq!(&bytes[bytes.len() - back + 4..][..4], b"mfra");
}

#[test]
fn a_file_begins_at_zero_with_a_key_frame_and_closes_the_holes_of_its_times() {
    let mut units = received(&pictures(60, 25));
    for (unit, _) in &mut units {
        // What the unit expected was wrong: the next one came later.
        unit.duration = 1000;
    }
    let mut file = Mp4File::new();
    for (unit, parameters) in &units[10..] {
        file.picture(unit.clone(), parameters).unwrap();
    }
    assert_eq!(file.stats().pictures, 35);
    let times = runs(&finished(file), 1);
    assert_eq!(times[0].0, 0);
    assert!(
        times
            .windows(2)
            .all(|pair| pair[0].0 + pair[0].1 == pair[1].0)
    );
}

#[test]
fn audio_lies_beside_the_pictures_in_runs_without_holes() {
    let mut file = Mp4File::new();
    for ((unit, parameters), n) in received(&pictures(60, 25)).into_iter().zip(0..) {
        file.picture(unit, &parameters).unwrap();
        file.audio(g711(n * 3600));
    }
    assert_eq!(
        (file.stats().audio_frames, file.stats().audio_skipped),
        (60, 0)
    );
    let bytes = finished(file);
    let runs = runs(&bytes, 2);
    assert_eq!(
        (runs[0].0, runs.iter().map(|run| run.1).sum()),
        (0, 60 * 320)
    );
    assert!(
        runs.windows(2)
            .all(|pair| pair[0].0 + pair[0].1 == pair[1].0)
    );
    assert!(memchr::memmem::find(inside(&bytes, &[b"moov"])[0], b"alaw").is_some());
}

#[test]
fn audio_that_jumps_ahead_leaves_its_hole_and_audio_that_steps_back_none() {
    let mut file = Mp4File::new();
    let units = received(&pictures(60, 25));
    let (unit, parameters) = &units[0];
    file.picture(unit.clone(), parameters).unwrap();
    for pts in [0, 3600, 7200, 90_000, 45_000, 48_600] {
        file.audio(g711(pts));
    }
    let times: Vec<u64> = runs(&finished(file), 2).iter().map(|run| run.0).collect();
    assert_eq!(times, [0, 8000, 8320, 8640]);
}

#[test]
fn audio_that_comes_too_late_for_the_head_is_counted() {
    let mut file = Mp4File::new();
    for (unit, parameters) in received(&pictures(60, 25)) {
        file.picture(unit, &parameters).unwrap();
    }
    file.audio(g711(60 * 3600));
    assert_eq!(file.stats().audio_skipped, 1);
    assert!(runs(&finished(file), 2).is_empty());
}

#[test]
fn an_aac_track_says_its_configuration() {
    let config = AacConfig {
        object_type: 2,
        frequency_index: 8,
        channels: 1,
    };
    let mut file = Mp4File::new();
    let units = received(&pictures(30, 25));
    let (unit, parameters) = &units[0];
    file.picture(unit.clone(), parameters).unwrap();
    file.audio(AudioFrame {
        codec: AudioCodec::Aac,
        aac: Some(config),
        ..g711(0)
    });
    file.audio(g711(5760));
    assert_eq!(
        file.stats().audio_skipped,
        0,
        "nothing is decided before the head is written"
    );
    let mut bytes = Vec::new();
    for (unit, parameters) in &units[1..] {
        file.picture(unit.clone(), parameters).unwrap();
        bytes.extend(file.take().concat());
    }
    assert_eq!(
        (file.stats().audio_frames, file.stats().audio_skipped),
        (1, 1)
    );
    let head = inside(&bytes[..], &[b"moov"])[0];
    assert!(memchr::memmem::find(head, &[0x05, 2, 0x14, 0x08, 0x06, 1, 2]).is_some());
}

#[test]
fn another_size_goes_on_in_the_same_file_and_another_codec_does_not() {
    let mut pictures = pictures(5, 5);
    pictures.extend([key_picture(SPS_QCIF, 9, 900), dependent_picture(10, 500, 1)]);
    let units = received(&pictures);
    let mut file = Mp4File::new();
    for (unit, parameters) in &units {
        file.picture(unit.clone(), parameters).unwrap();
    }
    assert_eq!(file.stats().format_changes, 1);
    let (unit, parameters) = &units[6];
    let mut foreign = unit.clone();
    foreign.codec = commonview_media::parameters::VideoCodec::H265;
    assert_eq!(file.picture(foreign, parameters), Err(CodecChanged));
    let bytes = finished(file);
    let payloads = inside(&bytes, &[b"mdat"]);
    let sets = [&(SPS_QCIF.len() as u32).to_be_bytes()[..], SPS_QCIF].concat();
    assert!(payloads[5].starts_with(&sets));
}

#[test]
fn without_a_picture_there_is_no_file() {
    let mut file = Mp4File::new();
    file.audio(g711(0));
    assert!(file.finish().is_none());
    assert!(file.take().is_empty());
}
