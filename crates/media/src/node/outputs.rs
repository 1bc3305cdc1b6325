//! What goes out of streams, senders to other platforms and files, and talks to devices.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use super::{Node, NodeError, check_id, wait};
use crate::events::unix_us;
use crate::file_sink::{FileSink, SinkEnd, SinkStats};
use crate::ports::AllocationError;
use crate::reactor::Command;
use crate::sender::{PortLease, SenderRequest, SenderStats};
use crate::sender_task::{NewSender, SenderSockets};
use crate::shared::Owner;
use crate::stream::Transport;
use crate::talk::Carriage;

impl Node {
    /// Forward a stream to a receiver; returns our RTP port.
    pub fn open_sender(&self, request: SenderRequest) -> Result<u16, NodeError> {
        self.check_sender(&request)?;
        let owner = self.owner(&request.stream_id)?;
        {
            let mut senders = self.shared.senders();
            if senders.contains_key(&request.sender_id) {
                return Err(NodeError::OutputExists(request.sender_id));
            }
            senders.insert(request.sender_id.clone(), request.stream_id.clone());
        }
        let sender_id = request.sender_id.clone();
        self.start_sender(owner, request)
            .inspect_err(|_| drop(self.shared.senders().remove(&sender_id)))
    }

    fn check_sender(&self, request: &SenderRequest) -> Result<(), NodeError> {
        for (name, id) in [
            ("sender_id", &request.sender_id),
            ("access_id", &request.access_id),
            ("grant_id", &request.grant_id),
        ] {
            check_id(name, id)?;
        }
        let host = self.shared.settings.rtp_host;
        let has_port = request.target.port() != 0 || request.transport == Transport::TcpPassive;
        if request.target.is_ipv4() != host.is_ipv4() || !has_port || request.payload_type > 127 {
            return Err(NodeError::Invalid(format!(
                "cannot send to {} from {host} with payload type {}",
                request.target, request.payload_type
            )));
        }
        Ok(())
    }

    fn start_sender(&self, owner: Owner, request: SenderRequest) -> Result<u16, NodeError> {
        let sender = self.bind_sender(request)?;
        let port = sender.lease.port();
        self.send(owner.reactor, Command::AttachSender(Box::new(sender)))?;
        Ok(port)
    }

    fn bind_sender(&self, request: SenderRequest) -> Result<NewSender, NodeError> {
        let host = self.shared.settings.rtp_host;
        let bind = |port| SenderSockets::bind(host, port, request.transport);
        let allocated = self.shared.ports().allocate(Instant::now(), bind);
        let (port, sockets) = allocated.map_err(|error| match error {
            AllocationError::Exhausted(exhausted) => NodeError::PortsExhausted(exhausted),
            AllocationError::System(error) => {
                NodeError::Unavailable(format!("cannot send media from {host}: {error}"))
            }
        })?;
        Ok(NewSender {
            request,
            sockets,
            lease: PortLease::new(Arc::clone(&self.shared), port),
            first_sequence: unix_us() as u16,
        })
    }

    /// Open a talk to a device; `request.sender_id` is its id. What is heard in `request.stream_id` is spoken there; when
    /// that is empty, a speaker joins by WebSocket. Returns our RTP port.
    pub fn open_talk(&self, request: SenderRequest, carriage: Carriage) -> Result<u16, NodeError> {
        let talk_id = request.sender_id.clone();
        self.check_sender(&request)?;
        let source = match request.stream_id.as_str() {
            "" => None,
            stream_id => Some(self.owner(stream_id)?.reactor),
        };
        let reactor = {
            let mut talks = self.shared.talks();
            if talks.contains_key(&talk_id) {
                return Err(NodeError::OutputExists(talk_id));
            }
            let spread = talks.len() % self.lock().len().max(1);
            let reactor = source.unwrap_or(spread);
            talks.insert(
                talk_id.clone(),
                Owner {
                    reactor,
                    port: 0,
                    is_active: false,
                },
            );
            reactor
        };
        self.bind_sender(request)
            .and_then(|sender| {
                let port = sender.lease.port();
                let sender = Box::new(sender);
                self.send(reactor, Command::OpenTalk { sender, carriage })?;
                Ok(port)
            })
            .inspect_err(|_| {
                self.shared.talks().remove(&talk_id);
            })
    }

    /// End a talk and its speaker; its sockets are closed on return. Fine for talks that are gone.
    pub fn close_talk(&self, talk_id: &str) -> Result<(), NodeError> {
        let owner = self.shared.talks().get(talk_id).copied();
        let Some(owner) = owner else {
            return Ok(());
        };
        let (reply, answer) = sync_channel(1);
        let talk_id = talk_id.to_owned();
        self.send(owner.reactor, Command::CloseTalk { talk_id, reply })?;
        wait(&answer)
    }

    /// End a sender; its sockets are closed on return. Fine for senders that are gone.
    pub fn close_sender(&self, sender_id: &str) -> Result<(), NodeError> {
        let Some((stream_id, owner)) = self.sender(sender_id) else {
            return Ok(());
        };
        let (reply, answer) = sync_channel(1);
        let sender_id = sender_id.to_owned();
        self.send(
            owner.reactor,
            Command::CloseSender {
                stream_id,
                sender_id,
                reply,
            },
        )?;
        wait(&answer)
    }

    /// Counters of a sender, or none.
    pub fn sender_stats(&self, sender_id: &str) -> Result<Option<SenderStats>, NodeError> {
        let Some((stream_id, owner)) = self.sender(sender_id) else {
            return Ok(None);
        };
        let (reply, answer) = sync_channel(1);
        let sender_id = sender_id.to_owned();
        self.send(
            owner.reactor,
            Command::SenderStats {
                stream_id,
                sender_id,
                reply,
            },
        )?;
        wait(&answer)
    }

    /// Keep a stream's packets of the current group while nobody is served, so that the next sender starts at once.
    pub fn keep_packets(&self, stream_id: &str, are_kept: bool) -> Result<(), NodeError> {
        let owner = self.owner(stream_id)?;
        let stream_id = stream_id.to_owned();
        self.send(
            owner.reactor,
            Command::KeepPackets {
                stream_id,
                are_kept,
            },
        )
    }

    fn sender(&self, sender_id: &str) -> Option<(String, Owner)> {
        let stream_id = self.shared.senders().get(sender_id).cloned()?;
        let owner = self.owner(&stream_id).ok()?;
        Some((stream_id, owner))
    }

    /// Write a stream to a file from its next key frame on. The file has its name when it is finished.
    pub fn open_file_sink(
        &self,
        sink_id: &str,
        stream_id: &str,
        path: &Path,
        max_bytes: Option<u64>,
    ) -> Result<(), NodeError> {
        check_id("sink_id", sink_id)?;
        let owner = self.owner(stream_id)?;
        let mut sinks = self.shared.sinks();
        if sinks.contains_key(sink_id) {
            return Err(NodeError::OutputExists(sink_id.to_owned()));
        }
        let sink = FileSink::open(&self.shared, sink_id, stream_id, path, max_bytes);
        let sink = sink.map_err(|error| {
            NodeError::Invalid(format!("cannot write {}: {error}", path.display()))
        })?;
        sinks.insert(sink_id.to_owned(), Arc::clone(&sink));
        drop(sinks);
        let command = Command::AttachSink(Arc::clone(&sink));
        self.send(owner.reactor, command)
            .inspect_err(|_| sink.end(SinkEnd::StreamEnded))
    }

    /// Finish a file; `FileSinkEnded` comes when it is on the disk. Fine for files that are finished.
    pub fn close_file_sink(&self, sink_id: &str) {
        let sink = self.shared.sinks().get(sink_id).cloned();
        sink.inspect(|sink| sink.end(SinkEnd::Closed));
    }

    /// Counters of a file being written, or none.
    pub fn sink_stats(&self, sink_id: &str) -> Option<SinkStats> {
        self.shared.sinks().get(sink_id).map(|sink| sink.stats())
    }
}
