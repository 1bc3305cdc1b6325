//! A stream with the tasks that feed it.

use std::cell::RefCell;
use std::future::Future;
use std::net::IpAddr;
use std::rc::Rc;

use tokio::task::{AbortHandle, spawn_local};

use crate::ingest::{MAX_CONNECTIONS, SourceId};
use crate::rtsp::target::RtspTarget;
use crate::stream::Stream;

/// A stream with the tasks that feed it.
pub struct StreamCell {
    /// The stream. Borrowed for one call, never across an await.
    pub stream: RefCell<Stream>,
    tasks: RefCell<Vec<AbortHandle>>,
    pub(super) rtsp: Option<Rc<RtspTarget>>,
    /// Oldest first, at most [`MAX_CONNECTIONS`], one a peer.
    media: RefCell<Vec<MediaConnection>>,
    pub(super) dialling: RefCell<Option<AbortHandle>>,
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
    pub(super) fn new(stream: Stream, rtsp: Option<Rc<RtspTarget>>) -> StreamCell {
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

    pub(super) fn abort_tasks(&self) {
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
