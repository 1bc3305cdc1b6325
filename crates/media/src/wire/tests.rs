use super::*;
use crate::node::Node;
use crate::settings::Settings;
use crate::ticket::KEY_MIN;
use proptest::prelude::*;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Papers {
    certificate: String,
    key: String,
}

fn papers() -> Papers {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    Papers {
        certificate: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
    }
}

impl Papers {
    fn identity(&self) -> Identity {
        Identity::read(&self.certificate, &self.key).unwrap()
    }

    /// A client that trusts these papers and no others.
    fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let der = rustls::pki_types::CertificateDer::from_pem_slice(self.certificate.as_bytes());
        roots.add(der.unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    }

    fn connect(&self, address: SocketAddr) -> StreamOwned<ClientConnection, StdStream> {
        let name = ServerName::from(LOOPBACK);
        let tls = ClientConnection::new(self.client(), name).unwrap();
        StreamOwned::new(tls, StdStream::connect(address).unwrap())
    }
}

fn node(first_port: u16, head_timeout: Duration, papers: &Papers) -> Node {
    let settings = Settings {
        viewer_host: LOOPBACK,
        viewer_port: 0,
        rtsp_port: 0,
        rtp_host: LOOPBACK,
        rtp_port_min: first_port,
        rtp_port_max: first_port + 19,
        port_quarantine: Duration::from_secs(60),
        reactors: 1,
        gop_max_bytes: 1 << 20,
        viewer_queue_bytes: 1 << 20,
        viewer_queue_age: Duration::from_secs(3),
        media_timeout: Duration::from_secs(10),
        max_connections: 10,
        request_head_timeout: head_timeout,
        max_unverified: 4,
        tls: Some(papers.identity()),
    };
    Node::start(settings, &[7; KEY_MIN]).unwrap()
}

fn door(node: &Node) -> SocketAddr {
    SocketAddr::new(LOOPBACK, node.viewer_port())
}

fn await_count(node: &Node, name: &str, count: u64) {
    let until = Instant::now() + Duration::from_secs(60);
    let counted = || node.node_stats().counters.get(name).copied();
    while counted() != Some(count) {
        assert!(Instant::now() < until, "{name}: {:?}", counted());
        std::thread::sleep(Duration::from_millis(5));
    }
}

const REQUEST: &[u8] = b"GET /live/s1.mp4 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
const PATIENT: Duration = Duration::from_secs(600);

/// Everything until the end, however the peer ends it.
fn read_all(connection: &mut impl Read) -> String {
    let mut answer = Vec::new();
    let _closed_or_reset = connection.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_request_inside_tls_is_answered() {
    let papers = papers();
    let node = node(46000, PATIENT, &papers);
    let mut viewer = papers.connect(door(&node));
    for part in REQUEST.chunks(7) {
        viewer.write_all(part).unwrap();
    }
    let mut answer = String::new();
    // Ended in order: a client that insists on the word of the end gets it.
    viewer.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.contains("ticket_missing"), "{answer}");
    await_count(&node, "tls_handshakes", 1);
}

#[test]
fn a_request_without_tls_is_told_so() {
    let node = node(46020, PATIENT, &papers());
    let mut viewer = StdStream::connect(door(&node)).unwrap();
    viewer.write_all(REQUEST).unwrap();
    let answer = read_all(&mut viewer);
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("tls_required"), "{answer}");
    await_count(&node, "tls_plain_requests", 1);
}

#[test]
fn a_handshake_has_its_time_and_no_more() {
    let node = node(46040, Duration::from_millis(50), &papers());
    let mut silent = StdStream::connect(door(&node)).unwrap();
    let mut slow = StdStream::connect(door(&node)).unwrap();
    slow.write_all(&[HANDSHAKE_RECORD, 3, 1]).unwrap();
    assert_eq!(read_all(&mut silent), "");
    assert_eq!(read_all(&mut slow), "");
    await_count(&node, "tls_handshake_timeouts", 2);
    assert_eq!(node.node_stats().connections, 0);
}

#[test]
fn a_peer_that_breaks_tls_is_ended_and_counted() {
    let papers = papers();
    let node = node(46060, PATIENT, &papers);
    let mut stranger = StdStream::connect(door(&node)).unwrap();
    let record = [&[HANDSHAKE_RECORD, 3, 3, 0, 64][..], &[0xFF; 64]].concat();
    stranger.write_all(&record).unwrap();
    read_all(&mut stranger);
    await_count(&node, "tls_handshakes_failed", 1);

    let mut viewer = papers.connect(door(&node));
    viewer.write_all(&REQUEST[..9]).unwrap();
    await_count(&node, "tls_handshakes", 1);
    // A record whose seal does not hold.
    let forged = [&[23, 3, 3, 0, 64][..], &[0xFF; 64]].concat();
    viewer.sock.write_all(&forged).unwrap();
    assert_eq!(read_all(&mut viewer), "");
    await_count(&node, "connections_without_request", 1);
}

#[test]
fn a_new_certificate_is_shown_to_new_connections() {
    let (former, next) = (papers(), papers());
    let node = node(46080, PATIENT, &former);
    let mut before = former.connect(door(&node));
    before.write_all(&REQUEST[..9]).unwrap();
    node.exchange_certificate(&next.certificate, &next.key)
        .unwrap();
    // Who is connected stays so.
    before.write_all(&REQUEST[9..]).unwrap();
    assert!(read_all(&mut before).contains("ticket_missing"));
    let mut after = next.connect(door(&node));
    after.write_all(REQUEST).unwrap();
    assert!(read_all(&mut after).contains("ticket_missing"));
    assert!(former.connect(door(&node)).write_all(REQUEST).is_err());
    // One that cannot be used changes nothing.
    assert!(
        node.exchange_certificate(&next.certificate, &former.key)
            .is_err()
    );
    let mut still = next.connect(door(&node));
    still.write_all(REQUEST).unwrap();
    assert!(read_all(&mut still).contains("ticket_missing"));
}

#[test]
fn papers_that_do_not_belong_together_are_refused() {
    let (ours, other) = (papers(), papers());
    let read = |certificate: &str, key: &str| Identity::read(certificate, key).err();
    assert_eq!(
        read(&ours.certificate, &other.key),
        Some(IdentityError::Mismatch)
    );
    assert_eq!(read("", &ours.key), Some(IdentityError::Certificate));
    let many = ours.certificate.repeat(17);
    assert_eq!(read(&many, &ours.key), Some(IdentityError::Certificate));
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(read(broken, &ours.key), Some(IdentityError::Certificate));
    for key in ["", "no key", &ours.certificate] {
        assert_eq!(read(&ours.certificate, key), Some(IdentityError::Key));
    }
}

/// Run `ours` with a wire inside TLS and `theirs`, on a thread, with the other end.
fn between<T: Send + 'static>(
    theirs: impl FnOnce(StreamOwned<ClientConnection, StdStream>) -> T + Send + 'static,
    ours: impl AsyncFnOnce(Wire),
) -> T {
    let papers = papers();
    let listener = std::net::TcpListener::bind((LOOPBACK, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let identity = papers.identity();
    let peer = std::thread::spawn(move || theirs(papers.connect(address)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let socket = TcpStream::from_std(socket).unwrap();
        let Ok(wire) = Wire::accept(socket, &identity).await else {
            panic!("no handshake");
        };
        ours(wire).await;
    });
    peer.join().unwrap()
}

#[test]
fn what_waits_inside_tls_is_bounded_and_arrives_whole() {
    let picture: Rc<[u8]> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let expected = picture.to_vec();
    let (full, is_full) = std::sync::mpsc::channel();
    let heard = between(
        move |mut viewer| {
            viewer.conn.complete_io(&mut viewer.sock).unwrap();
            is_full.recv().unwrap();
            let mut heard = Vec::new();
            viewer.read_to_end(&mut heard).unwrap();
            heard
        },
        async |wire| {
            wire.prepare_to_send(64 * 1024);
            let mut sent = 0;
            while sent < picture.len() {
                // In pieces, as a picture with its header comes.
                let middle = (sent + 1000).min(picture.len());
                let slices = [
                    IoSlice::new(&picture[sent..middle]),
                    IoSlice::new(&picture[middle..]),
                ];
                match wire.try_write_vectored(&slices) {
                    Ok(taken) => {
                        assert!((1..=HELD_MAX).contains(&taken));
                        assert!(wire.has_moved() || wire.is_behind());
                        sent += taken;
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::WouldBlock);
                        let _again = full.send(());
                        wire.writable().await.unwrap();
                    }
                }
            }
            while wire.finish().is_err() {
                wire.writable().await.unwrap();
            }
        },
    );
    assert!(heard == expected);
}

#[test]
fn a_connection_changes_its_reactor_with_what_was_decrypted() {
    let answer = between(
        |mut viewer| {
            // One record, of which the first reader takes a part.
            viewer.write_all(b"head and rest").unwrap();
            let mut answer = [0; 8];
            viewer.read_exact(&mut answer[..4]).unwrap();
            viewer.write_all(b", later").unwrap();
            viewer.read_exact(&mut answer[4..]).unwrap();
            answer
        },
        async |wire| {
            let mut buffer = [0; 5];
            let length = loop {
                wire.readable().await.unwrap();
                match wire.try_read(&mut buffer) {
                    Ok(length) => break length,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            };
            assert_eq!(&buffer[..length], b"head ");
            let (mut loose, unread) = wire.loosen().unwrap();
            assert_eq!(unread, b"and rest");
            assert!(loose.say(b"said"));
            let wire = loose.fasten().unwrap();
            let mut heard = Vec::new();
            while heard.len() < 7 {
                wire.readable().await.unwrap();
                if let Ok(length) = wire.try_read(&mut buffer) {
                    heard.extend_from_slice(&buffer[..length]);
                }
            }
            assert_eq!(heard, b", later");
            assert_eq!(wire.try_write(b"done").unwrap(), 4);
            wire.flush().unwrap();
        },
    );
    assert_eq!(&answer, b"saiddone");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes in place of, or behind, the words of a handshake: an end, never a panic.
    #[test]
    fn hostile_records_end_their_connection_only(
        noise in proptest::collection::vec(any::<u8>(), 0..600),
        at in 0usize..300,
        is_handshake in any::<bool>(),
    ) {
        let papers = papers();
        let identity = papers.identity();
        let listener = std::net::TcpListener::bind((LOOPBACK, 0)).unwrap();
        let mut peer = StdStream::connect(listener.local_addr().unwrap()).unwrap();
        let name = ServerName::from(LOOPBACK);
        let mut hello = Vec::new();
        let mut client = ClientConnection::new(papers.client(), name).unwrap();
        client.write_tls(&mut hello).unwrap();
        if is_handshake {
            let at = at.min(hello.len());
            let end = (at + noise.len()).min(hello.len());
            hello.splice(at..end, noise.iter().copied());
        } else {
            hello = noise;
        }
        peer.write_all(&hello).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let outcome = runtime.block_on(async {
            let (socket, _) = listener.accept().unwrap();
            socket.set_nonblocking(true).unwrap();
            Wire::accept(TcpStream::from_std(socket).unwrap(), &identity).await
        });
        prop_assert!(outcome.is_err());
    }
}
