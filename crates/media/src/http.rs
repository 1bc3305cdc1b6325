//! The little HTTP/1.1 the outlet speaks (RFC 9112): one request a connection, one live response.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::outlets::hls::request as hls;

/// The longest request head that is read.
pub const HEAD_MAX: usize = 8 * 1024;
const HEADERS_MAX: usize = 64;

/// Request methods the outlet tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read a stream.
    Get,
    /// Ask what reading it would answer.
    Head,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// A plain HTTP response.
    None,
    /// A WebSocket with this `Sec-WebSocket-Key`.
    WebSocket {
        /// The key as it was sent, already checked.
        key: String,
    },
}

/// What the path of a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `/live/{stream_id}.mp4`: a stream to watch.
    Live,
    /// `/live/{stream_id}.flv`: the same as FLV.
    LiveFlv,
    /// `/talk/{talk_id}`: a talk to speak in.
    Talk,
    /// `/hls/{stream_id}/...`: a stream to read in pieces.
    Hls(hls::Target),
}

/// A request for a live stream, or to speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveRequest {
    /// GET or HEAD.
    pub method: Method,
    /// What the path names.
    pub place: Place,
    /// The stream or talk the path names.
    pub stream_id: String,
    /// The `ticket` of the query.
    pub ticket: Option<String>,
    /// Whether the query has `audio=1`: a plain response is to have sound.
    pub wants_sound: bool,
    /// Whether the request wants a WebSocket.
    pub upgrade: Upgrade,
    /// The page that asks, which is one of our host.
    pub origin: Option<String>,
    /// Whether another request may follow on the connection.
    pub keeps_alive: bool,
}

/// A request that is answered with an error status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// 400: not HTTP, or contradicting itself.
    BadRequest,
    /// 400: without TLS where TLS is spoken.
    TlsRequired,
    /// 403: a browser page of another host asks.
    ForeignOrigin,
    /// 403: a session that never was, or has ended.
    SessionUnknown,
    /// 404: nothing lives at this path.
    NotFound,
    /// 405: only GET and HEAD.
    MethodNotAllowed,
    /// 408: the head did not come in time.
    Timeout,
    /// 426: another WebSocket version than 13.
    UpgradeRequired,
    /// 431: the head is too long.
    HeadTooLong,
    /// 503: too many connections.
    Busy,
    /// 503: what is awaited did not come in time.
    Late,
    /// 504: the stream has no picture.
    NoMedia,
    /// 505: not HTTP/1.1.
    Version,
}

impl Rejection {
    /// Status code, reason phrase and the stable word of the JSON body.
    pub fn parts(self) -> (u16, &'static str, &'static str) {
        match self {
            Rejection::BadRequest => (400, "Bad Request", "bad_request"),
            Rejection::TlsRequired => (400, "Bad Request", "tls_required"),
            Rejection::ForeignOrigin => (403, "Forbidden", "foreign_origin"),
            Rejection::SessionUnknown => (403, "Forbidden", "session_unknown"),
            Rejection::NotFound => (404, "Not Found", "not_found"),
            Rejection::MethodNotAllowed => (405, "Method Not Allowed", "method_not_allowed"),
            Rejection::Timeout => (408, "Request Timeout", "request_timeout"),
            Rejection::UpgradeRequired => (426, "Upgrade Required", "websocket_version"),
            Rejection::HeadTooLong => (431, "Request Header Fields Too Large", "head_too_long"),
            Rejection::Busy => (503, "Service Unavailable", "too_many_connections"),
            Rejection::Late => (503, "Service Unavailable", "media_late"),
            Rejection::NoMedia => (504, "Gateway Timeout", "no_media"),
            Rejection::Version => (505, "HTTP Version Not Supported", "http_version"),
        }
    }
}

/// Read a request head from the front of `bytes`: the request and the head's length, or `None` while more is needed.
pub fn parse_request(bytes: &[u8]) -> Result<Option<(LiveRequest, usize)>, Rejection> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let head_len = match request.parse(bytes) {
        Ok(httparse::Status::Complete(len)) if len <= HEAD_MAX => len,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_MAX => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Rejection::HeadTooLong),
        Err(httparse::Error::Version) => return Err(Rejection::Version),
        Err(_) => return Err(Rejection::BadRequest),
    };
    let (Some(method), Some(target), Some(version)) =
        (request.method, request.path, request.version)
    else {
        return Err(Rejection::BadRequest);
    };
    let fields = Fields::collect(request.headers)?;
    if version != 1 {
        return Err(Rejection::Version);
    }
    let host = fields.host.ok_or(Rejection::BadRequest)?;
    if fields.origin.is_some_and(|origin| !same_host(origin, host)) {
        return Err(Rejection::ForeignOrigin);
    }
    let (place, stream_id, ticket) = route(target)?;
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        _ => return Err(Rejection::MethodNotAllowed),
    };
    let upgrade = fields.upgrade(method)?;
    Ok(Some((
        LiveRequest {
            method,
            place,
            stream_id,
            ticket,
            wants_sound: wants_sound(target),
            upgrade,
            origin: fields.origin.map(str::to_owned),
            keeps_alive: !fields.wants_close,
        },
        head_len,
    )))
}

/// The header fields that matter here.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a str>,
    origin: Option<&'a str>,
    wants_upgrade: bool,
    wants_close: bool,
    upgrade_websocket: bool,
    websocket_key: Option<&'a str>,
    websocket_version: Option<&'a str>,
    has_body: bool,
}

impl<'a> Fields<'a> {
    fn collect(headers: &[httparse::Header<'a>]) -> Result<Fields<'a>, Rejection> {
        let mut fields = Fields::default();
        for header in headers {
            let value = || {
                let text = std::str::from_utf8(header.value).map_err(|_| Rejection::BadRequest)?;
                Ok(text.trim_matches([' ', '\t']))
            };
            let single = |field: &mut Option<&'a str>| {
                // RFC 9112 3.2: a second Host is an error; for the others it is an ambiguity nobody needs.
                if field.replace(value()?).is_some() {
                    Err(Rejection::BadRequest)
                } else {
                    Ok(())
                }
            };
            match header.name.to_ascii_lowercase().as_str() {
                "host" => single(&mut fields.host)?,
                "origin" => single(&mut fields.origin)?,
                "sec-websocket-key" => single(&mut fields.websocket_key)?,
                "sec-websocket-version" => single(&mut fields.websocket_version)?,
                "connection" => {
                    fields.wants_upgrade |= has_token(value()?, "upgrade");
                    fields.wants_close |= has_token(value()?, "close");
                }
                "upgrade" => fields.upgrade_websocket |= has_token(value()?, "websocket"),
                "content-length" => fields.has_body |= value()? != "0",
                "transfer-encoding" => fields.has_body = true,
                _ => {}
            }
        }
        Ok(fields)
    }

    /// RFC 6455 4.2.1: what makes a request a WebSocket handshake.
    fn upgrade(&self, method: Method) -> Result<Upgrade, Rejection> {
        if self.has_body {
            return Err(Rejection::BadRequest);
        }
        if !self.upgrade_websocket {
            return Ok(Upgrade::None);
        }
        if method != Method::Get || !self.wants_upgrade {
            return Err(Rejection::BadRequest);
        }
        if self.websocket_version != Some("13") {
            return Err(Rejection::UpgradeRequired);
        }
        let key = self.websocket_key.ok_or(Rejection::BadRequest)?;
        match STANDARD.decode(key) {
            Ok(nonce) if nonce.len() == 16 => Ok(Upgrade::WebSocket {
                key: key.to_owned(),
            }),
            _ => Err(Rejection::BadRequest),
        }
    }
}

fn has_token(value: &str, token: &str) -> bool {
    value
        .split(',')
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

fn wants_sound(target: &str) -> bool {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    query.split('&').any(|pair| pair == "audio=1")
}

/// `/live/{stream_id}.mp4?ticket=...` (or `.flv`), `/talk/{talk_id}?ticket=...` or `/hls/{stream_id}/...`: the place, its id and the ticket.
fn route(target: &str) -> Result<(Place, String, Option<String>), Rejection> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let ticket = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("ticket="))
        .map(str::to_owned);
    if let Some(rest) = path.strip_prefix("/hls/") {
        let (stream_id, target) = hls::parse(rest, query)?;
        return Ok((Place::Hls(target), stream_id, ticket));
    }
    let (place, id) = match path.strip_prefix("/talk/") {
        Some(talk_id) => (Place::Talk, Some(talk_id)),
        None => {
            let name = path.strip_prefix("/live/").unwrap_or_default();
            match name.strip_suffix(".flv") {
                Some(id) => (Place::LiveFlv, Some(id)),
                None => (Place::Live, name.strip_suffix(".mp4")),
            }
        }
    };
    let id = id.filter(|id| crate::ticket::is_valid_id(id));
    let id = id.ok_or(Rejection::NotFound)?.to_owned();
    Ok((place, id, ticket))
}

/// Whether an Origin names the same host as Host, whatever the ports (the console and the outlet differ in port).
fn same_host(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let scheme_fits = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    match (host_of(authority), host_of(host)) {
        (Some(ours), Some(theirs)) => scheme_fits && ours.eq_ignore_ascii_case(theirs),
        _ => false,
    }
}

/// The host of `host[:port]`, brackets of an IPv6 address included.
fn host_of(authority: &str) -> Option<&str> {
    let end = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end);
    let port_fits = match port.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|digit| digit.is_ascii_digit()),
        None => port.is_empty(),
    };
    let plain = !host.is_empty() && !host.bytes().any(|byte| b"/@?# ".contains(&byte));
    (port_fits && plain).then_some(host)
}

/// A whole error response with a JSON body in the API's shape; the connection ends with it.
pub fn error_response(status: u16, phrase: &str, code: &str) -> Vec<u8> {
    error_answer(status, phrase, code, false)
}

/// As [`error_response`], and whether another request may follow.
pub fn error_answer(status: u16, phrase: &str, code: &str, keeps_alive: bool) -> Vec<u8> {
    let body =
        format!("{{\"error\":{{\"code\":\"{code}\",\"message\":\"{phrase}\",\"params\":{{}}}}}}");
    let mut head = format!("HTTP/1.1 {status} {phrase}\r\n");
    match status {
        405 => head.push_str("Allow: GET, HEAD\r\n"),
        426 => head.push_str("Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"),
        _ => {}
    }
    let _infallible = write!(
        head,
        "Content-Type: application/json\r\nContent-Length: {}\r\n{COMMON_FIELDS}{}\r\n",
        body.len(),
        close_field(keeps_alive)
    );
    head.push_str(&body);
    head.into_bytes()
}

const COMMON_FIELDS: &str = "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
    Cross-Origin-Resource-Policy: same-site\r\n";

/// The head of a live response, which a page of this origin may read; chunks follow.
pub fn live_head(content_type: &str, origin: Option<&str>) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n{COMMON_FIELDS}\
         Connection: close\r\n\r\n"
    );
    allow_origin(head.into_bytes(), origin)
}

/// The answer to HEAD: what GET would say, without touching the ticket.
pub fn head_head(content_type: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{COMMON_FIELDS}Connection: close\r\n\r\n"
    )
    .into_bytes()
}

/// The head of a response of `len` bytes, which a page of this origin may read.
pub fn response_head(
    content_type: &str,
    len: usize,
    origin: Option<&str>,
    keeps_alive: bool,
) -> Vec<u8> {
    let close = close_field(keeps_alive);
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len}\r\n{COMMON_FIELDS}{close}\r\n"
    );
    allow_origin(head.into_bytes(), origin)
}

/// What an answer says of the connection: nothing when it goes on (RFC 9112 9.3).
fn close_field(keeps_alive: bool) -> &'static str {
    if keeps_alive {
        ""
    } else {
        "Connection: close\r\n"
    }
}

/// Let a page of this origin read a response: it differs from ours in its port.
pub fn allow_origin(mut response: Vec<u8>, origin: Option<&str>) -> Vec<u8> {
    let Some(origin) = origin else {
        return response;
    };
    let fields = format!("Access-Control-Allow-Origin: {origin}\r\nVary: Origin\r\n");
    let status = response.iter().position(|&byte| byte == b'\n');
    let behind = status.map_or(0, |end| end + 1);
    response.splice(behind..behind, fields.into_bytes());
    response
}

/// The answer that turns the connection into a WebSocket (RFC 6455 4.2.2).
pub fn switching_protocols(key: &str) -> Vec<u8> {
    let accept = crate::websocket::accept_value(key);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

/// The head of a chunk of `len` bytes (RFC 9112 7.1); the chunk ends with CRLF.
pub fn chunk_head(len: usize) -> Vec<u8> {
    format!("{len:x}\r\n").into_bytes()
}

/// What ends a chunk.
pub const CHUNK_END: &[u8] = b"\r\n";
/// What ends a chunked body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

#[cfg(test)]
mod tests {
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

    #[test]
    fn an_error_response_is_whole_and_says_its_length() {
        let response =
            String::from_utf8(error_response(403, "Forbidden", "ticket_expired")).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\n"));
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
        assert!(body.contains("\"ticket_expired\""));
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
}
