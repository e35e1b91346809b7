//! Starting real server processes on free ports of 127.0.0.1, and ending exactly those.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::client::Client;
use super::resp::Value;

/// How long a server may take until it answers PING.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A running server with a folder of its own. It is killed, by its pid, when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Server {
    /// Starts Corelane with `args` added to its command line.
    pub fn start<T: AsRef<OsStr>>(args: &[T]) -> Server {
        Server::launch(OsStr::new(env!("CARGO_BIN_EXE_corelane")), args)
    }

    /// Starts `program`, which takes redis-server's command line, and waits until it answers PING.
    /// Panics with the server's log when it does not.
    pub fn launch<T: AsRef<OsStr>>(program: &OsStr, args: &[T]) -> Server {
        let mut server = Server::spawn(program, args);
        server.wait_until_it_answers(program);
        server
    }

    /// Has Corelane start with `args` where it cannot: returns how it has ended, and its log.
    pub fn fails_to_start<T: AsRef<OsStr>>(args: &[T]) -> (ExitStatus, String) {
        let mut server = Server::spawn(OsStr::new(env!("CARGO_BIN_EXE_corelane")), args);
        (server.wait(START_TIMEOUT), server.log())
    }

    fn spawn<T: AsRef<OsStr>>(program: &OsStr, args: &[T]) -> Server {
        let port = free_port();
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("server-{port}"));
        // Left over by an earlier run that was killed before it could clean up.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder for the server");
        let log = File::create(folder.join("log")).expect("a file for the server's log");
        // A configuration file has to come first.
        let is_file = args.first().is_some_and(|arg| !arg.as_ref().as_encoded_bytes().starts_with(b"-"));
        let (file, args) = args.split_at(usize::from(is_file));
        let child = Command::new(program)
            .args(file)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(args)
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a second handle of the log"))
            .stdout(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Server { child, address, folder }
    }

    fn wait_until_it_answers(&mut self, program: &OsStr) {
        let deadline = Instant::now() + START_TIMEOUT;
        while !self.answers() {
            let ended = self.child.try_wait().expect("the state of the server process");
            if ended.is_some() || Instant::now() > deadline {
                let state = ended.map_or("does not answer PING".into(), |status| format!("ended: {status}"));
                panic!("{} {state}; its log:\n{}", program.display(), self.log());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn answers(&self) -> bool {
        let reply = Client::connect(self.address).and_then(|mut client| client.try_call(&["PING"]));
        // A server that requires a password is up as well.
        reply.is_ok_and(|value| match value {
            Value::Simple(text) => text == b"PONG",
            Value::Error(text) => text.starts_with(b"NOAUTH"),
            _ => false,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its working directory, removed when the server is dropped.
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// What it has written to stdout and stderr so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A RESP2 connection.
    pub fn client(&self) -> Client {
        Client::connect(self.address).expect("a connection to the server")
    }

    /// A connection in protocol version `resp` (2 or 3).
    pub fn client_resp(&self, resp: u8) -> Client {
        Client::connect_resp(self.address, resp).expect("a connection to the server")
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the state of the server process").is_none()
    }

    /// Sends the signal of that name (`TERM`, `INT`, ...) to the process.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -s {name} {}", self.pid());
    }

    /// Waits until the process ends by itself; panics after `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> ExitStatus {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.child.try_wait().expect("the state of the server process") {
                return status;
            }
            assert!(Instant::now() < deadline, "the server still runs; its log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only for a process that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A port that nothing listens on. Two servers of one test run never get the same one: with
/// SO_REUSEPORT they would share it in silence. The range lies below the kernel's ephemeral ports, from
/// which clients of other tests could take one between the look and the server's start.
pub fn free_port() -> u16 {
    const FIRST: u32 = 18_000;
    const COUNT: u32 = 14_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let offset = std::process::id().wrapping_mul(101);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = (FIRST + offset.wrapping_add(step) % COUNT) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port from {FIRST} to {}", FIRST + COUNT);
}
