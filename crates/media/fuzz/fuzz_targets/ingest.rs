//! The whole pipeline: records of (kind, length, bytes) are datagrams, pieces of a connection, or pauses.
#![no_main]

use commonview_media::ingest::{
    AfterLoss, Ingest, IngestConfig, IngestOutput, SourceId, SsrcPolicy,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&options, mut rest)) = data.split_first() else {
        return;
    };
    let config = IngestConfig {
        ssrc: match options & 3 {
            0 => SsrcPolicy::Learn(None),
            1 => SsrcPolicy::Learn(Some(0x0a0b_0c0d)),
            2 => SsrcPolicy::Strict(0x0a0b_0c0d),
            _ => SsrcPolicy::Follow(Some(7)),
        },
        after_loss: if options & 4 == 0 {
            AfterLoss::DropToKeyFrame
        } else {
            AfterLoss::Deliver
        },
        reorder_packets: 4,
        max_access_unit_bytes: 100_000,
        ..IngestConfig::default()
    };
    let mut ingest = Ingest::new(config);
    let mut out = Vec::new();
    let mut now_us = 0;
    while let Some((&[kind, high, low], tail)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(tail.len());
        let (bytes, tail) = tail.split_at(length);
        rest = tail;
        let source = SourceId(u64::from(kind >> 4 & 1));
        now_us += 5000;
        match kind & 7 {
            0..=3 => ingest.push_rtp(now_us, bytes, source, &mut out),
            4 | 5 => ingest.push_stream(now_us, source, bytes, &mut out),
            6 => now_us += length as u64 * 1000,
            _ => ingest.close_connection(now_us, source, &mut out),
        }
        if ingest.wake_at().is_some_and(|at| at <= now_us) {
            ingest.tick(now_us, &mut out);
        }
    }
    ingest.tick(u64::MAX, &mut out);
    check(&ingest, &out);
});

fn check(ingest: &Ingest, out: &[IngestOutput]) {
    let stats = ingest.stats();
    let counted = stats.used
        + stats.late
        + stats.duplicates
        + stats.malformed
        + stats.rtcp
        + stats.ssrc_dropped
        + stats.out_of_range;
    assert_eq!((stats.packets, stats.held), (counted, 0));
    let video = stats.video;
    let units = video.delivered
        + video.before_key_frame
        + video.damaged_dropped
        + video.after_loss_dropped
        + video.bad_parameter_sets;
    assert_eq!(video.units, units);
    let mut last = -1;
    for output in out {
        if let IngestOutput::AccessUnit(unit) = output {
            assert!(unit.dts > last);
            last = unit.dts;
            assert_eq!(
                unit.nal_units().map(|nal| 4 + nal.len()).sum::<usize>(),
                unit.payload().len()
            );
        }
    }
}
