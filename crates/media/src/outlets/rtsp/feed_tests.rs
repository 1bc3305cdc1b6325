//! Players that vanish, fall silent, never decide or do not read: the clock is the test's, the sockets are real.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::connection::Link;
use crate::fmp4::{self, FRAGMENT_OVERHEAD, Sample};
use crate::outlets::rtsp::session::Session;
use crate::parameters::VideoCodec;
use crate::settings::Settings;
use crate::shared::Slots;
use crate::ticket::{KEY_MIN, Protocol, Ticket, Verifier};
use crate::viewer::QueueLimits;
use crate::wire::Wire;

const SECOND: u64 = 1_000_000;
const BASE: &str = "rtsp://h/live/s1/";
const INSIDE: &str = "RTP/AVP/TCP;interleaved=0-1";
/// What a stream waits for media.
const WAIT_US: u64 = 20 * SECOND;
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A stream with one player, whose end of the connection this is.
struct Yard {
    runtime: Runtime,
    feed: Feed,
    shared: Arc<Shared>,
    cache: KeyFrameCache,
    parameters: VideoParameters,
    link: Rc<Link>,
    theirs: TcpStream,
    said: String,
    key: usize,
    now_us: u64,
    pictures: u32,
}

impl Yard {
    /// The player was let in and its DESCRIBE answered.
    fn new() -> Yard {
        let runtime = Builder::new_current_thread().enable_io().build().unwrap();
        let inside = runtime.enter();
        let listener = TcpListener::bind((LOOPBACK, 0)).unwrap();
        SockRef::from(&listener).set_send_buffer_size(4096).unwrap();
        let theirs = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        theirs.set_recv_buffer_size(4096).unwrap();
        let place = listener.local_addr().unwrap();
        theirs.connect(&place.into()).unwrap();
        let theirs = TcpStream::from(theirs);
        theirs.set_nonblocking(true).unwrap();
        let (ours, peer) = listener.accept().unwrap();
        ours.set_nonblocking(true).unwrap();
        let wire = Wire::plain(tokio::net::TcpStream::from_std(ours).unwrap());
        let (wire, link) = (Rc::new(wire), Rc::new(Link::default()));
        let mut session = Session::new("1d".into(), "n0nce".into());
        let asked = request("DESCRIBE", "rtsp://h/live/s1?ticket=t", "");
        session.push(asked.as_bytes()).unwrap();
        session.next_ask().unwrap();
        session.admit();
        let limits = QueueLimits {
            bytes: 1 << 20,
            age_us: 3 * SECOND,
        };
        let wires = (wire, Rc::clone(&link), peer);
        let slot = Slots::default().take(1).unwrap();
        let player = Player::new(ticket(), session, wires, (0, u64::MAX), limits, slot);
        let mut feed = Feed::default();
        let key = feed.attach(player);
        drop(inside);
        let mut yard = Yard {
            runtime,
            feed,
            shared: Arc::new(
                Shared::new(settings(), Verifier::new(&[7; KEY_MIN]).unwrap()).unwrap(),
            ),
            cache: KeyFrameCache::new(1 << 20),
            parameters: parameters(),
            link,
            theirs,
            said: String::new(),
            key,
            now_us: 0,
            pictures: 0,
        };
        yard.picture(100);
        yard.at(SECOND);
        assert_eq!(yard.tick(), None);
        assert_eq!(yard.answers(), [200]);
        yard
    }

    /// One that has set its picture up and plays it.
    fn playing(transport: &str) -> Yard {
        let mut yard = Yard::new();
        let transport = format!("Transport: {transport}\r\n");
        for (method, header) in [("SETUP", transport.as_str()), ("PLAY", "")] {
            assert_eq!(yard.hear(&request(method, BASE, header)), None);
            assert_eq!(yard.answers(), [200], "{method}");
        }
        yard
    }

    fn at(&mut self, now_us: u64) {
        self.now_us = now_us;
        // The runtime asks the kernel which sockets are ready when nobody has anything to do.
        self.runtime.block_on(async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        });
    }

    fn with(&mut self, work: impl FnOnce(&mut Feed, &Scene<'_>) -> Changes) -> Option<EndReason> {
        let _inside = self.runtime.enter();
        let scene = Scene {
            parameters: Some(&self.parameters),
            cache: &self.cache,
            shared: &self.shared,
            now_us: self.now_us,
        };
        let ended = work(&mut self.feed, &scene).ended;
        ended.first().map(|(key, reason)| {
            assert_eq!((*key, ended.len()), (self.key, 1));
            *reason
        })
    }

    fn picture(&mut self, size: usize) -> Option<EndReason> {
        self.pictures += 1;
        let unit = picture(self.pictures, size);
        self.cache.push(unit.clone());
        self.with(|feed, scene| feed.picture(&unit, scene))
    }

    fn tick(&mut self) -> Option<EndReason> {
        self.with(|feed, scene| feed.tick(scene, 0, WAIT_US))
    }

    fn hear(&mut self, words: &str) -> Option<EndReason> {
        let key = self.key;
        self.with(|feed, scene| feed.received(key, words.as_bytes(), scene))
    }

    /// It sends RTCP in a datagram.
    fn report(&mut self, packet: &[u8]) {
        self.feed.reported(self.key, 0, packet, self.now_us);
    }

    /// The statuses of what it was answered since this was asked last; frames are passed over.
    fn answers(&mut self) -> Vec<u16> {
        let mut octets = vec![0; 1 << 16];
        while let Ok(length @ 1..) = self.theirs.read(&mut octets) {
            self.said += &String::from_utf8_lossy(&octets[..length]);
        }
        let said = std::mem::take(&mut self.said);
        let answers = said.split("RTSP/1.0 ").skip(1);
        answers.map(|answer| answer[..3].parse().unwrap()).collect()
    }

    /// Let seconds pass with a picture in each; when and why the player ends within them.
    fn watch(&mut self, until_s: u64) -> Option<(u64, EndReason)> {
        let from_s = self.now_us / SECOND;
        (from_s + 1..=until_s).find_map(|second| {
            self.at(second * SECOND);
            let ended = self.picture(100).or_else(|| self.tick());
            ended.map(|reason| (second, reason))
        })
    }
}

fn request(method: &str, uri: &str, header: &str) -> String {
    format!("{method} {uri} RTSP/1.0\r\nCSeq: 1\r\n{header}\r\n")
}

fn ticket() -> Ticket {
    Ticket {
        stream_id: "s1".into(),
        access_id: "a1".into(),
        grant_id: "g1".into(),
        protocol: Protocol::Rtsp,
        start_by_ms: 0,
        end_by_ms: 0,
        nonce: [0; 16],
        peers: None,
    }
}

fn settings() -> Settings {
    let found = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    let first = found.local_addr().unwrap().port().min(65_000) & !1;
    Settings {
        viewer_host: LOOPBACK,
        viewer_port: 0,
        rtsp_port: 0,
        rtp_host: LOOPBACK,
        rtp_port_min: first,
        rtp_port_max: first + 99,
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

/// Every picture is a key frame.
fn picture(number: u32, size: usize) -> AccessUnit {
    let sample = Sample {
        sequence: number,
        decode_time: 0,
        duration: 3600,
        composition_offset: 0,
        is_key_frame: true,
    };
    let nal = [&[0x65][..], &vec![1; size]].concat();
    AccessUnit {
        generation: 1,
        codec: VideoCodec::H264,
        is_key_frame: true,
        is_damaged: false,
        pts: i64::from(number) * 3600,
        dts: i64::from(number) * 3600,
        duration: 3600,
        received_us: 0,
        device_pts: None,
        fragment: fmp4::fragment(&sample, std::iter::once(&nal[..])),
        payload_at: FRAGMENT_OVERHEAD,
    }
}

fn parameters() -> VideoParameters {
    let sets: [&'static [u8]; 2] = [&[0x67, 0x64, 0, 0x1f, 1], &[0x68, 2, 1]];
    VideoParameters {
        generation: 1,
        codec: VideoCodec::H264,
        width: 16,
        height: 16,
        codec_string: String::new(),
        parameter_sets: sets.iter().map(|set| Bytes::from_static(set)).collect(),
        record: Bytes::new(),
        init: picture(0, 0).fragment,
    }
}

/// Where a player of datagrams would have them.
fn datagrams() -> (UdpSocket, String) {
    let port = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    let number = port.local_addr().unwrap().port();
    (
        port,
        format!("RTP/AVP;unicast;client_port={number}-{number}"),
    )
}

#[test]
fn a_player_of_datagrams_that_falls_silent_is_ended() {
    let (_port, transport) = datagrams();
    let mut yard = Yard::playing(&transport);
    assert_eq!(yard.watch(200), Some((76, EndReason::Silent)));
}

#[test]
fn what_a_player_of_datagrams_says_on_either_way_keeps_it() {
    let (_port, transport) = datagrams();
    let mut yard = Yard::playing(&transport);
    assert_eq!(yard.watch(70), None);
    yard.report(&[0x80, 201, 0, 1, 0, 0, 0, 1]);
    assert_eq!(yard.watch(140), None);
    assert_eq!(yard.hear(&request("GET_PARAMETER", BASE, "")), None);
    assert_eq!(yard.watch(210), None);
    // What is no report is no sign of life.
    yard.report(b"are you there?");
    assert_eq!(yard.watch(300), Some((215, EndReason::Silent)));
    let details = yard.feed.details();
    assert!(details.contains(&("rtsp_reports", 1)));
    assert!(details.contains(&("rtsp_reports_malformed", 1)));
}

#[test]
fn a_player_inside_the_connection_needs_to_say_nothing() {
    let mut yard = Yard::playing(INSIDE);
    for until_s in (10..=300).step_by(10) {
        assert_eq!(yard.watch(until_s), None);
        // It reads.
        assert!(yard.answers().is_empty());
    }
}

#[test]
fn a_player_that_is_described_and_never_plays_is_ended_even_while_the_stream_is_paused() {
    let mut yard = Yard::new();
    let paused = |yard: &mut Yard| yard.with(|feed, scene| feed.tick(scene, scene.now_us, WAIT_US));
    yard.at(31 * SECOND - 1);
    assert_eq!(paused(&mut yard), None);
    yard.at(31 * SECOND);
    assert_eq!(paused(&mut yard), Some(EndReason::Silent));
}

#[test]
fn a_request_letter_by_letter_holds_nobody_up_for_longer() {
    let mut yard = Yard::new();
    let endless = "OPTIONS * RTSP/1.0\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyy";
    let ended = endless.chars().enumerate().find_map(|(number, letter)| {
        yard.at(SECOND * (number as u64 + 2));
        yard.hear(&letter.to_string()).or_else(|| yard.tick())
    });
    assert_eq!((ended, yard.now_us), (Some(EndReason::Silent), 31 * SECOND));
    assert!(yard.answers().is_empty());
}

#[test]
fn a_request_without_end_is_refused_and_one_too_many_at_once_too() {
    let mut yard = Yard::new();
    let more = "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(20);
    assert_eq!(yard.hear("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n"), None);
    let ended = (0..100).find_map(|_| yard.hear(&more));
    assert_eq!(ended, Some(EndReason::Malformed));
    let mut yard = Yard::new();
    assert_eq!(yard.hear(&more.repeat(40)), Some(EndReason::Malformed));
}

#[test]
fn requests_sent_at_once_are_answered_in_their_order() {
    let mut yard = Yard::new();
    let all = [
        request("SETUP", BASE, &format!("Transport: {INSIDE}\r\n")),
        request("DANCE", BASE, ""),
        request("PLAY", BASE, ""),
        request("SETUP", BASE, &format!("Transport: {INSIDE}\r\n")),
        request("GET_PARAMETER", BASE, ""),
    ];
    assert_eq!(yard.hear(&all.concat()), None);
    yard.at(2 * SECOND);
    assert_eq!(yard.tick(), None);
    assert_eq!(yard.answers(), [200, 501, 200, 455, 200]);
}

#[test]
fn a_player_that_does_not_read_is_ended_after_ten_seconds() {
    let mut yard = Yard::playing(INSIDE);
    yard.at(2 * SECOND);
    let mut ended = None;
    while !yard.link.is_blocked.get() {
        ended = ended.or_else(|| yard.picture(100_000));
    }
    assert_eq!((ended, yard.watch(11)), (None, None));
    assert_eq!(yard.watch(30), Some((12, EndReason::TooSlow)));
    let player = yard.feed.player(yard.key).unwrap();
    assert!(player.media().bytes() <= (1 << 20) + 100_000);
}

#[test]
fn datagrams_that_flow_do_not_hide_that_the_answers_are_not_read() {
    let (_port, transport) = datagrams();
    let mut yard = Yard::playing(&transport);
    let mut ended = None;
    // The kernels take more for a while, whenever one has acknowledged to the other.
    let mut in_vain = 0;
    while in_vain < 50 && ended.is_none() {
        yard.at(2 * SECOND);
        ended = match yard.link.is_blocked.get() {
            true => yard.picture(100),
            false => yard.hear(&request("OPTIONS", "*", "")),
        };
        in_vain = if yard.link.is_blocked.get() {
            std::thread::sleep(Duration::from_millis(10));
            in_vain + 1
        } else {
            0
        };
    }
    assert_eq!((ended, yard.watch(11)), (None, None));
    // Long before the time after which it would count as silent.
    assert!(matches!(yard.watch(70), Some((_, EndReason::TooSlow))));
}

#[test]
fn the_end_of_the_grant_comes_with_the_next_picture() {
    let mut yard = Yard::playing(INSIDE);
    yard.now_us = u64::MAX;
    assert_eq!(yard.picture(100), Some(EndReason::GrantEnded));
}
