//! Another order for things that happen at the same moment, from a seed.
//!
//! Owns [`Ties`]. A program must not depend on which of two equal timers fires first. Under a virtual clock a test can
//! ask for another order with a seed, and get the same order again with the same seed.
//!
//! Invariant: only neighbours that are equal change places; what differs keeps its order.
//! Invariant: the same seed and the same calls give the same orders, on every machine.

/// A seeded source of orders among equals.
///
/// Source of the numbers: S. Vigna's SplitMix64. Source of the shuffle: R. Durstenfeld, "Algorithm 235", 1964.
///
/// ```
/// use maypole_core::Ties;
///
/// let mut due = [(10, 'a'), (20, 'b'), (20, 'c'), (20, 'd'), (30, 'e')];
/// Ties::new(3).permute(&mut due, |(deadline_ns, _)| *deadline_ns);
/// assert_eq!((due[0], due[4]), ((10, 'a'), (30, 'e')));
/// assert_ne!(due[1..4], [(20, 'b'), (20, 'c'), (20, 'd')]);
/// ```
#[derive(Clone, Debug)]
pub struct Ties {
    state: u64,
}

impl Ties {
    /// Makes the source of `seed`.
    ///
    /// ```
    /// let (mut a, mut b) = ([1, 2, 3], [1, 2, 3]);
    /// maypole_core::Ties::new(9).shuffle(&mut a);
    /// maypole_core::Ties::new(9).shuffle(&mut b);
    /// assert_eq!(a, b);
    /// ```
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Gives every run of neighbours with the same `key` another order (timers with one deadline).
    ///
    /// ```
    /// let mut due = [(1, "a"), (2, "b"), (3, "c")];
    /// maypole_core::Ties::new(0).permute(&mut due, |(deadline_ns, _)| *deadline_ns);
    /// assert_eq!(due, [(1, "a"), (2, "b"), (3, "c")]);
    /// ```
    pub fn permute<T, K: PartialEq>(&mut self, items: &mut [T], key: impl Fn(&T) -> K) {
        for equal in items.chunk_by_mut(|a, b| key(a) == key(b)) {
            self.shuffle(equal);
        }
    }

    /// Gives all of `items` another order (descriptors ready in one poll).
    ///
    /// ```
    /// let mut ready = [3, 4, 5];
    /// maypole_core::Ties::new(1).shuffle(&mut ready);
    /// ready.sort();
    /// assert_eq!(ready, [3, 4, 5]);
    /// ```
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let chosen = self.below(last + 1);
            items.swap(last, chosen);
        }
    }

    /// A number below `bound`; the bias of the remainder is below 2^-32 for any list that fits in memory.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the remainder is below bound, a usize"
    )]
    const fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}
