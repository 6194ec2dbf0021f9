//! TCP over loopback, without waiting anywhere but in the poller.
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use maypole_sys::{Events, Poller, Timeout, net};

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn wait_for(socket: BorrowedFd<'_>, readable: bool, writable: bool) {
    let (poller, mut events) = (Poller::new().unwrap(), Events::new());
    poller.add(socket.as_raw_fd(), 0, readable, writable).unwrap();
    assert_eq!(
        poller.wait(&mut events, Timeout::After(5_000_000_000)).unwrap(),
        1
    );
}

fn connected() -> (OwnedFd, OwnedFd) {
    let listener = net::listen(loopback(), 8).unwrap();
    let address = net::local_address(listener.as_fd()).unwrap();
    let client = net::connect(address).unwrap();
    wait_for(client.as_fd(), false, true);
    net::take_error(client.as_fd()).unwrap();
    wait_for(listener.as_fd(), true, false);
    let (server, peer) = net::accept(listener.as_fd()).unwrap();
    assert_eq!(peer, net::local_address(client.as_fd()).unwrap());
    assert_eq!(net::peer_address(client.as_fd()).unwrap(), address);
    (client, server)
}

#[test]
fn bytes_go_both_ways_and_end_with_zero() {
    let (client, server) = connected();
    let mut buffer = [0; 16];
    assert_eq!(
        net::read(server.as_fd(), &mut buffer).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    assert_eq!(net::write(client.as_fd(), b"question").unwrap(), 8);
    wait_for(server.as_fd(), true, false);
    assert_eq!(net::read(server.as_fd(), &mut buffer).unwrap(), 8);
    assert_eq!(net::write(server.as_fd(), b"answer").unwrap(), 6);
    net::shutdown_write(server.as_fd()).unwrap();
    wait_for(client.as_fd(), true, false);
    assert_eq!(net::read(client.as_fd(), &mut buffer).unwrap(), 6);
    assert_eq!(&buffer[..6], b"answer");
    wait_for(client.as_fd(), true, false);
    assert_eq!(net::read(client.as_fd(), &mut buffer).unwrap(), 0);
}

#[test]
fn full_socket_says_would_block() {
    let (client, _server) = connected();
    let block = vec![0; 1 << 16];
    let refusal = std::iter::repeat_with(|| net::write(client.as_fd(), &block))
        .find_map(Result::err)
        .unwrap();
    assert_eq!(refusal.kind(), ErrorKind::WouldBlock);
}

#[test]
fn refused_connection_is_told_by_take_error() {
    let listener = net::listen(loopback(), 1).unwrap();
    let address = net::local_address(listener.as_fd()).unwrap();
    drop(listener);
    let error = match net::connect(address) {
        Err(error) => error,
        Ok(socket) => {
            wait_for(socket.as_fd(), false, true);
            net::take_error(socket.as_fd()).unwrap_err()
        }
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn taken_address_is_refused() {
    let listener = net::listen(loopback(), 1).unwrap();
    let address = net::local_address(listener.as_fd()).unwrap();
    assert_eq!(net::listen(address, 1).unwrap_err().kind(), ErrorKind::AddrInUse);
}

#[test]
fn ipv6_listens_where_the_machine_has_it() {
    match net::listen("[::1]:0".parse().unwrap(), 1) {
        Ok(listener) => assert!(net::local_address(listener.as_fd()).unwrap().is_ipv6()),
        Err(error) => assert!(matches!(
            error.raw_os_error(),
            Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT)
        )),
    }
}
