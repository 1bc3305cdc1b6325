//! Access units, parameter sets, RFC 6184/7798 packing.
#![no_main]

use bytes::Bytes;
use commonview_media::assembler::{Assembler, AssemblerStats};
use commonview_media::nal_payload::{NalDepacketizer, NalFormat};
use commonview_media::parameters::{ParameterSets, VideoCodec};
use commonview_media::{h264, h265};
use libfuzzer_sys::fuzz_target;

type Cut = Vec<(Vec<Vec<u8>>, bool, bool)>;

fn assemble(data: &[u8], size: usize) -> (Cut, AssemblerStats) {
    let mut assembler = Assembler::new(1 << 24);
    let mut cut = Vec::new();
    for part in data.chunks(size) {
        let mut rest = part;
        while let Some(at) = assembler.push(rest, &mut |unit| {
            let nal_units = unit
                .nal_units
                .iter()
                .map(|nal| unit.bytes[nal.start..nal.end].to_vec())
                .collect();
            cut.push((nal_units, unit.is_key_frame, unit.is_damaged));
        }) {
            rest = &rest[at..];
        }
    }
    (cut, assembler.stats())
}

fuzz_target!(|data: &[u8]| {
    let Some((&size, data)) = data.split_first() else {
        return;
    };
    assert_eq!(
        assemble(data, usize::from(size) + 1),
        assemble(data, usize::MAX)
    );
    for format in [NalFormat::H264, NalFormat::H265] {
        let mut depacketizer = NalDepacketizer::new(format);
        data.chunks(usize::from(size) + 1)
            .for_each(|part| depacketizer.push(part, &mut |_| {}));
    }
    h264::parse_sps(data);
    h265::parse_sps(data);
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        let set = vec![Bytes::copy_from_slice(data)];
        let mut sets = ParameterSets::default();
        sets.put_pps(codec, data);
        sets.replace_sequence(set.clone(), set);
        sets.to_parameters(codec, 1);
    }
});
