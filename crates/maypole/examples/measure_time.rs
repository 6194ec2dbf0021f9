//! Task 2: `cargo run --release -p maypole --example measure_time -- [N] [MAX_DELAY]`.
#![expect(clippy::print_stdout, reason = "an example prints")]
mod five_tasks;

fn main() -> Result<(), String> {
    let (n, max_delay) = five_tasks::arguments(5, 9.0)?;
    println!("{}", five_tasks::measure_time(n, max_delay));
    Ok(())
}
