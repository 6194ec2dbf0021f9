//! What changes while tasks wait: pauses, other rates, and who cannot be let through in time any more.

use super::Limiter;
use crate::invalid::{Invalid, require};
use crate::line::Ticket;
use crate::rate::rule::Rule;

impl<P> Limiter<P> {
    /// Grant nothing for `pause_ns` from now; a longer pause that holds already stays.
    pub fn pause(&mut self, reading_ns: u64, pause_ns: u64) {
        let now_ns = self.observe(reading_ns);
        self.paused_until_ns = self.paused_until_ns.max(now_ns.saturating_add(pause_ns));
    }

    /// Go on at another rate; a limiter of one bucket only.
    ///
    /// # Errors
    ///
    /// As [`Gcra::new`](super::super::gcra::Gcra::new); nothing has changed then. A limiter with another rule, or with more
    /// than one.
    pub fn retune(&mut self, reading_ns: u64, rate: f64, burst: Option<f64>) -> Result<(), Invalid> {
        let now_ns = self.observe(reading_ns);
        let rules = self.rules.len();
        let [Rule::Bucket(bucket)] = self.rules.as_mut_slice() else {
            #[allow(clippy::cast_precision_loss, reason = "a number of rules")]
            return require(false, "the limiter", "have one rate to set; rules", rules as f64);
        };
        bucket.retune(now_ns, rate, burst.unwrap_or(bucket.burst()))
    }

    /// Go on with another window; a limiter of one window only.
    ///
    /// # Errors
    ///
    /// As [`SlidingLog::new`](super::super::sliding_log::SlidingLog::new); nothing has changed then. A limiter with another
    /// rule, or with more than one.
    pub fn retune_window(&mut self, limit: f64, window: f64) -> Result<(), Invalid> {
        let rules = self.rules.len();
        let [Rule::Window(log)] = self.rules.as_mut_slice() else {
            #[allow(clippy::cast_precision_loss, reason = "a number of rules")]
            return require(
                false,
                "the limiter",
                "have one window to set; rules",
                rules as f64,
            );
        };
        log.retune(limit, window)
    }

    /// Take those out of the line who cannot be granted in time any more, each with its delay from now.
    ///
    /// To be asked after [`Limiter::pause`] and after a change of the rules.
    pub fn refuse_hopeless(&mut self, reading_ns: u64, refused: &mut Vec<(P, u64)>) {
        let now_ns = self.observe(reading_ns);
        let most = self.most();
        let mut kept = 0.0;
        let mut weights: Vec<f64> = Vec::with_capacity(self.line.len());
        let mut hopeless: Vec<(Ticket, u64)> = Vec::new();
        for (ticket, waiting) in self.line.iter() {
            let due_ns = || self.due_behind(now_ns, weights.iter().copied(), kept, waiting.n);
            let late = waiting.latest_ns.is_some_and(|latest_ns| due_ns() > latest_ns);
            if late || waiting.n > most {
                hopeless.push((ticket, due_ns() - now_ns));
            } else {
                kept += waiting.n;
                weights.push(waiting.n);
            }
        }
        for (ticket, delay_ns) in hopeless {
            if let Some(left) = self.line.leave(ticket) {
                self.left_line(left.n);
                self.tally.rejected += 1;
                refused.push((left.who, delay_ns));
            }
        }
    }
}
