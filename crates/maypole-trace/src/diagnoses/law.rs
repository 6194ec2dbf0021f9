//! Little's law: how many are there, L, is how many come, λ, times how long each stays, W.
//!
//! Owns [`Law`]. Over the window of a recording, L is a mean over time, λ and W are counts and means of what came and went,
//! so the two sides meet only as well as the window tells: tasks that its edges cut, and how much the stays differ.
//!
//! Source: J. D. C. Little, "A Proof for the Queuing Formula: L = λW", Operations Research 9 (3), 1961.

use std::collections::BTreeMap;

use serde::Serialize;

use super::people::{People, Place};
use crate::document::group::Task;
use crate::document::{Document, Index};

/// One system: the tasks of a coroutine function.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Law {
    /// Which function; none for all whose function is not known.
    pub function: Option<Place>,
    /// L: how many tasks lived, the mean over the window's time.
    pub present: f64,
    /// λ: how many began, in a second.
    pub arrivals_per_s: f64,
    /// W: how long they lived, the mean of those that began and ended in the window; none without one.
    pub residence_s: Option<f64>,
    /// λW; none without W.
    pub expected: Option<f64>,
    /// How many began in the window.
    pub arrivals: u64,
    /// How many of these ended in it.
    pub completed: u64,
    /// How far L and λW can lie apart because of the tasks that an edge of the window cuts. They never lie further apart.
    pub edge_error: Option<f64>,
    /// The standard error of λW as a measure of the process behind the window: arrivals as of a Poisson process, stays by
    /// their variance. None below two stays.
    pub standard_error: Option<f64>,
}

/// What the window saw of the tasks of a function, in seconds.
#[derive(Default)]
struct Seen {
    /// Time in the window, of all tasks.
    present_s: f64,
    /// The same, of tasks that an edge cuts.
    cut_s: f64,
    /// Tasks that began in the window and did not end.
    unfinished: u64,
    stays_s: Vec<f64>,
}

/// The law for each coroutine function, the one with most tasks present first.
pub(super) fn laws(document: &Document, people: &People<'_>, from_ns: u64) -> Vec<Law> {
    let window = Window {
        from_ns,
        to_ns: document.duration_ns,
    };
    let mut seen: BTreeMap<Index, Seen> = BTreeMap::new();
    for task in document.tasks.rows() {
        window.count(&task, seen.entry(task.function).or_default());
    }
    let law = |(function, seen): (Index, Seen)| window.law(people.place(function), &seen);
    let mut laws: Vec<_> = seen.into_iter().map(law).collect();
    laws.sort_by(|one, other| other.present.total_cmp(&one.present));
    laws
}

struct Window {
    from_ns: u64,
    to_ns: u64,
}

impl Window {
    fn count(&self, task: &Task, seen: &mut Seen) {
        let ended_ns = u64::try_from(task.ended_ns).ok();
        let begin_ns = task.created_ns.max(self.from_ns);
        let end_ns = ended_ns.unwrap_or(self.to_ns).min(self.to_ns);
        let present_s = seconds(end_ns.saturating_sub(begin_ns));
        seen.present_s += present_s;
        // A task at the very first moment was there before, as far as anybody knows.
        match (task.created_ns > self.from_ns, ended_ns) {
            (true, Some(_)) => seen.stays_s.push(present_s),
            (true, None) => {
                seen.cut_s += present_s;
                seen.unfinished += 1;
            }
            (false, _) => seen.cut_s += present_s,
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "counts of tasks")]
    fn law(&self, function: Option<Place>, seen: &Seen) -> Law {
        let window_s = seconds(self.to_ns.saturating_sub(self.from_ns)).max(f64::MIN_POSITIVE);
        let completed = seen.stays_s.len();
        let arrivals = completed as u64 + seen.unfinished;
        let arrivals_per_s = arrivals as f64 / window_s;
        let stayed = completed as f64;
        let residence_s = (completed > 0).then(|| seen.stays_s.iter().sum::<f64>() / stayed);
        // L·T is what the completed stayed, plus what was cut; λW·T is that of the completed, plus W for each unfinished.
        let edge_error = residence_s.map(|mean_s| (seen.cut_s + seen.unfinished as f64 * mean_s) / window_s);
        let standard_error = residence_s.filter(|_| completed > 1).map(|mean_s| {
            let squares = seen
                .stays_s
                .iter()
                .map(|stay_s| (stay_s - mean_s).powi(2))
                .sum::<f64>();
            let variance = squares / (stayed - 1.0);
            let of_arrivals = mean_s * (arrivals as f64).sqrt() / window_s;
            let of_stays = arrivals_per_s * (variance / stayed).sqrt();
            of_arrivals.hypot(of_stays)
        });
        Law {
            function,
            present: seen.present_s / window_s,
            arrivals_per_s,
            residence_s,
            expected: residence_s.map(|mean_s| arrivals_per_s * mean_s),
            arrivals,
            completed: completed as u64,
            edge_error,
            standard_error,
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "exact up to 2^53 ns, 104 days")]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
