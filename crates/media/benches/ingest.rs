//! What the ingest costs a packet, beside copying the same bytes once, in the same run.
//!
//! `cargo bench -p commonview-media --bench ingest`. A camera of 4 Mbit/s: 1080p25, 2 s between key frames, packets of 1400 bytes.

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::time::Instant;

use commonview_media::cache::KeyFrameCache;
use commonview_media::ingest::{Ingest, IngestConfig, IngestOutput};
use support::*;

const SECONDS: u32 = 2;
const FRAMES: u32 = 25 * SECONDS;
const ROUNDS: u32 = 200;

/// A group of pictures at 4 Mbit/s: one key picture of 121 KB, the rest shares what remains.
fn camera() -> Vec<Picture> {
    let dependent = (500_000 * SECONDS as usize - 121_000) / (FRAMES as usize - 1);
    (0..FRAMES)
        .map(|n| {
            if n == 0 {
                key_picture(SPS_1080, 1, 121_000)
            } else {
                dependent_picture(n, dependent, 1)
            }
        })
        .collect()
}

/// Gives the group again and again with sequence numbers and times that go on.
struct Loop {
    packets: Vec<Vec<u8>>,
    pictures: Vec<usize>,
    pts_at: Vec<usize>,
    round: u32,
}

impl Loop {
    fn new() -> Self {
        let packing = Packing {
            pes_payload: 65_000,
            first_pts: 0,
            first_sequence: 0,
            ..Packing::default()
        };
        let (pictures, packets): (Vec<_>, Vec<_>) =
            packets(&camera(), &packing).into_iter().unzip();
        let pts_at = packets
            .iter()
            .map(|packet: &Vec<u8>| find_pts(packet))
            .collect();
        Self {
            packets,
            pictures,
            pts_at,
            round: 0,
        }
    }

    fn advance(&mut self) {
        self.round += 1;
        let count = self.packets.len() as u32;
        for (n, packet) in self.packets.iter_mut().enumerate() {
            let sequence = (self.round * count + n as u32) as u16;
            packet[2..4].copy_from_slice(&sequence.to_be_bytes());
            let pts = (u64::from(self.round * FRAMES) + self.pictures[n] as u64) * FRAME_TICKS;
            if self.pts_at[n] > 0 {
                packet[self.pts_at[n]..self.pts_at[n] + 5].copy_from_slice(&stamp(2, pts));
            }
        }
    }

    fn bytes(&self) -> usize {
        self.packets.iter().map(Vec::len).sum()
    }
}

/// Where the PTS of the first PES header in the packet stands, 0 if there is none.
fn find_pts(packet: &[u8]) -> usize {
    packet
        .windows(4)
        .position(|code| code == [0, 0, 1, 0xe0])
        .map_or(0, |at| at + 9)
}

fn time(rounds: u32, mut work: impl FnMut()) -> f64 {
    work();
    let begin = Instant::now();
    for _ in 0..rounds {
        work();
    }
    begin.elapsed().as_secs_f64() / f64::from(rounds)
}

fn report(name: &str, seconds: f64, packets: usize, copy: f64) {
    println!(
        "{name:<42} {:>7.1} ns/packet {:>8.4} % of a core for a 4 Mbit/s camera {:>6.2} x memcpy",
        seconds * 1e9 / packets as f64,
        seconds / f64::from(SECONDS) * 100.0,
        seconds / copy
    );
}

fn main() {
    let mut camera = Loop::new();
    let count = camera.packets.len();
    println!(
        "{count} packets, {} bytes, {FRAMES} pictures, {SECONDS} s of video a round",
        camera.bytes()
    );

    let rewrite = time(ROUNDS, || camera.advance());
    let mut target = vec![0u8; camera.bytes()];
    let copy = time(ROUNDS, || {
        let mut at = 0;
        for packet in black_box(&camera.packets) {
            target[at..at + packet.len()].copy_from_slice(packet);
            at += packet.len();
        }
        black_box(&mut target);
    });
    report("memcpy of the same bytes", copy, count, copy);

    let mut out = Vec::new();
    let mut now_us = 0;
    let mut ingest = Ingest::new(IngestConfig::default());
    let mut cache = KeyFrameCache::new(8 << 20);
    let udp = time(ROUNDS, || {
        camera.advance();
        for (packet, picture) in camera.packets.iter().zip(&camera.pictures) {
            ingest.push_rtp(
                now_us + *picture as u64 * FRAME_US,
                packet,
                SOURCE,
                &mut out,
            );
            drain(&mut out, &mut cache);
        }
        now_us += u64::from(FRAMES) * FRAME_US;
    }) - rewrite;
    report("UDP: ingest, fragment, key-frame cache", udp, count, copy);
    let stats = ingest.stats();
    assert_eq!(
        (stats.lost, stats.video.delivered),
        (0, u64::from((ROUNDS + 1) * FRAMES))
    );
    println!(
        "  cache {} bytes of {} received a group",
        cache.bytes(),
        camera.bytes()
    );

    let mut ingest = Ingest::new(IngestConfig::default());
    let mut stream = Vec::new();
    let frames = |camera: &mut Loop, stream: &mut Vec<u8>| {
        camera.advance();
        stream.clear();
        for packet in &camera.packets {
            stream.extend_from_slice(&(packet.len() as u16).to_be_bytes());
            stream.extend_from_slice(packet);
        }
    };
    let framing = time(ROUNDS, || frames(&mut camera, &mut stream));
    let tcp = time(ROUNDS, || {
        frames(&mut camera, &mut stream);
        for part in stream.chunks(16 << 10) {
            ingest.push_stream(now_us, SOURCE, part, &mut out);
            drain(&mut out, &mut cache);
        }
    }) - framing;
    report("TCP, reads of 16 KiB: the same", tcp, count, copy);
    assert_eq!(ingest.stats().lost, 0);
    assert_eq!(
        ingest.stats().video.delivered,
        u64::from((ROUNDS + 1) * FRAMES)
    );
}

fn drain(out: &mut Vec<IngestOutput>, cache: &mut KeyFrameCache) {
    for output in out.drain(..) {
        if let IngestOutput::AccessUnit(unit) = output {
            cache.push(unit);
        }
    }
}
