//! The sockets between streams and programs beside the server.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream as Descriptor;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::UnixStream;
use tokio::task::spawn_local;

use super::{Reactor, StreamCell};
use crate::feeding::frame::Reader;
use crate::feeding::tap::{Tap, TapFeed, TapQueue};
use crate::stream::{ExpectedSender, FEED_LOST, Stream};

impl Reactor {
    pub(super) fn open_fed(self: &Rc<Self>, stream_id: String, socket: Descriptor) {
        let shared = Arc::clone(&self.shared);
        let stream = Stream::new(
            stream_id.clone(),
            None,
            0,
            ExpectedSender::default(),
            shared,
            self.now_us(),
        );
        let cell = Rc::new(StreamCell::new(stream, None));
        self.streams
            .borrow_mut()
            .insert(stream_id.clone(), Rc::clone(&cell));
        self.load.fetch_add(1, Ordering::Relaxed);
        match UnixStream::from_std(socket) {
            Ok(socket) => {
                let task = take(Rc::clone(self), Rc::clone(&cell), socket, stream_id);
                cell.spawn(task);
            }
            Err(_) => self.end_stream(&stream_id, "internal_error"),
        }
    }

    pub(super) fn attach_tap(self: &Rc<Self>, tap: Arc<Tap>, socket: Descriptor) {
        let queue = Rc::new(TapQueue::default());
        let task = UnixStream::from_std(socket).ok().map(|socket| {
            spawn_local(give(Arc::clone(&tap), Rc::clone(&queue), socket)).abort_handle()
        });
        let stream_id = tap.stream_id().to_owned();
        let is_usable = task.is_some();
        let feed = TapFeed::new(tap, queue, Arc::clone(&self.shared), task);
        // Without a stream or a socket the feed is dropped here, and so ended.
        if let Some(cell) = self.find(&stream_id).filter(|_| is_usable) {
            let now_us = self.now_us();
            self.guarded(&cell, |stream| stream.attach_tap(feed, now_us));
        }
    }
}

/// Read what feeds a stream until it ends or says what nobody understands.
async fn take(
    reactor: Rc<Reactor>,
    cell: Rc<StreamCell>,
    mut socket: UnixStream,
    stream_id: String,
) {
    let mut frames = Reader::default();
    loop {
        let read = poll_fn(|context| {
            let mut buffer = reactor.buffer();
            let mut read = ReadBuf::new(&mut buffer);
            ready!(Pin::new(&mut socket).poll_read(context, &mut read))?;
            let (now_us, bytes) = (reactor.now_us(), read.filled());
            if bytes.is_empty() {
                return Poll::Ready(io::Result::Ok(false));
            }
            let understood = reactor.guarded(&cell, |stream| {
                frames.push(bytes, |head, payload| {
                    stream.push_fed(now_us, head, payload)
                })
            });
            if understood.is_some_and(|understood| understood.is_err()) {
                reactor.shared.counters.count("feeds_refused");
            }
            Poll::Ready(Ok(understood.is_some_and(|understood| understood.is_ok())))
        });
        if !matches!(read.await, Ok(true)) {
            return reactor.end_stream(&stream_id, FEED_LOST);
        }
    }
}

/// Write what a stream gives until nobody reads any more.
async fn give(tap: Arc<Tap>, queue: Rc<TapQueue>, socket: UnixStream) {
    loop {
        let frame = queue.next().await;
        let mut rest = &frame[..];
        while !rest.is_empty() {
            match socket.try_write(rest) {
                Ok(0) => return tap.end(),
                Ok(count) => {
                    tap.wrote(count);
                    rest = &rest[count..];
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if socket.writable().await.is_err() {
                        return tap.end();
                    }
                }
                Err(_) => return tap.end(),
            }
        }
    }
}
