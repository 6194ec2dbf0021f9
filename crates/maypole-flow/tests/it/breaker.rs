//! A breaker under random histories: probes, generations, the end of half-open, the chain of transitions.

use maypole_flow::{Admission, Breaker, BreakerSettings, BreakerState, Transition, WindowKind};
use proptest::prelude::*;

const MS: u64 = 1_000_000;

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Admit,
    Finish(prop::sample::Index, bool),
    GiveBack(prop::sample::Index),
    Tick,
    ByHand(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3_000 * MS).prop_map(Step::Wait),
        8 => Just(Step::Admit),
        8 => (any::<prop::sample::Index>(), prop::bool::weighted(0.6)).prop_map(|(i, failed)| Step::Finish(i, failed)),
        2 => any::<prop::sample::Index>().prop_map(Step::GiveBack),
        1 => Just(Step::Tick),
        1 => (0..20_u8).prop_map(Step::ByHand),
    ];
    prop::collection::vec(step, 1..300)
}

fn settings() -> impl Strategy<Value = BreakerSettings> {
    let window = prop_oneof![
        (5..30_u32).prop_map(WindowKind::Calls),
        (100 * MS..20_000 * MS).prop_map(WindowKind::Span),
    ];
    (
        window,
        1..5_u32,
        prop::option::weighted(0.7, 0.1..1.0_f64),
        1..5_u32,
        prop::option::weighted(0.5, 100 * MS..2_000 * MS),
        1..6_u32,
        1..6_u32,
    )
        .prop_map(
            |(window, calls_min, failure_rate, consecutive, slow_ns, probes, at_once)| BreakerSettings {
                window,
                calls_min,
                failure_rate,
                consecutive: failure_rate.is_none().then_some(consecutive),
                slow_ns,
                probes,
                probes_at_once: at_once.min(probes),
                open_ns: 1_000 * MS,
                open_max_ns: 4_000 * MS,
                half_open_ns: 5_000 * MS,
                ..BreakerSettings::default()
            },
        )
}

struct History {
    breaker: Breaker,
    settings: BreakerSettings,
    now_ns: u64,
    under_way: Vec<(Admission, u64)>,
    transitions: Vec<Transition>,
}

impl History {
    fn play(&mut self, step: Step) -> Result<(), TestCaseError> {
        let generation = self.breaker.generation();
        match step {
            Step::Wait(ns) => self.now_ns += ns,
            Step::Admit => {
                let before = self.breaker.state();
                match self.breaker.admit(self.now_ns) {
                    Ok(admission) => {
                        prop_assert_ne!(self.breaker.state(), BreakerState::Open);
                        prop_assert_ne!(self.breaker.state(), BreakerState::ForcedOpen);
                        self.under_way.push((admission, self.breaker.generation()));
                    }
                    Err(blocked) => {
                        prop_assert_eq!(blocked.state, self.breaker.state());
                        prop_assert!(before != BreakerState::Disabled && before != BreakerState::MetricsOnly);
                        if blocked.state == BreakerState::Open {
                            let after_ns = blocked.retry_after_ns.unwrap();
                            prop_assert!(after_ns > 0 && after_ns <= self.settings.open_max_ns * 11 / 10);
                        }
                    }
                }
            }
            Step::Finish(which, failed) if !self.under_way.is_empty() => {
                let (admission, born) = self.under_way.swap_remove(which.index(self.under_way.len()));
                self.breaker.tick(self.now_ns);
                let (state, generation) = (self.breaker.state(), self.breaker.generation());
                let tallies = self.breaker.tallies();
                self.breaker.finish(self.now_ns, admission, failed);
                if born != generation {
                    prop_assert_eq!(self.breaker.state(), state, "a late result changed the state");
                    prop_assert_eq!(self.breaker.tallies(), tallies, "a late result was counted");
                }
            }
            Step::GiveBack(which) if !self.under_way.is_empty() => {
                let (admission, _) = self.under_way.swap_remove(which.index(self.under_way.len()));
                self.breaker.tick(self.now_ns);
                let (state, tallies) = (self.breaker.state(), self.breaker.tallies());
                self.breaker.give_back(self.now_ns, admission);
                prop_assert_eq!((self.breaker.state(), self.breaker.tallies()), (state, tallies));
            }
            Step::Tick => self.breaker.tick(self.now_ns),
            Step::ByHand(0) => self.breaker.force_open(self.now_ns),
            Step::ByHand(1) => self.breaker.disable(self.now_ns),
            Step::ByHand(2) => self.breaker.metrics_only(self.now_ns),
            Step::ByHand(3..6) => self.breaker.close(self.now_ns),
            Step::ByHand(6) => self.breaker.reset(self.now_ns),
            Step::ByHand(_) | Step::Finish(..) | Step::GiveBack(_) => {}
        }
        prop_assert!(self.breaker.generation() >= generation);
        self.check_probes()?;
        self.transitions.extend(self.breaker.take_transitions());
        prop_assert!(!self.breaker.has_transitions());
        Ok(())
    }

    fn check_probes(&self) -> Result<(), TestCaseError> {
        if self.breaker.state() == BreakerState::HalfOpen {
            let generation = self.breaker.generation();
            let probes = self.under_way.iter().filter(|one| one.1 == generation).count();
            prop_assert!(
                probes <= self.settings.probes_at_once as usize,
                "{probes} probes at once"
            );
        }
        Ok(())
    }

    /// Each transition begins where the one before it ended; half-open lasts no longer than it may.
    fn check_chain(&self) -> Result<(), TestCaseError> {
        let mut state = BreakerState::Closed;
        for one in &self.transitions {
            prop_assert_eq!(one.from, state);
            prop_assert_ne!(one.to, one.from);
            state = one.to;
        }
        prop_assert_eq!(state, self.breaker.state());
        Ok(())
    }
}

proptest! {
    #[test]
    fn a_breaker_keeps_its_rules(settings in settings(), steps in steps(), seed in any::<u64>()) {
        let breaker = Breaker::new(settings, seed).unwrap();
        let mut history = History { breaker, settings, now_ns: 5_000 * MS, under_way: Vec::new(), transitions: Vec::new() };
        for step in steps {
            history.play(step)?;
        }
        history.check_chain()?;
        // Whatever happened, it can begin anew.
        history.breaker.reset(history.now_ns);
        history.now_ns += 100_000 * MS;
        prop_assert!(history.breaker.admit(history.now_ns).is_ok());
    }

    #[test]
    fn half_open_ends_even_when_no_probe_answers(settings in settings(), seed in any::<u64>()) {
        let mut breaker = Breaker::new(settings, seed).unwrap();
        breaker.force_open(0);
        breaker.close(0);
        let mut now_ns = 0;
        while breaker.state() == BreakerState::Closed {
            let call = breaker.admit(now_ns).unwrap();
            breaker.finish(now_ns, call, settings.slow_ns.is_none() || settings.failure_rate.is_some() || settings.consecutive.is_some());
        }
        now_ns += settings.open_max_ns * 2;
        prop_assert!(breaker.admit(now_ns).is_ok());
        prop_assert_eq!(breaker.state(), BreakerState::HalfOpen);
        now_ns += settings.half_open_ns;
        breaker.tick(now_ns);
        prop_assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn the_ways_that_need_less_count_the_same(settings in settings(), steps in steps(), seed in any::<u64>()) {
        let settings = BreakerSettings { slow_ns: None, ..settings };
        let [mut plain, mut short] = [(); 2].map(|()| Breaker::new(settings, seed).unwrap());
        let mut now_ns = 5_000 * MS;
        let mut under_way = Vec::new();
        for step in steps {
            match step {
                Step::Wait(ns) => now_ns += ns,
                Step::Finish(index, failed) if !under_way.is_empty() => {
                    let (call, again): (Admission, Admission) = under_way.swap_remove(index.index(under_way.len()));
                    plain.finish(now_ns, call, failed);
                    if failed || !short.succeed(again) {
                        short.finish(now_ns, again, failed);
                    }
                }
                _ => {
                    let call = plain.admit(now_ns);
                    let again = short.enter().map_or_else(|| short.admit(now_ns), Ok);
                    prop_assert_eq!(call.err(), again.err());
                    under_way.extend(call.ok().zip(again.ok()));
                }
            }
            plain.tick(now_ns);
            short.tick(now_ns);
            prop_assert_eq!(plain.calls(), short.calls());
            prop_assert_eq!(plain.tallies(), short.tallies());
            prop_assert_eq!(plain.take_transitions(), short.take_transitions());
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_waits(seed in any::<u64>(), trials in 1..6_u32) {
        let waits = || {
            let settings = BreakerSettings { consecutive: Some(1), probes: 1, jitter: 0.5, ..BreakerSettings::default() };
            let mut breaker = Breaker::new(settings, seed).unwrap();
            let mut now_ns = 0;
            let mut waits = Vec::new();
            for _ in 0..trials {
                let call = breaker.admit(now_ns).unwrap();
                breaker.finish(now_ns, call, true);
                waits.push(breaker.retry_after_ns());
                now_ns += 200_000 * MS;
            }
            waits
        };
        prop_assert_eq!(waits(), waits());
    }
}

#[test]
fn the_open_time_doubles_up_to_its_most() {
    let settings = BreakerSettings {
        failure_rate: None,
        consecutive: Some(1),
        probes: 1,
        jitter: 0.0,
        ..BreakerSettings::default()
    };
    let mut breaker = Breaker::new(settings, 0).unwrap();
    let mut now_ns = 0;
    let mut waits = Vec::new();
    for _ in 0..6 {
        let call = breaker.admit(now_ns).unwrap();
        breaker.finish(now_ns, call, true);
        let wait_ns = breaker.retry_after_ns().unwrap();
        waits.push(wait_ns / 1_000_000_000);
        now_ns += wait_ns;
    }
    assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
}

#[test]
fn a_hung_call_is_due_at_the_threshold() {
    let settings = BreakerSettings {
        slow_ns: Some(500 * MS),
        ..BreakerSettings::default()
    };
    let mut breaker = Breaker::new(settings, 0).unwrap();
    assert_eq!(breaker.due_ns(), None);
    let first = breaker.admit(1_000 * MS).unwrap();
    let second = breaker.admit(1_200 * MS).unwrap();
    assert_eq!(breaker.due_ns(), Some(1_500 * MS));
    breaker.finish(1_300 * MS, first, false);
    assert_eq!(breaker.due_ns(), Some(1_700 * MS));
    breaker.tick(1_700 * MS);
    assert_eq!(breaker.due_ns(), None);
    assert_eq!((breaker.tallies().calls, breaker.tallies().slow), (2, 1));
    breaker.finish(2_000 * MS, second, true);
    let tallies = breaker.tallies();
    assert_eq!((tallies.calls, tallies.slow, tallies.failed), (2, 1, 1));
}

#[test]
fn what_is_waited_for_after_the_admission_is_not_the_remotes_time() {
    let settings = BreakerSettings {
        slow_ns: Some(500 * MS),
        ..BreakerSettings::default()
    };
    let mut breaker = Breaker::new(settings, 0).unwrap();
    let call = breaker.admit(1_000 * MS).unwrap();
    breaker.hold(1_000 * MS, call);
    assert_eq!(breaker.due_ns(), None);
    let call = breaker.begin(9_400 * MS, call);
    assert_eq!(breaker.due_ns(), Some(9_900 * MS));
    breaker.finish(9_800 * MS, call, false);
    assert_eq!((breaker.tallies().calls, breaker.tallies().slow), (1, 0));
}
