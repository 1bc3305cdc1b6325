//! One thread with its streams, their sockets and their viewers. Threads exchange commands and new viewers only.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, LocalSet, spawn_local};

use crate::connection::EndReason;
use crate::file_sink::{FileSink, SinkEnd};
use crate::ingest::{MAX_CONNECTIONS, SourceId};
use crate::outlet::{self, NewViewer};
use crate::receiver::{self, ReceiverSockets};
use crate::rtsp::session::{self, RtspTarget};
use crate::sender::SenderStats;
use crate::sender_task::{self, NewSender};
use crate::shared::{Shared, Slots};
use crate::stats::StreamStats;
use crate::stream::{ExpectedSender, Stream, Transport};
use crate::talk::Carriage;
use crate::talk_room::{self, TalkRoom};
use crate::ticket::Protocol;
use crate::viewer_task;

/// One read from a socket takes at most this much; a UDP datagram always fits.
const BUFFER: usize = 256 * 1024;
/// How finely time is cut: reorder time-outs and the ends of grants are met within this.
const TICK: Duration = Duration::from_millis(20);

/// From this many streams on a reactor lets packets gather before it waits.
const GATHER_FROM_STREAMS: usize = 8;
const GATHER: Duration = Duration::from_micros(500);

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
    /// End a stream; the answer comes when its sockets are closed.
    Close {
        /// The stream.
        stream_id: String,
        /// Where the answer goes.
        reply: SyncSender<()>,
    },
    /// Take a viewer in.
    Attach(Box<NewViewer>),
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
    /// Accept viewers for every reactor.
    Serve {
        /// The bound outlet.
        listener: std::net::TcpListener,
        /// Every reactor's commands, in order.
        reactors: Vec<UnboundedSender<Command>>,
    },
    /// End everything.
    Stop,
}

/// A running reactor.
pub struct Handle {
    /// Tells it what to do.
    pub commands: UnboundedSender<Command>,
    /// Its thread.
    pub thread: JoinHandle<()>,
}

/// Start reactor number `index`. All reactors of a node share `epoch`, the zero of their clocks.
pub fn spawn(index: usize, shared: Arc<Shared>, epoch: Instant) -> std::io::Result<Handle> {
    let load = Arc::new(AtomicUsize::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .on_thread_park(gather(Arc::clone(&load), shared.unverified.clone()))
        .build()?;
    let (commands, inbox) = unbounded_channel();
    let thread = std::thread::Builder::new()
        .name(format!("media-{index}"))
        .spawn(move || {
            let reactor = Rc::new(Reactor {
                shared,
                epoch,
                streams: RefCell::default(),
                talks: RefCell::default(),
                buffer: RefCell::new(vec![0; BUFFER]),
                numbers: Cell::new(0),
                load,
            });
            let local = LocalSet::new();
            local.spawn_local(tick(Rc::clone(&reactor)));
            local.block_on(&runtime, obey(reactor, inbox));
        })?;
    Ok(Handle { commands, thread })
}

/// What a reactor does before it waits: with many streams, let their packets gather for a moment.
///
/// Cameras send a picture as a burst of packets. Waking for each costs more than taking it; half a millisecond is
/// far below what anybody sees and gathers most of a burst. Somebody at the door is not kept waiting.
fn gather(load: Arc<AtomicUsize>, at_the_door: Slots) -> impl Fn() + Send + Sync + 'static {
    move || {
        if load.load(Ordering::Relaxed) >= GATHER_FROM_STREAMS && at_the_door.taken() == 0 {
            std::thread::sleep(GATHER);
        }
    }
}

/// The state of one reactor thread.
pub struct Reactor {
    /// What all threads share.
    pub shared: Arc<Shared>,
    epoch: Instant,
    streams: RefCell<HashMap<String, Rc<StreamCell>>>,
    talks: RefCell<HashMap<String, Rc<RefCell<TalkRoom>>>>,
    buffer: RefCell<Vec<u8>>,
    numbers: Cell<u64>,
    load: Arc<AtomicUsize>,
}

/// A stream with the tasks that feed it.
pub struct StreamCell {
    /// The stream. Borrowed for one call, never across an await.
    pub stream: RefCell<Stream>,
    tasks: RefCell<Vec<AbortHandle>>,
    rtsp: Option<Rc<RtspTarget>>,
    /// Oldest first, at most [`MAX_CONNECTIONS`], one a peer.
    media: RefCell<Vec<MediaConnection>>,
    dialling: RefCell<Option<AbortHandle>>,
}

/// A TCP connection that carries a stream, or may come to.
///
/// Until pictures come nobody can tell the camera from a stranger that found the port, so a few connections stand
/// beside each other: a stranger must neither keep the camera out by being first nor push it out by being next.
pub struct MediaConnection {
    /// Its peer.
    pub ip: IpAddr,
    /// Its number in the pipeline.
    pub source: SourceId,
    /// Ends its task.
    pub task: AbortHandle,
}

impl StreamCell {
    fn new(stream: Stream, rtsp: Option<Rc<RtspTarget>>) -> StreamCell {
        StreamCell {
            stream: RefCell::new(stream),
            tasks: RefCell::default(),
            rtsp,
            media: RefCell::default(),
            dialling: RefCell::default(),
        }
    }

    /// Run a task for as long as the stream lives.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks
            .borrow_mut()
            .push(spawn_local(task).abort_handle());
    }

    /// Take out the connections that one from `ip` replaces: the peer's former one, and when there are too many the
    /// oldest that carries nothing.
    pub fn replaced_media(&self, ip: IpAddr) -> Vec<MediaConnection> {
        let current = self.stream.borrow().source();
        let mut media = self.media.borrow_mut();
        let mut replaced: Vec<_> = media.extract_if(.., |media| media.ip == ip).collect();
        while media.len() >= MAX_CONNECTIONS {
            let oldest = media
                .iter()
                .position(|media| Some(media.source) != current)
                .unwrap_or(0);
            replaced.push(media.remove(oldest));
        }
        replaced
    }

    /// A new media connection begins.
    pub fn add_media(&self, ip: IpAddr, source: SourceId, task: AbortHandle) {
        self.media
            .borrow_mut()
            .push(MediaConnection { ip, source, task });
    }

    /// A media connection has ended by itself.
    pub fn forget_media(&self, source: SourceId) {
        self.media
            .borrow_mut()
            .retain(|media| media.source != source);
    }

    fn abort_tasks(&self) {
        let media = std::mem::take(&mut *self.media.borrow_mut());
        let dialling = self.dialling.borrow_mut().take();
        for task in self
            .tasks
            .borrow_mut()
            .drain(..)
            .chain(media.into_iter().map(|media| media.task))
            .chain(dialling)
        {
            task.abort();
        }
    }
}

impl Reactor {
    /// Microseconds on the reactor's clock.
    pub fn now_us(&self) -> u64 {
        self.epoch.elapsed().as_micros() as u64
    }

    /// The buffer every socket of the reactor is read into.
    pub fn buffer(&self) -> RefMut<'_, Vec<u8>> {
        self.buffer.borrow_mut()
    }

    /// A number not given before.
    pub fn next_number(&self) -> u64 {
        self.numbers.replace(self.numbers.get() + 1)
    }

    /// Let `work` change a stream. If it panics this stream ends, and nothing else does.
    pub fn guarded<R>(&self, cell: &StreamCell, work: impl FnOnce(&mut Stream) -> R) -> Option<R> {
        let outcome = catch_unwind(AssertUnwindSafe(|| work(&mut cell.stream.borrow_mut())));
        if outcome.is_err() {
            self.shared.counters.count("internal_errors");
            let stream_id = cell.stream.borrow().id().to_owned();
            self.end_stream(&stream_id, "internal_error");
        }
        outcome.ok()
    }

    fn find(&self, stream_id: &str) -> Option<Rc<StreamCell>> {
        self.streams.borrow().get(stream_id).cloned()
    }

    fn end_stream(&self, stream_id: &str, reason: &'static str) {
        let Some(cell) = self.streams.borrow_mut().remove(stream_id) else {
            return;
        };
        self.load.fetch_sub(1, Ordering::Relaxed);
        cell.abort_tasks();
        // Already ending: a second panic must not reach the other streams either.
        let _outcome = catch_unwind(AssertUnwindSafe(|| cell.stream.borrow_mut().end(reason)));
        self.shared.forget_stream(stream_id);
    }

    fn carry_out(self: &Rc<Self>, command: Command) -> ControlFlow<()> {
        match command {
            Command::Open {
                stream_id,
                transport,
                port,
                sender,
                sockets,
            } => {
                let shared = Arc::clone(&self.shared);
                let stream = Stream::new(stream_id, transport, port, sender, shared, self.now_us());
                self.open(stream, sockets);
            }
            Command::OpenRtsp {
                stream_id,
                transport,
                target,
            } => self.open_rtsp(stream_id, transport, *target),
            Command::RetryRtsp { stream_id } => self.ask_rtsp(&stream_id),
            Command::Dial {
                stream_id,
                local,
                camera,
            } => self.dial(&stream_id, local, camera),
            Command::SetSsrc { stream_id, ssrc } => {
                if let Some(cell) = self.find(&stream_id) {
                    self.guarded(&cell, |stream| stream.set_ssrc(ssrc));
                }
            }
            Command::Playback { stream_id, change } => self.play(&stream_id, change),
            Command::OpenTalk { sender, carriage } => {
                let room = talk_room::open(self, *sender, carriage);
                let talk_id = room.borrow().id().to_owned();
                self.talks.borrow_mut().insert(talk_id, room);
            }
            Command::CloseTalk { talk_id, reply } => {
                let room = self.talks.borrow_mut().remove(&talk_id);
                room.inspect(|room| room.borrow_mut().end("closed"));
                spawn_local(async move { answer(&reply, ()) });
            }
            Command::AttachSender(sender) => self.attach_sender(*sender),
            Command::CloseSender {
                stream_id,
                sender_id,
                reply,
            } => {
                self.with_stream(&stream_id, |stream| {
                    stream.cut_senders(|sender| sender.request.sender_id == sender_id, "closed")
                });
                // Its tasks have dropped the sockets when this one's turn comes.
                spawn_local(async move { answer(&reply, ()) });
            }
            Command::SenderStats {
                stream_id,
                sender_id,
                reply,
            } => {
                let stats = self.with_stream(&stream_id, |stream| stream.sender_stats(&sender_id));
                answer(&reply, stats.flatten());
            }
            Command::KeepPackets {
                stream_id,
                are_kept,
            } => {
                self.with_stream(&stream_id, |stream| stream.keep_packets(are_kept));
            }
            Command::AttachSink(sink) => match self.find(sink.stream_id()) {
                Some(cell) => {
                    self.guarded(&cell, |stream| stream.attach_sink(sink));
                }
                None => sink.end(SinkEnd::StreamEnded),
            },
            Command::Close { stream_id, reply } => {
                self.end_stream(&stream_id, "closed");
                // Tasks run in turn: the ended ones have dropped their sockets when this one's turn comes.
                spawn_local(async move { answer(&reply, ()) });
            }
            Command::Attach(viewer) => self.attach(*viewer),
            Command::Cut { cut, reply } => answer(&reply, self.cut(&cut)),
            Command::Stats { stream_id, reply } => answer(&reply, self.stats(stream_id.as_deref())),
            Command::Serve { listener, reactors } => {
                spawn_local(outlet::serve(listener, Arc::clone(&self.shared), reactors));
            }
            Command::Stop => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    fn play(&self, stream_id: &str, change: Playback) {
        let Some(cell) = self.find(stream_id) else {
            return;
        };
        let now_us = self.now_us();
        self.guarded(&cell, |stream| match change {
            Playback::Pause(is_paused) => stream.pause(is_paused, now_us),
            Playback::Discontinue => stream.discontinue(now_us),
            Playback::Scale(scale) => stream.set_scale(scale),
        });
    }

    fn dial(self: &Rc<Self>, stream_id: &str, local: SocketAddr, camera: SocketAddr) {
        let Some(cell) = self.find(stream_id) else {
            return;
        };
        let task = receiver::dial(Rc::clone(self), Rc::clone(&cell), local, camera);
        let former = cell
            .dialling
            .replace(Some(spawn_local(task).abort_handle()));
        former.inspect(AbortHandle::abort);
    }

    fn open_rtsp(self: &Rc<Self>, stream_id: String, transport: Transport, target: RtspTarget) {
        let shared = Arc::clone(&self.shared);
        let stream = Stream::new(
            stream_id.clone(),
            transport,
            0,
            ExpectedSender::default(),
            shared,
            self.now_us(),
        );
        let cell = StreamCell::new(stream, Some(Rc::new(target)));
        self.streams
            .borrow_mut()
            .insert(stream_id.clone(), Rc::new(cell));
        self.load.fetch_add(1, Ordering::Relaxed);
        self.ask_rtsp(&stream_id);
    }

    /// Begin a session with the server; one that stands is ended.
    fn ask_rtsp(self: &Rc<Self>, stream_id: &str) {
        let Some(cell) = self.find(stream_id) else {
            return;
        };
        let Some(target) = cell.rtsp.clone() else {
            return;
        };
        let task = session::run(Rc::clone(self), Rc::clone(&cell), target);
        let former = cell
            .dialling
            .replace(Some(spawn_local(task).abort_handle()));
        former.inspect(AbortHandle::abort);
    }

    fn open(self: &Rc<Self>, stream: Stream, sockets: ReceiverSockets) {
        let stream_id = stream.id().to_owned();
        let cell = Rc::new(StreamCell::new(stream, None));
        self.streams
            .borrow_mut()
            .insert(stream_id.clone(), Rc::clone(&cell));
        self.load.fetch_add(1, Ordering::Relaxed);
        if receiver::start(self, &cell, sockets).is_err() {
            self.end_stream(&stream_id, "internal_error");
        }
    }

    fn with_stream<R>(&self, stream_id: &str, work: impl FnOnce(&mut Stream) -> R) -> Option<R> {
        let cell = self.find(stream_id)?;
        self.guarded(&cell, work)
    }

    fn attach_sender(self: &Rc<Self>, sender: NewSender) {
        match self.find(&sender.request.stream_id) {
            Some(cell) => sender_task::start(self, &cell, sender),
            None => {
                self.shared.senders().remove(&sender.request.sender_id);
                self.shared.events.push(sender.stillborn());
            }
        }
    }

    fn attach_speaker(self: &Rc<Self>, viewer: NewViewer) {
        let room = self.talks.borrow().get(&viewer.ticket.stream_id).cloned();
        match room {
            Some(room) => talk_room::join(self, &room, viewer),
            None => self.shared.counters.count("speakers_without_talk"),
        }
    }

    fn cut_talks(&self, cut: &Cut) -> usize {
        let rooms: Vec<_> = self.talks.borrow().values().cloned().collect();
        let in_room = |room: &Rc<RefCell<TalkRoom>>| match cut {
            Cut::Grant(id) => room.borrow_mut().cut_grant(id),
            Cut::Access(id) => room.borrow_mut().cut_access(id),
        };
        rooms.iter().map(in_room).sum()
    }

    fn attach(self: &Rc<Self>, viewer: NewViewer) {
        if viewer.ticket.protocol == Protocol::Talk {
            return self.attach_speaker(viewer);
        }
        match self.find(&viewer.ticket.stream_id) {
            Some(cell) => viewer_task::start(self, cell, viewer),
            None => self.shared.counters.count("viewers_without_stream"),
        }
    }

    fn cut(&self, cut: &Cut) -> usize {
        let cells: Vec<_> = self.streams.borrow().values().cloned().collect();
        let in_stream = |cell: &Rc<StreamCell>| {
            self.guarded(cell, |stream| match cut {
                Cut::Grant(id) => {
                    let reason = EndReason::GrantRevoked;
                    stream.cut(|viewer| viewer.ticket.grant_id == *id, reason)
                        + stream.cut_senders(|sender| sender.request.grant_id == *id, reason.word())
                }
                Cut::Access(id) => {
                    let reason = EndReason::AccessCut;
                    stream.cut(|viewer| viewer.ticket.access_id == *id, reason)
                        + stream
                            .cut_senders(|sender| sender.request.access_id == *id, reason.word())
                }
            })
        };
        cells.iter().filter_map(in_stream).sum::<usize>() + self.cut_talks(cut)
    }

    fn stats(&self, stream_id: Option<&str>) -> Vec<StreamStats> {
        let cells: Vec<_> = match stream_id {
            Some(stream_id) => self.find(stream_id).into_iter().collect(),
            None => self.streams.borrow().values().cloned().collect(),
        };
        let now_us = self.now_us();
        cells
            .iter()
            .filter_map(|cell| self.guarded(cell, |stream| stream.stats(now_us)))
            .collect()
    }

    fn tick(&self) {
        let cells: Vec<_> = self.streams.borrow().values().cloned().collect();
        let now_us = self.now_us();
        for cell in cells {
            self.guarded(&cell, |stream| stream.tick(now_us));
        }
        self.talks.borrow_mut().retain(|_, room| {
            let mut room = room.borrow_mut();
            room.tick(now_us);
            !room.has_ended()
        });
    }
}

async fn tick(reactor: Rc<Reactor>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        reactor.tick();
    }
}

async fn obey(reactor: Rc<Reactor>, mut inbox: UnboundedReceiver<Command>) {
    while let Some(command) = inbox.recv().await {
        if reactor.carry_out(command).is_break() {
            break;
        }
    }
    let open: Vec<_> = reactor.streams.borrow().keys().cloned().collect();
    for stream_id in open {
        reactor.end_stream(&stream_id, "closed");
    }
    for (_, room) in reactor.talks.take() {
        room.borrow_mut().end("closed");
    }
    // Let the viewers' tasks say goodbye and the sockets close.
    tokio::task::yield_now().await;
}

/// The asker may have stopped waiting, which is its own affair.
fn answer<T>(reply: &SyncSender<T>, value: T) {
    let _nobody_waits = reply.try_send(value);
}
