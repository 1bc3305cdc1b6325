//! Tickets: no input is taken for one of ours, and a signed payload is read back as it was or refused.
#![no_main]

use std::net::IpAddr;

use commonview_media::ticket::{Peers, Protocol, Refusal, Ticket, Verifier};
use libfuzzer_sys::fuzz_target;

const NOW_MS: u64 = 1_795_000_000_000;

fuzz_target!(|data: &[u8]| {
    let Some(verifier) = Verifier::new(&[7; 32]) else {
        return;
    };
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
        peers: Peers::new(IpAddr::from([nonce[0], nonce[1], nonce[2], nonce[3]]), nonce[4]),
    };
    if let Some(token) = verifier.sign(&ticket) {
        let verdict = verifier.verify(&token, &ticket.stream_id, Protocol::Http, NOW_MS);
        assert_eq!(verdict, Ok(ticket));
    }
});
