//! What of a ring is there, is to come, or is nowhere.

use bytes::Bytes;

use super::pieces::{Awaited, Media, Reach, Segment};
use super::ring::Ring;

impl Ring {
    /// Whether the playlist has come as far as a client awaits (draft-pantos-hls-rfc8216bis 6.2.5.2).
    pub fn reaches(&self, awaited: Awaited) -> Reach<()> {
        let (next, next_part) = self.edge();
        // "too far ahead": the last media sequence number plus two.
        if awaited.segment > next + 2 {
            return Reach::Nowhere;
        }
        let is_here = match awaited.part {
            None => awaited.segment < next,
            Some(part) => {
                let finished = self.segment(awaited.segment);
                let parts = finished.map_or(0, |segment| segment.parts.len() as u32);
                if awaited.segment == next {
                    part < next_part
                } else if awaited.segment + 1 == next && part >= parts && finished.is_some() {
                    // Behind its last part: the first one of the next segment is meant.
                    next_part > 0
                } else {
                    awaited.segment < next
                }
            }
        };
        if is_here {
            Reach::Here(())
        } else {
            Reach::Awaited
        }
    }

    /// A finished segment's bytes.
    pub fn segment_bytes(&self, number: u64) -> Reach<Media> {
        let Some(segment) = self.segment(number) else {
            return Reach::Nowhere;
        };
        let mut whole = Media::default();
        for part in &segment.parts {
            whole.bytes.extend_from_slice(&part.media.bytes);
            whole.pictures += part.media.pictures;
        }
        Reach::Here(whole)
    }

    /// A part's bytes.
    pub fn part_bytes(&self, number: u64, part: u32) -> Reach<Media> {
        let open = self.open.as_ref().filter(|open| open.number == number);
        let segment = open.or_else(|| self.segment(number));
        match segment.and_then(|segment| segment.parts.get(part as usize)) {
            Some(part) => Reach::Here(part.media.clone()),
            // The hint of the playlist: that one may be asked for before it is there.
            None if (number, part) == self.edge() => Reach::Awaited,
            None => Reach::Nowhere,
        }
    }

    /// The init segment of this number, while a segment refers to it.
    pub fn init(&self, number: u32) -> Option<Bytes> {
        let all = self.segments.iter().chain(&self.open);
        let mut inits = all.map(|segment| &segment.init);
        let found = inits.find(|init| init.number == number);
        found.map(|init| init.bytes.clone())
    }

    fn segment(&self, number: u64) -> Option<&Segment> {
        let first = self.segments.front()?.number;
        let index = usize::try_from(number.checked_sub(first)?).ok()?;
        self.segments.get(index)
    }
}
