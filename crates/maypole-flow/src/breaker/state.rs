//! What a breaker says: its states, why they change, who may call.

use crate::line::Ticket;

/// The state of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Calls pass and are judged.
    Closed,
    /// No call passes until the open time is over.
    Open,
    /// Probes pass.
    HalfOpen,
    /// No call passes until somebody says so.
    ForcedOpen,
    /// Every call passes, none is judged.
    Disabled,
    /// Every call passes and is counted; the breaker never trips.
    MetricsOnly,
}

impl BreakerState {
    /// The name of the state: `closed`, `open`, `half_open`, `forced_open`, `disabled`, `metrics_only`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::Disabled => "disabled",
            Self::MetricsOnly => "metrics_only",
        }
    }
}

/// Why a breaker changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Too large a share of the calls failed.
    FailureRate,
    /// Too many failures in a row.
    Consecutive,
    /// Too large a share of the calls was slow.
    SlowRate,
    /// The open time was over when a call came.
    OpenTimeOver,
    /// The probes were answered.
    ProbesWork,
    /// The probes failed.
    ProbesFail,
    /// Half-open ended before the probes were answered.
    HalfOpenTimeOver,
    /// Another process found it.
    Elsewhere,
    /// Somebody said so.
    ByHand,
}

impl Reason {
    /// The reason in words, as an identifier.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FailureRate => "failure_rate",
            Self::Consecutive => "consecutive",
            Self::SlowRate => "slow_rate",
            Self::OpenTimeOver => "open_time_over",
            Self::ProbesWork => "probes_work",
            Self::ProbesFail => "probes_fail",
            Self::HalfOpenTimeOver => "half_open_time_over",
            Self::Elsewhere => "elsewhere",
            Self::ByHand => "by_hand",
        }
    }
}

/// One change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: BreakerState,
    /// The state after.
    pub to: BreakerState,
    /// Why.
    pub reason: Reason,
    /// When, on the caller's clock.
    pub at_ns: u64,
}

/// A call that was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    pub(super) generation: u64,
    pub(super) ticket: Ticket,
    pub(super) started_ns: u64,
}

/// A call that was not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The state that forbids it.
    pub state: BreakerState,
    /// When a call may pass again, in nanoseconds from now; `None` where only an answer or a hand can tell.
    pub retry_after_ns: Option<u64>,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Let through.
    pub admitted: u64,
    /// Not let through.
    pub rejected: u64,
    /// Ended well, and counted.
    pub succeeded: u64,
    /// Failed, and counted.
    pub failed: u64,
    /// Came back uncounted: cancelled, ignored.
    pub cancelled: u64,
    /// Ended after the state in which they began: dropped.
    pub late: u64,
}
