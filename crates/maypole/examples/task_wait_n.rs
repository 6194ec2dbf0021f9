//! Task 4: `cargo run --release -p maypole --example task_wait_n -- [N] [MAX_DELAY]`.
mod five_tasks;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (n, max_delay) = five_tasks::arguments(5, 6.0)?;
    five_tasks::print_delays(&maypole::run(five_tasks::task_wait_n(n, max_delay))?);
    Ok(())
}
