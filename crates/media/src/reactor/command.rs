//! What a reactor is told.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use tokio::sync::mpsc::UnboundedSender;

use crate::feeding::tap::Tap;
use crate::file_sink::FileSink;
use crate::outlet::NewViewer;
use crate::outlets::hls::admission::NewSession;
use crate::outlets::hls::connection::Visitor;
use crate::outlets::rtsp::NewPlayer;
use crate::receiver::ReceiverSockets;
use crate::recording::Recorder;
use crate::rtsp::target::RtspTarget;
use crate::sender::SenderStats;
use crate::sender_task::NewSender;
use crate::stats::StreamStats;
use crate::stream::{ExpectedSender, Transport, ViewerStats};
use crate::talk::Carriage;

/// Which viewers to cut.
#[derive(Clone, Debug)]
pub enum Cut {
    /// Those of a grant.
    Grant(String),
    /// That of an access record.
    Access(String),
}

/// What a playback does.
#[derive(Clone, Copy, Debug)]
pub enum Playback {
    /// It pauses, or goes on.
    Pause(bool),
    /// It jumps to another place.
    Discontinue,
    /// It changes its speed.
    Scale(f64),
}

/// What a reactor is told.
pub enum Command {
    /// Own a stream.
    Open {
        /// Its id.
        stream_id: String,
        /// How it was negotiated.
        transport: Transport,
        /// Its RTP port.
        port: u16,
        /// Whose packets it expects.
        sender: ExpectedSender,
        /// Its sockets.
        sockets: ReceiverSockets,
    },
    /// Own a stream that is asked for by URL.
    OpenRtsp {
        /// Its id.
        stream_id: String,
        /// How its media comes.
        transport: Transport,
        /// Whom to ask.
        target: Box<RtspTarget>,
    },
    /// Ask the server of such a stream again.
    RetryRtsp {
        /// The stream.
        stream_id: String,
    },
    /// Dial the camera of a stream.
    Dial {
        /// The stream.
        stream_id: String,
        /// The address our end has.
        local: SocketAddr,
        /// The camera.
        camera: SocketAddr,
    },
    /// Expect another SSRC.
    SetSsrc {
        /// The stream.
        stream_id: String,
        /// Its SSRC.
        ssrc: u32,
    },
    /// A playback changes its course.
    Playback {
        /// The stream.
        stream_id: String,
        /// How.
        change: Playback,
    },
    /// Open a talk; the sender's id is that of the talk.
    OpenTalk {
        /// The way to the device.
        sender: Box<NewSender>,
        /// How the sound is carried.
        carriage: Carriage,
    },
    /// End a talk.
    CloseTalk {
        /// The talk.
        talk_id: String,
        /// Where the answer goes.
        reply: SyncSender<()>,
    },
    /// Forward a stream to a receiver.
    AttachSender(Box<NewSender>),
    /// End a sender.
    CloseSender {
        /// Its stream.
        stream_id: String,
        /// The sender.
        sender_id: String,
        /// Where the answer goes.
        reply: SyncSender<()>,
    },
    /// Counters of a sender.
    SenderStats {
        /// Its stream.
        stream_id: String,
        /// The sender.
        sender_id: String,
        /// The counters.
        reply: SyncSender<Option<SenderStats>>,
    },
    /// Keep the packets of a stream's current group.
    KeepPackets {
        /// The stream.
        stream_id: String,
        /// Whether.
        are_kept: bool,
    },
    /// Write a stream to a file.
    AttachSink(Arc<FileSink>),
    /// Own a stream that a program beside the server feeds.
    OpenFed {
        /// Its id.
        stream_id: String,
        /// Our end of the way in.
        socket: UnixStream,
    },
    /// Give a stream to a program beside the server.
    AttachTap {
        /// What the tap shares with the control plane.
        tap: Arc<Tap>,
        /// Our end of the way out.
        socket: UnixStream,
    },
    /// End a tap.
    CloseTap(Arc<Tap>),
    /// Record a stream.
    AttachRecorder(Arc<Recorder>),
    /// End a stream; the answer comes when its sockets are closed.
    Close {
        /// The stream.
        stream_id: String,
        /// Where the answer goes.
        reply: SyncSender<()>,
    },
    /// Take a viewer in.
    Attach(Box<NewViewer>),
    /// Begin a viewing by HLS.
    OpenHls(Box<NewSession>),
    /// Serve a client of such a viewing.
    ServeHls(Box<Visitor>),
    /// Take a player in.
    AttachPlayer(Box<NewPlayer>),
    /// End viewers.
    Cut {
        /// Which.
        cut: Cut,
        /// How many it were.
        reply: SyncSender<usize>,
    },
    /// Counters of one stream, or of all.
    Stats {
        /// The stream, or none for all.
        stream_id: Option<String>,
        /// The counters.
        reply: SyncSender<Vec<StreamStats>>,
    },
    /// Counters of every viewer.
    ViewerStats {
        /// The counters.
        reply: SyncSender<Vec<ViewerStats>>,
    },
    /// Accept viewers for every reactor.
    Serve {
        /// The bound outlet.
        listener: std::net::TcpListener,
        /// That of the players.
        players: std::net::TcpListener,
        /// Every reactor's commands, in order.
        reactors: Vec<UnboundedSender<Command>>,
    },
    /// End everything.
    Stop,
}
