//! The players' door: one TCP port where a player says who it is before it learns anything.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::session::{Ask, Credential, Session, Violation};
use crate::events::{Event, text, unix_us};
use crate::http::Place;
use crate::outlet::{Door, SEND_BUFFER, Waiting, find_owner};
use crate::reactor::Command;
use crate::shared::{Shared, Slot};
use crate::ticket::{Protocol, Refusal, Ticket};
use crate::viewer_task::{GOODBYE, drain};

/// A player that was let in, on its way to the reactor that owns its stream.
pub struct NewPlayer {
    /// Its connection.
    pub socket: std::net::TcpStream,
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
    let Ok(listener) = TcpListener::from_std(listener) else {
        return shared.counters.count("rtsp_outlet_failures");
    };
    let reactors: Arc<[_]> = reactors.into();
    let door = Rc::new(Door::default());
    for number in 0.. {
        match listener.accept().await {
            Ok((socket, peer)) => {
                shared.counters.count("rtsp_connections");
                let Some(place) = door.place(&shared, &shared.unverified_players) else {
                    shared.counters.count("rtsp_connections_refused");
                    continue;
                };
                let task = spawn_local(welcome(
                    Arc::clone(&shared),
                    Arc::clone(&reactors),
                    Rc::clone(&door),
                    number,
                    (socket, peer),
                ));
                door.wait(number, place, task.abort_handle());
            }
            Err(_) => {
                // Out of file descriptors, most likely: give viewers time to leave.
                shared.counters.count("rtsp_accept_failures");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn welcome(
    shared: Arc<Shared>,
    reactors: Arc<[UnboundedSender<Command>]>,
    door: Rc<Door>,
    number: u64,
    (socket, peer): (TcpStream, SocketAddr),
) {
    let deadline = Instant::now() + shared.settings.request_head_timeout;
    let mut session = Session::default();
    let admitted = converse(&shared, &socket, peer, &mut session, deadline).await;
    let Some(Waiting { place, task }) = door.proceed(number) else {
        return;
    };
    let counter = match admitted {
        Ok((reactor, ticket, slot)) => {
            drop(place);
            let _best_effort = (
                SockRef::from(&socket).set_tcp_nodelay(true),
                SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER),
                // A peer that vanished without a word answers no more: the kernel notices, and we with it.
                SockRef::from(&socket).set_tcp_user_timeout(Some(VANISHED_AFTER)),
            );
            let Ok(socket) = socket.into_std() else {
                return shared.counters.count("viewer_sockets_failed");
            };
            let player = NewPlayer {
                socket,
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
    if socket.try_write(&last_words).is_ok() {
        door.wait(number, place, task);
        let _peer_may_be_gone = SockRef::from(&socket).shutdown(std::net::Shutdown::Write);
        let _gone_or_late = timeout(GOODBYE, drain(&socket)).await;
        door.proceed(number);
    }
}

/// Unanswered octets for so long mean that nobody is there any more (RFC 5482).
const VANISHED_AFTER: Duration = Duration::from_secs(20);

/// Talk with a stranger until it is let in.
async fn converse(
    shared: &Shared,
    socket: &TcpStream,
    peer: SocketAddr,
    session: &mut Session,
    deadline: Instant,
) -> Result<(usize, Ticket, Slot), Turned> {
    let mut buffer = [0; 2048];
    loop {
        let readable = timeout_at(deadline, socket.readable()).await;
        readable
            .map_err(|_| Turned::Late)?
            .map_err(|_| Turned::Gone)?;
        match socket.try_read(&mut buffer) {
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
            match admit(shared, session.nonce(), &stream_id, &credential).await {
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
        if !words.is_empty() && socket.try_write(&words).ok() != Some(words.len()) {
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
    let redeemed = shared.tickets().redeem(&ticket, now_ms);
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
