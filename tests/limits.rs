//! The bounds that an operator sets, and what the server does at them, over real sockets on 1 and 2 shards.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use support::client::{Client, TIMEOUT};
use support::resp::{Value, encode};
use support::server::Server;

fn everywhere(args: &[&str], test: impl Fn(&Server)) {
    for shards in ["1", "2"] {
        let server = Server::start(&[&["--save", "", "--shards", shards], args].concat());
        test(&server);
        // The test's own clients may still be about to leave.
        wait_until("the server answers", || {
            server.client().try_call(&["PING"]).is_ok_and(|reply| reply == Value::Simple(b"PONG".to_vec()))
        });
    }
}

fn frame<T: AsRef<[u8]>>(request: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes, request);
    bytes
}

fn stream(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream
}

fn assert_closed(client: &mut Client) {
    let end = client.read().expect_err("the connection is closed").kind();
    assert!(matches!(end, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{end}");
}

fn set(client: &mut Client, name: &str, value: &str) {
    assert_eq!(client.call(&["CONFIG", "SET", name, value]), Value::ok());
}

/// The part of `INFO` that begins with `name:`.
fn info(client: &mut Client, section: &str, name: &str) -> Option<String> {
    let Value::Bulk(text) = client.call(&["INFO", section]) else { panic!("INFO is a text") };
    let text = String::from_utf8(text).unwrap();
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.to_owned()))
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} does not come true");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn client_query_buffer_limit() {
    everywhere(&[], |server| {
        let mut admin = server.client();
        let mut fitting = server.client();
        let value = vec![b'q'; 900 << 10];
        set(&mut admin, "client-query-buffer-limit", "1mb");
        assert_eq!(fitting.call(&[&b"SET"[..], b"fits", &value]), Value::ok());
        let mut client = server.client();
        // The connection breaks in the middle, so the rest cannot be sent.
        let _ = client.send_raw(&frame(&[&b"SET"[..], b"does not", &vec![b'q'; 3 << 20]]));
        assert_closed(&mut client);
        assert_eq!(admin.call(&["EXISTS", "fits", "does not"]), Value::Int(1));
        assert_eq!(
            info(&mut admin, "stats", "client_query_buffer_limit_disconnections").as_deref(),
            Some("1")
        );
    });
}

/// How many bytes of a reply to `GET big` come when reading begins after `pause`.
fn read_after(server: &Server, pause: Duration) -> usize {
    let mut stream = stream(server);
    stream.write_all(&frame(&["GET", "big"])).unwrap();
    std::thread::sleep(pause);
    let (mut total, mut piece) = (0, vec![0; 256 << 10]);
    while total < BIG_REPLY_BYTES {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => total += n,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}"),
        }
    }
    total
}

const BIG_BYTES: usize = 40 << 20;
/// With its head, of eight digits, and line end.
const BIG_REPLY_BYTES: usize = BIG_BYTES + 1 + 8 + 2 + 2;

#[test]
fn client_output_buffer_limit() {
    everywhere(&[], |server| {
        let mut admin = server.client();
        assert_eq!(admin.call(&[&b"SET"[..], b"big", &vec![b'o'; BIG_BYTES]]), Value::ok());
        let disconnections = |admin: &mut Client| {
            info(admin, "stats", "client_output_buffer_limit_disconnections").expect("INFO counts them")
        };
        assert_eq!(
            read_after(server, Duration::from_millis(300)),
            BIG_REPLY_BYTES,
            "no limit is the default"
        );
        set(&mut admin, "client-output-buffer-limit", "normal 1mb 0 0");
        assert!(read_after(server, Duration::from_millis(300)) < BIG_REPLY_BYTES, "the hard limit");
        assert_eq!(disconnections(&mut admin), "1");
        set(&mut admin, "client-output-buffer-limit", "normal 0 1mb 1");
        assert!(read_after(server, Duration::from_millis(2500)) < BIG_REPLY_BYTES, "the soft limit");
        assert_eq!(disconnections(&mut admin), "2");
        set(&mut admin, "client-output-buffer-limit", "normal 0 1mb 20");
        assert_eq!(
            read_after(server, Duration::from_millis(1500)),
            BIG_REPLY_BYTES,
            "within the soft limit's time"
        );
    });
}

#[test]
fn timeout_ends_idle_clients() {
    everywhere(&[], |server| {
        let mut admin = server.client();
        assert_eq!(admin.call(&[&b"SET"[..], b"big", &vec![b'o'; BIG_BYTES]]), Value::ok());
        set(&mut admin, "timeout", "1");
        let mut idle = server.client();
        let mut stuck = stream(server);
        // More than a socket holds, twice: its second request waits for room.
        stuck.write_all(&frame(&["GET", "big"]).repeat(2)).unwrap();
        // The second client reads all the time, though it takes longer than the time limit.
        let mut slow = stream(server);
        slow.write_all(&frame(&["GET", "big"])).unwrap();
        let mut part = vec![0; 1 << 20];
        for _ in 0..BIG_BYTES >> 20 {
            std::thread::sleep(Duration::from_millis(60));
            assert_eq!(admin.call(&["PING"]), Value::Simple(b"PONG".to_vec()));
            slow.read_exact(&mut part).expect("a client that reads is not idle");
        }
        assert_closed(&mut idle);
        let mut total = 0;
        let end = loop {
            match stuck.read(&mut part) {
                Ok(0) => break ErrorKind::UnexpectedEof,
                Ok(n) => total += n,
                Err(error) => break error.kind(),
            }
        };
        assert_ne!(end, ErrorKind::WouldBlock, "a client that does not read for so long is closed");
        assert!(total < 2 * BIG_REPLY_BYTES);
    });
}

#[test]
fn maxclients() {
    everywhere(&["--maxclients", "3"], |server| {
        let refusal = Value::error("ERR max number of clients reached");
        let mut clients: Vec<Client> = Vec::new();
        wait_until("three places are free", || {
            clients.clear();
            clients = (0..3).map(|_| server.client()).collect();
            clients.iter_mut().all(|client| client.try_call(&["PING"]).is_ok_and(|reply| !reply.is_error()))
        });
        let mut refused = server.client();
        assert_eq!(refused.read().unwrap(), refusal);
        assert_closed(&mut refused);
        set(&mut clients[0], "maxclients", "4");
        assert_eq!(server.client().call(&["PING"]), Value::Simple(b"PONG".to_vec()));
    });
}

#[test]
fn unix_sockets_serve_all_shards() {
    use std::os::unix::fs::PermissionsExt;
    everywhere(&["--unixsocket", "sock", "--unixsocketperm", "700"], |server| {
        let path = server.folder().join("sock");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        for _ in 0..4 {
            let mut stream = UnixStream::connect(&path).unwrap();
            stream.set_read_timeout(Some(TIMEOUT)).unwrap();
            stream.write_all(&frame(&["MSET", "a", "1", "b", "2", "c", "3"])).unwrap();
            stream.write_all(&frame(&["MGET", "a", "b", "c"])).unwrap();
            let wanted = b"+OK\r\n*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n";
            let mut got = vec![0; wanted.len()];
            stream.read_exact(&mut got).unwrap();
            assert_eq!(got, wanted);
        }
    });
}

#[test]
fn connections_are_spread_evenly_over_shards() {
    for shards in [1, 2, 5] {
        let server = Server::start(&["--save", "", "--shards", &shards.to_string()]);
        // The client that looked whether the server is up has gone.
        let mut admin = server.client();
        wait_until("one client", || info(&mut admin, "clients", "connected_clients").as_deref() == Some("1"));
        let clients: Vec<Client> = (0..49).map(|_| server.client()).collect();
        wait_until("all are there", || {
            info(&mut admin, "clients", "connected_clients").as_deref() == Some("50")
        });
        let counts: Vec<usize> = (0..shards)
            .map(|core| {
                let line = info(&mut admin, "corelane", &format!("core{core}")).expect("a line per core");
                line.strip_prefix("clients=").unwrap().split(',').next().unwrap().parse().unwrap()
            })
            .collect();
        assert_eq!(counts.iter().sum::<usize>(), clients.len() + 1);
        let spread = counts.iter().max().unwrap() - counts.iter().min().unwrap();
        assert!(spread <= 2, "{counts:?}");
    }
}

#[test]
fn idle_connections_are_cheap() {
    const COUNT: usize = 5000;
    // This process needs a descriptor per connection too.
    let pid = std::process::id().to_string();
    let raised = std::process::Command::new("prlimit").args(["--pid", &pid, "--nofile=16000:"]).status();
    assert!(raised.is_ok_and(|status| status.success()), "prlimit cannot raise the limit on open files");
    everywhere(&[], |server| {
        let memory = || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
            line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
        };
        let mut admin = server.client();
        // What the first clients and the first commands need, others need no more.
        let warm: Vec<Client> = (0..20).map(|_| server.client()).collect();
        admin.call(&["INFO"]);
        let before = memory();
        let clients: Vec<Client> = (0..COUNT)
            .map(|_| {
                let mut client = server.client();
                assert_eq!(client.call(&["SET", "k", "v"]), Value::ok());
                client
            })
            .collect();
        let each = memory().saturating_sub(before) / COUNT;
        drop((warm, clients));
        assert!(each <= 2048, "an idle connection costs {each} bytes");
    });
}
