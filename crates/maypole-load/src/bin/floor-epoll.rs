//! An echo server on bare epoll, one thread: what the machine can do at best with the system calls a loop makes.
//!
//! `floor-epoll ADDRESS [SECONDS]` prints `{"ready":true,"pid":N}` once it listens, and ends after SECONDS (60).

use maypole_load::address::Address;
use maypole_load::reactor::{Reactor, Ready};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const LISTENER: u64 = 0;
const RECEIVE_BYTES: usize = 256 * 1024;

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

struct Connection {
    socket: Socket,
    unsent: Vec<u8>,
}

struct Server {
    listener: Listener,
    reactor: Reactor,
    connections: HashMap<u64, Connection>,
    next_token: u64,
    space: Vec<u8>,
}

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is closed; the exit code still says it.
            writeln!(io::stderr(), "floor-epoll: {error}").unwrap_or_default();
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let mut words = std::env::args().skip(1);
    let address = words
        .next()
        .unwrap_or_default()
        .parse::<Address>()
        .map_err(io::Error::other)?;
    let seconds = words
        .next()
        .map_or(Ok(60), |word| word.parse())
        .map_err(io::Error::other)?;
    set_parent_process_death_signal(Some(Signal::TERM))?;
    allow_descriptors()?;
    let mut server = Server::listen(&address)?;
    writeln!(io::stdout(), "{{\"ready\":true,\"pid\":{}}}", std::process::id())?;
    server.run(Instant::now() + Duration::from_secs(seconds))
}

fn allow_descriptors() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )?)
}

impl Server {
    fn listen(address: &Address) -> io::Result<Self> {
        let listener = match address {
            Address::Tcp(address) => {
                let listener = TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                Listener::Tcp(listener)
            }
            Address::Unix(path) => {
                let listener = UnixListener::bind(path)?;
                listener.set_nonblocking(true)?;
                Listener::Unix(listener)
            }
        };
        let reactor = Reactor::new()?;
        match &listener {
            Listener::Tcp(listener) => reactor.add(listener, LISTENER)?,
            Listener::Unix(listener) => reactor.add(listener, LISTENER)?,
        }
        Ok(Self {
            listener,
            reactor,
            connections: HashMap::new(),
            next_token: LISTENER + 1,
            space: vec![0; RECEIVE_BYTES],
        })
    }

    fn run(&mut self, deadline: Instant) -> io::Result<()> {
        let mut ready = Vec::new();
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            self.reactor.wait(&mut ready, Some(left))?;
            for event in &ready {
                if event.token == LISTENER {
                    self.accept()?;
                } else if self.attend(*event).is_err() {
                    self.connections.remove(&event.token);
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let accepted = match &self.listener {
                Listener::Tcp(listener) => listener.accept().map(|(stream, _)| Socket::Tcp(stream)),
                Listener::Unix(listener) => listener.accept().map(|(stream, _)| Socket::Unix(stream)),
            };
            let socket = match accepted {
                Ok(socket) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            socket.prepare()?;
            let token = self.next_token;
            self.next_token += 1;
            self.reactor.add(&socket, token)?;
            self.connections.insert(
                token,
                Connection {
                    socket,
                    unsent: Vec::new(),
                },
            );
        }
    }

    /// Echoes what came; an error means that the connection is over.
    fn attend(&mut self, event: Ready) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(&event.token) else {
            return Ok(());
        };
        let held = !connection.unsent.is_empty();
        if event.writable && held {
            let rest = std::mem::take(&mut connection.unsent);
            connection.send(&rest)?;
        }
        if event.readable {
            match connection.socket.read(&mut self.space) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(received) => connection.send(self.space.get(..received).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        let holds = !connection.unsent.is_empty();
        if holds != held {
            self.reactor.watch(&connection.socket, event.token, holds)?;
        }
        Ok(())
    }
}

impl Connection {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut sent = 0;
        while self.unsent.is_empty() && sent < bytes.len() {
            match self.socket.write(bytes.get(sent..).unwrap_or_default()) {
                Ok(taken) => sent += taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.unsent
            .extend_from_slice(bytes.get(sent..).unwrap_or_default());
        Ok(())
    }
}

impl Socket {
    fn prepare(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)
            }
            Self::Unix(stream) => stream.set_nonblocking(true),
        }
    }

    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(space),
            Self::Unix(stream) => stream.read(space),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}
