//! One talk inside its reactor: one sender towards the device, and at most one speaker.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::task::{AbortHandle, spawn_local};
use tokio::time::timeout;

use crate::events::{Event, Value, text, unix_us};
use crate::outlet::NewViewer;
use crate::reactor::Reactor;
use crate::sender::{Sender, SenderSocket, SenderStats};
use crate::sender_task::{self, Home, NewSender};
use crate::shared::{Shared, Slot};
use crate::talk::{Carriage, MESSAGE_MAX, Voice, VoiceStats};
use crate::ticket::{Protocol, Ticket};
use crate::viewer::{QueueLimits, farewell};
use crate::viewer_task::{GOODBYE, drain};
use crate::websocket::{self, Decoder, Opcode};
use crate::wire::Wire;

/// Sound that may wait for a device that does not take it: about half a second.
const LIMITS: QueueLimits = QueueLimits {
    bytes: 6000,
    age_us: 500_000,
};

/// A talk.
pub struct TalkRoom {
    shared: Arc<Shared>,
    carriage: Carriage,
    talk_id: String,
    access_id: String,
    grant_id: String,
    sender: Option<Sender>,
    speaker: Option<Speaker>,
    /// The voice of a stream, which speaks here instead of a browser.
    relayed: Option<Voice>,
}

struct Speaker {
    ticket: Ticket,
    wire: Rc<Wire>,
    task: Option<AbortHandle>,
    voice: Voice,
    end_us: u64,
    _slot: Slot,
}

/// Open a talk on this reactor.
pub fn open(reactor: &Rc<Reactor>, new: NewSender, carriage: Carriage) -> Rc<RefCell<TalkRoom>> {
    let request = new.request.clone();
    let (mut sender, work) = sender_task::prepare(reactor, new, LIMITS);
    sender.set_clock(carriage.clock_khz());
    let room = Rc::new(RefCell::new(TalkRoom {
        shared: Arc::clone(&reactor.shared),
        carriage,
        talk_id: request.sender_id,
        access_id: request.access_id,
        grant_id: request.grant_id,
        sender: Some(sender),
        speaker: None,
        relayed: None,
    }));
    work(Home::Talk(Rc::clone(&room)), 0);
    room
}

/// Let a speaker in, if the place is free.
pub fn join(reactor: &Rc<Reactor>, room: &Rc<RefCell<TalkRoom>>, new: NewViewer) {
    let NewViewer {
        mut wire,
        peer,
        ticket,
        handshake,
        leftover,
        slot,
        ..
    } = new;
    let left_us = (ticket.end_by_ms.saturating_mul(1000)).saturating_sub(unix_us());
    // Cut between the check of the ticket and now: the command overtook the speaker.
    if left_us == 0 || reactor.shared.tickets().is_cut(&ticket, unix_us() / 1000) {
        return reactor.shared.counters.count("speakers_cut_before_start");
    }
    let said = wire.say(&handshake);
    let Ok((wire, true)) = wire.fasten().map(|wire| (Rc::new(wire), said)) else {
        return reactor.shared.counters.count("viewer_sockets_failed");
    };
    let mut talk = room.borrow_mut();
    if talk.sender.is_none() || talk.speaker.is_some() || talk.relayed.is_some() {
        let reason = if talk.sender.is_none() {
            "talk_ended"
        } else {
            "occupied"
        };
        reactor.shared.counters.count("speakers_refused");
        say_goodbye(wire, reason);
        return;
    }
    talk.report(
        "TalkJoined",
        &ticket,
        vec![("peer", text(peer.to_string()))],
    );
    let end_us = reactor.now_us().saturating_add(left_us);
    let voice = Voice::new(talk.carriage);
    let heard = Rc::clone(&wire);
    talk.speaker = Some(Speaker {
        ticket,
        wire,
        task: None,
        voice,
        end_us,
        _slot: slot,
    });
    drop(talk);
    let task = spawn_local(listen(Rc::clone(reactor), Rc::clone(room), heard, leftover));
    if let Some(speaker) = &mut room.borrow_mut().speaker {
        speaker.task = Some(task.abort_handle());
    }
}

/// The last words, our end closed, and what still comes read: closing over unread sound would take the words back.
fn say_goodbye(wire: Rc<Wire>, reason: &'static str) {
    spawn_local(async move {
        let goodbye = async {
            if wire.writable().await.is_ok() {
                let _best_effort = wire.try_write(&farewell(Protocol::Talk, reason, true));
                let _peer_may_be_gone = wire.finish();
                drain(&wire).await;
            }
        };
        let _gone_or_late = timeout(GOODBYE, goodbye).await;
    });
}

async fn listen(
    reactor: Rc<Reactor>,
    room: Rc<RefCell<TalkRoom>>,
    wire: Rc<Wire>,
    leftover: Vec<u8>,
) {
    let (mut input, mut decoder) = (leftover, Decoder::default());
    let mut buffer = [0; 4096];
    let reason = loop {
        if let Err(reason) = room
            .borrow_mut()
            .hear(&mut input, &mut decoder, reactor.now_us())
        {
            break reason;
        }
        if wire.readable().await.is_err() {
            break "connection_lost";
        }
        match wire.try_read(&mut buffer) {
            Ok(0) => break "speaker_closed",
            Ok(length) => input.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break "connection_lost",
        }
    };
    room.borrow_mut().end_speaker(reason);
}

impl TalkRoom {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.talk_id
    }

    /// Whether nobody can be reached any more.
    pub fn has_ended(&self) -> bool {
        self.sender.is_none()
    }

    /// The way to the device stands.
    pub fn connect(&mut self, socket: SenderSocket, peer: SocketAddr, now_us: u64) {
        if let Some(sender) = &mut self.sender {
            sender.connect(socket, peer, now_us);
            let fields = vec![
                ("talk_id", text(&*self.talk_id)),
                ("peer", text(peer.to_string())),
            ];
            self.shared
                .events
                .push(Event::lifecycle("TalkConnected", fields));
        }
    }

    /// The sender, for its task.
    pub fn sender(&mut self) -> Option<&mut Sender> {
        self.sender.as_mut()
    }

    /// A stream speaks here, and nobody else.
    pub fn begin_relay(&mut self) {
        self.relayed = Some(Voice::new(self.carriage));
    }

    /// Sound of the stream.
    pub fn relay(&mut self, sound: &[u8], now_us: u64) {
        let (Some(sender), Some(voice)) = (&mut self.sender, &mut self.relayed) else {
            return;
        };
        for part in sound.chunks(MESSAGE_MAX) {
            let _never_too_long =
                voice.say(part, now_us, &mut |packet| sender.offer(&packet, now_us));
        }
        if sender.is_blocked() {
            return;
        }
        if let Err(reason) = sender.flush(now_us) {
            self.end(reason);
        }
    }

    /// Send what waits.
    pub fn flush(&mut self, now_us: u64) {
        if let Some(sender) = &mut self.sender
            && let Err(reason) = sender.flush(now_us)
        {
            self.end(reason);
        }
    }

    /// Let time pass: rights end.
    pub fn tick(&mut self, now_us: u64) {
        let overdue = self
            .sender
            .as_ref()
            .and_then(|sender| sender.overdue(now_us));
        if let Some(reason) = overdue {
            return self.end(reason);
        }
        if self
            .speaker
            .as_ref()
            .is_some_and(|speaker| now_us >= speaker.end_us)
        {
            self.end_speaker("grant_ended");
        }
        if self.sender.as_ref().is_some_and(Sender::is_behind) {
            self.flush(now_us);
        }
    }

    /// End what belongs to a grant; returns how many of talk and speaker it was.
    pub fn cut_grant(&mut self, grant_id: &str) -> usize {
        let is_talk = self.grant_id == grant_id;
        let is_speaker = self
            .speaker
            .as_ref()
            .is_some_and(|speaker| speaker.ticket.grant_id == grant_id);
        self.cut(is_talk, is_speaker, "grant_revoked")
    }

    /// End what belongs to an access record; returns how many of talk and speaker it was.
    pub fn cut_access(&mut self, access_id: &str) -> usize {
        let is_talk = self.access_id == access_id;
        let is_speaker = self
            .speaker
            .as_ref()
            .is_some_and(|speaker| speaker.ticket.access_id == access_id);
        self.cut(is_talk, is_speaker, "access_cut")
    }

    fn cut(&mut self, is_talk: bool, is_speaker: bool, reason: &'static str) -> usize {
        let is_talk = is_talk && self.sender.is_some();
        if is_speaker {
            self.end_speaker(reason);
        }
        if is_talk {
            self.end(reason);
        }
        usize::from(is_talk) + usize::from(is_speaker)
    }

    /// End the talk, its speaker first.
    pub fn end(&mut self, reason: &'static str) {
        let Some(sender) = self.sender.take() else {
            return;
        };
        let speaker_reason = match reason {
            "closed" => "talk_ended",
            "grant_ended" | "grant_revoked" | "access_cut" => reason,
            _ => "device_lost",
        };
        self.end_speaker(speaker_reason);
        if let Some(voice) = self.relayed.take() {
            self.shared
                .counters
                .add("talk_late_drops", voice.stats().late);
        }
        self.shared.talks().remove(&self.talk_id);
        let SenderStats { queue, .. } = sender.stats();
        // The sender's own event speaks of a stream; there is none here.
        let _replaced = sender.end(reason);
        let fields = vec![
            ("talk_id", text(&*self.talk_id)),
            ("access_id", text(&*self.access_id)),
            ("grant_id", text(&*self.grant_id)),
            ("reason", text(reason)),
            ("packets_sent", Value::Number(queue.packets_sent)),
            ("bytes_sent", Value::Number(queue.bytes_sent)),
            ("drops", Value::Number(queue.drops)),
        ];
        self.shared
            .events
            .push(Event::lifecycle("TalkEnded", fields));
    }

    /// The speaker is gone, or must go.
    fn end_speaker(&mut self, reason: &'static str) {
        let Some(speaker) = self.speaker.take() else {
            return;
        };
        if reason != "connection_lost" {
            say_goodbye(Rc::clone(&speaker.wire), reason);
        }
        let VoiceStats { packets, late, .. } = speaker.voice.stats();
        let fields = vec![
            ("reason", text(reason)),
            ("packets", Value::Number(packets)),
            ("late_drops", Value::Number(late)),
        ];
        self.shared.counters.add("talk_late_drops", late);
        self.report("TalkLeft", &speaker.ticket, fields);
        // Last: it may be this very task that is running.
        if let Some(task) = speaker.task {
            task.abort();
        }
    }

    /// What the speaker sent: whole frames are taken from the front of `input`.
    fn hear(
        &mut self,
        input: &mut Vec<u8>,
        decoder: &mut Decoder,
        now_us: u64,
    ) -> Result<(), &'static str> {
        let mut taken = 0;
        let outcome = loop {
            match decoder.decode(&input[taken..]) {
                Ok(None) => break Ok(()),
                Err(_violation) => break Err("protocol_error"),
                Ok(Some((frame, length))) => {
                    taken += length;
                    if let Err(reason) = self.frame(frame.opcode, &frame.payload, now_us) {
                        break Err(reason);
                    }
                }
            }
        };
        input.drain(..taken);
        outcome
    }

    fn frame(&mut self, opcode: Opcode, payload: &[u8], now_us: u64) -> Result<(), &'static str> {
        let (Some(speaker), Some(sender)) = (&mut self.speaker, &mut self.sender) else {
            return Err("talk_ended");
        };
        match opcode {
            Opcode::Close => return Err("speaker_closed"),
            Opcode::Ping => {
                // A speaker that does not read its answers does without.
                let _best_effort = speaker
                    .wire
                    .try_write(&websocket::frame(Opcode::Pong, payload));
                return Ok(());
            }
            Opcode::Pong | Opcode::Text => return Ok(()),
            Opcode::Binary | Opcode::Continuation => {}
        }
        if now_us >= speaker.end_us {
            return Err("grant_ended");
        }
        let offer = &mut |packet| sender.offer(&packet, now_us);
        speaker
            .voice
            .say(payload, now_us, offer)
            .map_err(|_| "protocol_error")?;
        if sender.is_blocked() {
            return Ok(());
        }
        let sent = sender.flush(now_us);
        if let Err(reason) = sent {
            self.end(reason);
        }
        Ok(())
    }

    fn report(&self, kind: &'static str, ticket: &Ticket, more: Vec<(&'static str, Value)>) {
        let mut fields = vec![
            ("talk_id", text(&*self.talk_id)),
            ("access_id", text(&*ticket.access_id)),
            ("grant_id", text(&*ticket.grant_id)),
        ];
        fields.extend(more);
        self.shared.events.push(Event::lifecycle(kind, fields));
    }
}
