//! Players of a stream by RTSP; see [`crate::outlets::rtsp`].

use std::rc::Rc;

use tokio::net::UdpSocket;

use super::Stream;
use crate::access_unit::AccessUnit;
use crate::audio::AudioFrame;
use crate::connection::EndReason;
use crate::events::{Event, Value, text};
use crate::outlets::rtsp::Player;
use crate::outlets::rtsp::feed::{Changes, Feed, Scene};

impl Stream {
    /// Take a player in; what it asked for is answered as soon as there is something to describe.
    pub fn attach_player(&mut self, player: Player, now_us: u64) -> usize {
        self.report(player.joined_event(&self.id));
        let key = self.players.attach(player);
        self.player_sent(key, &[], now_us);
        key
    }

    /// A player sent octets.
    pub fn player_sent(&mut self, key: usize, bytes: &[u8], now_us: u64) {
        self.with_players(now_us, |players, scene| players.received(key, bytes, scene));
    }

    /// Where a player's reports on a track come as datagrams.
    pub fn report_socket(&mut self, key: usize, track: usize) -> Option<Rc<UdpSocket>> {
        self.players.player(key)?.report_socket(track)
    }

    /// A player reported on a track in a datagram.
    pub fn player_reported(&mut self, (key, track): (usize, usize), packet: &[u8], now_us: u64) {
        self.players.reported(key, track, packet, now_us);
    }

    /// Write what waits for a player, as far as its connection takes it.
    pub fn flush_player(&mut self, key: usize, now_us: u64) {
        self.with_players(now_us, |players, scene| players.flush(key, scene.now_us));
    }

    /// End one player and report it.
    pub fn end_player(&mut self, key: usize, reason: EndReason, now_us: u64) {
        let Some((player, byes)) = self.players.remove(key) else {
            return;
        };
        self.viewer_drops += player.media().drops;
        self.viewer_falls += player.media().falls;
        self.viewer_bytes += player.bytes_sent();
        let event = player.end(reason, &self.id, byes, now_us);
        self.report(event);
    }

    /// End every player `is_meant` says, and return how many.
    pub fn cut_players(
        &mut self,
        is_meant: impl Fn(&Player) -> bool,
        reason: EndReason,
        now_us: u64,
    ) -> usize {
        let players = self.players.players();
        let meant: Vec<usize> = players
            .filter(|(_, player)| is_meant(player))
            .map(|(key, _)| key)
            .collect();
        for &key in &meant {
            self.end_player(key, reason, now_us);
        }
        meant.len()
    }

    pub(super) fn feed_players(&mut self, unit: &AccessUnit, now_us: u64) {
        let playing = self.players.len() as u64;
        self.with_players(now_us, |players, scene| players.picture(unit, scene));
        self.fragments += playing;
    }

    pub(super) fn sound_to_players(&mut self, frame: &AudioFrame, now_us: u64) {
        self.with_players(now_us, |players, scene| players.sound(frame, scene.now_us));
    }

    pub(super) fn tick_players(&mut self, now_us: u64) {
        if self.players.is_empty() {
            return;
        }
        // As for viewers: an invitation and the first media may each take the whole time-out.
        let wait_us = 2 * self.shared.settings.media_timeout.as_micros() as u64;
        let since_us = match self.is_paused {
            true => now_us,
            false => self.resumed_us,
        };
        self.with_players(now_us, |players, scene| {
            players.tick(scene, since_us, wait_us)
        });
    }

    fn with_players(&mut self, now_us: u64, work: impl FnOnce(&mut Feed, &Scene<'_>) -> Changes) {
        let scene = Scene {
            parameters: self.parameters.as_deref(),
            cache: &self.cache,
            shared: &self.shared,
            now_us,
        };
        let Changes {
            ended,
            first_pictures,
        } = work(&mut self.players, &scene);
        for (key, elapsed_ms) in first_pictures {
            let Some(player) = self.players.player(key) else {
                continue;
            };
            let access_id = text(&*player.ticket.access_id);
            let fields = vec![
                ("stream_id", text(&*self.id)),
                ("access_id", access_id),
                ("elapsed_ms", Value::Real(elapsed_ms)),
            ];
            self.report(Event::notice("ViewerFirstBytes", fields));
        }
        for (key, reason) in ended {
            self.end_player(key, reason, now_us);
        }
    }
}
