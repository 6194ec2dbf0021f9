//! Memory of dead objects, by type: what the loop keeps for the next ones.

use crate::capi::pool::Pool;

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
            handles: Pool::new(),
            timer_handles: Pool::new(),
            futures: Pool::new(),
            tasks: Pool::new(),
        }
    }

    pub(super) fn close(&self) {
        for pool in [&self.handles, &self.timer_handles, &self.futures, &self.tasks] {
            pool.close();
        }
    }
}
