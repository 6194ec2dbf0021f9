//! A limiter under random histories: the bound, the order, the sums.

use maypole_flow::{Gcra, Limiter, Refused, Rule, SlidingLog, Ticket};
use proptest::prelude::*;

const MS: u64 = 1_000_000;

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Try(u8),
    Join(u8, Option<u64>),
    Leave(prop::sample::Index),
    GiveBack(prop::sample::Index),
    Pause(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..400 * MS).prop_map(Step::Wait),
        3 => (1..6_u8).prop_map(Step::Try),
        5 => (1..6_u8, prop::option::weighted(0.3, 0..2_000 * MS)).prop_map(|(n, t)| Step::Join(n, t)),
        2 => any::<prop::sample::Index>().prop_map(Step::Leave),
        1 => any::<prop::sample::Index>().prop_map(Step::GiveBack),
        1 => (0..300 * MS).prop_map(Step::Pause),
    ];
    prop::collection::vec(step, 1..120)
}

#[derive(Clone, Copy, Debug)]
struct Grant {
    at_ns: u64,
    n: f64,
    kept: bool,
}

/// A history: everything that was asked, and everything that was granted.
struct History {
    limiter: Limiter<(u64, f64)>,
    now_ns: u64,
    asked: u64,
    joined: u64,
    served: u64,
    waiting: Vec<Ticket>,
    grants: Vec<Grant>,
    paused_until_ns: u64,
}

impl History {
    fn new(rules: Vec<Rule>, waiting_max: Option<usize>) -> Self {
        Self {
            limiter: Limiter::new(rules, waiting_max),
            now_ns: 1_000_000 * MS,
            asked: 0,
            joined: 0,
            served: 0,
            waiting: Vec::new(),
            grants: Vec::new(),
            paused_until_ns: 0,
        }
    }

    fn granted(&mut self, n: f64) -> Result<(), TestCaseError> {
        prop_assert!(self.now_ns >= self.paused_until_ns, "granted during a pause");
        self.grants.push(Grant {
            at_ns: self.now_ns,
            n,
            kept: true,
        });
        Ok(())
    }

    fn serve(&mut self) -> Result<Option<u64>, TestCaseError> {
        let mut granted = Vec::new();
        let served = self.limiter.serve(self.now_ns, &mut granted);
        prop_assert_eq!(served.at_ns, self.now_ns);
        for (number, n) in granted {
            prop_assert!(number > self.served, "served out of order");
            self.served = number;
            self.granted(n)?;
        }
        Ok(served.due_ns)
    }

    /// Let time pass as a loop does: a timer for whoever is first.
    fn wait(&mut self, ns: u64) -> Result<(), TestCaseError> {
        let until_ns = self.now_ns + ns;
        while let Some(due_ns) = self.serve()? {
            prop_assert!(due_ns > self.now_ns, "due, and not served");
            if due_ns > until_ns {
                break;
            }
            self.now_ns = due_ns;
        }
        self.now_ns = until_ns;
        self.serve()?;
        Ok(())
    }

    fn play(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Wait(ns) => self.wait(ns)?,
            Step::Try(n) => {
                self.asked += 1;
                let waited_for = self.limiter.waiting_len() > 0;
                if self.limiter.try_acquire(self.now_ns, f64::from(n)).unwrap() {
                    prop_assert!(!waited_for, "overtook somebody who waits");
                    self.granted(f64::from(n))?;
                }
            }
            Step::Join(n, timeout_ns) => {
                self.asked += 1;
                self.joined += 1;
                let who = (self.joined, f64::from(n));
                match self.limiter.join(self.now_ns, who.1, timeout_ns, who) {
                    Ok(ticket) => self.waiting.push(ticket),
                    Err((_, Refused::TooLate { delay_ns })) => prop_assert!(delay_ns > timeout_ns.unwrap()),
                    Err((_, why)) => prop_assert!(false, "{why:?}"),
                }
                self.serve()?;
            }
            Step::Leave(which) if !self.waiting.is_empty() => {
                let ticket = self.waiting.swap_remove(which.index(self.waiting.len()));
                self.limiter.leave(ticket, false);
                self.serve()?;
            }
            Step::GiveBack(which) => {
                let kept: Vec<usize> = (0..self.grants.len()).filter(|i| self.grants[*i].kept).collect();
                if !kept.is_empty() {
                    let grant = &mut self.grants[kept[which.index(kept.len())]];
                    grant.kept = false;
                    let (n, at_ns) = (grant.n, grant.at_ns);
                    self.limiter.give_back(self.now_ns, n, at_ns);
                    self.serve()?;
                }
            }
            Step::Pause(ns) => {
                let before_ns = self.limiter.paused_ns(self.now_ns);
                self.limiter.pause(self.now_ns, ns);
                self.paused_until_ns = self.paused_until_ns.max(self.now_ns + ns);
                prop_assert!(
                    self.limiter.paused_ns(self.now_ns) >= before_ns,
                    "a pause was shortened"
                );
                let mut refused = Vec::new();
                self.limiter.refuse_hopeless(self.now_ns, &mut refused);
            }
            Step::Leave(_) => {}
        }
        let tally = self.limiter.tally();
        let known = tally.granted + tally.rejected + tally.cancelled + self.limiter.waiting_len() as u64;
        prop_assert_eq!(known, self.asked, "somebody was lost or counted twice");
        Ok(())
    }

    /// The weights kept in [s, t] are at most burst + rate * (t - s), for every pair of grants.
    fn check_bound(&self, rate: f64, burst: f64) -> Result<(), TestCaseError> {
        let kept: Vec<Grant> = self.grants.iter().copied().filter(|grant| grant.kept).collect();
        for (i, first) in kept.iter().enumerate() {
            let mut total = 0.0;
            for grant in &kept[i..] {
                total += grant.n;
                let seconds = (grant.at_ns - first.at_ns) as f64 / 1e9;
                let most = burst + rate * (seconds + 2e-9) + 1e-6; // two roundings to whole nanoseconds
                prop_assert!(total <= most, "{total} granted in {seconds} s, at most {most}");
            }
        }
        Ok(())
    }

    fn check_window(&self, limit: f64, window_ns: u64) -> Result<(), TestCaseError> {
        let kept: Vec<Grant> = self.grants.iter().copied().filter(|grant| grant.kept).collect();
        for (i, first) in kept.iter().enumerate() {
            let inside = kept[i..]
                .iter()
                .take_while(|grant| grant.at_ns < first.at_ns + window_ns);
            let total: f64 = inside.map(|grant| grant.n).sum();
            prop_assert!(total <= limit, "{total} granted in a window of {limit}");
        }
        Ok(())
    }

    /// Whoever still waits is served in the end.
    fn check_all_served(&mut self) -> Result<(), TestCaseError> {
        self.wait(10_000_000 * MS)?;
        prop_assert_eq!(self.limiter.waiting_len(), 0);
        prop_assert_eq!(self.limiter.first(), None);
        Ok(())
    }
}

proptest! {
    #[test]
    fn a_bucket_holds_its_bound_its_order_and_its_sums(
        rate in 0.5..2_000.0_f64, burst in 5.0..20.0_f64, empty in any::<bool>(), steps in steps(),
    ) {
        let bucket = Gcra::new(rate, burst, empty.then_some(0.0)).unwrap();
        let mut history = History::new(vec![Rule::Bucket(bucket)], None);
        for step in steps {
            history.play(step)?;
        }
        history.check_all_served()?;
        history.check_bound(rate, burst)?;
    }

    #[test]
    fn a_window_holds_its_limit_its_order_and_its_sums(
        limit in 5..20_u8, window_ms in 1..3_000_u64, steps in steps(),
    ) {
        let log = SlidingLog::new(f64::from(limit), window_ms as f64 / 1e3).unwrap();
        let mut history = History::new(vec![Rule::Window(log)], None);
        for step in steps {
            history.play(step)?;
        }
        history.check_all_served()?;
        history.check_window(f64::from(limit), window_ms * MS)?;
    }

    #[test]
    fn several_rules_all_hold(
        rate in 1.0..100.0_f64, burst in 5.0..20.0_f64, limit in 5..20_u8, window_ms in 100..3_000_u64, steps in steps(),
    ) {
        let bucket = Gcra::new(rate, burst, None).unwrap();
        let log = SlidingLog::new(f64::from(limit), window_ms as f64 / 1e3).unwrap();
        let mut history = History::new(vec![Rule::Bucket(bucket), Rule::Window(log)], None);
        for step in steps {
            history.play(step)?;
        }
        history.check_all_served()?;
        history.check_bound(rate, burst)?;
        history.check_window(f64::from(limit), window_ms * MS)?;
    }

    #[test]
    fn a_forecast_of_one_rule_is_kept(
        rate in 1.0..100.0_f64, weights in prop::collection::vec(1..6_u8, 1..30), window in any::<bool>(),
    ) {
        let rule = if window {
            Rule::Window(SlidingLog::new(7.0, 1.0).unwrap())
        } else {
            Rule::Bucket(Gcra::new(rate, 7.0, None).unwrap())
        };
        let mut history = History::new(vec![rule], None);
        let mut expected = Vec::new();
        for n in weights {
            let delay_ns = history.limiter.delay_ns(history.now_ns, f64::from(n));
            expected.push(history.now_ns + delay_ns);
            history.play(Step::Join(n, None))?;
            prop_assert_eq!(
                history.waiting.last().and_then(|last| history.limiter.delay_of_ns(history.now_ns, *last)).unwrap_or(0),
                delay_ns
            );
        }
        history.check_all_served()?;
        for (grant, at_ns) in history.grants.iter().zip(expected) {
            prop_assert!(grant.at_ns.abs_diff(at_ns) <= 64, "{} instead of {at_ns}", grant.at_ns);
        }
    }

    #[test]
    fn a_timer_that_is_late_makes_up_for_ten_milliseconds_only(
        rate in 1.0..10_000.0_f64, burst in 5.0..20.0_f64, waiting in 1..250_u8, stall_ns in 0..1_000 * MS,
    ) {
        let mut history = History::new(vec![Rule::Bucket(Gcra::new(rate, burst, Some(0.0)).unwrap())], None);
        for _ in 0..waiting {
            history.play(Step::Join(1, None))?;
        }
        let due_ns = history.serve()?.unwrap();
        history.now_ns = due_ns + stall_ns;
        history.serve()?;
        let most = burst + rate * 0.01 + 1e-6;
        prop_assert!(history.grants.len() as f64 <= most, "{} > {most}", history.grants.len());
        // And a timer that is late by no more than that serves as many as one that is always in time.
        let in_time = 1.0 + rate * stall_ns as f64 / 1e9 - 1e-3;
        let least = in_time.floor().min(f64::from(waiting));
        if stall_ns <= 10 * MS {
            prop_assert!(history.grants.len() as f64 >= least, "{} < {least}", history.grants.len());
        }
    }

    #[test]
    fn another_rate_keeps_what_is_there(
        rate in 1.0..100.0_f64, other in 1.0..100.0_f64, taken in 0..10_u8,
    ) {
        let mut limiter: Limiter<()> = Limiter::new(vec![Rule::Bucket(Gcra::new(rate, 10.0, None).unwrap())], None);
        for _ in 0..taken {
            prop_assert_eq!(limiter.try_acquire(0, 1.0), Ok(true));
        }
        limiter.retune(0, other, None).unwrap();
        prop_assert!((limiter.level(0) - f64::from(10 - taken)).abs() < 1e-6);
        limiter.retune(0, other, Some(3.0)).unwrap();
        prop_assert!((limiter.level(0) - f64::from(3.min(10 - taken))).abs() < 1e-6);
        prop_assert!(limiter.retune(0, -1.0, None).is_err());
        prop_assert!((limiter.rules()[0].most() - 3.0).abs() < 1e-9, "a bad rate changes nothing");
    }
}

#[test]
fn a_clock_that_starts_over_gives_at_most_what_was_there() {
    let mut limiter: Limiter<()> = Limiter::new(vec![Rule::Bucket(Gcra::new(1.0, 5.0, None).unwrap())], None);
    for _ in 0..5 {
        assert_eq!(limiter.try_acquire(3_600_000 * MS, 1.0), Ok(true));
    }
    assert_eq!(limiter.try_acquire(1_000 * MS, 1.0), Ok(false));
    assert_eq!(limiter.try_acquire(2_000 * MS, 1.0), Ok(true));
    // And one that jumps ahead gives the burst, once.
    for _ in 0..5 {
        assert_eq!(limiter.try_acquire(u64::MAX / 2, 1.0), Ok(true));
    }
    assert_eq!(limiter.try_acquire(u64::MAX / 2, 1.0), Ok(false));
}

#[test]
fn the_line_is_bounded_but_never_refuses_what_is_due() {
    let mut limiter = Limiter::new(vec![Rule::Bucket(Gcra::new(1.0, 1.0, None).unwrap())], Some(0));
    assert!(limiter.join(0, 1.0, None, "due").is_ok());
    let mut granted = Vec::new();
    limiter.serve(0, &mut granted);
    assert_eq!(granted, ["due"]);
    assert_eq!(
        limiter.join(0, 1.0, None, "not due").unwrap_err(),
        ("not due", Refused::Full { delay_ns: 1_000 * MS })
    );
    assert_eq!(
        limiter.join(0, 2.0, None, "never").unwrap_err(),
        ("never", Refused::Never { most: 1.0 })
    );
}

#[test]
fn who_cannot_make_it_any_more_is_taken_out_of_the_line() {
    let mut limiter = Limiter::new(vec![Rule::Bucket(Gcra::new(10.0, 1.0, Some(0.0)).unwrap())], None);
    limiter.join(0, 1.0, Some(150 * MS), "in time").unwrap();
    limiter.join(0, 1.0, Some(250 * MS), "too late").unwrap();
    limiter.join(0, 1.0, None, "patient").unwrap();
    limiter.pause(0, 120 * MS);
    let mut refused = Vec::new();
    limiter.refuse_hopeless(0, &mut refused);
    assert_eq!(refused, []);
    limiter.pause(0, 200 * MS);
    limiter.refuse_hopeless(0, &mut refused);
    assert_eq!(
        refused.iter().map(|(who, _)| *who).collect::<Vec<_>>(),
        ["in time"]
    );
    assert_eq!(
        limiter.waiting().copied().collect::<Vec<_>>(),
        ["too late", "patient"]
    );
}
