//! Memory of dead objects, by type: what the loop keeps for the next ones.

use crate::capi::pool::Pool;

/// How many dead tasks a loop keeps, some 2 MiB at most.
const TASKS_MAX: usize = 8192;
/// How many dead objects of another type it keeps: enough for the turns of a busy loop, at most some 170 KiB of each.
const OTHERS_MAX: usize = 1024;

/// Memory of dead objects, by type.
pub(crate) struct Pools {
    pub(crate) handles: Pool,
    pub(crate) timer_handles: Pool,
    pub(crate) futures: Pool,
    pub(crate) tasks: Pool,
}

impl Pools {
    pub(super) fn new() -> Pools {
        Pools {
            handles: Pool::new(OTHERS_MAX),
            timer_handles: Pool::new(OTHERS_MAX),
            futures: Pool::new(OTHERS_MAX),
            tasks: Pool::new(TASKS_MAX),
        }
    }

    pub(super) fn close(&self) {
        for pool in [&self.handles, &self.timer_handles, &self.futures, &self.tasks] {
            pool.close();
        }
    }
}
