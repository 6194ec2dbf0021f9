//! Places in the code, and stacks of them: each place kept once, up to a number of them.
//!
//! Owns [`Sites`], [`SiteId`] and [`Stacks`].

use std::collections::HashMap;

use crate::texts::{TextId, Texts};

/// A place in the code: its index in [`Sites`], or none.
///
/// ```
/// use maypole_trace::SiteId;
///
/// assert_eq!(SiteId::from_short(SiteId(5).short()), SiteId(5));
/// assert_eq!(SiteId::from_short(SiteId(70_000).short()), SiteId::NONE);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SiteId(pub u32);

impl SiteId {
    /// No place.
    pub const NONE: Self = Self(u32::MAX);

    /// The id in 16 bits, for [`Event::step`](crate::Event::step); 65,535, which is none, if it does not fit.
    #[inline]
    #[must_use]
    pub const fn short(self) -> u16 {
        if self.0 < u16::MAX as u32 {
            self.0 as u16
        } else {
            u16::MAX
        }
    }

    /// What [`SiteId::short`] made.
    #[inline]
    #[must_use]
    pub const fn from_short(short: u16) -> Self {
        if short == u16::MAX {
            Self::NONE
        } else {
            Self(short as u32)
        }
    }
}

impl Default for SiteId {
    fn default() -> Self {
        Self::NONE
    }
}

/// One place: file, line, qualified name of the function.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Site {
    file: TextId,
    line: u32,
    function: TextId,
}

/// Places in the code, each kept once.
///
/// ```
/// use maypole_trace::Sites;
///
/// let mut sites = Sites::new(100);
/// let site = sites.intern("app.py", 12, "main");
/// assert_eq!(sites.intern("app.py", 12, "main"), site);
/// assert_eq!(sites.site(site), Some(("app.py".into(), 12, "main".into())));
/// ```
#[derive(Clone, Debug)]
pub struct Sites {
    numbers: HashMap<Site, u32>,
    sites: Vec<Site>,
    texts: Texts,
    capacity: usize,
    left_out: u64,
}

impl Sites {
    /// Room for `capacity` different places, at most 2,147,483,646.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.min(i32::MAX as usize - 1);
        Self {
            numbers: HashMap::new(),
            sites: Vec::new(),
            // Two texts for each place, and the one for those left out.
            texts: Texts::new(2 * capacity + 1),
            capacity,
            left_out: 0,
        }
    }

    /// The id of a place, the same for the same place. Without room for a new one, the id of `…`, which is counted.
    pub fn intern(&mut self, file: &str, line: u32, function: &str) -> SiteId {
        // A full table takes no more texts, not even for a place that it will refuse.
        if self.numbers.len() >= self.capacity {
            return match self.find(file, line, function) {
                Some(number) => SiteId(number),
                None => self.leave_out(),
            };
        }
        let site = Site {
            file: self.texts.intern(file),
            line,
            function: self.texts.intern(function),
        };
        let next = self.sites.len() as u32;
        let number = *self.numbers.entry(site).or_insert(next);
        if number == next {
            self.sites.push(site);
        }
        SiteId(number)
    }

    fn find(&self, file: &str, line: u32, function: &str) -> Option<u32> {
        let site = Site {
            file: self.texts.find(file)?,
            line,
            function: self.texts.find(function)?,
        };
        self.numbers.get(&site).copied()
    }

    #[cold]
    fn leave_out(&mut self) -> SiteId {
        self.left_out += 1;
        if self.sites.len() == self.capacity {
            let text = self.texts.intern(crate::texts::LEFT_OUT);
            self.sites.push(Site {
                file: text,
                line: 0,
                function: text,
            });
        }
        SiteId(self.capacity as u32)
    }

    /// File, line and function of an id; None for no place, and for an id of somebody else.
    #[must_use]
    pub fn site(&self, id: SiteId) -> Option<(String, u32, String)> {
        let Site { file, line, function } = *self.sites.get(id.0 as usize)?;
        Some((
            self.texts.text(file)?.into_owned(),
            line,
            self.texts.text(function)?.into_owned(),
        ))
    }

    /// How many places are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sites.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sites.is_empty()
    }

    /// How many times a place found no room.
    #[must_use]
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }
}

/// Stacks of stalls, innermost first.
///
/// ```
/// use maypole_trace::{SiteId, Stacks};
///
/// let mut stacks = Stacks::new(1);
/// let stack = stacks.push(&[SiteId(4), SiteId(2)]);
/// assert_eq!(stacks.stack(stack), [SiteId(4), SiteId(2)]);
/// let without_room = stacks.push(&[SiteId(1)]);
/// assert!(stacks.stack(without_room).is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct Stacks {
    stacks: Vec<Box<[SiteId]>>,
    capacity: usize,
}

impl Stacks {
    /// What [`Event::stall`](crate::Event::stall) takes for no stack.
    pub const NONE: u32 = u32::MAX;

    /// Room for `capacity` stacks.
    #[must_use]
    pub const fn new(capacity: usize) -> Self {
        Self {
            stacks: Vec::new(),
            capacity,
        }
    }

    /// Keeps a stack and gives its index; [`Stacks::NONE`] without room.
    pub fn push(&mut self, stack: &[SiteId]) -> u32 {
        if self.stacks.len() >= self.capacity {
            return Self::NONE;
        }
        self.stacks.push(stack.into());
        self.stacks.len() as u32 - 1
    }

    /// The stack of an index; empty if there is none.
    #[must_use]
    pub fn stack(&self, index: u32) -> &[SiteId] {
        self.stacks.get(index as usize).map_or(&[], |stack| stack)
    }
}
