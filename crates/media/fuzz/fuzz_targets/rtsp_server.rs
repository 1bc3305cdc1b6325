//! A hostile RTSP player: whatever it says in whatever pieces, its session neither panics, nor grows without bound, nor gets past
//! the door without a proof, nor repeats a line break of its own in an answer.
#![no_main]

use commonview_media::outlets::rtsp::reports::Reports;
use commonview_media::outlets::rtsp::request::{Delivery, Place, deliveries};
use commonview_media::outlets::rtsp::session::{Ask, Credential, Session};
use libfuzzer_sys::fuzz_target;

const PASSWORD: &str = "secret";

fuzz_target!(|data: &[u8]| {
    let Some((&first, rest)) = data.split_first() else {
        return;
    };
    let mut session = Session::new("session".into(), "nonce".into());
    if first & 1 == 1 {
        session.keep_inside();
    }
    let step = usize::from(first >> 1) + 1;
    let mut is_in = false;
    'pieces: for piece in rest.chunks(step) {
        if session.push(piece).is_err() {
            break;
        }
        loop {
            let asked = session.next_ask();
            check(&session.to_send());
            let Ok(asked) = asked else { break 'pieces };
            let outcome = match asked {
                None => break,
                Some(Ask::Admit { credential, .. }) => {
                    assert!(!is_in, "it is asked once");
                    let proves = match &credential {
                        Credential::Ticket(ticket) => ticket == "ticket",
                        Credential::Digest(answer) => {
                            answer.is_right("DESCRIBE", session.nonce(), PASSWORD)
                        }
                        Credential::None => false,
                    };
                    if proves {
                        is_in = true;
                        assert_eq!(session.admit(), Some(Ask::Describe));
                        session.describe("v=0\r\n", 2);
                        Ok(())
                    } else if credential == Credential::None {
                        session.challenge()
                    } else {
                        session.refuse(403)
                    }
                }
                Some(Ask::Describe) => {
                    assert!(is_in);
                    session.describe("v=0\r\n", 2);
                    Ok(())
                }
                Some(Ask::SetUp { track, delivery }) => {
                    assert!(is_in && track < 2);
                    assert!(first & 1 == 0 || matches!(delivery, Delivery::Interleaved(_)));
                    session.set_up(7, 30_000);
                    Ok(())
                }
                Some(Ask::Play) => {
                    assert!(is_in && session.deliveries().iter().any(Option::is_some));
                    session.play(&[(0, 1, 2)]);
                    Ok(())
                }
                Some(Ask::Report { track, .. }) => {
                    assert!(is_in && session.deliveries()[track].is_some());
                    Ok(())
                }
                Some(Ask::TearDown) => {
                    assert!(is_in);
                    Ok(())
                }
            };
            check(&session.to_send());
            if outcome.is_err() {
                break 'pieces;
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(rest) {
        if let Some(place) = Place::parse(text) {
            assert!(!place.base.contains('\n') && !place.stream_id.contains('/'));
        }
        assert!(deliveries(text).count() <= 8);
    }
    let mut reports = Reports::default();
    reports.sent(rest, 0);
    if reports.heard(rest, (u32::from(first), 90_000), 1_000_000) {
        let told = reports.latest();
        assert!(told.is_none_or(|told| told.jitter_ms.is_finite() && told.loss < 1.0));
    }
});

/// Answers are whole and nothing of the player's stands in them that could end a line.
fn check(said: &[u8]) {
    if said.is_empty() {
        return;
    }
    assert!(said.len() < 1 << 20);
    let text = std::str::from_utf8(said).expect("answers are text");
    assert!(text.starts_with("RTSP/1.0 "));
    for line in text.split("\r\n") {
        assert!(!line.contains(['\r', '\n']), "{line:?}");
    }
}
