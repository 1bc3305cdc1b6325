//! RFC 8216 and the draft, whatever a camera sends.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What a camera does next: key frame, ticks to the next picture, bytes, other parameters, hole in ticks.
type Step = (bool, i64, usize, bool, i64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (
        prop::bool::weighted(0.05),
        prop_oneof![8 => Just(FRAME), 4 => 2000..6000i64, 1 => 1..200_000i64],
        prop_oneof![9 => 4..3000usize, 1 => 4..60_000usize],
        prop::bool::weighted(0.01),
        prop_oneof![30 => Just(0), 1 => 0..500_000i64],
    );
    prop::collection::vec(step, 1..600)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_list_keeps_the_rules(steps in steps(), group in prop::option::of(1..400_000i64)) {
        let max_bytes = 200_000;
        let mut camera = Camera::of(Ring::new(Cadence::of(Some(FRAME), group), max_bytes));
        let mut known: BTreeMap<u64, Listed> = BTreeMap::new();
        let mut former: Option<Playlist> = None;
        for (is_key, ticks, bytes, changes, hole) in steps {
            camera.generation += u32::from(changes);
            camera.dts += hole;
            camera.picture_bytes = bytes;
            let before = playlist::media(&camera.ring);
            let is_new = camera.send(is_key || changes, ticks);
            let text = playlist::media(&camera.ring);
            // A segment leaves the list only when another comes.
            prop_assert!(is_new || before == text || camera.ring.overflows() > 0);
            let list = Playlist::read(&text);
            for segment in list.finished() {
                let seconds = segment.seconds.unwrap();
                prop_assert!(seconds > 0.0 && seconds.round() as i64 <= list.target_s);
                let stored = here(camera.ring.segment_bytes(segment.number));
                if !segment.parts.is_empty() {
                    let parts = (0..segment.parts.len() as u32)
                        .flat_map(|part| pictures(&here(camera.ring.part_bytes(segment.number, part))));
                    prop_assert_eq!(pictures(&stored), parts.collect::<Vec<_>>());
                    prop_assert!(camera.ring.part_bytes(segment.number, segment.parts.len() as u32) == Reach::Nowhere);
                }
                // What was once told stays so (RFC 8216 6.2.1).
                let told = Listed { parts: Vec::new(), ..segment.clone() };
                let first = known.entry(segment.number).or_insert_with(|| told.clone());
                prop_assert_eq!(&*first, &told);
            }
            for segment in &list.segments {
                prop_assert!(segment.parts.iter().all(|part| part.0 <= list.part_target_s + 1e-9));
                let generation = segment.init.trim_start_matches("init-").trim_end_matches(".mp4");
                prop_assert!(camera.ring.init(generation.parse().unwrap()).is_some());
            }
            let (next, part) = camera.ring.edge();
            prop_assert_eq!(&list.hint, &format!("part-{next}-{part}.m4s"));
            prop_assert!(camera.ring.part_bytes(next, part) == Reach::Awaited);
            if let Some(former) = former {
                prop_assert!(list.first >= former.first);
                let gone = former.segments.iter().filter(|one| one.number < list.first && one.is_discontinuous);
                prop_assert_eq!(list.discontinuities, former.discontinuities + gone.count() as u64);
                prop_assert_eq!((list.target_s, list.part_target_s), (former.target_s, former.part_target_s));
                if list.first > former.first && camera.ring.overflows() == 0 {
                    let seconds: f64 = list.finished().filter_map(|one| one.seconds).sum();
                    prop_assert!(seconds + 1e-3 >= 3.0 * list.target_s as f64);
                }
            }
            former = Some(list);
            prop_assert!(camera.ring.bytes() <= max_bytes + 60_000, "{}", camera.ring.bytes());
        }
    }
}
