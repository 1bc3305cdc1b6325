//! What the node reports to the control plane: a bounded queue with a file descriptor to wait on.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// A field's value as the control plane gets it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A word, an id or an address.
    Text(String),
    /// A count or a number of the protocol.
    Number(u64),
    /// Milliseconds and rates.
    Real(f64),
    /// Yes or no.
    Flag(bool),
}

/// Something that happened, as `commonview.media.events` names it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The class name over there.
    pub kind: &'static str,
    /// Microseconds UTC since 1970.
    pub at_us: u64,
    /// Its fields.
    pub fields: Vec<(&'static str, Value)>,
    /// Lifecycle events are dropped last: the control plane keeps books by them.
    pub is_lifecycle: bool,
}

impl Event {
    /// A lifecycle event: it opens or closes something the control plane keeps books of.
    pub fn lifecycle(kind: &'static str, fields: Vec<(&'static str, Value)>) -> Event {
        Event {
            kind,
            at_us: unix_us(),
            fields,
            is_lifecycle: true,
        }
    }

    /// An event that informs.
    pub fn notice(kind: &'static str, fields: Vec<(&'static str, Value)>) -> Event {
        Event {
            kind,
            at_us: unix_us(),
            fields,
            is_lifecycle: false,
        }
    }
}

/// A text field.
pub fn text(value: impl Into<String>) -> Value {
    Value::Text(value.into())
}

/// Microseconds UTC since 1970.
pub fn unix_us() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// A bounded queue of events between the reactors and one reader.
///
/// The reader waits until [`EventQueue::descriptor`] is readable and drains. Overflow drops the oldest of the
/// same class, counts it, and is reported as an `EventsLost` event.
#[derive(Debug)]
pub struct EventQueue {
    state: Mutex<State>,
    wake_reader: UnixStream,
}

#[derive(Debug)]
struct State {
    lifecycle: VecDeque<(u64, Event)>,
    notices: VecDeque<(u64, Event)>,
    next: u64,
    lost: u64,
    lost_unreported: u64,
    capacity: usize,
    signalled: bool,
    wake_writer: UnixStream,
}

impl EventQueue {
    /// A queue that holds `capacity` events of each class.
    pub fn new(capacity: usize) -> std::io::Result<EventQueue> {
        let (wake_reader, wake_writer) = UnixStream::pair()?;
        wake_reader.set_nonblocking(true)?;
        wake_writer.set_nonblocking(true)?;
        let state = State {
            lifecycle: VecDeque::new(),
            notices: VecDeque::new(),
            next: 0,
            lost: 0,
            lost_unreported: 0,
            capacity,
            signalled: false,
            wake_writer,
        };
        Ok(EventQueue {
            state: Mutex::new(state),
            wake_reader,
        })
    }

    /// Add an event and wake the reader.
    pub fn push(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let number = state.next;
        state.next += 1;
        let capacity = state.capacity;
        let queue = if event.is_lifecycle {
            &mut state.lifecycle
        } else {
            &mut state.notices
        };
        queue.push_back((number, event));
        if queue.len() > capacity {
            queue.pop_front();
            state.lost += 1;
            state.lost_unreported += 1;
        }
        state.signal();
    }

    /// Wake the reader though nothing happened (the node closes).
    pub fn wake(&self) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .signal();
    }

    /// Take up to `limit` events, oldest first. The descriptor stays readable while more are waiting.
    pub fn drain(&self, limit: usize) -> Vec<Event> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut events = Vec::new();
        if state.lost_unreported > 0 {
            let count = std::mem::take(&mut state.lost_unreported);
            events.push(Event::notice(
                "EventsLost",
                vec![("count", Value::Number(count))],
            ));
        }
        while events.len() < limit {
            let lifecycle = state
                .lifecycle
                .front()
                .map_or(u64::MAX, |(number, _)| *number);
            let notice = state
                .notices
                .front()
                .map_or(u64::MAX, |(number, _)| *number);
            let queue = if lifecycle < notice {
                &mut state.lifecycle
            } else {
                &mut state.notices
            };
            let Some((_, event)) = queue.pop_front() else {
                break;
            };
            events.push(event);
        }
        if state.lifecycle.is_empty() && state.notices.is_empty() && state.signalled {
            state.signalled = false;
            // One byte is in the pair whenever `signalled` is set, because both change under the lock.
            let _one_byte = (&self.wake_reader).read(&mut [0; 1]);
        }
        events
    }

    /// Events dropped so far.
    pub fn lost(&self) -> u64 {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .lost
    }

    /// Readable while events wait.
    pub fn descriptor(&self) -> RawFd {
        self.wake_reader.as_raw_fd()
    }
}

impl State {
    fn signal(&mut self) {
        if !self.signalled && self.wake_writer.write(&[1]).is_ok() {
            self.signalled = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(count: u64) -> Event {
        Event::notice("TicketRefused", vec![("count", Value::Number(count))])
    }

    fn lifecycle(count: u64) -> Event {
        Event::lifecycle("ViewerLeft", vec![("count", Value::Number(count))])
    }

    fn numbers(events: &[Event]) -> Vec<(&'static str, Value)> {
        events
            .iter()
            .map(|event| (event.kind, event.fields[0].1.clone()))
            .collect()
    }

    fn is_readable(queue: &EventQueue) -> bool {
        let mut byte = [0];
        let peeked = nix::sys::socket::recv(
            queue.descriptor(),
            &mut byte,
            nix::sys::socket::MsgFlags::MSG_PEEK | nix::sys::socket::MsgFlags::MSG_DONTWAIT,
        );
        peeked == Ok(1)
    }

    #[test]
    fn events_come_out_in_the_order_they_went_in() {
        let queue = EventQueue::new(10).unwrap();
        queue.push(notice(1));
        queue.push(lifecycle(2));
        queue.push(notice(3));
        let kinds: Vec<_> = queue
            .drain(10)
            .iter()
            .map(|event| event.fields[0].1.clone())
            .collect();
        assert_eq!(
            kinds,
            [Value::Number(1), Value::Number(2), Value::Number(3)]
        );
    }

    #[test]
    fn a_flood_of_notices_costs_no_lifecycle_event_and_is_counted() {
        let queue = EventQueue::new(2).unwrap();
        queue.push(lifecycle(0));
        (1..=5).for_each(|count| queue.push(notice(count)));
        let events = numbers(&queue.drain(10));
        assert_eq!(events[0], ("EventsLost", Value::Number(3)));
        assert_eq!(events[1], ("ViewerLeft", Value::Number(0)));
        assert_eq!(
            events[2..],
            [
                ("TicketRefused", Value::Number(4)),
                ("TicketRefused", Value::Number(5))
            ]
        );
        assert_eq!(queue.lost(), 3);
    }

    #[test]
    fn the_descriptor_is_readable_exactly_while_events_wait() {
        let queue = EventQueue::new(10).unwrap();
        assert!(!is_readable(&queue));
        queue.push(notice(1));
        queue.push(notice(2));
        assert!(is_readable(&queue));
        queue.drain(1);
        assert!(is_readable(&queue));
        queue.drain(1);
        assert!(!is_readable(&queue));
        queue.push(notice(3));
        assert!(is_readable(&queue));
    }
}
