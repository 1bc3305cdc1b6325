use super::*;
use crate::rtsp::audio::AudioTrack;
use crate::rtsp::sdp::{AacFormat, TrackFormat};
use proptest::prelude::*;

const ALAW: Carriage = Carriage {
    coding: Coding::Alaw,
    in_program_stream: false,
};

fn aac(rate_hz: u32, in_program_stream: bool) -> Voice {
    Voice::new(Carriage {
        coding: Coding::aac(rate_hz).unwrap(),
        in_program_stream,
    })
}

fn said(voice: &mut Voice, sound: &[u8], now_us: u64) -> Vec<(u32, bool, usize)> {
    let mut packets = Vec::new();
    voice
        .say(sound, now_us, &mut |packet| {
            packets.push((packet.timestamp, packet.marker, packet.payload.len()));
        })
        .unwrap();
    packets
}

#[test]
fn sound_leaves_in_packets_of_twenty_milliseconds_as_it_comes() {
    let mut voice = Voice::new(ALAW);
    assert_eq!(said(&mut voice, &[0xd5; 160], 0), [(0, true, 160)]);
    assert_eq!(said(&mut voice, &[0xd5; 100], 20_000), []);
    assert_eq!(
        said(&mut voice, &[0xd5; 220], 30_000),
        [(160, false, 160), (320, false, 160)]
    );
}

#[test]
fn late_sound_in_a_burst_is_dropped_and_the_delay_does_not_grow() {
    let mut voice = Voice::new(ALAW);
    let burst: usize = (0..50)
        .map(|_| said(&mut voice, &[0xd5; 160], 0).len())
        .sum();
    assert_eq!((burst, voice.stats().late), (11, 39));
    // A second later the clock has caught up.
    assert_eq!(
        said(&mut voice, &[0xd5; 160], 1_000_000),
        [(8000, true, 160)]
    );
}

#[test]
fn after_a_pause_the_time_stamp_is_the_present_and_marked() {
    let mut voice = Voice::new(ALAW);
    said(&mut voice, &[0xd5; 200], 0);
    assert_eq!(
        said(&mut voice, &[0xd5; 160], 5_000_000),
        [(40_000, true, 160)]
    );
    assert_eq!((voice.stats().pauses, voice.stats().packets), (1, 2));
    assert_eq!(
        said(&mut voice, &[0xd5; 160], 5_050_000),
        [(40_160, false, 160)]
    );
}

#[test]
fn with_a_program_stream_every_packet_is_a_pack_and_its_clock_is_90_khz() {
    let mut voice = Voice::new(Carriage {
        in_program_stream: true,
        ..ALAW
    });
    let mut packs = Vec::new();
    for n in 0..60 {
        voice
            .say(&[0xd5; 160], n * 20_000, &mut |packet| packs.push(packet))
            .unwrap();
    }
    assert!(
        packs
            .iter()
            .all(|packet| packet.marker && packet.payload.starts_with(&[0, 0, 1, 0xba]))
    );
    assert_eq!(packs[1].timestamp, 1800);
    let maps = packs
        .iter()
        .filter(|packet| memchr::memmem::find(&packet.payload, &[0, 0, 1, 0xbc]).is_some());
    assert_eq!(maps.count(), 2);
}

#[test]
fn an_access_unit_a_message_leaves_by_rfc_3640_with_the_clock_of_its_rate() {
    let mut voice = aac(16_000, false);
    let mut packets = Vec::new();
    for n in 0..3 {
        let unit = [0x21; 200];
        voice
            .say(&unit, n * 64_000, &mut |packet| packets.push(packet))
            .unwrap();
    }
    let stamps: Vec<_> = packets.iter().map(|packet| packet.timestamp).collect();
    assert_eq!(stamps, [0, 1024, 2048]);
    assert!(packets.iter().all(|packet| packet.marker));
    // What our own reader makes of it: one ADTS frame a packet.
    let format = AacFormat {
        size_bits: 13,
        index_bits: 3,
        index_delta_bits: 3,
        object_type: 2,
        frequency_index: 8,
        channels: 1,
    };
    let mut track = AudioTrack::new(TrackFormat::Aac(format), 16_000).unwrap();
    let mut rtp = vec![0x80, 97, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9];
    rtp.extend_from_slice(&packets[0].payload);
    let read = track.packet(&crate::rtp::RtpPacket::parse(&rtp).unwrap(), 0);
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].data[7..], [0x21; 200]);
}

#[test]
fn what_is_no_access_unit_is_refused() {
    let mut voice = aac(48_000, false);
    let mut say = |sound: &[u8]| voice.say(sound, 0, &mut |_| ());
    assert_eq!(say(&[]), Err(NotSound));
    assert_eq!(say(&[0x21; UNIT_MAX + 1]), Err(NotSound));
    assert_eq!(say(&[0xff, 0xf1, 0x60, 0x40]), Err(NotSound), "ADTS");
    assert_eq!(say(&[0x21; UNIT_MAX]), Ok(()));
    assert_eq!((Coding::aac(44_100), Coding::aac(0)), (None, None));
}

#[test]
fn aac_in_a_burst_is_dropped_and_after_a_pause_the_time_stamp_is_the_present() {
    let mut voice = aac(16_000, false);
    let burst: usize = (0..20)
        .map(|_| said(&mut voice, &[0x21; 90], 0).len())
        .sum();
    assert_eq!((burst, voice.stats().late), (4, 16));
    assert_eq!(
        said(&mut voice, &[0x21; 90], 2_000_000),
        [(32_000, true, 94)]
    );
    assert_eq!(voice.stats().pauses, 1);
}

#[test]
fn in_a_program_stream_aac_stands_in_adts_frames_under_stream_type_0f() {
    let mut voice = aac(16_000, true);
    let mut packs = Vec::new();
    for n in 0..20 {
        voice
            .say(&[0x21; 100], n * 64_000, &mut |packet| packs.push(packet))
            .unwrap();
    }
    let first = &packs[0].payload;
    let at = memchr::memmem::find(first, &[0, 0, 1, 0xbc]).expect("a stream map");
    assert_eq!(first[at + 12..at + 14], [0x0f, 0xc0]);
    let adts = memchr::memmem::find(first, &[0xff, 0xf1, 0x60, 0x40]).expect("an ADTS header");
    assert_eq!(first[adts + 7..], [0x21; 100]);
    assert_eq!(packs[1].timestamp, 5760);
    let has_map =
        |packet: &&RelayPacket| memchr::memmem::find(&packet.payload, &[0, 0, 1, 0xbc]).is_some();
    assert_eq!(packs.iter().filter(has_map).count(), 2);
}

proptest! {
    #[test]
    fn whatever_comes_the_delay_is_bounded_and_time_never_steps_back(
        messages in prop::collection::vec((0usize..=MESSAGE_MAX, 0u64..300_000), 1..300)
    ) {
        let mut voice = Voice::new(ALAW);
        let (mut now_us, mut last) = (0, -1);
        for (length, wait_us) in messages {
            now_us += wait_us;
            let mut stamps = Vec::new();
            voice.say(&vec![0; length], now_us, &mut |packet| stamps.push(i64::from(packet.timestamp))).unwrap();
            for stamp in stamps {
                prop_assert!(stamp > last && stamp - (now_us / 125) as i64 <= 8 * AHEAD_MS);
                last = stamp;
            }
        }
        prop_assert_eq!(voice.say(&vec![0; MESSAGE_MAX + 1], now_us, &mut |_| ()), Err(NotSound));
    }
}
