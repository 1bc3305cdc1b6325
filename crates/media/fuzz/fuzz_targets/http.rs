//! Request heads: a head is read the same whatever is behind it, and what is read could have been sent.
#![no_main]

use commonview_media::http::{HEAD_MAX, Upgrade, parse_request};
use commonview_media::ticket::is_valid_id;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(Some((request, len))) = parse_request(data) else {
        return;
    };
    assert!(len <= data.len() && len <= HEAD_MAX);
    assert!(is_valid_id(&request.stream_id));
    if let Upgrade::WebSocket { key } = &request.upgrade {
        assert_eq!(key.len(), 24);
    }
    assert_eq!(parse_request(&data[..len]), Ok(Some((request, len))));
    for shorter in 0..len {
        assert!(!matches!(parse_request(&data[..shorter]), Ok(Some(_))));
    }
});
