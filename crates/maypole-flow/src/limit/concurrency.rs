//! A limit on what is under way at once that finds its own value.
//!
//! Owns the window of samples and the limit. The caller reports how long each call took, and applies the limit.
//!
//! Invariant: the limit is from `min` to `max`; the few calls of a probe for the baseline may be fewer than `min`.

use super::Measured;
use super::aimd::Aimd;
use super::gradient::Gradient;
use super::vegas::Vegas;
use crate::clock::Monotone;
use crate::invalid::{Invalid, require};

/// How the limit is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Algorithm {
    /// Additive increase, multiplicative decrease: hold the mean time of a call at a target.
    Aimd {
        /// The mean time to hold, in nanoseconds.
        target_ns: u64,
    },
    /// The gradient against a baseline that is measured anew from time to time: no target is needed.
    Gradient {
        /// How often the baseline is measured, in nanoseconds.
        probe_every_ns: u64,
    },
    /// TCP Vegas: a small queue at the remote.
    Vegas {
        /// How often the baseline is forgotten, in nanoseconds.
        probe_every_ns: u64,
    },
}

/// The settings of an adaptive limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaptiveSettings {
    /// How the limit is found.
    pub algorithm: Algorithm,
    /// The smallest limit.
    pub min: u64,
    /// The largest limit.
    pub max: u64,
    /// The first limit.
    pub initial: u64,
    /// How long samples are gathered before the limit moves, in nanoseconds.
    pub window_ns: u64,
    /// How many samples that takes at least.
    pub samples_min: u32,
}

/// How a call ended, as far as the limit is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// It says how long a call takes.
    Time,
    /// It met an overload: a timeout, a refusal by the remote.
    Overload,
    /// It says nothing.
    Drop,
}

#[derive(Clone, Copy, Debug)]
enum Rule {
    Aimd(Aimd),
    Gradient(Gradient),
    Vegas(Vegas),
}

#[derive(Clone, Copy, Debug)]
struct Gathered {
    since_ns: u64,
    samples: u32,
    total_ns: f64,
    in_flight_max: u64,
    overloaded: bool,
}

impl Gathered {
    const fn new(since_ns: u64) -> Self {
        Self {
            since_ns,
            samples: 0,
            total_ns: 0.0,
            in_flight_max: 0,
            overloaded: false,
        }
    }
}

/// A limit that follows what the calls show.
///
/// ```
/// use maypole_flow::{AdaptiveLimit, AdaptiveSettings, Algorithm, Sample};
///
/// let mut limit = AdaptiveLimit::new(AdaptiveSettings {
///     algorithm: Algorithm::Aimd { target_ns: 100_000_000 },
///     min: 1, max: 200, initial: 20, window_ns: 1_000_000_000, samples_min: 1,
/// })?;
/// limit.sample(0, 300_000_000, 20, Sample::Time);
/// assert_eq!(limit.sample(1_000_000_000, 300_000_000, 20, Sample::Time), Some(18)); // too slow: 10 % less
/// # Ok::<(), maypole_flow::Invalid>(())
/// ```
#[derive(Clone, Debug)]
pub struct AdaptiveLimit {
    settings: AdaptiveSettings,
    rule: Rule,
    limit: f64,
    gathered: Option<Gathered>,
    clock: Monotone,
    mean_ns: f64,
}

impl AdaptiveLimit {
    /// A limit at its first value.
    ///
    /// # Errors
    ///
    /// Settings out of order: `1 <= min <= initial <= max`, times above 0.
    #[allow(clippy::cast_precision_loss, reason = "limits, and numbers for a message")]
    pub fn new(settings: AdaptiveSettings) -> Result<Self, Invalid> {
        let AdaptiveSettings {
            min, max, initial, ..
        } = settings;
        require(min > 0, "min", "be above 0", 0.0)?;
        require(max >= min, "max", "be at least min", max as f64)?;
        require(
            (min..=max).contains(&initial),
            "initial",
            "be from min to max",
            initial as f64,
        )?;
        require(settings.window_ns > 0, "window", "be above 0", 0.0)?;
        require(settings.samples_min > 0, "min_samples", "be above 0", 0.0)?;
        let rule = match settings.algorithm {
            Algorithm::Aimd { target_ns } => {
                require(target_ns > 0, "target", "be above 0", 0.0)?;
                Rule::Aimd(Aimd {
                    target_ns: target_ns as f64,
                })
            }
            Algorithm::Gradient { probe_every_ns } => {
                require(probe_every_ns > 0, "probe_every", "be above 0", 0.0)?;
                Rule::Gradient(Gradient::new(probe_every_ns))
            }
            Algorithm::Vegas { probe_every_ns } => {
                require(probe_every_ns > 0, "probe_every", "be above 0", 0.0)?;
                Rule::Vegas(Vegas::new(probe_every_ns))
            }
        };
        Ok(Self {
            settings,
            rule,
            limit: initial as f64,
            gathered: None,
            clock: Monotone::new(),
            mean_ns: 0.0,
        })
    }

    /// Take in the end of a call that took `took_ns`, with `in_flight` under way, itself included.
    ///
    /// Returns the limit when it has moved.
    #[allow(clippy::cast_precision_loss, reason = "times are averaged")]
    pub fn sample(&mut self, reading_ns: u64, took_ns: u64, in_flight: u64, sample: Sample) -> Option<u64> {
        let now_ns = self.clock.observe(reading_ns);
        let probing = matches!(&self.rule, Rule::Gradient(gradient) if gradient.probing());
        let gathered = self.gathered.get_or_insert(Gathered::new(now_ns));
        gathered.in_flight_max = gathered.in_flight_max.max(in_flight);
        let before = now_ns.saturating_sub(took_ns) < gathered.since_ns;
        match sample {
            Sample::Drop => return None,
            Sample::Overload => gathered.overloaded |= !(probing && before),
            Sample::Time if probing && before => {}
            Sample::Time => {
                gathered.samples += 1;
                gathered.total_ns += took_ns as f64;
            }
        }
        self.close_window(now_ns)
    }

    /// The limit now.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a limit from 1 to max"
    )]
    pub fn limit(&self) -> u64 {
        self.limit as u64
    }

    /// The mean time of the calls in the last window, in nanoseconds; 0 before the first.
    #[must_use]
    pub const fn mean_ns(&self) -> f64 {
        self.mean_ns
    }

    /// The time of a call without a queue, as far as the algorithm knows one, in nanoseconds.
    #[must_use]
    pub fn baseline_ns(&self) -> Option<f64> {
        let baseline_ns = match &self.rule {
            Rule::Aimd(_) => f64::INFINITY,
            Rule::Gradient(gradient) => gradient.baseline_ns(),
            Rule::Vegas(vegas) => vegas.baseline_ns(),
        };
        baseline_ns.is_finite().then_some(baseline_ns)
    }

    #[allow(clippy::cast_precision_loss, reason = "limits are small numbers")]
    fn close_window(&mut self, now_ns: u64) -> Option<u64> {
        let gathered = self.gathered?;
        let full = gathered.samples >= self.settings.samples_min;
        // A remote that answers nothing gives no sample of time, and must be spared all the same.
        if now_ns - gathered.since_ns < self.settings.window_ns || !(full || gathered.overloaded) {
            return None;
        }
        let known = gathered.samples > 0;
        let seen = Measured {
            now_ns,
            mean_ns: if known {
                gathered.total_ns / f64::from(gathered.samples)
            } else {
                f64::INFINITY
            },
            in_flight_max: gathered.in_flight_max,
            overloaded: gathered.overloaded,
        };
        if known {
            self.mean_ns = seen.mean_ns;
        }
        let before = self.limit();
        let next = match &mut self.rule {
            Rule::Aimd(aimd) => aimd.next(self.limit, &seen),
            Rule::Gradient(gradient) => gradient.next(self.limit, &seen),
            Rule::Vegas(vegas) => vegas.next(self.limit, &seen),
        };
        let probing = matches!(&self.rule, Rule::Gradient(gradient) if gradient.probing());
        let min = if probing { 1.0 } else { self.settings.min as f64 };
        self.limit = next.clamp(min, self.settings.max as f64);
        self.gathered = Some(Gathered::new(now_ns));
        (self.limit() != before).then_some(self.limit())
    }
}
