//! The turn against asyncio's: a list of ready items and a list of timers.

use maypole_core::{
    COALESCE_NS, DENSE_TIMERS_MIN, Key, NEVER_NS, POLL_BUDGET_NS, POLL_SKIPS_MAX, Turn, Wait,
};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Enqueue,
    Schedule(i64),
    Cancel(prop::sample::Index),
    Begin(u64),
    Take,
    Drain,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Enqueue),
        8 => (-50i64..500).prop_map(Step::Schedule),
        2 => (0i64..10_000_000_000).prop_map(Step::Schedule),
        3 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        4 => (0u64..300).prop_map(Step::Begin),
        1 => (0u64..5_000_000_000).prop_map(Step::Begin),
        12 => Just(Step::Take),
        1 => Just(Step::Drain),
    ]
}

/// asyncio's `_run_once` in a dozen lines.
#[derive(Default)]
struct Model {
    ready: Vec<usize>,
    batch_left: usize,
    timers: Vec<(u64, usize, Key)>,
}

impl Model {
    fn begin(&mut self, now_ns: u64) -> usize {
        self.timers.sort_unstable();
        let due = self
            .timers
            .partition_point(|(deadline_ns, ..)| *deadline_ns <= now_ns);
        self.ready
            .extend(self.timers.drain(..due).map(|(_, number, _)| number));
        self.batch_left = self.ready.len();
        self.batch_left
    }

    fn take(&mut self) -> Option<usize> {
        self.batch_left = self.batch_left.checked_sub(1)?;
        Some(self.ready.remove(0))
    }

    fn drain(&mut self) -> Vec<usize> {
        self.timers.sort_unstable();
        self.batch_left = 0;
        self.ready
            .drain(..)
            .chain(self.timers.drain(..).map(|(_, number, _)| number))
            .collect()
    }
}

proptest! {
    #[test]
    fn turn_runs_what_asyncio_would(steps in prop::collection::vec(step(), 1..200)) {
        let mut turn = Turn::new();
        let mut model = Model::default();
        let mut now_ns = 1_000;
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Enqueue => {
                    turn.enqueue(number);
                    model.ready.push(number);
                }
                Step::Schedule(offset) => {
                    let deadline_ns = 1_000u64.max(now_ns).saturating_add_signed(offset);
                    let key = turn.schedule(deadline_ns, number);
                    model.timers.push((deadline_ns, number, key));
                }
                Step::Cancel(which) if !model.timers.is_empty() => {
                    let (_, number, key) = model.timers.swap_remove(which.index(model.timers.len()));
                    prop_assert_eq!(turn.cancel(key), Some(number));
                    prop_assert_eq!(turn.cancel(key), None);
                }
                Step::Cancel(_) => {}
                Step::Begin(passed_ns) => {
                    now_ns += passed_ns;
                    prop_assert_eq!(turn.begin(now_ns), model.begin(now_ns));
                }
                Step::Take => prop_assert_eq!(turn.take(), model.take()),
                Step::Drain => prop_assert_eq!(turn.drain(), model.drain()),
            }
            prop_assert_eq!(turn.ready_len(), model.ready.len());
            prop_assert_eq!(turn.timers_len(), model.timers.len());
            prop_assert_eq!(turn.next_deadline_ns(), model.timers.iter().map(|timer| timer.0).min());
            prop_assert_eq!(turn.iter().count(), model.ready.len() + model.timers.len());
            match turn.wait(now_ns) {
                Wait::Poll => {
                    let due = turn.next_deadline_ns().is_some_and(|deadline_ns| deadline_ns <= now_ns);
                    prop_assert!(due || !model.ready.is_empty() || wake_was_stale(&mut turn, now_ns));
                }
                Wait::Until(wake_ns) => {
                    prop_assert!(wake_ns > now_ns && model.ready.is_empty());
                    // Few timers are woken for exactly; dense ones a little later, together.
                    let late_ns = if turn.timers_len() < DENSE_TIMERS_MIN { 0 } else { COALESCE_NS };
                    prop_assert!(turn.next_deadline_ns().is_some_and(|deadline_ns| wake_ns <= deadline_ns + late_ns));
                }
                Wait::Forever => prop_assert!(model.ready.is_empty() && model.timers.is_empty()),
            }
        }
    }
}

/// A wake may be early once, where the first timer was cancelled; turning at that time must name a later one.
fn wake_was_stale(turn: &mut Turn<usize>, now_ns: u64) -> bool {
    turn.begin(now_ns) == 0 && turn.wait(now_ns) != Wait::Poll
}

#[test]
fn callback_that_enqueues_itself_waits_for_the_next_turn() {
    let mut turn = Turn::new();
    turn.enqueue("again");
    turn.schedule(10, "timer");
    let mut log = Vec::new();
    for now_ns in [0, 10] {
        turn.begin(now_ns);
        while let Some(name) = turn.take() {
            log.push(name);
            if name == "again" {
                turn.enqueue("again");
            }
        }
    }
    assert_eq!(log, ["again", "again", "timer"]);
}

#[test]
fn timer_scheduled_for_now_by_a_callback_waits_for_the_next_turn() {
    let mut turn = Turn::new();
    turn.enqueue("callback");
    assert_eq!(turn.begin(50), 1);
    turn.schedule(50, "timer");
    assert_eq!(turn.take(), Some("callback"));
    assert_eq!(turn.take(), None);
    assert_eq!(turn.wait(50), Wait::Poll);
    assert_eq!(turn.begin(50), 1);
    assert_eq!(turn.take(), Some("timer"));
}

#[test]
fn batch_cut_short_is_finished_first() {
    let mut turn = Turn::new();
    turn.enqueue(1);
    turn.enqueue(2);
    turn.begin(0);
    assert_eq!(turn.take(), Some(1));
    turn.enqueue(3);
    assert_eq!(
        turn.begin(0),
        2,
        "the callback of 1 raised; the loop is run again"
    );
    assert_eq!([turn.take(), turn.take(), turn.take()], [Some(2), Some(3), None]);
}

#[test]
fn poller_is_asked_at_first_and_when_nothing_is_ready() {
    let mut turn = Turn::new();
    turn.enqueue(());
    assert!(turn.must_poll(0));
    turn.polled(0);
    assert!(!turn.must_poll(0));
    turn.begin(0);
    turn.take();
    assert!(turn.must_poll(0));
}

#[test]
fn poller_is_skipped_no_longer_than_its_budget() {
    let mut turn = Turn::new();
    turn.enqueue(());
    turn.polled(7);
    assert!(!turn.must_poll(7 + POLL_BUDGET_NS - 1));
    assert!(turn.must_poll(7 + POLL_BUDGET_NS));
    assert!(
        !turn.must_poll(0),
        "a clock that went back must not force anything"
    );
}

#[test]
fn poller_is_skipped_for_no_more_than_so_many_turns() {
    let mut turn = Turn::new();
    turn.enqueue(());
    turn.polled(0);
    let mut skipped = 0;
    turn.begin(0);
    while !turn.must_poll(0) {
        turn.begin(0);
        skipped += 1;
    }
    assert_eq!(skipped, POLL_SKIPS_MAX);
    turn.polled(0);
    turn.begin(0);
    assert!(!turn.must_poll(0));
}

#[test]
fn timer_that_never_fires_makes_no_one_wait_for_it() {
    let mut turn = Turn::new();
    let key = turn.schedule(NEVER_NS, "never");
    assert_eq!(turn.wait(0), Wait::Forever);
    assert_eq!(turn.next_deadline_ns(), None);
    assert_eq!(turn.begin(u64::MAX), 0);
    assert_eq!((turn.timers_len(), turn.cancel(key)), (1, Some("never")));
}

#[test]
fn many_close_timers_are_fired_together_and_few_exactly() {
    let mut turn = Turn::new();
    for place in 0..110_u64 {
        turn.schedule(1_000_000 + place * 10_000, place as usize);
    }
    assert_eq!(
        turn.wait(0),
        Wait::Until(1_000_000),
        "the first of a burst is exact"
    );
    turn.begin(1_000_000);
    while turn.take().is_some() {}
    assert_eq!(turn.wait(1_000_000), Wait::Until(1_000_000 + COALESCE_NS));
    assert_eq!(turn.begin(1_000_000 + COALESCE_NS), 100);
    while turn.take().is_some() {}
    assert!(turn.timers_len() < DENSE_TIMERS_MIN);
    assert_eq!(
        turn.wait(2_000_000),
        Wait::Until(2_010_000),
        "few timers are exact again"
    );
}
