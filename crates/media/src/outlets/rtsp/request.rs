//! What the header fields of a request mean: which stream and track, how the media shall come.

use crate::rtsp::url::{RtspUrl, is_sendable};
use crate::ticket::is_valid_id;

/// Video and audio.
pub const TRACKS_MAX: usize = 2;
/// Alternatives of one Transport field that are looked at.
const ALTERNATIVES_MAX: usize = 8;
const TRACK: &str = "trackID=";

/// Where a request leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The stream.
    pub stream_id: String,
    /// The ticket of the query.
    pub ticket: Option<String>,
    /// The track, when one is named.
    pub track: Option<usize>,
    /// The URL of the whole stream without its ticket, ending with a slash: what controls are relative to (RFC 2326 C.1.1).
    pub base: String,
}

impl Place {
    /// Read `rtsp://host/live/STREAM[?ticket=TICKET]`, with `/trackID=N` behind either part as players append it.
    pub fn parse(uri: &str) -> Option<Place> {
        let url = RtspUrl::parse(uri)?;
        let path = url.path.strip_prefix("/live/")?;
        let (name, query) = path.split_once('?').unwrap_or((path, ""));
        let (name, in_name) = split_track(name)?;
        let (query, in_query) = split_track(query)?;
        let stream_id = name.trim_end_matches('/');
        if !is_valid_id(stream_id) {
            return None;
        }
        let ticket = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("ticket="))
            .map(|ticket| ticket.trim_end_matches('/').to_owned());
        let whole = RtspUrl {
            path: format!("/live/{stream_id}/"),
            ..url.clone()
        };
        Some(Place {
            stream_id: stream_id.to_owned(),
            ticket,
            track: in_name.or(in_query),
            base: whole.to_string(),
        })
    }
}

/// The control of a track in the description.
pub fn control(track: usize) -> String {
    format!("{TRACK}{track}")
}

fn split_track(text: &str) -> Option<(&str, Option<usize>)> {
    let Some((before, number)) = text.rsplit_once(TRACK) else {
        return Some((text, None));
    };
    let track = number.trim_end_matches('/').parse().ok()?;
    (track < TRACKS_MAX).then_some((before.trim_end_matches('/'), Some(track)))
}

/// How a player wants the media of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// In frames inside the connection (RFC 2326 10.12): the channels of RTP and RTCP, or ours to choose.
    Interleaved(Option<(u8, u8)>),
    /// In datagrams to these ports of the player.
    Datagrams {
        /// Where RTP goes.
        rtp: u16,
        /// Where RTCP goes.
        rtcp: u16,
    },
}

/// The alternatives of a Transport field (RFC 2326 12.39) that can be had, the one the player likes best first. Where it would have
/// media sent elsewhere (`destination`) is passed over: datagrams go to whoever holds the connection.
pub fn deliveries(transport: &str) -> impl Iterator<Item = Delivery> {
    transport
        .split(',')
        .take(ALTERNATIVES_MAX)
        .filter_map(|alternative| one_delivery(alternative.trim()))
}

fn one_delivery(text: &str) -> Option<Delivery> {
    let mut parts = text.split(';').map(str::trim);
    let profile = parts.next()?.to_ascii_uppercase();
    let parameters: Vec<(String, &str)> = parts
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim()))
        .collect();
    let value = |name: &str| {
        let found = parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| *value)
    };
    let mode = value("mode").map(|mode| mode.trim_matches('"').to_ascii_uppercase());
    if value("multicast").is_some() || mode.is_some_and(|mode| mode != "PLAY") {
        return None;
    }
    match profile.as_str() {
        "RTP/AVP/TCP" => match value("interleaved") {
            None => Some(Delivery::Interleaved(None)),
            Some(pair) => {
                let (rtp, rtcp) = pair_of::<u8>(pair, |rtp| rtp.checked_add(1))?;
                (rtp != rtcp).then_some(Delivery::Interleaved(Some((rtp, rtcp))))
            }
        },
        "RTP/AVP" | "RTP/AVP/UDP" => {
            let (rtp, rtcp) = pair_of::<u16>(value("client_port")?, |rtp| rtp.checked_add(1))?;
            (rtp != 0 && rtcp != 0).then_some(Delivery::Datagrams { rtp, rtcp })
        }
        _ => None,
    }
}

fn pair_of<N: std::str::FromStr + Copy>(
    text: &str,
    next: impl Fn(N) -> Option<N>,
) -> Option<(N, N)> {
    match text.split_once('-') {
        Some((first, second)) => Some((first.parse().ok()?, second.parse().ok()?)),
        None => {
            let first = text.parse().ok()?;
            Some((first, next(first)?))
        }
    }
}

/// Whether a text of the network may be repeated in an answer.
pub fn is_repeatable(text: &str) -> bool {
    text.len() <= 256
        && text
            .split(' ')
            .all(|word| word.is_empty() || is_sendable(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(uri: &str) -> (String, Option<String>, Option<usize>) {
        let place = Place::parse(uri).unwrap();
        assert_eq!(place.base, "rtsp://h:8554/live/s1/");
        (place.stream_id, place.ticket, place.track)
    }

    #[test]
    fn stream_ticket_and_track_are_found_wherever_a_player_puts_them() {
        let ticket = Some("t-_1".to_owned());
        let s1 = "s1".to_owned();
        for (uri, ticket, track) in [
            ("rtsp://h:8554/live/s1", None, None),
            ("rtsp://u:p@h:8554/live/s1/", None, None),
            ("rtsp://h:8554/live/s1/trackID=1", None, Some(1)),
            ("rtsp://h:8554/live/s1?ticket=t-_1", ticket.clone(), None),
            ("rtsp://h:8554/live/s1/?ticket=t-_1", ticket.clone(), None),
            (
                "rtsp://h:8554/live/s1?ticket=t-_1/trackID=0",
                ticket.clone(),
                Some(0),
            ),
            (
                "rtsp://h:8554/live/s1/trackID=0?ticket=t-_1",
                ticket.clone(),
                Some(0),
            ),
        ] {
            assert_eq!(place(uri), (s1.clone(), ticket, track), "{uri}");
        }
    }

    #[test]
    fn other_places_are_none() {
        for uri in [
            "*",
            "rtsp://h/",
            "rtsp://h/live/",
            "rtsp://h/live/a b",
            "rtsp://h/live/../etc",
            "rtsp://h/live/s1/trackID=2",
            "rtsp://h/live/s1/trackID=x",
            "rtsp://h/talk/s1",
            "http://h/live/s1",
        ] {
            assert_eq!(Place::parse(uri), None, "{uri}");
        }
    }

    #[test]
    fn the_first_transport_that_can_be_had_is_taken() {
        let tcp = Some(Delivery::Interleaved(Some((0, 1))));
        let udp = Some(Delivery::Datagrams {
            rtp: 5000,
            rtcp: 5001,
        });
        for (text, found) in [
            ("RTP/AVP/TCP;unicast;interleaved=0-1", tcp),
            ("rtp/avp/tcp;interleaved=0", tcp),
            ("RTP/AVP/TCP;unicast", Some(Delivery::Interleaved(None))),
            ("RTP/AVP;unicast;client_port=5000-5001;mode=\"PLAY\"", udp),
            (
                "RTP/AVP/UDP;unicast;client_port=5000;destination=192.0.2.7",
                udp,
            ),
            ("RTP/AVP;multicast,RTP/AVP/TCP;interleaved=0-1", tcp),
            ("RTP/SAVP;unicast;client_port=5000-5001", None),
            ("RTP/AVP/TCP;interleaved=255", None),
            ("RTP/AVP/TCP;interleaved=4-4", None),
            ("RTP/AVP;unicast;client_port=0-1", None),
            ("RTP/AVP;unicast;client_port=65535", None),
            ("RTP/AVP;unicast", None),
            ("RTP/AVP/TCP;interleaved=0-1;mode=record", None),
            ("", None),
        ] {
            assert_eq!(deliveries(text).next(), found, "{text}");
        }
    }
}
