//! Task 0: `cargo run -p maypole --example wait_random`.
#![expect(clippy::print_stdout, reason = "an example prints")]
mod five_tasks;

fn main() {
    println!("{}", maypole::run(five_tasks::wait_random(10.0)));
    println!("{}", maypole::run(five_tasks::wait_random(5.0)));
    println!("{}", maypole::run(five_tasks::wait_random(15.0)));
}
