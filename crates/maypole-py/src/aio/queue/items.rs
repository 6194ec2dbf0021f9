//! What is in a queue, in the order of its kind.
//!
//! The items are in native memory until somebody asks for `_queue`, or a subclass puts a container of its own there; from then on
//! they are in that object. A priority queue's are in a list from the beginning: `heapq` orders lists.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ffi::c_int;

use pyo3::ffi;

use super::super::stdlib::{self, names};
use crate::capi::class::Visitor;
use crate::capi::error::{attribute_error, memory_error, raise};
use crate::capi::{Field, Obj, Owned, Raised, Result, call};

/// Which item comes out next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Order {
    FirstIn = 0,
    LastIn,
    Smallest,
}

/// The items of one queue. Zeroed memory is an empty container of the order `FirstIn`.
pub(super) struct Items {
    #[expect(
        clippy::box_collection,
        reason = "zeroed memory is an empty Option of a Box, but no VecDeque"
    )]
    own: RefCell<Option<Box<VecDeque<Owned>>>>,
    /// The container that was shown or given.
    shown: Field,
    order: Cell<Order>,
}

impl Items {
    /// An empty container of an order.
    pub(super) fn begin(&self, order: Order) -> Result<()> {
        let list = if order == Order::Smallest {
            Some(call::list(Vec::new())?)
        } else {
            None
        };
        let old = (self.own.borrow_mut().take(), self.shown.replace(list));
        self.order.set(order);
        drop(old);
        Ok(())
    }

    #[inline]
    pub(super) fn len(&self) -> Result<usize> {
        match self.shown.get() {
            // SAFETY: a live object; -1 says that it raised.
            Some(shown) => usize::try_from(unsafe { ffi::PyObject_Size(shown.as_ptr()) }).map_err(|_| Raised),
            None => Ok(self.own.borrow().as_ref().map_or(0, |own| own.len())),
        }
    }

    #[inline]
    pub(super) fn push(&self, item: Owned) -> Result<()> {
        if let Some(shown) = self.shown.get() {
            return self.push_shown(&shown, &item);
        }
        let mut own = self.own.borrow_mut();
        let own = own.get_or_insert_default();
        // On failure the item is dropped by the caller's frame, after the borrow.
        own.try_reserve(1).map_err(|_| memory_error())?;
        own.push_back(item);
        Ok(())
    }

    fn push_shown(&self, shown: &Obj, item: &Obj) -> Result<()> {
        if self.order.get() == Order::Smallest {
            return stdlib::get().heap_push.call(&[shown, item]).map(drop);
        }
        shown.call_method(&names().append, &[item]).map(drop)
    }

    /// Takes the next item out.
    ///
    /// # Errors
    /// `IndexError` if there is none; what comparing items raises.
    #[inline]
    pub(super) fn take(&self) -> Result<Owned> {
        if let Some(shown) = self.shown.get() {
            return self.take_shown(&shown);
        }
        let mut own = self.own.borrow_mut();
        let item = own.as_mut().and_then(|own| match self.order.get() {
            Order::LastIn => own.pop_back(),
            Order::FirstIn | Order::Smallest => own.pop_front(),
        });
        drop(own);
        // SAFETY: the exception types exist while the interpreter does.
        item.ok_or_else(|| raise(unsafe { ffi::PyExc_IndexError }, "pop from an empty queue"))
    }

    fn take_shown(&self, shown: &Obj) -> Result<Owned> {
        match self.order.get() {
            Order::FirstIn => shown.call_method(&names().popleft, &[]),
            Order::LastIn => shown.call_method(&names().pop, &[]),
            Order::Smallest => stdlib::get().heap_pop.call(&[shown]),
        }
    }

    /// A list of the items, for messages.
    pub(super) fn to_list(&self) -> Result<Owned> {
        if let Some(shown) = self.shown.get() {
            // SAFETY: a live object; the function raises for what cannot be iterated over.
            return unsafe { Owned::steal(ffi::PySequence_List(shown.as_ptr())) };
        }
        let own = self.own.borrow();
        let items = call::collect(own.iter().flat_map(|own| own.iter()).cloned().map(Ok))?;
        drop(own);
        call::list(items)
    }

    /// The container as Python sees it: a deque or a list, in which the items are from now on.
    pub(super) fn show(&self) -> Result<Owned> {
        if let Some(shown) = self.shown.get() {
            return Ok(shown);
        }
        let list = self.to_list()?;
        let shown = match self.order.get() {
            Order::FirstIn => stdlib::get().deque.call(&[&list])?,
            Order::LastIn | Order::Smallest => list,
        };
        let old = self.own.borrow_mut().take();
        self.shown.set(shown.clone());
        drop(old);
        Ok(shown)
    }

    /// `_queue = value`.
    pub(super) fn replace(&self, value: Option<&Obj>) -> Result<()> {
        let value = value.ok_or_else(|| attribute_error("cannot delete attribute"))?;
        let old = self.own.borrow_mut().take();
        self.shown.set(value.own());
        drop(old);
        Ok(())
    }

    pub(super) fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int> {
        if let Some(own) = &*self.own.borrow() {
            own.iter().try_for_each(|item| visitor.visit(item))?;
        }
        visitor.visit_opt(self.shown.peek())
    }

    pub(super) fn clear(&self) {
        let own = self.own.borrow_mut().take();
        drop((own, self.shown.take()));
    }
}
