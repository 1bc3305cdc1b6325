//! The little HTTP/1.1 the outlet speaks (RFC 9112): what a request asks for, and the heads of what is answered.

mod answers;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub use answers::{
    CHUNK_END, LAST_CHUNK, allow_origin, chunk_head, error_answer, error_response, head_head,
    live_head, response_head, switching_protocols,
};

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

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
