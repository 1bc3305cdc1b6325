mod doors;

use super::*;
use crate::events::{Event, Value};
use crate::file_sink::FileSink;
use crate::ingest::SsrcPolicy;
use crate::stream::{ExpectedSender, FAILING_STREAM, Transport};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream, UdpSocket};

const ANYBODY: ExpectedSender = ExpectedSender {
    ssrc: SsrcPolicy::Learn(None),
    home: None,
};

fn from(ssrc: u32) -> ExpectedSender {
    ExpectedSender {
        ssrc: SsrcPolicy::Learn(Some(ssrc)),
        home: None,
    }
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn settings(rtp_port_min: u16) -> Settings {
    Settings {
        viewer_host: LOOPBACK,
        viewer_port: 0,
        rtsp_port: 0,
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
        request_head_timeout: Duration::from_secs(60),
        max_unverified: 4,
        tls: None,
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

/// An RTP packet of 20 bytes.
fn rtp(sequence: u16, ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend(sequence.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0x55; 8]);
    packet
}

/// The same behind its RFC 4571 length.
fn framed_rtp(sequence: u16, ssrc: u32) -> Vec<u8> {
    [&[0, 20][..], &rtp(sequence, ssrc)].concat()
}

/// Connect to a receiver from one of the many addresses of the loopback network.
fn connect_from(last_octet: u8, port: u16) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let ours = SocketAddr::from(([127, 0, 0, last_octet], 0));
    socket.bind(&ours.into()).unwrap();
    socket
        .connect(&SocketAddr::new(LOOPBACK, port).into())
        .unwrap();
    socket.into()
}

fn await_stats(node: &Node, stream: &str, is_reached: impl Fn(&StreamStats) -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !node
        .stream_stats(stream)
        .unwrap()
        .is_some_and(|stats| is_reached(&stats))
    {
        assert!(Instant::now() < until, "{:?}", node.stream_stats(stream));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Close our end and wait until the node has closed its own, and so has reported what there is to report.
fn hang_up(mut connection: TcpStream) {
    connection.shutdown(std::net::Shutdown::Write).unwrap();
    let _closed_or_reset = connection.read(&mut [0]);
}

fn kinds(node: &Node) -> Vec<&'static str> {
    let events = node.shared().events.drain(1000);
    events.iter().map(|event| event.kind).collect()
}

#[test]
fn a_stranger_that_comes_and_goes_is_not_reported_as_the_camera_lost() {
    let node = node(24_220);
    let port = node.open_receiver("s1", Transport::Udp, ANYBODY).unwrap();
    let camera = UdpSocket::bind("127.0.0.1:0").unwrap();
    camera.send_to(&rtp(1, 7), (LOOPBACK, port)).unwrap();
    await_event(&node, "FirstPacket");
    let mut stranger = connect_from(2, port);
    stranger.write_all(&framed_rtp(1, 9)).unwrap();
    await_stats(&node, "s1", |stats| stats.ingest.ssrc_dropped == 1);
    hang_up(stranger);
    hang_up(connect_from(3, port));
    assert!(!kinds(&node).contains(&"TcpFailed"));
}

#[test]
fn the_end_of_the_connection_a_stream_is_taken_from_is_reported() {
    let node = node(24_240);
    let port = node
        .open_receiver("s1", Transport::TcpPassive, ANYBODY)
        .unwrap();
    let mut camera = connect_from(1, port);
    camera.write_all(&framed_rtp(1, 7)).unwrap();
    await_event(&node, "FirstPacket");
    hang_up(camera);
    assert!(kinds(&node).contains(&"TcpFailed"));
}

#[test]
fn a_successor_of_the_camera_that_brings_nothing_is_reported_when_it_goes() {
    let node = node(24_340);
    let port = node
        .open_receiver("s1", Transport::TcpPassive, ANYBODY)
        .unwrap();
    let mut camera = connect_from(1, port);
    camera.write_all(&framed_rtp(1, 7)).unwrap();
    await_event(&node, "FirstPacket");
    let successor = connect_from(1, port);
    await_stats(&node, "s1", |stats| stats.sockets.tcp_connections == 2);
    hang_up(successor);
    assert!(kinds(&node).contains(&"TcpFailed"));
}

#[test]
fn strangers_do_not_push_out_a_camera_that_shows_nothing_yet() {
    let node = node(24_260);
    let port = node
        .open_receiver("s1", Transport::TcpPassive, from(7))
        .unwrap();
    let mut camera = connect_from(1, port);
    let crowd: Vec<_> = (0..5).map(|_| connect_from(2, port)).collect();
    await_stats(&node, "s1", |stats| stats.sockets.tcp_connections == 6);
    camera.write_all(&framed_rtp(1, 7)).unwrap();
    await_event(&node, "FirstPacket");
    // Now from more addresses than connections may stand.
    let more: Vec<_> = (3..9).map(|octet| connect_from(octet, port)).collect();
    await_stats(&node, "s1", |stats| stats.sockets.tcp_connections == 12);
    camera.write_all(&framed_rtp(2, 7)).unwrap();
    await_stats(&node, "s1", |stats| stats.ingest.used == 2);
    drop((crowd, more));
}

#[test]
fn what_a_stranger_sends_does_not_make_it_the_peer() {
    let node = node(24_280);
    let port = node.open_receiver("s1", Transport::Udp, ANYBODY).unwrap();
    let camera = UdpSocket::bind("127.0.0.1:0").unwrap();
    camera.send_to(&rtp(1, 7), (LOOPBACK, port)).unwrap();
    await_event(&node, "FirstPacket");
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in [&rtp(2, 7)[..], b"no RTP at all"] {
        stranger.send_to(datagram, (LOOPBACK, port)).unwrap();
    }
    await_stats(&node, "s1", |stats| stats.ingest.packets == 3);
    let peer = node.stream_stats("s1").unwrap().unwrap().peer;
    assert_eq!(peer, Some(camera.local_addr().unwrap().to_string()));
}

#[test]
fn a_reactor_that_is_gone_does_not_keep_a_cut_from_the_others() {
    let node = Node::start(
        Settings {
            reactors: 2,
            ..settings(24_300)
        },
        &[7; KEY_MIN],
    )
    .unwrap();
    let gone = node.lock()[0].commands.clone();
    gone.send(Command::Stop).unwrap();
    while !gone.is_closed() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let told = std::cell::Cell::new(0);
    let asked = node.ask_all(|reply| {
        told.set(told.get() + 1);
        Command::Cut {
            cut: Cut::Grant("g1".to_owned()),
            reply,
        }
    });
    assert!(matches!(asked, Err(NodeError::Unavailable(_))));
    assert_eq!(told.get(), 2);
}

#[test]
fn a_panic_ends_its_stream_and_nothing_else() {
    let node = node(24_100);
    let failing = node
        .open_receiver(FAILING_STREAM, Transport::Udp, ANYBODY)
        .unwrap();
    node.open_receiver("healthy", Transport::Udp, ANYBODY)
        .unwrap();
    let camera = UdpSocket::bind("127.0.0.1:0").unwrap();
    camera.send_to(b"anything", (LOOPBACK, failing)).unwrap();
    let ended = await_event(&node, "StreamEnded");
    assert!(
        ended
            .fields
            .contains(&("reason", Value::Text("internal_error".into())))
    );
    assert!(node.stream_stats(FAILING_STREAM).unwrap().is_none());
    let healthy = node.stream_stats("healthy").unwrap().unwrap();
    camera
        .send_to(&rtp(1, 7), (LOOPBACK, healthy.port))
        .unwrap();
    assert_eq!(
        await_event(&node, "FirstPacket").fields[0],
        ("stream_id", Value::Text("healthy".into()))
    );
    let stats = node.node_stats();
    assert_eq!((stats.streams, stats.ports_quarantined), (1, 1));
    assert_eq!(stats.counters.get("internal_errors"), Some(&1));
    node.open_receiver("another", Transport::Udp, ANYBODY)
        .unwrap();
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
        node.open_receiver(&format!("s{number}"), Transport::Udp, ANYBODY)
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
    node.open_receiver("s1", Transport::Udp, ANYBODY).unwrap();
    node.close();
    node.close();
    assert!(node.is_closed());
    assert!(matches!(
        node.open_receiver("s2", Transport::Udp, ANYBODY),
        Err(NodeError::Unavailable(_))
    ));
    assert_eq!(await_event(&node, "StreamEnded").fields.len(), 2);
    assert_eq!(node.node_stats().streams, 0);
}

/// A picture of `length` bytes as one RTP packet of H.264 in a program stream that needs no map.
fn key_frame_packet(sequence: u16, length: usize) -> Vec<u8> {
    let sps = [
        0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1e, 0xda, 0x0b, 0x13, 0x90, 0, 0, 0, 1, 0x68, 0xee, 0x3c,
        0x80, 0, 0, 0, 1, 0x65, 0x88,
    ];
    let mut packet = rtp(sequence, 7);
    packet[1] |= 0x80;
    packet.truncate(12);
    packet.extend([
        0, 0, 1, 0xba, 0x44, 0, 4, 0, 4, 1, 0, 0, 3, 0xf8, 0, 0, 1, 0xe0, 0, 0, 0x80, 0, 0,
    ]);
    packet.extend(sps);
    packet.resize(length, 0x55);
    [&(length as u16).to_be_bytes()[..], &packet].concat()
}

#[test]
fn a_disk_that_cannot_keep_up_holds_back_a_tcp_source_and_loses_nothing() {
    let node = node(24_360);
    let port = node
        .open_receiver("s1", Transport::TcpPassive, ANYBODY)
        .unwrap();
    let (sink, disk) = FileSink::on_a_stuck_disk("s1");
    node.send(0, Command::AttachSink(sink.clone())).unwrap();
    let mut camera = connect_from(1, port);
    camera.set_nonblocking(true).unwrap();
    const PICTURES: usize = 500;
    let all: Vec<u8> = (0..PICTURES as u16)
        .flat_map(|n| key_frame_packet(n, 60_000))
        .collect();
    let mut sent = 0;
    let mut written = 0;
    let mut was_held_back = false;
    let until = Instant::now() + Duration::from_secs(20);
    while written < PICTURES {
        assert!(Instant::now() < until, "{written} pictures, {sent} bytes");
        match camera.write(&all[sent..]) {
            Ok(more) => sent += more,
            Err(_would_block) if sink.is_behind() => {
                was_held_back = true;
                written += disk.take();
            }
            Err(_would_block) => std::thread::sleep(Duration::from_millis(1)),
        }
        if sent == all.len() {
            written += disk.take();
        }
    }
    assert!(was_held_back);
    assert_eq!((written, sink.stats().drops), (PICTURES, 0));
    assert!(node.node_stats().counters["sink_back_pressure"] > 0);
}

#[test]
// trap 34
fn a_stranger_that_sends_first_gives_way_to_the_camera() {
    let node = node(30_700);
    let camera = Ipv4Addr::new(127, 0, 0, 2);
    let sender = ExpectedSender {
        ssrc: SsrcPolicy::Learn(Some(7)),
        home: Some(camera.into()),
    };
    let port = node.open_receiver("s1", Transport::Udp, sender).unwrap();
    let send = |host, sequence, ssrc| {
        let socket = UdpSocket::bind((host, 0)).unwrap();
        socket
            .send_to(&rtp(sequence, ssrc), (Ipv4Addr::LOCALHOST, port))
            .unwrap();
    };
    send(Ipv4Addr::LOCALHOST, 1, 99);
    await_stats(&node, "s1", |stats| stats.ssrc == Some(99));
    send(camera, 1, 0);
    await_stats(&node, "s1", |stats| stats.ssrc == Some(0));
    send(Ipv4Addr::LOCALHOST, 2, 99);
    await_stats(&node, "s1", |stats| {
        stats.ingest.ssrc_dropped == 1 && stats.ssrc == Some(0)
    });
}
