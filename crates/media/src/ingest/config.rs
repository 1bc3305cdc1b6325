//! Policies and limits of one stream.

/// Names where packets come from: a UDP peer or a TCP connection. The caller chooses the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceId(pub u64);

/// Which synchronisation source (RFC 3550 3) a stream accepts.
///
/// Whatever the policy, a source that does not match is counted and reported once per SSRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SsrcPolicy {
    /// Only this SSRC; all else is dropped.
    Strict(u32),
    /// The expected SSRC if it comes, else the first one seen; bound to the peer it was seen from until that peer
    /// falls silent.
    Learn(Option<u32>),
    /// As `Learn`, and every change of the SSRC by that peer is taken at once, even back to a former one.
    Follow(Option<u32>),
}

/// What to do with pictures after packet loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterLoss {
    /// Hold the last good picture: drop everything until the next key frame.
    DropToKeyFrame,
    /// Deliver damaged and dependent pictures, marked.
    Deliver,
}

/// Limits and policies of one stream.
#[derive(Clone, Debug)]
pub struct IngestConfig {
    /// Which SSRC to accept.
    pub ssrc: SsrcPolicy,
    /// What to do after loss.
    pub after_loss: AfterLoss,
    /// Largest number of datagrams held back while one is missing.
    pub reorder_packets: usize,
    /// Longest time a datagram is held back, microseconds.
    pub reorder_us: u64,
    /// Silence after which a latched source may be replaced, microseconds.
    pub relatch_us: u64,
    /// Largest access unit; a larger one is dropped and counted.
    pub max_access_unit_bytes: usize,
}

impl Default for IngestConfig {
    fn default() -> Self {
        Self {
            ssrc: SsrcPolicy::Learn(None),
            after_loss: AfterLoss::DropToKeyFrame,
            reorder_packets: 64,
            reorder_us: 100_000,
            relatch_us: 3_000_000,
            max_access_unit_bytes: 4 << 20,
        }
    }
}
