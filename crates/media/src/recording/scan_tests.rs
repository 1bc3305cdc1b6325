use super::*;
use crate::fmp4::{self, MOOF, Sample};
use crate::parameters::VideoCodec;
use crate::recording::reader;
use crate::recording::tests::Folder;

const RECORD: [u8; 7] = [1, 100, 0, 30, 0xff, 0xe0, 0];

#[test]
fn a_fragment_without_samples_is_no_key_frame() {
    let sample = Sample {
        sequence: 1,
        decode_time: 0,
        duration: 3600,
        composition_offset: 0,
        is_key_frame: true,
    };
    let picture = fmp4::fragment(&sample, [&[0x65; 40][..]].into_iter()).boxes();
    let mut empty = picture[..MOOF].to_vec();
    let trun = empty.windows(4).position(|name| name == b"trun").unwrap();
    empty[trun + 8..][..4].fill(0);
    empty.extend_from_slice(b"\0\0\0\x08mdat");
    let init = fmp4::init_segment(VideoCodec::H264, 640, 360, &RECORD).boxes();
    let folder = Folder::new("without-samples");
    let path = folder.0.join("one.part");
    std::fs::write(&path, [&init[..], &empty, &picture, &empty].concat()).unwrap();

    let found = scan(&path).unwrap();
    let place = (init.len() + empty.len()) as u64;
    assert_eq!((found.whole, found.pictures), (found.length, 1));
    assert_eq!(found.key_frames, [(0, place)]);
    let (_, groups) = reader::groups(&path).unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].offset, place);
    let (finished, mended) = mend(&path).unwrap().unwrap();
    assert!(mended.is_finished);
    assert_eq!(reader::groups(&finished).unwrap().1[0].offset, place);
}
