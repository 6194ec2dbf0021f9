//! The attributes of a reader that asyncio's own code, subclasses and libraries read and write.

use super::{ReaderObject, limit_of, required};
use crate::capi::class::{Class, getter, setter};
use crate::capi::object::boolean;
use crate::capi::{Obj, Owned, Result, call};

pub(super) fn declare(class: Class) -> Class {
    class
        .attribute(
            c"_buffer",
            getter!(ReaderObject, get_buffer),
            Some(setter!(ReaderObject, set_buffer)),
        )
        .attribute(
            c"_limit",
            getter!(ReaderObject, get_limit),
            Some(setter!(ReaderObject, set_limit)),
        )
        .attribute(
            c"_loop",
            getter!(ReaderObject, get_loop),
            Some(setter!(ReaderObject, set_loop)),
        )
        .attribute(
            c"_eof",
            getter!(ReaderObject, get_eof),
            Some(setter!(ReaderObject, set_eof)),
        )
        .attribute(
            c"_waiter",
            getter!(ReaderObject, get_waiter),
            Some(setter!(ReaderObject, set_waiter)),
        )
        .attribute(
            c"_exception",
            getter!(ReaderObject, get_exception),
            Some(setter!(ReaderObject, put_exception)),
        )
        .attribute(
            c"_transport",
            getter!(ReaderObject, get_transport),
            Some(setter!(ReaderObject, put_transport)),
        )
        .attribute(
            c"_paused",
            getter!(ReaderObject, get_paused),
            Some(setter!(ReaderObject, set_paused)),
        )
}

fn get_buffer(this: &ReaderObject) -> Result<Owned> {
    this.buffer.show()
}

fn set_buffer(this: &ReaderObject, value: Option<&Obj>) -> Result<()> {
    this.buffer.replace(value)
}

fn get_limit(this: &ReaderObject) -> Result<Owned> {
    call::unsigned(this.limit.get() as u64)
}

fn set_limit(this: &ReaderObject, value: Option<&Obj>) -> Result<()> {
    this.limit.set(limit_of(required(value)?)?);
    Ok(())
}

fn get_loop(this: &ReaderObject) -> Result<Owned> {
    Ok(this.event_loop.get_or_none())
}

fn set_loop(this: &ReaderObject, value: Option<&Obj>) -> Result<()> {
    this.event_loop.set(required(value)?.own());
    Ok(())
}

fn get_eof(this: &ReaderObject) -> Result<Owned> {
    Ok(boolean(this.eof.get()))
}

fn set_eof(this: &ReaderObject, value: Option<&Obj>) -> Result<()> {
    this.eof.set(required(value)?.truthy()?);
    Ok(())
}

fn get_waiter(this: &ReaderObject) -> Result<Owned> {
    Ok(this.waiter.get_or_none())
}

fn set_waiter(this: &ReaderObject, value: Option<&Obj>) -> Result<()> {
    let waiter = required(value)?;
    drop(this.waiter.replace((!waiter.is_none()).then(|| waiter.own())));
    Ok(())
}

fn get_exception(this: &ReaderObject) -> Result<Owned> {
    Ok(this.exception.get_or_none())
}

fn put_exception(this: &ReaderObject, value: Option<&Obj>) -> Result<()> {
    this.exception.set(required(value)?.own());
    Ok(())
}

fn get_transport(this: &ReaderObject) -> Result<Owned> {
    Ok(this.transport.get_or_none())
}

fn put_transport(this: &ReaderObject, value: Option<&Obj>) -> Result<()> {
    let transport = required(value)?;
    drop(
        this.transport
            .replace((!transport.is_none()).then(|| transport.own())),
    );
    Ok(())
}

fn get_paused(this: &ReaderObject) -> Result<Owned> {
    Ok(boolean(this.paused.get()))
}

fn set_paused(this: &ReaderObject, value: Option<&Obj>) -> Result<()> {
    this.paused.set(required(value)?.truthy()?);
    Ok(())
}
