//! Waking a sleeping core from any thread: a pipe to itself that the core's ring polls.
//!
//! A core wakes another by a doorbell of its ring; a thread without a ring rings a [`Waker`]. Whoever rings has put what
//! is to be found in its place before, so that the core, which looks there once per turn, misses nothing: a ring that comes
//! while it is awake ends its next wait at once.
//!
//! Representation: an eventfd would do, but making one takes `unsafe`; a pair of sockets is one line. Nobody reads what is
//! rung before the ring that polls is told of it, and rings that find the socket full have one before them.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// See the module. Copies wake the same core.
#[derive(Debug, Clone)]
pub struct Waker(Arc<(UnixStream, UnixStream)>);

impl Waker {
    /// A waker of nobody yet.
    ///
    /// # Errors
    /// Those of `socketpair`.
    pub fn new() -> io::Result<Waker> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        Ok(Waker(Arc::new((ours, theirs))))
    }

    /// Ends the core's wait, the present one or the next.
    pub fn ring(&self) {
        loop {
            match (&self.0.1).write(&[1]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Full: there are rings that were not heard yet.
                _ => return,
            }
        }
    }

    /// Forgets the rings so far. The core that heard of them calls this before it looks what they are about.
    pub fn hush(&self) {
        let mut rings = [0; 256];
        while (&self.0.0).read(&mut rings).is_ok_and(|len| len == rings.len()) {}
    }
}

impl AsRawFd for Waker {
    /// Readable after a ring.
    fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_rings_is_heard_and_forgotten() {
        let waker = Waker::new().unwrap();
        for rings in [1, 300, 1_000_000] {
            (0..rings).for_each(|_| waker.clone().ring());
            waker.hush();
            assert_eq!((&waker.0.0).read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        }
    }
}
