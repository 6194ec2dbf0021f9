//! What a recording knows by address: code objects, places in them, functions that are called back.
//!
//! Invariant: the objects whose addresses are keys are held, so that the addresses stay their own.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use maypole_trace::{SiteId, TextId, WaitKind};

use super::recording::Recording;
use super::suspended::Position;
use crate::capi::Owned;

/// Different places, functions and callables that are kept; further ones are told as "…".
pub(super) const SITES_MAX: usize = 50_000;
const OBJECTS_MAX: usize = 50_000;

/// What is known of a code object.
#[derive(Clone, Copy)]
pub(super) struct Code {
    /// It is of the program, not of asyncio or maypole.
    pub(super) is_users: bool,
    wait: WaitKind,
    /// Its name without the class, if it is asyncio's or maypole's: what the program called.
    operation: TextId,
    /// The first line of the function.
    pub(super) first: SiteId,
    file: TextId,
    function: TextId,
}

/// What a code object says of itself.
pub(super) struct CodeTold {
    pub(super) file: String,
    pub(super) function: String,
    pub(super) first_line: u32,
    pub(super) is_users: bool,
    pub(super) wait: WaitKind,
}

/// What is known of a place.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) is_users: bool,
    wait: WaitKind,
    operation: TextId,
    pub(super) site: SiteId,
}

/// What a chain of awaits says: the innermost line of the program's own, what the innermost function is known to wait for, and
/// what that line called.
#[derive(Clone, Copy)]
pub(super) struct Line {
    pub(super) site: SiteId,
    pub(super) kind: WaitKind,
    pub(super) operation: TextId,
}

impl Line {
    pub(super) const NONE: Line = Line {
        site: SiteId::NONE,
        kind: WaitKind::Unknown,
        operation: TextId::NONE,
    };

    /// Reads places off a chain, the innermost first.
    pub(super) fn of(places: impl Iterator<Item = Place>) -> Line {
        let mut line = Line::NONE;
        let mut fallback = SiteId::NONE;
        for (depth, place) in places.enumerate() {
            if line.kind == WaitKind::Unknown {
                line.kind = place.wait;
            }
            if place.is_users {
                line.site = place.site;
                return line;
            }
            if depth == 0 {
                fallback = place.site;
            }
            line.operation = place.operation;
        }
        line.site = fallback;
        line
    }
}

/// Spreads addresses over a table. They come from the allocator, not from a peer, so nobody can choose them.
#[derive(Clone, Copy, Default)]
pub(super) struct AddressHasher(u64);

type ByAddress = BuildHasherDefault<AddressHasher>;

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn write_i32(&mut self, number: i32) {
        self.write_u64(number.cast_unsigned().into());
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_u64(&mut self, number: u64) {
        // 2^64 over the golden ratio, as in Fibonacci hashing; the rotation brings the mixed upper bits down.
        self.0 = (self.0.rotate_left(26) ^ number)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(26);
    }
}

/// The last part of a qualified name.
fn method_of(qualified: &str) -> &str {
    qualified.rsplit_once('.').map_or(qualified, |(_, method)| method)
}

/// The tables.
#[derive(Default)]
pub(super) struct Known {
    codes: HashMap<usize, Code, ByAddress>,
    places: HashMap<Position, Place, ByAddress>,
    callables: HashMap<usize, TextId, ByAddress>,
    /// The names of native operations, which are constants.
    operations: HashMap<usize, (TextId, WaitKind), ByAddress>,
    held: Vec<Owned>,
}

impl Known {
    #[inline]
    pub(super) fn code(&self, address: usize) -> Option<Code> {
        self.codes.get(&address).copied()
    }

    #[inline]
    pub(super) fn place(&self, position: Position) -> Option<Place> {
        self.places.get(&position).copied()
    }

    /// What a chain says whose places are known down to the program's own; the outermost position first.
    #[inline]
    pub(super) fn line(&self, chain: &[Position]) -> Option<Line> {
        let mut all_known = true;
        let places = chain.iter().rev().map_while(|position| {
            let place = self.place(*position);
            all_known &= place.is_some();
            place
        });
        let line = Line::of(places);
        all_known.then_some(line)
    }

    pub(super) fn callable(&self, address: usize) -> Option<TextId> {
        self.callables.get(&address).copied()
    }

    /// The references that are held.
    pub(super) fn into_references(self) -> Vec<Owned> {
        self.held
    }
}

impl Recording {
    /// Keeps what is known of a code object, and the object.
    pub(super) fn learn_code(&mut self, code: Owned, told: &CodeTold) -> Option<Code> {
        if self.known.held.len() >= OBJECTS_MAX {
            return None;
        }
        let operation = if told.is_users {
            TextId::NONE
        } else {
            self.texts.intern(method_of(&told.function))
        };
        let known = Code {
            is_users: told.is_users,
            wait: told.wait,
            operation,
            first: self.sites.intern(&told.file, told.first_line, &told.function),
            file: self.texts.intern(&told.file),
            function: self.texts.intern(&told.function),
        };
        self.known.codes.insert(code.as_ptr() as usize, known);
        self.known.held.push(code);
        Some(known)
    }

    /// Keeps a place of a code object that is known.
    pub(super) fn learn_place(&mut self, position: Position, code: Code, line: u32) -> Place {
        let text = |id| self.texts.text(id).unwrap_or_default();
        let site = self.sites.intern(&text(code.file), line, &text(code.function));
        let place = Place {
            is_users: code.is_users,
            wait: code.wait,
            operation: code.operation,
            site,
        };
        if self.known.places.len() < SITES_MAX {
            self.known.places.insert(position, place);
        }
        place
    }

    /// The name of a native operation without its class, and what it waits for; `kind` says that of a new one.
    #[inline]
    pub(super) fn operation(
        &mut self,
        name: &'static str,
        kind: impl FnOnce(&str) -> WaitKind,
    ) -> (TextId, WaitKind) {
        let address = name.as_ptr() as usize;
        if let Some(known) = self.known.operations.get(&address) {
            return *known;
        }
        let told = (self.texts.intern(method_of(name)), kind(name));
        self.known.operations.insert(address, told);
        told
    }

    /// Keeps the name of what is called back, by its code or its type, which is kept too.
    pub(super) fn learn_callable(&mut self, known_by: Owned, name: &str) -> TextId {
        let name = self.texts.intern(name);
        if self.known.held.len() < OBJECTS_MAX {
            self.known.callables.insert(known_by.as_ptr() as usize, name);
            self.known.held.push(known_by);
        }
        name
    }
}
