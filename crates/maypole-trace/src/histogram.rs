//! How long, how many: a histogram that is always on.
//!
//! Owns [`Histogram`]. Log-linear, as HdrHistogram's (<https://hdrhistogram.github.io/HdrHistogram/>): eight buckets for
//! each power of two, over all of `u64`. A bucket's upper bound is less than 1/8 above any value in it; values below 16
//! are exact. 496 counters, 4 KiB, whatever was recorded.

/// Buckets for each power of two.
const EIGHTH_BITS: u32 = 3;
const EIGHTHS: usize = 1 << EIGHTH_BITS;
/// The last index, that of `u64::MAX`, is `60 * 8 + 15`.
const BUCKETS: usize = (u64::BITS - EIGHTH_BITS) as usize * EIGHTHS + EIGHTHS;
/// What a quantile needs beyond it.
const TAIL: f64 = 10.0;

/// Counts of values.
///
/// ```
/// use maypole_trace::Histogram;
///
/// let mut turns = Histogram::new();
/// (1..=1000).for_each(|us| turns.record(us * 1000));
/// let p99 = turns.quantile(0.99).unwrap();
/// assert!((990_000..=990_000 + 990_000 / 8).contains(&p99));
/// assert_eq!(turns.quantile(0.999), None); // a thousand values say nothing about one in a thousand
/// ```
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    count: u64,
    sum: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// An empty histogram.
    #[must_use]
    pub fn new() -> Self {
        Self {
            counts: Box::new([0; BUCKETS]),
            count: 0,
            sum: 0,
            max: 0,
        }
    }

    /// Counts one value.
    #[inline]
    pub fn record(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
        self.max = self.max.max(value);
    }

    /// How many values were counted.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Their sum, `u64::MAX` if it does not fit.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.sum
    }

    /// The highest of them, exactly; 0 when nothing was counted.
    #[must_use]
    pub const fn max(&self) -> u64 {
        self.max
    }

    /// The buckets that are not empty, the lowest first: the highest value that falls into it, and its count.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        self.counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(index, count)| (upper(index), *count))
    }

    /// Adds what another histogram counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts.iter()) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }

    /// A value that a share `q` of all does not exceed, at most 1/8 too high.
    ///
    /// None when too few values were counted to tell: the median needs 10 in all, any other quantile 10 in its tail
    /// (p90 100, p99 1,000, p99.9 10,000). None also for a `q` outside of 0 to 1.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among counts: q lies within 0..=1"
    )]
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let count = self.count as f64;
        let tail = if q == 0.5 { 1.0 } else { q.min(1.0 - q) };
        // 1 - 0.9 is a little less than a tenth in binary.
        if q.is_nan() || count * tail < TAIL - 1e-6 {
            return None;
        }
        let rank = ((count * q).ceil() as u64).max(1);
        let mut seen = 0;
        let reached = self.buckets().find(|(_, count)| {
            seen += count;
            seen >= rank
        });
        reached.map(|(upper, _)| upper.min(self.max))
    }
}

/// The bucket of a value.
#[inline]
const fn bucket(value: u64) -> usize {
    let shift = (value | EIGHTHS as u64).ilog2() - EIGHTH_BITS;
    shift as usize * EIGHTHS + (value >> shift) as usize
}

/// The highest value of a bucket.
const fn upper(index: usize) -> u64 {
    let shift = (index / EIGHTHS).saturating_sub(1);
    let eighth = (index - shift * EIGHTHS) as u64;
    (eighth << shift) + ((1 << shift) - 1)
}
