//! Request heads as viewers, browsers and others send them.

use super::*;
use proptest::prelude::*;

const HANDSHAKE: &str = "GET /live/s1.mp4?ticket=abc HTTP/1.1\r\nHost: 192.0.2.1:8001\r\nUpgrade: websocket\r\n\
    Connection: keep-alive, Upgrade\r\nOrigin: http://192.0.2.1:8000\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

fn live(head: &str) -> LiveRequest {
    parse_request(head.as_bytes()).unwrap().unwrap().0
}

fn rejection(head: &str) -> Rejection {
    parse_request(head.as_bytes()).unwrap_err()
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: example.org\r\n{fields}\r\n")
}

#[test]
fn a_plain_request_names_stream_and_ticket() {
    let request = live(&get("/live/s1.mp4?x=1&ticket=abc", ""));
    assert_eq!(request.stream_id, "s1");
    assert_eq!(request.ticket.as_deref(), Some("abc"));
    assert_eq!(request.upgrade, Upgrade::None);
    assert!(!request.wants_sound);
    assert!(live(&get("/live/s1.mp4?ticket=abc&audio=1", "")).wants_sound);
    assert_eq!(live(&get("/live/s1.mp4", "")).ticket, None);
}

#[test]
fn a_browsers_handshake_is_a_websocket_request() {
    let key = "dGhlIHNhbXBsZSBub25jZQ==".to_owned();
    assert_eq!(live(HANDSHAKE).upgrade, Upgrade::WebSocket { key });
}

#[test]
fn a_head_is_awaited_byte_by_byte_and_its_length_given() {
    for len in 0..HANDSHAKE.len() {
        assert_eq!(
            parse_request(&HANDSHAKE.as_bytes()[..len]),
            Ok(None),
            "{len}"
        );
    }
    let with_more = [HANDSHAKE.as_bytes(), b"\x88\x80"].concat();
    assert_eq!(
        parse_request(&with_more).unwrap().unwrap().1,
        HANDSHAKE.len()
    );
}

#[test]
fn what_the_outlet_does_not_serve_is_told_apart() {
    assert_eq!(rejection(&get("/", "")), Rejection::NotFound);
    assert_eq!(rejection(&get("/live/../etc.mp4", "")), Rejection::NotFound);
    assert_eq!(rejection(&get("/live/.mp4", "")), Rejection::NotFound);
    assert_eq!(
        rejection("POST /live/s.mp4 HTTP/1.1\r\nHost: h\r\n\r\n"),
        Rejection::MethodNotAllowed
    );
    assert_eq!(
        rejection("GET /live/s.mp4 HTTP/1.0\r\nHost: h\r\n\r\n"),
        Rejection::Version
    );
    assert_eq!(
        rejection("GET /live/s.mp4 HTTP/2.0\r\nHost: h\r\n\r\n"),
        Rejection::Version
    );
    assert_eq!(
        rejection("GET /live/s.mp4 HTTP/1.1\r\n\r\n"),
        Rejection::BadRequest
    );
    assert_eq!(
        rejection(&get("/live/s.mp4", "Host: other\r\n")),
        Rejection::BadRequest
    );
    assert_eq!(
        rejection(&get("/live/s.mp4", "Content-Length: 5\r\n")),
        Rejection::BadRequest
    );
    assert_eq!(rejection("\x16\x03\x01\x02\x00\x01"), Rejection::BadRequest);
}

#[test]
fn a_head_over_the_limit_is_refused_before_it_is_whole() {
    let long = get("/live/s.mp4", &format!("X: {}\r\n", "x".repeat(HEAD_MAX)));
    assert_eq!(
        parse_request(&long.as_bytes()[..HEAD_MAX]),
        Err(Rejection::HeadTooLong)
    );
    assert_eq!(rejection(&long), Rejection::HeadTooLong);
    assert_eq!(
        rejection(&get("/live/s.mp4", &"X: y\r\n".repeat(70))),
        Rejection::HeadTooLong
    );
}

#[test]
fn an_origin_must_name_our_host_and_may_differ_in_port() {
    for (origin, host) in [
        ("http://example.org", "example.org:8001"),
        ("https://EXAMPLE.org:8443", "example.org"),
        ("http://[::1]:8000", "[::1]:8001"),
    ] {
        assert!(same_host(origin, host), "{origin} {host}");
    }
    for (origin, host) in [
        ("http://evil.example", "example.org"),
        ("http://example.org.evil.example", "example.org"),
        (
            "http://example.org@evil.example",
            "example.org@evil.example",
        ),
        ("null", "example.org"),
        ("file://", "example.org"),
        ("ftp://example.org", "example.org"),
        ("http://[::1", "[::1"),
        ("http://example.org:80x", "example.org"),
    ] {
        assert!(!same_host(origin, host), "{origin} {host}");
    }
    assert_eq!(
        rejection(&get("/live/s.mp4", "Origin: http://evil.example\r\n")),
        Rejection::ForeignOrigin
    );
}

#[test]
fn a_broken_handshake_is_refused() {
    let version = HANDSHAKE.replace("Version: 13", "Version: 8");
    assert_eq!(rejection(&version), Rejection::UpgradeRequired);
    for broken in [
        HANDSHAKE.replace("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="),
        HANDSHAKE.replace("keep-alive, Upgrade", "keep-alive"),
        HANDSHAKE.replace("GET", "HEAD"),
    ] {
        assert_eq!(rejection(&broken), Rejection::BadRequest);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_request_a_refusal_or_a_beginning(bytes in proptest::collection::vec(any::<u8>(), 0..9000)) {
        if let Ok(Some((request, len))) = parse_request(&bytes) {
            prop_assert!(len <= bytes.len());
            prop_assert!(crate::ticket::is_valid_id(&request.stream_id));
        }
    }

    #[test]
    fn any_fields_around_a_good_line_never_break_the_parser(fields in "([A-Za-z-]{1,12}: [ -~]{0,40}\r\n){0,20}") {
        let head = format!("GET /live/s.mp4 HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let whole = parse_request(head.as_bytes());
        prop_assert!(!matches!(whole, Ok(None)));
    }
}
