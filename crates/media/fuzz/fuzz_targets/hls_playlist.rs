//! Playlists of a camera that does what it likes with its pictures and its clock: they keep the rules of RFC 8216, what they
//! list is there, what was once told stays, and the bytes stay bounded.
//!
//! The input is how long a picture and a group last, then steps of four octets: what happens, how large the picture is, and how
//! long it lasts or how far the timeline jumps before it.
#![no_main]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use commonview_media::access_unit::AccessUnit;
use commonview_media::fmp4::Fragment;
use commonview_media::ingest::IngestOutput;
use commonview_media::outlets::hls::cadence::Cadence;
use commonview_media::outlets::hls::playlist;
use commonview_media::outlets::hls::ring::{Awaited, Reach, Ring, Segment};
use commonview_media::parameters::VideoParameters;
use libfuzzer_sys::fuzz_target;
use support::{Packing, SPS_QCIF, key_picture, packets, receive_default};

/// Octets of a picture, at most.
const SIZE_MAX: usize = 255 * 64;
/// What a ring may hold.
const ROOM: usize = 1 << 16;
/// When the camera began, microseconds UTC.
const BEGAN_US: i64 = 1_795_390_000_000_000;

/// A picture as the pipeline makes it, and what its decoder needs.
static PICTURE: LazyLock<(AccessUnit, VideoParameters)> = LazyLock::new(|| {
    let pictures = [1, 2].map(|seed| key_picture(SPS_QCIF, seed, 300));
    let (out, _) = receive_default(&packets(&pictures, &Packing::default()));
    let unit = out.iter().find_map(|output| match output {
        IngestOutput::AccessUnit(unit) => Some(unit.clone()),
        _ => None,
    });
    let parameters = out.iter().find_map(|output| match output {
        IngestOutput::ParametersChanged(parameters) => Some(VideoParameters::clone(parameters)),
        _ => None,
    });
    unit.zip(parameters).expect("two pictures are received")
});

/// What a finished segment was told to be: ticks, whether it is discontinuous, its date, its octets.
type Told = (i64, bool, i64, usize);

#[derive(Default)]
struct Client {
    told: BTreeMap<u64, Told>,
    first: u64,
    discontinuities: u64,
}

impl Client {
    fn reads(&mut self, ring: &Ring) {
        let text = playlist::media(ring);
        assert!(text.starts_with("#EXTM3U\n") && text.ends_with("\"\n"));
        let cadence = ring.cadence();
        let mut next = None;
        for segment in ring.listed() {
            assert!(next.is_none_or(|next| segment.number == next));
            next = Some(segment.number + 1);
            assert!(ring.init(segment.parameters.generation).is_some());
            for (part, number) in segment.parts.iter().zip(0..) {
                assert!(0 < part.ticks && part.ticks <= cadence.part_ticks);
                let bytes = here(ring.part_bytes(segment.number, number));
                assert!(!bytes.is_empty() && bytes == part.bytes);
            }
            if ring.is_finished(segment) {
                self.finished(ring, segment);
            }
        }
        let (segment, part) = ring.edge();
        assert!(next.is_none_or(|next| segment + 1 >= next));
        assert_eq!(ring.part_bytes(segment, part), Reach::Awaited);
        let awaited = Awaited {
            segment,
            part: Some(part),
        };
        assert_eq!(ring.reaches(awaited), Reach::Awaited);
        if let Some(first) = ring.listed().next() {
            assert!(first.number >= self.first);
            self.first = first.number;
        }
        assert!(ring.discontinuity_sequence() >= self.discontinuities);
        self.discontinuities = ring.discontinuity_sequence();
    }

    fn finished(&mut self, ring: &Ring, segment: &Segment) {
        let seconds = (segment.ticks + 45_000) / 90_000;
        assert!(segment.ticks > 0 && seconds <= ring.cadence().target_s);
        let bytes = here(ring.segment_bytes(segment.number));
        let octets = bytes.iter().map(|picture| picture.len()).sum();
        let told = (
            segment.ticks,
            segment.is_discontinuous,
            segment.began_us,
            octets,
        );
        // A playlist that was given out may be changed at its ends only (RFC 8216 6.2.1).
        assert_eq!(*self.told.entry(segment.number).or_insert(told), told);
    }
}

fn here<T>(reach: Reach<T>) -> T {
    match reach {
        Reach::Here(found) => found,
        Reach::Awaited | Reach::Nowhere => panic!("what is listed is there"),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&[picture, group], steps)) = data.split_first_chunk::<2>() else {
        return;
    };
    let told = |octet: u8, ticks: i64| (octet > 0).then(|| i64::from(octet) * ticks);
    let mut ring = Ring::new(Cadence::of(told(picture, 450), told(group, 9000)), ROOM);
    let (mut unit, mut parameters) = PICTURE.clone();
    let mut parameters_in_force = Arc::new(parameters.clone());
    let mut client = Client::default();
    let (mut dts, mut clock_us) = (0, BEGAN_US);
    for step in steps.chunks_exact(4) {
        let (what, length) = (step[0], usize::from(step[1]) * 64);
        let ticks = i64::from(u16::from_be_bytes([step[2], step[3]]));
        match what >> 4 {
            0 => dts += ticks * 16,
            1 => clock_us += (ticks - 0x8000) * 1000,
            2 => ring.forget(),
            3 => {
                parameters.generation += 1;
                parameters_in_force = Arc::new(parameters.clone());
            }
            _ => {}
        }
        // A new generation begins with a key frame.
        let is_new = unit.generation != parameters.generation;
        unit.is_key_frame = what & 1 == 1 || is_new;
        unit.generation = parameters.generation;
        (unit.dts, unit.pts, unit.duration) = (dts, dts, ticks.max(1) as u32);
        unit.fragment = Fragment {
            buffer: vec![what; length.max(1)].into(),
            ws_offset: 0,
            payload_offset: 0,
        };
        // Decoding times increase; what the camera said of a picture's length need not hold.
        dts += if what & 2 == 0 { ticks.max(1) } else { 3600 };
        clock_us += 40_000;
        ring.push(&unit, &parameters_in_force, clock_us);
        ring.begin_list();
        assert!(ring.bytes() <= ROOM + SIZE_MAX);
        if ring.has_begun() {
            client.reads(&ring);
        }
    }
});
