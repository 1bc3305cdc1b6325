//! Who may ask: a session is opened by its ticket, once, and afterwards known by its key.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::request::Target;
use super::session::HlsSession;
use crate::http::{LiveRequest, Method, Rejection};
use crate::outlet::{Turned, redeem};
use crate::reactor::Command;
use crate::shared::{Shared, Slot};
use crate::ticket::{Protocol, Refusal, Ticket};

/// A viewing that is to begin, on its way to the reactor that owns its stream.
pub struct NewSession {
    /// What was redeemed for it.
    pub ticket: Ticket,
    /// The reactor.
    pub reactor: usize,
    /// Who asks.
    pub peer: SocketAddr,
    /// Its place among the viewers.
    pub place: Slot,
    /// Where the session goes; dropped when there is none.
    pub reply: oneshot::Sender<Arc<HlsSession>>,
}

/// The session a request belongs to, or why there is none.
pub(crate) async fn admit(
    shared: &Shared,
    reactors: &[UnboundedSender<Command>],
    (request, target): (&LiveRequest, Target),
    peer: SocketAddr,
) -> Result<Arc<HlsSession>, Turned> {
    let key = match target {
        Target::Of(key, _) => key,
        // What GET would say, without touching the ticket.
        Target::Multivariant if request.method == Method::Head => return Err(Turned::Answered),
        Target::Multivariant => return open(shared, reactors, request, peer).await,
    };
    let session = shared.hls_sessions().get(&key).cloned();
    session
        .filter(|session| session.ticket.stream_id == request.stream_id)
        .filter(|session| session.ticket.admits(peer.ip()))
        .ok_or(Turned::Rejected(Rejection::SessionUnknown))
}

async fn open(
    shared: &Shared,
    reactors: &[UnboundedSender<Command>],
    request: &LiveRequest,
    peer: SocketAddr,
) -> Result<Arc<HlsSession>, Turned> {
    let (owner, ticket, place) = redeem(shared, request, Protocol::Hls, peer).await?;
    let (reply, answer) = oneshot::channel();
    let new = NewSession {
        ticket,
        reactor: owner.reactor,
        peer,
        place,
        reply,
    };
    let gone = Turned::Refused(Refusal::StreamUnknown);
    if reactors[owner.reactor]
        .send(Command::OpenHls(Box::new(new)))
        .is_err()
    {
        return Err(gone);
    }
    answer.await.map_err(|_| gone)
}
