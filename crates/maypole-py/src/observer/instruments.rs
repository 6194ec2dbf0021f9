//! Public hooks: what somebody else wants to know of tasks, steps and waits while they happen.
//!
//! A hook that nobody set costs nothing; a hook that raises is reported once and removed.
//! Source: the hooks of <https://trio.readthedocs.io/en/stable/reference-lowlevel.html#instrument-api>

use std::cell::Cell;
use std::ffi::c_int;

use super::{HOOKS, Observer};
use crate::asyncio;
use crate::capi::class::Visitor;
use crate::capi::error::{current_ends_program, take, unraisable, value_error};
use crate::capi::{Field, Obj, Owned, Raised, Result, call};

/// A moment at which a hook is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hook {
    BeforeRun,
    AfterRun,
    TaskSpawned,
    TaskScheduled,
    BeforeTaskStep,
    AfterTaskStep,
    TaskExited,
    BeforeIoWait,
    AfterIoWait,
}

const HOOKS_BY_NAME: [(&str, Hook); 9] = [
    ("before_run", Hook::BeforeRun),
    ("after_run", Hook::AfterRun),
    ("task_spawned", Hook::TaskSpawned),
    ("task_scheduled", Hook::TaskScheduled),
    ("before_task_step", Hook::BeforeTaskStep),
    ("after_task_step", Hook::AfterTaskStep),
    ("task_exited", Hook::TaskExited),
    ("before_io_wait", Hook::BeforeIoWait),
    ("after_io_wait", Hook::AfterIoWait),
];

/// Hooks about tasks: with one of them, the loop looks at single items.
const ABOUT_TASKS: [Hook; 5] = [
    Hook::TaskSpawned,
    Hook::TaskScheduled,
    Hook::BeforeTaskStep,
    Hook::AfterTaskStep,
    Hook::TaskExited,
];

/// The hooks of one loop.
pub(crate) struct Instruments {
    hooks: [Field; 9],
    about_waits: Cell<bool>,
}

impl Instruments {
    pub(super) fn new() -> Instruments {
        Instruments {
            hooks: std::array::from_fn(|_| Field::empty()),
            about_waits: Cell::new(false),
        }
    }

    fn field(&self, hook: Hook) -> &Field {
        &self.hooks[hook as usize]
    }

    pub(crate) fn has(&self, hook: Hook) -> bool {
        !self.field(hook).is_empty()
    }

    /// Whether somebody wants to know of the waits for descriptors.
    #[inline(always)]
    pub(crate) fn sees_waits(&self) -> bool {
        self.about_waits.get()
    }

    pub(super) fn drain(&self) -> Vec<Owned> {
        self.hooks.iter().filter_map(Field::take).collect()
    }

    pub(super) fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int> {
        for hook in &self.hooks {
            visitor.visit_opt(hook.peek())?;
        }
        Ok(())
    }
}

impl Observer {
    /// Sets or, with `None`, removes the hook of that name.
    ///
    /// # Errors
    /// `ValueError` for a name that no hook has.
    pub(super) fn set_hook(&self, name: &str, function: Option<Owned>) -> Result<()> {
        let Some((_, hook)) = HOOKS_BY_NAME.iter().find(|(known, _)| *known == name) else {
            return Err(value_error(&format!("no hook is called '{name}'")));
        };
        let old = self.instruments.field(*hook).replace(function);
        self.hooks_changed();
        drop(old);
        Ok(())
    }

    fn hooks_changed(&self) {
        let instruments = &self.instruments;
        self.set_flag(HOOKS, ABOUT_TASKS.iter().any(|hook| instruments.has(*hook)));
        instruments
            .about_waits
            .set(instruments.has(Hook::BeforeIoWait) || instruments.has(Hook::AfterIoWait));
    }

    /// Calls a hook, if it is set. One that raises is removed, and its error goes to the loop's exception handler.
    ///
    /// # Errors
    /// `KeyboardInterrupt` and `SystemExit` only.
    pub(crate) fn tell(&self, event_loop: &Obj, hook: Hook, args: &[&Obj]) -> Result<()> {
        let Some(function) = self.instruments.field(hook).get() else {
            return Ok(());
        };
        let Err(Raised) = function.call(args) else {
            return Ok(());
        };
        if current_ends_program() {
            return Err(Raised);
        }
        let Some(exception) = take() else { return Ok(()) };
        drop(self.instruments.field(hook).take());
        self.hooks_changed();
        if report(event_loop, hook, &function, &exception).is_err() {
            unraisable(Some(&function));
        }
        Ok(())
    }
}

fn report(event_loop: &Obj, hook: Hook, function: &Obj, exception: &Obj) -> Result<()> {
    let name = HOOKS_BY_NAME[hook as usize].0;
    let message = call::text(&format!(
        "Exception in the instrument's hook {name}; the hook is removed"
    ))?;
    let entries = [
        ("message", Some(&*message)),
        ("exception", Some(exception)),
        ("instrument_hook", Some(function)),
    ];
    asyncio::call_exception_handler(event_loop, &entries)
}
