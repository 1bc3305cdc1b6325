//! Forwarding: any payloads, in any order, through group, queue and both wires; framing and counters must hold.
#![no_main]

use bytes::Bytes;
use commonview_media::parameters::VideoCodec;
use commonview_media::relay::{RelayGroup, RelayPacket, starts_key_frame};
use commonview_media::rtp::RtpPacket;
use commonview_media::sender_queue::{SenderQueue, Wire};
use commonview_media::viewer::QueueLimits;
use libfuzzer_sys::fuzz_target;

const LIMITS: QueueLimits = QueueLimits {
    bytes: 20_000,
    age_us: 500_000,
};

fuzz_target!(|data: &[u8]| {
    let mut group = RelayGroup::new(30_000);
    let mut stream = SenderQueue::new(Wire::Stream, 7, 96, 65_000, LIMITS);
    let mut datagrams = SenderQueue::new(Wire::Datagrams, 7, 96, 65_000, LIMITS);
    let (mut rest, mut now_us, mut taken) = (data, 0, Vec::new());
    while let Some((&[kind, high, low], tail)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(tail.len());
        let (payload, tail) = tail.split_at(length);
        rest = tail;
        now_us += u64::from(kind) * 2000;
        let codec = [None, Some(VideoCodec::H264), Some(VideoCodec::H265)][usize::from(kind % 3)];
        let packet = RelayPacket {
            payload: Bytes::copy_from_slice(&payload[..length.min(60_000)]),
            timestamp: u32::from(low) << 24,
            marker: kind & 1 == 1,
            lost_before: u16::from(kind >> 6),
            starts_group: starts_key_frame(payload, codec),
        };
        group.push(&packet);
        assert!(group.bytes() <= 30_000);
        assert!(
            group
                .packets()
                .next()
                .is_none_or(|first| first.starts_group)
        );
        stream.offer(&packet, now_us);
        datagrams.offer(&packet, now_us);
        write(&mut stream, usize::from(high) * 8, &mut taken);
        if let Some([head, body]) = datagrams.datagram() {
            assert!(RtpPacket::parse(&[&head[..], &body[..]].concat()).is_ok());
            datagrams.datagram_done(kind & 2 == 2);
        }
    }
    while !stream.is_empty() {
        write(&mut stream, usize::MAX, &mut taken);
    }
    let (mut rest, mut frames) = (&taken[..], 0);
    while let Some((length, tail)) = rest.split_first_chunk::<2>() {
        let (frame, tail) = tail.split_at(usize::from(u16::from_be_bytes(*length)));
        assert!(RtpPacket::parse(frame).is_ok());
        (rest, frames) = (tail, frames + 1);
    }
    assert_eq!(
        (rest.len(), frames, stream.bytes()),
        (0, stream.stats().packets_sent, 0)
    );
});

/// Let the socket take so many bytes.
fn write(queue: &mut SenderQueue, room: usize, taken: &mut Vec<u8>) {
    let mut slices = Vec::new();
    queue.slices(&mut slices);
    let bytes: Vec<u8> = slices
        .iter()
        .flat_map(|slice| slice.iter().copied())
        .take(room)
        .collect();
    queue.advance(bytes.len());
    taken.extend(bytes);
}
