//! Puts datagrams back in order, within bounds; passes them through untouched when they already are.

use std::collections::BTreeMap;

/// RFC 3550 A.1: a larger step forward is a restart, not loss.
const MAX_DROPOUT: i32 = 3000;
/// A larger step back is a restart, not a late packet.
const MAX_MISORDER: i32 = 128;

/// Counters of one reorder window. `pushed = released + duplicates + late + out_of_range + held`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReorderStats {
    /// Packets handed on.
    pub released: u64,
    /// Sequence numbers given up.
    pub lost: u64,
    /// Packets handed on after having been held back.
    pub reordered: u64,
    /// Packets already seen.
    pub duplicates: u64,
    /// Packets whose number was given up before they came.
    pub late: u64,
    /// Packets far away from the window that were not followed by their successor.
    pub out_of_range: u64,
    /// Times the numbering started anew.
    pub restarts: u64,
}

#[derive(Debug)]
struct Held {
    arrived_us: u64,
    packet: Box<[u8]>,
}

/// A window over RTP sequence numbers.
///
/// `sink` receives `(lost_before, packet)` in order, where `lost_before` counts the numbers given up right before it.
#[derive(Debug)]
pub struct Reorder {
    max_packets: usize,
    max_us: u64,
    next: Option<u64>,
    /// Bit n: `next - 1 - n` was received.
    history: u128,
    held: BTreeMap<u64, Held>,
    restart_at: Option<u16>,
    stats: ReorderStats,
}

impl Reorder {
    /// Holds at most `max_packets`, each at most `max_us`, while an earlier one is missing.
    pub fn new(max_packets: usize, max_us: u64) -> Self {
        Self {
            max_packets,
            max_us,
            next: None,
            history: 0,
            held: BTreeMap::new(),
            restart_at: None,
            stats: ReorderStats::default(),
        }
    }

    /// Takes a packet; hands on what is in order now.
    #[inline]
    pub fn push(
        &mut self,
        now_us: u64,
        sequence: u16,
        packet: &[u8],
        sink: &mut impl FnMut(u64, &[u8]),
    ) {
        if self.next.is_some_and(|next| next as u16 == sequence) {
            self.release(0, packet, sink);
            if !self.held.is_empty() {
                self.drain(sink);
            }
            return;
        }
        self.push_out_of_order(now_us, sequence, packet, sink);
    }

    fn push_out_of_order(
        &mut self,
        now_us: u64,
        sequence: u16,
        packet: &[u8],
        sink: &mut impl FnMut(u64, &[u8]),
    ) {
        let Some(next) = self.next else {
            // One cycle of room below, so that numbers never run under zero.
            self.next = Some(u64::from(sequence) + 0x1_0000);
            return self.release(0, packet, sink);
        };
        let distance = i32::from(sequence.wrapping_sub(next as u16) as i16);
        if distance > 0 && distance < MAX_DROPOUT {
            self.hold(now_us, next + distance as u64, packet, sink);
        } else if distance < 0 && -distance <= MAX_MISORDER {
            let received = self.history >> (-distance - 1) & 1 == 1;
            if received {
                self.stats.duplicates += 1;
            } else {
                self.stats.late += 1;
            }
        } else if self.restart_at == Some(sequence) {
            self.flush(sink);
            self.stats.restarts += 1;
            self.history = 0;
            self.next = Some((next | 0xffff) + 1 + u64::from(sequence));
            self.release(1, packet, sink);
        } else {
            // Two packets in sequence prove a restart; a stray one does not.
            self.restart_at = Some(sequence.wrapping_add(1));
            self.stats.out_of_range += 1;
        }
    }

    /// Gives up what has been waited for too long.
    pub fn expire(&mut self, now_us: u64, sink: &mut impl FnMut(u64, &[u8])) {
        while self.deadline().is_some_and(|deadline| deadline <= now_us) {
            self.skip_gap(sink);
        }
    }

    /// When [`Reorder::expire`] has something to do.
    pub fn deadline(&self) -> Option<u64> {
        self.held
            .values()
            .next()
            .map(|held| held.arrived_us.saturating_add(self.max_us))
    }

    /// Hands on everything held, gaps and all (the source ends or changes).
    pub fn flush(&mut self, sink: &mut impl FnMut(u64, &[u8])) {
        while !self.held.is_empty() {
            self.skip_gap(sink);
        }
    }

    /// Flushes, then expects any sequence number next.
    pub fn restart(&mut self, sink: &mut impl FnMut(u64, &[u8])) {
        self.flush(sink);
        self.next = None;
        self.history = 0;
        self.restart_at = None;
    }

    /// Packets held at this moment.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// The counters.
    pub fn stats(&self) -> ReorderStats {
        self.stats
    }

    fn hold(&mut self, now_us: u64, number: u64, packet: &[u8], sink: &mut impl FnMut(u64, &[u8])) {
        if self.held.contains_key(&number) {
            self.stats.duplicates += 1;
            return;
        }
        let held = Held {
            arrived_us: now_us,
            packet: packet.into(),
        };
        self.held.insert(number, held);
        while self.held.len() > self.max_packets {
            self.skip_gap(sink);
        }
    }

    fn skip_gap(&mut self, sink: &mut impl FnMut(u64, &[u8])) {
        let (Some(next), Some((number, held))) = (self.next, self.held.pop_first()) else {
            return;
        };
        let lost = number - next;
        self.stats.lost += lost;
        self.stats.reordered += 1;
        self.next = Some(number);
        self.history = u32::try_from(lost)
            .ok()
            .and_then(|lost| self.history.checked_shl(lost))
            .unwrap_or(0);
        self.release(lost, &held.packet, sink);
        self.drain(sink);
    }

    fn drain(&mut self, sink: &mut impl FnMut(u64, &[u8])) {
        while let Some(entry) = self.held.first_entry() {
            if Some(*entry.key()) != self.next {
                return;
            }
            let held = entry.remove();
            self.stats.reordered += 1;
            self.release(0, &held.packet, sink);
        }
    }

    #[inline]
    fn release(&mut self, lost_before: u64, packet: &[u8], sink: &mut impl FnMut(u64, &[u8])) {
        self.next = self.next.map(|next| next + 1);
        self.history = self.history << 1 | 1;
        self.restart_at = None;
        self.stats.released += 1;
        sink(lost_before, packet);
    }
}

/// Watches the numbering of packets that a byte stream keeps in order: a gap means that the sender dropped.
#[derive(Debug, Default)]
pub struct SequenceWatch {
    next: Option<u16>,
    /// Sequence numbers that never came.
    pub lost: u64,
    /// Times the numbering stepped back or far ahead.
    pub restarts: u64,
}

impl SequenceWatch {
    /// Another source: any number may come next.
    pub fn restart(&mut self) {
        self.next = None;
    }

    /// How many packets are missing right before this one. Devices that do not number their packets are tolerated:
    /// a step back is a restart, not loss.
    pub fn observe(&mut self, sequence: u16) -> u64 {
        let Some(next) = self.next.replace(sequence.wrapping_add(1)) else {
            return 0;
        };
        let distance = i32::from(sequence.wrapping_sub(next) as i16);
        if distance > 0 && distance < MAX_DROPOUT {
            self.lost += distance as u64;
            return distance as u64;
        }
        self.restarts += u64::from(distance != 0);
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(window: &mut Reorder, now_us: u64, sequences: &[u16]) -> Vec<(u64, u16)> {
        let mut out = Vec::new();
        for &sequence in sequences {
            window.push(
                now_us,
                sequence,
                &sequence.to_be_bytes(),
                &mut |lost, packet| {
                    out.push((lost, u16::from_be_bytes([packet[0], packet[1]])));
                },
            );
        }
        out
    }

    #[test]
    fn packets_in_order_pass_through_across_the_wrap() {
        let mut window = Reorder::new(8, 1000);
        assert_eq!(
            run(&mut window, 0, &[65534, 65535, 0, 1]),
            [(0, 65534), (0, 65535), (0, 0), (0, 1)]
        );
        assert_eq!(window.stats().released, 4);
    }

    #[test]
    fn swapped_packets_are_put_back() {
        let mut window = Reorder::new(8, 1000);
        assert_eq!(
            run(&mut window, 0, &[65535, 1, 0, 2]),
            [(0, 65535), (0, 0), (0, 1), (0, 2)]
        );
        assert_eq!(window.stats().reordered, 1);
        assert_eq!(window.stats().lost, 0);
    }

    #[test]
    fn a_full_window_gives_up_the_missing_one_and_calls_it_late_when_it_comes() {
        let mut window = Reorder::new(2, 1000);
        assert_eq!(
            run(&mut window, 0, &[1, 3, 4, 5]),
            [(0, 1), (1, 3), (0, 4), (0, 5)]
        );
        assert_eq!(run(&mut window, 0, &[2, 3]), []);
        let stats = window.stats();
        assert_eq!((stats.lost, stats.late, stats.duplicates), (1, 1, 1));
    }

    #[test]
    fn time_gives_up_the_missing_one() {
        let mut window = Reorder::new(100, 1000);
        run(&mut window, 50, &[1, 3]);
        assert_eq!(window.deadline(), Some(1050));
        let mut released = 0;
        window.expire(1049, &mut |_, _| released += 1);
        assert_eq!(released, 0);
        window.expire(1050, &mut |_, _| released += 1);
        assert_eq!((released, window.held()), (1, 0));
    }

    #[test]
    fn a_duplicate_of_a_held_packet_is_counted() {
        let mut window = Reorder::new(8, 1000);
        run(&mut window, 0, &[1, 3, 3]);
        assert_eq!(window.stats().duplicates, 1);
    }

    #[test]
    fn a_restart_needs_two_packets_in_sequence() {
        let mut window = Reorder::new(8, 1000);
        run(&mut window, 0, &[1, 2]);
        assert_eq!(run(&mut window, 0, &[30000]), []);
        assert_eq!(run(&mut window, 0, &[3]), [(0, 3)]);
        assert_eq!(
            run(&mut window, 0, &[30000, 30001, 30002]),
            [(1, 30001), (0, 30002)]
        );
        assert_eq!(
            (window.stats().out_of_range, window.stats().restarts),
            (2, 1)
        );
    }

    #[test]
    fn a_byte_stream_without_numbering_is_not_called_lossy() {
        let mut watch = SequenceWatch::default();
        assert_eq!((0..5).map(|_| watch.observe(7)).sum::<u64>(), 0);
        assert_eq!(watch.restarts, 4);
        let mut watch = SequenceWatch::default();
        assert_eq!(
            [65535, 0, 3].map(|sequence| watch.observe(sequence)),
            [0, 0, 2]
        );
    }
}
