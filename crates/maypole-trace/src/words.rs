//! The closed sets of words that an event is told in: its kind, who woke, what was waited for, how it ended.
//!
//! Each has the text of the trace format (`name`), and a number that fits into an event (`as u8` and `from_u8`).

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $word:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum $name { $($(#[$word_doc])* $word),+ }

        impl $name {
            /// Every word of the set, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$word),+];

            /// The word as the trace format writes it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$word => $text),+ }
            }

            /// The word of a number, if the set has that many.
            #[must_use]
            pub const fn from_u8(number: u8) -> Option<Self> {
                if (number as usize) < Self::ALL.len() { Some(Self::ALL[number as usize]) } else { None }
            }

            /// The word that the trace format writes so, if it is one.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|word| word.name() == name)
            }
        }
    };
}

words! {
    /// What an event tells.
    ///
    /// ```
    /// use maypole_trace::Kind;
    ///
    /// assert_eq!(Kind::from_u8(Kind::Gc as u8), Some(Kind::Gc));
    /// ```
    Kind {
        /// A task was made.
        TaskCreated = "task_created",
        /// A coroutine ran, from its resumption to its next await that waits, or its end.
        Step = "step",
        /// What the step before ended with.
        Wait = "wait",
        /// A task is done.
        TaskEnded = "task_ended",
        /// Somebody asked for a task's cancellation.
        Cancel = "cancel",
        /// A handle, or a transport's event, ran.
        Callback = "callback",
        /// A batch ran.
        Turn = "turn",
        /// The poller was asked.
        Poll = "poll",
        /// A timer was set.
        TimerSet = "timer_set",
        /// A timer fired.
        TimerFired = "timer_fired",
        /// A descriptor was reported ready.
        Io = "io",
        /// A job in a thread is done.
        Executor = "executor",
        /// The garbage collector paused the program.
        Gc = "gc",
        /// The loop was held.
        Stall = "stall",
        /// Something the program, or a library, wrote down itself.
        Mark = "mark",
    }
}

words! {
    /// Who made a task, or a callback, ready.
    ///
    /// ```
    /// use maypole_trace::Waker;
    ///
    /// assert_eq!(Waker::default().name(), "unknown");
    /// ```
    Waker {
        /// Nobody: it begins.
        Start = "start",
        /// A task that ran.
        Task = "task",
        /// A timer that fired.
        Timer = "timer",
        /// A descriptor that became ready.
        Io = "io",
        /// Another thread.
        Thread = "thread",
        /// A callback that ran in the loop.
        Callback = "callback",
        /// Not known.
        Unknown = "unknown",
    }
}

words! {
    /// What a task waits for.
    ///
    /// ```
    /// use maypole_trace::WaitKind;
    ///
    /// assert_eq!(WaitKind::from_name("turn"), Some(WaitKind::Turn));
    /// assert_eq!(WaitKind::from_name("lunch"), None);
    /// ```
    WaitKind {
        /// A moment.
        Sleep = "sleep",
        /// A descriptor.
        Io = "io",
        /// A lock.
        Lock = "lock",
        /// Room in a queue, or something in it.
        Queue = "queue",
        /// An event, or a condition.
        Event = "event",
        /// A semaphore.
        Semaphore = "semaphore",
        /// Another task.
        Task = "task",
        /// Several at once.
        Gather = "gather",
        /// A future of the program's own.
        Future = "future",
        /// A job in a thread.
        Executor = "executor",
        /// The next turn: `sleep(0)`.
        Turn = "turn",
        /// Not known.
        Unknown = "unknown",
    }
}

words! {
    /// How a task ended.
    ///
    /// ```
    /// assert_eq!(maypole_trace::Ended::Raised.name(), "raised");
    /// ```
    Ended {
        /// With a value.
        Returned = "returned",
        /// With an exception.
        Raised = "raised",
        /// By cancellation.
        Cancelled = "cancelled",
    }
}

#[allow(
    clippy::derivable_impls,
    reason = "the macro cannot mark one word as the default"
)]
impl Default for Waker {
    fn default() -> Self {
        Self::Unknown
    }
}

#[allow(
    clippy::derivable_impls,
    reason = "the macro cannot mark one word as the default"
)]
impl Default for WaitKind {
    fn default() -> Self {
        Self::Unknown
    }
}
