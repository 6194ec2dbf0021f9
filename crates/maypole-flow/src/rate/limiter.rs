//! A rate limit with a line before it.
//!
//! Owns the rules, the line and the pause. Whoever waits for a weight joins the line and is granted in order, when all
//! rules admit it; the owner asks [`Limiter::serve`] at the instant that it was told last, and needs one timer for the
//! whole line.
//!
//! Invariant: nobody is granted while somebody who came before waits.
//! Invariant: every one who joined is served, refused or has left, exactly once; the [`Tally`] counts each.
//! Invariant: a pause can only be lengthened; only time ends it.
//! Invariant: the bound of a bucket holds for the instants at which grants were due; those at which a late caller
//! hands them out are at most [`LATE_NS`] later.

mod outlook;
mod retune;

use super::rule::Rule;
use crate::clock::{Monotone, rounding_ns};
use crate::invalid::{Invalid, require};
use crate::line::{Line, Ticket};
use crate::waits::Waits;

/// So much lateness of a timer is made up for (10 ms); what a loop is late beyond that is lost to the rate.
pub const LATE_NS: u64 = 10_000_000;

/// Why somebody cannot join the line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Refused {
    /// The weight can never be granted; the most that can is given.
    Never {
        /// The most that can be granted at once.
        most: f64,
    },
    /// As many wait as may.
    Full {
        /// When it would be the turn of one more, in nanoseconds from now.
        delay_ns: u64,
    },
    /// It would be granted, but too late.
    TooLate {
        /// When it would be granted, in nanoseconds from now.
        delay_ns: u64,
    },
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Granted, at once or after a wait, less those that gave it back.
    pub granted: u64,
    /// Refused: no at once, a full line, too late.
    pub rejected: u64,
    /// Left the line, or gave back what was granted.
    pub cancelled: u64,
}

/// Who was served, and when the next will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// The instant of the grants, for [`Limiter::give_back`].
    pub at_ns: u64,
    /// What the clock shows when the first in line is due; `None` when nobody waits.
    pub due_ns: Option<u64>,
}

#[derive(Debug)]
struct Waiting<P> {
    n: f64,
    since_ns: u64,
    latest_ns: Option<u64>,
    who: P,
}

/// Rules, and the line of those who wait for them.
///
/// ```
/// use maypole_flow::{Gcra, Limiter, Rule};
///
/// let mut limiter = Limiter::new(vec![Rule::Bucket(Gcra::new(10.0, 1.0, None)?)], Some(100));
/// assert_eq!(limiter.try_acquire(0, 1.0), Ok(true));
/// assert_eq!(limiter.try_acquire(0, 1.0), Ok(false));
///
/// let ticket = limiter.join(0, 1.0, None, "a task").map_err(|(_, why)| why);
/// let mut granted = Vec::new();
/// let due_ns = limiter.serve(0, &mut granted).due_ns;
/// assert_eq!(due_ns, Some(100_000_000));
/// limiter.serve(100_000_000, &mut granted);
/// assert_eq!(granted, ["a task"]);
/// # Ok::<(), maypole_flow::Invalid>(())
/// ```
#[derive(Debug)]
pub struct Limiter<P> {
    rules: Vec<Rule>,
    line: Line<Waiting<P>>,
    line_weight: f64,
    waiting_max: Option<usize>,
    next_ticket: u64,
    clock: Option<Monotone>,
    paused_until_ns: u64,
    /// When the first in line is due, as the caller was told.
    promised_ns: Option<u64>,
    tally: Tally,
    waits: Waits,
}

impl<P> Limiter<P> {
    /// A limiter under all these rules, with at most `waiting_max` in line.
    #[must_use]
    pub const fn new(rules: Vec<Rule>, waiting_max: Option<usize>) -> Self {
        Self {
            rules,
            line: Line::new(),
            line_weight: 0.0,
            waiting_max,
            next_ticket: 0,
            clock: None,
            paused_until_ns: 0,
            promised_ns: None,
            tally: Tally {
                granted: 0,
                rejected: 0,
                cancelled: 0,
            },
            waits: Waits::new(),
        }
    }

    /// Take `n` now if nobody waits and every rule admits it.
    ///
    /// # Errors
    ///
    /// [`Invalid`] for a weight that is not above 0, is more than can ever be granted, or is no whole number where a
    /// window counts.
    pub fn try_acquire(&mut self, reading_ns: u64, n: f64) -> Result<bool, Invalid> {
        let entered = self.enter(reading_ns, n)?;
        self.tally.rejected += u64::from(!entered);
        Ok(entered)
    }

    /// Take `n` now, as [`Limiter::try_acquire`] does, for somebody who will join the line otherwise: a no is no
    /// rejection yet.
    ///
    /// # Errors
    ///
    /// As [`Limiter::try_acquire`].
    pub fn enter(&mut self, reading_ns: u64, n: f64) -> Result<bool, Invalid> {
        self.check_weight(n)?;
        let now_ns = self.observe(reading_ns);
        let free = self.line.is_empty() && self.due_ns(now_ns, n) <= now_ns;
        if free {
            self.take(now_ns, n);
        }
        Ok(free)
    }

    /// Stand in line for `n`. Ask [`Limiter::serve`] next: the first may be due at once.
    ///
    /// # Errors
    ///
    /// `who` comes back with the reason: the weight can never be granted, the line is full, or the turn would come
    /// after `timeout_ns`.
    pub fn join(
        &mut self,
        reading_ns: u64,
        n: f64,
        timeout_ns: Option<u64>,
        who: P,
    ) -> Result<Ticket, (P, Refused)> {
        if self.check_weight(n).is_err() {
            self.tally.rejected += 1;
            return Err((who, Refused::Never { most: self.most() }));
        }
        let now_ns = self.observe(reading_ns);
        let full = self.waiting_max.is_some_and(|most| self.line.len() >= most);
        if full || timeout_ns.is_some() {
            let delay_ns = self.due_ns(now_ns, n) - now_ns;
            let late = timeout_ns.is_some_and(|timeout_ns| delay_ns > timeout_ns);
            if late || (full && delay_ns > 0) {
                self.tally.rejected += 1;
                let why = if late {
                    Refused::TooLate { delay_ns }
                } else {
                    Refused::Full { delay_ns }
                };
                return Err((who, why));
            }
        }
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.line_weight += n;
        self.line.join(
            ticket,
            Waiting {
                n,
                since_ns: now_ns,
                latest_ns: timeout_ns.map(|timeout_ns| now_ns.saturating_add(timeout_ns)),
                who,
            },
        );
        Ok(ticket)
    }

    /// Grant to those whose turn it is, in order, and say when the next is due.
    ///
    /// A caller that comes later than it was told, by up to [`LATE_NS`], loses nothing: loops wait in whole
    /// milliseconds, and a rate above that would never be reached.
    pub fn serve(&mut self, reading_ns: u64, granted: &mut Vec<P>) -> Served {
        let now_ns = self.observe(reading_ns);
        let promised_ns = self.promised_ns.take().unwrap_or(now_ns);
        let mut from_ns = promised_ns.max(now_ns.saturating_sub(LATE_NS)).min(now_ns);
        while let Some((_, first)) = self.line.first() {
            let due_ns = self.due_behind(from_ns, std::iter::empty(), 0.0, first.n);
            if due_ns > now_ns + rounding_ns(now_ns) {
                self.promised_ns = Some(due_ns);
                return Served {
                    at_ns: now_ns,
                    due_ns: Some(self.reading(due_ns)),
                };
            }
            if let Some((_, first)) = self.line.serve() {
                self.left_line(first.n);
                from_ns = due_ns.min(now_ns);
                for rule in &mut self.rules {
                    rule.take_late(from_ns, now_ns, first.n);
                }
                self.tally.granted += 1;
                self.waits.record(now_ns - first.since_ns);
                granted.push(first.who);
            }
        }
        Served {
            at_ns: now_ns,
            due_ns: None,
        }
    }

    /// Step out of the line; `None` when this ticket was served or refused already. `late` says that it is refused
    /// for having waited too long; otherwise it was cancelled. Whoever stands behind may be due now.
    pub fn leave(&mut self, ticket: Ticket, late: bool) -> Option<P> {
        let left = self.line.leave(ticket)?;
        self.left_line(left.n);
        if late {
            self.tally.rejected += 1;
        } else {
            self.tally.cancelled += 1;
        }
        Some(left.who)
    }

    /// Take everybody out of the line, for one who drops the limiter.
    pub fn clear(&mut self) -> Vec<P> {
        let mut left = Vec::with_capacity(self.line.len());
        while let Some((_, waiting)) = self.line.serve() {
            left.push(waiting.who);
        }
        self.line_weight = 0.0;
        left
    }

    /// Give back `n` that were granted at `granted_ns` and not used; whoever waits may be due now.
    pub fn give_back(&mut self, reading_ns: u64, n: f64, granted_ns: u64) {
        let now_ns = self.observe(reading_ns);
        for rule in &mut self.rules {
            rule.give_back(now_ns, n, granted_ns);
        }
        self.tally.granted = self.tally.granted.saturating_sub(1);
        self.tally.cancelled += 1;
    }

    /// Refuse a weight that no time can grant.
    ///
    /// # Errors
    ///
    /// [`Invalid`], as [`Limiter::try_acquire`] says.
    pub fn check_weight(&self, n: f64) -> Result<(), Invalid> {
        require(n > 0.0, "n", "be above 0", n)?;
        require(n <= self.most(), "n", "be at most what can be granted at once", n)?;
        let whole = n.fract() == 0.0 || !self.rules.iter().any(Rule::counts);
        require(whole, "n", "be a whole number where a window counts", n)
    }

    fn observe(&mut self, reading_ns: u64) -> u64 {
        let clock = self.clock.get_or_insert_with(|| {
            for rule in &mut self.rules {
                rule.begin(reading_ns);
            }
            Monotone::new()
        });
        clock.observe(reading_ns)
    }

    fn reading(&self, at_ns: u64) -> u64 {
        self.clock.map_or(at_ns, |clock| clock.reading(at_ns))
    }

    fn due_ns(&self, now_ns: u64, n: f64) -> u64 {
        let ahead = self.line.iter().map(|(_, waiting)| waiting.n);
        self.due_behind(now_ns, ahead, self.line_weight, n)
    }

    fn due_behind(&self, now_ns: u64, ahead: impl Iterator<Item = f64> + Clone, total: f64, n: f64) -> u64 {
        let from_ns = now_ns.max(self.paused_until_ns);
        self.rules
            .iter()
            .map(|rule| rule.due_ns(from_ns, ahead.clone(), total, n))
            .fold(from_ns, u64::max)
    }

    fn take(&mut self, now_ns: u64, n: f64) {
        for rule in &mut self.rules {
            rule.take(now_ns, n);
        }
        self.tally.granted += 1;
    }

    fn left_line(&mut self, n: f64) {
        // A sum of floats keeps the dust of what was taken from it; an empty line weighs nothing.
        self.line_weight = if self.line.is_empty() {
            0.0
        } else {
            self.line_weight - n
        };
    }
}
