//! RTP header, RTCP recognition, payload sniffing; then the same bytes as a row of sequence numbers for the reorder window.
#![no_main]

use commonview_media::payload_format::PayloadFormat;
use commonview_media::reorder::Reorder;
use commonview_media::rtp::{RtpPacket, is_rtcp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    is_rtcp(data);
    if let Ok(packet) = RtpPacket::parse(data) {
        assert!(packet.payload().len() + 12 <= data.len());
        PayloadFormat::detect(packet.payload());
    }
    let mut window = Reorder::new(8, 1000);
    let (mut pushed, mut released) = (0, 0);
    for (n, pair) in data.chunks_exact(2).enumerate() {
        pushed += 1;
        let sequence = u16::from_be_bytes([pair[0], pair[1]]);
        window.push(n as u64 * 100, sequence, pair, &mut |_, _| released += 1);
        window.expire(n as u64 * 100, &mut |_, _| released += 1);
    }
    let stats = window.stats();
    assert_eq!(stats.released, released);
    assert_eq!(
        pushed,
        stats.released + stats.duplicates + stats.late + stats.out_of_range + window.held() as u64
    );
});
