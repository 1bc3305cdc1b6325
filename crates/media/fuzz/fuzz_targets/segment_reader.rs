//! Segments read for those who play them: whatever the file says, what is told lies in it, and names are fit for a browser.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use commonview_media::recording::reader::{self, Head};
use libfuzzer_sys::fuzz_target;

/// The file of this process: in memory where there is such a place.
static PLACE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let root = match memory.is_dir() {
        true => memory.to_path_buf(),
        false => std::env::temp_dir(),
    };
    root.join(format!("commonview-fuzz-reader-{}", std::process::id()))
});

fn check(head: &Head, length: u64) {
    assert!(head.length == length && head.init <= length);
    assert!(!head.codecs.video.is_empty());
    for name in [&head.codecs.video, &head.codecs.audio] {
        let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'.';
        assert!(name.len() <= 64 && name.bytes().all(is_plain), "{name}");
    }
}

fuzz_target!(|data: &[u8]| {
    fs::write(&*PLACE, data).expect("a file of ours");
    let length = data.len() as u64;
    let walked = reader::fragments(&PLACE);
    if let Ok((head, places)) = &walked {
        check(head, length);
        let mut end = head.init;
        for place in places {
            assert_eq!(place.offset, end, "fragments lie side by side");
            end += place.bytes;
        }
        assert!(end <= length);
    }
    let found = reader::groups(&PLACE);
    assert_eq!(found.is_ok(), walked.is_ok());
    if let Ok((head, groups)) = found {
        check(&head, length);
        let mut end = head.init;
        for group in groups {
            assert!(group.offset >= end && group.bytes > 0);
            end = group.offset + group.bytes;
        }
        assert!(end <= length);
    }
});
