//! Program streams made by FFmpeg in, fMP4 judged by FFmpeg out. Skipped with a reason where `ffmpeg` or an encoder is missing.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use commonview_media::ingest::{Ingest, IngestConfig, IngestOutput};
use support::*;

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("commonview-media-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("temporary directory");
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing depends on it; the system clears its temporary directory anyway.
        fs::remove_dir_all(&self.0).ok();
    }
}

fn ffmpeg(arguments: &[&str]) -> Option<String> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(arguments)
        .output()
        .ok()?;
    if !output.status.success() {
        eprintln!(
            "ffmpeg {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        return None;
    }
    assert!(
        output.stderr.is_empty(),
        "ffmpeg complains: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Hashes of the decoded pictures, in order of presentation.
fn decoded(path: &Path) -> Vec<String> {
    let text = ffmpeg(&[
        "-i",
        path.to_str().unwrap(),
        "-map",
        "0:v",
        "-vsync",
        "passthrough",
        "-f",
        "framemd5",
        "-",
    ])
    .expect("decodable");
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit(',').next())
        .map(|hash| hash.trim().to_owned())
        .collect()
}

/// Cuts the stream into RTP packets that know nothing of pictures.
fn receive_file(stream: &[u8], payload: usize) -> (Vec<IngestOutput>, Ingest) {
    let mut ingest = Ingest::new(IngestConfig::default());
    let mut out = Vec::new();
    for (n, part) in stream.chunks(payload).enumerate() {
        ingest.push_rtp(
            n as u64 * 2800,
            &rtp(n as u16, 0, false, SSRC, part),
            SOURCE,
            &mut out,
        );
    }
    ingest.tick(u64::MAX / 2, &mut out);
    (out, ingest)
}

fn boxes(out: &[IngestOutput]) -> Vec<u8> {
    let mut file = Vec::new();
    for output in out {
        match output {
            IngestOutput::ParametersChanged(parameters) => {
                file.extend_from_slice(&parameters.init.boxes())
            }
            IngestOutput::AccessUnit(unit) => file.extend_from_slice(&unit.fragment.boxes()),
            _ => {}
        }
    }
    file
}

fn round_trip(name: &str, encoder: &[&str], muxer: &str, codec: &str) {
    let scratch = Scratch::new(name);
    let source = scratch.file("source.ps");
    let mut arguments = vec![
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=640x360:rate=25",
        "-t",
        "3",
    ];
    arguments.extend_from_slice(encoder);
    arguments.extend_from_slice(&["-g", "25", "-f", muxer, source.to_str().unwrap()]);
    if ffmpeg(&arguments).is_none() {
        eprintln!("skipped: ffmpeg cannot make {encoder:?} in {muxer} here");
        return;
    }
    let stream = fs::read(&source).unwrap();
    let (out, ingest) = receive_file(&stream, if muxer == "mpegts" { 1316 } else { 1400 });
    let target = scratch.file("target.mp4");
    fs::write(&target, boxes(&out)).unwrap();

    let wanted = decoded(&source);
    assert_eq!(wanted.len(), 75);
    assert_eq!(decoded(&target), wanted, "the same pictures, bit by bit");
    assert_eq!(ingest.parameters().unwrap().codec.name(), codec);
    assert_eq!(
        (
            ingest.parameters().unwrap().width,
            ingest.parameters().unwrap().height
        ),
        (640, 360)
    );
    let stats = ingest.stats();
    assert_eq!(
        (
            stats.lost,
            stats.ps.resyncs,
            stats.ps.length_errors,
            stats.video.damaged
        ),
        (0, 0, 0, 0)
    );
    assert_eq!(
        (stats.ts.gaps, stats.ts.bad_tables, stats.ts.unusable),
        (0, 0, 0)
    );
    let mut times: Vec<_> = units(&out).iter().map(|unit| unit.pts).collect();
    times.sort_unstable();
    assert!(
        times.windows(2).all(|pair| pair[1] - pair[0] == 3600),
        "25 pictures a second: {times:?}"
    );
}

#[test]
fn h264_with_b_pictures() {
    round_trip(
        "h264-b",
        &["-c:v", "libx264", "-bf", "2", "-preset", "veryfast"],
        "vob",
        "h264",
    );
}

#[test]
fn h264_of_several_slices_with_delimiters() {
    round_trip(
        "h264-slices",
        &[
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-tune",
            "zerolatency",
            "-x264-params",
            "slices=4:aud=1",
        ],
        "vob",
        "h264",
    );
}

#[test]
fn h265() {
    round_trip(
        "h265",
        &[
            "-c:v",
            "libx265",
            "-preset",
            "ultrafast",
            "-x265-params",
            "log-level=error:bframes=0",
        ],
        "vob",
        "h265",
    );
}

#[test]
fn h264_from_the_dvd_muxer() {
    round_trip(
        "h264-dvd",
        &["-c:v", "libx264", "-bf", "0", "-preset", "veryfast"],
        "dvd",
        "h264",
    );
}

#[test]
fn h264_with_b_pictures_in_a_transport_stream() {
    round_trip(
        "h264-ts",
        &["-c:v", "libx264", "-bf", "2", "-preset", "veryfast"],
        "mpegts",
        "h264",
    );
}

#[test]
fn h265_in_a_transport_stream() {
    round_trip(
        "h265-ts",
        &[
            "-c:v",
            "libx265",
            "-preset",
            "ultrafast",
            "-x265-params",
            "log-level=error:bframes=0",
        ],
        "mpegts",
        "h265",
    );
}
