//! What a client may rely on, read from the playlists as a client reads them.

mod ring;
mod rules;
mod sound;

use std::sync::Arc;

use bytes::Bytes;

use super::cadence::Cadence;
use super::playlist;
use super::ring::{Media, Reach, Ring};
use crate::access_unit::AccessUnit;
use crate::fmp4::Fragment;
use crate::parameters::{VideoCodec, VideoParameters};

const FRAME: i64 = 3600;
const CLOCK_US: i64 = 1_795_390_000_000_000;

/// A camera without a picture worth looking at.
struct Camera {
    ring: Ring,
    dts: i64,
    generation: u32,
    pictures: u32,
    picture_bytes: usize,
    late_us: i64,
}

impl Camera {
    fn new(group: i64) -> Camera {
        Camera::of(Ring::new(
            Cadence::of(Some(FRAME), Some(group * FRAME)),
            1 << 20,
        ))
    }

    fn of(ring: Ring) -> Camera {
        Camera {
            ring,
            dts: 0,
            generation: 1,
            pictures: 0,
            picture_bytes: 100,
            late_us: 0,
        }
    }

    fn send(&mut self, is_key_frame: bool, ticks: i64) -> bool {
        let mut content = vec![0; self.picture_bytes.max(4)];
        content[..4].copy_from_slice(&self.pictures.to_be_bytes());
        let unit = AccessUnit {
            generation: self.generation,
            codec: VideoCodec::H264,
            is_key_frame,
            is_damaged: false,
            pts: self.dts,
            dts: self.dts,
            duration: ticks as u32,
            received_us: 0,
            device_pts: None,
            fragment: whole(content),
            payload_at: 0,
        };
        let arrived_us = CLOCK_US + self.late_us + self.dts * 100 / 9;
        self.pictures += 1;
        self.dts += ticks;
        self.ring
            .push(&unit, &parameters(self.generation), arrived_us)
    }

    /// Groups of `group` pictures at 25 a second.
    fn run(&mut self, groups: u32, group: u32) {
        for _ in 0..groups {
            for number in 0..group {
                self.send(number == 0, FRAME);
            }
        }
    }

    fn playlist(&self) -> Playlist {
        Playlist::read(&playlist::media(&self.ring))
    }
}

fn whole(bytes: Vec<u8>) -> Fragment {
    Fragment {
        buffer: bytes.into(),
        ws_offset: 0,
        payload_offset: 0,
    }
}

fn parameters(generation: u32) -> Arc<VideoParameters> {
    Arc::new(VideoParameters {
        generation,
        codec: VideoCodec::H264,
        width: 1920,
        height: 1080,
        codec_string: "avc1.640028".to_owned(),
        parameter_sets: Vec::new(),
        record: Bytes::new(),
        init: whole(format!("init {generation}").into_bytes()),
    })
}

/// A media playlist as a client reads it.
#[derive(Debug, Default)]
struct Playlist {
    target_s: i64,
    part_target_s: f64,
    first: u64,
    discontinuities: u64,
    segments: Vec<Listed>,
    hint: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Listed {
    number: u64,
    init: String,
    is_discontinuous: bool,
    date: String,
    seconds: Option<f64>,
    /// Duration, independent.
    parts: Vec<(f64, bool)>,
}

impl Playlist {
    fn read(text: &str) -> Playlist {
        let mut list = Playlist::default();
        let mut init = String::new();
        let mut next = Listed::default();
        let mut number = 0;
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("#EXTM3U"));
        for line in lines {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            match tag {
                "#EXT-X-VERSION" => assert_eq!(value, "6"),
                "#EXT-X-TARGETDURATION" => list.target_s = value.parse().unwrap(),
                "#EXT-X-SERVER-CONTROL" => {
                    assert!(value.starts_with("CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK="))
                }
                "#EXT-X-PART-INF" => {
                    list.part_target_s =
                        value.strip_prefix("PART-TARGET=").unwrap().parse().unwrap();
                }
                "#EXT-X-MEDIA-SEQUENCE" => {
                    list.first = value.parse().unwrap();
                    number = list.first;
                }
                "#EXT-X-DISCONTINUITY-SEQUENCE" => list.discontinuities = value.parse().unwrap(),
                "#EXT-X-DISCONTINUITY" => next.is_discontinuous = true,
                "#EXT-X-MAP" => init = value.split('"').nth(1).unwrap().to_owned(),
                "#EXT-X-PROGRAM-DATE-TIME" => next.date = value.to_owned(),
                "#EXT-X-PART" => {
                    let fields: Vec<&str> = value.split(',').collect();
                    let seconds = fields[0]
                        .strip_prefix("DURATION=")
                        .unwrap()
                        .parse()
                        .unwrap();
                    let uri = format!("URI=\"part-{number}-{}.m4s\"", next.parts.len());
                    assert_eq!(fields[1], uri);
                    let is_independent = fields.get(2) == Some(&"INDEPENDENT=YES");
                    next.parts.push((seconds, is_independent));
                }
                "#EXTINF" => {
                    next.seconds = Some(value.strip_suffix(',').unwrap().parse().unwrap());
                }
                "#EXT-X-PRELOAD-HINT" => {
                    list.hint = value.split('"').nth(1).unwrap().to_owned();
                }
                uri => {
                    assert_eq!(uri, format!("seg-{number}.m4s"));
                    (next.number, next.init) = (number, init.clone());
                    list.segments.push(std::mem::take(&mut next));
                    number += 1;
                }
            }
        }
        if next != Listed::default() {
            (next.number, next.init) = (number, init);
            list.segments.push(next);
        }
        list
    }

    fn finished(&self) -> impl Iterator<Item = &Listed> {
        self.segments
            .iter()
            .filter(|segment| segment.seconds.is_some())
    }
}

fn pictures(media: &Media) -> Vec<u32> {
    let number = |picture: &Bytes| u32::from_be_bytes(picture[..4].try_into().unwrap());
    assert_eq!(media.bytes.len(), media.pictures);
    media.bytes.iter().map(number).collect()
}

fn here<T>(reach: Reach<T>) -> T {
    match reach {
        Reach::Here(value) => value,
        Reach::Awaited => panic!("it is awaited"),
        Reach::Nowhere => panic!("it is nowhere"),
    }
}
