use super::*;

fn rtp(sequence: u16, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut raw = vec![0x80, 96];
    raw.extend_from_slice(&sequence.to_be_bytes());
    raw.extend_from_slice(&[0, 0, 0, 0]);
    raw.extend_from_slice(&ssrc.to_be_bytes());
    raw.extend_from_slice(payload);
    raw
}

fn framed(framing: Framing, frame: &[u8]) -> Vec<u8> {
    let mut out = match framing {
        Framing::Rfc4571 => vec![],
        Framing::Interleaved => vec![b'$', 0],
    };
    out.extend_from_slice(&(frame.len() as u16).to_be_bytes());
    out.extend_from_slice(frame);
    out
}

fn collect(framer: &mut Framer, bytes: &[u8], split: usize) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for part in bytes.chunks(split) {
        framer.push(part, &mut |frame| frames.push(frame.to_vec()));
    }
    frames
}

#[test]
fn frames_come_out_whole_for_every_split() {
    for framing in [Framing::Rfc4571, Framing::Interleaved] {
        let sent: Vec<_> = (0..5).map(|n| rtp(n, 7, &[n as u8; 30])).collect();
        let stream: Vec<u8> = sent
            .iter()
            .flat_map(|frame| framed(framing, frame))
            .collect();
        for split in 1..=stream.len() {
            let mut framer = Framer::new();
            assert_eq!(collect(&mut framer, &stream, split), sent, "split {split}");
            assert_eq!(framer.framing(), Some(framing));
            assert_eq!((framer.carried(), framer.stats().skipped_bytes), (0, 0));
        }
    }
}

#[test]
// trap 43
fn framing_lost_in_the_middle_is_found_again_by_ssrc() {
    for framing in [Framing::Rfc4571, Framing::Interleaved] {
        let mut stream: Vec<u8> = (0..3)
            .flat_map(|n| framed(framing, &rtp(n, 0x1234_5678, &[0x11; 50])))
            .collect();
        stream.extend_from_slice(&[0x33; 70]);
        stream.extend((3..5).flat_map(|n| framed(framing, &rtp(n, 0x1234_5678, &[0x22; 50]))));
        for split in [1, 7, 64, stream.len()] {
            let mut framer = Framer::new();
            let frames = collect(&mut framer, &stream, split);
            assert_eq!(frames.len(), 5, "{framing:?} split {split}");
            assert_eq!(framer.stats().resyncs, 1);
            assert_eq!(framer.stats().skipped_bytes, 70);
        }
    }
}

#[test]
// trap 43
fn a_vendor_header_before_the_first_frame_is_skipped() {
    let mut stream = vec![0x01; 64];
    stream.extend((0..3).flat_map(|n| framed(Framing::Rfc4571, &rtp(n, 9, &[0x11; 50]))));
    for split in [1, 13, stream.len()] {
        let mut framer = Framer::new();
        assert_eq!(collect(&mut framer, &stream, split).len(), 3);
        assert_eq!(framer.stats().skipped_bytes, 64);
    }
}

#[test]
fn rtcp_and_empty_frames_do_not_break_the_framing() {
    let mut stream = framed(Framing::Rfc4571, &rtp(0, 9, &[1; 20]));
    stream.extend_from_slice(&[0, 0]);
    stream.extend(framed(Framing::Rfc4571, &[0x80, 201, 0, 1, 0, 0, 0, 1]));
    stream.extend(framed(Framing::Rfc4571, &rtp(1, 9, &[2; 20])));
    let mut framer = Framer::new();
    assert_eq!(collect(&mut framer, &stream, 5).len(), 3);
    assert_eq!(framer.stats().empty_frames, 1);
    assert_eq!(framer.stats().resyncs, 0);
}

#[test]
fn a_frame_that_becomes_visible_with_its_last_byte_is_seen_at_once() {
    let mut stream: Vec<u8> = (0..2)
        .flat_map(|n| framed(Framing::Rfc4571, &rtp(n, 9, &[])))
        .collect();
    // Out of step by one octet.
    stream.push(0x37);
    stream.extend(framed(Framing::Rfc4571, &rtp(2, 9, &[])));
    for split in [1, stream.len()] {
        let mut framer = Framer::new();
        assert_eq!(
            collect(&mut framer, &stream, split).len(),
            3,
            "split {split}"
        );
        assert_eq!(framer.stats().skipped_bytes, 1);
    }
}

#[test]
fn a_change_of_ssrc_alone_keeps_the_framing() {
    let mut stream = framed(Framing::Rfc4571, &rtp(0, 9, &[1; 20]));
    stream.extend(framed(Framing::Rfc4571, &rtp(1, 10, &[2; 20])));
    assert_eq!(collect(&mut Framer::new(), &stream, 100).len(), 2);
}
