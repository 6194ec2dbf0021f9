//! Timers: what is to run at a time.
//!
//! Owns [`Wheel`], the hierarchical timing wheel (`wheel.rs`: what a timer is and when it fires; `level.rs`: sixty-four
//! slots and the lists in them).
//!
//! Invariant: timers fire in the order of (deadline, insertion), exactly, and never before their deadline.
//! Invariant: a cancelled timer is gone at once; its item goes back to the caller and its memory to the next timer.

mod level;
mod wheel;

pub use wheel::Wheel;
