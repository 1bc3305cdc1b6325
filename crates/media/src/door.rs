//! The door of an outlet: connections come in, and wait there only as long as there is room for them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::sleep;

use crate::shared::{Shared, Slot, Slots};

/// The connections at the door that are kept waiting by their peer: for a request, or for their goodbye.
///
/// When the door is crowded the one that has waited longest gives its place to the newcomer. A viewer says what it
/// wants at once; whoever says nothing, or says it letter by letter, keeps nobody out.
#[derive(Default)]
pub(crate) struct Door {
    waiting: RefCell<BTreeMap<u64, Waiting>>,
}

pub(crate) struct Waiting {
    pub(crate) place: Slot,
    pub(crate) task: AbortHandle,
}

impl Door {
    /// A place for a newcomer: a free one, or that of the connection that has waited longest.
    pub(crate) fn place(&self, shared: &Shared, places: &Slots) -> Option<Slot> {
        let free = places.take(shared.settings.max_unverified);
        free.or_else(|| {
            let (_, longest) = self.waiting.borrow_mut().pop_first()?;
            shared.counters.count("connections_crowded_out");
            longest.task.abort();
            Some(longest.place)
        })
    }

    pub(crate) fn wait(&self, number: u64, place: Slot, task: AbortHandle) {
        self.waiting
            .borrow_mut()
            .insert(number, Waiting { place, task });
    }

    /// The connection waits no longer; it keeps its place.
    pub(crate) fn proceed(&self, number: u64) -> Option<Waiting> {
        self.waiting.borrow_mut().remove(&number)
    }
}

/// Accept connections for ever: each is welcomed by a task of its own, or refused when there is no room for it.
///
/// The words name the counters of connections, of those that could not be accepted, and of doors that did not open.
pub(crate) async fn accept<W>(
    listener: std::net::TcpListener,
    (shared, places, [connections, accept_failures, failures]): (&Shared, &Slots, [&str; 3]),
    refuse: impl Fn(&TcpStream),
    welcome: impl Fn(Rc<Door>, u64, (TcpStream, SocketAddr)) -> W,
) where
    W: Future<Output = ()> + 'static,
{
    let Ok(listener) = TcpListener::from_std(listener) else {
        return shared.counters.count(failures);
    };
    let door = Rc::new(Door::default());
    for number in 0.. {
        match listener.accept().await {
            Ok((socket, peer)) => {
                shared.counters.count(connections);
                let Some(place) = door.place(shared, places) else {
                    refuse(&socket);
                    continue;
                };
                let task = spawn_local(welcome(Rc::clone(&door), number, (socket, peer)));
                door.wait(number, place, task.abort_handle());
            }
            Err(_) => {
                // Out of file descriptors, most likely: give viewers time to leave.
                shared.counters.count(accept_failures);
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
