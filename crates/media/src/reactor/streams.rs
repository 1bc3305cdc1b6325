//! Commands to streams: where they come from, how they play, what they counted.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::{AbortHandle, spawn_local};

use super::{Playback, Reactor, StreamCell};
use crate::receiver::{self, ReceiverSockets};
use crate::rtsp::session;
use crate::rtsp::target::RtspTarget;
use crate::stats::StreamStats;
use crate::stream::{ExpectedSender, Stream, Transport, ViewerStats};

impl Reactor {
    pub(super) fn open(self: &Rc<Self>, stream: Stream, sockets: ReceiverSockets) {
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

    pub(super) fn open_rtsp(
        self: &Rc<Self>,
        stream_id: String,
        transport: Transport,
        target: RtspTarget,
    ) {
        let shared = Arc::clone(&self.shared);
        let stream = Stream::new(
            stream_id.clone(),
            Some(transport),
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
    pub(super) fn ask_rtsp(self: &Rc<Self>, stream_id: &str) {
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

    pub(super) fn dial(self: &Rc<Self>, stream_id: &str, local: SocketAddr, camera: SocketAddr) {
        let Some(cell) = self.find(stream_id) else {
            return;
        };
        let task = receiver::dial(Rc::clone(self), Rc::clone(&cell), local, camera);
        let former = cell
            .dialling
            .replace(Some(spawn_local(task).abort_handle()));
        former.inspect(AbortHandle::abort);
    }

    pub(super) fn play(&self, stream_id: &str, change: Playback) {
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

    pub(super) fn viewer_stats(&self) -> Vec<ViewerStats> {
        let cells: Vec<_> = self.streams.borrow().values().cloned().collect();
        let now_us = self.now_us();
        cells
            .iter()
            .filter_map(|cell| self.guarded(cell, |stream| stream.viewer_stats(now_us)))
            .flatten()
            .collect()
    }

    pub(super) fn stats(&self, stream_id: Option<&str>) -> Vec<StreamStats> {
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
}
