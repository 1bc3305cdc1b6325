//! The task beside each player: it reads what the player says and waits for room when its connection is full.
//!
//! Pictures are not written here: the stream writes them straight into every socket that has room.

use std::io::ErrorKind;
use std::rc::Rc;

use tokio::io::Interest;
use tokio::time::timeout;

use super::{NewPlayer, Player};
use crate::connection::{EndReason, Link};
use crate::events::unix_us;
use crate::reactor::{Reactor, StreamCell};
use crate::viewer::QueueLimits;
use crate::viewer_task::{GOODBYE, drain, ready_or_woken};
use crate::wire::Wire;

/// Take a player into a stream of this reactor.
pub fn start(reactor: &Rc<Reactor>, cell: Rc<StreamCell>, new: NewPlayer) {
    let NewPlayer {
        wire,
        peer,
        ticket,
        session,
        slot,
    } = new;
    let shared = &reactor.shared;
    // Cut between the check of the ticket and now: the command overtook the player.
    if shared.tickets().is_cut(&ticket, unix_us() / 1000) {
        return shared.counters.count("viewers_cut_before_start");
    }
    let left_us = (ticket.end_by_ms.saturating_mul(1000)).saturating_sub(unix_us());
    if left_us == 0 {
        return shared.counters.count("viewers_ended_before_start");
    }
    let Ok(wire) = wire.fasten().map(Rc::new) else {
        return shared.counters.count("viewer_sockets_failed");
    };
    let limits = QueueLimits {
        bytes: shared.settings.viewer_queue_bytes,
        age_us: shared.settings.viewer_queue_age.as_micros() as u64,
    };
    let now_us = reactor.now_us();
    let link = Rc::new(Link::default());
    let wires = (Rc::clone(&wire), Rc::clone(&link), peer);
    let ends = (now_us, now_us.saturating_add(left_us));
    let player = Player::new(ticket, session, wires, ends, limits, slot);
    let Some(key) = reactor.guarded(&cell, |stream| stream.attach_player(player, now_us)) else {
        return;
    };
    tokio::task::spawn_local(attend(Rc::clone(reactor), cell, wire, link, key));
}

async fn attend(
    reactor: Rc<Reactor>,
    cell: Rc<StreamCell>,
    wire: Rc<Wire>,
    link: Rc<Link>,
    key: usize,
) {
    while !link.has_ended.get() {
        let interest = match link.is_blocked.get() {
            true => Interest::READABLE | Interest::WRITABLE,
            false => Interest::READABLE,
        };
        match ready_or_woken(&wire, interest, &link).await {
            None => {}
            Some(_) if link.has_ended.get() => {}
            Some(Ok(ready)) => {
                if link.is_blocked.get() && ready.is_writable() {
                    let now_us = reactor.now_us();
                    reactor.guarded(&cell, |stream| stream.flush_player(key, now_us));
                }
                if ready.is_readable() && !link.has_ended.get() {
                    listen(&reactor, &cell, &wire, key);
                }
            }
            Some(Err(_)) => end(&reactor, &cell, key, EndReason::ConnectionLost),
        }
    }
    if !link.is_aborted.get() {
        // Reading to the end lets the last words arrive: closing over unread octets would reset the connection.
        let is_late = timeout(GOODBYE, drain(&wire)).await.is_err();
        if is_late {
            // Closing would leave the kernel to deliver, for as long as it likes, what the player has not taken yet.
            wire.reset_on_close();
        }
    }
}

/// Read once what the player says; more wakes the task again.
fn listen(reactor: &Reactor, cell: &StreamCell, wire: &Wire, key: usize) {
    let mut buffer = [0; 2048];
    match wire.try_read(&mut buffer) {
        Ok(0) => end(reactor, cell, key, EndReason::ViewerClosed),
        Ok(length) => {
            let now_us = reactor.now_us();
            reactor.guarded(cell, |stream| {
                stream.player_sent(key, &buffer[..length], now_us)
            });
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(_) => end(reactor, cell, key, EndReason::ConnectionLost),
    }
}

fn end(reactor: &Reactor, cell: &StreamCell, key: usize, reason: EndReason) {
    let now_us = reactor.now_us();
    reactor.guarded(cell, |stream| stream.end_player(key, reason, now_us));
}
