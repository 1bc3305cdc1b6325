//! Which RTP port pairs are free, in use, or resting before they are used again.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

/// Why no pair of ports was handed out.
#[derive(Debug)]
pub enum AllocationError {
    /// Every pair is taken or resting.
    Exhausted(PortsExhausted),
    /// The system refuses for a reason that another pair would not change: the address is not ours, no descriptors.
    System(std::io::Error),
}

/// No pair of ports can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortsExhausted {
    /// The first port of the range.
    pub first: u16,
    /// The last port of the range.
    pub last: u16,
    /// Pairs that are resting.
    pub quarantined: usize,
    /// Pairs that another program holds.
    pub foreign: usize,
}

impl fmt::Display for PortsExhausted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "no free pair of ports between {} and {} ({} resting, {} held by other programs)",
            self.first, self.last, self.quarantined, self.foreign
        )
    }
}

impl std::error::Error for PortsExhausted {}

/// Hands out even ports (RFC 3550 11: RTP even, RTCP the next odd one), longest-rested first.
#[derive(Debug)]
pub struct PortAllocator {
    first: u16,
    last: u16,
    quarantine: Duration,
    free: VecDeque<u16>,
    resting: VecDeque<(Instant, u16)>,
}

impl PortAllocator {
    /// An allocator over the pairs that lie wholly in `first..=last`.
    pub fn new(first: u16, last: u16, quarantine: Duration) -> PortAllocator {
        let free = (first..last).filter(|port| port % 2 == 0).collect();
        PortAllocator {
            first,
            last,
            quarantine,
            free,
            resting: VecDeque::new(),
        }
    }

    /// Take a pair that `bind` can open. Pairs another program holds go to the end of the line, and pairs that are
    /// not for us (privileged ones) as well.
    pub fn allocate<T>(
        &mut self,
        now: Instant,
        mut bind: impl FnMut(u16) -> std::io::Result<T>,
    ) -> Result<(u16, T), AllocationError> {
        use std::io::ErrorKind::{AddrInUse, PermissionDenied};
        self.release_rested(now);
        let candidates = self.free.len();
        for _ in 0..candidates {
            let Some(port) = self.free.pop_front() else {
                break;
            };
            match bind(port) {
                Ok(bound) => return Ok((port, bound)),
                Err(error) => {
                    self.free.push_back(port);
                    if !matches!(error.kind(), AddrInUse | PermissionDenied) {
                        return Err(AllocationError::System(error));
                    }
                }
            }
        }
        Err(AllocationError::Exhausted(PortsExhausted {
            first: self.first,
            last: self.last,
            quarantined: self.resting.len(),
            foreign: self.free.len(),
        }))
    }

    /// Give a pair back; it rests first, because a late camera may still send to it.
    pub fn release(&mut self, now: Instant, port: u16) {
        self.resting.push_back((now + self.quarantine, port));
    }

    /// Pairs that can be handed out now.
    pub fn free(&mut self, now: Instant) -> usize {
        self.release_rested(now);
        self.free.len()
    }

    /// Pairs that are resting.
    pub fn quarantined(&self) -> usize {
        self.resting.len()
    }

    fn release_rested(&mut self, now: Instant) {
        while let Some(&(until, port)) = self.resting.front()
            && until <= now
        {
            self.resting.pop_front();
            self.free.push_back(port);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(5);

    fn exhausted<T: fmt::Debug>(outcome: Result<T, AllocationError>) -> PortsExhausted {
        match outcome.unwrap_err() {
            AllocationError::Exhausted(exhausted) => exhausted,
            AllocationError::System(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_refusal_that_concerns_every_pair_is_said_at_once() {
        let mut ports = PortAllocator::new(30000, 30003, REST);
        let mut tries = 0;
        let not_ours = |_| {
            tries += 1;
            Err::<(), _>(std::io::ErrorKind::AddrNotAvailable.into())
        };
        let refused = ports.allocate(Instant::now(), not_ours).unwrap_err();
        assert!(matches!(refused, AllocationError::System(_)));
        assert_eq!((tries, ports.free(Instant::now())), (1, 2));
    }

    fn any(_: u16) -> std::io::Result<()> {
        Ok(())
    }

    #[test]
    fn only_whole_even_pairs_inside_the_range_are_used() {
        let now = Instant::now();
        let mut ports = PortAllocator::new(30001, 30006, REST);
        assert_eq!(ports.allocate(now, any).unwrap().0, 30002);
        assert_eq!(ports.allocate(now, any).unwrap().0, 30004);
        assert!(ports.allocate(now, any).is_err());
    }

    #[test]
    // trap 35
    fn a_released_pair_rests_before_it_is_used_again() {
        let now = Instant::now();
        let mut ports = PortAllocator::new(30000, 30001, REST);
        let (port, ()) = ports.allocate(now, any).unwrap();
        ports.release(now, port);
        let refused = exhausted(ports.allocate(now + REST - Duration::from_millis(1), any));
        assert_eq!(refused.quarantined, 1);
        assert_eq!(ports.allocate(now + REST, any).unwrap().0, port);
    }

    #[test]
    fn a_pair_held_by_another_program_is_passed_over_and_kept() {
        let now = Instant::now();
        let mut ports = PortAllocator::new(30000, 30003, REST);
        let busy = |port| {
            if port == 30000 {
                Err(std::io::ErrorKind::AddrInUse.into())
            } else {
                Ok(())
            }
        };
        assert_eq!(ports.allocate(now, busy).unwrap().0, 30002);
        assert_eq!(exhausted(ports.allocate(now, busy)).foreign, 1);
        assert_eq!(ports.allocate(now, any).unwrap().0, 30000);
    }

    #[test]
    fn the_longest_rested_pair_comes_first() {
        let now = Instant::now();
        let mut ports = PortAllocator::new(30000, 30005, Duration::ZERO);
        let (port, ()) = ports.allocate(now, any).unwrap();
        ports.release(now, port);
        assert_eq!(ports.allocate(now, any).unwrap().0, 30002);
    }
}
