//! Writes the seed corpus with the same small camera the tests use. Run by `run.sh seeds`.

#[path = "../../tests/support/mod.rs"]
mod support;

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use commonview_media::fmp4::{self, MOOF, Sample};
use commonview_media::parameters::VideoCodec;
use commonview_media::recording::scan;
use commonview_media::ticket::{Peers, Protocol, Ticket, Verifier};
use support::*;

fn write(target: &str, name: &str, data: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    fs::create_dir_all(&folder).expect("corpus folder");
    fs::write(folder.join(format!("seed-{name}")), data).expect("seed");
}

fn main() {
    let pictures = [
        key_picture(SPS_QCIF, 1, 300),
        dependent_picture(2, 150, 2),
        key_picture(SPS_1080, 3, 200),
    ];
    let packing = Packing {
        payload: 150,
        pes_payload: 200,
        ..Packing::default()
    };
    let packets: Vec<Vec<u8>> = packets(&pictures, &packing)
        .into_iter()
        .map(|(_, packet)| packet)
        .collect();

    write("rtp", "ps", &packets[0]);
    write(
        "rtp",
        "extension-padding",
        &[
            0xb1, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 9, 0xbe, 0xde, 0, 1, 1, 2, 3, 4, 5, 6,
            0, 2,
        ],
    );
    write("rtp", "rtcp", &[0x80, 200, 0, 1, 0, 0, 0, 1]);
    write(
        "rtp",
        "sequence",
        &[
            0xff, 0xfe, 0, 0, 0xff, 0xff, 0, 1, 0, 1, 0x40, 0, 0x40, 1, 0x40, 2,
        ],
    );

    let stream: Vec<u8> = packets.iter().flat_map(|packet| framed(packet)).collect();
    write("rfc4571", "whole", &[&[255][..], &stream].concat());
    write(
        "rfc4571",
        "resync",
        &[&[20][..], &stream[..400], &[1; 9], &stream[400..]].concat(),
    );
    let interleaved: Vec<u8> = packets
        .iter()
        .flat_map(|packet| [b"$\0", &framed(packet)[..]].concat())
        .collect();
    write(
        "rfc4571",
        "interleaved",
        &[&[30][..], &interleaved].concat(),
    );

    let mut ps: Vec<u8> = pictures
        .iter()
        .enumerate()
        .flat_map(|(n, picture)| pack(picture, n as u64 * 3600, &packing))
        .collect();
    ps.extend(pes(0xc0, Some(5), None, &[0xd5; 20]));
    ps.extend(pes(0xbd, None, None, &[1; 8]));
    write("ps", "whole", &[&[255][..], &ps].concat());
    let open = Packing {
        pes_length: Some(0),
        ..packing.clone()
    };
    write(
        "ps",
        "open-length",
        &[&[7][..], &pack(&pictures[0], 9, &open)].concat(),
    );
    let short = Packing {
        pes_length: Some(40),
        with_map: false,
        ..packing.clone()
    };
    write(
        "ps",
        "short-length",
        &[&[60][..], &pack(&pictures[0], 9, &short)].concat(),
    );

    write("ts", "whole", &[&[46][..], &ts::stream(&pictures)].concat());
    write("ts", "split", &[&[9][..], &ts::stream(&pictures)].concat());

    let bytes: Vec<u8> = pictures.iter().flat_map(byte_stream).collect();
    write("nal", "h264", &[&[99][..], &bytes].concat());
    write("nal", "sps", &[&[0][..], SPS_1080].concat());
    let h265 = [
        &[
            50, 0, 0, 0, 1, 0x40, 1, 0x0c, 0, 0, 1, 0x42, 1, 1, 1, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 1,
            0x44, 1, 9, 0, 0, 1,
        ][..],
        &[0x26, 1, 0xaf, 9, 9],
    ]
    .concat();
    write("nal", "h265", &h265);
    write(
        "nal",
        "fragments",
        &[2, 0x7c, 0x85, 3, 0x7c, 0x05, 4, 0x7c, 0x45, 5],
    );

    write(
        "fmp4",
        "two",
        &[
            &[0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 14, 16, 0, 0, 0, 0][..],
            &[0x65; 40],
        ]
        .concat(),
    );

    let record =
        |kind: u8, data: &[u8]| [&[kind][..], &(data.len() as u16).to_be_bytes(), data].concat();
    let datagrams: Vec<u8> = packets
        .iter()
        .flat_map(|packet| record(0, packet))
        .collect();
    let payloads: Vec<u8> = packets
        .iter()
        .flat_map(|packet| {
            let payload = &packet[12..];
            [&[1][..], &(payload.len() as u16).to_be_bytes(), payload].concat()
        })
        .collect();
    write("relay", "ps", &payloads);
    write("ingest", "udp", &[&[0][..], &datagrams].concat());
    let mut lossy = packets.clone();
    lossy.swap(2, 4);
    lossy.remove(6);
    let datagrams: Vec<u8> = lossy.iter().flat_map(|packet| record(0, packet)).collect();
    write("ingest", "loss", &[&[5][..], &datagrams].concat());
    let pieces: Vec<u8> = stream
        .chunks(333)
        .flat_map(|part| record(4, part))
        .collect();
    write("ingest", "tcp", &[&[0][..], &pieces].concat());
    let plain: Vec<u8> = bytes
        .chunks(200)
        .enumerate()
        .flat_map(|(n, part)| record(0, &rtp(n as u16, 0, false, 7, part)))
        .collect();
    write("ingest", "byte-stream", &[&[3][..], &plain].concat());

    segments();
    hls();
    tickets();
}

/// A segment as a recorder leaves it, one that a crash cut off, and one with a fragment of nothing.
fn segments() {
    // AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1) without parameter sets.
    let record = [1, 0x42, 0, 0x1e, 0xff, 0xe0, 0];
    let mut segment = fmp4::init_segment(VideoCodec::H264, 176, 144, &record)
        .boxes()
        .to_vec();
    let init = segment.len();
    for number in 0..4u32 {
        let sample = Sample {
            sequence: number + 1,
            decode_time: u64::from(number) * 3600,
            duration: 3600,
            composition_offset: 0,
            is_key_frame: number % 2 == 0,
        };
        let picture = [0x65; 40];
        segment.extend_from_slice(&fmp4::fragment(&sample, [&picture[..]].into_iter()).boxes());
    }
    let mut empty = segment[init..init + MOOF].to_vec();
    let run = empty.windows(4).position(|name| name == b"trun");
    empty[run.expect("a run of samples") + 8..][..4].fill(0);
    let hollow = [
        &segment[..init],
        &empty,
        b"\0\0\0\x08mdat",
        &segment[init..],
    ];
    let part = std::env::temp_dir().join(format!("seed-{}.part", std::process::id()));
    fs::write(&part, &segment).expect("an unfinished segment");
    let (finished, _) = scan::mend(&part)
        .expect("it is mended")
        .expect("it has pictures");
    let whole = fs::read(&finished).expect("it is there");
    fs::remove_file(finished).expect("it goes");
    for target in ["scan", "segment_reader"] {
        write(target, "cut", &segment[..segment.len() - 20]);
        write(target, "hollow", &hollow.concat());
        write(target, "finished", &whole);
    }
}

/// What players ask for, and cameras of different habits.
fn hls() {
    let key = "00112233445566778899aabbccddeeff";
    for (name, text) in [
        ("open", "s1/index.m3u8?ticket=x".to_owned()),
        (
            "reload",
            format!("s1/{key}/live.m3u8?_HLS_msn=7&_HLS_part=2"),
        ),
        ("init", format!("s1/{key}/init-1.mp4")),
        ("segment", format!("s1/{key}/seg-12.m4s")),
        ("part", format!("s1/{key}/part-12-4.m4s")),
    ] {
        write("hls_request", name, text.as_bytes());
    }
    // 25 pictures a second, a key frame every 12: what happens, size, ticks.
    let steady = |number: u32| [u8::from(number.is_multiple_of(12)) | 0xf0, 20, 0x0e, 0x10];
    let mut steps: Vec<[u8; 4]> = (0..60).map(steady).collect();
    let camera = |steps: &[[u8; 4]]| [&[8, 5][..], &steps.concat()].concat();
    write("hls_playlist", "steady", &camera(&steps));
    // A hole, another size, a clock that is set, a stall.
    for (at, what) in [(20, 0x00), (30, 0x31), (40, 0x10), (50, 0x21)] {
        steps[at] = [what, 40, 0x8f, 0xff];
    }
    write("hls_playlist", "restless", &camera(&steps));
}

/// Payloads of tickets, without their signatures.
fn tickets() {
    let verifier = Verifier::new(&[7; 32]).expect("the key is long enough");
    for (name, peers) in [
        ("anywhere", None),
        ("bound", Peers::new(IpAddr::from([192, 0, 2, 0]), 24)),
    ] {
        let ticket = Ticket {
            stream_id: "stream".into(),
            access_id: "access".into(),
            grant_id: "grant".into(),
            protocol: Protocol::Http,
            start_by_ms: 1_795_000_030_000,
            end_by_ms: 1_795_000_600_000,
            nonce: [9; 16],
            peers,
        };
        let token = verifier.sign(&ticket).expect("the ids fit");
        let bytes = URL_SAFE_NO_PAD.decode(token).expect("it was encoded");
        write("ticket", name, &bytes[..bytes.len() - 32]);
    }
}
