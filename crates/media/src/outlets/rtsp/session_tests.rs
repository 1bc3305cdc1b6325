//! Sessions as players lead them, step by step and in any pieces.

use super::*;
use crate::outlets::rtsp::digest::challenge;
use crate::rtsp::auth::{Authenticator, Credentials};

const URL: &str = "rtsp://h:8554/live/s1";
const BASE: &str = "rtsp://h:8554/live/s1/";

fn session() -> Session {
    Session::new("1d".into(), "n0nce".into())
}

fn request(method: &str, uri: &str, cseq: u32, more: &[&str]) -> Vec<u8> {
    let mut text = format!("{method} {uri} RTSP/1.0\r\nCSeq: {cseq}\r\n");
    for header in more {
        text.push_str(header);
        text.push_str("\r\n");
    }
    (text + "\r\n").into_bytes()
}

fn ask(session: &mut Session, method: &str, uri: &str, more: &[&str]) -> Option<Ask> {
    session.push(&request(method, uri, 7, more)).unwrap();
    session.next_ask().unwrap()
}

fn said(session: &mut Session) -> String {
    String::from_utf8(session.to_send()).unwrap()
}

fn status(session: &mut Session) -> u16 {
    let said = said(session);
    let status = said.split(' ').nth(1).unwrap_or_else(|| panic!("{said:?}"));
    status.parse().unwrap()
}

/// A session whose stream with video and sound was described.
fn described() -> Session {
    let mut session = session();
    ask(
        &mut session,
        "DESCRIBE",
        "rtsp://h:8554/live/s1?ticket=t",
        &[],
    );
    assert_eq!(session.admit(), Some(Ask::Describe));
    session.describe("v=0\r\n", 2);
    session.to_send();
    session
}

fn set_up(session: &mut Session, track: usize, transport: &str) -> Option<Ask> {
    let header = format!("Transport: {transport}");
    ask(
        session,
        "SETUP",
        &format!("{BASE}trackID={track}"),
        &[&header],
    )
}

#[test]
fn a_player_is_described_set_up_played_and_torn_down() {
    let mut session = session();
    assert_eq!(ask(&mut session, "OPTIONS", "*", &[]), None);
    assert!(said(&mut session).contains("\r\nCSeq: 7\r\n"));
    let asked = ask(
        &mut session,
        "DESCRIBE",
        "rtsp://h:8554/live/s1?ticket=t-1",
        &[],
    );
    let admit = Ask::Admit {
        stream_id: "s1".into(),
        credential: Credential::Ticket("t-1".into()),
    };
    assert_eq!(asked, Some(admit));
    assert_eq!(session.admit(), Some(Ask::Describe));
    session.describe("v=0\r\n", 2);
    let description = said(&mut session);
    assert!(description.contains(&format!("\r\nContent-Base: {BASE}\r\n")));
    assert!(
        description.contains("\r\nContent-Length: 5\r\n")
            && description.ends_with("\r\n\r\nv=0\r\n")
    );
    assert!(!description.contains("t-1"), "the ticket goes no further");
    let asked = set_up(&mut session, 0, "RTP/AVP/TCP;unicast;interleaved=0-1");
    let delivery = Delivery::Interleaved(Some((0, 1)));
    assert_eq!(asked, Some(Ask::SetUp { track: 0, delivery }));
    session.set_up(0xabc, 0);
    let answer = said(&mut session);
    assert!(answer.contains(
        "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=00000ABC;mode=\"PLAY\"\r\n"
    ));
    assert!(answer.contains("Session: 1d;timeout=60\r\n"));
    assert_eq!(
        ask(&mut session, "PLAY", BASE, &["Session: 1d"]),
        Some(Ask::Play)
    );
    session.play(&[(0, 65_535, 90)]);
    assert!(said(&mut session).contains(&format!(
        "RTP-Info: url={BASE}trackID=0;seq=65535;rtptime=90\r\n"
    )));
    assert!(session.is_playing());
    assert_eq!(
        ask(&mut session, "GET_PARAMETER", BASE, &["Session: 1d"]),
        None
    );
    assert_eq!(status(&mut session), 200);
    assert_eq!(
        ask(&mut session, "TEARDOWN", BASE, &["Session: 1d"]),
        Some(Ask::TearDown)
    );
    assert_eq!(status(&mut session), 200);
    session.push(&request("OPTIONS", "*", 9, &[])).unwrap();
    assert_eq!(session.next_ask(), Ok(None), "it is over");
}

#[test]
fn every_split_of_the_octets_says_the_same() {
    let whole = [
        request("OPTIONS", URL, 1, &[]),
        b"\r\n".to_vec(),
        request("DESCRIBE", URL, 2, &["Accept: application/sdp"]),
    ]
    .concat();
    for size in 1..whole.len() {
        let mut session = session();
        let mut asked = None;
        for piece in whole.chunks(size) {
            session.push(piece).unwrap();
            asked = asked.or(session.next_ask().unwrap());
        }
        assert!(matches!(
            asked,
            Some(Ask::Admit {
                credential: Credential::None,
                ..
            })
        ));
        assert_eq!(said(&mut session).matches("200 OK").count(), 1);
    }
}

#[test]
fn who_proves_nothing_is_challenged_and_can_answer() {
    let mut session = session();
    assert!(ask(&mut session, "DESCRIBE", URL, &[]).is_some());
    session.challenge().unwrap();
    let answer = said(&mut session);
    assert!(answer.starts_with("RTSP/1.0 401 ") && answer.contains(&challenge("n0nce")));
    let mut player = Authenticator::new(Credentials {
        username: "00ff".into(),
        password: "secret".into(),
    });
    assert!(player.challenged([challenge(session.nonce()).as_str()].into_iter()));
    let header = format!(
        "Authorization: {}",
        player.authorization("DESCRIBE", URL).unwrap()
    );
    let Some(Ask::Admit {
        credential: Credential::Digest(answer),
        ..
    }) = ask(&mut session, "DESCRIBE", URL, &[&header])
    else {
        panic!("no digest");
    };
    assert!(answer.is_right("DESCRIBE", session.nonce(), "secret"));
}

#[test]
fn guessing_ends_with_the_connection() {
    let mut session = session();
    for _ in 0..TRIES_MAX {
        ask(&mut session, "DESCRIBE", URL, &[]).unwrap();
        assert_eq!(session.challenge(), Ok(()));
    }
    ask(&mut session, "DESCRIBE", URL, &[]).unwrap();
    assert_eq!(session.refuse(403), Err(Violation::Unproven));
}

#[test]
fn nothing_is_done_out_of_turn() {
    for (method, uri) in [
        ("SETUP", BASE),
        ("PLAY", BASE),
        ("TEARDOWN", BASE),
        ("GET_PARAMETER", BASE),
    ] {
        let mut session = session();
        assert_eq!(
            ask(&mut session, method, uri, &["Transport: RTP/AVP/TCP"]),
            None
        );
        assert_eq!(status(&mut session), 455, "{method} by a stranger");
    }
    let mut session = described();
    assert_eq!(ask(&mut session, "PLAY", BASE, &[]), None);
    assert_eq!(status(&mut session), 455);
    set_up(&mut session, 0, "RTP/AVP/TCP").unwrap();
    session.set_up(1, 0);
    session.to_send();
    assert_eq!(set_up(&mut session, 0, "RTP/AVP/TCP"), None);
    assert_eq!(status(&mut session), 455, "a track that is set up already");
    ask(&mut session, "PLAY", BASE, &[]).unwrap();
    session.play(&[]);
    session.to_send();
    assert_eq!(set_up(&mut session, 1, "RTP/AVP/TCP"), None);
    assert_eq!(status(&mut session), 455, "while it plays");
    assert_eq!(ask(&mut session, "PLAY", BASE, &[]), None);
    assert_eq!(
        status(&mut session),
        200,
        "players that say PLAY once a track"
    );
}

#[test]
fn what_cannot_be_had_is_told_by_its_status() {
    for (method, uri, header, expected) in [
        (
            "SETUP",
            "rtsp://h/live/s1/trackID=1",
            "Transport: RTP/AVP;multicast",
            461,
        ),
        ("SETUP", "rtsp://h/live/s1/trackID=1", "X: y", 461),
        (
            "SETUP",
            "rtsp://h/live/s1/trackID=9",
            "Transport: RTP/AVP/TCP",
            404,
        ),
        ("SETUP", "rtsp://h/live/s1/", "Transport: RTP/AVP/TCP", 404),
        (
            "SETUP",
            "rtsp://h/live/s2/trackID=0",
            "Transport: RTP/AVP/TCP",
            404,
        ),
        ("DESCRIBE", "rtsp://h/live/s2", "X: y", 404),
        ("DESCRIBE", "rtsp://h/", "X: y", 404),
        ("PLAY", BASE, "Session: other", 454),
        ("PAUSE", BASE, "X: y", 405),
        ("RECORD", BASE, "X: y", 405),
        ("DANCE", BASE, "X: y", 501),
        ("OPTIONS", "*", "Require: implicit-play", 551),
    ] {
        let mut session = described();
        assert_eq!(
            ask(&mut session, method, uri, &[header]),
            None,
            "{method} {uri}"
        );
        assert_eq!(status(&mut session), expected, "{method} {uri} {header}");
    }
    let mut session = described();
    session
        .push(b"OPTIONS * RTSP/2.0\r\nCSeq: 1\r\n\r\n")
        .unwrap();
    assert_eq!(session.next_ask(), Ok(None));
    assert_eq!(status(&mut session), 505);
}

#[test]
fn tracks_go_the_same_way_and_share_no_channel() {
    for (first, second, is_taken) in [
        (
            "RTP/AVP/TCP;interleaved=0-1",
            "RTP/AVP/TCP;interleaved=2-3",
            true,
        ),
        ("RTP/AVP/TCP;interleaved=2-3", "RTP/AVP/TCP", false),
        (
            "RTP/AVP/TCP;interleaved=0-1",
            "RTP/AVP/TCP;interleaved=1-2",
            false,
        ),
        (
            "RTP/AVP/TCP;interleaved=0-1",
            "RTP/AVP;client_port=4-5",
            false,
        ),
        (
            "RTP/AVP;client_port=4-5",
            "RTP/AVP/TCP;interleaved=0-1",
            false,
        ),
        ("RTP/AVP;client_port=4-5", "RTP/AVP;client_port=6-7", true),
    ] {
        let mut session = described();
        set_up(&mut session, 0, first).unwrap();
        session.set_up(1, 30_000);
        session.to_send();
        assert_eq!(
            set_up(&mut session, 1, second).is_some(),
            is_taken,
            "{first} {second}"
        );
    }
}

#[test]
fn media_does_not_leave_a_connection_inside_tls() {
    let mut session = described();
    session.keep_inside();
    assert_eq!(set_up(&mut session, 0, "RTP/AVP;client_port=4-5"), None);
    assert_eq!(status(&mut session), 461);
    let asked = set_up(&mut session, 0, "RTP/AVP;client_port=4-5,RTP/AVP/TCP");
    let delivery = Delivery::Interleaved(None);
    assert_eq!(asked, Some(Ask::SetUp { track: 0, delivery }));
}

#[test]
fn reports_inside_the_connection_are_told_from_requests() {
    let mut session = described();
    set_up(&mut session, 0, "RTP/AVP/TCP;interleaved=4-5").unwrap();
    session.set_up(1, 0);
    session.push(b"$\x05\0\x02ab$\x04\0\x01c").unwrap();
    let report = Ask::Report {
        track: 0,
        packet: b"ab".to_vec(),
    };
    assert_eq!(session.next_ask(), Ok(Some(report)));
    assert_eq!(session.next_ask(), Ok(None));
    assert_eq!(ask(&mut session, "PLAY", BASE, &[]), Some(Ask::Play));
}

#[test]
fn what_is_no_rtsp_ends_the_connection() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00",
        b"$\0\0\x01x",
        b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 99999999\r\n\r\n",
    ] {
        let mut session = session();
        session.push(bytes).unwrap();
        assert_eq!(session.next_ask(), Err(Violation::Malformed), "{bytes:?}");
        assert!(status(&mut session) >= 400);
        assert_eq!(session.next_ask(), Ok(None));
    }
}

#[test]
fn a_flood_is_refused_whether_a_request_is_pending_or_never_ends() {
    let flood = |mut session: Session| {
        let piece = b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n";
        (0..WAITING_MAX).find_map(|_| {
            session
                .push(piece)
                .and_then(|()| session.next_ask().map(drop))
                .err()
        })
    };
    let mut endless = session();
    endless.push(b"OPTIONS * RTSP/1.0\r\n").unwrap();
    assert_eq!(flood(endless), Some(Violation::Malformed));
    let mut pending = session();
    ask(&mut pending, "DESCRIBE", URL, &[]).unwrap();
    assert_eq!(flood(pending), Some(Violation::Malformed));
}
