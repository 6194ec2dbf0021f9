//! One event of the Trace Event Format, which `chrome://tracing` and Perfetto read.
//!
//! Source: Trace Event Format, <https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>.

use serde::Serialize;
use serde_json::{Map, Value};

/// An event. What a phase does not have is left out.
#[derive(Debug, Serialize)]
pub(super) struct TraceEvent {
    pub(super) ph: &'static str,
    pub(super) name: String,
    pub(super) pid: u64,
    pub(super) tid: u64,
    /// Microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ts: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dur: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cat: Option<&'static str>,
    /// The colour, of the names that both readers know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cname: Option<&'static str>,
    /// What belongs together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<u64>,
    /// Of a flow's end: it points at the slice around it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bp: Option<&'static str>,
    /// Of an instant: how wide it is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) s: Option<&'static str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(super) args: Map<String, Value>,
}

impl TraceEvent {
    pub(super) fn new(ph: &'static str, name: impl Into<String>, pid: u64, tid: u64) -> Self {
        Self {
            ph,
            name: name.into(),
            pid,
            tid,
            ts: None,
            dur: None,
            cat: None,
            cname: None,
            id: None,
            bp: None,
            s: None,
            args: Map::new(),
        }
    }

    pub(super) fn at(self, ns: u64) -> Self {
        Self {
            ts: Some(microseconds(ns)),
            ..self
        }
    }

    pub(super) fn lasting(self, ns: u64) -> Self {
        Self {
            dur: Some(microseconds(ns)),
            ..self
        }
    }

    pub(super) fn of(self, category: &'static str) -> Self {
        Self {
            cat: Some(category),
            ..self
        }
    }

    pub(super) fn coloured(self, colour: &'static str) -> Self {
        Self {
            cname: Some(colour),
            ..self
        }
    }

    pub(super) fn joined(self, id: u64) -> Self {
        Self { id: Some(id), ..self }
    }

    pub(super) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.args.insert(key.into(), value.into());
        self
    }
}

/// Three decimals are nanoseconds: readers round to them, so a slice ends exactly where the next begins.
#[allow(clippy::cast_precision_loss, reason = "exact up to 2^53 ns, 104 days")]
fn microseconds(ns: u64) -> f64 {
    ns as f64 / 1000.0
}
