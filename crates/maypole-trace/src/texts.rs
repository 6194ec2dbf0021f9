//! Names and messages: each kept once, up to a number of them.
//!
//! Owns [`Texts`] and [`TextId`]. A program that runs for a week names millions of tasks, and an exception may have
//! another text each time. So the names that asyncio makes itself (`Task-123`) are kept as their number, and take no
//! memory; and of the others only so many are kept, then `…` stands for the rest, which is counted.

use std::collections::HashMap;
use std::sync::Arc;

/// What stands for a text that found no room.
pub(crate) const LEFT_OUT: &str = "…";
const NUMBERED: u32 = 1 << 31;
const PREFIX: &str = "Task-";

/// A text: its index in [`Texts`], the number of a `Task-N`, or none.
///
/// ```
/// use maypole_trace::{TextId, Texts};
///
/// let mut texts = Texts::new(10);
/// assert_eq!(texts.intern("Task-7"), TextId::numbered(7));
/// assert!(texts.is_empty());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TextId(pub u32);

impl TextId {
    /// No text.
    pub const NONE: Self = Self(u32::MAX);

    /// The name that asyncio gives its task number `number`, `Task-N`; the highest numbers, past 2,147,483,646, have none.
    #[inline]
    #[must_use]
    pub const fn numbered(number: u32) -> Self {
        if number < NUMBERED - 1 {
            Self(NUMBERED | number)
        } else {
            Self::NONE
        }
    }

    const fn number(self) -> Option<u32> {
        if self.0 >= NUMBERED && self.0 != Self::NONE.0 {
            Some(self.0 & !NUMBERED)
        } else {
            None
        }
    }
}

impl Default for TextId {
    fn default() -> Self {
        Self::NONE
    }
}

/// Texts, each kept once.
///
/// ```
/// use maypole_trace::Texts;
///
/// let mut texts = Texts::new(1);
/// let first = texts.intern("fetch");
/// assert_eq!(texts.intern("fetch"), first);
/// let second = texts.intern("store");
/// assert_eq!(texts.text(second).as_deref(), Some("…"));
/// assert_eq!(texts.left_out(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct Texts {
    numbers: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
    capacity: usize,
    left_out: u64,
}

impl Texts {
    /// Room for `capacity` different texts, at most 2,147,483,647.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.min(NUMBERED as usize - 1);
        Self {
            numbers: HashMap::new(),
            texts: Vec::new(),
            capacity,
            left_out: 0,
        }
    }

    /// The id of a text, the same for the same text. Without room for a new one, the id of `…`, which is counted.
    pub fn intern(&mut self, text: &str) -> TextId {
        if let Some(id) = self.find(text) {
            return id;
        }
        if self.numbers.len() >= self.capacity {
            return self.leave_out();
        }
        let number = self.texts.len() as u32;
        let text: Arc<str> = text.into();
        self.numbers.insert(Arc::clone(&text), number);
        self.texts.push(text);
        TextId(number)
    }

    /// The id of a text that is kept already.
    pub(crate) fn find(&self, text: &str) -> Option<TextId> {
        task_number(text)
            .map(TextId::numbered)
            .or_else(|| self.numbers.get(text).copied().map(TextId))
    }

    #[cold]
    fn leave_out(&mut self) -> TextId {
        self.left_out += 1;
        if self.texts.len() == self.capacity {
            self.texts.push(LEFT_OUT.into());
        }
        TextId(self.capacity as u32)
    }

    /// The text of an id; None for no text, and for an id of somebody else.
    #[must_use]
    pub fn text(&self, id: TextId) -> Option<std::borrow::Cow<'_, str>> {
        match id.number() {
            Some(number) => Some(format!("{PREFIX}{number}").into()),
            None => self.texts.get(id.0 as usize).map(|text| (&**text).into()),
        }
    }

    /// How many texts are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// How many times a text found no room.
    #[must_use]
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }
}

/// N of `Task-N`, written as asyncio writes it.
fn task_number(text: &str) -> Option<u32> {
    let digits = text.strip_prefix(PREFIX)?;
    let plain =
        digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits.len() == 1 || !digits.starts_with('0'));
    let number = digits.parse().ok().filter(|_| plain)?;
    (TextId::numbered(number) != TextId::NONE).then_some(number)
}
