//! The groups of the document: columns of equal length, filled and read row by row.
//!
//! Invariant: the columns of a group have one length. They are private; rows go in whole, and a document that was read is
//! checked before anybody sees it.

use serde::{Deserialize, Serialize};

use super::{Index, NONE};
use crate::words::{Outcome, WaitKind, Waker};

/// A group that names its columns, for checks.
pub(super) trait Columns {
    /// The name in the document.
    const NAME: &'static str;

    /// Each column's name and length.
    fn columns(&self) -> Vec<(&'static str, usize)>;
}

macro_rules! group {
    ($(#[$doc:meta])* $group:ident, $text:literal, $row:ident { $($(#[$column_doc:meta])* $column:ident: $type:ty),+ $(,)? }) => {
        #[doc = concat!("The group `", $text, "`: rows of [`", stringify!($row), "`].")]
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct $group { $($column: Vec<$type>),+ }

        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $row { $($(#[$column_doc])* pub $column: $type),+ }

        impl $group {
            /// Adds a row at the end.
            pub fn push(&mut self, row: $row) {
                $(self.$column.push(row.$column);)+
            }

            /// How many rows there are.
            #[must_use]
            pub fn len(&self) -> usize {
                0 $(.max(self.$column.len()))+
            }

            /// Whether there is no row.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// One row, from 0.
            ///
            /// # Panics
            ///
            /// When there is no such row.
            #[must_use]
            pub fn row(&self, row: usize) -> $row {
                $row { $($column: self.$column[row].clone()),+ }
            }

            /// The rows in their order.
            pub fn rows(&self) -> impl DoubleEndedIterator<Item = $row> + ExactSizeIterator {
                (0..self.len()).map(|row| self.row(row))
            }
        }

        impl Columns for $group {
            const NAME: &'static str = $text;

            fn columns(&self) -> Vec<(&'static str, usize)> {
                vec![$((stringify!($column), self.$column.len())),+]
            }
        }
    };
}

group! {
    /// A place in the code.
    #[derive(Copy)]
    Sites, "sites", Site {
        /// A text.
        file: Index,
        /// From 1; 0 when it is not known.
        line: u32,
        /// A text: the qualified name.
        function: Index,
    }
}

group! {
    /// A task that lived in the recording.
    #[derive(Copy)]
    Tasks, "tasks", Task {
        /// From 1, never used twice.
        id: u32,
        /// A text; `""` when the creation is not in the recording.
        name: Index,
        /// The site of its coroutine function.
        function: Index,
        /// The task that made it, or 0.
        parent: u32,
        /// The site that made it.
        created_at: Index,
        /// When.
        created_ns: u64,
        /// When it was done; -1 while it lives.
        ended_ns: i64,
        /// How.
        outcome: Outcome,
        /// A text: type and message of its exception.
        error: Index,
    }
}

group! {
    /// A coroutine ran.
    #[derive(Copy)]
    Steps, "steps", Step {
        /// Whose.
        task: u32,
        /// Since when it could have run.
        ready_ns: u64,
        /// When it began.
        begin_ns: u64,
        /// When it ended.
        end_ns: u64,
        /// Who made it ready.
        waker: Waker,
        /// The task that did, or 0.
        waker_task: u32,
    }
}

group! {
    /// What a step ended with.
    #[derive(Copy)]
    Waits, "waits", Wait {
        /// Who waits.
        task: u32,
        /// Since when.
        begin_ns: u64,
        /// For what.
        kind: WaitKind,
        /// The line of the program that waits.
        site: Index,
        /// The task waited for, or 0.
        on_task: u32,
        /// A text: the call that waits, for a queue `put` or `get`.
        operation: Index,
    }
}

group! {
    /// A handle, or a transport's event, ran.
    #[derive(Copy)]
    Callbacks, "callbacks", Callback {
        /// Since when it could have run.
        ready_ns: u64,
        /// When it began.
        begin_ns: u64,
        /// When it ended.
        end_ns: u64,
        /// A text.
        name: Index,
        /// Who made it ready.
        waker: Waker,
        /// The task that did, or 0.
        waker_task: u32,
    }
}

group! {
    /// A batch.
    #[derive(Copy)]
    Turns, "turns", Turn {
        /// When it began.
        begin_ns: u64,
        /// When it ended.
        end_ns: u64,
        /// Items queued when it began.
        ready: u32,
    }
}

group! {
    /// The poller was asked.
    #[derive(Copy)]
    Polls, "polls", Poll {
        /// When.
        begin_ns: u64,
        /// When it answered.
        end_ns: u64,
        /// Descriptors it told of.
        events: u32,
        /// 1 when it was allowed to wait.
        blocking: u8,
    }
}

group! {
    /// A timer was set, or fired.
    #[derive(Copy)]
    Timers, "timers", Timer {
        /// When.
        at_ns: u64,
        /// When it is due.
        due_ns: u64,
        /// 0: set; 1: fired.
        fired: u8,
        /// The task that it wakes, or 0.
        task: u32,
    }
}

group! {
    /// A descriptor was reported ready.
    #[derive(Copy)]
    Io, "io", Readiness {
        /// When.
        at_ns: u64,
        /// Which.
        fd: i32,
        /// 1 when it can be read.
        readable: u8,
        /// 1 when it can be written.
        writable: u8,
    }
}

group! {
    /// A job of a thread.
    #[derive(Copy)]
    Executor, "executor", Job {
        /// Who handed it in, or 0.
        task: u32,
        /// When.
        submitted_ns: u64,
        /// When a thread began it.
        begin_ns: u64,
        /// When it was done.
        end_ns: u64,
        /// A text.
        name: Index,
    }
}

group! {
    /// A pause of the garbage collector.
    #[derive(Copy)]
    Gc, "gc", Pause {
        /// When it began.
        begin_ns: u64,
        /// When it ended.
        end_ns: u64,
        /// Of which generation.
        generation: u8,
    }
}

group! {
    /// Somebody asked for a task's cancellation.
    #[derive(Copy)]
    Cancels, "cancels", Cancel {
        /// When.
        at_ns: u64,
        /// Whose.
        task: u32,
        /// The task that asked, or 0.
        by_task: u32,
    }
}

group! {
    /// The loop was held.
    Stalls, "stalls", Stall {
        /// When it began.
        begin_ns: u64,
        /// When it ended.
        end_ns: u64,
        /// The task that ran, or 0.
        task: u32,
        /// `step`, `callback` or `turn`.
        kind: String,
        /// Sites, innermost first.
        stack: Vec<Index>,
    }
}

group! {
    /// Something that the program, or a library, wrote down itself.
    #[derive(Copy)]
    Marks, "marks", Mark {
        /// When.
        at_ns: u64,
        /// The task that ran, or 0.
        task: u32,
        /// A text.
        text: Index,
        /// A text: who says so.
        source: Index,
    }
}

impl Task {
    /// A task of which nothing is known yet but its id.
    #[must_use]
    pub const fn unknown(id: u32) -> Self {
        Self {
            id,
            name: NONE,
            function: NONE,
            parent: 0,
            created_at: NONE,
            created_ns: 0,
            ended_ns: -1,
            outcome: Outcome::Pending,
            error: NONE,
        }
    }
}

impl Waits {
    /// Makes up for what writers before `operation` did not write.
    pub(super) fn complete(&mut self) {
        if self.operation.is_empty() {
            self.operation = vec![NONE; self.len()];
        }
    }
}
