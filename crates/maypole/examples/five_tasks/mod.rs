//! The five tasks of `0x01-python_async_function`, in Rust; every example next to this folder runs one of them.
#![allow(dead_code, reason = "each example uses its own part")]
#![allow(clippy::print_stdout, reason = "an example prints")]
use std::time::Duration;

use maypole::{Instant, JoinError, JoinHandle};

/// Task 0: sleeps a random time of up to `max_delay` seconds, and returns it.
pub(crate) async fn wait_random(max_delay: f64) -> f64 {
    wait_random_since(Instant::now(), max_delay).await
}

/// Task 1: starts `n` of them at once and returns the delays as they end, which is ascending without a sort.
pub(crate) async fn wait_n(n: usize, max_delay: f64) -> Vec<f64> {
    let started = Instant::now();
    let mut waits = maypole::as_completed((0..n).map(|_| wait_random_since(started, max_delay)));
    let mut delays = Vec::with_capacity(n);
    while let Some(delay) = waits.next().await {
        delays.push(delay);
    }
    delays
}

/// Task 2: the time of `wait_n` per wait, in seconds; there is no such time for no wait (NaN).
pub(crate) fn measure_time(n: usize, max_delay: f64) -> f64 {
    let started = std::time::Instant::now();
    maypole::run(wait_n(n, max_delay));
    let elapsed = started.elapsed().as_secs_f64();
    if n == 0 { f64::NAN } else { elapsed / n as f64 }
}

/// Task 3: a task that runs `wait_random`; it starts by itself.
pub(crate) fn task_wait_random(max_delay: f64) -> JoinHandle<f64> {
    task_wait_random_since(Instant::now(), max_delay)
}

/// Task 4: `wait_n`, built from tasks.
pub(crate) async fn task_wait_n(n: usize, max_delay: f64) -> Result<Vec<f64>, JoinError> {
    let started = Instant::now();
    let mut tasks = maypole::as_completed((0..n).map(|_| task_wait_random_since(started, max_delay)));
    let mut delays = Vec::with_capacity(n);
    while let Some(outcome) = tasks.next().await {
        delays.push(outcome?);
    }
    Ok(delays)
}

/// One starting point for all: a hundred thousand waits take some milliseconds to begin, and "at once" means that this
/// does not change their order.
async fn wait_random_since(started: Instant, max_delay: f64) -> f64 {
    let delay = Duration::from_secs_f64(fastrand::f64() * max_delay);
    maypole::sleep_until(started + delay).await;
    delay.as_secs_f64()
}

fn task_wait_random_since(started: Instant, max_delay: f64) -> JoinHandle<f64> {
    maypole::spawn(wait_random_since(started, max_delay))
}

/// The numbers of the command line: `[N] [MAX_DELAY]`.
pub(crate) fn arguments(n: usize, max_delay: f64) -> Result<(usize, f64), String> {
    let mut arguments = std::env::args().skip(1);
    let n = arguments.next().map_or(Ok(n), |text| {
        text.parse()
            .map_err(|_| format!("N must be a whole number, not {text:?}"))
    })?;
    let max_delay = arguments
        .next()
        .map_or(Ok(max_delay), |text| match text.parse() {
            Ok(seconds) if (0.0..=1e9).contains(&seconds) => Ok(seconds),
            _ => Err(format!(
                "MAX_DELAY must be seconds from 0 to a thousand million, not {text:?}"
            )),
        })?;
    Ok((n, max_delay))
}

/// Prints a short list whole, a long one by its ends.
pub(crate) fn print_delays(delays: &[f64]) {
    match delays {
        [first, .., last] if delays.len() > 20 => {
            let order = if delays.is_sorted() {
                "ascending"
            } else {
                "NOT ascending"
            };
            println!("{} delays, {order}: {first:.6} … {last:.6}", delays.len());
        }
        _ => println!("{delays:?}"),
    }
}
