use super::*;
use crate::rtsp::sdp::TrackFormat;

const SDP: &str = "v=0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:t=0\r\n\
                   m=audio 0 RTP/AVP 8\r\na=control:t=1\r\n";

#[derive(Debug, PartialEq)]
enum Said {
    Playing(usize),
    Media(usize, Vec<u8>),
    Redirect(String),
    Failed(RtspFailure, Option<u16>),
}

struct Talk {
    client: Client,
    said: Vec<Said>,
    now_us: u64,
}

impl Talk {
    fn with(delivery: Delivery) -> Talk {
        let config = ClientConfig {
            url: RtspUrl::parse("rtsp://camera/live").unwrap(),
            credentials: Credentials {
                username: "u".into(),
                password: "p".into(),
            },
            delivery,
            ports: vec![30_000, 30_002],
            ssrc: 7,
        };
        let mut client = Client::new(config);
        client.start(0);
        Talk {
            client,
            said: Vec::new(),
            now_us: 0,
        }
    }

    fn new() -> Talk {
        Talk::with(Delivery::Tcp)
    }

    /// What the client sends now.
    fn sent(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(self.client.to_send())).into_owned()
    }

    fn receive(&mut self, bytes: &[u8]) {
        let said = &mut self.said;
        self.client
            .receive(self.now_us, bytes, &mut |event| said.push(note(event)));
    }

    /// Answer the one request that waits; returns it.
    fn answer(&mut self, status: u16, more: &str) -> String {
        let request = self.sent();
        let cseq = request
            .split("CSeq: ")
            .nth(1)
            .and_then(|rest| rest.lines().next());
        let cseq = cseq
            .unwrap_or_else(|| panic!("no request waits: {request:?}"))
            .to_owned();
        self.receive(format!("RTSP/1.0 {status} x\r\nCSeq: {cseq}\r\n{more}\r\n").as_bytes());
        request
    }

    fn describe(&mut self, sdp: &str, more: &str) -> String {
        let request = self.sent();
        let cseq = request
            .split("CSeq: ")
            .nth(1)
            .and_then(|rest| rest.lines().next())
            .unwrap();
        let length = sdp.len();
        self.receive(
            format!(
                "RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n{more}Content-Length: {length}\r\n\r\n{sdp}"
            )
            .as_bytes(),
        );
        request
    }

    fn tick(&mut self, now_us: u64) -> bool {
        self.now_us = now_us;
        let said = &mut self.said;
        self.client
            .tick(now_us, &mut |event| said.push(note(event)))
    }

    fn playing() -> Talk {
        let mut talk = Talk::new();
        talk.answer(200, "Public: DESCRIBE, SETUP, PLAY, GET_PARAMETER\r\n");
        talk.describe(SDP, "");
        talk.answer(
            200,
            "Session: 1234;timeout=20\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n",
        );
        talk.answer(
            200,
            "Session: 1234\r\nTransport: RTP/AVP/TCP;interleaved=2-3\r\n",
        );
        talk.answer(200, "");
        talk
    }
}

fn note(event: ClientEvent<'_>) -> Said {
    match event {
        ClientEvent::Playing(setups) => Said::Playing(setups.len()),
        ClientEvent::Media { track, packet } => Said::Media(track, packet.to_vec()),
        ClientEvent::Redirect(url) => Said::Redirect(url.to_string()),
        ClientEvent::Failed(failure, status) => Said::Failed(failure, status),
    }
}

#[test]
fn a_session_is_set_up_track_by_track_and_plays() {
    let mut talk = Talk::new();
    assert!(
        talk.answer(200, "")
            .starts_with("OPTIONS rtsp://camera/live RTSP/1.0\r\n")
    );
    let describe = talk.describe(SDP, "Content-Base: rtsp://camera/live/\r\n");
    assert!(
        describe.starts_with("DESCRIBE rtsp://camera/live RTSP/1.0")
            && describe.contains("Accept: application/sdp")
    );
    let setup = talk.answer(200, "Session: a;timeout=30\r\n");
    assert!(
        setup.starts_with("SETUP rtsp://camera/live/t=0 RTSP/1.0")
            && setup.contains("interleaved=0-1")
    );
    let setup = talk.answer(200, "");
    assert!(
        setup.contains("/t=1 ")
            && setup.contains("Session: a\r\n")
            && setup.contains("interleaved=2-3")
    );
    assert!(
        talk.answer(200, "")
            .starts_with("PLAY rtsp://camera/live/ RTSP/1.0")
    );
    assert_eq!(talk.said, [Said::Playing(2)]);
    assert!(matches!(
        talk.client.setups()[0].track.format,
        TrackFormat::Video { .. }
    ));
}

#[test]
fn media_comes_by_channel_and_reports_go_back() {
    let mut talk = Talk::playing();
    let packet = [0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0x65, 1];
    talk.receive(
        &[
            &[b'$', 0, 0, 14][..],
            &packet,
            &[b'$', 3, 0, 4, 0x80, 200, 0, 0],
            &[b'$', 2, 0, 1, 7],
        ]
        .concat(),
    );
    assert_eq!(
        talk.said[1..],
        [Said::Media(0, packet.to_vec()), Said::Media(1, vec![7])]
    );
    assert!(talk.tick(0));
    assert!(talk.client.reports(0).is_empty());
    let sent = std::mem::take(talk.client.to_send());
    assert_eq!((sent[0], sent[1]), (b'$', 1));
}

#[test]
fn a_challenge_is_answered_once_and_then_the_door_is_closed() {
    let mut talk = Talk::new();
    let challenge = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n";
    talk.answer(401, challenge);
    let again = talk.answer(401, challenge);
    assert!(again.contains("Authorization: Digest username=\"u\"") && !again.contains("\"p\""));
    assert_eq!(
        talk.said,
        [Said::Failed(RtspFailure::Unauthorised, Some(401))]
    );
    assert_eq!(talk.sent(), "");
}

#[test]
fn statuses_become_reasons() {
    let cases = [
        (404, RtspFailure::NotFound),
        (403, RtspFailure::Unauthorised),
        (500, RtspFailure::Status),
    ];
    for (status, reason) in cases {
        let mut talk = Talk::new();
        talk.answer(200, "");
        talk.answer(status, "");
        assert_eq!(talk.said, [Said::Failed(reason, Some(status))]);
    }
    let mut talk = Talk::new();
    talk.answer(200, "");
    talk.describe("m=audio 0 RTP/AVP 0\r\n", "");
    assert_eq!(talk.said, [Said::Failed(RtspFailure::NoMedia, None)]);
}

#[test]
fn redirects_are_handed_on_without_credentials() {
    let mut talk = Talk::new();
    talk.answer(200, "");
    talk.answer(302, "Location: rtsp://a:b@10.0.0.2/x\r\n");
    assert_eq!(talk.said, [Said::Redirect("rtsp://10.0.0.2/x".into())]);
    let mut talk = Talk::new();
    talk.answer(301, "");
    assert_eq!(talk.said, [Said::Failed(RtspFailure::Redirect, None)]);
}

#[test]
fn a_server_that_refuses_udp_is_asked_for_tcp() {
    let mut talk = Talk::with(Delivery::Udp);
    talk.answer(200, "");
    talk.describe(SDP, "");
    assert!(talk.answer(461, "").contains("client_port=30000-30001"));
    assert!(talk.answer(461, "").contains("interleaved=0-1"));
    assert_eq!(talk.said, [Said::Failed(RtspFailure::Transport, Some(461))]);
}

#[test]
fn the_session_is_kept_alive_and_torn_down() {
    let mut talk = Talk::playing();
    talk.tick(9_999_999);
    assert_eq!(talk.sent(), "");
    talk.tick(10_000_000);
    assert!(talk.answer(501, "").starts_with("GET_PARAMETER "));
    talk.tick(20_000_000);
    assert!(talk.answer(200, "").starts_with("OPTIONS "));
    let last = String::from_utf8(talk.client.teardown().unwrap()).unwrap();
    assert!(last.starts_with("TEARDOWN ") && last.contains("Session: 1234"));
    assert!(talk.client.teardown().is_none());
}

#[test]
fn silence_is_a_timeout_and_requests_of_the_server_are_answered() {
    let mut talk = Talk::new();
    talk.tick(8_000_000);
    assert_eq!(talk.said, [Said::Failed(RtspFailure::Timeout, None)]);
    let mut talk = Talk::playing();
    talk.receive(b"OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\nTEARDOWN * RTSP/1.0\r\nCSeq: 10\r\n\r\n");
    let sent = talk.sent();
    assert!(sent.starts_with("RTSP/1.0 200 OK\r\nCSeq: 9\r\n\r\nRTSP/1.0 200 OK\r\nCSeq: 10"));
    assert_eq!(talk.said[1..], [Said::Failed(RtspFailure::Closed, None)]);
}

#[test]
fn hostile_answers_end_the_session_and_nothing_else() {
    let session = format!("Session: {}\r\n", "a".repeat(300));
    let both = "Session: a\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n";
    for answers in [[session.as_str(), ""], ["", ""], [both, both]] {
        let mut talk = Talk::new();
        talk.answer(200, "");
        talk.describe(SDP, "");
        for answer in answers {
            if talk.said.is_empty() {
                talk.answer(200, answer);
            }
        }
        assert_eq!(talk.said, [Said::Failed(RtspFailure::Protocol, None)]);
    }
    let mut talk = Talk::new();
    talk.receive(&vec![b'\0'; 2 << 20]);
    assert_eq!(talk.said, [Said::Failed(RtspFailure::Protocol, None)]);
}
