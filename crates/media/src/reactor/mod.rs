//! One thread with its streams, their sockets and their viewers. Threads exchange commands and new viewers only.
//!
//! `command` says what a reactor can be told, `streams` and `outputs` carry it out, [`StreamCell`] holds a stream with its tasks.

mod command;
mod feeds;
mod outputs;
mod stream_cell;
mod streams;

pub use command::{Command, Cut, Playback};
pub use stream_cell::{MediaConnection, StreamCell};

use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{LocalSet, spawn_local};

use crate::file_sink::SinkEnd;
use crate::outlet;
use crate::outlets::hls;
use crate::outlets::rtsp;
use crate::recording::RecorderEnd;
use crate::shared::{Shared, Slots};
use crate::stream::Stream;
use crate::talk_room::TalkRoom;

/// One read from a socket takes at most this much; a UDP datagram always fits.
const BUFFER: usize = 256 * 1024;
/// How finely time is cut: reorder time-outs and the ends of grants are met within this.
const TICK: Duration = Duration::from_millis(20);

/// From this many streams on a reactor lets packets gather before it waits.
const GATHER_FROM_STREAMS: usize = 8;
const GATHER: Duration = Duration::from_micros(500);

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

    fn with_stream<R>(&self, stream_id: &str, work: impl FnOnce(&mut Stream) -> R) -> Option<R> {
        let cell = self.find(stream_id)?;
        self.guarded(&cell, work)
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
                let stream = Stream::new(
                    stream_id,
                    Some(transport),
                    port,
                    sender,
                    shared,
                    self.now_us(),
                );
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
                self.open_talk(*sender, carriage);
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
            Command::AttachRecorder(recorder) => {
                let now_us = self.now_us();
                match self.find(&recorder.request.stream_id) {
                    Some(cell) => {
                        self.guarded(&cell, |stream| stream.attach_recorder(recorder, now_us));
                    }
                    None => recorder.end(RecorderEnd::StreamEnded),
                }
            }
            Command::OpenFed { stream_id, socket } => self.open_fed(stream_id, socket),
            Command::AttachTap { tap, socket } => self.attach_tap(tap, socket),
            Command::CloseTap(tap) => {
                let tap_id = tap.tap_id();
                self.with_stream(tap.stream_id(), |stream| stream.close_tap(tap_id));
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
            Command::OpenHls(new) => self.open_hls(*new),
            Command::ServeHls(visitor) => hls::connection::start(self, *visitor),
            Command::AttachPlayer(player) => self.attach_player(*player),
            Command::Cut { cut, reply } => answer(&reply, self.cut(&cut)),
            Command::ViewerStats { reply } => answer(&reply, self.viewer_stats()),
            Command::Stats { stream_id, reply } => answer(&reply, self.stats(stream_id.as_deref())),
            Command::Serve {
                listener,
                players,
                reactors,
            } => {
                let shared = Arc::clone(&self.shared);
                spawn_local(rtsp::serve(players, shared, reactors.clone()));
                spawn_local(outlet::serve(listener, Arc::clone(&self.shared), reactors));
            }
            Command::Stop => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
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
