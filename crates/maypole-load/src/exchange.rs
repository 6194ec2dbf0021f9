//! What one request sends, and when its reply is complete.

/// One question and the rule for its answer.
///
/// The reply's bytes are checked as they come, so nothing is kept of them.
#[derive(Clone, Debug)]
pub enum Exchange {
    /// The reply repeats the request, byte for byte.
    Mirror {
        /// The bytes sent, and awaited.
        request: Vec<u8>,
    },
    /// An HTTP/1.1 GET on a connection that stays open; the reply carries a `Content-Length` and the status 200.
    Http {
        /// The request with its headers.
        request: Vec<u8>,
    },
}

/// How much of one reply has been seen.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    seen: usize,
    head: Vec<u8>,
    body_missing: Option<usize>,
}

/// The longest reply head that is read before the server is called broken.
const HEAD_BYTES_MAX: usize = 16 * 1024;

impl Exchange {
    /// An echo of `size` bytes; the pattern differs at each position, so that a lost or doubled piece shows.
    #[must_use]
    pub fn echo(size: usize) -> Self {
        Self::Mirror {
            request: pattern(size),
        }
    }

    /// An echo of one line of `size` bytes, its newline included.
    #[must_use]
    pub fn line(size: usize) -> Self {
        let mut request: Vec<u8> = pattern(size).iter().map(|byte| b'a' + byte % 26).collect();
        if let Some(last) = request.last_mut() {
            *last = b'\n';
        }
        Self::Mirror { request }
    }

    /// A GET of `path`.
    #[must_use]
    pub fn http(path: &str) -> Self {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n");
        Self::Http {
            request: request.into_bytes(),
        }
    }

    /// The bytes of one request.
    #[must_use]
    pub fn request(&self) -> &[u8] {
        match self {
            Self::Mirror { request } | Self::Http { request } => request,
        }
    }

    /// Takes bytes of the reply; answers whether it is complete.
    ///
    /// # Errors
    ///
    /// A sentence on how the reply differs from what was asked for.
    ///
    /// # Examples
    ///
    /// ```
    /// use maypole_load::exchange::{Exchange, Progress};
    ///
    /// let get = Exchange::http("/");
    /// let mut progress = Progress::default();
    /// assert_eq!(get.accept(&mut progress, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"), Ok(false));
    /// assert_eq!(get.accept(&mut progress, b"llo"), Ok(true));
    /// assert!(get.accept(&mut Progress::default(), b"HTTP/1.1 500 Oh\r\n\r\n").is_err());
    /// ```
    pub fn accept(&self, progress: &mut Progress, bytes: &[u8]) -> Result<bool, String> {
        match self {
            Self::Mirror { request } => {
                let expected = request.get(progress.seen..progress.seen + bytes.len());
                if expected != Some(bytes) {
                    return Err(format!(
                        "reply differs from the request after byte {}",
                        progress.seen
                    ));
                }
                progress.seen += bytes.len();
                Ok(progress.seen == request.len())
            }
            Self::Http { .. } => accept_http(progress, bytes),
        }
    }
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size)
        .map(|position| (position.wrapping_mul(167) ^ (position >> 8)).to_le_bytes()[0])
        .collect()
}

fn accept_http(progress: &mut Progress, bytes: &[u8]) -> Result<bool, String> {
    let body = match progress.body_missing {
        Some(_) => bytes.len(),
        None => {
            progress.head.extend_from_slice(bytes);
            let Some(end) = progress.head.windows(4).position(|four| four == b"\r\n\r\n") else {
                return if progress.head.len() > HEAD_BYTES_MAX {
                    Err(format!("reply head exceeds {HEAD_BYTES_MAX} bytes"))
                } else {
                    Ok(false)
                };
            };
            let head = String::from_utf8_lossy(progress.head.get(..end).unwrap_or_default()).into_owned();
            progress.body_missing = Some(content_length(&head)?);
            progress.head.len() - end - 4
        }
    };
    let missing = progress.body_missing.unwrap_or(0);
    let left = missing
        .checked_sub(body)
        .ok_or("reply is longer than its Content-Length")?;
    progress.body_missing = Some(left);
    Ok(left == 0)
}

fn content_length(head: &str) -> Result<usize, String> {
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200") {
        return Err(format!("answered `{status}`"));
    }
    lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .ok_or_else(|| "reply has no usable Content-Length".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Exchange, Progress};

    #[test]
    fn mirror_completes_at_its_last_byte_only() {
        let echo = Exchange::echo(1000);
        let mut progress = Progress::default();
        let (first, last) = echo.request().split_at(999);
        assert_eq!(echo.accept(&mut progress, first), Ok(false));
        assert_eq!(echo.accept(&mut progress, last), Ok(true));
    }

    #[test]
    fn repeated_piece_is_seen_as_an_error() {
        let echo = Exchange::echo(2048);
        let mut progress = Progress::default();
        let half = echo.request().get(..1024).unwrap().to_vec();
        assert_eq!(echo.accept(&mut progress, &half), Ok(false));
        assert!(echo.accept(&mut progress, &half).is_err());
    }

    #[test]
    fn reply_longer_than_the_request_is_an_error() {
        let echo = Exchange::echo(4);
        let mut long = echo.request().to_vec();
        long.push(0);
        assert!(echo.accept(&mut Progress::default(), &long).is_err());
    }

    #[test]
    fn line_holds_one_newline_and_it_is_the_last_byte() {
        let line = Exchange::line(100);
        assert_eq!(line.request().iter().position(|byte| *byte == b'\n'), Some(99));
    }

    #[test]
    fn http_head_may_come_byte_by_byte() {
        let get = Exchange::http("/");
        let mut progress = Progress::default();
        let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        for (index, byte) in reply.iter().enumerate() {
            assert_eq!(get.accept(&mut progress, &[*byte]), Ok(index + 1 == reply.len()));
        }
    }
}
