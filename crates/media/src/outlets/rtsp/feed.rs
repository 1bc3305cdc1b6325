//! The players of one stream: packs each picture once, keeps the current group packed while somebody plays, and answers sessions.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use slab::Slab;

use super::description::describe;
use super::group::Group;
use super::packets::{AudioFormat, Packer, VIDEO_PAYLOAD_TYPE};
use super::player::{Clocks, Described, Player, TrackClock};
use super::session::Ask;
use super::wall_clock::WallClock;
use crate::access_unit::AccessUnit;
use crate::audio::AudioFrame;
use crate::cache::KeyFrameCache;
use crate::connection::EndReason;
use crate::events::unix_us;
use crate::parameters::VideoParameters;
use crate::shared::Shared;

/// How long the description of a stream that has just begun waits for sound.
const SOUND_WAIT_US: u64 = 400_000;

/// What a feed must know of its stream.
pub struct Scene<'a> {
    /// The parameters in force.
    pub parameters: Option<&'a VideoParameters>,
    /// The current group of pictures.
    pub cache: &'a KeyFrameCache,
    /// What all threads share.
    pub shared: &'a Arc<Shared>,
    /// Now.
    pub now_us: u64,
}

/// What came of a change: players that must go, and those whose first picture is out, after so many milliseconds.
#[derive(Default)]
pub struct Changes {
    /// By key.
    pub ended: Vec<(usize, EndReason)>,
    /// By key.
    pub first_pictures: Vec<(usize, f64)>,
}

impl Changes {
    fn note(&mut self, key: usize, outcome: Result<Option<f64>, EndReason>) {
        match outcome {
            Ok(None) => {}
            Ok(Some(elapsed_ms)) => self.first_pictures.push((key, elapsed_ms)),
            Err(reason) => self.ended.push((key, reason)),
        }
    }
}

/// The players of a stream.
#[derive(Default)]
pub struct Feed {
    players: Slab<Player>,
    video: Option<Packer>,
    audio: Option<(AudioFormat, Packer)>,
    /// What the stream sounds like now; players get what they were told.
    sound: Option<AudioFormat>,
    first_picture_us: Option<u64>,
    /// Kept while somebody plays.
    group: Group,
    wall_clock: WallClock,
    /// Sound that had another format than was described.
    sound_skipped: u64,
}

impl Feed {
    /// A player joins; its DESCRIBE is answered as soon as the stream can be described.
    pub fn attach(&mut self, player: Player) -> usize {
        self.players.insert(player)
    }

    /// A player, by its key.
    pub fn player(&mut self, key: usize) -> Option<&mut Player> {
        self.players.get_mut(key)
    }

    /// Every player.
    pub fn players(&self) -> impl Iterator<Item = (usize, &Player)> {
        self.players.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.players.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.players.is_empty()
    }

    /// A player goes; with it come the clocks that its last reports name.
    pub fn remove(&mut self, key: usize) -> Option<(Player, Clocks)> {
        let player = self.players.try_remove(key)?;
        if !self.is_playing() {
            self.forget_group();
        }
        Some((player, self.clocks()))
    }

    /// The counters, by name; those of players that have left are not among them but for the skipped sound.
    pub fn details(&self) -> [(&'static str, u64); 5] {
        let sum = |of: fn(&Player) -> u64| self.players.iter().map(|(_, player)| of(player)).sum();
        [
            ("rtsp_players", self.players.len() as u64),
            ("rtsp_reports", sum(Player::heard_reports)),
            ("rtsp_reports_malformed", sum(Player::malformed_reports)),
            ("rtsp_send_errors", sum(Player::send_errors)),
            ("rtsp_sound_skipped", self.sound_skipped),
        ]
    }

    /// The stream jumps or stalls: what is kept is of no use any more.
    pub fn forget_group(&mut self) {
        self.group.forget();
    }

    /// A picture of the stream.
    pub fn picture(&mut self, unit: &AccessUnit, scene: &Scene<'_>) -> Changes {
        self.first_picture_us.get_or_insert(scene.now_us);
        let mut changes = Changes::default();
        if self.players.is_empty() {
            return changes;
        }
        self.wall_clock.follow(unit.dts, unix_us());
        let Some(parameters) = scene.parameters.filter(|_| self.is_playing()) else {
            return changes;
        };
        let packed = self.video_packer().picture(unit, parameters);
        self.group
            .keep(&packed, scene.shared.settings.gop_max_bytes);
        for (key, player) in &mut self.players {
            if player.has_ended(scene.now_us) {
                // Not one picture more, even if the tick that ends it is still to come.
                changes.ended.push((key, EndReason::GrantEnded));
                continue;
            }
            let is_other = |described: &Described| described.codec != unit.codec;
            if player.described.as_ref().is_some_and(is_other) {
                changes.ended.push((key, EndReason::FormatChanged));
            } else if player.session.is_playing() {
                player.offer(&packed, scene.now_us);
                if !player.is_blocked() || player.has_datagrams() {
                    changes.note(key, player.flush(scene.now_us));
                }
            }
        }
        changes
    }

    /// Sound of the stream.
    pub fn sound(&mut self, frame: &AudioFrame, now_us: u64) -> Changes {
        let mut changes = Changes::default();
        let Some(format) = AudioFormat::of(frame) else {
            return changes;
        };
        self.sound = Some(format);
        if !self.is_playing() {
            return changes;
        }
        let Some((described, packer)) = &mut self.audio else {
            return changes;
        };
        let Some(packed) = packer.sound(frame, *described) else {
            self.sound_skipped += 1;
            return changes;
        };
        for (key, player) in &mut self.players {
            let hears = |described: Described| described.audio == Some(format);
            if player.session.is_playing() && player.described.is_some_and(hears) {
                player.offer(&packed, now_us);
                if !player.is_blocked() || player.has_datagrams() {
                    changes.note(key, player.flush(now_us));
                }
            }
        }
        changes
    }

    /// Let time pass: descriptions that wait, datagrams that wait, reports, and who must go.
    pub fn tick(&mut self, scene: &Scene<'_>, since_us: u64, media_wait_us: u64) -> Changes {
        let mut changes = Changes::default();
        let keys: Vec<usize> = self.players.iter().map(|(key, _)| key).collect();
        let clocks = self.clocks();
        for key in keys {
            if let Some(reason) = self.players[key].overdue(scene.now_us, since_us, media_wait_us) {
                if reason == EndReason::NoMedia && self.players[key].awaits_description {
                    let _it_goes_anyway = self.players[key].session.refuse(504);
                }
                changes.ended.push((key, reason));
                continue;
            }
            if self.players[key].awaits_description {
                changes.note(key, self.converse(key, scene));
            }
            let player = &mut self.players[key];
            player.report(&clocks, scene.now_us);
            if !player.is_blocked() {
                changes.note(key, player.flush(scene.now_us));
            }
        }
        changes
    }

    /// Octets of a player came, or (when there are none) time for what it waits for.
    pub fn received(&mut self, key: usize, bytes: &[u8], scene: &Scene<'_>) -> Changes {
        let mut changes = Changes::default();
        let Some(player) = self.players.get_mut(key) else {
            return changes;
        };
        player.heard(scene.now_us);
        let outcome = match player.session.push(bytes) {
            Ok(()) => self.converse(key, scene),
            Err(_) => Err(EndReason::Malformed),
        };
        changes.note(key, outcome);
        changes
    }

    /// RTCP of a player came as a datagram.
    pub fn reported(&mut self, key: usize, track: usize, packet: &[u8], now_us: u64) {
        let clocks = self.clocks();
        if let Some(player) = self.players.get_mut(key) {
            player.reported(track, packet, &clocks, now_us);
        }
    }

    /// Send what waits for a player.
    pub fn flush(&mut self, key: usize, now_us: u64) -> Changes {
        let mut changes = Changes::default();
        if let Some(player) = self.players.get_mut(key) {
            changes.note(key, player.flush(now_us));
        }
        changes
    }

    /// Answer what a player asks, as far as it can be answered now.
    fn converse(&mut self, key: usize, scene: &Scene<'_>) -> Result<Option<f64>, EndReason> {
        if self.players[key].awaits_description {
            self.describe(key, scene)?;
        }
        while !self.players[key].awaits_description {
            let player = &mut self.players[key];
            let asked = player.session.next_ask();
            player.speak(scene.now_us)?;
            match asked.map_err(|_| EndReason::Malformed)? {
                None => break,
                Some(Ask::Describe) => self.describe(key, scene)?,
                Some(Ask::SetUp { track, delivery }) => {
                    let ports = player.open_ports(scene.shared, track, delivery);
                    let ssrc = self.ssrc(track);
                    let session = &mut self.players[key].session;
                    match ports {
                        Some(port) => session.set_up(ssrc, port),
                        None => session.refuse(453).map_err(|_| EndReason::Malformed)?,
                    }
                }
                Some(Ask::Play) => self.play(key, scene)?,
                Some(Ask::TearDown) => return Err(EndReason::ViewerClosed),
                Some(Ask::Report { track, packet }) => {
                    self.reported(key, track, &packet, scene.now_us);
                }
                // It was let in at the door; a session asks once.
                Some(Ask::Admit { .. }) => return Err(EndReason::Malformed),
            }
            self.players[key].speak(scene.now_us)?;
        }
        self.players[key].flush(scene.now_us)
    }

    fn describe(&mut self, key: usize, scene: &Scene<'_>) -> Result<(), EndReason> {
        let settled = |since: u64| scene.now_us.saturating_sub(since) >= SOUND_WAIT_US;
        let is_settled = self.sound.is_some() || self.first_picture_us.is_some_and(settled);
        let player = &mut self.players[key];
        let Some(parameters) = scene.parameters.filter(|_| is_settled) else {
            player.awaits_description = true;
            return Ok(());
        };
        if let Some(format) = self.sound
            && self
                .audio
                .as_ref()
                .is_none_or(|(known, _)| *known != format)
        {
            let packer = Packer::new(1, format.payload_type(), format.clock_rate(), random());
            self.audio = Some((format, packer));
        }
        let (description, tracks) = describe(parameters, self.sound);
        let described = Described {
            codec: parameters.codec,
            audio: self.sound,
        };
        player.tell(described, &description, tracks, scene.now_us);
        player.speak(scene.now_us)
    }

    /// The player gets the current group at once, and whatever comes from then on.
    fn play(&mut self, key: usize, scene: &Scene<'_>) -> Result<(), EndReason> {
        if !self.is_playing()
            && let Some(parameters) = scene.parameters
        {
            self.forget_group();
            for unit in scene.cache.units() {
                let packed = self.video_packer().picture(unit, parameters);
                self.group
                    .keep(&packed, scene.shared.settings.gop_max_bytes);
            }
        }
        // A group that would overflow the queue at once is of no use: wait for the next one.
        let fits = self.group.bytes() <= scene.shared.settings.viewer_queue_bytes;
        let first = scene.cache.key_frame().map(|unit| unit.pts);
        let first = first.filter(|_| fits).zip(self.group.units().next());
        let deliveries = *self.players[key].session.deliveries();
        let mut starts = Vec::new();
        if let Some((pts, unit)) = first {
            if deliveries[0].is_some() {
                starts.push((0, unit.sequence, unit.timestamp));
            }
            if let (Some(_), Some((_, packer))) = (deliveries[1], &self.audio) {
                starts.push((1, packer.next_sequence(), packer.timestamp(pts)));
            }
        }
        let player = &mut self.players[key];
        player.session.play(&starts);
        player.speak(scene.now_us)?;
        if fits {
            for unit in self.group.units() {
                player.offer(unit, scene.now_us);
            }
        }
        Ok(())
    }

    fn is_playing(&self) -> bool {
        self.players
            .iter()
            .any(|(_, player)| player.session.is_playing())
    }

    fn video_packer(&mut self) -> &mut Packer {
        self.video
            .get_or_insert_with(|| Packer::new(0, VIDEO_PAYLOAD_TYPE, 90_000, random()))
    }

    fn ssrc(&mut self, track: usize) -> u32 {
        match (track, &self.audio) {
            (1, Some((_, packer))) => packer.ssrc(),
            _ => self.video_packer().ssrc(),
        }
    }

    fn clocks(&self) -> Clocks {
        let unix_us = unix_us();
        Clocks {
            unix_us,
            tracks: [self.clock(0, unix_us), self.clock(1, unix_us)],
        }
    }

    /// A track at a moment of the clock.
    fn clock(&self, track: usize, unix_us: u64) -> Option<TrackClock> {
        let packer = match track {
            0 => self.video.as_ref(),
            _ => self.audio.as_ref().map(|(_, packer)| packer),
        }?;
        Some(TrackClock {
            ssrc: packer.ssrc(),
            timestamp: packer.timestamp(self.wall_clock.ticks(unix_us)?),
            clock_rate: packer.clock_rate(),
        })
    }
}

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
