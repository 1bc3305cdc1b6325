//! What is asked of HLS: what is read could have stood in a playlist of ours, and is read back the same.
#![no_main]

use commonview_media::outlets::hls::request::{Item, Target, parse, write_key};
use commonview_media::ticket::is_valid_id;
use libfuzzer_sys::fuzz_target;

/// Name and directives of something of a session.
fn written(item: Item) -> (String, String) {
    match item {
        Item::Playlist(None) => ("live.m3u8".into(), String::new()),
        Item::Playlist(Some(awaited)) => {
            let part = awaited.part.map(|part| format!("&_HLS_part={part}"));
            let directives = format!("_HLS_msn={}{}", awaited.segment, part.unwrap_or_default());
            ("live.m3u8".into(), directives)
        }
        Item::Init(generation) => (format!("init-{generation}.mp4"), String::new()),
        Item::Segment(segment) => (format!("seg-{segment}.m4s"), String::new()),
        Item::Part(segment, part) => (format!("part-{segment}-{part}.m4s"), String::new()),
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let Ok((stream_id, target)) = parse(path, query) else {
        return;
    };
    assert!(is_valid_id(&stream_id));
    let (name, directives) = match target {
        Target::Multivariant => ("index.m3u8".into(), String::new()),
        Target::Of(key, item) => {
            let (name, directives) = written(item);
            (format!("{}/{name}", write_key(&key)), directives)
        }
    };
    let again = parse(&format!("{stream_id}/{name}"), &directives);
    assert_eq!(again, Ok((stream_id, target)));
});
