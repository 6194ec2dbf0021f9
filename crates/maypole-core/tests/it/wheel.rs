//! The wheel against an ordered map of (deadline, insertion).

use std::collections::BTreeMap;

use maypole_core::{Key, NEVER_NS, Wheel};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(Deadline),
    /// Many at once, so that slots grow past what is sorted as it is.
    InsertMany(u16, u64),
    Cancel(prop::sample::Index),
    CancelFirst,
    PopOne(u64),
    PopAll(u64),
    PopAtWake,
    TimeGoesBack(u64),
    Drain,
}

#[derive(Clone, Debug)]
enum Deadline {
    After(u64),
    Before(u64),
    At(u64),
    Never,
}

fn span_ns() -> impl Strategy<Value = u64> {
    prop_oneof![
        0u64..4,
        0u64..70,
        0u64..5_000,
        0u64..1_000_000,
        0u64..200_000_000,
        0u64..7_200_000_000_000,
        (0u32..64).prop_map(|bits| 1 << bits),
        (0u32..64).prop_map(|bits| (1 << bits) - 1),
    ]
}

fn deadline() -> impl Strategy<Value = Deadline> {
    prop_oneof![
        20 => span_ns().prop_map(Deadline::After),
        3 => span_ns().prop_map(Deadline::Before),
        2 => (0u64..200).prop_map(Deadline::At),
        1 => any::<u64>().prop_map(Deadline::At),
        1 => Just(Deadline::Never),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => deadline().prop_map(Step::Insert),
        1 => (1u16..300, span_ns()).prop_map(|(count, spread_ns)| Step::InsertMany(count, spread_ns)),
        4 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        4 => Just(Step::CancelFirst),
        6 => span_ns().prop_map(Step::PopOne),
        3 => span_ns().prop_map(Step::PopAll),
        6 => Just(Step::PopAtWake),
        1 => span_ns().prop_map(Step::TimeGoesBack),
        1 => Just(Step::Drain),
    ]
}

#[derive(Default)]
struct Pair {
    wheel: Wheel<u64>,
    model: BTreeMap<(u64, u64), Key>,
    fired: Vec<Key>,
    now_ns: u64,
    sequence: u64,
}

impl Pair {
    fn insert(&mut self, deadline_ns: u64) {
        let key = self.wheel.insert(deadline_ns, self.sequence);
        assert!(!self.fired.contains(&key), "a key came back");
        self.model.insert((deadline_ns, self.sequence), key);
        self.sequence += 1;
    }

    fn cancel(&mut self, which: usize) {
        if let Some((&order, &key)) = self.model.iter().nth(which) {
            self.model.remove(&order);
            assert_eq!(self.wheel.cancel(key), Some(order.1));
            assert_eq!(self.wheel.cancel(key), None);
            self.fired.push(key);
        }
    }

    fn advance(&mut self, span_ns: u64) {
        self.now_ns = self.now_ns.saturating_add(span_ns);
    }

    /// Pops one at `asked_ns`; the model uses the latest time ever asked.
    fn pop(&mut self, asked_ns: u64) -> bool {
        let due = self.model.first_key_value().map(|(order, _)| *order);
        let due = due.filter(|(deadline_ns, _)| *deadline_ns <= self.now_ns && *deadline_ns != NEVER_NS);
        assert_eq!(self.wheel.pop_due(asked_ns), due);
        let Some(order) = due else {
            let wake_ns = self.wheel.next_wake_ns();
            assert!(
                wake_ns.is_none_or(|wake_ns| wake_ns > self.now_ns),
                "waking must make progress"
            );
            return false;
        };
        if let Some(key) = self.model.remove(&order) {
            assert_eq!(self.wheel.cancel(key), None, "a fired timer cannot be cancelled");
            self.fired.push(key);
        }
        true
    }

    fn check(&mut self) {
        let first_ns = self
            .model
            .keys()
            .map(|order| order.0)
            .find(|deadline_ns| *deadline_ns != NEVER_NS);
        let wake_ns = self.wheel.next_wake_ns();
        assert_eq!(wake_ns.is_some(), first_ns.is_some());
        assert!(wake_ns <= first_ns, "nothing is due before the wake");
        assert_eq!(self.wheel.next_deadline_ns(), first_ns);
        assert_eq!(self.wheel.len(), self.model.len());
        assert_eq!(self.wheel.is_empty(), self.model.is_empty());
        let mut items: Vec<_> = self.wheel.iter().copied().collect();
        let mut expected: Vec<_> = self.model.keys().map(|order| order.1).collect();
        items.sort_unstable();
        expected.sort_unstable();
        assert_eq!(items, expected);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Insert(Deadline::After(span_ns)) => self.insert(self.now_ns.saturating_add(span_ns)),
            Step::Insert(Deadline::Before(span_ns)) => self.insert(self.now_ns.saturating_sub(span_ns)),
            Step::Insert(Deadline::At(deadline_ns)) => self.insert(deadline_ns),
            Step::Insert(Deadline::Never) => self.insert(NEVER_NS),
            Step::InsertMany(count, spread_ns) => {
                for n in 0..u64::from(count) {
                    let offset_ns = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (spread_ns + 1);
                    self.insert(self.now_ns.saturating_add(offset_ns));
                }
            }
            Step::Cancel(_) if self.model.is_empty() => {}
            Step::Cancel(which) => self.cancel(which.index(self.model.len())),
            Step::CancelFirst => self.cancel(0),
            Step::PopOne(span_ns) => {
                self.advance(span_ns);
                self.pop(self.now_ns);
            }
            Step::PopAll(span_ns) => {
                self.advance(span_ns);
                while self.pop(self.now_ns) {}
            }
            Step::PopAtWake => {
                self.now_ns = self.now_ns.max(self.wheel.next_wake_ns().unwrap_or(0));
                self.pop(self.now_ns);
            }
            Step::TimeGoesBack(span_ns) => {
                self.pop(self.now_ns.saturating_sub(span_ns));
            }
            Step::Drain => {
                let expected: Vec<_> = std::mem::take(&mut self.model).into_iter().collect();
                self.fired.extend(expected.iter().map(|(_, key)| *key));
                assert_eq!(
                    self.wheel.drain(),
                    expected.iter().map(|(order, _)| order.1).collect::<Vec<_>>()
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn wheel_fires_in_the_order_of_deadline_and_insertion(steps in prop::collection::vec(step(), 1..80)) {
        let mut pair = Pair::default();
        for step in steps {
            pair.step(step);
            pair.check();
        }
    }

    #[test]
    fn waking_when_told_fires_everything_with_few_vain_wakes(
        spans_ns in prop::collection::vec(span_ns(), 1..400),
        cancelled in prop::collection::vec(any::<prop::sample::Index>(), 0..200),
    ) {
        let mut pair = Pair::default();
        for span_ns in &spans_ns {
            pair.insert(*span_ns);
        }
        for which in &cancelled {
            pair.cancel(which.index(spans_ns.len()));
        }
        let mut vain = 0;
        while let Some(wake_ns) = pair.wheel.next_wake_ns() {
            pair.now_ns = pair.now_ns.max(wake_ns);
            if !pair.pop(pair.now_ns) {
                vain += 1;
            }
        }
        prop_assert!(pair.model.is_empty());
        prop_assert!(vain <= 11 * cancelled.len(), "{} vain wakes for {} cancels", vain, cancelled.len());
    }
}

#[test]
fn wake_is_exact_where_nothing_was_cancelled() {
    let mut wheel = Wheel::new();
    let mut deadlines_ns: Vec<u64> = (1..1_000).map(|n| n * n * n * 1_009).collect();
    for deadline_ns in deadlines_ns.iter().rev() {
        wheel.insert(*deadline_ns, ());
    }
    deadlines_ns.reverse();
    while let Some(wake_ns) = wheel.next_wake_ns() {
        assert_eq!(Some(wake_ns), deadlines_ns.pop());
        assert_eq!(wheel.pop_due(wake_ns), Some((wake_ns, ())));
    }
    assert!(deadlines_ns.is_empty());
}

#[test]
fn cancelled_timer_gives_its_memory_to_the_next() {
    let mut wheel = Wheel::new();
    wheel.insert(1, 0);
    assert!(wheel.pop_due(1).is_some());
    for n in 0..100_000u64 {
        // Far, near, and past: a timer that hangs in a slot, one that is about to fire, one that is late.
        let keys = [
            wheel.insert(n + 30_000_000_000, n),
            wheel.insert(n + 1, n),
            wheel.insert(0, n),
        ];
        assert!(
            keys.iter().all(|key| key.to_bits() & 0xffff_ffff < 3),
            "the slab must not grow"
        );
        assert!(keys.iter().all(|key| wheel.cancel(*key) == Some(n)));
        assert!(wheel.is_empty());
    }
}

#[test]
fn re_armed_timeouts_never_wake_the_loop_in_vain_more_than_once_a_slot() {
    let mut wheel = Wheel::new();
    let timeout_ns = 30_000_000_000;
    let mut keys: std::collections::VecDeque<_> =
        (0..1_000).map(|n| wheel.insert(n + timeout_ns, n)).collect();
    // Each turn the earliest timeout is cancelled and armed again: a server whose requests all end in time.
    let (mut now_ns, mut vain) = (0, 0);
    for turn in 0..100_000u64 {
        now_ns += 1_000_000;
        if wheel.next_wake_ns().is_some_and(|wake_ns| wake_ns <= now_ns) {
            vain += 1;
        }
        assert_eq!(wheel.pop_due(now_ns), None);
        let key = keys.pop_front().unwrap();
        assert!(wheel.cancel(key).is_some());
        keys.push_back(wheel.insert(now_ns + timeout_ns, turn));
    }
    assert_eq!(wheel.len(), 1_000);
    assert!(vain <= 100, "{vain} vain wakes in 100,000 turns");
}

#[test]
fn late_timers_fire_among_the_due_in_deadline_order() {
    let mut wheel = Wheel::new();
    for deadline_ns in [300, 100, 200] {
        wheel.insert(deadline_ns, deadline_ns);
    }
    assert_eq!(wheel.pop_due(250), Some((100, 100)));
    wheel.insert(150, 150);
    wheel.insert(200, 201);
    wheel.insert(50, 50);
    let fired: Vec<_> = std::iter::from_fn(|| wheel.pop_due(250)).collect();
    assert_eq!(fired, [(50, 50), (150, 150), (200, 200), (200, 201)]);
    assert_eq!(wheel.next_wake_ns(), Some(300));
}
