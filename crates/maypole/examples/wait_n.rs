//! Task 1: `cargo run --release -p maypole --example wait_n -- [N] [MAX_DELAY]`.
mod five_tasks;

fn main() -> Result<(), String> {
    let (n, max_delay) = five_tasks::arguments(5, 5.0)?;
    five_tasks::print_delays(&maypole::run(five_tasks::wait_n(n, max_delay)));
    Ok(())
}
