//! Task 3: `cargo run -p maypole --example task_wait_random`.
#![expect(clippy::print_stdout, reason = "an example prints")]
mod five_tasks;

fn main() -> Result<(), maypole::JoinError> {
    maypole::run(async {
        let task = five_tasks::task_wait_random(5.0);
        println!("{task:?}");
        println!("{}", task.await?);
        Ok(())
    })
}
