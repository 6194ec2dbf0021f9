//! Looking closely at one item in [`ONE_IN`]: how long it lay in the queue, and, for a task, which function ran how long.
//!
//! Every item has the same chance, so the sums over the samples, times [`ONE_IN`], estimate the sums over all.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use maypole_sys::monotonic_ns;

use crate::capi::{Obj, Owned};

/// One item in so many is looked at.
pub(crate) const ONE_IN: u32 = 64;

/// So many coroutine functions are told apart; those that come later are left out, so that the memory is bounded.
const FUNCTIONS_MAX: usize = 1024;

/// What the samples of one coroutine function add up to.
pub(crate) struct FunctionTotals {
    /// Its code object; held, so that the address stays its own.
    pub(crate) code: Owned,
    pub(crate) steps: u64,
    pub(crate) busy_ns: u64,
    pub(crate) queue_wait_ns: u64,
}

/// Which item is looked at next, and what was seen.
pub(crate) struct Sampling {
    /// So many items until [`Sampling::queued`] is to be called.
    countdown: Cell<u32>,
    /// So many until the next sample, while each is looked at.
    slow_countdown: Cell<u32>,
    each: Cell<bool>,
    /// The number of the item that is waited for; `u64::MAX` when none is.
    awaited: Cell<u64>,
    queued_ns: Cell<u64>,
    functions: RefCell<HashMap<usize, FunctionTotals>>,
}

impl Sampling {
    pub(crate) fn new() -> Sampling {
        Sampling {
            countdown: Cell::new(ONE_IN),
            slow_countdown: Cell::new(ONE_IN),
            each: Cell::new(false),
            awaited: Cell::new(u64::MAX),
            queued_ns: Cell::new(0),
            functions: RefCell::new(HashMap::new()),
        }
    }

    /// Has [`Sampling::counts_down`] say yes to every item, or to one in [`ONE_IN`].
    pub(crate) fn look_at_each(&self, each: bool) {
        if self.each.replace(each) != each {
            self.countdown.set(if each { 1 } else { ONE_IN });
        }
    }

    /// Counts an item that goes into the queue; whether [`super::Observer::queued`] wants to know of it.
    #[inline(always)]
    pub(crate) fn counts_down(&self) -> bool {
        let left = self.countdown.get() - 1;
        self.countdown.set(left);
        left == 0
    }

    /// Notes the number of an item that was just counted.
    pub(super) fn queued(&self, place: u64) {
        if self.each.get() {
            self.countdown.set(1);
            let left = self.slow_countdown.get().saturating_sub(1);
            self.slow_countdown.set(if left == 0 { ONE_IN } else { left });
            if left > 0 {
                return;
            }
        } else {
            self.countdown.set(ONE_IN);
        }
        if self.awaited.get() == u64::MAX {
            self.awaited.set(place);
            self.queued_ns.set(monotonic_ns());
        }
    }

    /// Whether the item with this number is the one that is looked at.
    #[inline(always)]
    pub(crate) fn awaits(&self, place: u64) -> bool {
        self.awaited.get() == place
    }

    /// How long the item that is looked at lay in the queue until `now_ns`; another one may be chosen from now on.
    pub(super) fn arrived(&self, now_ns: u64) -> u64 {
        self.awaited.set(u64::MAX);
        now_ns.saturating_sub(self.queued_ns.get())
    }

    /// The queue was emptied; nothing that was queued will arrive.
    pub(crate) fn forget(&self) {
        self.awaited.set(u64::MAX);
    }

    /// Adds a step of a coroutine function to its totals.
    pub(super) fn stepped(&self, code: &Obj, busy_ns: u64, queue_wait_ns: u64) {
        let mut functions = self.functions.borrow_mut();
        let full = functions.len() >= FUNCTIONS_MAX;
        let address = code.as_ptr() as usize;
        if full && !functions.contains_key(&address) {
            return;
        }
        let totals = functions.entry(address).or_insert_with(|| FunctionTotals {
            code: code.own(),
            steps: 0,
            busy_ns: 0,
            queue_wait_ns: 0,
        });
        totals.steps += 1;
        totals.busy_ns += busy_ns;
        totals.queue_wait_ns += queue_wait_ns;
    }

    /// Copies of the totals: code, steps, busy time, time in the queue.
    pub(super) fn functions(&self) -> Vec<(Owned, u64, u64, u64)> {
        self.functions
            .borrow()
            .values()
            .map(|totals| {
                (
                    totals.code.clone(),
                    totals.steps,
                    totals.busy_ns,
                    totals.queue_wait_ns,
                )
            })
            .collect()
    }

    pub(super) fn drain(&self) -> Vec<Owned> {
        let functions = std::mem::take(&mut *self.functions.borrow_mut());
        functions.into_values().map(|totals| totals.code).collect()
    }
}
