//! The bytes that wait to be sent, as the chunks they were written in.

use std::collections::VecDeque;
use std::io::IoSlice;

use pyo3::ffi;

use crate::capi::{Obj, Owned};

/// How many chunks one system call takes at most.
pub(super) const CHUNKS_MAX: usize = 64;

/// Chunks of bytes in the order of writing.
#[derive(Default)]
pub(super) struct Outgoing {
    /// Exact `bytes` objects: nobody can change them.
    chunks: VecDeque<Owned>,
    /// How much of the first chunk is sent.
    sent: usize,
    /// Bytes left to send.
    size: usize,
}

/// The memory of an exact `bytes` object.
pub(super) fn bytes_of(chunk: &Obj) -> &[u8] {
    // SAFETY: every chunk is an exact `bytes` object (see `Outgoing::push`), whose memory never moves nor changes.
    let (start, size) = unsafe {
        (
            ffi::PyBytes_AsString(chunk.as_ptr()),
            ffi::PyBytes_Size(chunk.as_ptr()),
        )
    };
    // SAFETY: start and size describe the object's memory, which lives as long as the borrow.
    unsafe { std::slice::from_raw_parts(start.cast(), size as usize) }
}

impl Outgoing {
    /// Appends a chunk, which must be an exact `bytes` object.
    ///
    /// # Errors
    /// The chunk itself, when there is no memory for its place.
    pub(super) fn push(&mut self, chunk: Owned) -> Result<(), Owned> {
        if self.chunks.try_reserve(1).is_err() {
            return Err(chunk);
        }
        self.size += bytes_of(&chunk).len();
        self.chunks.push_back(chunk);
        Ok(())
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Calls `send` with the first chunks' unsent bytes.
    pub(super) fn with_slices<R>(&self, send: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
        let mut slices = [IoSlice::new(&[]); CHUNKS_MAX];
        let mut count = 0;
        for (place, chunk) in slices.iter_mut().zip(&self.chunks) {
            let skip = if count == 0 { self.sent } else { 0 };
            *place = IoSlice::new(&bytes_of(chunk)[skip..]);
            count += 1;
        }
        send(&slices[..count])
    }

    /// Notes that so many bytes are sent; returns the chunks that are done, to be dropped by the caller.
    pub(super) fn advance(&mut self, mut sent: usize) -> Vec<Owned> {
        self.size -= sent;
        let mut done = Vec::new();
        while let Some(first) = self.chunks.front() {
            let left = bytes_of(first).len() - self.sent;
            if sent < left {
                self.sent += sent;
                break;
            }
            sent -= left;
            self.sent = 0;
            done.extend(self.chunks.pop_front());
        }
        done
    }

    /// Takes everything out, to be dropped by the caller.
    pub(super) fn clear(&mut self) -> VecDeque<Owned> {
        self.size = 0;
        self.sent = 0;
        std::mem::take(&mut self.chunks)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Owned> {
        self.chunks.iter()
    }
}
