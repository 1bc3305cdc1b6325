//! A hostile RTSP server: whatever it says in whatever pieces, the client neither panics nor grows without bound.
#![no_main]

use commonview_media::rtp::RtpPacket;
use commonview_media::rtsp::audio::AudioTrack;
use commonview_media::rtsp::auth::Credentials;
use commonview_media::rtsp::client::{Client, ClientConfig, ClientEvent, Delivery};
use commonview_media::rtsp::sdp::Description;
use commonview_media::rtsp::url::RtspUrl;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&first, rest)) = data.split_first() else {
        return;
    };
    let delivery = if first & 1 == 0 {
        Delivery::Tcp
    } else {
        Delivery::Udp
    };
    let mut client = Client::new(ClientConfig {
        url: RtspUrl::parse("rtsp://camera/live").expect("a good URL"),
        credentials: Credentials {
            username: "u".into(),
            password: "p".into(),
        },
        delivery,
        ports: vec![30_000, 30_002],
        ssrc: 7,
    });
    client.start(0);
    let step = usize::from(first >> 1) + 1;
    let mut sound = Vec::new();
    for (number, piece) in rest.chunks(step).enumerate() {
        let now_us = number as u64 * 500_000;
        let mut take = |event: ClientEvent<'_>| {
            if let ClientEvent::Media { packet, .. } = event {
                sound.push(packet.to_vec());
            }
        };
        client.receive(now_us, piece, &mut take);
        if client.tick(now_us, &mut take) {
            client.reports(now_us);
        }
        client.to_send().clear();
    }
    assert!(client.setups().len() <= 2);
    let description = Description::parse(rest);
    for track in description.tracks {
        if let Some(mut audio) = AudioTrack::new(track.format, track.clock_rate) {
            for raw in &sound {
                if let Ok(packet) = RtpPacket::parse(raw) {
                    audio.packet(&packet, 0);
                }
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(rest) {
        if let Some(url) = RtspUrl::parse(text) {
            assert!(!url.to_string().contains('@') || url.path.contains('@'));
        }
    }
    let _ = client.teardown();
});
