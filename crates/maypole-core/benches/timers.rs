//! The wheel beside std's binary heap with lazy cancels, the structure asyncio uses: nanoseconds for each operation.
//!
//! `cargo bench -p maypole-core --bench timers [-- N...]`
//!
//! Each figure is the smallest of five rounds. `insert` fills an empty structure; `fire` empties it in order;
//! `re-arm` cancels a random timer and inserts another; `hold` takes the first and inserts another.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a benchmark reads the clock, prints, and may fail loudly"
)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;
use std::time::Instant;

use maypole_core::{Key, Wheel};

const SPREAD_NS: u64 = 10_000_000_000;

trait Timers {
    type Name: Copy;
    fn new() -> Self;
    fn insert(&mut self, deadline_ns: u64) -> Self::Name;
    fn cancel(&mut self, name: Self::Name);
    fn pop(&mut self) -> Option<u64>;
}

impl Timers for Wheel<usize> {
    type Name = Key;
    fn new() -> Self {
        Self::new()
    }
    fn insert(&mut self, deadline_ns: u64) -> Key {
        self.insert(deadline_ns, 0)
    }
    fn cancel(&mut self, name: Key) {
        black_box(self.cancel(name));
    }
    fn pop(&mut self) -> Option<u64> {
        let wake_ns = self.next_wake_ns()?;
        match self.pop_due(wake_ns) {
            Some((deadline_ns, item)) => {
                black_box(item);
                Some(deadline_ns)
            }
            None => self.pop(), // woken early, where a timer was cancelled
        }
    }
}

/// A heap with cancelled entries left in it, rebuilt when they are half.
struct Heap {
    heap: BinaryHeap<Reverse<(u64, usize)>>,
    cancelled: Vec<bool>,
    dead: usize,
}

impl Timers for Heap {
    type Name = usize;
    fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            cancelled: Vec::new(),
            dead: 0,
        }
    }
    fn insert(&mut self, deadline_ns: u64) -> usize {
        let name = self.cancelled.len();
        self.cancelled.push(false);
        self.heap.push(Reverse((deadline_ns, name)));
        name
    }
    fn cancel(&mut self, name: usize) {
        self.cancelled[name] = true;
        self.dead += 1;
        if self.dead * 2 > self.heap.len() {
            self.heap.retain(|Reverse((_, name))| !self.cancelled[*name]);
            self.dead = 0;
        }
    }
    fn pop(&mut self) -> Option<u64> {
        loop {
            let Reverse((deadline_ns, name)) = self.heap.pop()?;
            if !self.cancelled[name] {
                return Some(deadline_ns);
            }
            self.dead -= 1;
        }
    }
}

/// Numbers that look random: the high bits of a multiplicative congruence (Knuth's MMIX).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((u128::from(self.0) * u128::from(bound)) >> 64) as u64
    }
}

fn timed(each: usize, work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_nanos() as f64 / each as f64
}

/// Insert, fire, re-arm, hold.
fn round<T: Timers>(n: usize) -> [f64; 4] {
    let mut numbers = Numbers(n as u64);
    let mut timers = T::new();
    let mut names = Vec::with_capacity(n);
    let insert = timed(n, || {
        names.extend((0..n).map(|_| timers.insert(numbers.below(SPREAD_NS))))
    });
    let rearm = timed(n, || {
        for _ in 0..n {
            let chosen = numbers.below(n as u64) as usize;
            timers.cancel(names[chosen]);
            names[chosen] = timers.insert(numbers.below(SPREAD_NS));
        }
    });
    let hold = timed(n, || {
        for _ in 0..n {
            let now_ns = timers.pop().unwrap();
            black_box(timers.insert(now_ns + numbers.below(SPREAD_NS)));
        }
    });
    let mut last_ns = 0;
    let fire = timed(n, || {
        for _ in 0..n {
            let deadline_ns = timers.pop().unwrap();
            assert!(deadline_ns >= last_ns, "timers fire in order");
            last_ns = deadline_ns;
        }
    });
    assert!(timers.pop().is_none());
    [insert, fire, rearm, hold]
}

fn best<T: Timers>(n: usize) -> [f64; 4] {
    let rounds = if n < 10_000 { 50 } else { 5 };
    (0..rounds)
        .map(|_| round::<T>(n))
        .fold([f64::INFINITY; 4], |best, round| {
            std::array::from_fn(|i| best[i].min(round[i]))
        })
}

fn main() {
    let wanted: Vec<usize> = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let sizes = if wanted.is_empty() {
        vec![1_000, 100_000, 1_000_000]
    } else {
        wanted
    };
    println!(
        "{:>10} {:>6} {:>9} {:>9} {:>9} {:>9}  ns/op",
        "n", "", "insert", "fire", "re-arm", "hold"
    );
    for n in sizes {
        for (name, [insert, fire, rearm, hold]) in
            [("heap", best::<Heap>(n)), ("wheel", best::<Wheel<usize>>(n))]
        {
            println!("{n:>10} {name:>6} {insert:>9.1} {fire:>9.1} {rearm:>9.1} {hold:>9.1}");
        }
    }
}
