//! A GB/T 28181 device on the `gb28181-rs` stack, driven by tests.
//!
//! Its configuration is the crate's own, as JSON in the file named first; the second argument is an Annex B
//! H.264 file that is played in a loop, live and as the device's recording. What the platform does to it is
//! printed as one JSON line each; lines on standard input make it act: `alarm`, `quit`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use gb28181_rs::config::Gb28181Config;
use gb28181_rs::frame::{AccessUnit, Nalu};
use gb28181_rs::manscdp::{DragZoom, PtzCommand, PtzPrecise};
use gb28181_rs::mock::MockFrameHub;
use gb28181_rs::server::{DeviceConfigHandler, DeviceControlHandler, Gb28181Server};
use gb28181_rs::snapshot::{SnapshotCommand, SnapshotExchange, SnapshotExecutor};
use gb28181_rs::{RecordingSource, SegmentMeta};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

const FRAME: Duration = Duration::from_millis(40);

fn tell(what: Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{what}");
    let _ = out.flush();
}

struct Handler;

impl DeviceControlHandler for Handler {
    fn on_force_iframe(&self) {
        tell(json!({"control": "iframe"}));
    }
    fn on_record(&self, start: bool) {
        tell(json!({"control": "record", "start": start}));
    }
    fn on_guard(&self, arm: bool) {
        tell(json!({"control": "guard", "arm": arm}));
    }
    fn on_reset_alarm(&self) {
        tell(json!({"control": "reset_alarm"}));
    }
    fn on_teleboot(&self) {
        tell(json!({"control": "teleboot"}));
    }
    fn on_ptz(&self, command: &PtzCommand) {
        tell(json!({"control": "ptz", "command": format!("{command:?}")}));
    }
    fn on_home_position(&self, enabled: u32, reset_time: Option<u32>, preset: Option<u32>) {
        tell(
            json!({"control": "home", "enabled": enabled, "reset_time": reset_time, "preset": preset}),
        );
    }
    fn on_drag_zoom(&self, command: &DragZoom) {
        tell(json!({"control": "drag_zoom", "command": format!("{command:?}")}));
    }
    fn on_format_sd_card(&self, card: u32) {
        tell(json!({"control": "format", "card": card}));
    }
    fn on_ptz_precise(&self, position: &PtzPrecise) {
        tell(json!({"control": "ptz_precise", "position": format!("{position:?}")}));
    }
}

impl DeviceConfigHandler for Handler {
    fn on_basic_param(
        &self,
        name: Option<&str>,
        expiration: Option<u64>,
        interval: Option<u64>,
        count: Option<u32>,
    ) {
        tell(
            json!({"config": "basic", "name": name, "expiration": expiration, "interval": interval, "count": count}),
        );
    }
    fn on_frame_mirror(&self, mode: u32) {
        tell(json!({"config": "mirror", "mode": mode}));
    }
    fn on_alarm_report(&self, motion: u32, field: u32) {
        tell(json!({"config": "alarm_report", "motion": motion, "field": field}));
    }
}

/// Posts one made-up JPEG for each picture asked for.
struct Snapshots;

impl SnapshotExecutor for Snapshots {
    fn execute(&self, command: SnapshotCommand) -> SnapshotExchange {
        Box::pin(async move {
            tell(json!({"config": "snapshot", "number": command.snap_num}));
            let mut ids = Vec::new();
            for number in 1..=command.snap_num {
                post(&command.upload_url, &[0xFF, 0xD8, 0xFF, 0xD9]).await?;
                ids.push(format!("{}-{number}", command.session_id));
            }
            Ok(ids)
        })
    }
}

async fn post(url: &str, body: &[u8]) -> Result<()> {
    let rest = url.strip_prefix("http://").context("only http")?;
    let (host, path) = rest.split_once('/').context("a path")?;
    let mut stream = tokio::net::TcpStream::connect(host).await?;
    let head = format!(
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).unwrap_or("");
    anyhow::ensure!(status.starts_with('2'), "upload answered {status}");
    Ok(())
}

/// The file as one recording that ended a minute ago.
struct Recording {
    file: PathBuf,
    meta: SegmentMeta,
}

impl RecordingSource for Recording {
    fn lookup(&self, start_ms: u64, end_ms: u64) -> Vec<SegmentMeta> {
        let overlaps = start_ms <= self.meta.end_ms && end_ms >= self.meta.start_ms;
        overlaps.then(|| self.meta.clone()).into_iter().collect()
    }
    fn resolve_path(&self, _file: &str) -> PathBuf {
        self.file.clone()
    }
}

/// NAL units of an Annex B stream.
fn nal_units(stream: &[u8]) -> Vec<Nalu> {
    let mut starts = Vec::new();
    let mut at = 0;
    while at + 3 <= stream.len() {
        if stream[at..at + 3] == [0, 0, 1] {
            starts.push(at + 3);
            at += 3;
        } else {
            at += 1;
        }
    }
    let mut units = Vec::new();
    for (index, &start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).map_or(stream.len(), |next| next - 3);
        let data: Vec<u8> = stream[start..end].to_vec();
        let trimmed = data
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        let data = data[..trimmed].to_vec();
        if let Some(first) = data.first() {
            let kind = first & 0x1F;
            units.push(Nalu {
                nalu_type: kind,
                is_idr: kind == 5,
                is_sps: kind == 7,
                is_pps: kind == 8,
                is_aud: kind == 9,
                data,
            });
        }
    }
    units
}

/// Access units: a slice whose first_mb_in_slice is 0 ends the one before it.
fn access_units(units: Vec<Nalu>) -> Vec<Vec<Nalu>> {
    let mut all: Vec<Vec<Nalu>> = vec![Vec::new()];
    let mut has_slice = false;
    for unit in units {
        let slice = matches!(unit.nalu_type, 1 | 5);
        let first_slice = slice && unit.data.get(1).is_some_and(|byte| byte & 0x80 != 0);
        if has_slice && (first_slice || !slice) {
            all.push(Vec::new());
            has_slice = false;
        }
        has_slice |= slice;
        all.last_mut().expect("never empty").push(unit);
    }
    all
}

async fn play(hub: Arc<MockFrameHub>, pictures: Vec<Vec<Nalu>>) {
    let mut ticks = tokio::time::interval(FRAME);
    for nalus in pictures.iter().cycle() {
        ticks.tick().await;
        let is_key_frame = nalus.iter().any(|unit| unit.is_idr);
        hub.write(AccessUnit {
            nalus: nalus.clone(),
            timestamp: Instant::now(),
            is_key_frame,
        });
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    env_logger::init();
    let mut arguments = std::env::args().skip(1);
    let config = arguments
        .next()
        .context("usage: rust-device CONFIG.json VIDEO.h264")?;
    let video = arguments
        .next()
        .context("usage: rust-device CONFIG.json VIDEO.h264")?;
    let config: Gb28181Config = serde_json::from_slice(&std::fs::read(config)?)?;
    let pictures = access_units(nal_units(&std::fs::read(&video)?));
    let length_ms = pictures.len() as u64 * FRAME.as_millis() as u64;
    let end_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64 - 60_000;
    let name = Path::new(&video)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let recording = Recording {
        file: PathBuf::from(&video),
        meta: SegmentMeta {
            file: name,
            start_ms: end_ms - length_ms,
            end_ms,
        },
    };
    tell(json!({"recording": {"start_ms": recording.meta.start_ms, "end_ms": end_ms}}));

    let hub = Arc::new(MockFrameHub::new());
    let server =
        Gb28181Server::with_recording_index(config, hub.clone(), Some(Arc::new(recording)))
            .with_control_handler(Some(Arc::new(Handler)))
            .with_config_handler(Some(Arc::new(Handler)))
            .with_snapshot_executor(Some(Arc::new(Snapshots)))
            .with_audio_sink(Arc::new(|payload: &[u8], ssrc: u32| {
                tell(json!({"audio": payload.len(), "ssrc": ssrc}))
            }));
    let notifier = server.device_notifier();
    let mut handle = server.spawn().await?;
    tokio::spawn(play(hub, pictures));

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match line.trim() {
            "quit" => break,
            "alarm" => {
                let sent = notifier.send_alarm("2", "5", "2026-01-01T00:00:00", "2", "motion");
                tell(json!({"sent": "alarm", "subscribed": sent}));
            }
            _ => tell(json!({"unknown": line})),
        }
    }
    handle.shutdown_with_deregister().await?;
    tell(json!({"stopped": true}));
    Ok(())
}
