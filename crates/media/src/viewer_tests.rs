use super::*;
use crate::fmp4::Fragment;
use crate::parameters::VideoCodec;
use bytes::Bytes;
use proptest::prelude::*;

const LIMITS: QueueLimits = QueueLimits {
    bytes: 1000,
    age_us: 1_000_000,
};

fn fragment(payload: &[u8]) -> Fragment {
    let head = websocket::frame_head(Opcode::Binary, payload.len());
    let buffer = Bytes::from([&head[..], payload].concat());
    Fragment {
        buffer,
        ws_offset: 0,
        payload_offset: head.len(),
    }
}

fn parameters(generation: u32) -> VideoParameters {
    VideoParameters {
        generation,
        codec: VideoCodec::H264,
        width: 1920,
        height: 1080,
        codec_string: "avc1.64001f".into(),
        parameter_sets: vec![],
        record: Bytes::new(),
        init: fragment(b"INIT"),
    }
}

fn unit(generation: u32, is_key_frame: bool, payload: &[u8]) -> AccessUnit {
    AccessUnit {
        generation,
        codec: VideoCodec::H264,
        is_key_frame,
        is_damaged: false,
        pts: 0,
        dts: 0,
        duration: 3600,
        received_us: 0,
        device_pts: None,
        fragment: fragment(payload),
        payload_at: 0,
    }
}

fn queue(protocol: Protocol) -> ViewerQueue {
    ViewerQueue::new(protocol, LIMITS)
}

fn offer(queue: &mut ViewerQueue, unit: &AccessUnit, now_us: u64) -> Offer {
    let chunk = Chunk::picture(unit, queue.protocol(), now_us);
    queue.offer(unit, &parameters(unit.generation), &chunk)
}

/// Write everything that waits, `step` bytes at a time.
fn written(queue: &mut ViewerQueue, step: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !queue.is_empty() {
        let mut slices = Vec::new();
        queue.slices(&mut slices);
        let ready: Vec<u8> = slices
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        let taken = step.min(ready.len());
        bytes.extend_from_slice(&ready[..taken]);
        queue.advance(taken);
    }
    bytes
}

fn websocket_start(generation: u32) -> Vec<u8> {
    let message = init_message(&parameters(generation));
    let mut bytes = websocket::frame(Opcode::Text, message.as_bytes());
    bytes.extend(websocket::frame(Opcode::Binary, b"INIT"));
    bytes
}

#[test]
fn a_viewer_starts_with_a_key_frame_behind_message_and_init_segment() {
    let mut queue = queue(Protocol::WebSocket);
    assert_eq!(
        offer(&mut queue, &unit(1, false, b"delta"), 0),
        Offer::Skipped
    );
    assert_eq!(offer(&mut queue, &unit(1, true, b"key"), 0), Offer::Queued);
    assert_eq!(
        offer(&mut queue, &unit(1, false, b"delta"), 0),
        Offer::Queued
    );
    let mut expected = websocket_start(1);
    expected.extend(websocket::frame(Opcode::Binary, b"key"));
    expected.extend(websocket::frame(Opcode::Binary, b"delta"));
    assert_eq!(written(&mut queue, 7), expected);
    assert_eq!((queue.pictures(), queue.drops()), (2, 0));
}

#[test]
fn a_plain_viewer_gets_one_response_of_chunks() {
    let mut queue = queue(Protocol::Http);
    offer(&mut queue, &unit(1, true, b"key"), 0);
    offer(&mut queue, &unit(2, true, b"0123456789abcdef"), 0);
    let mut expected = http::live_head("video/mp4", None);
    expected.extend_from_slice(b"4\r\nINIT\r\n3\r\nkey\r\n4\r\nINIT\r\n10\r\n0123456789abcdef\r\n");
    assert_eq!(written(&mut queue, 1000), expected);
}

#[test]
fn new_parameters_are_announced_before_their_first_picture() {
    let mut queue = queue(Protocol::WebSocket);
    offer(&mut queue, &unit(1, true, b"a"), 0);
    written(&mut queue, 1000);
    offer(&mut queue, &unit(2, true, b"b"), 0);
    let mut expected = websocket_start(2);
    expected.extend(websocket::frame(Opcode::Binary, b"b"));
    assert_eq!(written(&mut queue, 1000), expected);
}

#[test]
fn a_slow_viewer_falls_to_the_next_key_frame_and_every_drop_is_counted() {
    let mut queue = queue(Protocol::WebSocket);
    offer(&mut queue, &unit(1, true, &[1; 400]), 0);
    written(&mut queue, 1000);
    for _ in 0..2 {
        assert_eq!(
            offer(&mut queue, &unit(1, false, &[2; 400]), 0),
            Offer::Queued
        );
    }
    queue.advance(10);
    assert_eq!(
        offer(&mut queue, &unit(1, false, &[3; 400]), 0),
        Offer::Skipped
    );
    assert_eq!(
        offer(&mut queue, &unit(1, false, &[4; 400]), 0),
        Offer::Skipped
    );
    assert_eq!((queue.drops(), queue.falls()), (3, 1));
    assert_eq!(
        offer(&mut queue, &unit(1, true, &[5; 400]), 0),
        Offer::Queued
    );
    let mut expected = websocket::frame(Opcode::Binary, &[2; 400])[10..].to_vec();
    expected.extend(websocket::frame(Opcode::Binary, &[5; 400]));
    assert_eq!(written(&mut queue, 1000), expected);
}

#[test]
fn what_waits_too_long_is_dropped_though_it_is_small() {
    let mut queue = queue(Protocol::WebSocket);
    offer(&mut queue, &unit(1, true, b"k"), 0);
    assert_eq!(
        offer(&mut queue, &unit(1, false, b"d"), 1_000_000),
        Offer::Queued
    );
    assert_eq!(
        offer(&mut queue, &unit(1, false, b"d"), 1_000_001),
        Offer::Skipped
    );
    assert_eq!(queue.drops(), 3);
}

#[test]
fn a_dropped_init_segment_is_sent_again() {
    let mut queue = queue(Protocol::WebSocket);
    offer(&mut queue, &unit(1, true, b"k"), 0);
    assert_eq!(
        offer(&mut queue, &unit(1, true, b"K"), 2_000_000),
        Offer::Queued
    );
    let mut expected = websocket_start(1);
    expected.extend(websocket::frame(Opcode::Binary, b"K"));
    assert_eq!(written(&mut queue, 1000), expected);
}

#[test]
fn a_dropped_http_head_is_sent_again_and_never_twice() {
    let mut queue = queue(Protocol::Http);
    offer(&mut queue, &unit(1, true, b"k"), 0);
    offer(&mut queue, &unit(1, true, b"K"), 2_000_000);
    let bytes = String::from_utf8(written(&mut queue, 1000)).unwrap();
    assert!(bytes.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(bytes.matches("HTTP/1.1").count(), 1);
    assert!(bytes.ends_with("\r\n\r\n4\r\nINIT\r\n1\r\nK\r\n"));
}

#[test]
fn a_key_frame_larger_than_the_limit_still_reaches_an_empty_queue() {
    let mut queue = queue(Protocol::WebSocket);
    assert_eq!(
        offer(&mut queue, &unit(1, true, &[1; 5000]), 0),
        Offer::Queued
    );
    assert_eq!(
        offer(&mut queue, &unit(1, false, &[1; 50]), 0),
        Offer::Skipped
    );
}

#[test]
fn the_first_picture_is_reported_once_when_it_is_wholly_sent() {
    let mut queue = queue(Protocol::WebSocket);
    offer(&mut queue, &unit(1, true, b"k"), 0);
    let all = queue.bytes();
    assert!(!queue.advance(all - 1));
    assert!(queue.advance(1));
    offer(&mut queue, &unit(1, false, b"d"), 0);
    assert!(!queue.advance(queue.bytes()));
}

#[test]
fn the_init_message_is_json_with_the_mime_type_quoted() {
    assert_eq!(
        init_message(&parameters(3)),
        r#"{"type":"init","mime":"video/mp4; codecs=\"avc1.64001f\"","codec":"h264","width":1920,"height":1080,"generation":3}"#
    );
}

/// Split WebSocket bytes of a server into payloads; panics when they are not whole frames.
fn messages(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    while !bytes.is_empty() {
        let (len, head) = match bytes[1] {
            126 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
            short => (usize::from(short), 2),
        };
        payloads.push(bytes[head..head + len].to_vec());
        bytes = &bytes[head + len..];
    }
    payloads
}

proptest! {
    /// Whatever the pace of camera and viewer: whole frames arrive, in order, and no picture without those it needs.
    #[test]
    fn any_pace_gives_whole_messages_that_can_be_decoded(
        steps in proptest::collection::vec((any::<bool>(), 1usize..600, 0usize..900, 0u64..400_000), 1..80),
    ) {
        let mut queue = queue(Protocol::WebSocket);
        let (mut sent, mut now, mut offered) = (Vec::new(), 0, 0u64);
        for (number, (is_key, size, taken, wait)) in steps.into_iter().enumerate() {
            now += wait;
            let mut payload = vec![u8::from(is_key); size.max(3)];
            payload[1..3].copy_from_slice(&u16::try_from(number).unwrap().to_be_bytes());
            offer(&mut queue, &unit(1, is_key, &payload), now);
            offered += u64::from(queue.has_started());
            let mut slices = Vec::new();
            queue.slices(&mut slices);
            let ready: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            let taken = taken.min(ready.len());
            sent.extend_from_slice(&ready[..taken]);
            queue.advance(taken);
        }
        sent.extend(written(&mut queue, 100));
        prop_assert_eq!(sent.len() as u64, queue.bytes_sent());
        prop_assert_eq!(queue.bytes(), 0);
        let mut last: Option<u16> = None;
        for payload in messages(&sent).into_iter().filter(|payload| payload[0] <= 1) {
            let number = u16::from_be_bytes([payload[1], payload[2]]);
            let follows = last.is_some_and(|last| number == last + 1);
            prop_assert!(payload[0] == 1 || follows, "picture {} without its base", number);
            last = Some(number);
        }
        prop_assert_eq!(queue.pictures() + queue.drops(), offered);
    }
}

fn sound_track(generation: u32) -> SoundTrack {
    SoundTrack {
        generation,
        track: crate::audio_track::AudioTrack::Flac,
        source: AudioCodec::G711A,
        init: fragment(b"SOUND INIT"),
    }
}

fn hear(queue: &mut ViewerQueue, generation: u32, payload: &[u8], now_us: u64) -> Offer {
    let chunk = Chunk::sound(&fragment(payload), queue.protocol(), now_us);
    queue.offer_sound(&sound_track(generation), &chunk)
}

fn sound_start(generation: u32) -> Vec<u8> {
    let message = sound_track(generation).message();
    let mut bytes = websocket::frame(Opcode::Text, message.as_bytes());
    bytes.extend(websocket::frame(Opcode::Binary, b"SOUND INIT"));
    bytes
}

#[test]
fn sound_comes_to_those_who_ask_behind_its_own_start_and_never_before_a_picture() {
    let mut queue = queue(Protocol::WebSocket);
    queue.listen(true);
    assert_eq!(hear(&mut queue, 1, b"early", 0), Offer::Skipped);
    offer(&mut queue, &unit(1, true, b"key"), 0);
    assert_eq!(hear(&mut queue, 1, b"one", 0), Offer::Queued);
    assert_eq!(hear(&mut queue, 1, b"two", 0), Offer::Queued);
    assert_eq!(hear(&mut queue, 2, b"other", 0), Offer::Queued);
    queue.listen(false);
    assert_eq!(hear(&mut queue, 2, b"unheard", 0), Offer::Skipped);
    let mut expected = websocket_start(1);
    expected.extend(websocket::frame(Opcode::Binary, b"key"));
    expected.extend(sound_start(1));
    expected.extend(websocket::frame(Opcode::Binary, b"one"));
    expected.extend(websocket::frame(Opcode::Binary, b"two"));
    expected.extend(sound_start(2));
    expected.extend(websocket::frame(Opcode::Binary, b"other"));
    assert_eq!(written(&mut queue, 5), expected);
    assert_eq!(queue.pictures(), 1, "sound is no picture");
}

#[test]
fn what_the_audio_is_is_said_with_the_first_picture_and_when_it_changes() {
    let mut queue = queue(Protocol::WebSocket);
    queue.announce(AudioCodec::G711A, 0);
    assert!(queue.is_empty());
    offer(&mut queue, &unit(1, true, b"key"), 0);
    queue.announce(AudioCodec::Aac, 0);
    let mut expected = websocket_start(1);
    let said = |codec| websocket::frame(Opcode::Text, sound::announcement(codec).as_bytes());
    expected.extend(said(AudioCodec::G711A));
    expected.extend(websocket::frame(Opcode::Binary, b"key"));
    expected.extend(said(AudioCodec::Aac));
    assert_eq!(written(&mut queue, 9), expected);
}

#[test]
fn a_slow_listener_loses_sound_with_its_pictures_and_gets_both_starts_again() {
    let mut queue = queue(Protocol::WebSocket);
    queue.listen(true);
    offer(&mut queue, &unit(1, true, &[1; 300]), 0);
    hear(&mut queue, 1, &[2; 300], 0);
    assert_eq!(
        hear(&mut queue, 1, &[3; 300], 0),
        Offer::Skipped,
        "too much waits"
    );
    assert_eq!((queue.bytes(), queue.drops(), queue.falls()), (0, 1, 1));
    offer(&mut queue, &unit(1, true, b"key"), 0);
    hear(&mut queue, 1, b"sound", 0);
    let mut expected = websocket_start(1);
    expected.extend(websocket::frame(Opcode::Binary, b"key"));
    expected.extend(sound_start(1));
    expected.extend(websocket::frame(Opcode::Binary, b"sound"));
    assert_eq!(written(&mut queue, 1000), expected);
}

#[test]
fn sound_without_pictures_is_bounded_too() {
    let mut queue = queue(Protocol::WebSocket);
    queue.listen(true);
    offer(&mut queue, &unit(1, true, b"key"), 0);
    for n in 0..1000 {
        hear(&mut queue, 1, &[0; 100], n * 10);
        assert!(queue.bytes() <= LIMITS.bytes);
    }
}

#[test]
fn a_viewer_that_asks_is_told_how_old_the_latest_picture_is() {
    let mut queue = queue(Protocol::WebSocket);
    queue.tell_age(1, 0);
    assert!(queue.is_empty(), "there is none");
    let mut latest = unit(1, true, b"key");
    (latest.pts, latest.received_us) = (180_000, 5_000_000);
    offer(&mut queue, &latest, 5_000_000);
    written(&mut queue, 1000);
    queue.tell_age(7, 5_040_000);
    let said = "{\"type\":\"age\",\"question\":7,\"media_ms\":2000,\"age_ms\":40}";
    assert_eq!(
        written(&mut queue, 1000),
        websocket::frame(Opcode::Text, said.as_bytes())
    );
}

#[test]
fn a_plain_response_with_sound_waits_a_moment_and_names_both_tracks_at_its_beginning() {
    let limits = QueueLimits {
        bytes: 10_000,
        ..LIMITS
    };
    let mut queue = ViewerQueue::new(Protocol::Http, limits);
    queue.await_sound(0);
    assert_eq!(offer(&mut queue, &unit(1, true, b"key"), 0), Offer::Skipped);
    assert!(!queue.ends_sound_wait(None, SOUND_WAIT_US - 1));
    let track = Arc::new(sound_track(3));
    assert!(queue.ends_sound_wait(Some(&track), 40_000));
    assert!(!queue.ends_sound_wait(Some(&track), 80_000), "once");
    offer(&mut queue, &unit(1, true, b"key"), 80_000);
    assert_eq!(hear(&mut queue, 3, b"sound", 80_000), Offer::Queued);
    assert_eq!(hear(&mut queue, 4, b"other", 80_000), Offer::Skipped);
    let bytes = written(&mut queue, 1000);
    let at = |what: &[u8]| memchr::memmem::find(&bytes, what);
    assert!(at(b"avc1").is_some() && at(b"fLaC").is_some());
    assert!(at(b"key") < at(b"sound") && at(b"other").is_none());
}

#[test]
fn a_plain_response_begins_without_sound_where_none_comes() {
    let mut queue = queue(Protocol::Http);
    queue.await_sound(0);
    assert!(queue.ends_sound_wait(None, SOUND_WAIT_US));
    assert_eq!(
        offer(&mut queue, &unit(1, true, b"key"), SOUND_WAIT_US),
        Offer::Queued
    );
    assert_eq!(hear(&mut queue, 1, b"sound", SOUND_WAIT_US), Offer::Skipped);
}
