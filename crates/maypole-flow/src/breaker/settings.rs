//! What makes a breaker trip, and how it tries again.

use crate::invalid::{Invalid, require};

/// Over which calls a breaker judges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WindowKind {
    /// The last so many calls.
    Calls(u32),
    /// The calls of the last so many nanoseconds, in ten steps.
    Span(u64),
}

/// The largest window in calls: two bits each.
const CALLS_MAX: u32 = 1_000_000;

/// The settings of a breaker.
///
/// ```
/// use maypole_flow::{BreakerSettings, WindowKind};
///
/// let settings = BreakerSettings { window: WindowKind::Calls(0), ..BreakerSettings::default() };
/// assert_eq!(settings.check().unwrap_err().to_string(), "window must hold from 1 to 1000000 calls, got 0");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerSettings {
    /// Over which calls the rates are taken.
    pub window: WindowKind,
    /// No rate is judged below so many calls in the window.
    pub calls_min: u32,
    /// Trips when failures reach this share of the calls; `None` never.
    pub failure_rate: Option<f64>,
    /// Trips after so many failures in a row; `None` never.
    pub consecutive: Option<u32>,
    /// A call that takes this long is slow, whether it has ended or not; `None` times no call.
    pub slow_ns: Option<u64>,
    /// Trips when slow calls reach this share of the calls.
    pub slow_rate: f64,
    /// How long the breaker is open the first time.
    pub open_ns: u64,
    /// The longest it is ever open, jitter apart.
    pub open_max_ns: u64,
    /// By what the open time grows each time that the probes fail.
    pub backoff: f64,
    /// Up to which share the open time is lengthened at random, so that many processes do not probe at once.
    pub jitter: f64,
    /// How many probes decide.
    pub probes: u32,
    /// How many of them may be under way at once.
    pub probes_at_once: u32,
    /// Half-open ends after this time; a probe that has not answered then has failed.
    pub half_open_ns: u64,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            window: WindowKind::Calls(100),
            calls_min: 20,
            failure_rate: Some(0.5),
            consecutive: None,
            slow_ns: None,
            slow_rate: 0.5,
            open_ns: 5_000_000_000,
            open_max_ns: 60_000_000_000,
            backoff: 2.0,
            jitter: 0.1,
            probes: 3,
            probes_at_once: 1,
            half_open_ns: 30_000_000_000,
        }
    }
}

impl BreakerSettings {
    /// Check every setting by itself and against the others.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense.
    #[allow(clippy::cast_precision_loss, reason = "for a message")]
    pub fn check(&self) -> Result<(), Invalid> {
        self.check_trip()?;
        require(self.open_ns > 0, "open_for", "be above 0", 0.0)?;
        require(
            self.open_max_ns >= self.open_ns,
            "open_max",
            "be at least open_for; seconds",
            self.open_max_ns as f64 / 1e9,
        )?;
        require(
            self.backoff >= 1.0 && self.backoff.is_finite(),
            "backoff",
            "be at least 1",
            self.backoff,
        )?;
        require(
            (0.0..=1.0).contains(&self.jitter),
            "jitter",
            "be from 0 to 1",
            self.jitter,
        )?;
        let probes = f64::from(self.probes);
        require(self.probes > 0, "probes", "be above 0", probes)?;
        require(
            (1..=self.probes).contains(&self.probes_at_once),
            "max_concurrent_probes",
            "be from 1 to probes",
            f64::from(self.probes_at_once),
        )?;
        require(self.half_open_ns > 0, "half_open_timeout", "be above 0", 0.0)
    }

    #[allow(clippy::cast_precision_loss, reason = "for a message")]
    fn check_trip(&self) -> Result<(), Invalid> {
        let calls_min = f64::from(self.calls_min);
        require(self.calls_min > 0, "min_calls", "be above 0", calls_min)?;
        match self.window {
            WindowKind::Calls(calls) => {
                require(
                    (1..=CALLS_MAX).contains(&calls),
                    "window",
                    "hold from 1 to 1000000 calls",
                    f64::from(calls),
                )?;
                require(
                    self.calls_min <= calls,
                    "min_calls",
                    "be at most the window",
                    calls_min,
                )?;
            }
            WindowKind::Span(span_ns) => require(
                span_ns >= 10,
                "window",
                "be at least 10 ns long; ns",
                span_ns as f64,
            )?,
        }
        if let Some(rate) = self.failure_rate {
            require(
                rate > 0.0 && rate <= 1.0,
                "failure_rate",
                "be above 0 and at most 1",
                rate,
            )?;
        }
        if let Some(consecutive) = self.consecutive {
            require(consecutive > 0, "consecutive", "be above 0", 0.0)?;
        }
        require(self.slow_ns != Some(0), "slow_call", "be above 0", 0.0)?;
        let slow = self.slow_rate;
        require(
            slow > 0.0 && slow <= 1.0,
            "slow_rate",
            "be above 0 and at most 1",
            slow,
        )?;
        let judged = self.failure_rate.is_some() || self.consecutive.is_some() || self.slow_ns.is_some();
        require(
            judged,
            "the breaker",
            "have failure_rate, consecutive or slow_call; rules",
            0.0,
        )
    }
}
