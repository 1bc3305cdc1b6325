//! Segments read back from a disk that may give back anything: what is whole is told, and a mended one is whole.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use commonview_media::recording::{self, reader, scan, sound};
use libfuzzer_sys::fuzz_target;

/// Where the file of this process lies: in memory where there is such a place, for a mended segment is synced.
static PLACE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let root = if memory.is_dir() {
        memory.to_path_buf()
    } else {
        std::env::temp_dir()
    };
    root.join(format!("commonview-fuzz-scan-{}", std::process::id()))
});

fn named(ending: &str) -> PathBuf {
    PLACE.with_extension(&ending[1..])
}

fn read(path: &Path, length: u64) {
    if let Ok((head, places)) = reader::fragments(path) {
        assert!(head.length == length && head.init <= length);
        let mut end = head.init;
        for place in places {
            assert!(place.offset >= end);
            end = place.offset + place.bytes;
        }
        assert!(end <= length);
    }
    if let Ok((head, groups)) = reader::groups(path) {
        for group in groups {
            assert!(group.offset >= head.init && group.offset + group.bytes <= length);
        }
    }
    if let Ok(Some(heard)) = sound::sound(path, 0..u64::MAX, None) {
        assert!(heard.bytes.starts_with(&[0, 0, 0]));
    }
}

fuzz_target!(|data: &[u8]| {
    let part = named(recording::UNFINISHED);
    let finished = named(recording::FINISHED);
    fs::write(&part, data).expect("a file of ours");
    let found = scan::scan(&part).expect("a file that can be read is told of");
    assert_eq!(found.length, data.len() as u64);
    assert!(found.whole <= found.length);
    assert!(found.pictures == 0 || !found.codec.is_empty());
    read(&part, found.length);
    match scan::mend(&part).expect("a segment is mended or removed") {
        None => assert_eq!(found.pictures, 0),
        Some((path, mended)) => {
            assert_eq!(path, finished);
            assert!(mended.is_finished && mended.pictures == found.pictures);
            assert_eq!(
                (mended.whole, mended.duration),
                (found.whole, found.duration)
            );
            let kept = fs::read(&path).expect("the mended segment");
            let whole = found.whole as usize;
            assert_eq!(kept[..whole], data[..whole]);
            assert!(scan::hash_file(&path).is_ok_and(|hash| hash == mended.sha256));
            read(&path, mended.length);
            fs::remove_file(&path).expect("the mended segment goes");
        }
    }
    assert!(!part.exists());
});
