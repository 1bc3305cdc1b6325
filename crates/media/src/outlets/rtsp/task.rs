//! The tasks beside each player: one reads what the player says and waits for room when its connection is full, and one for each
//! track that goes out in datagrams reads its reports.
//!
//! Pictures are not written here: the stream writes them straight into every socket that has room.

use std::io::ErrorKind;
use std::rc::Rc;

use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::task::{JoinSet, spawn_local};
use tokio::time::{sleep, timeout};

use super::request::TRACKS_MAX;
use super::{NewPlayer, Player};
use crate::connection::{EndReason, Link};
use crate::events::unix_us;
use crate::reactor::{Reactor, StreamCell};
use crate::viewer::QueueLimits;
use crate::viewer_task::{GOODBYE, drain, ready_or_woken};
use crate::wire::Wire;

/// Reports read at once; a player sends one every few seconds.
const REPORTS_PER_TURN: usize = 8;
/// From one turn to the next: what comes faster is left to the kernel to drop.
const REPORTS_TURN: Duration = Duration::from_millis(20);
/// Longest report that is read; those of players are shorter than a hundred octets.
const REPORT_MAX: usize = 512;

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
    spawn_local(attend(Rc::clone(reactor), cell, wire, link, key));
}

async fn attend(
    reactor: Rc<Reactor>,
    cell: Rc<StreamCell>,
    wire: Rc<Wire>,
    link: Rc<Link>,
    key: usize,
) {
    let mut hearing = JoinSet::new();
    let mut is_heard = [false; TRACKS_MAX];
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
                    for track in (0..TRACKS_MAX).filter(|_| !link.has_ended.get()) {
                        let socket = || cell.stream.borrow_mut().report_socket(key, track);
                        if !is_heard[track]
                            && let Some(socket) = socket()
                        {
                            is_heard[track] = true;
                            let whose = (Rc::clone(&reactor), Rc::clone(&cell), Rc::clone(&link));
                            hearing.spawn_local(hear(whose, socket, (key, track)));
                        }
                    }
                }
            }
            Some(Err(error)) => end(&reactor, &cell, key, EndReason::of(&error)),
        }
    }
    drop(hearing);
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
        Err(error) => end(reactor, cell, key, EndReason::of(&error)),
    }
}

/// Read the reports on a track that come as datagrams, until dropped.
async fn hear(
    (reactor, cell, link): (Rc<Reactor>, Rc<StreamCell>, Rc<Link>),
    socket: Rc<UdpSocket>,
    (key, track): (usize, usize),
) {
    let mut packet = [0; REPORT_MAX];
    while socket.readable().await.is_ok() {
        for _ in 0..REPORTS_PER_TURN {
            match socket.try_recv(&mut packet) {
                // The key of a player that has ended may be another's by now.
                _ if link.has_ended.get() => return,
                Ok(length) => {
                    let now_us = reactor.now_us();
                    reactor.guarded(&cell, |stream| {
                        stream.player_reported((key, track), &packet[..length], now_us)
                    });
                }
                // Nothing more, or the word that nobody listens there; who does is found out by its silence.
                Err(_) => break,
            }
        }
        sleep(REPORTS_TURN).await;
    }
}

fn end(reactor: &Reactor, cell: &StreamCell, key: usize, reason: EndReason) {
    let now_us = reactor.now_us();
    reactor.guarded(cell, |stream| stream.end_player(key, reason, now_us));
}
