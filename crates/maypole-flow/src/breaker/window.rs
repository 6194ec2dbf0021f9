//! The calls by which a breaker judges: the last so many, or those of the last so many seconds.
//!
//! Owns their outcomes, in constant memory: two bits for each call, or ten buckets of counts.
//!
//! Invariant: the tallies are the sum of what is in the window, at any time.

use super::settings::WindowKind;

/// Outcomes, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tallies {
    /// How many calls.
    pub calls: u32,
    /// How many of them failed.
    pub failed: u32,
    /// How many of them were slow, whether they failed or not.
    pub slow: u32,
}

impl Tallies {
    fn add(&mut self, failed: bool, slow: bool) {
        self.calls += 1;
        self.failed += u32::from(failed);
        self.slow += u32::from(slow);
    }

    fn remove(&mut self, other: Self) {
        self.calls -= other.calls;
        self.failed -= other.failed;
        self.slow -= other.slow;
    }

    /// The share of calls that failed; 0 without a call.
    #[must_use]
    pub fn failure_rate(&self) -> f64 {
        f64::from(self.failed) / f64::from(self.calls.max(1))
    }

    /// The share of calls that were slow; 0 without a call.
    #[must_use]
    pub fn slow_rate(&self) -> f64 {
        f64::from(self.slow) / f64::from(self.calls.max(1))
    }
}

/// Where an outcome stands, to say later that the call failed after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

/// The outcomes in the window.
#[derive(Clone, Debug)]
pub enum Window {
    /// The last so many calls.
    Calls(CallWindow),
    /// The last so many nanoseconds.
    Span(SpanWindow),
}

impl Window {
    /// An empty window.
    #[must_use]
    pub fn new(kind: WindowKind) -> Self {
        match kind {
            WindowKind::Calls(calls) => Self::Calls(CallWindow::new(calls)),
            WindowKind::Span(span_ns) => Self::Span(SpanWindow::new(span_ns)),
        }
    }

    /// Add the outcome of a call.
    pub fn push(&mut self, now_ns: u64, failed: bool, slow: bool) -> Mark {
        match self {
            Self::Calls(window) => window.push(failed, slow),
            Self::Span(window) => window.push(now_ns, failed, slow),
        }
    }

    /// Add a success if the window counts calls and none of them failed; needs no time. False: nothing was added.
    pub fn push_success_if_flawless(&mut self) -> bool {
        match self {
            Self::Calls(window) if window.tallies.failed == 0 => {
                window.push(false, false);
                true
            }
            _ => false,
        }
    }

    /// Say that a call failed which was pushed as one that had not; nothing if it has left the window.
    pub fn amend_failed(&mut self, now_ns: u64, mark: Mark) {
        match self {
            Self::Calls(window) => window.amend_failed(mark),
            Self::Span(window) => window.amend_failed(now_ns, mark),
        }
    }

    /// What is in the window now.
    pub fn tallies(&mut self, now_ns: u64) -> Tallies {
        match self {
            Self::Calls(window) => window.tallies,
            Self::Span(window) => {
                window.expire(now_ns);
                window.tallies
            }
        }
    }

    /// Forget everything.
    pub fn clear(&mut self) {
        match self {
            Self::Calls(window) => *window = CallWindow::new(window.size),
            Self::Span(window) => *window = SpanWindow::new(window.step_ns * STEPS as u64),
        }
    }
}

const CALLS_PER_WORD: u64 = 32;
const FAILED: u64 = 1;
const SLOW: u64 = 2;

/// A ring of the last calls, two bits each.
#[derive(Clone, Debug)]
pub struct CallWindow {
    size: u32,
    words: Box<[u64]>,
    pushed: u64,
    tallies: Tallies,
}

impl CallWindow {
    fn new(size: u32) -> Self {
        let words = u64::from(size).div_ceil(CALLS_PER_WORD);
        Self {
            size,
            words: (0..words).map(|_| 0).collect(),
            pushed: 0,
            tallies: Tallies::default(),
        }
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "an index below the number of words"
    )]
    fn place(&self, number: u64) -> (usize, u64) {
        let slot = number % u64::from(self.size);
        ((slot / CALLS_PER_WORD) as usize, slot % CALLS_PER_WORD * 2)
    }

    fn push(&mut self, failed: bool, slow: bool) -> Mark {
        let (word, shift) = self.place(self.pushed);
        if self.pushed >= u64::from(self.size) {
            let old = self.words[word] >> shift;
            self.tallies.remove(Tallies {
                calls: 1,
                failed: u32::from(old & FAILED != 0),
                slow: u32::from(old & SLOW != 0),
            });
        }
        let bits = u64::from(failed) * FAILED + u64::from(slow) * SLOW;
        self.words[word] = self.words[word] & !(3 << shift) | bits << shift;
        self.tallies.add(failed, slow);
        self.pushed += 1;
        Mark(self.pushed - 1)
    }

    fn amend_failed(&mut self, mark: Mark) {
        let (word, shift) = self.place(mark.0);
        let here = mark.0 < self.pushed && mark.0 + u64::from(self.size) >= self.pushed;
        if here && self.words[word] >> shift & FAILED == 0 {
            self.words[word] |= FAILED << shift;
            self.tallies.failed += 1;
        }
    }
}

const STEPS: usize = 10;

/// Ten buckets, each for a tenth of the span.
#[derive(Clone, Debug)]
pub struct SpanWindow {
    step_ns: u64,
    buckets: [Tallies; STEPS],
    step: u64,
    tallies: Tallies,
}

impl SpanWindow {
    const fn new(span_ns: u64) -> Self {
        const EMPTY: Tallies = Tallies {
            calls: 0,
            failed: 0,
            slow: 0,
        };
        Self {
            step_ns: span_ns / STEPS as u64,
            buckets: [EMPTY; STEPS],
            step: 0,
            tallies: EMPTY,
        }
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "a remainder below the number of steps"
    )]
    fn bucket(&mut self, step: u64) -> &mut Tallies {
        &mut self.buckets[(step % STEPS as u64) as usize]
    }

    fn expire(&mut self, now_ns: u64) {
        let step = now_ns / self.step_ns;
        let passed = step.saturating_sub(self.step).min(STEPS as u64);
        for later in 1..=passed {
            let old = std::mem::take(self.bucket(self.step + later));
            self.tallies.remove(old);
        }
        self.step = self.step.max(step);
    }

    fn push(&mut self, now_ns: u64, failed: bool, slow: bool) -> Mark {
        self.expire(now_ns);
        let step = self.step;
        self.bucket(step).add(failed, slow);
        self.tallies.add(failed, slow);
        Mark(step)
    }

    fn amend_failed(&mut self, now_ns: u64, mark: Mark) {
        self.expire(now_ns);
        if mark.0 + STEPS as u64 > self.step {
            self.bucket(mark.0).failed += 1;
            self.tallies.failed += 1;
        }
    }
}
