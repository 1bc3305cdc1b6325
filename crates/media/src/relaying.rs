//! A stream's senders: what they get, and when the source's own packets will do.
//!
//! A source that sends a program stream is forwarded payload by payload. Its pictures are multiplexed anew only when it sends
//! something else, or when its packs do not begin with its packets, so that no packet begins a key frame.

use std::sync::Arc;

use slab::Slab;

use crate::access_unit::AccessUnit;
use crate::audio::AudioFrame;
use crate::events::Event;
use crate::parameters::VideoParameters;
use crate::payload_format::PayloadFormat;
use crate::ps_mux::PsMuxer;
use crate::relay::{self, RelayGroup, RelayPacket};
use crate::sender::{Sender, SenderSocket, SenderStats};
use crate::shared::Shared;

/// Key frames that may come out of packets of which none begins one, before the source counts as unaligned.
const UNALIGNED_AFTER: u32 = 2;

/// A payload as the source sent it.
#[derive(Clone, Debug)]
pub struct RawPayload {
    /// The payload.
    pub payload: bytes::Bytes,
    /// The source's time stamp.
    pub timestamp: u32,
    /// The source's marker.
    pub marker: bool,
    /// Packets missing before it.
    pub lost_before: u64,
}

/// The senders of one stream.
pub struct Relaying {
    shared: Arc<Shared>,
    senders: Slab<Sender>,
    group: RelayGroup,
    muxer: PsMuxer,
    keeps_group: bool,
    has_payload: bool,
    unstarted_keys: u32,
    is_unaligned: bool,
    remuxed: u64,
    forwarded: u64,
}

impl Relaying {
    /// No senders yet.
    pub fn new(shared: Arc<Shared>) -> Relaying {
        let group = RelayGroup::new(shared.settings.gop_max_bytes);
        Relaying {
            shared,
            senders: Slab::new(),
            group,
            muxer: PsMuxer::new(),
            keeps_group: false,
            has_payload: false,
            unstarted_keys: 0,
            is_unaligned: false,
            remuxed: 0,
            forwarded: 0,
        }
    }

    /// Whether the source's payloads are wanted.
    pub fn wants_payloads(&self) -> bool {
        !self.is_unaligned && (self.keeps_group || !self.senders.is_empty())
    }

    /// Whether nobody is served.
    pub fn is_idle(&self) -> bool {
        self.senders.is_empty()
    }

    /// Keep the source's current group also while nobody is served, so that the next sender starts at once.
    pub fn keep_group(&mut self, is_kept: bool) {
        self.keeps_group = is_kept;
        self.forget_unwanted();
    }

    /// A payload of the source.
    pub fn payload(&mut self, raw: RawPayload, parameters: Option<&VideoParameters>, now_us: u64) {
        self.has_payload = true;
        let codec = parameters.map(|parameters| parameters.codec);
        let starts_group = relay::starts_key_frame(&raw.payload, codec);
        if starts_group {
            self.unstarted_keys = 0;
        }
        self.forwarded += u64::from(!self.senders.is_empty());
        self.send(
            RelayPacket {
                payload: raw.payload,
                timestamp: raw.timestamp,
                marker: raw.marker,
                lost_before: raw.lost_before.min(u64::from(u16::MAX)) as u16,
                starts_group,
            },
            now_us,
        );
    }

    /// A picture came out of the source.
    pub fn picture(
        &mut self,
        unit: &AccessUnit,
        parameters: &VideoParameters,
        format: Option<PayloadFormat>,
        now_us: u64,
    ) {
        if self.is_forwarding(format) {
            self.watch_alignment(unit);
            return;
        }
        if self.senders.is_empty() {
            return;
        }
        self.remuxed += 1;
        for packet in self.muxed(unit, parameters) {
            self.send(packet, now_us);
        }
    }

    /// Sound came out of the source.
    pub fn audio(&mut self, frame: &AudioFrame, format: Option<PayloadFormat>, now_us: u64) {
        if self.senders.is_empty() || self.is_forwarding(format) {
            return;
        }
        let Some(pack) = self.muxer.audio(frame) else {
            return self.shared.counters.count("relay_audio_unknown");
        };
        let packets: Vec<_> = relay::packetize(pack, frame.pts as u32, false).collect();
        for packet in packets {
            self.send(packet, now_us);
        }
    }

    /// Take a sender in. Returns its key.
    pub fn attach(&mut self, sender: Sender) -> usize {
        self.senders.insert(sender)
    }

    /// The way of a sender stands: it gets the current group at once, when there is one.
    pub fn connect(
        &mut self,
        key: usize,
        (socket, peer): (SenderSocket, std::net::SocketAddr),
        cached: (
            Option<PayloadFormat>,
            Option<&VideoParameters>,
            &mut dyn Iterator<Item = &AccessUnit>,
        ),
        now_us: u64,
    ) {
        let (format, parameters, units) = cached;
        let Some(sender) = self.senders.get_mut(key) else {
            return;
        };
        let event = sender.connect(socket, peer, now_us);
        self.shared.events.push(event);
        let packets: Vec<RelayPacket> = match parameters {
            Some(parameters) if !self.is_forwarding(format) => units
                .flat_map(|unit| self.muxed(unit, parameters))
                .collect(),
            _ => self.group.packets().cloned().collect(),
        };
        if let Some(sender) = self.senders.get_mut(key) {
            packets
                .iter()
                .for_each(|packet| sender.offer(packet, now_us));
        }
        self.flush(key, now_us);
    }

    /// Let a sender be changed by its task.
    pub fn sender(&mut self, key: usize) -> Option<&mut Sender> {
        self.senders.get_mut(key)
    }

    /// Send what waits for a sender.
    pub fn flush(&mut self, key: usize, now_us: u64) {
        let Some(sender) = self.senders.get_mut(key) else {
            return;
        };
        match sender.flush(now_us) {
            Ok(event) => event
                .into_iter()
                .for_each(|event| self.shared.events.push(event)),
            Err(reason) => self.end(key, reason),
        }
    }

    /// End a sender and report it.
    pub fn end(&mut self, key: usize, reason: &'static str) {
        let Some(sender) = self.senders.try_remove(key) else {
            return;
        };
        self.shared.senders().remove(&sender.request.sender_id);
        self.shared
            .counters
            .add("sender_drops", sender.stats().queue.drops);
        let event: Event = sender.end(reason);
        self.shared.events.push(event);
        self.forget_unwanted();
    }

    /// End the senders `is_meant` says, and return how many.
    pub fn cut(&mut self, is_meant: impl Fn(&Sender) -> bool, reason: &'static str) -> usize {
        let meant = self.senders.iter().filter(|(_, sender)| is_meant(sender));
        let keys: Vec<usize> = meant.map(|(key, _)| key).collect();
        keys.iter().for_each(|&key| self.end(key, reason));
        keys.len()
    }

    /// The source jumps to another place.
    pub fn discontinue(&mut self) {
        self.group.clear();
        self.senders
            .iter_mut()
            .for_each(|(_, sender)| sender.await_group());
    }

    /// Let time pass: rights end, what is paced goes on.
    pub fn tick(&mut self, now_us: u64) {
        let overdue = self
            .senders
            .iter()
            .filter_map(|(key, sender)| Some((key, sender.overdue(now_us)?)));
        let overdue: Vec<_> = overdue.collect();
        for (key, reason) in overdue {
            self.end(key, reason);
        }
        let behind = self.senders.iter().filter(|(_, sender)| sender.is_behind());
        let behind: Vec<usize> = behind.map(|(key, _)| key).collect();
        for key in behind {
            self.flush(key, now_us);
        }
    }

    /// Counters of the sender of this id.
    pub fn stats(&self, sender_id: &str) -> Option<SenderStats> {
        let found = self
            .senders
            .iter()
            .find(|(_, sender)| sender.request.sender_id == sender_id);
        found.map(|(_, sender)| sender.stats())
    }

    /// By name: senders, bytes of the kept group, packets forwarded, pictures multiplexed anew, groups too large.
    pub fn details(&self) -> [(&'static str, u64); 5] {
        [
            ("senders", self.senders.len() as u64),
            ("relay_group_bytes", self.group.bytes() as u64),
            ("relay_forwarded", self.forwarded),
            ("relay_remuxed", self.remuxed),
            ("relay_group_overflows", self.group.overflows()),
        ]
    }

    fn is_forwarding(&self, format: Option<PayloadFormat>) -> bool {
        format == Some(PayloadFormat::ProgramStream) && !self.is_unaligned
    }

    /// Key frames come, and no packet begins one: the source's packs are cut anyhow.
    fn watch_alignment(&mut self, unit: &AccessUnit) {
        if !self.has_payload || !unit.is_key_frame || self.senders.is_empty() {
            return;
        }
        self.unstarted_keys += 1;
        if self.unstarted_keys > UNALIGNED_AFTER {
            self.is_unaligned = true;
            self.group.clear();
            self.discontinue();
            self.shared.counters.count("relay_unaligned_sources");
        }
    }

    fn muxed(&self, unit: &AccessUnit, parameters: &VideoParameters) -> Vec<RelayPacket> {
        let pack = self.muxer.picture(unit, parameters);
        relay::packetize(pack, unit.pts as u32, unit.is_key_frame).collect()
    }

    fn send(&mut self, packet: RelayPacket, now_us: u64) {
        let mut failed = Vec::new();
        for (key, sender) in &mut self.senders {
            if sender.has_ended(now_us) {
                // Not one packet more, even if the tick that ends it is still to come.
                failed.push((key, "grant_ended"));
                continue;
            }
            sender.offer(&packet, now_us);
            if sender.is_blocked() {
                continue;
            }
            match sender.flush(now_us) {
                Ok(None) => {}
                Ok(Some(event)) => self.shared.events.push(event),
                Err(reason) => failed.push((key, reason)),
            }
        }
        for (key, reason) in failed {
            self.end(key, reason);
        }
        if self.has_payload && self.wants_payloads() {
            self.group.push(&packet);
        }
    }

    fn forget_unwanted(&mut self) {
        if !self.wants_payloads() {
            self.group.clear();
            self.has_payload = false;
            self.unstarted_keys = 0;
        }
    }
}
