//! Which synchronisation source a stream listens to.
//!
//! Cameras ignore the SSRC they were told, always send 0, or keep sending after the session moved on; so a source
//! is bound by port first and by SSRC second, the odd one out is reported once and counted.

use crate::ingest::{SourceId, SsrcPolicy};

/// Most SSRCs that are reported by name; more are only counted.
const MAX_REPORTED: usize = 16;

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Use the packet.
    pub accept: bool,
    /// The packet begins a new source: what was in flight belongs to another one.
    pub is_new_source: bool,
    /// Tell the operator: `(expected, seen)`.
    pub mismatch: Option<(u32, u32)>,
}

const SAME: Verdict = Verdict {
    accept: true,
    is_new_source: false,
    mismatch: None,
};

/// Decides by [`SsrcPolicy`].
#[derive(Debug)]
pub struct SsrcGate {
    policy: SsrcPolicy,
    relatch_us: u64,
    current: Option<(u32, SourceId)>,
    last_us: u64,
    reported: Vec<u32>,
}

impl SsrcGate {
    /// A gate that has seen nothing; `relatch_us` of silence lets another source take over.
    pub fn new(policy: SsrcPolicy, relatch_us: u64) -> Self {
        Self {
            policy,
            relatch_us,
            current: None,
            last_us: 0,
            reported: Vec::new(),
        }
    }

    /// Replaces the expected SSRC (GB/T 28181: the answer's `y=` differs from the offer's).
    pub fn expect(&mut self, ssrc: u32) {
        self.policy = match self.policy {
            SsrcPolicy::Strict(_) => SsrcPolicy::Strict(ssrc),
            SsrcPolicy::Learn(_) => SsrcPolicy::Learn(Some(ssrc)),
            SsrcPolicy::Follow(_) => SsrcPolicy::Follow(Some(ssrc)),
        };
    }

    /// The SSRC in force.
    pub fn current(&self) -> Option<u32> {
        self.current.map(|(ssrc, _)| ssrc)
    }

    /// The peer the stream is taken from.
    pub fn source(&self) -> Option<SourceId> {
        self.current.map(|(_, source)| source)
    }

    /// The source in force is gone (its connection closed): the next one may take its place at once.
    pub fn release(&mut self, source: SourceId) {
        if self.current.is_some_and(|(_, of)| of == source) {
            self.current = None;
        }
    }

    /// Judges a packet that arrived at `now_us`.
    #[inline]
    pub fn check(&mut self, now_us: u64, ssrc: u32, source: SourceId) -> Verdict {
        if self.current == Some((ssrc, source)) {
            self.last_us = now_us;
            return SAME;
        }
        self.check_other(now_us, ssrc, source)
    }

    fn check_other(&mut self, now_us: u64, ssrc: u32, source: SourceId) -> Verdict {
        let is_silent = now_us.saturating_sub(self.last_us) >= self.relatch_us;
        let (expected, accept) = match (self.policy, self.current) {
            (SsrcPolicy::Strict(expected), _) => (Some(expected), ssrc == expected),
            (SsrcPolicy::Learn(expected) | SsrcPolicy::Follow(expected), None) => (expected, true),
            (SsrcPolicy::Learn(expected), Some((current, _))) => {
                let better = expected == Some(ssrc) && current != ssrc;
                (expected.or(Some(current)), better || is_silent)
            }
            (SsrcPolicy::Follow(expected), Some((current, from))) => {
                let better = expected == Some(ssrc) && current != ssrc;
                let changed = from == source;
                (expected.or(Some(current)), better || changed || is_silent)
            }
        };
        let mut is_new_source = false;
        if accept {
            // The same SSRC from another address continues the same sequence numbers.
            is_new_source = self.current() != Some(ssrc);
            self.current = Some((ssrc, source));
            self.last_us = now_us;
        }
        let mismatch = expected
            .filter(|&expected| expected != ssrc && self.report_once(ssrc))
            .map(|expected| (expected, ssrc));
        Verdict {
            accept,
            is_new_source,
            mismatch,
        }
    }

    fn report_once(&mut self, ssrc: u32) -> bool {
        if self.reported.len() >= MAX_REPORTED || self.reported.contains(&ssrc) {
            return false;
        }
        self.reported.push(ssrc);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SourceId = SourceId(1);
    const B: SourceId = SourceId(2);

    #[test]
    fn strict_accepts_only_the_expected_ssrc_and_reports_others_once() {
        let mut gate = SsrcGate::new(SsrcPolicy::Strict(5), 1000);
        assert_eq!(gate.check(0, 6, A).mismatch, Some((5, 6)));
        let again = gate.check(1, 6, A);
        assert!(!again.accept && again.mismatch.is_none());
        assert!(gate.check(2, 5, B).accept);
        assert_eq!(gate.current(), Some(5));
    }

    #[test]
    // trap 34
    fn learn_takes_the_first_ssrc_of_a_camera_that_chose_its_own_and_no_third_one() {
        let mut gate = SsrcGate::new(SsrcPolicy::Learn(Some(5)), 1000);
        let first = gate.check(0, 0, A);
        assert!(first.accept && first.is_new_source);
        assert_eq!(first.mismatch, Some((5, 0)));
        assert!(!gate.check(1, 9, A).accept);
        assert!(
            gate.check(2, 5, A).accept,
            "the one that was agreed on is always taken"
        );
    }

    #[test]
    // trap 34
    fn follow_takes_every_change_of_the_same_peer_and_of_no_other() {
        let mut gate = SsrcGate::new(SsrcPolicy::Follow(Some(5)), 1000);
        for (n, ssrc) in [5, 0, 9, 5, 0].into_iter().enumerate() {
            let verdict = gate.check(n as u64, ssrc, A);
            assert!(verdict.accept && verdict.is_new_source, "{ssrc}");
        }
        assert!(!gate.check(6, 7, B).accept);
        assert!(gate.check(1004, 7, B).accept, "silence frees the place");
    }

    #[test]
    fn the_expected_ssrc_replaces_a_learned_one_at_once() {
        let mut gate = SsrcGate::new(SsrcPolicy::Learn(Some(5)), 1000);
        assert!(gate.check(0, 9, B).accept);
        let verdict = gate.check(1, 5, A);
        assert!(verdict.accept && verdict.is_new_source);
        assert!(!gate.check(2, 9, B).accept);
    }

    #[test]
    // trap 35
    fn learn_is_bound_to_the_peer_until_it_falls_silent() {
        let mut gate = SsrcGate::new(SsrcPolicy::Learn(None), 1000);
        assert!(gate.check(0, 5, A).accept);
        assert!(!gate.check(500, 5, B).accept);
        let verdict = gate.check(1000, 5, B);
        assert!(verdict.accept && !verdict.is_new_source);
    }

    #[test]
    fn a_closed_connection_frees_its_place() {
        let mut gate = SsrcGate::new(SsrcPolicy::Learn(None), 1000);
        assert!(gate.check(0, 5, A).accept);
        gate.release(A);
        assert!(gate.check(1, 5, B).accept);
    }

    #[test]
    fn reports_are_bounded() {
        let mut gate = SsrcGate::new(SsrcPolicy::Strict(0), 1000);
        let reports = (1..=100)
            .filter(|&ssrc| gate.check(0, ssrc, A).mismatch.is_some())
            .count();
        assert_eq!(reports, MAX_REPORTED);
    }
}
