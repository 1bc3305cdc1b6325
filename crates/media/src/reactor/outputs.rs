//! Commands to what takes streams out, viewers, senders, files, and to talks.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Cut, Reactor, StreamCell};
use crate::connection::EndReason;
use crate::outlet::NewViewer;
use crate::outlets::hls::admission::NewSession;
use crate::outlets::rtsp::{self, NewPlayer};
use crate::sender_task::{self, NewSender};
use crate::talk::Carriage;
use crate::talk_room::{self, TalkRoom};
use crate::ticket::Protocol;
use crate::viewer_task;

impl Reactor {
    pub(super) fn attach(self: &Rc<Self>, viewer: NewViewer) {
        if viewer.ticket.protocol == Protocol::Talk {
            return self.attach_speaker(viewer);
        }
        match self.find(&viewer.ticket.stream_id) {
            Some(cell) => viewer_task::start(self, cell, viewer),
            None => self.shared.counters.count("viewers_without_stream"),
        }
    }

    /// Begin a viewing by HLS. Whoever asked learns by the silence that there is none.
    pub(super) fn open_hls(&self, new: NewSession) {
        let Some(cell) = self.find(&new.ticket.stream_id) else {
            return self.shared.counters.count("viewers_without_stream");
        };
        let Some(left_us) = viewer_task::time_left_us(&self.shared, &new.ticket) else {
            return;
        };
        let now_us = self.now_us();
        let times = (now_us, now_us.saturating_add(left_us));
        let who = (new.ticket, new.peer, new.place);
        let session = self.guarded(&cell, |stream| stream.open_hls(who, new.reactor, times));
        if let Some(session) = session.flatten() {
            let _asker_may_be_gone = new.reply.send(session);
        }
    }

    pub(super) fn attach_player(self: &Rc<Self>, player: NewPlayer) {
        match self.find(&player.ticket.stream_id) {
            Some(cell) => rtsp::start(self, cell, player),
            None => self.shared.counters.count("viewers_without_stream"),
        }
    }

    pub(super) fn attach_sender(self: &Rc<Self>, sender: NewSender) {
        match self.find(&sender.request.stream_id) {
            Some(cell) => sender_task::start(self, &cell, sender),
            None => {
                self.shared.senders().remove(&sender.request.sender_id);
                self.shared.events.push(sender.stillborn());
            }
        }
    }

    pub(super) fn open_talk(self: &Rc<Self>, sender: NewSender, carriage: Carriage) {
        let stream_id = sender.request.stream_id.clone();
        let room = talk_room::open(self, sender, carriage);
        let talk_id = room.borrow().id().to_owned();
        self.talks.borrow_mut().insert(talk_id, Rc::clone(&room));
        if stream_id.is_empty() {
            return;
        }
        room.borrow_mut().begin_relay();
        match self.find(&stream_id) {
            Some(cell) => {
                self.guarded(&cell, |stream| stream.attach_talk(room));
            }
            None => room.borrow_mut().end("stream_ended"),
        }
    }

    fn attach_speaker(self: &Rc<Self>, viewer: NewViewer) {
        let room = self.talks.borrow().get(&viewer.ticket.stream_id).cloned();
        match room {
            Some(room) => talk_room::join(self, &room, viewer),
            None => self.shared.counters.count("speakers_without_talk"),
        }
    }

    pub(super) fn cut(&self, cut: &Cut) -> usize {
        let cells: Vec<_> = self.streams.borrow().values().cloned().collect();
        let now_us = self.now_us();
        let in_stream = |cell: &Rc<StreamCell>| {
            self.guarded(cell, |stream| match cut {
                Cut::Grant(id) => {
                    let reason = EndReason::GrantRevoked;
                    stream.cut(|ticket| ticket.grant_id == *id, reason)
                        + stream.cut_players(|player| player.ticket.grant_id == *id, reason, now_us)
                        + stream.cut_senders(|sender| sender.request.grant_id == *id, reason.word())
                }
                Cut::Access(id) => {
                    let reason = EndReason::AccessCut;
                    stream.cut(|ticket| ticket.access_id == *id, reason)
                        + stream.cut_players(
                            |player| player.ticket.access_id == *id,
                            reason,
                            now_us,
                        )
                        + stream
                            .cut_senders(|sender| sender.request.access_id == *id, reason.word())
                }
            })
        };
        cells.iter().filter_map(in_stream).sum::<usize>() + self.cut_talks(cut)
    }

    fn cut_talks(&self, cut: &Cut) -> usize {
        let rooms: Vec<_> = self.talks.borrow().values().cloned().collect();
        let in_room = |room: &Rc<RefCell<TalkRoom>>| match cut {
            Cut::Grant(id) => room.borrow_mut().cut_grant(id),
            Cut::Access(id) => room.borrow_mut().cut_access(id),
        };
        rooms.iter().map(in_room).sum()
    }
}
