//! How long things took: a histogram of fixed size.
//!
//! Four buckets per power of two, from 1 µs to 39 hours: a quantile is at most 25 % above the true value. Takes no
//! memory until the first value comes.

const OCTAVE_MIN: u32 = 10;
const OCTAVE_MAX: u32 = 47;
const BUCKETS: usize = ((OCTAVE_MAX - OCTAVE_MIN) * 4 + 2) as usize;

/// A histogram of durations.
///
/// ```
/// use maypole_flow::Waits;
///
/// let mut waits = Waits::new();
/// (1..=100).for_each(|ms| waits.record(ms * 1_000_000));
/// assert_eq!(waits.count(), 100);
/// assert_eq!(waits.longest_ns(), 100_000_000);
/// let median_ns = waits.quantile_ns(0.5);
/// assert!((50_000_000..=62_500_000).contains(&median_ns), "{median_ns}");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Waits {
    counts: Option<Box<[u64; BUCKETS]>>,
    count: u64,
    total_ns: u64,
    longest_ns: u64,
}

impl Waits {
    /// An empty histogram.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            counts: None,
            count: 0,
            total_ns: 0,
            longest_ns: 0,
        }
    }

    /// Add one duration.
    pub fn record(&mut self, ns: u64) {
        let counts = self.counts.get_or_insert_with(|| Box::new([0; BUCKETS]));
        counts[bucket(ns)] += 1;
        self.count += 1;
        self.total_ns = self.total_ns.saturating_add(ns);
        self.longest_ns = self.longest_ns.max(ns);
    }

    /// How many were recorded.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    #[must_use]
    pub const fn total_ns(&self) -> u64 {
        self.total_ns
    }

    /// The longest of them, exactly.
    #[must_use]
    pub const fn longest_ns(&self) -> u64 {
        self.longest_ns
    }

    /// A duration that a share `q` of all does not exceed; 0 when nothing was recorded.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among counts: q is clamped to 0..=1"
    )]
    pub fn quantile_ns(&self, q: f64) -> u64 {
        let Some(counts) = &self.counts else { return 0 };
        let rank = ((self.count as f64 * q.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper_ns(index).min(self.longest_ns);
            }
        }
        self.longest_ns
    }
}

fn bucket(ns: u64) -> usize {
    let octave = ns.checked_ilog2().unwrap_or(0);
    if octave < OCTAVE_MIN {
        return 0;
    }
    if octave >= OCTAVE_MAX {
        return BUCKETS - 1;
    }
    let quarter = (ns >> (octave - 2)) & 3;
    1 + ((octave - OCTAVE_MIN) as usize) * 4 + quarter as usize
}

fn upper_ns(index: usize) -> u64 {
    if index == 0 {
        return 1 << OCTAVE_MIN;
    }
    if index == BUCKETS - 1 {
        return u64::MAX;
    }
    let octave = OCTAVE_MIN + ((index - 1) / 4) as u32;
    let quarter = ((index - 1) % 4) as u64;
    (5 + quarter) << (octave - 2)
}
