//! maypole next to tokio's current-thread runtime: `cargo bench -p maypole --bench against_tokio`.
//!
//! The two take turns, round by round, so that a change of the machine's speed hits both. Shown is the median of the
//! rounds in nanoseconds per operation, and the spread from the best to the worst round. The waits of `wait_n` overlap:
//! 500 ns of each operation there are the 50 ms themselves.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot run has no figures")]
use std::hint::black_box;
use std::time::{Duration, Instant};

const ROUNDS: usize = 7;
const TASKS: usize = 10_000;
const YIELDS: usize = 200_000;
const SLEEPERS: usize = 100_000;
const ECHOES: usize = 10_000;
const MESSAGE: usize = 1024;

/// One scenario on both runtimes, and how many operations one round is.
struct Scenario {
    name: &'static str,
    operations: usize,
    maypole: fn(),
    tokio: fn(&tokio::runtime::Runtime),
}

const SCENARIOS: [Scenario; 5] = [
    Scenario {
        name: "spawn and join 10,000",
        operations: TASKS,
        maypole: maypole_spawn,
        tokio: tokio_spawn,
    },
    Scenario {
        name: "yield_now, one task",
        operations: YIELDS,
        maypole: maypole_yield,
        tokio: tokio_yield,
    },
    Scenario {
        name: "yield_now, 1,000 tasks",
        operations: YIELDS,
        maypole: maypole_yields,
        tokio: tokio_yields,
    },
    Scenario {
        name: "wait_n(100,000), 50 ms",
        operations: SLEEPERS,
        maypole: maypole_wait,
        tokio: tokio_wait,
    },
    Scenario {
        name: "TCP echo, 1 KiB",
        operations: ECHOES,
        maypole: maypole_echo,
        tokio: tokio_echo,
    },
];

fn main() {
    println!(
        "{:<24}{:>26}{:>26}{:>8}",
        "ns per operation", "maypole", "tokio", "ratio"
    );
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("tokio starts");
    for scenario in &SCENARIOS {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(measured(scenario.operations, scenario.maypole));
            theirs.push(measured(scenario.operations, || (scenario.tokio)(&tokio)));
        }
        let (ours, theirs) = (Spread::of(ours), Spread::of(theirs));
        println!(
            "{:<24}{:>26}{:>26}{:>8.2}",
            scenario.name,
            ours.text(),
            theirs.text(),
            theirs.median / ours.median
        );
    }
}

fn measured(operations: usize, round: impl FnOnce()) -> f64 {
    let began = Instant::now();
    round();
    began.elapsed().as_nanos() as f64 / operations as f64
}

struct Spread {
    best: f64,
    median: f64,
    worst: f64,
}

impl Spread {
    fn of(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        Self {
            best: rounds[0],
            median: rounds[rounds.len() / 2],
            worst: rounds[rounds.len() - 1],
        }
    }

    fn text(&self) -> String {
        format!("{:.0} ({:.0}–{:.0})", self.median, self.best, self.worst)
    }
}

fn maypole_spawn() {
    maypole::run(async {
        let handles: Vec<_> = (0..TASKS)
            .map(|number| maypole::spawn(async move { number }))
            .collect();
        for handle in handles {
            black_box(handle.await.expect("no panic"));
        }
    });
}

fn tokio_spawn(runtime: &tokio::runtime::Runtime) {
    tokio::task::LocalSet::new().block_on(runtime, async {
        let handles: Vec<_> = (0..TASKS)
            .map(|number| tokio::task::spawn_local(async move { number }))
            .collect();
        for handle in handles {
            black_box(handle.await.expect("no panic"));
        }
    });
}

fn maypole_yield() {
    maypole::run(async {
        for _ in 0..YIELDS {
            maypole::yield_now().await;
        }
    });
}

fn tokio_yield(runtime: &tokio::runtime::Runtime) {
    runtime.block_on(async {
        for _ in 0..YIELDS {
            tokio::task::yield_now().await;
        }
    });
}

fn maypole_yields() {
    maypole::run(async {
        let tasks = (0..1_000).map(|_| {
            maypole::spawn(async {
                for _ in 0..YIELDS / 1_000 {
                    maypole::yield_now().await;
                }
            })
        });
        for handle in tasks.collect::<Vec<_>>() {
            handle.await.expect("no panic");
        }
    });
}

fn tokio_yields(runtime: &tokio::runtime::Runtime) {
    runtime.block_on(async {
        let tasks = (0..1_000).map(|_| {
            tokio::spawn(async {
                for _ in 0..YIELDS / 1_000 {
                    tokio::task::yield_now().await;
                }
            })
        });
        for handle in tasks.collect::<Vec<_>>() {
            handle.await.expect("no panic");
        }
    });
}

/// Sleeps of up to 50 ms, evenly spread and begun out of order.
fn delay(number: usize) -> Duration {
    Duration::from_nanos((number as u64 * 7_919 % SLEEPERS as u64) * 500)
}

fn maypole_wait() {
    maypole::run(async {
        let handles: Vec<_> = (0..SLEEPERS)
            .map(|number| maypole::spawn(async move { maypole::sleep(delay(number)).await }))
            .collect();
        for handle in handles {
            handle.await.expect("no panic");
        }
    });
}

fn tokio_wait(runtime: &tokio::runtime::Runtime) {
    runtime.block_on(async {
        let handles: Vec<_> = (0..SLEEPERS)
            .map(|number| tokio::spawn(async move { tokio::time::sleep(delay(number)).await }))
            .collect();
        for handle in handles {
            handle.await.expect("no panic");
        }
    });
}

fn maypole_echo() {
    let echoed: std::io::Result<()> = maypole::run(async {
        let listener = maypole::TcpListener::bind(([127, 0, 0, 1], 0))?;
        let client = maypole::TcpStream::connect(listener.local_addr()?).await?;
        let (server, _) = listener.accept().await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let echo = maypole::spawn(async move {
            let mut buffer = vec![0; 4 * MESSAGE];
            loop {
                match server.read(&mut buffer).await? {
                    0 => return std::io::Result::Ok(()),
                    count => server.write_all(&buffer[..count]).await?,
                }
            }
        });
        let mut answer = [0; MESSAGE];
        for _ in 0..ECHOES {
            client.write_all(&[7; MESSAGE]).await?;
            client.read_exact(&mut answer).await?;
        }
        drop(client);
        echo.await.expect("no panic")
    });
    echoed.expect("loopback works");
}

fn tokio_echo(runtime: &tokio::runtime::Runtime) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let echoed: std::io::Result<()> = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let mut client = tokio::net::TcpStream::connect(listener.local_addr()?).await?;
        let (mut server, _) = listener.accept().await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let echo = tokio::spawn(async move {
            let mut buffer = vec![0; 4 * MESSAGE];
            loop {
                match server.read(&mut buffer).await? {
                    0 => return std::io::Result::Ok(()),
                    count => server.write_all(&buffer[..count]).await?,
                }
            }
        });
        let mut answer = [0; MESSAGE];
        for _ in 0..ECHOES {
            client.write_all(&[7; MESSAGE]).await?;
            client.read_exact(&mut answer).await?;
        }
        drop(client);
        echo.await.expect("no panic")
    });
    echoed.expect("loopback works");
}
