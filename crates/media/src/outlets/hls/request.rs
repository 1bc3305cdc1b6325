//! What a client may ask for: the paths and the delivery directives (draft-pantos-hls-rfc8216bis 6.2.5).
//!
//! ```text
//! /hls/{stream_id}/index.m3u8?ticket=...            the multivariant playlist, once
//! /hls/{stream_id}/{key}/live.m3u8                  the media playlist; ?_HLS_msn=&_HLS_part= waits for a place in it
//! /hls/{stream_id}/{key}/init-{number}.mp4
//! /hls/{stream_id}/{key}/seg-{segment}.m4s
//! /hls/{stream_id}/{key}/part-{segment}-{part}.m4s
//! ```
//!
//! The key is random and stands for the ticket that opened the session; it ends with the session.

use std::fmt::Write as _;
use std::str::FromStr;

use super::ring::Awaited;
use crate::http::Rejection;

/// What stands for a redeemed ticket in the URLs of a session.
pub type SessionKey = [u8; 16];

/// What a request names below a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The playlist that opens a session.
    Multivariant,
    /// Something of a session.
    Of(SessionKey, Item),
}

/// Something of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// The media playlist, at the earliest when it has come to a place.
    Playlist(Option<Awaited>),
    /// The init segment of this number.
    Init(u32),
    /// A segment.
    Segment(u64),
    /// A part of a segment.
    Part(u64, u32),
}

/// Read what lies behind `/hls/`: the stream and what is asked of it.
pub fn parse(path: &str, query: &str) -> Result<(String, Target), Rejection> {
    let target = || {
        let (stream_id, rest) = path.split_once('/')?;
        if !crate::ticket::is_valid_id(stream_id) {
            return None;
        }
        if rest == "index.m3u8" {
            return Some((stream_id, Target::Multivariant));
        }
        let (key, name) = rest.split_once('/')?;
        Some((stream_id, Target::Of(read_key(key)?, item(name)?)))
    };
    let (stream_id, target) = target().ok_or(Rejection::NotFound)?;
    let target = match target {
        Target::Of(key, Item::Playlist(_)) => Target::Of(key, Item::Playlist(directives(query)?)),
        other => other,
    };
    Ok((stream_id.to_owned(), target))
}

/// A key as it stands in URLs.
pub fn write_key(key: &SessionKey) -> String {
    key.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

fn read_key(text: &str) -> Option<SessionKey> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
    let number = is_hex.then(|| u128::from_str_radix(text, 16).ok())??;
    Some(number.to_be_bytes())
}

fn item(name: &str) -> Option<Item> {
    if name == "live.m3u8" {
        return Some(Item::Playlist(None));
    }
    if let Some(init) = name.strip_prefix("init-") {
        return number(init.strip_suffix(".mp4")?).map(Item::Init);
    }
    let name = name.strip_suffix(".m4s")?;
    if let Some(segment) = name.strip_prefix("seg-") {
        return number(segment).map(Item::Segment);
    }
    let (segment, part) = name.strip_prefix("part-")?.split_once('-')?;
    Some(Item::Part(number(segment)?, number(part)?))
}

/// The delivery directives; those we do not know are ignored, those that contradict are refused (draft 6.2.5.2).
fn directives(query: &str) -> Result<Option<Awaited>, Rejection> {
    let (mut segment, mut part) = (None, None);
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match name {
            "_HLS_msn" => segment = Some(number(value).ok_or(Rejection::BadRequest)?),
            "_HLS_part" => part = Some(number(value).ok_or(Rejection::BadRequest)?),
            _ => {}
        }
    }
    match (segment, part) {
        (Some(segment), part) => Ok(Some(Awaited { segment, part })),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Rejection::BadRequest),
    }
}

/// Digits and nothing else.
fn number<T: FromStr>(text: &str) -> Option<T> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "00112233445566778899aabbccddeeff";

    fn of_session(name: &str, query: &str) -> Result<Item, Rejection> {
        match parse(&format!("s1/{KEY}/{name}"), query)? {
            (stream_id, Target::Of(key, item)) => {
                assert_eq!((&*stream_id, &*write_key(&key)), ("s1", KEY));
                Ok(item)
            }
            (_, Target::Multivariant) => panic!("that opens a session"),
        }
    }

    #[test]
    fn every_uri_of_the_playlists_is_understood() {
        let opening = parse("s1/index.m3u8", "ticket=x");
        assert_eq!(opening, Ok(("s1".to_owned(), Target::Multivariant)));
        assert_eq!(of_session("live.m3u8", ""), Ok(Item::Playlist(None)));
        assert_eq!(of_session("init-3.mp4", ""), Ok(Item::Init(3)));
        assert_eq!(of_session("seg-12.m4s", ""), Ok(Item::Segment(12)));
        assert_eq!(of_session("part-12-4.m4s", ""), Ok(Item::Part(12, 4)));
    }

    #[test]
    fn directives_say_what_is_awaited() {
        let awaited = |query| of_session("live.m3u8", query);
        let whole = Awaited {
            segment: 7,
            part: None,
        };
        assert_eq!(awaited("_HLS_msn=7"), Ok(Item::Playlist(Some(whole))));
        let part = Awaited {
            segment: 7,
            part: Some(2),
        };
        assert_eq!(
            awaited("_HLS_msn=7&_HLS_part=2&_HLS_skip=YES&x"),
            Ok(Item::Playlist(Some(part)))
        );
        for wrong in [
            "_HLS_part=2",
            "_HLS_msn=",
            "_HLS_msn=-1",
            "_HLS_msn=+1",
            "_HLS_msn=1e3",
            "_HLS_msn=99999999999999999999",
        ] {
            assert_eq!(awaited(wrong), Err(Rejection::BadRequest), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_uri_of_ours_is_not_found() {
        for path in [
            "",
            "s1",
            "s1/",
            "/index.m3u8",
            "s1/index.m3u8/",
            "s1/../index.m3u8",
            "s1/00/live.m3u8",
            "s1/00112233445566778899AABBCCDDEEFF/live.m3u8",
            "s1/+0112233445566778899aabbccddeeff/live.m3u8",
            "s1/00112233445566778899aabbccddeeff/seg-.m4s",
            "s1/00112233445566778899aabbccddeeff/seg--1.m4s",
            "s1/00112233445566778899aabbccddeeff/part-1.m4s",
            "s1/00112233445566778899aabbccddeeff/part-1-2-3.m4s",
            "s1/00112233445566778899aabbccddeeff/init-4294967296.mp4",
            "s1/00112233445566778899aabbccddeeff/",
        ] {
            assert_eq!(parse(path, ""), Err(Rejection::NotFound), "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_path_is_read_or_refused(path in "[a-z0-9/.-]{0,80}|.{0,40}", query in "[_A-Za-z0-9=&]{0,60}") {
            let _read_or_refused = parse(&path, &query);
        }
    }
}
