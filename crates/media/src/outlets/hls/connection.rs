//! A client's connection: one request after the other, each answered at once or when what it awaits is there.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};

use super::PLAYLIST_TYPE;
use super::admission::admit;
use super::output::Awaiting;
use super::pieces::Media;
use super::playlist;
use super::request::{Item, Target, write_key};
use super::ring::{Reach, Ring};
use super::session::HlsSession;
use crate::http::{self, LiveRequest, Method, Place, Rejection};
use crate::outlet::{Turned, read_request, say_goodbye, turned_away};
use crate::reactor::{Command, Reactor};
use crate::shared::Slot;
use crate::viewer::SLICES_MAX;
use crate::wire::{LooseWire, Wire};

/// A connection may rest so long between two requests.
const IDLE: Duration = Duration::from_secs(30);
/// A client that takes nothing for this long is gone.
const STUCK: Duration = Duration::from_secs(10);
/// The directives wait no longer than so many target durations (draft 6.2.5.2).
const WAIT_TARGETS: u32 = 3;

const MEDIA: &str = "video/mp4";

/// A client whose first request belongs to a session, on its way to that session's reactor.
pub struct Visitor {
    /// Its connection.
    pub wire: LooseWire,
    /// Its address.
    pub peer: SocketAddr,
    /// Its request.
    pub request: LiveRequest,
    /// The session.
    pub session: Arc<HlsSession>,
    /// What it sent behind its request.
    pub leftover: Vec<u8>,
    /// Its place among the connections.
    pub place: Slot,
    /// Every reactor's commands: the next request may open a session elsewhere.
    pub reactors: Arc<[UnboundedSender<Command>]>,
}

/// What a request is answered with.
struct Response {
    content_type: &'static str,
    body: Vec<Bytes>,
    /// Pictures in it, when it is media.
    pictures: usize,
}

impl Response {
    fn text(body: impl Into<Bytes>) -> Response {
        Response {
            content_type: PLAYLIST_TYPE,
            body: vec![body.into()],
            pictures: 0,
        }
    }

    fn media(Media { bytes, pictures }: Media) -> Response {
        Response {
            content_type: MEDIA,
            pictures,
            body: bytes,
        }
    }
}

struct Connection {
    reactor: Rc<Reactor>,
    wire: Wire,
    peer: SocketAddr,
    input: Vec<u8>,
    reactors: Arc<[UnboundedSender<Command>]>,
    _place: Slot,
}

/// Serve a client on this reactor.
pub fn start(reactor: &Rc<Reactor>, visitor: Visitor) {
    let Ok(wire) = visitor.wire.fasten() else {
        return reactor.shared.counters.count("viewer_sockets_failed");
    };
    let connection = Connection {
        reactor: Rc::clone(reactor),
        wire,
        peer: visitor.peer,
        input: visitor.leftover,
        reactors: visitor.reactors,
        _place: visitor.place,
    };
    spawn_local(connection.serve(visitor.request, visitor.session));
}

impl Connection {
    async fn serve(mut self, mut request: LiveRequest, session: Arc<HlsSession>) {
        let mut admitted = Ok(session);
        loop {
            let outcome = match admitted {
                // The session, and with it what it reads, is held for this answer and no longer.
                Ok(session) => self.answer(&request, &session).await,
                Err(turned) => self.turn_away(turned, Some(&request)).await,
            };
            match outcome {
                Ok(true) => {}
                Ok(false) => return say_goodbye(&self.wire).await,
                Err(_) => return self.wire.reset_on_close(),
            }
            request = match self.next_request().await {
                Ok(request) => request,
                Err(turned) => {
                    if let Ok(false) = self.turn_away(turned, None).await {
                        say_goodbye(&self.wire).await;
                    }
                    return;
                }
            };
            let shared = &self.reactor.shared;
            admitted = match request.place {
                Place::Hls(target) => {
                    admit(shared, &self.reactors, (&request, target), self.peer).await
                }
                _ => Err(Turned::Rejected(Rejection::NotFound)),
            };
        }
    }

    /// The next request on this connection.
    async fn next_request(&mut self) -> Result<LiveRequest, Turned> {
        if self.input.is_empty() {
            let readable = timeout(IDLE, self.wire.readable()).await;
            // A connection that rests is closed without a word.
            readable
                .map_err(|_| Turned::Gone)?
                .map_err(|_| Turned::Gone)?;
        }
        let deadline = Instant::now() + self.reactor.shared.settings.request_head_timeout;
        let (request, head_len) = read_request(&self.wire, &mut self.input, deadline).await?;
        self.input.drain(..head_len);
        Ok(request)
    }

    /// Answer with an error, or not at all. Whether the connection goes on.
    async fn turn_away(
        &self,
        turned: Turned,
        request: Option<&LiveRequest>,
    ) -> Result<bool, io::Error> {
        let place = request.map(|request| request.place);
        let Some(answer) = turned_away(&self.reactor.shared, turned, place, self.peer) else {
            return Err(ErrorKind::NotConnected.into());
        };
        let origin = request.and_then(|request| request.origin.as_deref());
        let answer = http::allow_origin(answer, origin);
        self.write(vec![answer.into()], &|| false, None).await?;
        Ok(false)
    }

    /// Answer a request of a session with an error. Whether the connection goes on: a part that was hinted at and never came
    /// is no reason to end it.
    async fn reject(&self, request: &LiveRequest, rejection: Rejection) -> Result<bool, io::Error> {
        let (status, phrase, code) = rejection.parts();
        let counters = &self.reactor.shared.counters;
        counters.count(&format!("http_{status}"));
        let keeps_alive = request.keeps_alive && rejection != Rejection::SessionUnknown;
        let answer = http::error_answer(status, phrase, code, keeps_alive);
        let answer = http::allow_origin(answer, request.origin.as_deref());
        self.write(vec![answer.into()], &|| false, None).await?;
        Ok(keeps_alive)
    }

    /// Answer a request of a session. Whether the connection goes on.
    async fn answer(&self, request: &LiveRequest, session: &HlsSession) -> Result<bool, io::Error> {
        let Place::Hls(target) = request.place else {
            return Err(ErrorKind::InvalidInput.into());
        };
        let now_us = || self.reactor.now_us();
        let asking = session.ask(now_us());
        let found = match asking {
            Some(_) => self.find(target, session).await,
            None => Err(Rejection::Busy),
        };
        let response = match found {
            Ok(response) => response,
            Err(rejection) => return self.reject(request, rejection).await,
        };
        let len = response.body.iter().map(Bytes::len).sum();
        let head = http::response_head(
            response.content_type,
            len,
            request.origin.as_deref(),
            request.keeps_alive,
        );
        let mut pieces = vec![Bytes::from(head)];
        if request.method == Method::Get {
            pieces.extend(response.body);
        }
        let has_ended = || session.has_ended(now_us());
        self.write(pieces, &has_ended, Some(session)).await?;
        if response.pictures > 0 && request.method == Method::Get {
            let first = session.delivered(response.pictures, now_us());
            if let Some(event) = first {
                self.reactor.shared.events.push(event);
            }
        }
        Ok(request.keeps_alive)
    }

    /// What is asked for, when it is there.
    async fn find(&self, target: Target, session: &HlsSession) -> Result<Response, Rejection> {
        let output = &session.output;
        let item = match target {
            Target::Multivariant => return self.open_playlist(session).await,
            Target::Of(_, item) => item,
        };
        let found = match item {
            Item::Playlist(awaited) => {
                let look = |ring: &Ring| match awaited {
                    _ if !ring.has_begun() => Reach::Awaited,
                    Some(awaited) => ring.reaches(awaited),
                    None => Reach::Here(()),
                };
                match self.wait(session, look).await {
                    // The draft wants those who ask too far ahead told apart (6.2.5.2).
                    Awaiting::Nowhere => return Err(Rejection::BadRequest),
                    Awaiting::Here(()) => Awaiting::Here(Response::text(output.playlist())),
                    Awaiting::Late => Awaiting::Late,
                    Awaiting::Ended => Awaiting::Ended,
                }
            }
            Item::Init(number) => match output.ring().init(number) {
                Some(init) => Awaiting::Here(Response {
                    content_type: MEDIA,
                    body: vec![init],
                    pictures: 0,
                }),
                None => Awaiting::Nowhere,
            },
            Item::Segment(segment) => {
                let look = |ring: &Ring| ring.segment_bytes(segment).map(Response::media);
                self.wait(session, look).await
            }
            Item::Part(segment, part) => {
                let look = |ring: &Ring| ring.part_bytes(segment, part).map(Response::media);
                self.wait(session, look).await
            }
        };
        match found {
            Awaiting::Here(response) => Ok(response),
            Awaiting::Nowhere => Err(Rejection::NotFound),
            Awaiting::Late => Err(Rejection::Late),
            Awaiting::Ended => Err(Rejection::SessionUnknown),
        }
    }

    /// The playlist that a session begins with, once there is something to play.
    async fn open_playlist(&self, session: &HlsSession) -> Result<Response, Rejection> {
        let key = write_key(&session.key);
        let look = |ring: &Ring| match ring.listed().next_back() {
            Some(latest) if ring.has_begun() => Reach::Here(playlist::multivariant(
                &latest.parameters,
                ring.sound_codecs().as_deref(),
                ring.peak_bits_per_second(),
                &format!("{key}/live.m3u8"),
            )),
            _ => Reach::Awaited,
        };
        match self.wait_until(session, None, look).await {
            Awaiting::Here(text) => Ok(Response::text(text)),
            Awaiting::Ended => Err(Rejection::NoMedia),
            Awaiting::Nowhere | Awaiting::Late => Err(Rejection::Late),
        }
    }

    async fn wait<T>(&self, session: &HlsSession, look: impl Fn(&Ring) -> Reach<T>) -> Awaiting<T> {
        let target = session.output.ring().cadence().target_s;
        let wait = Duration::from_secs(target.unsigned_abs()) * WAIT_TARGETS;
        self.wait_until(session, Some(wait), look).await
    }

    /// Wait for so long, or until the session ends.
    async fn wait_until<T>(
        &self,
        session: &HlsSession,
        wait: Option<Duration>,
        look: impl Fn(&Ring) -> Reach<T>,
    ) -> Awaiting<T> {
        let left = Duration::from_micros(session.left_us(self.reactor.now_us()));
        let until = Instant::now() + wait.map_or(left, |wait| wait.min(left));
        let has_ended = || session.has_ended(self.reactor.now_us());
        session.output.wait(until, has_ended, look).await
    }

    /// Write all of it, unless `has_ended` says that nothing more may leave.
    async fn write(
        &self,
        pieces: Vec<Bytes>,
        has_ended: &impl Fn() -> bool,
        session: Option<&HlsSession>,
    ) -> io::Result<()> {
        let mut pieces: VecDeque<_> = pieces.into();
        loop {
            while pieces.front().is_some_and(Bytes::is_empty) {
                pieces.pop_front();
            }
            if has_ended() {
                return Err(ErrorKind::ConnectionAborted.into());
            }
            let slices: Vec<_> = pieces
                .iter()
                .take(SLICES_MAX)
                .map(|piece| IoSlice::new(piece))
                .collect();
            let outcome = match slices.is_empty() {
                true => self.wire.flush().map(|()| 0),
                false => self.wire.try_write_vectored(&slices),
            };
            match outcome {
                Ok(0) if pieces.is_empty() => return Ok(()),
                Ok(mut written) => {
                    session.inspect(|session| session.sent(written, self.reactor.now_us()));
                    while written > 0
                        && let Some(first) = pieces.front_mut()
                    {
                        let taken = written.min(first.len());
                        first.advance(taken);
                        written -= taken;
                        if first.is_empty() {
                            pieces.pop_front();
                        }
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    timeout(STUCK, self.room(session)).await??;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Until the socket has room, or the session has ended.
    async fn room(&self, session: Option<&HlsSession>) -> io::Result<()> {
        let Some(session) = session else {
            return self.wire.writable().await;
        };
        let mut ending = pin!(session.ending.notified());
        ending.as_mut().enable();
        if session.has_ended(self.reactor.now_us()) {
            return Ok(());
        }
        let mut writable = pin!(self.wire.writable());
        poll_fn(|context| match ending.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending => writable.as_mut().poll(context),
        })
        .await
    }
}
