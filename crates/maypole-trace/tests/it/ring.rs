use maypole_trace::{Event, Ring};
use proptest::prelude::*;

fn ends(ring: &Ring) -> Vec<u64> {
    ring.iter().map(|event| event.at_ticks).collect()
}

#[test]
fn a_ring_without_room_counts_all() {
    let mut ring = Ring::new(0);
    ring.push(Event::turn(0, 1, 1));
    assert_eq!((ring.len(), ring.dropped(), ends(&ring)), (0, 1, vec![]));
}

#[test]
fn a_cleared_ring_is_like_new() {
    let mut ring = Ring::new(3);
    (0..5).for_each(|end| ring.push(Event::turn(0, end, 1)));
    ring.clear();
    assert!(ring.is_empty());
    assert_eq!((ring.capacity(), ring.dropped()), (3, 0));
    ring.push(Event::turn(0, 9, 1));
    assert_eq!(ends(&ring), [9]);
}

#[test]
fn a_ring_of_many_pieces_keeps_the_newest() {
    let capacity = 4096 * 2 + 100;
    let mut ring = Ring::new(capacity);
    (0..30_000).for_each(|end| ring.push(Event::turn(0, end, 1)));
    assert_eq!(
        ends(&ring),
        (30_000 - capacity as u64..30_000).collect::<Vec<_>>()
    );
    assert_eq!(ring.dropped(), 30_000 - capacity as u64);
}

proptest! {
    #[test]
    fn a_ring_holds_the_newest_in_order(capacity in 0_usize..20, pushes in 0_u64..60) {
        let mut ring = Ring::new(capacity);
        (0..pushes).for_each(|end| ring.push(Event::turn(0, end, 1)));
        let kept = pushes.min(capacity as u64);
        prop_assert_eq!(ends(&ring), (pushes - kept..pushes).collect::<Vec<_>>());
        prop_assert_eq!(ring.len() as u64, kept);
        prop_assert_eq!(ring.dropped(), pushes - kept);
    }
}
