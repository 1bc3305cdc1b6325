//! The key-frame cache: what a new viewer gets at once.

use std::collections::VecDeque;

use crate::access_unit::AccessUnit;

/// The access units from the latest key frame on, bounded in bytes.
///
/// One copy per stream, shared with the viewers: the units are the fragments that were sent.
/// When a group of pictures outgrows the bound it is dropped whole and counted, and the cache stays
/// empty until the next key frame: a group without its beginning is of no use to a decoder.
#[derive(Debug)]
pub struct KeyFrameCache {
    units: VecDeque<AccessUnit>,
    bytes: usize,
    max_bytes: usize,
    overflows: u64,
    last_group_ticks: Option<i64>,
}

impl KeyFrameCache {
    /// An empty cache that holds at most `max_bytes`.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            units: VecDeque::new(),
            bytes: 0,
            max_bytes,
            overflows: 0,
            last_group_ticks: None,
        }
    }

    /// Adds the next access unit of the stream; a key frame forgets everything before it.
    pub fn push(&mut self, unit: AccessUnit) {
        if unit.is_key_frame {
            let first = self.units.front();
            self.last_group_ticks = first.map(|first| unit.dts - first.dts);
            self.clear();
        } else if self.units.is_empty() {
            return;
        }
        if self.bytes + unit.size() > self.max_bytes {
            self.overflows += 1;
            self.clear();
            return;
        }
        self.bytes += unit.size();
        self.units.push_back(unit);
    }

    /// Forgets all units (stream stalled, generation changed without key frame, stream closed).
    pub fn clear(&mut self) {
        self.units.clear();
        self.bytes = 0;
    }

    /// The cached units, key frame first; empty when no complete group is held.
    pub fn units(&self) -> impl ExactSizeIterator<Item = &AccessUnit> + DoubleEndedIterator {
        self.units.iter()
    }

    /// The cached key frame, if any.
    pub fn key_frame(&self) -> Option<&AccessUnit> {
        self.units.front()
    }

    /// How long a group of pictures lasts, 90 kHz: the last whole one, or the present one when that is longer already.
    pub fn group_ticks(&self) -> Option<i64> {
        let last = self.last_group_ticks?;
        let now = match (self.units.front(), self.units.back()) {
            (Some(first), Some(latest)) => latest.dts - first.dts,
            _ => 0,
        };
        Some(last.max(now))
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How often a group was too large and dropped.
    pub fn overflows(&self) -> u64 {
        self.overflows
    }
}
