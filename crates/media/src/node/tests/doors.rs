//! Strangers at the doors of both outlets.

use super::*;

#[test]
fn who_says_nothing_at_the_door_keeps_nobody_out() {
    let node = node(24_320);
    let outlet = SocketAddr::new(LOOPBACK, node.viewer_port());
    let silent: Vec<_> = (0..20)
        .map(|_| TcpStream::connect(outlet).unwrap())
        .collect();
    let mut viewer = TcpStream::connect(outlet).unwrap();
    viewer
        .write_all(b"GET /live/s1.mp4 HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    viewer.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    // Those who waited longest were let go; no more than the bound still wait.
    for mut gone in silent.into_iter().take(17) {
        assert_eq!(gone.read(&mut [0]).unwrap(), 0);
    }
    assert_eq!(
        node.node_stats().counters.get("connections_crowded_out"),
        Some(&17)
    );
}

#[test]
fn strangers_at_the_players_door_keep_no_player_out() {
    let node = node(24_380);
    let door = SocketAddr::new(LOOPBACK, node.rtsp_port());
    let silent: Vec<_> = (0..20)
        .map(|number| {
            let mut stranger = TcpStream::connect(door).unwrap();
            // Some say nothing, some do not come to the end of it.
            let words = &b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nX: "[..number];
            stranger.write_all(words).unwrap();
            stranger
        })
        .collect();
    let mut player = TcpStream::connect(door).unwrap();
    let request = b"DESCRIBE rtsp://h/live/s1 RTSP/1.0\r\nCSeq: 1\r\n\r\n";
    player.write_all(request).unwrap();
    let mut answer = [0; 16];
    player.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"RTSP/1.0 401 Una");
    for mut gone in silent.into_iter().take(17) {
        assert_eq!(gone.read(&mut [0]).unwrap_or(0), 0);
    }
    let counters = node.node_stats().counters;
    assert_eq!(counters.get("connections_crowded_out"), Some(&17));
    assert_eq!(counters.get("rtsp_connections"), Some(&21));
}
