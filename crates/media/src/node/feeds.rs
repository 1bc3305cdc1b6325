//! Streams for programs beside the server, and streams from them.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use socket2::SockRef;

use super::{Node, NodeError, check_id};
use crate::feeding::tap::{Tap, TapStats};
use crate::reactor::Command;
use crate::shared::Owner;

/// What the kernel holds for a reader: little, so that what is late is late in the queue, where it can be left out.
const SEND_BUFFER: usize = 64 << 10;

impl Node {
    /// Open a stream whose pictures and sound whoever holds the descriptor writes; see [`crate::feeding::frame`]. It ends as
    /// `feed_lost` with that descriptor, or with the first thing written that is no frame.
    pub fn open_fed(&self, stream_id: &str) -> Result<OwnedFd, NodeError> {
        check_id("stream_id", stream_id)?;
        let (ours, theirs) = pair()?;
        let mut owners = self.shared.owners();
        if owners.contains_key(stream_id) {
            return Err(NodeError::StreamExists(stream_id.to_owned()));
        }
        let reactor = self.least_loaded(owners.values());
        let owner = Owner {
            reactor,
            port: 0,
            is_active: false,
        };
        owners.insert(stream_id.to_owned(), owner);
        drop(owners);
        let command = Command::OpenFed {
            stream_id: stream_id.to_owned(),
            socket: ours,
        };
        self.send(reactor, command)
            .inspect_err(|_| self.shared.forget_stream(stream_id))?;
        Ok(theirs.into())
    }

    /// Let whoever holds the descriptor read a stream, from its cached group on. A reader that is too slow goes on with the next
    /// key frame. The way is closed with the stream.
    pub fn open_tap(&self, tap_id: &str, stream_id: &str) -> Result<OwnedFd, NodeError> {
        check_id("tap_id", tap_id)?;
        let owner = self.owner(stream_id)?;
        let (ours, theirs) = pair()?;
        SockRef::from(&ours)
            .set_send_buffer_size(SEND_BUFFER)
            .map_err(|error| unavailable(&error))?;
        let tap = Arc::new(Tap::new(tap_id, stream_id));
        {
            let mut taps = self.shared.taps();
            if taps.contains_key(tap_id) {
                return Err(NodeError::OutputExists(tap_id.to_owned()));
            }
            taps.insert(tap_id.to_owned(), Arc::clone(&tap));
        }
        let command = Command::AttachTap { tap, socket: ours };
        self.send(owner.reactor, command)
            .inspect_err(|_| drop(self.shared.taps().remove(tap_id)))?;
        Ok(theirs.into())
    }

    /// End a tap. Fine for taps that are gone.
    pub fn close_tap(&self, tap_id: &str) -> Result<(), NodeError> {
        let tap = self.shared.taps().get(tap_id).cloned();
        let Some(tap) = tap else {
            return Ok(());
        };
        // A stream that is gone has taken its taps with it.
        match self.owner(tap.stream_id()) {
            Ok(owner) => self.send(owner.reactor, Command::CloseTap(tap)),
            Err(_) => Ok(()),
        }
    }

    /// Counters of a tap, or none.
    pub fn tap_stats(&self, tap_id: &str) -> Option<TapStats> {
        self.shared.taps().get(tap_id).map(|tap| tap.stats())
    }
}

/// Our end, and that of the program; both are closed in every program that is not given them.
fn pair() -> Result<(UnixStream, UnixStream), NodeError> {
    let (ours, theirs) = UnixStream::pair().map_err(|error| unavailable(&error))?;
    ours.set_nonblocking(true)
        .map_err(|error| unavailable(&error))?;
    Ok((ours, theirs))
}

fn unavailable(error: &io::Error) -> NodeError {
    NodeError::Unavailable(format!("no socket pair: {error}"))
}
