use super::*;
use crate::events::{Event, Value};
use crate::stream::FAILING_STREAM;
use std::net::{Ipv4Addr, UdpSocket};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn settings(rtp_port_min: u16) -> Settings {
    Settings {
        viewer_host: LOOPBACK,
        viewer_port: 0,
        rtp_host: LOOPBACK,
        rtp_port_min,
        rtp_port_max: rtp_port_min + 19,
        port_quarantine: Duration::from_secs(60),
        reactors: 1,
        gop_max_bytes: 1 << 20,
        viewer_queue_bytes: 1 << 20,
        viewer_queue_age: Duration::from_secs(3),
        media_timeout: Duration::from_secs(10),
        max_connections: 10,
        request_head_timeout: Duration::from_secs(5),
    }
}

fn node(rtp_port_min: u16) -> Node {
    Node::start(settings(rtp_port_min), &[7; KEY_MIN]).unwrap()
}

fn await_event(node: &Node, kind: &str) -> Event {
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until {
        let events = node.shared().events.drain(100);
        if let Some(event) = events.into_iter().find(|event| event.kind == kind) {
            return event;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("no {kind} came");
}

#[test]
fn a_panic_ends_its_stream_and_nothing_else() {
    let node = node(24_100);
    let failing = node
        .open_receiver(FAILING_STREAM, Transport::Udp, None)
        .unwrap();
    node.open_receiver("healthy", Transport::Udp, None).unwrap();
    let camera = UdpSocket::bind("127.0.0.1:0").unwrap();
    camera.send_to(b"anything", (LOOPBACK, failing)).unwrap();
    let ended = await_event(&node, "StreamEnded");
    assert!(
        ended
            .fields
            .contains(&("reason", Value::Text("internal_error".into())))
    );
    assert!(node.stream_stats(FAILING_STREAM).unwrap().is_none());
    assert!(node.stream_stats("healthy").unwrap().is_some());
    let stats = node.node_stats();
    assert_eq!((stats.streams, stats.ports_quarantined), (1, 1));
    assert_eq!(stats.counters.get("internal_errors"), Some(&1));
    node.open_receiver("another", Transport::Udp, None).unwrap();
}

#[test]
fn streams_are_spread_over_the_reactors() {
    let node = Node::start(
        Settings {
            reactors: 2,
            ..settings(24_120)
        },
        &[7; KEY_MIN],
    )
    .unwrap();
    for number in 0..4 {
        node.open_receiver(&format!("s{number}"), Transport::Udp, None)
            .unwrap();
    }
    let owners: Vec<usize> = node
        .shared()
        .owners()
        .values()
        .map(|owner| owner.reactor)
        .collect();
    assert_eq!(owners.iter().sum::<usize>(), 2);
    assert_eq!(node.all_stats().unwrap().len(), 4);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let refused = |settings| {
        matches!(
            Node::start(settings, &[7; KEY_MIN]),
            Err(NodeError::Invalid(_))
        )
    };
    assert!(refused(Settings {
        rtp_port_max: 24_140,
        ..settings(24_140)
    }));
    assert!(refused(Settings {
        media_timeout: Duration::ZERO,
        ..settings(24_140)
    }));
    let short_key = Node::start(settings(24_140), &[7; KEY_MIN - 1]);
    assert!(matches!(short_key, Err(NodeError::Invalid(_))));
}

#[test]
fn a_taken_outlet_address_is_said() {
    let first = node(24_160);
    let second = Settings {
        viewer_port: first.viewer_port(),
        ..settings(24_180)
    };
    let error = Node::start(second, &[7; KEY_MIN]).err().unwrap();
    assert!(
        error
            .to_string()
            .contains(&format!("127.0.0.1:{}", first.viewer_port()))
    );
}

#[test]
fn a_closed_node_answers_that_it_is_closed() {
    let node = node(24_200);
    node.open_receiver("s1", Transport::Udp, None).unwrap();
    node.close();
    node.close();
    assert!(node.is_closed());
    assert!(matches!(
        node.open_receiver("s2", Transport::Udp, None),
        Err(NodeError::Unavailable(_))
    ));
    assert_eq!(await_event(&node, "StreamEnded").fields.len(), 2);
    assert_eq!(node.node_stats().streams, 0);
}
