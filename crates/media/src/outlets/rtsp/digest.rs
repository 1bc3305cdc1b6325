//! The server's side of digest authentication (RFC 2326 D.1 with RFC 2617, MD5: what players of RTSP 1.0 speak).
//!
//! The secret is random, 132 bits long, good for one connection within a minute and never sent; what is known of MD5 helps nobody to
//! find it. No `qop` is asked for: the server's nonce belongs to one connection, so that an answer cannot be used on another.

use md5::{Digest, Md5};

use crate::random;
use crate::rtsp::auth::{hex, parameters};

/// The realm of every challenge.
pub const REALM: &str = "Commonview";

/// What a player answered to a challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The name it signs in by.
    pub username: String,
    nonce: String,
    uri: String,
    response: String,
}

impl Answer {
    /// Read an `Authorization` value; `None` for what is no digest by the simple form that was asked for.
    pub fn parse(value: &str) -> Option<Answer> {
        let (scheme, rest) = value.trim().split_once([' ', '\t'])?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let parameters = parameters(rest);
        let find = |name: &str| {
            let known = parameters.iter();
            let mut found = known.filter(|(known, _)| known.eq_ignore_ascii_case(name));
            found.next().map(|(_, value)| value.clone())
        };
        let is_other = |name, word: &str| {
            find(name).is_some_and(|value: String| !value.eq_ignore_ascii_case(word))
        };
        if is_other("algorithm", "MD5") || is_other("realm", REALM) || find("qop").is_some() {
            return None;
        }
        Some(Answer {
            username: find("username")?,
            nonce: find("nonce")?,
            uri: find("uri")?,
            response: find("response")?,
        })
    }

    /// Whether it was made with this password for this method and challenge.
    pub fn is_right(&self, method: &str, nonce: &str, password: &str) -> bool {
        let hash = |text: String| hex(&Md5::digest(text));
        let secret = hash(format!("{}:{REALM}:{password}", self.username));
        let request = hash(format!("{method}:{}", self.uri));
        let right = hash(format!("{secret}:{nonce}:{request}"));
        self.nonce == nonce && is_same(&right, &self.response)
    }
}

/// A nonce nobody can foresee; none when the system gives no randomness.
pub fn fresh_nonce() -> Option<String> {
    random::octets::<16>().map(|octets| hex(&octets))
}

/// The value of a `WWW-Authenticate` field.
pub fn challenge(nonce: &str) -> String {
    format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\", algorithm=MD5")
}

/// In a time that does not depend on where they differ.
fn is_same(right: &str, given: &str) -> bool {
    let differing = |sum, (a, b): (u8, u8)| sum | (a ^ b.to_ascii_lowercase());
    right.len() == given.len() && right.bytes().zip(given.bytes()).fold(0, differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtsp::auth::{Authenticator, Credentials};

    #[test]
    fn our_own_client_is_let_in_and_nobody_with_another_password() {
        let mut client = Authenticator::new(Credentials {
            username: "0a".into(),
            password: "secret".into(),
        });
        let nonce = fresh_nonce().unwrap();
        assert!(client.challenged([challenge(&nonce).as_str()].into_iter()));
        let value = client
            .authorization("DESCRIBE", "rtsp://h/live/s1")
            .unwrap();
        let answer = Answer::parse(&value).unwrap();
        assert_eq!(answer.username, "0a");
        assert!(answer.is_right("DESCRIBE", &nonce, "secret"));
        assert!(!answer.is_right("DESCRIBE", &nonce, "Secret"));
        assert!(!answer.is_right("SETUP", &nonce, "secret"));
        assert!(!answer.is_right("DESCRIBE", &fresh_nonce().unwrap(), "secret"));
    }

    #[test]
    fn other_schemes_hashes_and_halves_are_no_answer() {
        for value in [
            "",
            "Basic YTpi",
            "Digest username=\"a\"",
            "Digest username=\"a\", realm=\"x\", nonce=\"n\", uri=\"u\", response=\"r\"",
            "Digest username=\"a\", nonce=\"n\", uri=\"u\", response=\"r\", algorithm=SHA-256",
            "Digest username=\"a\", nonce=\"n\", uri=\"u\", response=\"r\", qop=auth",
        ] {
            assert_eq!(Answer::parse(value), None, "{value}");
        }
    }
}
