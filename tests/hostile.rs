//! What clients send by mistake or malice, over real sockets on 1 and 2 shards: broken frames, huge and tiny pieces, deep
//! pipelines, connections that end early. Each test ends with the server still serving others.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use support::client::{Client, TIMEOUT};
use support::resp::{Value, encode};
use support::rng::Rng;
use support::server::Server;
use support::{Request, request};

fn everywhere(test: impl Fn(&Server)) {
    for shards in ["1", "2"] {
        let server = Server::start(&["--save", "", "--shards", shards]);
        test(&server);
        assert_eq!(server.client().call(&["PING"]), Value::Simple(b"PONG".to_vec()));
    }
}

fn frames<T: AsRef<[u8]>>(requests: &[Vec<T>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    requests.iter().for_each(|request| encode(&mut bytes, request));
    bytes
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} does not come true");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn assert_closed(client: &mut Client) {
    let end = client.read().expect_err("the connection is closed").kind();
    assert!(matches!(end, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{end}");
}

/// Bytes that the server process occupies.
fn resident_bytes(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
}

/// Clients that the server counts as connected.
fn connected(client: &mut Client) -> usize {
    let Value::Bulk(text) = client.call(&["CLIENT", "LIST"]) else { panic!("CLIENT LIST is a text") };
    text.iter().filter(|&&byte| byte == b'\n').count()
}

#[test]
fn random_bytes_do_no_harm() {
    everywhere(|server| {
        let mut rng = Rng::new(7);
        let starts: [&[u8]; 6] = [b"", b"*", b"*3\r\n$3\r\nSET", b"*1\r\n$", b"$5\r\n", b"get \"\\x"];
        for round in 0..300 {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            stream.set_read_timeout(Some(TIMEOUT)).unwrap();
            let mut bytes = starts[round % starts.len()].to_vec();
            bytes.extend((0..rng.below(4000)).map(|_| rng.below(256) as u8));
            // The server may have closed the connection in the middle of either.
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(Shutdown::Write);
            let end = stream.read_to_end(&mut Vec::new());
            assert!(
                end.is_ok() || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset),
                "round {round}: the connection is not closed"
            );
        }
    });
}

#[test]
fn truncated_frames_run_nothing() {
    everywhere(|server| {
        let frame = frames(&[vec!["SET", "truncated", "value"]]);
        for length in 0..frame.len() {
            let mut client = server.client();
            client.send_raw(&frame[..length]).unwrap();
            client.finish_sending().unwrap();
            assert_eq!(client.read_to_close().unwrap(), b"", "{length} bytes of a frame are answered");
        }
        assert_eq!(server.client().call(&["EXISTS", "truncated"]), Value::Int(0));
    });
}

#[test]
fn wrong_lengths_are_protocol_errors() {
    everywhere(|server| {
        for (bytes, wanted) in [
            (&b"*2147483648\r\n"[..], "invalid multibulk length"),
            (b"*99999999999999999999999\r\n", "invalid multibulk length"),
            (b"*x\r\n", "invalid multibulk length"),
            (b"*1\r\n$-1\r\n", "invalid bulk length"),
            (b"*1\r\n$536870913\r\n", "invalid bulk length"),
            (b"*1\r\n$99999999999999999999999\r\n", "invalid bulk length"),
            (b"*1\r\n4\r\n", "expected '$', got '4'"),
            (b"set \"a\r\n", "unbalanced quotes in request"),
        ] {
            let mut client = server.client();
            client.send_raw(&[b"*1\r\n$4\r\nPING\r\n", bytes].concat()).unwrap();
            assert_eq!(client.read().unwrap(), Value::Simple(b"PONG".to_vec()));
            assert_eq!(client.read().unwrap(), Value::error(&format!("ERR Protocol error: {wanted}")));
            assert_closed(&mut client);
        }
        let mut client = server.client();
        client.send_raw(b"*-1\r\n*-100\r\n*0\r\n\r\n*1\r\n$4\r\nPING\r\n").unwrap();
        assert_eq!(client.read().unwrap(), Value::Simple(b"PONG".to_vec()));
    });
}

#[test]
fn claimed_lengths_reserve_no_memory() {
    everywhere(|server| {
        let before = resident_bytes(server);
        let clients: Vec<Client> = (0..100)
            .map(|_| {
                let mut client = server.client();
                client.send_raw(b"*2147483647\r\n$500000000\r\nx").unwrap();
                client
            })
            .collect();
        wait_until("all of them listed", || connected(&mut server.client()) > clients.len());
        let grown = resident_bytes(server).saturating_sub(before);
        assert!(grown < 16 << 20, "100 claims cost {grown} bytes");
    });
}

#[test]
fn arrays_of_100_000_elements() {
    everywhere(|server| {
        let mut client = server.client();
        let keys: Vec<String> = (0..100_000).map(|n| format!("key:{n}")).collect();
        let pairs: Vec<&str> = keys.iter().flat_map(|key| [key.as_str(), key.as_str()]).collect();
        assert_eq!(client.call(&[&["MSET"][..], &pairs].concat()), Value::ok());
        let names: Vec<&str> = keys.iter().map(String::as_str).collect();
        let wanted = Value::Array(keys.iter().map(Value::bulk).collect());
        assert!(client.call(&[&["MGET"][..], &names].concat()) == wanted, "MGET mixes values up");
        // In pieces, each of which ends in the middle of an element.
        let frame = frames(&[[&["DEL"][..], &names].concat()]);
        frame.chunks(1001).for_each(|piece| client.send_raw(piece).unwrap());
        assert_eq!(client.read().unwrap(), Value::Int(100_000));
        let refused = client.call(&[&["PING"][..], &names].concat());
        assert_eq!(refused, Value::error("ERR wrong number of arguments for 'ping' command"));
    });
}

#[test]
fn requests_in_single_bytes() {
    everywhere(|server| {
        let mut client = server.client();
        let requests: Vec<Request> = (0..40)
            .flat_map(|n| {
                let key = format!("tiny:{n}");
                [request(&["SET", &key, "a value"]), request(&["GET", &key])]
            })
            .collect();
        for byte in frames(&requests).chunks(1) {
            client.send_raw(byte).unwrap();
        }
        for _ in 0..40 {
            assert_eq!(client.read().unwrap(), Value::ok());
            assert_eq!(client.read().unwrap(), Value::bulk("a value"));
        }
    });
}

#[test]
fn inline_commands_with_quotes() {
    everywhere(|server| {
        let mut client = server.client();
        client
            .send_raw(
                b"SET  inline \"a \\\"b\\\" \\x41\\n\"\r\nget 'inline'\nset '' 'it\\'s'\r\nget \"\"\r\n",
            )
            .unwrap();
        let replies = client.read_many(4).unwrap();
        assert_eq!(replies, [Value::ok(), Value::bulk("a \"b\" A\n"), Value::ok(), Value::bulk("it's")]);
        client.send_raw(&[b'x'; 70_000]).unwrap();
        assert_eq!(client.read().unwrap(), Value::error("ERR Protocol error: too big inline request"));
    });
}

/// Sends `bytes` from a second thread, so that a flood larger than the socket buffers does not wait for itself.
fn send_aside(stream: &TcpStream, bytes: Vec<u8>) -> std::thread::JoinHandle<()> {
    let mut writer = stream.try_clone().unwrap();
    std::thread::spawn(move || {
        writer.set_write_timeout(Some(3 * TIMEOUT)).unwrap();
        writer.write_all(&bytes).unwrap();
    })
}

/// A connection on which nothing is read unless a test does so.
fn stream(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream
}

/// Reads exactly `wanted` and fails at the first byte that differs.
fn expect_bytes(stream: &mut TcpStream, wanted: &[u8], what: &str) {
    let mut got = vec![0; 256 << 10];
    for (n, part) in wanted.chunks(got.len()).enumerate() {
        let got = &mut got[..part.len()];
        stream.read_exact(got).unwrap_or_else(|error| panic!("{what}: {error} in part {n}"));
        assert!(got == part, "{what}: part {n} differs");
    }
}

fn bulk(value: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat()
}

/// Values of `bytes` bytes and a few more under keys that lie on both shards; no two are alike.
fn fill(server: &Server, count: usize, bytes: usize) -> Vec<Vec<u8>> {
    let mut client = server.client();
    let values: Vec<Vec<u8>> = (0..count).map(|n| vec![b'a' + (n % 26) as u8; bytes + n]).collect();
    for (n, value) in values.iter().enumerate() {
        let key = format!("big:{n}");
        assert_eq!(client.call(&[b"SET", key.as_bytes(), value]), Value::ok());
    }
    values
}

/// Everything that was sent before the client closed its sending side is answered, whatever it has to wait for: other
/// shards, room in the socket, a transaction. Then the server closes.
#[test]
fn half_closed_connections_get_all_replies() {
    everywhere(|server| {
        let values = fill(server, 6, 3 << 20);
        let mut wanted = Vec::new();
        let mut requests = Vec::new();
        for (n, value) in values.iter().enumerate() {
            requests.push(request(&["GET", &format!("big:{n}")]));
            wanted.extend(bulk(value));
            requests.push(request(&["MSET", "x", "1", "y", "2", "z", "3"]));
            wanted.extend(b"+OK\r\n");
            requests.push(request(&["CLIENT", "LIST", "ID", "0"]));
            wanted.extend(b"$0\r\n\r\n");
        }
        let mut stream = stream(server);
        stream.write_all(&frames(&requests)).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        // By now the server has seen the end, and cannot have sent more than the sockets hold.
        std::thread::sleep(Duration::from_millis(200));
        expect_bytes(&mut stream, &wanted, "a half-closed connection");
        assert_eq!(stream.read(&mut [0; 16]).unwrap(), 0, "the server closes when all is answered");
        wait_until("the client is gone", || connected(&mut server.client()) == 1);
    });
}

/// 300 MB of replies that nobody reads are not held in memory; they are made when they can be sent.
#[test]
fn clients_that_do_not_read_cost_bounded_memory() {
    everywhere(|server| {
        let values = fill(server, 10, 100_000);
        let before = resident_bytes(server);
        let mut requests = Vec::new();
        for n in 0..3000 {
            requests.push(request(&["GET", &format!("big:{}", n % 10)]));
        }
        let mut stream = stream(server);
        let sender = send_aside(&stream, frames(&requests));
        let mut peak = 0;
        let mut other = server.client();
        for _ in 0..40 {
            std::thread::sleep(Duration::from_millis(25));
            assert!(!other.call(&["INCR", "served"]).is_error());
            peak = peak.max(resident_bytes(server));
        }
        let grown = peak.saturating_sub(before);
        assert!(grown < 64 << 20, "unread replies cost {grown} bytes");
        for n in 0..3000 {
            expect_bytes(&mut stream, &bulk(&values[n % 10]), &format!("reply {n}"));
        }
        sender.join().unwrap();
    });
}

/// Requests are not taken in without end either while their replies are not read.
#[test]
fn floods_of_unread_requests_cost_bounded_memory() {
    everywhere(|server| {
        const COUNT: usize = 1_500_000;
        let before = resident_bytes(server);
        let mut stream = stream(server);
        let text = "0123456789abcdef0123456789abcdef";
        let one = frames(&[vec!["ECHO", text]]);
        let sender = send_aside(&stream, one.repeat(COUNT));
        let (mut peak, mut other) = (0, server.client());
        for _ in 0..40 {
            std::thread::sleep(Duration::from_millis(25));
            other.call(&["PING"]);
            peak = peak.max(resident_bytes(server));
        }
        let grown = peak.saturating_sub(before);
        assert!(grown < 24 << 20, "a flood that is not read costs {grown} bytes");
        expect_bytes(&mut stream, &bulk(text.as_bytes()).repeat(COUNT), "a flood");
        sender.join().unwrap();
    });
}

#[test]
fn slow_readers_of_big_values_hold_nobody_up() {
    everywhere(|server| {
        let value = vec![b's'; 50 << 20];
        let mut other = server.client();
        assert_eq!(other.call(&[&b"SET"[..], b"slow", &value]), Value::ok());
        let mut stream = stream(server);
        stream.write_all(&frames(&[vec!["GET", "slow"], vec!["PING"]])).unwrap();
        let wanted = [bulk(&value), b"+PONG\r\n".to_vec()].concat();
        for part in wanted.chunks(1 << 20) {
            std::thread::sleep(Duration::from_millis(10));
            other.call(&["SET", "slow", "another"]);
            expect_bytes(&mut stream, part, "a slow reader");
        }
    });
}

#[test]
fn values_of_200_megabytes_come_back() {
    everywhere(|server| {
        let mut value = vec![b'v'; 200 << 20];
        value.iter_mut().step_by(4093).enumerate().for_each(|(n, byte)| *byte = n as u8);
        let mut stream = stream(server);
        for key in ["first", "second"] {
            stream.write_all(&frames(&[vec![&b"SET"[..], key.as_bytes(), &value]])).unwrap();
            expect_bytes(&mut stream, b"+OK\r\n", "SET");
            stream.write_all(&frames(&[vec!["GET", key]])).unwrap();
            expect_bytes(&mut stream, &bulk(&value), "GET");
            stream.write_all(&frames(&[vec!["DEL", key]])).unwrap();
            expect_bytes(&mut stream, b":1\r\n", "DEL");
        }
    });
}

/// Commands of one shard, of the other, of both and of none, in one stream that is sent at once.
#[test]
fn pipelines_of_100_000_commands_are_answered_in_order() {
    everywhere(|server| {
        let mut requests = Vec::new();
        let mut wanted = Vec::new();
        for n in 0..20_000 {
            let (key, other) = (format!("k{}", n % 1000), format!("k{}", (n + 1) % 1000));
            let value = format!("value {n}");
            requests.push(request(&["SET", &key, &value]));
            wanted.push(Value::ok());
            requests.push(request(&["GET", &key]));
            wanted.push(Value::bulk(&value));
            requests.push(request(&["ECHO", &value]));
            wanted.push(Value::bulk(&value));
            requests.push(request(&["MSET", &other, "both", &key, &value]));
            wanted.push(Value::ok());
            requests.push(request(&["MGET", &key, &other]));
            wanted.push(Value::Array(vec![Value::bulk(&value), Value::bulk("both")]));
        }
        let replies = server.client().pipeline(&requests).unwrap();
        let wrong = replies.iter().zip(&wanted).position(|(reply, wanted)| reply != wanted);
        assert_eq!(wrong.map(|at| (at, &replies[at], &wanted[at])), None);
    });
}

#[test]
fn clients_that_vanish_with_commands_under_way() {
    everywhere(|server| {
        let values = fill(server, 4, 50_000);
        let requests: Vec<Vec<String>> = (0..50)
            .flat_map(|n| {
                [
                    vec![
                        "MSET".into(),
                        "x".into(),
                        n.to_string(),
                        "y".into(),
                        n.to_string(),
                        "z".into(),
                        n.to_string(),
                    ],
                    vec!["GET".into(), format!("big:{}", n % 4)],
                    vec!["MGET".into(), "x".into(), "y".into(), "z".into()],
                    vec!["RENAME".into(), "x".into(), "y".into()],
                ]
            })
            .collect();
        let bytes = frames(&requests);
        for n in 0..1000 {
            let mut stream = stream(server);
            stream.write_all(&bytes).unwrap();
            if n % 3 == 0 {
                stream
                    .read_exact(&mut [0; 1])
                    .unwrap_or_else(|error| panic!("client {n}: {error}\n{}", server.log()));
            }
        }
        let mut client = server.client();
        wait_until("the clients are gone", || connected(&mut client) == 1);
        // Nobody holds keys any more.
        for (n, value) in values.iter().enumerate() {
            assert_eq!(client.call(&["GET", &format!("big:{n}")]), Value::bulk(value));
        }
        assert_eq!(client.call(&["MSET", "x", "1", "y", "2", "z", "3"]), Value::ok());
        assert_eq!(client.call(&["RENAME", "x", "y"]), Value::ok());
        assert_eq!(client.call(&["GET", "y"]), Value::bulk("1"));
    });
}

/// A frame that is not complete when its turn comes is read on: it had been left half read while a command before it
/// was under way over several shards.
#[test]
fn big_frames_behind_waiting_commands_are_read_to_their_end() {
    everywhere(|server| {
        let value = vec![b'b'; 8 << 20];
        let mut client = server.client();
        for _ in 0..5 {
            let mut requests = Vec::new();
            for _ in 0..200 {
                requests.push(vec![&b"MSET"[..], b"x", b"1", b"y", b"2", b"z", b"3"]);
            }
            requests.push(vec![b"SET", b"behind", &value]);
            client.send_raw(&frames(&requests)).unwrap();
            assert!(client.read_many(201).unwrap().iter().all(|reply| *reply == Value::ok()));
        }
        assert_eq!(client.call(&["STRLEN", "behind"]), Value::Int(8 << 20));
    });
}

/// A command for a shard to which very much is on its way already waits for that to go out, not for ever.
#[test]
fn commands_behind_a_full_outbox_go_on() {
    let server = Server::start(&["--save", "", "--shards", "2"]);
    let value = vec![b'o'; 20 << 20];
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (server, value) = (&server, &value);
            scope.spawn(move || {
                let mut client = server.client();
                for round in 0..6 {
                    let key = format!("{number}:{round}");
                    client.send(&[&b"SET"[..], key.as_bytes(), value]).unwrap();
                    assert_eq!(client.read().unwrap(), Value::ok());
                    assert_eq!(client.call(&["DEL", &key]), Value::Int(1));
                }
            });
        }
        for number in 0..16 {
            let server = &server;
            scope.spawn(move || {
                let mut client = server.client();
                for round in 0..300 {
                    let key = format!("small:{number}:{round}");
                    assert_eq!(client.call(&["SET", &key, "v"]), Value::ok());
                }
            });
        }
    });
}
