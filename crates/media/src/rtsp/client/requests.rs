//! What is sent to the server, one request at a time.

use super::{Client, Delivery, Stage};
use crate::rtsp::message;

/// A request is answered within this.
const ANSWER_WITHIN_US: u64 = 8_000_000;

impl Client {
    /// Send the request of the stage.
    pub(super) fn ask(&mut self, now_us: u64) {
        let url = self.config.url.to_string();
        let base = self.base.clone();
        match self.stage {
            Stage::Options => self.send(now_us, "OPTIONS", &url, &[]),
            Stage::Describe => {
                self.send(now_us, "DESCRIBE", &url, &[("Accept", "application/sdp")])
            }
            Stage::SetUp(track) => {
                let Some(control) = self.described.get(track).map(|track| track.control.clone())
                else {
                    return;
                };
                let transport = self.transport(track);
                self.send(now_us, "SETUP", &control, &[("Transport", &transport)]);
            }
            Stage::Play => self.send(now_us, "PLAY", &base, &[("Range", "npt=0.000-")]),
            // A keep-alive whose nonce had grown old.
            Stage::Playing => self.keep_alive_at = now_us,
            Stage::Ended => {}
        }
    }

    fn transport(&self, track: usize) -> String {
        match (self.delivery, self.config.ports.get(track)) {
            (Delivery::Udp, Some(port)) => {
                format!("RTP/AVP;unicast;client_port={port}-{}", port + 1)
            }
            _ => format!(
                "RTP/AVP/TCP;unicast;interleaved={}-{}",
                2 * track,
                2 * track + 1
            ),
        }
    }

    pub(super) fn send(&mut self, now_us: u64, method: &str, uri: &str, headers: &[(&str, &str)]) {
        self.cseq += 1;
        self.awaits = Some((self.cseq, now_us + ANSWER_WITHIN_US));
        let authorization = self.auth.authorization(method, uri);
        let mut headers = headers.to_vec();
        if let Some(value) = &authorization {
            headers.push(("Authorization", value));
        }
        let session = self.session.clone();
        if let Some(id) = &session {
            headers.push(("Session", id));
        }
        let request = message::request(method, uri, self.cseq, &headers);
        self.output.extend(request);
    }
}
