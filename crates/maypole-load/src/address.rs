//! Where a server listens, written `tcp:127.0.0.1:8000` or `unix:/tmp/echo.sock`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// The address of a server on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An Internet address; also used for UDP.
    Tcp(SocketAddr),
    /// The path of a Unix stream socket.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    /// Reads an address.
    ///
    /// # Errors
    ///
    /// A sentence that says what was expected, and that only loopback addresses are taken.
    ///
    /// # Examples
    ///
    /// ```
    /// use maypole_load::address::Address;
    ///
    /// let address: Address = "tcp:127.0.0.1:8000".parse()?;
    /// assert_eq!(address.to_string(), "tcp:127.0.0.1:8000");
    /// assert!("tcp:192.0.2.1:80".parse::<Address>().is_err(), "never loads another machine");
    /// # Ok::<(), String>(())
    /// ```
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("tcp", rest)) => {
                let address: SocketAddr = rest
                    .parse()
                    .map_err(|error| format!("`{rest}` is no IP:PORT: {error}"))?;
                if address.ip().is_loopback() {
                    Ok(Self::Tcp(address))
                } else {
                    Err(format!("{address} is not a loopback address"))
                }
            }
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(PathBuf::from(path))),
            _ => Err(format!("`{text}` is no address: write tcp:IP:PORT or unix:PATH")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(out, "tcp:{address}"),
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
        }
    }
}
