use super::*;
use crate::audio::AacConfig;
use bytes::Bytes;

/// 40 ms of G.711.
const FRAME: i64 = 3600;

fn g711(codec: AudioCodec, pts: i64, octets: usize) -> AudioFrame {
    AudioFrame {
        codec,
        pts,
        received_us: 0,
        data: Bytes::from(vec![0xd5; octets]),
        aac: None,
    }
}

fn aac(pts: i64, channels: u8) -> AudioFrame {
    AudioFrame {
        codec: AudioCodec::Aac,
        data: Bytes::from_static(b"coded"),
        aac: Some(AacConfig {
            object_type: 2,
            frequency_index: 8,
            channels,
        }),
        ..g711(AudioCodec::Aac, pts, 0)
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Where a fragment begins and how long it is, in samples of its track.
fn span(fragment: &Fragment) -> (u64, u32) {
    let boxes = fragment.boxes();
    let after = |kind: &[u8; 4]| memchr::memmem::find(&boxes, kind).unwrap() + 4;
    assert_eq!(word(&boxes, after(b"tfhd") + 4), AUDIO_TRACK);
    let offset = word(&boxes, after(b"trun") + 8) as usize;
    assert_eq!(&boxes[offset - 4..offset], b"mdat");
    assert_eq!(
        word(&boxes, after(b"trun") + 16) as usize,
        boxes.len() - offset
    );
    let begin = u64::from_be_bytes(boxes[after(b"tfdt") + 4..][..8].try_into().unwrap());
    (begin, word(&boxes, after(b"trun") + 12))
}

fn take(sound: &mut Sound, frame: &AudioFrame) -> Vec<(u64, u32)> {
    let mut spans = Vec::new();
    sound.notice(frame);
    sound.take(frame, &mut |_, made| {
        assert_eq!(span(&made.fragment), (made.at, made.samples));
        spans.push(span(&made.fragment));
    });
    spans
}

#[test]
fn g711_becomes_blocks_of_flac_without_a_seam() {
    let mut sound = Sound::default();
    let spans: Vec<_> = (0..8)
        // 20 ms each; the time stamps tremble.
        .flat_map(|n| {
            let pts = 90_000 + n * FRAME / 2 + 500 * (n % 3);
            take(&mut sound, &g711(AudioCodec::G711A, pts, 160))
        })
        .collect();
    assert_eq!(spans, [(8000, 320), (8320, 320), (8640, 320), (8960, 320)]);
}

#[test]
fn a_long_packet_becomes_blocks_a_decoder_takes() {
    let mut sound = Sound::default();
    let spans = take(&mut sound, &g711(AudioCodec::G711U, 0, 9000));
    assert_eq!(spans, [(0, 4096), (4096, 4096), (8192, 808)]);
}

#[test]
fn aac_passes_frame_by_frame() {
    let mut sound = Sound::default();
    assert_eq!(take(&mut sound, &aac(90_000, 1)), [(16_000, 1024)]);
    assert_eq!(take(&mut sound, &aac(95_760, 1)), [(17_024, 1024)]);
    let track = sound.track().unwrap();
    assert_eq!(
        track.message(),
        "{\"type\":\"audio\",\"mime\":\"audio/mp4; codecs=\\\"mp4a.40.2\\\"\",\"codec\":\"aac\",\"rate\":16000,\"generation\":1}"
    );
    assert!(memchr::memmem::find(&track.init.boxes(), b"esds").is_some());
}

#[test]
fn a_hole_stays_a_hole_and_what_waited_is_played_before_it() {
    let mut sound = Sound::default();
    assert_eq!(take(&mut sound, &g711(AudioCodec::G711A, 0, 160)), []);
    assert_eq!(
        take(&mut sound, &g711(AudioCodec::G711A, 90_000, 320)),
        [(0, 160), (8000, 320)]
    );
    assert_eq!(sound.stats().holes, 1);
}

#[test]
fn sound_that_runs_away_from_its_time_stamps_is_brought_back() {
    let mut sound = Sound::default();
    let mut latest = 0;
    for n in 0..2000 {
        // A device that sends 42 ms of samples every 40 ms.
        let pts = n * FRAME;
        for (begin, length) in take(&mut sound, &g711(AudioCodec::G711A, pts, 336)) {
            assert!(begin >= latest, "no overlap");
            latest = begin + u64::from(length);
            let behind = begin as i64 * 90_000 / 8000 - pts;
            assert!((-HOLE..=LATE + FRAME).contains(&behind), "{behind} at {n}");
        }
    }
    assert!((50..200).contains(&sound.stats().skipped));
}

#[test]
fn another_coding_is_another_track_and_news_once() {
    let mut sound = Sound::default();
    let codecs = [AudioCodec::G711A, AudioCodec::G711A, AudioCodec::G711U];
    let news: Vec<_> = codecs
        .map(|codec| sound.notice(&g711(codec, 0, 320)))
        .into();
    assert_eq!(
        news,
        [Some(AudioCodec::G711A), None, Some(AudioCodec::G711U)]
    );
    assert_eq!(sound.track().unwrap().generation, 2);
    assert_eq!(sound.notice(&aac(0, 2)), Some(AudioCodec::Aac));
    assert_eq!(sound.track().unwrap().generation, 3);
}

#[test]
fn what_cannot_be_played_is_named_and_gives_nothing() {
    let mut sound = Sound::default();
    let unknown = g711(AudioCodec::Other(0x92), 0, 320);
    assert_eq!(sound.notice(&unknown), Some(AudioCodec::Other(0x92)));
    assert!(sound.track().is_none());
    assert_eq!(take(&mut sound, &unknown), []);
    assert_eq!(take(&mut sound, &aac(0, 0)), []);
    assert_eq!(sound.stats().skipped, 2);
    assert_eq!(
        announcement(AudioCodec::Other(0x92)),
        "{\"type\":\"sound\",\"codec\":\"other\"}"
    );
}

#[test]
fn another_speed_has_no_sound_and_it_comes_back_with_the_usual_one() {
    let mut sound = Sound::default();
    sound.set_scale(2.0);
    assert_eq!(take(&mut sound, &g711(AudioCodec::G711A, 0, 320)), []);
    sound.set_scale(1.0);
    assert_eq!(
        take(&mut sound, &g711(AudioCodec::G711A, 90_000, 320)),
        [(8000, 320)]
    );
}
