//! `rtsp://` URLs (RFC 2326 3.2) and `rtsps://` URLs (RFC 7826 4.2), taken apart without ever keeping credentials.

use std::fmt;

/// Longest URL accepted, also from a server (control, redirect).
pub const MAX_URL: usize = 2048;
/// The registered port.
pub const DEFAULT_PORT: u16 = 554;
/// The registered port of RTSP inside TLS.
pub const DEFAULT_TLS_PORT: u16 = 322;

/// An absolute RTSP URL without user information.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtspUrl {
    /// Whether it begins with `rtsps:`.
    pub is_tls: bool,
    /// Host name or address; IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path and query, beginning with `/`, or empty.
    pub path: String,
}

impl RtspUrl {
    /// Take a URL apart; user information is dropped. `None` for what is no plain RTSP URL.
    pub fn parse(text: &str) -> Option<RtspUrl> {
        if text.len() > MAX_URL || !is_sendable(text) {
            return None;
        }
        let (scheme, rest) = text.split_once("://")?;
        let is_tls = scheme.eq_ignore_ascii_case("rtsps");
        if !is_tls && !scheme.eq_ignore_ascii_case("rtsp") {
            return None;
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let authority = authority.rsplit_once('@').map_or(authority, |(_, own)| own);
        let (host, port) = split_port(authority, default_port(is_tls))?;
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_host) {
            return None;
        }
        Some(RtspUrl {
            is_tls,
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        })
    }

    /// The URL of a track: RFC 2326 C.1.1, and with a plain slash between as every server expects, even after a query.
    pub fn control(base: &str, control: &str) -> Option<String> {
        let joined = match control {
            "" | "*" => base.to_owned(),
            _ if has_scheme(control) => without_user(control),
            _ if base.ends_with('/') || control.starts_with('?') => format!("{base}{control}"),
            _ => format!("{base}/{}", control.trim_start_matches('/')),
        };
        (joined.len() <= MAX_URL && is_sendable(&joined)).then_some(joined)
    }
}

impl fmt::Display for RtspUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RtspUrl {
            is_tls,
            host,
            port,
            path,
        } = self;
        let scheme = if *is_tls { "rtsps" } else { "rtsp" };
        let (open, close) = if host.contains(':') {
            ("[", "]")
        } else {
            ("", "")
        };
        if *port == default_port(*is_tls) {
            write!(out, "{scheme}://{open}{host}{close}{path}")
        } else {
            write!(out, "{scheme}://{open}{host}{close}:{port}{path}")
        }
    }
}

/// Whether the text may stand in a request line: visible ASCII only.
pub fn is_sendable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The URL without its user information, if it has any.
pub fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

fn has_scheme(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

fn default_port(is_tls: bool) -> u16 {
    if is_tls {
        DEFAULT_TLS_PORT
    } else {
        DEFAULT_PORT
    }
}

fn split_port(authority: &str, default: u16) -> Option<(&str, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, after.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    match port {
        None | Some("") => Some((host, default)),
        Some(port) => port
            .parse()
            .ok()
            .filter(|&port| port != 0)
            .map(|port| (host, port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_a_url_are_dropped() {
        let url = RtspUrl::parse("rtsp://admin:p@ss@10.0.0.9:8554/live?ch=1").unwrap();
        assert_eq!((url.host.as_str(), url.port), ("10.0.0.9", 8554));
        assert_eq!(url.to_string(), "rtsp://10.0.0.9:8554/live?ch=1");
        assert_eq!(without_user("rtsp://a:b@h/x@y"), "rtsp://h/x@y");
    }

    #[test]
    fn the_port_may_be_left_out_and_ipv6_keeps_its_brackets() {
        assert_eq!(RtspUrl::parse("RTSP://cam").unwrap().port, 554);
        assert_eq!(RtspUrl::parse("rtsps://cam").unwrap().port, 322);
        let url = RtspUrl::parse("RTSPS://cam:322/a").unwrap();
        assert_eq!(
            (url.is_tls, url.to_string().as_str()),
            (true, "rtsps://cam/a")
        );
        let url = RtspUrl::parse("rtsp://[fe80::1]:8554/a").unwrap();
        assert_eq!(url.to_string(), "rtsp://[fe80::1]:8554/a");
    }

    #[test]
    fn what_is_no_rtsp_url_is_refused() {
        for text in [
            "http://h/",
            "rtsp://",
            "rtsp://h:0/",
            "rtsp://h:x/",
            "rtsp://h/\r\nX: y",
            "rtsp://h /",
        ] {
            assert_eq!(RtspUrl::parse(text), None, "{text:?}");
        }
        assert_eq!(
            RtspUrl::parse(&format!("rtsp://h/{}", "a".repeat(MAX_URL))),
            None
        );
    }

    #[test]
    fn control_urls_are_absolute_or_follow_the_base() {
        let control = |base, text| RtspUrl::control(base, text).unwrap();
        assert_eq!(control("rtsp://h/a", "*"), "rtsp://h/a");
        assert_eq!(control("rtsp://h/a", "trackID=1"), "rtsp://h/a/trackID=1");
        assert_eq!(control("rtsp://h/a/", "trackID=1"), "rtsp://h/a/trackID=1");
        assert_eq!(control("rtsp://h/a?x=1", "t=2"), "rtsp://h/a?x=1/t=2");
        assert_eq!(
            control("rtsp://h/a", "rtsp://u:p@10.0.0.1/b"),
            "rtsp://10.0.0.1/b"
        );
        assert_eq!(RtspUrl::control("rtsp://h/a", "x\r\ny"), None);
    }
}
