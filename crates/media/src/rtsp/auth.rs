//! Digest and Basic authentication of RTSP (RFC 2326 D, RFC 7616, RFC 7617).

use std::hash::{BuildHasher, Hasher, RandomState};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use sha2::Sha256;

/// Longest value of a challenge that is used.
const MAX_VALUE: usize = 512;

/// Who asks. Not `Debug`: a password must not reach a log.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

/// Hash of a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    fn hash(self, text: &str) -> String {
        match self {
            Self::Md5 => hex(&Md5::digest(text)),
            Self::Sha256 => hex(&Sha256::digest(text)),
        }
    }
}

/// What a server asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Digest(DigestChallenge),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct DigestChallenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// The algorithm as the server wrote it, when it did.
    algorithm_word: Option<String>,
    is_session: bool,
    has_qop: bool,
    is_stale: bool,
}

/// Answers the challenges of one server.
#[derive(Clone)]
pub struct Authenticator {
    credentials: Credentials,
    challenge: Option<Challenge>,
    nonce_count: u32,
    client_nonce: String,
}

impl Authenticator {
    /// Nothing was asked for yet.
    pub fn new(credentials: Credentials) -> Self {
        let random = || RandomState::new().build_hasher().finish();
        Self {
            credentials,
            challenge: None,
            nonce_count: 0,
            client_nonce: format!("{:016x}{:016x}", random(), random()),
        }
    }

    /// Take the `WWW-Authenticate` values of a 401; true when trying (again) makes sense.
    ///
    /// Digest is preferred, SHA-256 before MD5; Basic sends the password and is used only when nothing else is
    /// offered. A second refusal is final unless the server says that the nonce was merely stale.
    pub fn challenged<'a>(&mut self, values: impl Iterator<Item = &'a str>) -> bool {
        if self.credentials.username.is_empty() {
            return false;
        }
        let mut best: Option<Challenge> = None;
        for value in values {
            match parse(value) {
                Some(Challenge::Digest(new)) => match &best {
                    Some(Challenge::Digest(known)) if known.algorithm >= new.algorithm => {}
                    _ => best = Some(Challenge::Digest(new)),
                },
                Some(Challenge::Basic) => {
                    best.get_or_insert(Challenge::Basic);
                }
                None => {}
            }
        }
        let Some(best) = best else { return false };
        let may_retry = match (&self.challenge, &best) {
            (None, _) => true,
            (Some(Challenge::Digest(former)), Challenge::Digest(new)) => {
                new.is_stale && new.nonce != former.nonce
            }
            _ => false,
        };
        self.challenge = Some(best);
        self.nonce_count = 0;
        may_retry
    }

    /// The `Authorization` value for a request, once the server asked for one.
    pub fn authorization(&mut self, method: &str, uri: &str) -> Option<String> {
        match self.challenge.as_ref()? {
            Challenge::Basic => {
                let pair = format!(
                    "{}:{}",
                    self.credentials.username, self.credentials.password
                );
                Some(format!("Basic {}", BASE64_STANDARD.encode(pair)))
            }
            Challenge::Digest(challenge) => {
                self.nonce_count += 1;
                Some(challenge.answer(
                    &self.credentials,
                    (method, uri),
                    (&self.client_nonce, self.nonce_count),
                ))
            }
        }
    }
}

impl DigestChallenge {
    fn answer(
        &self,
        who: &Credentials,
        (method, uri): (&str, &str),
        (cnonce, count): (&str, u32),
    ) -> String {
        let hash = |text: &str| self.algorithm.hash(text);
        let Self { realm, nonce, .. } = self;
        let mut secret = hash(&format!("{}:{realm}:{}", who.username, who.password));
        if self.is_session {
            secret = hash(&format!("{secret}:{nonce}:{cnonce}"));
        }
        let request = hash(&format!("{method}:{uri}"));
        let response = if self.has_qop {
            hash(&format!(
                "{secret}:{nonce}:{count:08x}:{cnonce}:auth:{request}"
            ))
        } else {
            hash(&format!("{secret}:{nonce}:{request}"))
        };
        let mut value = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\"",
            quoted(&who.username),
            quoted(realm),
            quoted(nonce),
            quoted(uri),
        );
        if let Some(word) = &self.algorithm_word {
            value.push_str(&format!(", algorithm={word}"));
        }
        if self.has_qop || self.is_session {
            value.push_str(&format!(", qop=auth, nc={count:08x}, cnonce=\"{cnonce}\""));
        }
        if let Some(opaque) = &self.opaque {
            value.push_str(&format!(", opaque={}", quoted(opaque)));
        }
        value
    }
}

fn parse(value: &str) -> Option<Challenge> {
    let value = value.trim();
    let (scheme, rest) = value.split_once([' ', '\t']).unwrap_or((value, ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("digest") {
        return None;
    }
    let mut challenge = DigestChallenge {
        realm: String::new(),
        nonce: String::new(),
        opaque: None,
        algorithm: Algorithm::Md5,
        algorithm_word: None,
        is_session: false,
        has_qop: false,
        is_stale: false,
    };
    for (name, value) in parameters(rest) {
        match name.to_ascii_lowercase().as_str() {
            "realm" => challenge.realm = value,
            "nonce" => challenge.nonce = value,
            "opaque" => challenge.opaque = Some(value),
            "stale" => challenge.is_stale = value.eq_ignore_ascii_case("true"),
            "qop" => {
                let words = value.split(',').map(str::trim);
                let mut words = words.filter(|word| !word.is_empty());
                // auth-int alone would need the body's hash, and no camera is known to ask for it.
                challenge.has_qop = words.any(|word| word.eq_ignore_ascii_case("auth"));
                if !challenge.has_qop && !value.trim().is_empty() {
                    return None;
                }
            }
            "algorithm" => {
                let (base, is_session) = match value.to_ascii_uppercase().strip_suffix("-SESS") {
                    Some(base) => (base.to_owned(), true),
                    None => (value.to_ascii_uppercase(), false),
                };
                challenge.algorithm = match base.as_str() {
                    "MD5" => Algorithm::Md5,
                    "SHA-256" => Algorithm::Sha256,
                    _ => return None,
                };
                challenge.is_session = is_session;
                challenge.algorithm_word = Some(value);
            }
            _ => {}
        }
    }
    (!challenge.nonce.is_empty()).then_some(Challenge::Digest(challenge))
}

/// `name=value` pairs with or without quotes. What cannot be read ends the list; values are bounded.
pub(crate) fn parameters(mut rest: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    while found.len() < 32 {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let Some((name, after)) = rest.split_once('=') else {
            break;
        };
        let after = after.trim_start();
        let (value, left) = match after.strip_prefix('"') {
            Some(text) => unquote(text),
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if value.len() > MAX_VALUE || value.bytes().any(|byte| byte.is_ascii_control()) {
            break;
        }
        found.push((name.trim().to_owned(), value));
        rest = left;
    }
    found
}

fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mufasa() -> Credentials {
        Credentials {
            username: "Mufasa".into(),
            password: "Circle of Life".into(),
        }
    }

    /// RFC 7616 3.9.1 with its own client nonce.
    fn rfc7616(algorithm: &str) -> String {
        let mut auth = Authenticator::new(mufasa());
        auth.client_nonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ".into();
        let challenge = format!(
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        );
        assert!(auth.challenged([challenge.as_str()].into_iter()));
        auth.authorization("GET", "/dir/index.html").unwrap()
    }

    #[test]
    fn digests_are_those_of_the_examples_of_rfc_7616() {
        assert!(rfc7616("MD5").contains("response=\"8ca523f5e9506fed4657c9700eebdbec\""));
        assert!(rfc7616("SHA-256").contains(
            "response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\""
        ));
    }

    #[test]
    fn without_qop_the_digest_is_that_of_rfc_2069() {
        let mut auth = Authenticator::new(mufasa());
        let challenge =
            "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"";
        assert!(auth.challenged([challenge].into_iter()));
        let value = auth.authorization("GET", "/dir/index.html").unwrap();
        // MD5(MD5("Mufasa:testrealm@host.com:Circle of Life"):nonce:MD5("GET:/dir/index.html"))
        let secret = Algorithm::Md5.hash("Mufasa:testrealm@host.com:Circle of Life");
        let request = "39aff3a2bab6126f332b942af96d3366";
        let response = Algorithm::Md5.hash(&format!(
            "{secret}:dcd98b7102dd2f0e8b11d0f600bfb0c093:{request}"
        ));
        assert!(value.contains(&format!("response=\"{response}\"")));
        assert!(!value.contains("cnonce") && !value.contains("algorithm"));
    }

    #[test]
    fn basic_is_used_only_when_nothing_else_is_offered() {
        let digest = "Digest realm=\"r\", nonce=\"n\"";
        let mut auth = Authenticator::new(mufasa());
        assert!(auth.challenged(["Basic realm=\"r\"", digest].into_iter()));
        assert!(
            auth.authorization("OPTIONS", "*")
                .unwrap()
                .starts_with("Digest ")
        );
        let mut auth = Authenticator::new(mufasa());
        assert!(auth.challenged(["Basic realm=\"r\""].into_iter()));
        assert_eq!(
            auth.authorization("OPTIONS", "*").unwrap(),
            "Basic TXVmYXNhOkNpcmNsZSBvZiBMaWZl"
        );
    }

    #[test]
    fn sha_256_is_preferred_in_either_order() {
        let md5 = "Digest realm=\"r\", nonce=\"n\", algorithm=MD5";
        let sha = "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-256";
        for offer in [[md5, sha], [sha, md5]] {
            let mut auth = Authenticator::new(mufasa());
            assert!(auth.challenged(offer.into_iter()));
            assert!(
                auth.authorization("OPTIONS", "*")
                    .unwrap()
                    .contains("algorithm=SHA-256")
            );
        }
    }

    #[test]
    fn a_second_refusal_is_final_unless_the_nonce_was_stale() {
        let mut auth = Authenticator::new(mufasa());
        assert!(auth.challenged(["Digest realm=\"r\", nonce=\"1\""].into_iter()));
        assert!(auth.challenged(["Digest realm=\"r\", nonce=\"2\", stale=TRUE"].into_iter()));
        assert!(!auth.challenged(["Digest realm=\"r\", nonce=\"2\", stale=true"].into_iter()));
        assert!(!auth.challenged(["Digest realm=\"r\", nonce=\"3\""].into_iter()));
        let mut nobody = Authenticator::new(Credentials::default());
        assert!(!nobody.challenged(["Basic realm=\"r\""].into_iter()));
    }

    #[test]
    fn unknown_and_broken_challenges_are_not_answered() {
        for value in [
            "Negotiate x",
            "Digest realm=\"r\"",
            "Digest nonce=\"n\", algorithm=SHA-512-256",
            "",
        ] {
            let mut auth = Authenticator::new(mufasa());
            assert!(!auth.challenged([value].into_iter()), "{value}");
            assert!(auth.authorization("OPTIONS", "*").is_none());
        }
    }
}
