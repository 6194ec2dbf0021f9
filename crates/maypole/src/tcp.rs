//! TCP on the loop.
//!
//! All methods take `&self`, so a stream in an `Rc` can be read by one task and written by another. Names are not
//! resolved here: that would block the loop.
use std::io;
use std::net::SocketAddr;

use maypole_sys::net;

use crate::source::{Direction, Source};

/// Connections that may wait to be accepted: the kernel's own default limit (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// A listening TCP socket.
///
/// # Examples
/// ```
/// # fn main() -> std::io::Result<()> {
/// use maypole::{TcpListener, TcpStream};
///
/// maypole::run(async {
///     let listener = TcpListener::bind(([127, 0, 0, 1], 0))?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let (server, peer) = listener.accept().await?;
///     assert_eq!(peer, client.local_addr()?);
///     server.write_all(b"hello").await?;
///     let mut greeting = [0; 5];
///     client.read_exact(&mut greeting).await?;
///     assert_eq!(&greeting, b"hello");
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct TcpListener {
    source: Source,
}

/// A connected TCP socket.
///
/// # Examples
/// ```
/// # fn main() -> std::io::Result<()> {
/// use maypole::{TcpListener, TcpStream};
///
/// maypole::run(async {
///     let listener = TcpListener::bind(([127, 0, 0, 1], 0))?;
///     let stream = TcpStream::connect(listener.local_addr()?).await?;
///     assert_eq!(stream.peer_addr()?, listener.local_addr()?);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct TcpStream {
    source: Source,
}

impl TcpListener {
    /// Listens on `address`, with `SO_REUSEADDR`; port 0 lets the system choose one.
    ///
    /// # Errors
    /// Those of bind(2) and listen(2), as `AddrInUse`; [`io::ErrorKind::Other`] when no maypole loop runs on this thread.
    ///
    /// # Examples
    /// ```
    /// let bound = maypole::run(async { maypole::TcpListener::bind(([127, 0, 0, 1], 0)) });
    /// assert!(bound.is_ok());
    /// ```
    pub fn bind(address: impl Into<SocketAddr>) -> io::Result<Self> {
        Ok(Self {
            source: Source::new(net::listen(address.into(), BACKLOG)?)?,
        })
    }

    /// Awaits a connection; gives it with the address of its peer.
    ///
    /// A connection that was given up before it was accepted is passed over.
    ///
    /// # Errors
    /// Others of accept4(2), as `EMFILE`, which leaves the connection waiting.
    ///
    /// # Cancel safety
    /// Dropping it loses no connection.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use maypole::{TcpListener, TcpStream};
    ///
    /// maypole::run(async {
    ///     let listener = TcpListener::bind(([127, 0, 0, 1], 0))?;
    ///     let client = TcpStream::connect(listener.local_addr()?).await?;
    ///     let (_server, peer) = listener.accept().await?;
    ///     assert_eq!(peer, client.local_addr()?);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            match self.source.retry(Direction::Read, net::accept).await {
                Ok((socket, peer)) => {
                    return Ok((
                        TcpStream {
                            source: Source::new(socket)?,
                        },
                        peer,
                    ));
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives the address it listens on.
    ///
    /// # Errors
    /// Those of getsockname(2).
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let listener = maypole::run(async { maypole::TcpListener::bind(([127, 0, 0, 1], 0)) })?;
    /// assert_ne!(listener.local_addr()?.port(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        net::local_address(self.source.fd())
    }
}

impl TcpStream {
    /// Connects to `address`.
    ///
    /// # Errors
    /// Those of connect(2), as `ConnectionRefused`; [`io::ErrorKind::Other`] when no maypole loop runs on this thread.
    ///
    /// # Cancel safety
    /// Dropping it closes the socket.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use maypole::{TcpListener, TcpStream};
    ///
    /// maypole::run(async {
    ///     let listener = TcpListener::bind(([127, 0, 0, 1], 0))?;
    ///     TcpStream::connect(listener.local_addr()?).await.map(drop)
    /// })
    /// # }
    /// ```
    pub async fn connect(address: impl Into<SocketAddr>) -> io::Result<Self> {
        let source = Source::new(net::connect(address.into())?)?;
        source.ready(Direction::Write).await?;
        net::take_error(source.fd())?;
        Ok(Self { source })
    }

    /// Reads what is there, at least one byte; 0 is the end of the stream (or an empty `buffer`).
    ///
    /// # Errors
    /// Those of recv(2), as `ConnectionReset`.
    ///
    /// # Cancel safety
    /// Dropping it loses no bytes.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # use maypole::{TcpListener, TcpStream};
    /// maypole::run(async {
    ///     let listener = TcpListener::bind(([127, 0, 0, 1], 0))?;
    ///     let client = TcpStream::connect(listener.local_addr()?).await?;
    ///     drop(listener.accept().await?);
    ///     assert_eq!(client.read(&mut [0; 16]).await?, 0);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self
            .source
            .retry(Direction::Read, |socket| net::read(socket, &mut *buffer))
            .await?;
        if 0 < count && count < buffer.len() {
            self.source.exhausted(Direction::Read);
        }
        Ok(count)
    }

    /// Reads exactly as many bytes as `buffer` takes.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the stream ends before; those of [`TcpStream::read`]. What was read until then
    /// is in `buffer`.
    ///
    /// # Cancel safety
    /// Dropping it loses what was read already.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # use maypole::{TcpListener, TcpStream};
    /// maypole::run(async {
    ///     let listener = TcpListener::bind(([127, 0, 0, 1], 0))?;
    ///     let client = TcpStream::connect(listener.local_addr()?).await?;
    ///     let (server, _) = listener.accept().await?;
    ///     client.write_all(b"four").await?;
    ///     let mut word = [0; 4];
    ///     server.read_exact(&mut word).await?;
    ///     assert_eq!(&word, b"four");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub async fn read_exact(&self, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read(buffer).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => buffer = &mut buffer[count..],
            }
        }
        Ok(())
    }

    /// Writes as much of `data` as the socket takes, at least one byte, and returns how much.
    ///
    /// # Errors
    /// Those of send(2), as `BrokenPipe` and `ConnectionReset`.
    ///
    /// # Cancel safety
    /// Dropping it writes nothing.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # use maypole::{TcpListener, TcpStream};
    /// maypole::run(async {
    ///     let listener = TcpListener::bind(([127, 0, 0, 1], 0))?;
    ///     let client = TcpStream::connect(listener.local_addr()?).await?;
    ///     assert_eq!(client.write(b"hi").await?, 2);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub async fn write(&self, data: &[u8]) -> io::Result<usize> {
        let count = self
            .source
            .retry(Direction::Write, |socket| net::write(socket, data))
            .await?;
        if count < data.len() {
            self.source.exhausted(Direction::Write);
        }
        Ok(count)
    }

    /// Writes all of `data`.
    ///
    /// # Errors
    /// Those of [`TcpStream::write`]; a part of `data` may be written by then.
    ///
    /// # Cancel safety
    /// Dropping it leaves a part of `data` written.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # use maypole::{TcpListener, TcpStream};
    /// maypole::run(async {
    ///     let listener = TcpListener::bind(([127, 0, 0, 1], 0))?;
    ///     let client = TcpStream::connect(listener.local_addr()?).await?;
    ///     client.write_all(b"everything").await
    /// })
    /// # }
    /// ```
    pub async fn write_all(&self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let count = self.write(data).await?;
            data = &data[count..];
        }
        Ok(())
    }

    /// Ends the writing: the peer reads the end of the stream. Reading goes on.
    ///
    /// # Errors
    /// `NotConnected` when the peer is gone.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # use maypole::{TcpListener, TcpStream};
    /// maypole::run(async {
    ///     let listener = TcpListener::bind(([127, 0, 0, 1], 0))?;
    ///     let client = TcpStream::connect(listener.local_addr()?).await?;
    ///     let (server, _) = listener.accept().await?;
    ///     client.shutdown_write()?;
    ///     assert_eq!(server.read(&mut [0; 16]).await?, 0);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn shutdown_write(&self) -> io::Result<()> {
        net::shutdown_write(self.source.fd())
    }

    /// Sends small writes at once (`true`) or lets the system gather them (Nagle's algorithm).
    ///
    /// # Errors
    /// Those of setsockopt(2).
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # use maypole::{TcpListener, TcpStream};
    /// maypole::run(async {
    ///     let listener = TcpListener::bind(([127, 0, 0, 1], 0))?;
    ///     TcpStream::connect(listener.local_addr()?).await?.set_nodelay(true)
    /// })
    /// # }
    /// ```
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        net::set_nodelay(self.source.fd(), nodelay)
    }

    /// Gives its own address.
    ///
    /// # Errors
    /// Those of getsockname(2).
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # use maypole::{TcpListener, TcpStream};
    /// maypole::run(async {
    ///     let listener = TcpListener::bind(([127, 0, 0, 1], 0))?;
    ///     let client = TcpStream::connect(listener.local_addr()?).await?;
    ///     assert!(client.local_addr()?.ip().is_loopback());
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        net::local_address(self.source.fd())
    }

    /// Gives the address of the peer.
    ///
    /// # Errors
    /// `NotConnected` when the peer is gone.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # use maypole::{TcpListener, TcpStream};
    /// maypole::run(async {
    ///     let listener = TcpListener::bind(([127, 0, 0, 1], 0))?;
    ///     let client = TcpStream::connect(listener.local_addr()?).await?;
    ///     assert_eq!(client.peer_addr()?, listener.local_addr()?);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        net::peer_address(self.source.fd())
    }
}
