//! What the outlet answers: heads of responses, whole errors, and the chunks of a body without a known end.

use std::fmt::Write as _;

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

    #[test]
    fn an_error_response_is_whole_and_says_its_length() {
        let response =
            String::from_utf8(error_response(403, "Forbidden", "ticket_expired")).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\n"));
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
        assert!(body.contains("\"ticket_expired\""));
    }
}
