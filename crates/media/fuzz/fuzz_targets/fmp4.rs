//! Fragments and init segments: boxes fill their bytes exactly.
#![no_main]

use commonview_media::fmp4::{self, Sample};
use commonview_media::parameters::VideoCodec;
use libfuzzer_sys::fuzz_target;

fn walk(mut data: &[u8]) {
    while !data.is_empty() {
        let size = u32::from_be_bytes([data[0], data[1], data[2], data[3]]) as usize;
        assert!(size >= 8 && size <= data.len());
        data = &data[size..];
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((head, rest)) = data.split_first_chunk::<16>() else {
        return;
    };
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let sample = Sample {
        sequence: word(0),
        decode_time: u64::from(word(4)) << 20,
        duration: word(8),
        composition_offset: word(12) as i32,
        is_key_frame: head[0] & 1 == 1,
    };
    let nal_units = rest.chunks(usize::from(head[1]) + 1);
    let fragment = fmp4::fragment(&sample, nal_units.clone());
    walk(&fragment.boxes());
    assert_eq!(
        fragment.boxes().len(),
        112 + nal_units.map(|nal| 4 + nal.len()).sum::<usize>()
    );
    assert!(fragment.websocket().ends_with(&fragment.boxes()));
    walk(&fmp4::init_segment(VideoCodec::H265, word(0), word(4), rest).boxes());
});
