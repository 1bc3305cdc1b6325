//! A slow player falls to the next key frame, and is told so by nobody but its numbering.

use super::*;

fn unit(length: usize, is_key_frame: bool, track: usize) -> Unit {
    let mut bytes = vec![b'$', 0, 0, length as u8];
    bytes.resize(FRAME_HEADER + length, 0);
    Unit {
        bytes: bytes.into(),
        track,
        is_key_frame,
        packets: 1,
        sequence: 0,
        timestamp: 0,
    }
}

fn queue() -> Queue {
    Queue::new(QueueLimits {
        bytes: 500,
        age_us: 1_000_000,
    })
}

fn drained(queue: &mut Queue) -> usize {
    let mut total = 0;
    while !queue.is_empty() {
        let mut slices = Vec::new();
        queue.slices(&mut slices);
        let written = slices.iter().map(|slice| slice.len()).sum();
        drop(slices);
        queue.advance(written);
        total += written;
    }
    total
}

#[test]
fn it_begins_with_a_key_frame_and_sound_waits_for_it() {
    let mut queue = queue();
    queue.picture(&unit(20, false, 0), 0);
    queue.sound(&unit(20, false, 1), true, 0);
    assert!(queue.is_empty() && queue.drops == 0);
    queue.picture(&unit(20, true, 0), 0);
    queue.sound(&unit(20, false, 1), true, 0);
    assert_eq!(drained(&mut queue), 48);
    assert_eq!(
        (queue.pictures, queue.bytes_sent, queue.bytes()),
        (1, 48, 0)
    );
    assert_eq!(
        queue.sent(0),
        Sent {
            packets: 1,
            octets: 8
        }
    );
    assert_eq!(
        queue.sent(1),
        Sent {
            packets: 1,
            octets: 8
        }
    );
}

#[test]
fn a_player_without_pictures_hears_at_once() {
    let mut queue = queue();
    queue.sound(&unit(20, false, 1), false, 0);
    assert!(queue.has_started() && !queue.is_empty());
}

#[test]
fn too_much_or_too_old_falls_to_the_next_key_frame() {
    for (length, later_us) in [(200, 0), (20, 1_000_001)] {
        let mut queue = queue();
        queue.picture(&unit(length, true, 0), 0);
        queue.picture(&unit(length, false, 0), 0);
        queue.picture(&unit(length, false, 0), later_us);
        assert_eq!((queue.drops, queue.falls, queue.is_empty()), (3, 1, true));
        queue.picture(&unit(length, false, 0), later_us);
        assert_eq!((queue.drops, queue.is_empty()), (4, true));
        queue.picture(&unit(length, true, 0), later_us);
        assert_eq!((queue.drops, queue.falls, queue.is_empty()), (4, 1, false));
    }
}

#[test]
fn what_the_socket_has_begun_is_finished_and_words_are_never_dropped() {
    let mut queue = queue();
    assert!(queue.say(vec![b'w'; 10], 0));
    queue.picture(&unit(200, true, 0), 0);
    queue.advance(15);
    assert!(queue.say(vec![b'w'; 10], 0));
    queue.picture(&unit(200, false, 0), 0);
    queue.picture(&unit(200, false, 0), 0);
    assert_eq!((queue.drops, queue.falls), (2, 1));
    assert_eq!(drained(&mut queue), 199 + 10);
    assert_eq!(queue.bytes(), 0);
}

#[test]
fn answers_to_a_player_that_does_not_read_are_bounded() {
    let mut queue = queue();
    let said = (0..1000)
        .take_while(|_| queue.say(vec![0; 1000], 0))
        .count();
    assert_eq!(said, WORDS_MAX / 1000);
    assert!(!queue.has_media());
}

#[test]
fn datagrams_leave_packet_by_packet_and_refused_ones_are_lost() {
    let mut queue = queue();
    let two = Unit {
        bytes: [&unit(20, true, 0).bytes[..], &unit(30, true, 0).bytes]
            .concat()
            .into(),
        packets: 2,
        ..unit(0, true, 0)
    };
    queue.picture(&two, 0);
    queue.sound(&unit(16, false, 1), true, 0);
    let mut seen = Vec::new();
    for was_sent in [true, false, true] {
        let (track, packet) = queue.datagram().unwrap();
        seen.push((track, packet.len()));
        queue.datagram_done(was_sent);
    }
    assert_eq!(seen, [(0, 20), (0, 30), (1, 16)]);
    assert!(queue.datagram().is_none() && queue.is_empty());
    assert_eq!((queue.bytes_sent, queue.bytes()), (36, 0));
}
