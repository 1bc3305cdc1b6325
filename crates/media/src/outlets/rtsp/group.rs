//! The current group of pictures of a stream as it was packed for its players.

use std::collections::VecDeque;

use super::packets::Unit;

/// From its key frame on; empty without one.
#[derive(Debug, Default)]
pub struct Group {
    units: VecDeque<Unit>,
    bytes: usize,
}

impl Group {
    /// What is kept is of no use any more.
    pub fn forget(&mut self) {
        self.units.clear();
        self.bytes = 0;
    }

    /// Keep the next picture, in `bytes_max` octets of pictures.
    pub fn keep(&mut self, unit: &Unit, bytes_max: usize) {
        if unit.is_key_frame {
            self.forget();
        } else if self.units.is_empty() {
            return;
        }
        self.bytes += unit.bytes.len();
        self.units.push_back(unit.clone());
        // As the stream's own cache does (twice its bound, for packets' heads): a group without its beginning is of no use.
        if self.bytes > 2 * bytes_max {
            self.forget();
        }
    }

    /// Octets of all of it.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Every picture, the key frame first.
    pub fn units(&self) -> impl Iterator<Item = &Unit> {
        self.units.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn unit(is_key_frame: bool) -> Unit {
        Unit {
            track: 0,
            bytes: Bytes::from_static(&[0; 100]),
            packets: 1,
            is_key_frame,
            sequence: 0,
            timestamp: 0,
        }
    }

    #[test]
    fn a_group_begins_with_its_key_frame_and_ends_with_the_next() {
        let mut group = Group::default();
        for (is_key_frame, kept) in [(false, 0), (true, 1), (false, 2), (true, 1)] {
            group.keep(&unit(is_key_frame), 1000);
            assert_eq!((group.units().count(), group.bytes()), (kept, 100 * kept));
        }
    }

    #[test]
    fn a_group_that_outgrows_its_bound_is_forgotten_whole() {
        let mut group = Group::default();
        group.keep(&unit(true), 100);
        group.keep(&unit(false), 100);
        assert_eq!(group.units().count(), 2);
        group.keep(&unit(false), 100);
        group.keep(&unit(false), 100);
        assert_eq!((group.units().count(), group.bytes()), (0, 0));
    }
}
