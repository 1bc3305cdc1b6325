//! Tickets: no input is taken for one of ours, a ticket is read back as it was, and what was signed and is none is refused.
#![no_main]

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use commonview_media::ticket::{Peers, Protocol, Refusal, Ticket, Verifier};
use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use sha2::Sha256;

const KEY: [u8; 32] = [7; 32];
const NOW_MS: u64 = 1_795_000_000_000;

/// A payload that nobody but us can have signed, whatever it says.
fn signed(payload: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(&KEY).expect("keys of any length are taken");
    mac.update(payload);
    let signature = mac.finalize().into_bytes();
    URL_SAFE_NO_PAD.encode([payload, &signature[..]].concat())
}

fuzz_target!(|data: &[u8]| {
    let Some(verifier) = Verifier::new(&KEY) else {
        return;
    };
    let token = signed(data);
    match verifier.verify_any(&token, Protocol::Http, NOW_MS) {
        // There is one way to write a ticket down.
        Ok(ticket) => assert_eq!(verifier.sign(&ticket), Some(token)),
        Err(refusal) => assert_ne!(refusal, Refusal::Forged),
    }
    if let Ok(token) = std::str::from_utf8(data) {
        let verdict = verifier.verify(token, "stream", Protocol::Http, NOW_MS);
        assert!(matches!(verdict, Err(Refusal::Malformed | Refusal::Forged)));
    }
    let Some((nonce, rest)) = data.split_first_chunk::<16>() else {
        return;
    };
    let mut ids = rest
        .split(|&byte| byte == b'\n')
        .map(|id| String::from_utf8_lossy(id).into_owned());
    let mut next = || ids.next().unwrap_or_default();
    let ticket = Ticket {
        stream_id: next(),
        access_id: next(),
        grant_id: next(),
        protocol: Protocol::Http,
        start_by_ms: NOW_MS + 1 + u64::from(nonce[0]) * 200,
        end_by_ms: NOW_MS + 1 + u64::from(nonce[1]),
        nonce: *nonce,
        peers: Peers::new(
            IpAddr::from([nonce[0], nonce[1], nonce[2], nonce[3]]),
            nonce[4],
        ),
    };
    if let Some(token) = verifier.sign(&ticket) {
        let verdict = verifier.verify(&token, &ticket.stream_id, Protocol::Http, NOW_MS);
        assert_eq!(verdict, Ok(ticket));
    }
});
