//! Signal numbers as bytes.
use std::os::fd::BorrowedFd;

use maypole_sys::{Events, Poller, SignalPipe, Timeout};

fn write_bytes(pipe: &SignalPipe, bytes: &[u8]) -> rustix::io::Result<usize> {
    // SAFETY: the descriptor is open for as long as `pipe` is borrowed.
    rustix::io::write(unsafe { BorrowedFd::borrow_raw(pipe.write_fd()) }, bytes)
}

#[test]
fn signal_numbers_come_out_in_order() {
    let pipe = SignalPipe::new().unwrap();
    write_bytes(&pipe, &[2]).unwrap();
    write_bytes(&pipe, &[15, 17]).unwrap();
    let mut numbers = [0; 8];
    let count = pipe.drain(&mut numbers).unwrap();
    assert_eq!(numbers[..count], [2, 15, 17]);
    assert_eq!(pipe.drain(&mut numbers).unwrap(), 0);
}

#[test]
fn small_buffer_leaves_the_rest() {
    let pipe = SignalPipe::new().unwrap();
    write_bytes(&pipe, &[1, 2, 3]).unwrap();
    let mut numbers = [0; 2];
    assert_eq!(pipe.drain(&mut numbers).unwrap(), 2);
    assert_eq!(pipe.drain(&mut numbers).unwrap(), 1);
    assert_eq!(numbers[0], 3);
}

#[test]
fn waiting_byte_ends_a_wait() {
    let (pipe, poller, mut events) = (SignalPipe::new().unwrap(), Poller::new().unwrap(), Events::new());
    poller.add(pipe.read_fd(), 4, true, false).unwrap();
    assert_eq!(poller.wait(&mut events, Timeout::Now).unwrap(), 0);
    write_bytes(&pipe, &[10]).unwrap();
    assert_eq!(poller.wait(&mut events, Timeout::Forever).unwrap(), 1);
}

#[test]
fn full_pipe_refuses_instead_of_blocking() {
    let pipe = SignalPipe::new().unwrap();
    let page = [0; 4096];
    let refusal = std::iter::repeat_with(|| write_bytes(&pipe, &page)).find_map(Result::err);
    assert_eq!(refusal, Some(rustix::io::Errno::AGAIN));
}
