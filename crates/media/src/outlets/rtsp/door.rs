//! The players' door: one TCP port where a player says who it is before it learns anything.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, timeout, timeout_at};

use super::session::{Ask, Credential, Session, Violation};
use crate::door::{self, Door, Waiting};
use crate::events::{Event, text, unix_us};
use crate::http::Place;
use crate::outlet::{SEND_BUFFER, find_owner, shake_hands};
use crate::reactor::Command;
use crate::shared::{Shared, Slot};
use crate::ticket::{Protocol, Refusal, Ticket};
use crate::viewer_task::{GOODBYE, drain};
use crate::wire::{LooseWire, Wire};

/// A player that was let in, on its way to the reactor that owns its stream.
pub struct NewPlayer {
    /// Its connection.
    pub wire: LooseWire,
    /// Its address.
    pub peer: SocketAddr,
    /// What it may watch.
    pub ticket: Ticket,
    /// Its session; its DESCRIBE is to be answered.
    pub session: Session,
    /// Its place among the viewers.
    pub slot: Slot,
}

/// Why a connection did not become a player.
enum Turned {
    /// It said nothing in time.
    Late,
    /// It speaks no RTSP, or proved nothing.
    Broken(Violation),
    /// It closed or failed.
    Gone,
}

/// Accept connections until the reactor stops.
pub async fn serve(
    listener: std::net::TcpListener,
    shared: Arc<Shared>,
    reactors: Vec<UnboundedSender<Command>>,
) {
    let reactors: Arc<[_]> = reactors.into();
    let words = [
        "rtsp_connections",
        "rtsp_accept_failures",
        "rtsp_outlet_failures",
    ];
    let hall = (&*shared, &shared.unverified_players, words);
    let refuse = |_: &TcpStream| shared.counters.count("rtsp_connections_refused");
    door::accept(listener, hall, refuse, |door, number, came| {
        welcome(
            Arc::clone(&shared),
            Arc::clone(&reactors),
            door,
            number,
            came,
        )
    })
    .await;
}

async fn welcome(
    shared: Arc<Shared>,
    reactors: Arc<[UnboundedSender<Command>]>,
    door: Rc<Door>,
    number: u64,
    (socket, peer): (TcpStream, SocketAddr),
) {
    let deadline = Instant::now() + shared.settings.request_head_timeout;
    let Ok(wire) = shake_hands(&shared, socket, deadline).await else {
        // Where TLS is spoken nothing else is: a player that expects plain RTSP understands no word of ours.
        drop(door.proceed(number));
        return;
    };
    let Some(mut session) = Session::fresh() else {
        shared.counters.count("rtsp_without_randomness");
        drop(door.proceed(number));
        return;
    };
    if wire.is_secure() {
        session.keep_inside();
    }
    let admitted = converse(&shared, &wire, peer, &mut session, deadline).await;
    let Some(Waiting { place, task }) = door.proceed(number) else {
        return;
    };
    let counter = match admitted {
        Ok((reactor, ticket, slot)) => {
            drop(place);
            wire.prepare_to_send(SEND_BUFFER);
            let Ok((wire, unread)) = wire.loosen() else {
                return shared.counters.count("viewer_sockets_failed");
            };
            if session.push(&unread).is_err() {
                return shared.counters.count("rtsp_malformed");
            }
            let player = NewPlayer {
                wire,
                peer,
                ticket,
                session,
                slot,
            };
            let command = Command::AttachPlayer(Box::new(player));
            if reactors[reactor].send(command).is_err() {
                shared.counters.count("viewers_without_stream");
            }
            return;
        }
        Err(Turned::Late) => "rtsp_late",
        Err(Turned::Broken(Violation::Malformed)) => "rtsp_malformed",
        Err(Turned::Broken(Violation::Unproven)) => "rtsp_unproven",
        Err(Turned::Gone) => return shared.counters.count("rtsp_connections_without_request"),
    };
    shared.counters.count(counter);
    let last_words = session.to_send();
    if wire.try_write(&last_words).is_ok() && wire.finish().is_ok() {
        door.wait(number, place, task);
        let _gone_or_late = timeout(GOODBYE, drain(&wire)).await;
        door.proceed(number);
    }
}

/// Talk with a stranger until it is let in.
async fn converse(
    shared: &Shared,
    wire: &Wire,
    peer: SocketAddr,
    session: &mut Session,
    deadline: Instant,
) -> Result<(usize, Ticket, Slot), Turned> {
    let mut buffer = [0; 2048];
    loop {
        // A stranger that says one thing after the other, so that there is always something to read, is late as well.
        if Instant::now() >= deadline {
            return Err(Turned::Late);
        }
        let readable = timeout_at(deadline, wire.readable()).await;
        readable
            .map_err(|_| Turned::Late)?
            .map_err(|_| Turned::Gone)?;
        match wire.try_read(&mut buffer) {
            Ok(0) => return Err(Turned::Gone),
            Ok(length) => session.push(&buffer[..length]).map_err(Turned::Broken)?,
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(_) => return Err(Turned::Gone),
        }
        while let Some(ask) = session.next_ask().map_err(Turned::Broken)? {
            let Ask::Admit {
                stream_id,
                credential,
            } = ask
            else {
                return Err(Turned::Broken(Violation::Malformed));
            };
            match admit(shared, session.nonce(), &stream_id, &credential, peer).await {
                Ok(admitted) => {
                    session.admit();
                    return Ok(admitted);
                }
                Err(Denied::Unproven) => session.challenge().map_err(Turned::Broken)?,
                Err(Denied::Busy) => session.refuse(503).map_err(Turned::Broken)?,
                Err(Denied::Refused(refusal)) => {
                    refused(shared, refusal, peer);
                    let status = match refusal {
                        Refusal::StreamUnknown => 404,
                        Refusal::Overloaded => 503,
                        _ => 403,
                    };
                    session.refuse(status).map_err(Turned::Broken)?;
                }
            }
        }
        let words = session.to_send();
        // A stranger's connection has carried nothing yet: what it cannot take at once it never reads.
        if !words.is_empty() && wire.try_write(&words).ok() != Some(words.len()) {
            return Err(Turned::Gone);
        }
    }
}

enum Denied {
    /// It has not proved who it is.
    Unproven,
    /// Every place is taken.
    Busy,
    /// By its ticket.
    Refused(Refusal),
}

/// Check a player's proof and use its ticket up.
async fn admit(
    shared: &Shared,
    nonce: &str,
    stream_id: &str,
    credential: &Credential,
    peer: SocketAddr,
) -> Result<(usize, Ticket, Slot), Denied> {
    let now_ms = unix_us() / 1000;
    let ticket = match credential {
        Credential::None => return Err(Denied::Unproven),
        Credential::Ticket(token) => shared
            .verifier
            .verify(token, stream_id, Protocol::Rtsp, now_ms)
            .map_err(Denied::Refused)?,
        Credential::Digest(answer) => {
            let mut expected = shared.expected_players();
            match expected.find(&answer.username, now_ms) {
                Some((ticket, password)) if answer.is_right("DESCRIBE", nonce, password) => {
                    ticket.clone()
                }
                _ => {
                    shared.counters.count("rtsp_digests_refused");
                    return Err(Denied::Unproven);
                }
            }
        }
    };
    if ticket.stream_id != stream_id {
        return Err(Denied::Refused(Refusal::WrongStream));
    }
    let limit = shared.settings.max_connections;
    let slot = shared.viewers.take(limit).ok_or(Denied::Busy)?;
    let redeemed = shared.tickets().redeem(&ticket, peer.ip(), now_ms);
    shared.expected_players().forget(&ticket);
    redeemed.map_err(Denied::Refused)?;
    let owner = find_owner(shared, Place::Live, &ticket.stream_id)
        .await
        .ok_or(Denied::Refused(Refusal::StreamUnknown))?;
    Ok((owner.reactor, ticket, slot))
}

fn refused(shared: &Shared, refusal: Refusal, peer: SocketAddr) {
    let word = refusal.word();
    shared.counters.count(&format!("ticket_refused_{word}"));
    let fields = vec![("reason", text(word)), ("peer", text(peer.to_string()))];
    shared.events.push(Event::notice("TicketRefused", fields));
}
