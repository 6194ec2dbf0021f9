//! The processor's time-stamp counter, and how fast it runs by CLOCK_MONOTONIC.
//!
//! The counter is used where the processor says that it runs at one rate through every power state: the invariant
//! time-stamp counter of x86-64. Everywhere else there is none.
//!
//! Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 3, "Invariant TSC"; AMD64 Architecture
//! Programmer's Manual, volume 3, CPUID function 8000_0007h.

use crate::clock::monotonic_ns;

/// Fraction bits of a rate in nanoseconds per tick.
pub(crate) const FRACTION_BITS: u32 = 32;

/// Readings taken per pair; the one with the least time between its two counter reads is kept.
const PAIR_TRIES: usize = 8;

/// Reads the counter, in ticks.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn counter() -> u64 {
    // SAFETY: every x86-64 processor has RDTSC, and Linux lets programs use it unless they forbid it to themselves.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// There is no counter: nanoseconds of CLOCK_MONOTONIC.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn counter() -> u64 {
    monotonic_ns()
}

/// Whether the processor promises that the counter runs at one rate.
#[cfg(target_arch = "x86_64")]
pub(crate) fn promises_steady_counter() -> bool {
    use core::arch::x86_64::__cpuid;
    use std::sync::OnceLock;

    const EXTENDED: u32 = 0x8000_0000;
    const POWER: u32 = 0x8000_0007;
    const INVARIANT: u32 = 1 << 8;
    /// Under a hypervisor the instruction costs microseconds.
    static PROMISED: OnceLock<bool> = OnceLock::new();
    #[allow(unused_unsafe, reason = "older compilers take the instruction for unsafe")]
    // SAFETY: every x86-64 processor has CPUID.
    *PROMISED.get_or_init(|| unsafe { __cpuid(EXTENDED).eax >= POWER && __cpuid(POWER).edx & INVARIANT != 0 })
}

/// There is no counter.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn promises_steady_counter() -> bool {
    false
}

/// Reads counter and clock as nearly at once as a few tries allow: ticks, then nanoseconds.
pub(crate) fn paired() -> (u64, u64) {
    let mut best = (u64::MAX, 0, 0);
    for _ in 0..PAIR_TRIES {
        let before = counter();
        let ns = monotonic_ns();
        let apart = counter().saturating_sub(before);
        if apart < best.0 {
            best = (apart, before + apart / 2, ns);
        }
    }
    (best.1, best.2)
}

/// Nanoseconds per tick, with [`FRACTION_BITS`] fraction bits; `None` for a counter that stands still or is too slow to fit.
pub(crate) fn rate(ticks: u64, length_ns: u64) -> Option<u64> {
    (u128::from(length_ns) << FRACTION_BITS)
        .checked_div(u128::from(ticks))
        .and_then(|rate| u64::try_from(rate).ok())
}

/// How long so many ticks take at a rate, in nanoseconds.
#[inline]
pub(crate) fn length_ns(ticks: u64, ns_per_tick: u64) -> u64 {
    let length = (u128::from(ticks) * u128::from(ns_per_tick)) >> FRACTION_BITS;
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_that_stands_still_has_no_rate() {
        assert_eq!(rate(0, 1_000), None);
        assert_eq!(rate(2_000, 1_000), Some(1 << (FRACTION_BITS - 1)));
    }

    #[test]
    fn lengths_follow_the_rate() {
        assert_eq!(length_ns(2_000, 1 << (FRACTION_BITS - 1)), 1_000);
        assert_eq!(length_ns(u64::MAX, u64::MAX), u64::MAX, "no overflow");
    }
}
