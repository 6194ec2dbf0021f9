//! What there is now: the line, the rules, and when whose turn would come.

use super::{Limiter, Tally};
use crate::line::Ticket;
use crate::rate::rule::Rule;
use crate::waits::Waits;

impl<P> Limiter<P> {
    /// When `n` would be granted to somebody who joins now, in nanoseconds from now.
    ///
    /// With several rules it may come later.
    pub fn delay_ns(&mut self, reading_ns: u64, n: f64) -> u64 {
        let now_ns = self.observe(reading_ns);
        self.due_ns(now_ns, n) - now_ns
    }

    /// When the first in line is due, or one unit for a newcomer where nobody waits, in nanoseconds from now.
    pub fn next_ns(&mut self, reading_ns: u64) -> u64 {
        let now_ns = self.observe(reading_ns);
        let n = self
            .line
            .first()
            .map_or(self.most().min(1.0), |(_, first)| first.n);
        self.due_behind(now_ns, std::iter::empty(), 0.0, n) - now_ns
    }

    /// When it will be the turn of a ticket, in nanoseconds from now; `None` when it is not in line.
    pub fn delay_of_ns(&mut self, reading_ns: u64, ticket: Ticket) -> Option<u64> {
        let now_ns = self.observe(reading_ns);
        let n = self.line.get(ticket)?.n;
        let ahead: Vec<f64> = self
            .line
            .iter()
            .take_while(|(other, _)| *other < ticket)
            .map(|(_, waiting)| waiting.n)
            .collect();
        let total = ahead.iter().sum();
        Some(self.due_behind(now_ns, ahead.into_iter(), total, n) - now_ns)
    }

    /// Who is first in line.
    #[must_use]
    pub fn first(&self) -> Option<&P> {
        self.line.first().map(|(_, waiting)| &waiting.who)
    }

    /// Everybody in line, from first to last.
    pub fn waiting(&self) -> impl Iterator<Item = &P> {
        self.line.iter().map(|(_, waiting)| &waiting.who)
    }

    /// How many wait.
    #[must_use]
    pub fn waiting_len(&self) -> usize {
        self.line.len()
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The most that can ever be granted at once.
    #[must_use]
    pub fn most(&self) -> f64 {
        self.rules.iter().map(Rule::most).fold(f64::INFINITY, f64::min)
    }

    /// How many can be granted now, the line and a pause apart.
    pub fn level(&mut self, reading_ns: u64) -> f64 {
        let now_ns = self.observe(reading_ns);
        let levels = self.rules.iter().map(|rule| rule.level(now_ns));
        levels.fold(f64::INFINITY, f64::min)
    }

    /// How long the pause still lasts, in nanoseconds.
    pub fn paused_ns(&mut self, reading_ns: u64) -> u64 {
        let now_ns = self.observe(reading_ns);
        self.paused_until_ns.saturating_sub(now_ns)
    }

    /// What the clock showed when it was seen last, for a question from where there is no clock.
    #[must_use]
    pub fn latest_reading_ns(&self) -> u64 {
        self.clock.map_or(0, |clock| clock.reading(clock.latest_ns()))
    }

    /// What happened so far.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// How long those waited who were granted from the line.
    #[must_use]
    pub const fn waits(&self) -> &Waits {
        &self.waits
    }
}
