//! A bulkhead: so many places, and a line of those who wait for one.
//!
//! Owns the count of places in use, by group, and one line for each group. A group may have places of its own that
//! nobody else gets; all other places go to the most urgent, and among those to whoever came first.
//!
//! Invariant: what is in use is at most the limit, unless the limit shrank below it or one heavy weight is alone.
//! Invariant: nobody is granted while somebody as urgent who came before waits, or somebody more urgent, but for a
//! place of one's own group.
//! Invariant: every grant is released once; the sums are exact.

use std::cmp::Reverse;

use crate::clock::Monotone;
use crate::invalid::{Invalid, require};
use crate::line::{Line, Ticket};
use crate::waits::Waits;

/// A group of callers. Number 0 is everybody who named none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Group(pub usize);

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateTally {
    /// Granted, at once or after a wait, less those that gave it back.
    pub granted: u64,
    /// Refused: no place at once, or a full line.
    pub rejected: u64,
    /// Left the line, or gave back what was granted.
    pub cancelled: u64,
    /// The most that was ever in use.
    pub in_use_max: u64,
}

#[derive(Debug)]
struct Waiting<P> {
    n: u64,
    since_ns: u64,
    who: P,
}

/// The line of those of one group who are equally urgent.
#[derive(Debug)]
struct Urgent<P> {
    priority: i32,
    line: Line<Waiting<P>>,
}

#[derive(Debug)]
struct Places<P> {
    share: f64,
    in_use: u64,
    /// The most urgent first; none of them is empty.
    lines: Vec<Urgent<P>>,
}

impl<P> Places<P> {
    fn join(&mut self, priority: i32, ticket: Ticket, waiting: Waiting<P>) {
        let before = self.lines.partition_point(|line| line.priority > priority);
        if self
            .lines
            .get(before)
            .is_none_or(|line| line.priority != priority)
        {
            let line = Line::new();
            self.lines.insert(before, Urgent { priority, line });
        }
        self.lines[before].line.join(ticket, waiting);
    }

    /// The most urgent who came first: how urgent, since when, and how many places it wants.
    fn first(&self) -> Option<(i32, Ticket, u64)> {
        let urgent = self.lines.first()?;
        let (ticket, waiting) = urgent.line.first()?;
        Some((urgent.priority, ticket, waiting.n))
    }

    fn serve(&mut self) -> Option<Waiting<P>> {
        let (_, served) = self.lines.first_mut()?.line.serve()?;
        self.drop_empty(0);
        Some(served)
    }

    fn leave(&mut self, ticket: Ticket) -> Option<Waiting<P>> {
        let found = |line: &Urgent<P>| line.line.get(ticket).is_some();
        let index = self.lines.iter().position(found)?;
        let left = self.lines[index].line.leave(ticket);
        self.drop_empty(index);
        left
    }

    fn drop_empty(&mut self, index: usize) {
        if self.lines[index].line.is_empty() {
            self.lines.remove(index);
        }
    }
}

/// Places, and the lines before them.
///
/// ```
/// use maypole_flow::{Gate, Group};
///
/// let everybody = Group(0);
/// let mut gate = Gate::new(1, Some(10), &[])?;
/// assert!(gate.try_acquire(everybody, 1));
/// assert!(!gate.try_acquire(everybody, 1));
/// assert!(gate.join(0, everybody, 0, 1, "a task").is_ok());
/// assert!(gate.join(0, everybody, 5, 1, "an urgent one").is_ok());
///
/// let mut granted = Vec::new();
/// assert!(gate.release(everybody, 1));
/// gate.serve(0, &mut granted);
/// assert_eq!(granted, [("an urgent one", everybody)]);
/// # Ok::<(), maypole_flow::Invalid>(())
/// ```
#[derive(Debug)]
pub struct Gate<P> {
    limit: u64,
    in_use: u64,
    groups: Vec<Places<P>>,
    waiting: usize,
    waiting_max: Option<usize>,
    next_ticket: u64,
    clock: Monotone,
    tally: GateTally,
    waits: Waits,
}

impl<P> Gate<P> {
    /// A gate with `limit` places and at most `waiting_max` in line. `shares` are the shares of the places that the
    /// groups 1, 2, … have for themselves; one place is always for everybody.
    ///
    /// # Errors
    ///
    /// A limit of 0, a share that is not above 0, shares that leave nothing.
    #[allow(clippy::cast_precision_loss, reason = "for a message")]
    pub fn new(limit: u64, waiting_max: Option<usize>, shares: &[f64]) -> Result<Self, Invalid> {
        require(limit > 0, "limit", "be above 0", limit as f64)?;
        for share in shares {
            require(*share > 0.0, "reserve", "be above 0", *share)?;
        }
        let total: f64 = shares.iter().sum();
        require(
            total < 1.0,
            "reserve",
            "leave something for everybody; in all",
            total,
        )?;
        Ok(Self {
            limit,
            in_use: 0,
            groups: std::iter::once(0.0)
                .chain(shares.iter().copied())
                .map(|share| Places {
                    share,
                    in_use: 0,
                    lines: Vec::new(),
                })
                .collect(),
            waiting: 0,
            waiting_max,
            next_ticket: 0,
            clock: Monotone::new(),
            tally: GateTally::default(),
            waits: Waits::new(),
        })
    }

    /// Take `n` places now, unless somebody who came before waits for them.
    pub fn try_acquire(&mut self, group: Group, n: u64) -> bool {
        let entered = self.enter(group, 0, n);
        self.tally.rejected += u64::from(!entered);
        entered
    }

    /// Take `n` places now, as [`Gate::try_acquire`] does, for somebody who will join the line otherwise: a no is no
    /// rejection yet.
    pub fn enter(&mut self, group: Group, priority: i32, n: u64) -> bool {
        let passes = self.waiting == 0 || self.passes(group, priority, n);
        let free = passes && self.fits(group, n);
        if free {
            self.take(group, n);
        }
        free
    }

    /// Stand in line for `n` places, behind those who are as urgent and before those who are less.
    ///
    /// # Errors
    ///
    /// `who` comes back when the line is full.
    pub fn join(
        &mut self,
        reading_ns: u64,
        group: Group,
        priority: i32,
        n: u64,
        who: P,
    ) -> Result<Ticket, P> {
        let since_ns = self.clock.observe(reading_ns);
        if self.waiting_max.is_some_and(|most| self.waiting >= most) {
            self.tally.rejected += 1;
            return Err(who);
        }
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.waiting += 1;
        self.groups[group.0].join(priority, ticket, Waiting { n, since_ns, who });
        Ok(ticket)
    }

    /// Step out of the line; `None` when this ticket was served already. `late` says that it is refused for having
    /// waited too long; otherwise it was cancelled. Whoever stands behind may be served now.
    pub fn leave(&mut self, group: Group, ticket: Ticket, late: bool) -> Option<P> {
        let left = self.groups[group.0].leave(ticket)?;
        self.waiting -= 1;
        if late {
            self.tally.rejected += 1;
        } else {
            self.tally.cancelled += 1;
        }
        Some(left.who)
    }

    /// Free `n` places. False, and nothing changed, when the group does not hold as many.
    #[must_use]
    pub fn release(&mut self, group: Group, n: u64) -> bool {
        let held = &mut self.groups[group.0].in_use;
        if *held < n {
            return false;
        }
        *held -= n;
        self.in_use -= n;
        true
    }

    /// Free `n` places whose owner was cancelled before it knew of them.
    #[must_use]
    pub fn give_back(&mut self, group: Group, n: u64) -> bool {
        let held = self.release(group, n);
        if held {
            self.tally.granted = self.tally.granted.saturating_sub(1);
            self.tally.cancelled += 1;
        }
        held
    }

    /// Count a refusal that was decided elsewhere: somebody would not wait at all.
    pub const fn reject(&mut self) {
        self.tally.rejected += 1;
    }

    /// Grant to those whose turn it is, in order; each comes with its group.
    pub fn serve(&mut self, reading_ns: u64, granted: &mut Vec<(P, Group)>) {
        let now_ns = self.clock.observe(reading_ns);
        while let Some(group) = self.next_group() {
            let Some(first) = self.groups[group.0].serve() else {
                break;
            };
            self.waiting -= 1;
            self.take(group, first.n);
            self.waits.record(now_ns - first.since_ns);
            granted.push((first.who, group));
        }
    }

    /// Take everybody out of the lines, for one who drops the gate.
    pub fn clear(&mut self) -> Vec<P> {
        let mut left = Vec::with_capacity(self.waiting);
        for places in &mut self.groups {
            while let Some(waiting) = places.serve() {
                left.push(waiting.who);
            }
        }
        self.waiting = 0;
        left
    }

    /// Have another number of places from now on. A smaller one takes effect as places are released; after a larger
    /// one, serve.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit.max(1);
    }

    /// The number of places.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// How many are in use.
    #[must_use]
    pub const fn in_use(&self) -> u64 {
        self.in_use
    }

    /// How many a group has in use.
    #[must_use]
    pub fn in_use_by(&self, group: Group) -> u64 {
        self.groups[group.0].in_use
    }

    /// How many groups there are, everybody included.
    #[must_use]
    pub const fn groups_len(&self) -> usize {
        self.groups.len()
    }

    /// How many wait.
    #[must_use]
    pub const fn waiting_len(&self) -> usize {
        self.waiting
    }

    /// Everybody in line, group by group.
    pub fn waiting(&self) -> impl Iterator<Item = &P> {
        let lines = self.groups.iter().flat_map(|places| &places.lines);
        lines.flat_map(|urgent| urgent.line.iter().map(|(_, waiting)| &waiting.who))
    }

    /// How many places are kept for a group.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of the limit"
    )]
    pub fn reserved(&self, group: Group) -> u64 {
        let ahead: f64 = self.groups[1..group.0.max(1)]
            .iter()
            .map(|places| places.share)
            .sum();
        let until = |share: f64| ((self.limit as f64 * share).ceil() as u64).min(self.limit - 1);
        // Rounded together, so that all shares round up by less than one place in all.
        until(ahead + self.groups[group.0].share) - until(ahead)
    }

    /// What happened so far.
    #[must_use]
    pub const fn tally(&self) -> GateTally {
        self.tally
    }

    /// How long those waited who were granted from the line.
    #[must_use]
    pub const fn waits(&self) -> &Waits {
        &self.waits
    }

    /// The most that a group can ever have at once: all places but those that are kept for others.
    #[must_use]
    pub fn most(&self, group: Group) -> u64 {
        self.limit - self.kept_from(group, |other| self.reserved(other))
    }

    /// Whether `n` places are free that are not kept for another group.
    fn fits(&self, group: Group, n: u64) -> bool {
        if self.in_use == 0 && n > self.most(group) {
            return true; // a weight above a limit that shrank would wait for ever
        }
        let unused = |other: Group| self.reserved(other).saturating_sub(self.groups[other.0].in_use);
        let kept = self.kept_from(group, unused);
        self.in_use.saturating_add(n).saturating_add(kept) <= self.limit
    }

    fn kept_from(&self, group: Group, kept_for: impl Fn(Group) -> u64) -> u64 {
        let others = (1..self.groups.len()).filter(|other| *other != group.0);
        others.map(|other| kept_for(Group(other))).sum()
    }

    fn fits_own(&self, group: Group, n: u64) -> bool {
        self.groups[group.0].in_use.saturating_add(n) <= self.reserved(group)
    }

    /// Whether one who comes now stands behind nobody: all who wait are less urgent, or wait for other groups' places.
    fn passes(&self, group: Group, priority: i32, n: u64) -> bool {
        let before_me = |places: &Places<P>| places.first().is_some_and(|(first, _, _)| first >= priority);
        !self.groups.iter().any(before_me) || !before_me(&self.groups[group.0]) && self.fits_own(group, n)
    }

    /// Whose first is to be served: the most urgent who came first of all, or the first whose group has a place of its
    /// own.
    fn next_group(&self) -> Option<Group> {
        let firsts = || {
            let groups = self.groups.iter().enumerate();
            groups.filter_map(|(index, places)| {
                let (priority, ticket, n) = places.first()?;
                Some(((Reverse(priority), ticket), Group(index), n))
            })
        };
        let (first, _, _) = firsts().min_by_key(|(turn, _, _)| *turn)?;
        firsts()
            .filter(|(turn, group, n)| (*turn == first || self.fits_own(*group, *n)) && self.fits(*group, *n))
            .min_by_key(|(turn, _, _)| *turn)
            .map(|(_, group, _)| group)
    }

    fn take(&mut self, group: Group, n: u64) {
        self.groups[group.0].in_use += n;
        self.in_use += n;
        self.tally.granted += 1;
        self.tally.in_use_max = self.tally.in_use_max.max(self.in_use);
    }
}
