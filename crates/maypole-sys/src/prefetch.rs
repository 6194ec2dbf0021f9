//! Hints to the processor's caches.

/// Bytes that the caches move at once, on x86-64 and most of AArch64.
const CACHE_LINE: usize = 64;

/// Asks the processor to bring `LINES` cache lines, from that of `address` on, closer. A hint: it never faults, whatever the
/// address, and does nothing on processors that have none.
///
/// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, "PREFETCHh"; Arm Architecture Reference
/// Manual, "PRFM".
///
/// ```
/// let far = vec![0_u8; 1 << 20];
/// maypole_sys::prefetch::<2>(far[1 << 19..].as_ptr());
/// maypole_sys::prefetch::<1>(std::ptr::null());
/// ```
#[inline(always)]
pub fn prefetch<const LINES: usize>(address: *const u8) {
    for line in 0..LINES {
        hint(address.wrapping_add(line * CACHE_LINE));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn hint(address: *const u8) {
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: every x86-64 processor has the instruction, which neither faults nor changes what a program can see.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn hint(address: *const u8) {
    // SAFETY: as on x86-64.
    unsafe {
        core::arch::asm!("prfm pldl1keep, [{0}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn hint(_: *const u8) {}
