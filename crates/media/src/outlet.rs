//! The viewers' door: one TCP port that speaks HTTP/1.1, checks tickets and hands viewers to their reactor.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::door::{self, Door, Waiting};
use crate::events::{Event, text, unix_us};
use crate::http::{self, HEAD_MAX, LiveRequest, Method, Place, Rejection, Upgrade};
use crate::outlets::hls;
use crate::outlets::hls::connection::Visitor;
use crate::outlets::hls::session::HlsSession;
use crate::reactor::Command;
use crate::shared::{Owner, Shared, Slot};
use crate::ticket::{Protocol, Refusal, Ticket};
use crate::wire::{LooseWire, Unshaken, Wire};

/// What the kernel may hold for one viewer: a few frames, and little that outlives the end of a grant.
pub(crate) const SEND_BUFFER: usize = 512 * 1024;
/// A viewer may be faster than the invitation of its camera; so long its stream may still appear.
const STREAM_WAIT: Duration = Duration::from_secs(2);
const STREAM_LOOK: Duration = Duration::from_millis(20);
const GOODBYE: Duration = Duration::from_millis(500);

/// A viewer with a good ticket on its way to the reactor that owns its stream.
pub struct NewViewer {
    /// Its connection.
    pub wire: LooseWire,
    /// Its address.
    pub peer: SocketAddr,
    /// What it may watch.
    pub ticket: Ticket,
    /// Whether a plain response is to have sound; over a WebSocket it is asked for by a word.
    pub wants_sound: bool,
    /// What must be written before anything else.
    pub handshake: Vec<u8>,
    /// The page that asks.
    pub origin: Option<String>,
    /// What it sent behind its request.
    pub leftover: Vec<u8>,
    /// Its place among the viewers.
    pub slot: Slot,
}

/// Why a connection did not become a viewer.
pub(crate) enum Turned {
    /// By the rules of HTTP.
    Rejected(Rejection),
    /// By its ticket.
    Refused(Refusal),
    /// HEAD has its answer.
    Answered,
    /// It closed or failed; there is nobody to answer.
    Gone,
}

/// Accept connections until the reactor stops.
pub async fn serve(
    listener: std::net::TcpListener,
    shared: Arc<Shared>,
    reactors: Vec<UnboundedSender<Command>>,
) {
    let reactors: Arc<[_]> = reactors.into();
    let words = ["connections", "accept_failures", "outlet_failures"];
    let hall = (&*shared, &shared.unverified, words);
    let refuse = |socket: &TcpStream| refuse_at_the_door(&shared, socket);
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

/// Answer without a task: the door is crowded, and one more task per stranger would make it worse.
fn refuse_at_the_door(shared: &Shared, socket: &TcpStream) {
    let (status, phrase, code) = Rejection::Busy.parts();
    shared.counters.count("connections_refused");
    if shared.settings.tls.is_some() {
        // No word is understood before the hands are shaken, and that is what there is no room for.
        return;
    }
    shared.counters.count("http_503");
    let _best_effort = socket.try_write(&http::error_response(status, phrase, code));
}

async fn welcome(
    shared: Arc<Shared>,
    reactors: Arc<[UnboundedSender<Command>]>,
    door: Rc<Door>,
    number: u64,
    (socket, peer): (TcpStream, SocketAddr),
) {
    let mut bytes = Vec::new();
    let deadline = Instant::now() + shared.settings.request_head_timeout;
    let (wire, request) = match shake_hands(&shared, socket, deadline).await {
        Ok(wire) => {
            let request = read_request(&wire, &mut bytes, deadline).await;
            (Some(wire), request)
        }
        Err(Unshaken::Plain(socket)) => {
            let rejected = Turned::Rejected(Rejection::TlsRequired);
            (Some(Wire::plain(socket)), Err(rejected))
        }
        Err(Unshaken::Failed | Unshaken::Gone) => (None, Err(Turned::Gone)),
    };
    let Some(Waiting { place, task }) = door.proceed(number) else {
        return;
    };
    let Some(wire) = wire else { return };
    let answer = match request {
        Ok((request, head_len)) => match admit(&shared, &reactors, &request, peer).await {
            Ok(admitted) => {
                drop(place);
                wire.prepare_to_send(SEND_BUFFER);
                bytes.drain(..head_len);
                hand_over(&shared, &reactors, wire, peer, (request, admitted, bytes));
                return;
            }
            Err(turned) => {
                let answer = turned_away(&shared, turned, Some(request.place), peer);
                answer.map(|answer| http::allow_origin(answer, request.origin.as_deref()))
            }
        },
        Err(turned) => turned_away(&shared, turned, None, peer),
    };
    let Some(answer) = answer else {
        return shared.counters.count("connections_without_request");
    };
    if wire.try_write(&answer).is_ok() {
        door.wait(number, place, task);
        say_goodbye(&wire).await;
        door.proceed(number);
    }
}

/// The connection as it is to be spoken on: inside TLS where the outlet has a certificate.
pub(crate) async fn shake_hands(
    shared: &Shared,
    socket: TcpStream,
    deadline: Instant,
) -> Result<Wire, Unshaken> {
    let Some(identity) = &shared.settings.tls else {
        return Ok(Wire::plain(socket));
    };
    let shaken = timeout_at(deadline, Wire::accept(socket, identity)).await;
    shared.counters.count(match &shaken {
        Ok(Ok(_)) => "tls_handshakes",
        Ok(Err(Unshaken::Plain(_))) => "tls_plain_requests",
        Ok(Err(Unshaken::Failed)) => "tls_handshakes_failed",
        Ok(Err(Unshaken::Gone)) => "connections_without_request",
        Err(_) => "tls_handshake_timeouts",
    });
    shaken.unwrap_or(Err(Unshaken::Failed))
}

/// Read a request head behind what is in `bytes` already: the request and where its head ends.
pub(crate) async fn read_request(
    wire: &Wire,
    bytes: &mut Vec<u8>,
    deadline: Instant,
) -> Result<(LiveRequest, usize), Turned> {
    loop {
        if let Some(request) = http::parse_request(bytes).map_err(Turned::Rejected)? {
            return Ok(request);
        }
        let readable = timeout_at(deadline, wire.readable()).await;
        readable
            .map_err(|_| Turned::Rejected(Rejection::Timeout))?
            .map_err(|_| Turned::Gone)?;
        let mut buffer = [0; 2048];
        match wire.try_read(&mut buffer) {
            Ok(0) => return Err(Turned::Gone),
            Ok(len) => bytes.extend_from_slice(&buffer[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(_) => return Err(Turned::Gone),
        }
        // The parser refuses a head that has outgrown HEAD_MAX, so `bytes` stays bounded by one read more.
        debug_assert!(bytes.len() < HEAD_MAX + buffer.len());
    }
}

/// What a request may become.
enum Admitted {
    /// A viewer of a stream, or a speaker.
    Viewer(Owner, Ticket, Slot),
    /// A client of an HLS session, with its place among such connections.
    Hls(Arc<HlsSession>, Slot),
}

async fn admit(
    shared: &Shared,
    reactors: &[UnboundedSender<Command>],
    request: &LiveRequest,
    peer: SocketAddr,
) -> Result<Admitted, Turned> {
    if let Place::Hls(target) = request.place {
        let limit = shared.settings.max_connections;
        let place = shared.hls_connections.take(limit);
        let place = place.ok_or(Turned::Rejected(Rejection::Busy))?;
        let session = hls::admission::admit(shared, reactors, (request, target), peer).await?;
        return Ok(Admitted::Hls(session, place));
    }
    if request.method == Method::Head {
        return Err(Turned::Answered);
    }
    let protocol = match (request.place, &request.upgrade) {
        (Place::Live, Upgrade::None) => Protocol::Http,
        (Place::Live, Upgrade::WebSocket { .. }) => Protocol::WebSocket,
        (Place::LiveFlv, Upgrade::None) => Protocol::HttpFlv,
        (Place::LiveFlv, Upgrade::WebSocket { .. }) => Protocol::WsFlv,
        (Place::Talk, Upgrade::WebSocket { .. }) => Protocol::Talk,
        (Place::Talk, Upgrade::None) => return Err(Turned::Rejected(Rejection::UpgradeRequired)),
        (Place::Hls(_), _) => Protocol::Hls,
    };
    let (owner, ticket, slot) = redeem(shared, request, protocol, peer).await?;
    Ok(Admitted::Viewer(owner, ticket, slot))
}

/// Check a request's ticket and use it up.
pub(crate) async fn redeem(
    shared: &Shared,
    request: &LiveRequest,
    protocol: Protocol,
    peer: SocketAddr,
) -> Result<(Owner, Ticket, Slot), Turned> {
    let token = request
        .ticket
        .as_deref()
        .ok_or(Turned::Refused(Refusal::Missing))?;
    let now_ms = unix_us() / 1000;
    let ticket = shared
        .verifier
        .verify(token, &request.stream_id, protocol, now_ms)
        .map_err(Turned::Refused)?;
    let limit = shared.settings.max_connections;
    let slot = shared
        .viewers
        .take(limit)
        .ok_or(Turned::Rejected(Rejection::Busy))?;
    shared
        .tickets()
        .redeem(&ticket, peer.ip(), now_ms)
        .map_err(Turned::Refused)?;
    let owner = find_owner(shared, request.place, &ticket.stream_id)
        .await
        .ok_or(Turned::Refused(Refusal::StreamUnknown))?;
    Ok((owner, ticket, slot))
}

pub(crate) async fn find_owner(shared: &Shared, place: Place, stream_id: &str) -> Option<Owner> {
    let deadline = Instant::now() + STREAM_WAIT;
    loop {
        let owner = match place {
            Place::Live | Place::LiveFlv | Place::Hls(_) => shared.owners().get(stream_id).copied(),
            Place::Talk => shared.talks().get(stream_id).copied(),
        };
        if owner.is_some() || Instant::now() >= deadline {
            return owner;
        }
        sleep(STREAM_LOOK).await;
    }
}

fn hand_over(
    shared: &Shared,
    reactors: &Arc<[UnboundedSender<Command>]>,
    wire: Wire,
    peer: SocketAddr,
    (request, admitted, mut leftover): (LiveRequest, Admitted, Vec<u8>),
) {
    let Ok((wire, unread)) = wire.loosen() else {
        return shared.counters.count("viewer_sockets_failed");
    };
    leftover.extend(unread);
    let (reactor, command) = match admitted {
        Admitted::Viewer(owner, ticket, slot) => {
            let handshake = match &request.upgrade {
                Upgrade::None => Vec::new(),
                Upgrade::WebSocket { key } => http::switching_protocols(key),
            };
            let viewer = NewViewer {
                wire,
                peer,
                ticket,
                wants_sound: request.wants_sound,
                handshake,
                origin: request.origin,
                leftover,
                slot,
            };
            (owner.reactor, Command::Attach(Box::new(viewer)))
        }
        Admitted::Hls(session, place) => {
            let reactor = session.reactor;
            let visitor = Visitor {
                wire,
                peer,
                request,
                session,
                leftover,
                place,
                reactors: Arc::clone(reactors),
            };
            (reactor, Command::ServeHls(Box::new(visitor)))
        }
    };
    if reactors[reactor].send(command).is_err() {
        shared.counters.count("viewers_without_stream");
    }
}

/// The answer to who is turned away, counted; none when there is nobody to answer.
pub(crate) fn turned_away(
    shared: &Shared,
    turned: Turned,
    place: Option<Place>,
    peer: SocketAddr,
) -> Option<Vec<u8>> {
    Some(match turned {
        Turned::Rejected(rejection) => {
            let (status, phrase, code) = rejection.parts();
            shared.counters.count(&format!("http_{status}"));
            if rejection == Rejection::ForeignOrigin {
                shared.counters.count("foreign_origins");
            }
            http::error_response(status, phrase, code)
        }
        Turned::Refused(refusal) => refused(shared, refusal, peer),
        Turned::Answered => http::head_head(match place {
            Some(Place::Hls(_)) => hls::PLAYLIST_TYPE,
            Some(Place::LiveFlv) => "video/x-flv",
            _ => "video/mp4",
        }),
        Turned::Gone => return None,
    })
}

fn refused(shared: &Shared, refusal: Refusal, peer: SocketAddr) -> Vec<u8> {
    let word = refusal.word();
    shared.counters.count(&format!("ticket_refused_{word}"));
    let fields = vec![("reason", text(word)), ("peer", text(peer.to_string()))];
    shared.events.push(Event::notice("TicketRefused", fields));
    let (status, phrase) = match refusal {
        Refusal::StreamUnknown => (404, "Not Found"),
        Refusal::Overloaded => (503, "Service Unavailable"),
        _ => (403, "Forbidden"),
    };
    shared.counters.count(&format!("http_{status}"));
    http::error_response(status, phrase, &format!("ticket_{word}"))
}

/// Close our end and read what is left, so that the answer is not lost to a reset.
pub(crate) async fn say_goodbye(wire: &Wire) {
    let _peer_may_be_gone = wire.finish();
    let drained = async {
        let mut buffer = [0; 2048];
        while wire.readable().await.is_ok() {
            match wire.try_read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(len) if len > 0 => {}
                _ => return,
            }
        }
    };
    let _gone_or_late = timeout(GOODBYE, drained).await;
}
