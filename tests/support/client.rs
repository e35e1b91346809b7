//! A blocking client on a TCP socket, for tests: every wait ends after a timeout.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::Request;
use super::resp::{Decoder, Value, encode};

/// How long a reply may take before a test counts it as missing.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    decoder: Decoder,
}

impl Client {
    /// Connects in RESP2.
    pub fn connect(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Client { stream, decoder: Decoder::new() })
    }

    /// Connects and switches to protocol version `resp` (2 or 3).
    pub fn connect_resp(address: SocketAddr, resp: u8) -> io::Result<Client> {
        let mut client = Client::connect(address)?;
        let reply = client.try_call(&["HELLO", &resp.to_string()])?;
        if reply.is_error() {
            return Err(io::Error::other(format!("HELLO {resp} answered {reply}")));
        }
        Ok(client)
    }

    /// Changes how long a read waits.
    pub fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(timeout))
    }

    /// The local address of the connection, as `CLIENT LIST` shows it.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends one command and does not wait.
    pub fn send<T: AsRef<[u8]>>(&mut self, request: &[T]) -> io::Result<()> {
        let mut bytes = Vec::new();
        encode(&mut bytes, request);
        self.send_raw(&bytes)
    }

    /// Closes the sending half; the server can still answer.
    pub fn finish_sending(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Breaks the connection: the server hears at once that nothing more can be sent here either.
    pub fn reset(self) {
        // Without a way to ask for it in the standard library, the kernel sends a reset if it is to wait no time at all.
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).expect("a socket can be told not to linger");
    }

    /// The next reply. `UnexpectedEof` when the server closed the connection, `WouldBlock` or `TimedOut` when
    /// it said nothing in time, `InvalidData` when it did not speak RESP.
    pub fn read(&mut self) -> io::Result<Value> {
        let mut piece = [0; 64 << 10];
        loop {
            match self.decoder.next() {
                Ok(Some(value)) => return Ok(value),
                Ok(None) => {}
                Err(malformed) => return Err(io::Error::new(io::ErrorKind::InvalidData, malformed.0)),
            }
            match self.stream.read(&mut piece)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => self.decoder.feed(&piece[..n]),
            }
        }
    }

    /// `count` replies.
    pub fn read_many(&mut self, count: usize) -> io::Result<Vec<Value>> {
        (0..count).map(|_| self.read()).collect()
    }

    /// Everything the server sends until it closes the connection, as raw bytes.
    pub fn read_to_close(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = self.decoder.pending().to_vec();
        self.stream.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Sends one command and waits for its reply.
    pub fn try_call<T: AsRef<[u8]>>(&mut self, request: &[T]) -> io::Result<Value> {
        self.send(request)?;
        self.read()
    }

    /// [`Client::try_call`] for tests in which a broken connection is a failure.
    pub fn call<T: AsRef<[u8]>>(&mut self, request: &[T]) -> Value {
        self.try_call(request).unwrap_or_else(|error| {
            let words: Vec<Vec<u8>> = request.iter().map(|word| word.as_ref().to_vec()).collect();
            panic!("no reply to {}: {error}", super::shown(&words))
        })
    }

    /// Sends all of `requests` at once and returns their replies. A second thread writes, so that
    /// a pipeline larger than the socket buffers cannot wait for itself.
    pub fn pipeline(&mut self, requests: &[Request]) -> io::Result<Vec<Value>> {
        let mut bytes = Vec::new();
        for request in requests {
            encode(&mut bytes, request);
        }
        let mut writer = self.stream.try_clone()?;
        std::thread::scope(|scope| {
            let sent = scope.spawn(move || writer.write_all(&bytes));
            let replies = self.read_many(requests.len());
            sent.join().expect("the writing thread does not panic")?;
            replies
        })
    }
}

/// A field of `INFO persistence`.
pub fn field(client: &mut Client, name: &str) -> String {
    let Value::Bulk(text) = client.call(&["INFO", "persistence"]) else { panic!("INFO is a bulk string") };
    let text = String::from_utf8(text).expect("INFO is text");
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned));
    found.unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// Waits until `is_so`.
pub fn await_that(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}
