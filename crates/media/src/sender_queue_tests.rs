use super::*;
use crate::rtp::{RtpPacket, is_rtcp};
use proptest::prelude::*;

const LIMITS: QueueLimits = QueueLimits {
    bytes: 2000,
    age_us: 1_000_000,
};

fn queue(wire: Wire) -> SenderQueue {
    SenderQueue::new(wire, 0x0102_0304, 96, 65_534, LIMITS)
}

fn packet(number: u32, starts_group: bool) -> RelayPacket {
    RelayPacket {
        payload: Bytes::from(vec![number as u8; 100]),
        timestamp: number * 3600,
        marker: number % 2 == 1,
        lost_before: 0,
        starts_group,
    }
}

/// Sequence number, time stamp and first payload byte of every datagram that waits.
fn sent(queue: &mut SenderQueue) -> Vec<(u16, u32, u8)> {
    let mut all = Vec::new();
    while let Some(parts) = queue.datagram() {
        let raw = [&parts[0][..], &parts[1][..]].concat();
        let packet = RtpPacket::parse(&raw).unwrap();
        assert_eq!((packet.ssrc(), packet.payload_type()), (0x0102_0304, 96));
        all.push((packet.sequence(), packet.timestamp(), packet.payload()[0]));
        queue.datagram_done(true);
    }
    all
}

#[test]
fn packets_go_out_from_the_beginning_of_a_group_with_our_own_numbers() {
    let mut queue = queue(Wire::Datagrams);
    for (number, starts) in [(0, false), (1, true), (2, false), (3, false)] {
        queue.offer(&packet(number, starts), 0);
    }
    assert_eq!(
        sent(&mut queue),
        [(65_534, 3600, 1), (65_535, 7200, 2), (0, 10_800, 3)]
    );
    assert_eq!(
        (
            queue.stats().drops,
            queue.stats().packets_sent,
            queue.bytes()
        ),
        (0, 3, 0)
    );
}

#[test]
fn what_the_source_lost_is_a_hole_in_our_numbers_too() {
    let mut queue = queue(Wire::Datagrams);
    queue.offer(&packet(0, true), 0);
    queue.offer(
        &RelayPacket {
            lost_before: 3,
            ..packet(1, false)
        },
        0,
    );
    let numbers: Vec<u16> = sent(&mut queue).iter().map(|sent| sent.0).collect();
    assert_eq!((numbers, queue.stats().lost_upstream), (vec![65_534, 2], 3));
}

#[test]
fn a_slow_receiver_falls_to_the_next_group_and_sees_the_hole() {
    let mut queue = queue(Wire::Stream);
    queue.offer(&packet(0, true), 0);
    queue.advance(50);
    (1..40).for_each(|number| queue.offer(&packet(number, false), 0));
    assert!(queue.bytes() <= LIMITS.bytes);
    queue.offer(&packet(40, true), 0);
    let stats = queue.stats();
    assert_eq!((stats.falls, stats.drops), (1, 39));
    // The packet that was begun is finished before the new group.
    let mut slices = Vec::new();
    queue.slices(&mut slices);
    assert_eq!(
        slices.iter().map(|slice| slice.len()).sum::<usize>(),
        64 + 114
    );
    let sequence = u16::from_be_bytes([slices[1][4], slices[1][5]]);
    assert_eq!(sequence, 65_534_u16.wrapping_add(40));
}

#[test]
fn what_waits_too_long_is_dropped() {
    let mut queue = queue(Wire::Stream);
    queue.offer(&packet(0, true), 0);
    queue.offer(&packet(1, false), LIMITS.age_us + 1);
    assert_eq!((queue.is_empty(), queue.stats().drops), (true, 2));
}

#[test]
fn a_jump_of_the_source_becomes_the_time_that_passed() {
    let mut queue = queue(Wire::Datagrams);
    for (number, at_us) in [(0, 0), (1, 40_000)] {
        queue.offer(&packet(number, true), at_us);
    }
    let jumped = RelayPacket {
        timestamp: 3_000_000_000,
        ..packet(2, true)
    };
    queue.offer(&jumped, 140_000);
    queue.offer(
        &RelayPacket {
            timestamp: 3_000_003_600,
            ..jumped
        },
        180_000,
    );
    let times: Vec<u32> = sent(&mut queue).iter().map(|sent| sent.1).collect();
    assert_eq!(times, [0, 3600, 12_600, 16_200]);
    assert_eq!(queue.time_now(190_000), 17_100);
}

#[test]
fn a_report_is_a_compound_of_whole_words() {
    let stats = QueueStats {
        packets_sent: 7,
        payload_sent: 700,
        ..QueueStats::default()
    };
    let report = sender_report(9, 1_500_000, 42, &stats);
    assert!(is_rtcp(&report) && is_rtcp(&report[28..]));
    assert_eq!(
        report[8..28],
        [
            0x83, 0xaa, 0x7e, 0x81, 0x80, 0, 0, 0, 0, 0, 0, 42, 0, 0, 0, 7, 0, 0, 2, 0xbc
        ]
    );
    let words = usize::from(u16::from_be_bytes([report[30], report[31]])) + 1;
    assert_eq!(report.len(), 28 + words * 4);
}

proptest! {
    #[test]
    fn a_byte_stream_is_whole_frames_whatever_the_socket_takes(
        steps in prop::collection::vec((any::<bool>(), 0usize..300, 1u64..200_000), 1..200)
    ) {
        let mut queue = queue(Wire::Stream);
        let (mut bytes, mut now_us, mut offered) = (Vec::new(), 0, 0u64);
        for (number, (starts, taken, wait_us)) in steps.into_iter().enumerate() {
            now_us += wait_us;
            let had_started = queue.has_started();
            queue.offer(&packet(number as u32, starts), now_us);
            offered += u64::from(had_started || queue.has_started());
            let mut slices = Vec::new();
            queue.slices(&mut slices);
            let waiting = slices.iter().flat_map(|slice| slice.iter().copied());
            let part: Vec<u8> = waiting.take(taken).collect();
            let length = part.len();
            bytes.extend(part);
            queue.advance(length);
            prop_assert!(queue.bytes() <= LIMITS.bytes + 114);
        }
        let mut slices = Vec::new();
        queue.slices(&mut slices);
        let rest: usize = slices.iter().map(|slice| slice.len()).sum();
        bytes.extend(slices.iter().flat_map(|slice| slice.iter().copied()));
        queue.advance(rest);
        prop_assert_eq!(bytes.len() % 114, 0);
        for frame in bytes.chunks(114) {
            prop_assert_eq!(&frame[..2], &[0, 112]);
            prop_assert!(RtpPacket::parse(&frame[2..]).is_ok());
        }
        let stats = queue.stats();
        prop_assert_eq!(stats.packets_sent, bytes.len() as u64 / 114);
        prop_assert_eq!(stats.packets_sent + stats.drops, offered);
    }
}
