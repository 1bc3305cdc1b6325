//! `commonview.media._core`: the node for Python. Commands, events and counters cross here, never a media byte: programs
//! beside the server are given descriptors.

// The macros of the binding expand to code that these lints were not made for.
#![allow(missing_docs)]

mod counters;
mod segments;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::IntoRawFd;
use std::path::PathBuf;
use std::time::Duration;

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use counters::{node_dict, sender_dict, sink_dict, stream_dict, tap_dict, viewer_dict};

use crate::events::Value;
use crate::ingest::SsrcPolicy;
use crate::node::{Node as CoreNode, NodeError, RtspRequest};
use crate::reactor::Playback;
use crate::recording::RecorderRequest;
use crate::rtsp::auth::Credentials;
use crate::sender::SenderRequest;
use crate::settings::{Settings, UNVERIFIED_MAX};
use crate::stream::{ExpectedSender, Transport};
use crate::talk::{Carriage, Coding};
use crate::wire::Identity;

create_exception!(
    _core,
    CoreError,
    PyException,
    "`args` are (code, message, params)."
);

/// The media core: reactor threads, receivers and the viewers' outlet.
#[pyclass(frozen, module = "commonview.media._core")]
struct Node {
    core: CoreNode,
}

#[pymethods]
impl Node {
    #[new]
    #[pyo3(signature = (*, ticket_key, viewer_host, viewer_port, rtsp_port, rtp_host, rtp_port_min,
        rtp_port_max, port_quarantine_ms, reactors, gop_max_bytes, viewer_queue_bytes, viewer_queue_ms, media_timeout_ms,
        max_connections, request_head_timeout_ms, tls_certificate = "", tls_key = ""))]
    #[allow(clippy::too_many_arguments)] // keyword-only on the Python side
    fn new(
        py: Python<'_>,
        ticket_key: Vec<u8>,
        viewer_host: &str,
        viewer_port: u16,
        rtsp_port: u16,
        rtp_host: &str,
        rtp_port_min: u16,
        rtp_port_max: u16,
        port_quarantine_ms: u64,
        reactors: usize,
        gop_max_bytes: usize,
        viewer_queue_bytes: usize,
        viewer_queue_ms: u64,
        media_timeout_ms: u64,
        max_connections: usize,
        request_head_timeout_ms: u64,
        tls_certificate: &str,
        tls_key: &str,
    ) -> PyResult<Node> {
        let tls = match tls_certificate {
            "" => None,
            certificate => Some(
                Identity::read(certificate, tls_key)
                    .map_err(|error| raise(py, &NodeError::Certificate(error)))?,
            ),
        };
        let settings = Settings {
            viewer_host: address(py, "viewer_host", viewer_host)?,
            viewer_port,
            rtsp_port,
            rtp_host: address(py, "rtp_host", rtp_host)?,
            rtp_port_min,
            rtp_port_max,
            port_quarantine: Duration::from_millis(port_quarantine_ms),
            reactors,
            gop_max_bytes,
            viewer_queue_bytes,
            viewer_queue_age: Duration::from_millis(viewer_queue_ms),
            media_timeout: Duration::from_millis(media_timeout_ms),
            max_connections,
            request_head_timeout: Duration::from_millis(request_head_timeout_ms),
            max_unverified: UNVERIFIED_MAX,
            tls,
        };
        let core = CoreNode::start(settings, &ticket_key).map_err(|error| raise(py, &error))?;
        Ok(Node { core })
    }

    #[getter]
    fn viewer_port(&self) -> u16 {
        self.core.viewer_port()
    }

    fn exchange_certificate(&self, py: Python<'_>, certificate: &str, key: &str) -> PyResult<()> {
        self.core
            .exchange_certificate(certificate, key)
            .map_err(|error| raise(py, &error))
    }

    #[getter]
    fn rtsp_port(&self) -> u16 {
        self.core.rtsp_port()
    }

    fn expect_player(&self, py: Python<'_>, token: &str) -> PyResult<()> {
        py.detach(|| self.core.expect_player(token))
            .map_err(|error| raise(py, &error))
    }

    #[getter]
    fn event_fd(&self) -> i32 {
        self.core.shared().events.descriptor()
    }

    #[getter]
    fn is_closed(&self) -> bool {
        self.core.is_closed()
    }

    fn open_receiver(
        &self,
        py: Python<'_>,
        stream_id: &str,
        transport: &str,
        ssrc: Option<u32>,
        ssrc_policy: &str,
        peer_host: Option<&str>,
    ) -> PyResult<(u16, u16)> {
        let sender = expected_sender(ssrc, ssrc_policy, peer_host)
            .map_err(|why| raise(py, &NodeError::Invalid(why)))?;
        let transport = Transport::from_word(transport).ok_or_else(|| {
            raise(
                py,
                &NodeError::Invalid(format!("no transport is called {transport:?}")),
            )
        })?;
        let opened = py.detach(|| self.core.open_receiver(stream_id, transport, sender));
        let port = opened.map_err(|error| raise(py, &error))?;
        Ok((port, port + 1))
    }

    fn connect_receiver(
        &self,
        py: Python<'_>,
        stream_id: &str,
        host: &str,
        port: u16,
    ) -> PyResult<()> {
        let sent = py.detach(|| self.core.connect_receiver(stream_id, host, port));
        sent.map_err(|error| raise(py, &error))
    }

    #[pyo3(signature = (stream_id, url, username, password, transport, *, address, networks, authorities = "",
        certificate = ""))]
    #[allow(clippy::too_many_arguments)] // keyword-only where it matters
    fn open_rtsp(
        &self,
        py: Python<'_>,
        stream_id: &str,
        url: &str,
        username: String,
        password: String,
        transport: &str,
        address: &str,
        networks: Vec<String>,
        authorities: &str,
        certificate: &str,
    ) -> PyResult<()> {
        let request = RtspRequest {
            stream_id,
            url,
            credentials: Credentials { username, password },
            transport,
            address,
            networks: &networks,
            authorities,
            certificate,
        };
        let core = &self.core;
        py.detach(|| core.open_rtsp(request))
            .map_err(|error| raise(py, &error))
    }

    fn retry_rtsp(&self, py: Python<'_>, stream_id: &str) -> PyResult<()> {
        py.detach(|| self.core.retry_rtsp(stream_id))
            .map_err(|error| raise(py, &error))
    }

    fn set_ssrc(&self, py: Python<'_>, stream_id: &str, ssrc: u32) -> PyResult<()> {
        py.detach(|| self.core.set_ssrc(stream_id, ssrc))
            .map_err(|error| raise(py, &error))
    }

    fn pause_stream(&self, py: Python<'_>, stream_id: &str, paused: bool) -> PyResult<()> {
        self.play(py, stream_id, Playback::Pause(paused))
    }

    fn discontinue(&self, py: Python<'_>, stream_id: &str) -> PyResult<()> {
        self.play(py, stream_id, Playback::Discontinue)
    }

    fn set_scale(&self, py: Python<'_>, stream_id: &str, scale: f64) -> PyResult<()> {
        self.play(py, stream_id, Playback::Scale(scale))
    }

    #[pyo3(signature = (*, sender_id, stream_id, transport, host, port, ssrc, payload_type, access_id, grant_id, end_by_ms))]
    #[allow(clippy::too_many_arguments)] // keyword-only on the Python side
    fn open_sender(
        &self,
        py: Python<'_>,
        sender_id: String,
        stream_id: String,
        transport: &str,
        host: &str,
        port: u16,
        ssrc: u32,
        payload_type: u8,
        access_id: String,
        grant_id: String,
        end_by_ms: u64,
    ) -> PyResult<u16> {
        let request = SenderRequest {
            sender_id,
            stream_id,
            transport: transport_named(py, transport)?,
            target: SocketAddr::new(address(py, "host", host)?, port),
            ssrc,
            payload_type,
            access_id,
            grant_id,
            end_by_ms,
        };
        py.detach(|| self.core.open_sender(request))
            .map_err(|error| raise(py, &error))
    }

    #[pyo3(signature = (*, talk_id, transport, host, port, ssrc, payload_type, as_program_stream,
        access_id, grant_id, end_by_ms, stream_id = String::new(), aac_rate = 0))]
    #[allow(clippy::too_many_arguments)] // keyword-only on the Python side
    fn open_talk(
        &self,
        py: Python<'_>,
        talk_id: String,
        transport: &str,
        host: &str,
        port: u16,
        ssrc: u32,
        payload_type: u8,
        as_program_stream: bool,
        access_id: String,
        grant_id: String,
        end_by_ms: u64,
        stream_id: String,
        aac_rate: u32,
    ) -> PyResult<u16> {
        let request = SenderRequest {
            sender_id: talk_id,
            stream_id,
            transport: transport_named(py, transport)?,
            target: SocketAddr::new(address(py, "host", host)?, port),
            ssrc,
            payload_type,
            access_id,
            grant_id,
            end_by_ms,
        };
        let carriage = Carriage {
            coding: match aac_rate {
                0 => Coding::Alaw,
                rate => Coding::aac(rate).ok_or_else(|| {
                    let why = format!("no AAC is sent at {rate} Hz");
                    raise(py, &NodeError::Invalid(why))
                })?,
            },
            in_program_stream: as_program_stream,
        };
        py.detach(|| self.core.open_talk(request, carriage))
            .map_err(|error| raise(py, &error))
    }

    fn close_talk(&self, py: Python<'_>, talk_id: &str) -> PyResult<()> {
        py.detach(|| self.core.close_talk(talk_id))
            .map_err(|error| raise(py, &error))
    }

    fn close_sender(&self, py: Python<'_>, sender_id: &str) -> PyResult<()> {
        py.detach(|| self.core.close_sender(sender_id))
            .map_err(|error| raise(py, &error))
    }

    fn sender_stats<'py>(
        &self,
        py: Python<'py>,
        sender_id: &str,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let stats = py
            .detach(|| self.core.sender_stats(sender_id))
            .map_err(|error| raise(py, &error))?;
        stats.map(|stats| sender_dict(py, &stats)).transpose()
    }

    fn keep_packets(&self, py: Python<'_>, stream_id: &str, are_kept: bool) -> PyResult<()> {
        py.detach(|| self.core.keep_packets(stream_id, are_kept))
            .map_err(|error| raise(py, &error))
    }

    #[pyo3(signature = (*, recorder_id, stream_id, root, marker, directory, segment_ms, max_segment_bytes))]
    #[allow(clippy::too_many_arguments)] // keyword-only on the Python side
    fn open_recorder(
        &self,
        py: Python<'_>,
        recorder_id: String,
        stream_id: String,
        root: PathBuf,
        marker: Option<PathBuf>,
        directory: PathBuf,
        segment_ms: u32,
        max_segment_bytes: u64,
    ) -> PyResult<()> {
        let request = RecorderRequest {
            recorder_id,
            stream_id,
            root,
            marker,
            directory,
            segment_ticks: i64::from(segment_ms) * 90,
            max_segment_bytes,
        };
        py.detach(|| self.core.open_recorder(request))
            .map_err(|error| raise(py, &error))
    }

    fn close_recorder(&self, py: Python<'_>, recorder_id: &str) {
        py.detach(|| self.core.close_recorder(recorder_id));
    }

    fn turn_recorder(&self, py: Python<'_>, recorder_id: &str) {
        py.detach(|| self.core.turn_recorder(recorder_id));
    }

    fn open_segments<'py>(
        &self,
        py: Python<'py>,
        recorder_id: &str,
    ) -> PyResult<Vec<segments::Open<'py>>> {
        let found = py.detach(|| self.core.open_segments(recorder_id));
        found
            .iter()
            .map(|open| segments::open_segment(py, open))
            .collect()
    }

    fn recorder_stats<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let stats = py.detach(|| self.core.recorder_stats());
        stats
            .iter()
            .map(|stats| segments::recorder_dict(py, stats))
            .collect()
    }

    fn disk_stats<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let stats = py.detach(|| self.core.disk_stats());
        stats
            .iter()
            .map(|stats| segments::disk_dict(py, stats))
            .collect()
    }

    fn open_file_sink(
        &self,
        py: Python<'_>,
        sink_id: &str,
        stream_id: &str,
        path: PathBuf,
        max_bytes: Option<u64>,
    ) -> PyResult<()> {
        py.detach(|| {
            self.core
                .open_file_sink(sink_id, stream_id, &path, max_bytes)
        })
        .map_err(|error| raise(py, &error))
    }

    fn close_file_sink(&self, py: Python<'_>, sink_id: &str) {
        py.detach(|| self.core.close_file_sink(sink_id));
    }

    fn sink_stats<'py>(
        &self,
        py: Python<'py>,
        sink_id: &str,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let stats = py.detach(|| self.core.sink_stats(sink_id));
        stats.map(|stats| sink_dict(py, &stats)).transpose()
    }

    /// The descriptor belongs to the caller.
    fn open_fed(&self, py: Python<'_>, stream_id: &str) -> PyResult<i32> {
        let opened = py.detach(|| self.core.open_fed(stream_id));
        opened
            .map(IntoRawFd::into_raw_fd)
            .map_err(|error| raise(py, &error))
    }

    /// The descriptor belongs to the caller.
    fn open_tap(&self, py: Python<'_>, tap_id: &str, stream_id: &str) -> PyResult<i32> {
        let opened = py.detach(|| self.core.open_tap(tap_id, stream_id));
        opened
            .map(IntoRawFd::into_raw_fd)
            .map_err(|error| raise(py, &error))
    }

    fn close_tap(&self, py: Python<'_>, tap_id: &str) -> PyResult<()> {
        py.detach(|| self.core.close_tap(tap_id))
            .map_err(|error| raise(py, &error))
    }

    fn tap_stats<'py>(
        &self,
        py: Python<'py>,
        tap_id: &str,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let stats = py.detach(|| self.core.tap_stats(tap_id));
        stats.map(|stats| tap_dict(py, &stats)).transpose()
    }

    fn close_stream(&self, py: Python<'_>, stream_id: &str) -> PyResult<()> {
        py.detach(|| self.core.close_stream(stream_id))
            .map_err(|error| raise(py, &error))
    }

    fn cut_grant(&self, py: Python<'_>, grant_id: &str) -> PyResult<usize> {
        py.detach(|| self.core.cut_grant(grant_id))
            .map_err(|error| raise(py, &error))
    }

    fn cut_access(&self, py: Python<'_>, access_id: &str) -> PyResult<usize> {
        py.detach(|| self.core.cut_access(access_id))
            .map_err(|error| raise(py, &error))
    }

    fn stream_stats<'py>(
        &self,
        py: Python<'py>,
        stream_id: &str,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let stats = py
            .detach(|| self.core.stream_stats(stream_id))
            .map_err(|error| raise(py, &error))?;
        stats.map(|stats| stream_dict(py, &stats)).transpose()
    }

    fn all_stats<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let stats = py
            .detach(|| self.core.all_stats())
            .map_err(|error| raise(py, &error))?;
        stats.iter().map(|stats| stream_dict(py, stats)).collect()
    }

    fn viewer_stats<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let stats = py
            .detach(|| self.core.viewer_stats())
            .map_err(|error| raise(py, &error))?;
        stats.iter().map(|stats| viewer_dict(py, stats)).collect()
    }

    fn node_stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        node_dict(py, &py.detach(|| self.core.node_stats()))
    }

    fn drain_events<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for event in self.core.shared().events.drain(limit) {
            let fields = PyDict::new(py);
            for (name, value) in event.fields {
                match value {
                    Value::Text(text) => fields.set_item(name, text)?,
                    Value::Number(number) => fields.set_item(name, number)?,
                    Value::Real(real) => fields.set_item(name, real)?,
                    Value::Flag(flag) => fields.set_item(name, flag)?,
                }
            }
            list.append((event.kind, event.at_us, fields))?;
        }
        Ok(list)
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.core.close());
    }
}

impl Node {
    fn play(&self, py: Python<'_>, stream_id: &str, change: Playback) -> PyResult<()> {
        py.detach(|| self.core.play(stream_id, change))
            .map_err(|error| raise(py, &error))
    }
}

fn expected_sender(
    ssrc: Option<u32>,
    policy: &str,
    peer_host: Option<&str>,
) -> Result<ExpectedSender, String> {
    let ssrc = match (policy, ssrc) {
        ("strict", Some(ssrc)) => SsrcPolicy::Strict(ssrc),
        ("strict", None) => return Err("a strict stream needs the SSRC to hold it to".to_owned()),
        ("learn", _) => SsrcPolicy::Learn(ssrc),
        ("follow", _) => SsrcPolicy::Follow(ssrc),
        _ => return Err(format!("no SSRC policy is called {policy:?}")),
    };
    let home = peer_host.map(str::parse).transpose();
    let home = home.map_err(|_| format!("{peer_host:?} is no IP address"))?;
    Ok(ExpectedSender { ssrc, home })
}

fn transport_named(py: Python<'_>, word: &str) -> PyResult<Transport> {
    let unknown = || {
        raise(
            py,
            &NodeError::Invalid(format!("no transport is called {word:?}")),
        )
    };
    Transport::from_word(word).ok_or_else(unknown)
}

fn address(py: Python<'_>, name: &str, text: &str) -> PyResult<IpAddr> {
    let invalid = || {
        raise(
            py,
            &NodeError::Invalid(format!("{name} {text:?} is not an IP address")),
        )
    };
    text.parse().map_err(|_| invalid())
}

fn raise(py: Python<'_>, error: &NodeError) -> PyErr {
    let params = PyDict::new(py);
    if let NodeError::PortsExhausted(ports) = error {
        let _never_fails = params
            .set_item("first", ports.first)
            .and_then(|()| params.set_item("last", ports.last))
            .and_then(|()| params.set_item("quarantined", ports.quarantined))
            .and_then(|()| params.set_item("foreign", ports.foreign));
    }
    CoreError::new_err((error.code(), error.to_string(), params.unbind()))
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Node>()?;
    module.add_function(wrap_pyfunction!(segments::scan_segment, module)?)?;
    module.add_function(wrap_pyfunction!(segments::hash_segment, module)?)?;
    module.add_function(wrap_pyfunction!(segments::mend_segment, module)?)?;
    module.add_function(wrap_pyfunction!(segments::segment_groups, module)?)?;
    module.add_function(wrap_pyfunction!(segments::segment_index, module)?)?;
    module.add_function(wrap_pyfunction!(segments::segment_sound, module)?)?;
    module.add("CoreError", module.py().get_type::<CoreError>())
}
