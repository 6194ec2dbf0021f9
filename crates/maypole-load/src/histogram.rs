//! Latencies in logarithmic buckets, 64 to each power of two: an error below 1.6 %, a fixed size, no allocation.

use std::time::Duration;

const BITS: u32 = 6;
const STEPS: usize = 1 << BITS;

/// Counts of durations.
///
/// # Examples
///
/// ```
/// use maypole_load::histogram::Histogram;
/// use std::time::Duration;
///
/// let mut seen = Histogram::new();
/// for micros in 1..=1000 {
///     seen.record(Duration::from_micros(micros));
/// }
/// let median_ns = seen.quantile_ns(0.5);
/// assert!((492_000..=508_000).contains(&median_ns), "{median_ns}");
/// assert_eq!(seen.max_ns(), 1_000_000);
/// ```
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max_ns: u64,
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
            counts: vec![0; (64 - BITS as usize + 1) * STEPS],
            total: 0,
            max_ns: 0,
        }
    }

    /// Counts one duration.
    pub fn record(&mut self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(bucket_of(ns)) {
            *count += 1;
        }
        self.total += 1;
        self.max_ns = self.max_ns.max(ns);
    }

    /// How many durations were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The longest duration, exactly.
    #[must_use]
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// The duration below which the share `quantile` (0 to 1) of all lies; 0 when nothing was counted.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    pub fn quantile_ns(&self, quantile: f64) -> u64 {
        let wanted = quantile * self.total as f64;
        let mut below = 0_u64;
        for (bucket, count) in self.counts.iter().enumerate() {
            below += count;
            if *count > 0 && below as f64 >= wanted {
                return lower_bound_ns(bucket).min(self.max_ns);
            }
        }
        self.max_ns
    }
}

fn bucket_of(ns: u64) -> usize {
    let shift = (u64::BITS - ns.leading_zeros()).saturating_sub(BITS + 1);
    let step = usize::try_from(ns >> shift).unwrap_or(usize::MAX);
    shift as usize * STEPS + step
}

fn lower_bound_ns(bucket: usize) -> u64 {
    if bucket < 2 * STEPS {
        return bucket as u64;
    }
    let shift = bucket / STEPS - 1;
    ((bucket - shift * STEPS) as u64) << shift
}

#[cfg(test)]
mod tests {
    use super::{Histogram, bucket_of, lower_bound_ns};
    use std::time::Duration;

    #[test]
    fn bucket_bounds_invert_the_bucket_choice() {
        for ns in (0..70).map(|power| 3_u64.saturating_pow(power)).chain(0..5_000) {
            let bucket = bucket_of(ns);
            assert!(
                lower_bound_ns(bucket) <= ns,
                "{ns} lies below its bucket {bucket}"
            );
            assert!(
                ns - lower_bound_ns(bucket) <= ns / 64,
                "{ns} is too far from the bound of bucket {bucket}"
            );
        }
    }

    #[test]
    fn buckets_never_fall_as_durations_grow() {
        let mut last = 0;
        for ns in 0..1_000_000_u64 {
            let bucket = bucket_of(ns);
            assert!(bucket == last || bucket == last + 1, "gap before {ns}");
            last = bucket;
        }
    }

    #[test]
    fn longest_possible_duration_has_a_bucket() {
        let mut seen = Histogram::new();
        seen.record(Duration::MAX);
        assert_eq!((seen.total(), seen.max_ns()), (1, u64::MAX));
        assert!(seen.quantile_ns(1.0) > u64::MAX / 2);
    }
}
