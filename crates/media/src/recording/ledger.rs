//! What of a segment that is being written is on the disk already: enough to play it while it grows.
//!
//! The writer enters what the kernel took, the syncer marks how much of it is durable, and only that is told. So what
//! anybody was shown as recorded is there after a power cut too: mending an unfinished segment cuts none of it off.
//! Nothing here reads the disk: the writer has the fragments in its hand.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::reader::{FRAGMENTS_MAX, Group, HEAD, Head, end_us, shown_us};
use super::scan::{Fragment, VIDEO_TRACK, word};

/// How far a segment has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Bytes of the file: whole fragments.
    bytes: u64,
    /// When its last picture ends, microseconds from its beginning.
    end_us: u64,
}

/// What is durable of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durable {
    /// What a player must know; `length` is what is durable.
    pub head: Head,
    /// Groups of pictures, the last as far as it is there.
    pub groups: Vec<Group>,
    /// When its last picture ends, microseconds from its beginning.
    pub end_us: u64,
}

#[derive(Debug, Default)]
struct Account {
    head: Option<Head>,
    groups: Vec<Group>,
    written: Extent,
    durable: Extent,
}

/// The account of one file.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Account>);

impl Ledger {
    fn account(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kernel took these pieces: the beginning of a segment, whole fragments, its index.
    pub fn wrote(&self, pieces: &[Bytes]) {
        self.account().wrote(pieces);
    }

    /// How far the kernel has it: to be told to [`Ledger::synced`] when a sync that begins now is over.
    pub fn written(&self) -> Extent {
        self.account().written
    }

    /// So much is durable.
    pub fn synced(&self, extent: Extent) {
        self.account().durable = extent;
    }

    /// What is durable; `None` before the first picture is.
    pub fn durable(&self) -> Option<Durable> {
        let account = self.account();
        let Extent { bytes, end_us } = account.durable;
        let groups: Vec<Group> = account
            .groups
            .iter()
            .take_while(|group| group.offset < bytes)
            .map(|group| Group {
                bytes: group.bytes.min(bytes - group.offset),
                ..*group
            })
            .collect();
        let head = account.head.as_ref().filter(|_| !groups.is_empty())?;
        Some(Durable {
            head: Head {
                length: bytes,
                ..head.clone()
            },
            groups,
            end_us,
        })
    }
}

impl Account {
    fn wrote(&mut self, pieces: &[Bytes]) {
        let mut fragment = None;
        for piece in pieces {
            let mut rest = &piece[..];
            // What the house wrote itself: boxes side by side, none of them cut.
            while let Some(size) = word(rest, 0).map(|size| size as usize)
                && let (Some(kind), Some(content)) = (rest.get(4..8), rest.get(HEAD as usize..size))
            {
                match kind {
                    b"moov" => self.head = Head::of(content, self.written.bytes + size as u64),
                    b"moof" => fragment = Fragment::of(content, self.written.bytes),
                    b"mdat" => {
                        if let Some(fragment) = fragment.take() {
                            self.place(&fragment, self.written.bytes + size as u64);
                        }
                    }
                    _ => {}
                }
                self.written.bytes += size as u64;
                rest = &rest[size..];
            }
        }
    }

    /// A whole fragment that ends there.
    fn place(&mut self, fragment: &Fragment, end: u64) {
        let is_picture = fragment.track == VIDEO_TRACK;
        if is_picture {
            self.written.end_us = self.written.end_us.max(end_us(fragment));
        }
        if is_picture && fragment.run.is_key_frame && self.groups.len() < FRAGMENTS_MAX {
            self.groups.push(Group {
                begin_us: shown_us(fragment),
                offset: fragment.at,
                bytes: 0,
            });
        }
        if let Some(group) = self.groups.last_mut() {
            group.bytes = end - group.offset;
        }
    }
}
