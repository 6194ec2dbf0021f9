//! A line of those who wait: first come, first served, and whoever leaves is gone at once.
//!
//! Owns the order. It drops nobody: [`Line::leave`] and [`Line::serve`] return what waited, since dropping it may run
//! foreign code.
//!
//! Invariant: the first entry of the line is never one that left.
//! Invariant: entries that left are fewer than those that stay, plus a constant; so leaving from anywhere costs
//! amortised O(log n).

use std::collections::VecDeque;

/// A place in a line. Later tickets stand behind earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// So many gaps are tolerated in a short line.
const GAPS_MIN: usize = 32;

/// Those who wait, in the order of their tickets.
///
/// ```
/// use maypole_flow::{Line, Ticket};
///
/// let mut line = Line::new();
/// line.join(Ticket(1), "first");
/// line.join(Ticket(2), "second");
/// assert_eq!(line.leave(Ticket(1)), Some("first"));
/// assert_eq!(line.serve(), Some((Ticket(2), "second")));
/// assert!(line.is_empty());
/// ```
#[derive(Debug)]
pub struct Line<T> {
    entries: VecDeque<(Ticket, Option<T>)>,
    gaps: usize,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Line<T> {
    /// An empty line.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            gaps: 0,
        }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() - self.gaps
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Stand at the end. Tickets must rise.
    pub fn join(&mut self, ticket: Ticket, who: T) {
        debug_assert!(
            self.entries.back().is_none_or(|last| last.0 < ticket),
            "tickets rise"
        );
        self.entries.push_back((ticket, Some(who)));
    }

    /// Step out of the line from anywhere; `None` when nobody has this ticket any more.
    pub fn leave(&mut self, ticket: Ticket) -> Option<T> {
        let index = self.index(ticket)?;
        let who = self.entries[index].1.take()?;
        self.gaps += 1;
        self.close_gaps();
        Some(who)
    }

    /// The one who is next.
    #[must_use]
    pub fn first(&self) -> Option<(Ticket, &T)> {
        let (ticket, who) = self.entries.front()?;
        who.as_ref().map(|who| (*ticket, who))
    }

    /// Take the first out of the line.
    pub fn serve(&mut self) -> Option<(Ticket, T)> {
        let (ticket, who) = self.entries.pop_front()?;
        self.close_gaps();
        who.map(|who| (ticket, who))
    }

    /// Who waits under this ticket.
    #[must_use]
    pub fn get(&self, ticket: Ticket) -> Option<&T> {
        self.entries[self.index(ticket)?].1.as_ref()
    }

    /// Everybody, from first to last.
    pub fn iter(&self) -> impl Iterator<Item = (Ticket, &T)> + Clone {
        self.entries
            .iter()
            .filter_map(|(ticket, who)| who.as_ref().map(|who| (*ticket, who)))
    }

    fn index(&self, ticket: Ticket) -> Option<usize> {
        self.entries.binary_search_by_key(&ticket, |entry| entry.0).ok()
    }

    fn close_gaps(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.1.is_none()) {
            self.entries.pop_front();
            self.gaps -= 1;
        }
        if self.gaps > GAPS_MIN && self.gaps * 2 > self.entries.len() {
            self.entries.retain(|entry| entry.1.is_some());
            self.gaps = 0;
        }
    }
}
