//! The circuit breaker.
//!
//! ```text
//!            rates or a row of failures            after open_for, at the next call
//!  CLOSED ───────────────────────────────▶ OPEN ───────────────────────────────▶ HALF-OPEN
//!     ▲                                      ▲  probes fail, or do not answer in time │
//!     │                                      └────────────────────────────────────────┤
//!     └──────────────────────────────── all probes have answered, and they work ──────┘
//!  by hand: FORCED OPEN (nobody passes), DISABLED (everybody passes), METRICS ONLY (counts, never trips)
//! ```
//!
//! Owns the state, the window of outcomes and the leases of the probes.
//!
//! Invariant: each state has a generation; the result of a call that was admitted in an older one changes nothing.
//! Invariant: half-open ends at the first event after its time, whether its probes have answered or not.
//! Invariant: each transition is handed out once, in order.
//!
//! Source: Nygard, Release It!, 2nd edition, chapter 5; <https://martinfowler.com/bliki/CircuitBreaker.html>.

mod by_hand;
mod verdict;

use std::collections::HashMap;

use super::settings::BreakerSettings;
use super::state::{Admission, Blocked, BreakerState, Calls, Reason, Transition};
use super::trial::{Finding, Trial};
use super::window::{Mark, Tallies, Window};
use crate::clock::Monotone;
use crate::invalid::Invalid;
use crate::line::{Line, Ticket};
use crate::random::Random;

#[derive(Clone, Copy, Debug)]
enum State {
    Closed,
    Open { until_ns: u64 },
    HalfOpen(Trial),
    ForcedOpen,
    Disabled,
    MetricsOnly,
}

impl State {
    const fn public(&self) -> BreakerState {
        match self {
            Self::Closed => BreakerState::Closed,
            Self::Open { .. } => BreakerState::Open,
            Self::HalfOpen(_) => BreakerState::HalfOpen,
            Self::ForcedOpen => BreakerState::ForcedOpen,
            Self::Disabled => BreakerState::Disabled,
            Self::MetricsOnly => BreakerState::MetricsOnly,
        }
    }
}

/// A circuit breaker.
///
/// ```
/// use maypole_flow::{Breaker, BreakerSettings, BreakerState};
///
/// let settings = BreakerSettings { consecutive: Some(2), jitter: 0.0, probes: 1, ..BreakerSettings::default() };
/// let mut breaker = Breaker::new(settings, 0)?;
/// for _ in 0..2 {
///     let call = breaker.admit(0).map_err(|_| "closed")?;
///     breaker.finish(0, call, true);
/// }
/// assert_eq!(breaker.admit(0).unwrap_err().retry_after_ns, Some(5_000_000_000));
///
/// let probe = breaker.admit(5_000_000_000).map_err(|_| "half-open")?;
/// assert!(breaker.admit(5_000_000_000).is_err()); // one probe at a time
/// breaker.finish(5_000_000_000, probe, false);
/// assert_eq!(breaker.state(), BreakerState::Closed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    state: State,
    generation: u64,
    window: Window,
    failed_in_row: u32,
    /// How often the probes have failed since the breaker was closed.
    failed_trials: u32,
    random: Random,
    clock: Monotone,
    /// Calls of this generation that are under way and not slow yet; kept when a call can be slow.
    under_way: Line<u64>,
    /// Calls of this generation that are under way and were counted as slow.
    overdue: HashMap<Ticket, Option<Mark>>,
    next_ticket: u64,
    transitions: Vec<Transition>,
    calls: Calls,
}

impl Breaker {
    /// A closed breaker; the seed is for the jitter.
    ///
    /// # Errors
    ///
    /// Settings that make no sense.
    pub fn new(settings: BreakerSettings, seed: u64) -> Result<Self, Invalid> {
        settings.check()?;
        Ok(Self {
            settings,
            state: State::Closed,
            generation: 0,
            window: Window::new(settings.window),
            failed_in_row: 0,
            failed_trials: 0,
            random: Random::new(seed),
            clock: Monotone::new(),
            under_way: Line::new(),
            overdue: HashMap::new(),
            next_ticket: 0,
            transitions: Vec::new(),
            calls: Calls::default(),
        })
    }

    /// Ask to make a call.
    ///
    /// Every admission ends in one [`Breaker::finish`] or one [`Breaker::give_back`].
    ///
    /// # Errors
    ///
    /// [`Blocked`], when the call must not be made.
    pub fn admit(&mut self, reading_ns: u64) -> Result<Admission, Blocked> {
        let now_ns = self.tick_at(reading_ns);
        if let State::Open { until_ns } = self.state
            && now_ns >= until_ns
        {
            self.go(
                now_ns,
                State::HalfOpen(Trial::new(now_ns, &self.settings)),
                Reason::OpenTimeOver,
            );
        }
        let admitted = match &mut self.state {
            State::Closed | State::Disabled | State::MetricsOnly => true,
            State::HalfOpen(trial) => trial.admit(&self.settings),
            State::Open { .. } | State::ForcedOpen => false,
        };
        if !admitted {
            self.calls.rejected += 1;
            return Err(Blocked {
                state: self.state(),
                retry_after_ns: self.retry_after_ns(),
            });
        }
        let admission = self.admitted(now_ns);
        if self.settings.slow_ns.is_some() && !matches!(self.state, State::Disabled) {
            self.under_way.join(admission.ticket, now_ns);
        }
        Ok(admission)
    }

    /// Ask to make a call, as [`Breaker::admit`] does, where no answer but yes is possible and time plays no part: closed,
    /// no call is timed, and all transitions were taken. `None` says nothing: ask [`Breaker::admit`].
    pub fn enter(&mut self) -> Option<Admission> {
        let plain =
            matches!(self.state, State::Closed) && self.settings.slow_ns.is_none() && !self.has_transitions();
        plain.then(|| self.admitted(self.clock.latest_ns()))
    }

    const fn admitted(&mut self, now_ns: u64) -> Admission {
        self.calls.admitted += 1;
        self.next_ticket += 1;
        Admission {
            generation: self.generation,
            ticket: Ticket(self.next_ticket),
            started_ns: now_ns,
        }
    }

    /// The call has not begun: its owner waits for something else, and no time runs until [`Breaker::begin`].
    pub fn hold(&mut self, reading_ns: u64, call: Admission) {
        self.tick_at(reading_ns);
        self.under_way.leave(call.ticket);
    }

    /// The call begins only now: what its owner waited for since it was admitted is not the remote's time.
    #[must_use]
    pub fn begin(&mut self, reading_ns: u64, call: Admission) -> Admission {
        let now_ns = self.tick_at(reading_ns);
        let known_slow = self.overdue.contains_key(&call.ticket);
        let timed = self.settings.slow_ns.is_some() && !matches!(self.state, State::Disabled);
        if call.generation != self.generation || known_slow || !timed {
            return call;
        }
        self.under_way.leave(call.ticket);
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.under_way.join(ticket, now_ns);
        Admission {
            ticket,
            started_ns: now_ns,
            ..call
        }
    }

    /// Say how a call ended.
    pub fn finish(&mut self, reading_ns: u64, call: Admission, failed: bool) {
        let now_ns = self.tick_at(reading_ns);
        if call.generation != self.generation {
            self.calls.late += 1;
            return;
        }
        let overdue = self.forget(call.ticket);
        if matches!(self.state, State::Disabled) {
            return;
        }
        if failed {
            self.calls.failed += 1;
            self.failed_in_row = self.failed_in_row.saturating_add(1);
        } else {
            self.calls.succeeded += 1;
            self.failed_in_row = 0;
        }
        let slow = self
            .settings
            .slow_ns
            .is_some_and(|slow_ns| now_ns - call.started_ns >= slow_ns);
        match (&mut self.state, overdue) {
            (State::HalfOpen(trial), overdue) => {
                trial.finish(failed);
                if slow && overdue.is_none() {
                    trial.found_slow();
                }
            }
            (_, Some(Some(mark))) => {
                if failed {
                    self.window.amend_failed(now_ns, mark);
                }
            }
            _ => {
                self.window.push(now_ns, failed, slow);
            }
        }
        self.judge(now_ns);
    }

    /// Count a success where that needs no time, because nothing can change by it: closed, no call is timed, the window
    /// counts calls, and none in it has failed. False, and nothing was counted, anywhere else: [`Breaker::finish`] it.
    pub fn succeed(&mut self, call: Admission) -> bool {
        let closed = matches!(self.state, State::Closed) && call.generation == self.generation;
        if !closed || self.settings.slow_ns.is_some() || !self.window.push_success_if_flawless() {
            return false;
        }
        self.calls.succeeded += 1;
        self.failed_in_row = 0;
        true
    }

    /// Give an admission back uncounted: the call was cancelled, or its result says nothing.
    pub fn give_back(&mut self, reading_ns: u64, call: Admission) {
        self.tick_at(reading_ns);
        self.calls.cancelled += 1;
        if call.generation != self.generation {
            return;
        }
        self.forget(call.ticket);
        if let State::HalfOpen(trial) = &mut self.state {
            trial.give_back();
        }
    }

    /// Give an admission back whose owner vanished, and the clock with it.
    pub fn abandon(&mut self, call: Admission) {
        self.give_back(self.latest_reading_ns(), call);
    }

    /// What the clock showed when it was seen last, for a question from where there is no clock.
    #[must_use]
    pub const fn latest_reading_ns(&self) -> u64 {
        self.clock.reading(self.clock.latest_ns())
    }

    /// Let time pass: finds calls that hang, and ends half-open.
    pub fn tick(&mut self, reading_ns: u64) {
        self.tick_at(reading_ns);
    }

    /// When the next call under way becomes slow, on the caller's clock; `None` when none can.
    #[must_use]
    pub fn due_ns(&self) -> Option<u64> {
        let (_, started_ns) = self.under_way.first()?;
        let at_ns = started_ns.saturating_add(self.settings.slow_ns?);
        Some(self.clock.reading(at_ns))
    }

    /// The state. An open breaker whose time is over stays open until a call comes.
    #[must_use]
    pub const fn state(&self) -> BreakerState {
        self.state.public()
    }

    /// When a call may pass, in nanoseconds from the latest event; `None` where that cannot be known.
    #[must_use]
    pub const fn retry_after_ns(&self) -> Option<u64> {
        match self.state {
            State::Open { until_ns } => Some(until_ns.saturating_sub(self.clock.latest_ns())),
            State::HalfOpen(_) | State::ForcedOpen => None,
            State::Closed | State::Disabled | State::MetricsOnly => Some(0),
        }
    }

    /// The generation: it grows with each state.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// What is in the window; in half-open what the probes say.
    pub fn tallies(&mut self) -> Tallies {
        match &self.state {
            State::HalfOpen(trial) => trial.done(),
            _ => self.window.tallies(self.clock.latest_ns()),
        }
    }

    /// What happened so far.
    #[must_use]
    pub const fn calls(&self) -> Calls {
        self.calls
    }

    /// Take the transitions that happened since this was asked last.
    pub fn take_transitions(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.transitions)
    }

    /// Whether there are transitions to take.
    #[must_use]
    pub fn has_transitions(&self) -> bool {
        !self.transitions.is_empty()
    }

    fn tick_at(&mut self, reading_ns: u64) -> u64 {
        let now_ns = self.clock.observe(reading_ns);
        self.count_overdue(now_ns);
        if let State::HalfOpen(trial) = &self.state
            && now_ns >= trial.ends_ns
        {
            match trial.closing_finding(&self.settings) {
                Some(Finding::Works) => self.go(now_ns, State::Closed, Reason::HalfOpenTimeOver),
                Some(_) => self.reopen(now_ns, Reason::HalfOpenTimeOver),
                // Nothing is known: the next call is a probe again, and no failure has made the wait longer.
                None => self.go(now_ns, State::Open { until_ns: now_ns }, Reason::HalfOpenTimeOver),
            }
        }
        now_ns
    }

    fn go(&mut self, now_ns: u64, state: State, reason: Reason) {
        self.transitions.push(Transition {
            from: self.state.public(),
            to: state.public(),
            reason,
            at_ns: self.clock.reading(now_ns),
        });
        self.state = state;
        self.generation += 1;
        self.under_way = Line::new();
        self.overdue.clear();
        if matches!(self.state, State::Closed | State::MetricsOnly) {
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.window.clear();
        self.failed_in_row = 0;
        self.failed_trials = 0;
        self.under_way = Line::new();
        self.overdue.clear();
    }
}
