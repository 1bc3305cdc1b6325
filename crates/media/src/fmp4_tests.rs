use super::*;

const SAMPLE: Sample = Sample {
    sequence: 7,
    decode_time: 0x1_0000_0000,
    duration: 3600,
    composition_offset: -1,
    is_key_frame: true,
};

#[test]
fn golden_bytes_of_a_fragment() {
    let nal_units: [&[u8]; 2] = [&[0x65, 1, 2], &[6]];
    let fragment = fragment(&SAMPLE, nal_units.into_iter());
    let expected: Vec<u8> = [
        &[0, 0, 0, 104][..],
        b"moof",
        &[0, 0, 0, 16],
        b"mfhd",
        &[0, 0, 0, 0, 0, 0, 0, 7],
        &[0, 0, 0, 80],
        b"traf",
        &[0, 0, 0, 16],
        b"tfhd",
        &[0, 2, 0, 0, 0, 0, 0, 1],
        &[0, 0, 0, 20],
        b"tfdt",
        &[1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
        &[0, 0, 0, 36],
        b"trun",
        &[1, 0, 15, 1, 0, 0, 0, 1, 0, 0, 0, 112],
        &[0, 0, 14, 16, 0, 0, 0, 12, 2, 0, 0, 0, 255, 255, 255, 255],
        &[0, 0, 0, 20],
        b"mdat",
        &[0, 0, 0, 3, 0x65, 1, 2, 0, 0, 0, 1, 6],
    ]
    .concat();
    assert_eq!(fragment.boxes(), expected);
    assert_eq!(fragment.buffer.len(), FRAGMENT_OVERHEAD + 12);
    assert_eq!(fragment.websocket()[..4], [0x82, 124, 0, 0]);
}

#[test]
fn websocket_header_lengths() {
    for (payload, header) in [
        (9, 2),
        (10, 4),
        (65_535 - 112 - 4, 4),
        (65_536 - 112 - 4, 10),
    ] {
        let nal = vec![1; payload];
        let fragment = fragment(&SAMPLE, std::iter::once(&nal[..]));
        assert_eq!(
            fragment.payload_offset - fragment.ws_offset,
            header,
            "payload {payload}"
        );
        assert_eq!(fragment.websocket().len(), fragment.boxes().len() + header);
    }
    let short = Fragment::seal(vec![0; WEBSOCKET_ROOM + 3]);
    assert_eq!(short.websocket(), [0x82, 3, 0, 0, 0][..]);
}

#[test]
fn init_segment_box_sizes_add_up() {
    let init = init_segment(VideoCodec::H264, 640, 360, &[1, 2, 3]).boxes();
    let ftyp = u32::from_be_bytes(init[..4].try_into().unwrap()) as usize;
    let moov = u32::from_be_bytes(init[ftyp..ftyp + 4].try_into().unwrap()) as usize;
    assert_eq!(ftyp + moov, init.len());
    assert!(memchr::memmem::find(&init, b"avcC\x01\x02\x03").is_some());
}
