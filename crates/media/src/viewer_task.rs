//! The task beside each viewer: it reads what the viewer says and waits for room when its socket is full.
//!
//! Pictures are not written here: the stream writes them straight into every socket that has room.

use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{Interest, Ready};
use tokio::time::timeout;

use crate::connection::{EndReason, Link, ViewerConnection};
use crate::events::unix_us;
use crate::outlet::NewViewer;
use crate::reactor::{Reactor, StreamCell};
use crate::shared::Shared;
use crate::ticket::{Protocol, Ticket};
use crate::viewer::{QueueLimits, ViewerQueue};
use crate::wire::Wire;

/// How long a viewer may take to answer our end of the connection.
pub(crate) const GOODBYE: Duration = Duration::from_secs(1);

/// Take a viewer into a stream of this reactor.
pub fn start(reactor: &Rc<Reactor>, cell: Rc<StreamCell>, viewer: NewViewer) {
    let NewViewer {
        mut wire,
        peer,
        ticket,
        wants_sound,
        handshake,
        origin,
        leftover,
        slot,
    } = viewer;
    let settings = &reactor.shared.settings;
    let Some(left_us) = time_left_us(&reactor.shared, &ticket) else {
        return;
    };
    // Before the runtime knows the socket: it would want to wait for room, and a socket that has carried nothing
    // yet has room for a handshake.
    let said = handshake.is_empty() || wire.say(&handshake);
    let Ok((wire, true)) = wire.fasten().map(|wire| (Rc::new(wire), said)) else {
        return reactor.shared.counters.count("viewer_sockets_failed");
    };
    let limits = QueueLimits {
        bytes: settings.viewer_queue_bytes,
        age_us: settings.viewer_queue_age.as_micros() as u64,
    };
    let now_us = reactor.now_us();
    let link = Rc::new(Link::default());
    let mut queue = ViewerQueue::new(ticket.protocol, limits);
    queue.for_page(origin);
    if wants_sound && ticket.protocol == Protocol::Http {
        queue.await_sound(now_us);
    }
    let ends = (now_us, now_us.saturating_add(left_us));
    let wires = (Rc::clone(&wire), Rc::clone(&link), peer);
    let connection = ViewerConnection::new(queue, ticket, wires, ends, slot);
    let Some(key) = reactor.guarded(&cell, |stream| {
        let key = stream.attach(connection, now_us);
        if !leftover.is_empty() && !link.has_ended.get() {
            stream.viewer_sent(key, &leftover, now_us);
        }
        key
    }) else {
        return;
    };
    tokio::task::spawn_local(attend(Rc::clone(reactor), cell, wire, link, key));
}

/// How long the viewer of a redeemed ticket may stay; none when that is over before it began, which is counted.
pub(crate) fn time_left_us(shared: &Shared, ticket: &Ticket) -> Option<u64> {
    // Cut between the check of the ticket and now: the command overtook the viewer.
    if shared.tickets().is_cut(ticket, unix_us() / 1000) {
        shared.counters.count("viewers_cut_before_start");
        return None;
    }
    let left_us = (ticket.end_by_ms.saturating_mul(1000)).saturating_sub(unix_us());
    if left_us == 0 {
        // Its time ran out while it waited for its stream; the cached pictures are not for it any more.
        shared.counters.count("viewers_ended_before_start");
        return None;
    }
    Some(left_us)
}

async fn attend(
    reactor: Rc<Reactor>,
    cell: Rc<StreamCell>,
    wire: Rc<Wire>,
    link: Rc<Link>,
    key: usize,
) {
    while !link.has_ended.get() {
        let interest = if link.is_blocked.get() {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        match ready_or_woken(&wire, interest, &link).await {
            None => {}
            Some(_) if link.has_ended.get() => {}
            Some(Ok(ready)) => {
                if link.is_blocked.get() && ready.is_writable() {
                    let now_us = reactor.now_us();
                    reactor.guarded(&cell, |stream| stream.flush(key, now_us));
                }
                if ready.is_readable() {
                    listen(&reactor, &cell, &wire, &link, key);
                }
            }
            Some(Err(error)) => {
                reactor.guarded(&cell, |stream| {
                    stream.end_viewer(key, EndReason::of(&error))
                });
            }
        }
    }
    if !link.is_aborted.get() {
        // Reading to the end lets the last words arrive: closing over unread bytes would reset the connection.
        let is_late = timeout(GOODBYE, drain(&wire)).await.is_err();
        if is_late {
            // Closing would leave the kernel to deliver, for as long as it likes, what the viewer has not taken yet.
            wire.reset_on_close();
        }
    }
}

/// Wait for the socket, or (`None`) for a word of the connection.
pub(crate) async fn ready_or_woken(
    wire: &Wire,
    interest: Interest,
    link: &Link,
) -> Option<io::Result<Ready>> {
    let mut woken = pin!(link.wake.notified());
    let mut ready = pin!(wire.ready(interest));
    poll_fn(|context| match woken.as_mut().poll(context) {
        Poll::Ready(()) => Poll::Ready(None),
        Poll::Pending => ready.as_mut().poll(context).map(Some),
    })
    .await
}

/// Read once what the viewer says; more wakes the task again.
fn listen(reactor: &Reactor, cell: &StreamCell, wire: &Wire, link: &Link, key: usize) {
    if link.has_ended.get() {
        return;
    }
    let mut buffer = [0; 2048];
    let now_us = reactor.now_us();
    match wire.try_read(&mut buffer) {
        Ok(len) => {
            reactor.guarded(cell, |stream| {
                stream.viewer_sent(key, &buffer[..len], now_us)
            });
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(error) => {
            if error.kind() == ErrorKind::InvalidData {
                reactor.shared.counters.count("tls_violations");
            }
            reactor.guarded(cell, |stream| stream.end_viewer(key, EndReason::of(&error)));
        }
    }
}

/// Read to the end what a peer still sends.
pub(crate) async fn drain(wire: &Wire) {
    // Small, because it lives in every viewer's task from the beginning.
    let mut buffer = [0; 64];
    while wire.readable().await.is_ok() {
        match wire.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
