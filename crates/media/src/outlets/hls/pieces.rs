//! What a ring is made of, and what can be said of what is asked of it.

use std::sync::Arc;

use bytes::Bytes;

use crate::parameters::VideoParameters;

/// A place in the playlist that a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// Media sequence number.
    pub segment: u64,
    /// Part of that segment; without one the whole segment is awaited.
    pub part: Option<u32>,
}

/// Whether what is asked for is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach<T> {
    /// It is.
    Here(T),
    /// It will be, or nearly so.
    Awaited,
    /// It is gone, or lies too far ahead.
    Nowhere,
}

impl<T> Reach<T> {
    /// The same of something else.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Reach<U> {
        match self {
            Reach::Here(found) => Reach::Here(make(found)),
            Reach::Awaited => Reach::Awaited,
            Reach::Nowhere => Reach::Nowhere,
        }
    }
}

/// What is sent of a part or a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// Boxes of pictures, shared, and of the sound that came between them.
    pub bytes: Vec<Bytes>,
    /// How many pictures.
    pub pictures: usize,
}

/// What a decoder needs first.
#[derive(Clone, Debug)]
pub struct Init {
    /// Its name in the playlist; counts from 1.
    pub number: u32,
    /// `ftyp` and `moov`.
    pub bytes: Bytes,
}

/// A few pictures.
#[derive(Clone, Debug)]
pub struct Part {
    /// Their boxes.
    pub media: Media,
    /// How long they last, 90 kHz.
    pub ticks: i64,
    /// Decoding time of the first of them.
    pub(super) first_dts: i64,
    /// Whether decoding may start in it.
    pub is_independent: bool,
}

/// Parts up to a key frame.
#[derive(Debug)]
pub struct Segment {
    /// Media sequence number.
    pub number: u64,
    /// How its pictures are coded.
    pub parameters: Arc<VideoParameters>,
    /// What its decoder needs.
    pub init: Init,
    /// Whether the timeline, or what a decoder must know, changes before it.
    pub is_discontinuous: bool,
    /// Whether decoding may start with its first picture.
    pub is_independent: bool,
    /// When its first picture arrived, microseconds UTC, carried on by the timeline.
    pub began_us: i64,
    /// What it consists of.
    pub parts: Vec<Part>,
    /// How long it lasts, 90 kHz, once it is finished.
    pub ticks: i64,
    /// Decoding time of its first picture.
    pub(super) first_dts: i64,
    pub(super) size: usize,
    /// No longer listed, it may go at this moment of the timeline.
    pub(super) kept_until: i64,
}
