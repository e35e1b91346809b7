//! Commands about connections over the socket, on 1, 2 and 8 shards and in RESP2 and RESP3: what they answer, and what
//! they do to clients whichever core serves those.

mod support;

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use support::client::{Client, TIMEOUT};
use support::resp::Value;
use support::server::Server;

const SHARDS: [&str; 3] = ["1", "2", "8"];
/// The fields of a line of `CLIENT LIST`, in Redis 7.4's order.
const FIELDS: &str = "id addr laddr fd name age idle flags db sub psub ssub multi watch qbuf qbuf-free argv-mem multi-mem rbs rbp \
                      obl oll omem tot-mem events cmd user redir resp lib-name lib-ver";

/// Runs a test on servers of every number of shards, in both protocol versions.
fn everywhere(args: &[&str], test: impl Fn(&Server, u8)) {
    for shards in SHARDS {
        let server = Server::start(&[&["--save", "", "--shards", shards], args].concat());
        [2, 3].into_iter().for_each(|resp| test(&server, resp));
    }
}

fn int(value: Value) -> i64 {
    let Value::Int(n) = value else { panic!("{value} is no number") };
    n
}

fn error(value: Value) -> String {
    let Value::Error(text) = value else { panic!("{value} is no error") };
    String::from_utf8(text).expect("errors are ASCII here")
}

/// The text of a verbatim string, which is a bulk string in RESP2.
fn text(value: Value) -> String {
    let bytes = match value {
        Value::Bulk(bytes) => bytes,
        Value::Verbatim(bytes) => bytes.strip_prefix(b"txt:").expect("a plain text").to_vec(),
        other => panic!("{other} is no text"),
    };
    String::from_utf8(bytes).expect("the text is ASCII here")
}

fn lines(client: &mut Client, request: &[&str]) -> Vec<String> {
    text(client.call(request)).lines().map(str::to_owned).collect()
}

/// One field of a line of `CLIENT LIST`.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let value = line.split(' ').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("no {name} in {line}"))
}

fn client_id(client: &mut Client) -> i64 {
    int(client.call(&["CLIENT", "ID"]))
}

/// The line of one client as another sees it.
fn line_of(viewer: &mut Client, id: i64) -> String {
    lines(viewer, &["CLIENT", "LIST", "ID", &id.to_string()]).pop().expect("the client is listed")
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

/// Connections that reach every core.
fn crowd(server: &Server, resp: u8) -> Vec<Client> {
    (0..16).map(|_| server.client_resp(resp)).collect()
}

/// Restores the databases' emptiness between the two protocol versions.
fn flush(server: &Server) {
    assert_eq!(server.client().call(&["FLUSHALL"]), Value::ok());
}

#[test]
fn simple_commands_and_their_errors() {
    everywhere(&[], |server, resp| {
        let mut c = server.client_resp(resp);
        assert_eq!(c.call(&["PING"]), Value::Simple(b"PONG".to_vec()));
        assert_eq!(c.call(&["ping", "hi"]), Value::bulk("hi"));
        assert_eq!(error(c.call(&["ping", "a", "b"])), "ERR wrong number of arguments for 'ping' command");
        assert_eq!(c.call(&["ECHO", "x"]), Value::bulk("x"));
        for (index, wanted) in [
            ("16", "ERR DB index is out of range"),
            ("-1", "ERR DB index is out of range"),
            ("x", "ERR value is not an integer or out of range"),
            ("99999999999", "ERR value is out of range, value must between -2147483648 and 2147483647"),
        ] {
            assert_eq!(error(c.call(&["SELECT", index])), wanted);
        }
        c.call(&["SET", "k", "zero"]);
        assert_eq!(c.call(&["SELECT", "15"]), Value::ok());
        assert!(c.call(&["GET", "k"]).is_null());
        assert_eq!(c.call(&["SELECT", "0"]), Value::ok());
        assert_eq!(c.call(&["GET", "k"]), Value::bulk("zero"));
        // What comes behind QUIT is not answered.
        c.send_raw(b"QUIT\r\nPING\r\n").unwrap();
        assert_eq!(c.read().unwrap(), Value::ok());
        assert_closed(&mut c);
        flush(server);
    });
}

#[test]
fn hello_negotiates() {
    everywhere(&[], |server, resp| {
        let mut c = server.client();
        let id = client_id(&mut c);
        let reply = c.call(&["HELLO", &resp.to_string(), "SETNAME", "me"]);
        let pairs = match reply {
            Value::Map(pairs) if resp == 3 => pairs,
            Value::Array(items) if resp == 2 => {
                items.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
            }
            other => panic!("HELLO {resp} answered {other}"),
        };
        let wanted = [
            ("server", Value::bulk("redis")),
            ("version", Value::bulk("7.4.1")),
            ("proto", Value::Int(i64::from(resp))),
            ("id", Value::Int(id)),
            ("mode", Value::bulk("standalone")),
            ("role", Value::bulk("master")),
            ("modules", Value::Array(vec![])),
        ]
        .map(|(name, value)| (Value::bulk(name), value));
        assert_eq!(pairs, wanted);
        assert_eq!(c.call(&["CLIENT", "GETNAME"]), Value::bulk("me"));
        for (request, wanted) in [
            (&["HELLO", "4"][..], "NOPROTO unsupported protocol version"),
            (&["HELLO", "x"], "ERR Protocol version is not an integer or out of range"),
            (&["HELLO", "3", "SETNAME"], "ERR Syntax error in HELLO option 'SETNAME'"),
            (
                &["HELLO", "3", "SETNAME", "a b"],
                "ERR Client names cannot contain spaces, newlines or special characters.",
            ),
            (
                &["HELLO", "3", "AUTH", "nobody", "x"],
                "WRONGPASS invalid username-password pair or user is disabled.",
            ),
        ] {
            assert_eq!(error(c.call(request)), wanted);
        }
        // The failures have left the version alone.
        let spelled = if resp == 3 { Value::Null } else { Value::NullBulk };
        assert_eq!(c.call(&["GET", "none"]), spelled);
        assert_eq!(c.call(&["RESET"]), Value::Simple(b"RESET".to_vec()));
        assert_eq!(c.call(&["CLIENT", "GETNAME"]), Value::NullBulk);
    });
}

#[test]
fn passwords() {
    const WRONG: &str = "WRONGPASS invalid username-password pair or user is disabled.";
    everywhere(&["--requirepass", "secret"], |server, resp| {
        let mut c = server.client();
        assert_eq!(error(c.call(&["GET", "k"])), "NOAUTH Authentication required.");
        assert_eq!(error(c.call(&["PING"])), "NOAUTH Authentication required.");
        let resp = resp.to_string();
        assert!(error(c.call(&["HELLO", &resp])).starts_with("NOAUTH HELLO must be called with"));
        for request in
            [&["AUTH", "wrong"][..], &["AUTH", "secre"], &["AUTH", "default", "x"], &["AUTH", "me", "secret"]]
        {
            assert_eq!(error(c.call(request)), WRONG);
        }
        assert_eq!(error(c.call(&["AUTH", "a", "b", "c"])), "ERR syntax error");
        assert_eq!(error(c.call(&["HELLO", &resp, "AUTH", "default", "no"])), WRONG);
        assert!(!c.call(&["HELLO", &resp, "AUTH", "default", "secret"]).is_error());
        assert!(c.call(&["GET", "k"]).is_null());
        assert_eq!(c.call(&["RESET"]), Value::Simple(b"RESET".to_vec()));
        assert_eq!(error(c.call(&["GET", "k"])), "NOAUTH Authentication required.");
        // One packet: what follows AUTH sees its effect.
        c.send_raw(b"AUTH secret\r\nGET k\r\nAUTH default secret\r\n").unwrap();
        let replies = c.read_many(3).unwrap();
        assert_eq!((&replies[0], &replies[2]), (&Value::ok(), &Value::ok()));
        assert!(replies[1].is_null());
    });
    everywhere(&[], |server, resp| {
        let mut c = server.client_resp(resp);
        assert!(error(c.call(&["AUTH", "x"])).starts_with("ERR AUTH <password> called without any password"));
        assert_eq!(c.call(&["AUTH", "default", "whatever"]), Value::ok());
        assert_eq!(error(c.call(&["AUTH", "other", "x"])), WRONG);
    });
}

#[test]
fn a_client_describes_itself() {
    everywhere(&[], |server, resp| {
        let mut c = server.client_resp(resp);
        assert!(c.call(&["CLIENT", "GETNAME"]).is_null());
        for request in [
            &["CLIENT", "SETNAME", "me"][..],
            &["CLIENT", "SETINFO", "lib-name", "lib"],
            &["CLIENT", "SETINFO", "LIB-VER", "1.2"],
            &["CLIENT", "NO-EVICT", "on"],
            &["CLIENT", "NO-TOUCH", "ON"],
            &["SELECT", "3"],
        ] {
            assert_eq!(c.call(request), Value::ok());
        }
        let line = text(c.call(&["client", "info"]));
        let line = line.strip_suffix('\n').expect("a line");
        let names: Vec<&str> = line.split(' ').map(|pair| pair.split('=').next().unwrap()).collect();
        assert_eq!(names, FIELDS.split_whitespace().collect::<Vec<_>>());
        let local = c.local_address().unwrap().to_string();
        let server_address = server.address().to_string();
        let resp = resp.to_string();
        for (name, wanted) in [
            ("addr", local.as_str()),
            ("laddr", &server_address),
            ("name", "me"),
            ("flags", "eT"),
            ("db", "3"),
            ("qbuf", "26"),
            ("argv-mem", "10"),
            ("multi", "-1"),
            ("obl", "0"),
            ("oll", "0"),
            ("omem", "0"),
            ("events", "r"),
            ("cmd", "client|info"),
            ("user", "default"),
            ("redir", "-1"),
            ("resp", &resp),
            ("lib-name", "lib"),
            ("lib-ver", "1.2"),
        ] {
            assert_eq!(field(line, name), wanted, "{name} in {line}");
        }
        assert_ne!(field(line, "fd"), "0");
        for (request, wanted) in [
            (
                &["CLIENT", "SETNAME", "a b"][..],
                "ERR Client names cannot contain spaces, newlines or special characters.",
            ),
            (&["CLIENT", "SETINFO", "lib", "x"], "ERR Unrecognized option 'lib'"),
            (
                &["CLIENT", "SETINFO", "lib-ver", "a\nb"],
                "ERR lib-ver cannot contain spaces, newlines or special characters.",
            ),
            (&["CLIENT", "NO-EVICT", "x"], "ERR syntax error"),
            (&["CLIENT", "NO-TOUCH", "x"], "ERR syntax error"),
            (&["CLIENT", "REPLY", "x"], "ERR syntax error"),
            (&["CLIENT", "PAUSE", "abc"], "ERR timeout is not an integer or out of range"),
            (&["CLIENT", "PAUSE", "-1"], "ERR timeout is negative"),
            (&["CLIENT", "PAUSE", "9223372036854775807"], "ERR timeout is out of range"),
            (&["CLIENT", "PAUSE", "1", "x"], "ERR CLIENT PAUSE mode must be WRITE or ALL"),
            (&["CLIENT", "UNBLOCK", "x"], "ERR value is not an integer or out of range"),
            (&["CLIENT", "UNBLOCK", "1", "x"], "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
        ] {
            assert_eq!(error(c.call(request)), wanted);
        }
        assert_eq!(c.call(&["CLIENT", "UNBLOCK", "1", "error"]), Value::Int(0));
        assert_eq!(c.call(&["CLIENT", "GETREDIR"]), Value::Int(-1));
        let pair = |name: &str, value| (Value::bulk(name), value);
        let (off, none) = (vec![Value::bulk("off")], Value::Array(vec![]));
        let wanted = if resp == "3" {
            Value::Map(vec![
                pair("flags", Value::Set(off)),
                pair("redirect", Value::Int(-1)),
                pair("prefixes", none),
            ])
        } else {
            let (flags, redirect, prefixes) =
                (Value::bulk("flags"), Value::bulk("redirect"), Value::bulk("prefixes"));
            Value::Array(vec![flags, Value::Array(off), redirect, Value::Int(-1), prefixes, none])
        };
        assert_eq!(c.call(&["CLIENT", "TRACKINGINFO"]), wanted);
        let Value::Array(help) = c.call(&["CLIENT", "HELP"]) else { panic!("HELP is a list") };
        assert!(help.len() > 20);
        // An empty name is none; RESET keeps what the library has said.
        assert_eq!(c.call(&["CLIENT", "SETNAME", ""]), Value::ok());
        assert!(c.call(&["CLIENT", "GETNAME"]).is_null());
        c.call(&["RESET"]);
        let line = text(c.call(&["CLIENT", "INFO"]));
        let shown = ["flags", "db", "resp", "lib-name"].map(|name| field(&line, name));
        assert_eq!(shown, ["N", "0", "2", "lib"]);
    });
}

#[test]
fn lists_cover_all_cores() {
    everywhere(&[], |server, resp| {
        let mut clients = crowd(server, resp);
        let ids: Vec<i64> = clients.iter_mut().map(client_id).collect();
        assert!(ids.is_sorted(), "ids are given in the order of connecting");
        let viewer = &mut clients[5];
        let id_of = |line: &String| field(line, "id").parse::<i64>().unwrap();
        // Connections of the test before may still be closing.
        wait_until("only these clients are left", || {
            lines(viewer, &["CLIENT", "LIST"]).iter().map(id_of).eq(ids.iter().copied())
        });
        let shown = lines(viewer, &["CLIENT", "LIST", "TYPE", "normal"]);
        assert_eq!(shown.iter().map(id_of).collect::<Vec<_>>(), ids);
        for none in ["replica", "slave", "master", "PUBSUB"] {
            assert!(lines(viewer, &["CLIENT", "LIST", "TYPE", none]).is_empty());
        }
        let (a, b) = (ids[9].to_string(), ids[2].to_string());
        let shown = lines(viewer, &["CLIENT", "LIST", "ID", &a, "-4", &b, "999999", &a]);
        assert_eq!(shown.iter().map(id_of).collect::<Vec<_>>(), [ids[9], ids[2], ids[9]]);
        assert_eq!(error(viewer.call(&["CLIENT", "LIST", "TYPE", "x"])), "ERR Unknown client type 'x'");
        assert_eq!(error(viewer.call(&["CLIENT", "LIST", "ID", "x"])), "ERR Invalid client ID");
        assert_eq!(error(viewer.call(&["CLIENT", "LIST", "ID"])), "ERR syntax error");
        assert_eq!(error(viewer.call(&["CLIENT", "LIST", "x"])), "ERR syntax error");
    });
}

#[test]
fn killing_reaches_all_cores() {
    everywhere(&[], |server, resp| {
        let mut c = server.client_resp(resp);
        for (request, wanted) in [
            (&["id", "10", "x"][..], "ERR syntax error"),
            (&["id", "str"], "ERR client-id should be greater than 0"),
            (&["id", "0"], "ERR client-id should be greater than 0"),
            (&["type", "x"], "ERR Unknown client type 'x'"),
            (&["user", "x"], "ERR No such user 'x'"),
            (&["skipme", "x"], "ERR syntax error"),
            (&["maxage", "x"], "ERR maxage is not an integer or out of range"),
            (&["maxage", "-1"], "ERR maxage should be greater than 0"),
            (&["127.0.0.1:1"], "ERR No such client"),
        ] {
            let request = [&["CLIENT", "KILL"], request].concat();
            assert_eq!(error(c.call(&request)), wanted, "{request:?}");
        }
        let none = ["CLIENT", "KILL", "MAXAGE", "100000", "SKIPME", "no"];
        assert_eq!(c.call(&none), Value::Int(0));
        assert_eq!(c.call(&["CLIENT", "KILL", "TYPE", "pubsub"]), Value::Int(0));

        for mut victim in crowd(server, resp) {
            let address = victim.local_address().unwrap().to_string();
            let id = client_id(&mut victim).to_string();
            let (request, wanted) = match id.parse::<u64>().unwrap() % 3 {
                0 => (vec!["CLIENT", "KILL", &address], Value::ok()),
                1 => (vec!["CLIENT", "KILL", "ID", &id], Value::Int(1)),
                _ => (vec!["CLIENT", "KILL", "ADDR", &address, "USER", "default"], Value::Int(1)),
            };
            assert_eq!(c.call(&request), wanted);
            assert_closed(&mut victim);
            assert!(lines(&mut c, &["CLIENT", "LIST", "ID", &id]).is_empty());
        }

        let mut others = crowd(server, resp);
        others.iter_mut().for_each(|other| {
            client_id(other);
        });
        let here = server.address().to_string();
        assert_eq!(c.call(&["CLIENT", "KILL", "LADDR", &here]), Value::Int(16));
        others.iter_mut().for_each(assert_closed);

        // Whoever kills itself still gets the reply, and nothing behind it.
        let own = c.local_address().unwrap().to_string();
        c.send_raw(format!("CLIENT KILL ADDR {own} SKIPME no\r\nPING\r\n").as_bytes()).unwrap();
        assert_eq!(c.read().unwrap(), Value::Int(1));
        assert_closed(&mut c);
        let mut c = server.client_resp(resp);
        let own = c.local_address().unwrap().to_string();
        assert_eq!(c.call(&["CLIENT", "KILL", &own]), Value::ok());
        assert_closed(&mut c);
        // Also when it wants no replies.
        let mut c = server.client_resp(resp);
        c.send_raw(b"CLIENT REPLY OFF\r\nCLIENT KILL SKIPME no\r\n").unwrap();
        assert_closed(&mut c);
    });
}

#[test]
fn replies_can_be_switched_off() {
    everywhere(&[], |server, resp| {
        let mut c = server.client_resp(resp);
        let mut exchange = |requests: &str, wanted: &[&str]| {
            c.send_raw(requests.as_bytes()).unwrap();
            let wanted: Vec<Value> = wanted.iter().map(Value::bulk).collect();
            let got: Vec<Value> = (0..wanted.len()).map(|_| c.read().unwrap()).collect();
            let as_bulk = |value| if let Value::Simple(text) = value { Value::Bulk(text) } else { value };
            assert_eq!(got.into_iter().map(as_bulk).collect::<Vec<_>>(), wanted, "{requests:?}");
        };
        exchange("CLIENT REPLY OFF\r\nPING a\r\nnonsense\r\nCLIENT REPLY ON\r\nPING b\r\n", &["OK", "b"]);
        exchange("CLIENT REPLY SKIP\r\nPING a\r\nPING b\r\n", &["b"]);
        exchange("CLIENT REPLY SKIP\r\nCLIENT REPLY SKIP\r\nPING a\r\nPING b\r\n", &["b"]);
        exchange("CLIENT REPLY SKIP\r\nCLIENT REPLY ON\r\nPING a\r\n", &["OK", "a"]);
        exchange(
            "CLIENT REPLY OFF\r\nCLIENT REPLY SKIP\r\nPING a\r\nCLIENT REPLY ON\r\nPING b\r\n",
            &["OK", "b"],
        );
        // Keys of every shard, and commands over several.
        let mut requests = String::new();
        let mut wanted = Vec::new();
        for n in 0..32 {
            requests += &format!("CLIENT REPLY SKIP\r\nSET k{n} x\r\nPING {n}\r\n");
            requests += &format!("CLIENT REPLY SKIP\r\nMGET k{n} k{}\r\nPING m\r\n", n + 1);
            requests += "CLIENT REPLY SKIP\r\nCLIENT LIST\r\n";
            wanted.extend([n.to_string(), "m".into()]);
        }
        requests += "CLIENT REPLY OFF\r\nGET k1\r\nGET k2\r\nGET k3\r\nCLIENT REPLY ON\r\nGET k1\r\n";
        wanted.extend(["OK".into(), "x".into()]);
        exchange(&requests, &wanted.iter().map(String::as_str).collect::<Vec<_>>());
        flush(server);
    });
}

#[test]
fn a_pause_for_writes_lets_reads_pass() {
    everywhere(&[], |server, resp| {
        let mut c = server.client_resp(resp);
        let mut writers = crowd(server, resp);
        let ids: Vec<i64> = writers.iter_mut().map(client_id).collect();
        // The longer pause of the two stays.
        assert_eq!(c.call(&["CLIENT", "PAUSE", "600000", "WRITE"]), Value::ok());
        assert_eq!(c.call(&["CLIENT", "PAUSE", "1", "WRITE"]), Value::ok());
        for (n, writer) in writers.iter_mut().enumerate() {
            writer.send(&["SET", &format!("k{n}"), "v"]).unwrap();
            writer.send(&["GET", &format!("k{n}")]).unwrap();
        }
        for &id in &ids {
            wait_until("the writer waits", || field(&line_of(&mut c, id), "flags") == "b");
        }
        assert!((0..16).all(|n| c.call(&["GET", &format!("k{n}")]).is_null()));
        // Errors are told at once.
        assert_eq!(error(c.call(&["SET", "k"])), "ERR wrong number of arguments for 'set' command");
        assert_eq!(c.call(&["CLIENT", "UNPAUSE"]), Value::ok());
        for writer in &mut writers {
            assert_eq!(writer.read_many(2).unwrap(), [Value::ok(), Value::bulk("v")]);
        }
        flush(server);
    });
}

#[test]
fn a_pause_holds_everything_back_and_ends_by_itself() {
    everywhere(&[], |server, resp| {
        let mut clients = crowd(server, resp);
        clients[0].send_raw(b"CLIENT PAUSE 200\r\n").unwrap();
        assert_eq!(clients[0].read().unwrap(), Value::ok());
        for client in &mut clients {
            client.send_raw(b"PING a\r\nSET k v\r\nCLIENT UNPAUSE\r\n").unwrap();
        }
        for client in &mut clients {
            assert_eq!(client.read_many(3).unwrap(), [Value::bulk("a"), Value::ok(), Value::ok()]);
        }
        flush(server);
    });
}

#[test]
fn keys_do_not_expire_during_a_pause() {
    everywhere(&[], |server, resp| {
        let mut c = server.client_resp(resp);
        let key = |n: i32| format!("k{n}");
        for n in 0..32 {
            c.call(&["SET", &key(n), "v", "PX", "1000"]);
        }
        assert_eq!(c.call(&["CLIENT", "PAUSE", "600000", "WRITE"]), Value::ok());
        wait_until("the keys' time is over", || (0..32).all(|n| c.call(&["GET", &key(n)]).is_null()));
        assert_eq!(c.call(&["DBSIZE"]), Value::Int(32));
        assert!(matches!(c.call(&["RANDOMKEY"]), Value::Bulk(_)), "it must not look for others without end");
        assert_eq!(c.call(&["CLIENT", "UNPAUSE"]), Value::ok());
        wait_until("the keys expire", || c.call(&["DBSIZE"]) == Value::Int(0));
    });
}

#[test]
fn monitors_see_the_commands_of_all_cores() {
    everywhere(&[], |server, resp| {
        let mut monitors: Vec<Client> = crowd(server, resp);
        let mut c = server.client_resp(resp);
        let ids: Vec<i64> = monitors.iter_mut().map(client_id).collect();
        let mut others = crowd(server, resp);
        for monitor in &mut monitors {
            assert_eq!(monitor.call(&["MONITOR"]), Value::ok());
        }
        for &id in &ids {
            assert_eq!(field(&line_of(&mut c, id), "flags"), "O");
        }
        let next = |monitor: &mut Client| {
            let Value::Simple(line) = monitor.read().unwrap() else { panic!("a line is a simple string") };
            String::from_utf8(line).unwrap()
        };
        for (n, other) in others.iter_mut().enumerate() {
            let address = other.local_address().unwrap();
            let (name, n) = (format!("k{n}"), n.to_string());
            // Shown when they are executed; administration, errors before execution and MONITOR itself are not.
            for request in [
                &["SELECT", "2"][..],
                &["CLIENT", "LIST"],
                &["set", &name, "a \"b\"\r\n"],
                &["SET", "k"],
                &["nonsense"],
                &["AUTH", "default", "secret"],
                &["auth", "secret"],
                &["HELLO", "x", "AUTH", "default", "secret"],
                &["MGET", "k0", "k1", "k2", "k3"],
                &["CONFIG", "GET", "port"],
                &["ECHO", &n],
            ] {
                other.call(request);
            }
            let wanted = [
                r#""SELECT" "2""#.to_owned(),
                format!(r#""set" "{name}" "a \"b\"\r\n""#),
                r#""AUTH" "(redacted)" "(redacted)""#.to_owned(),
                r#""auth" "(redacted)""#.to_owned(),
                r#""HELLO" "x" "AUTH" "(redacted)" "(redacted)""#.to_owned(),
                r#""MGET" "k0" "k1" "k2" "k3""#.to_owned(),
                format!(r#""ECHO" "{n}""#),
            ];
            for monitor in &mut monitors {
                for wanted in &wanted {
                    let line = next(monitor);
                    let (time, rest) = line.split_once(' ').expect("a time and a line");
                    assert_eq!(rest, format!("[2 {address}] {wanted}"));
                    assert_eq!(time.split_once('.').expect("microseconds").1.len(), 6);
                }
            }
        }
        let monitor = &mut monitors[3];
        assert_eq!(error(monitor.call(&["GET", "k"])), "ERR Replica can't interact with the keyspace");
        assert_eq!(monitor.call(&["PING"]), Value::Simple(b"PONG".to_vec()));
        assert!(next(monitor).ends_with(r#""PING""#));
        assert_eq!(monitor.call(&["RESET"]), Value::Simple(b"RESET".to_vec()));
        c.call(&["ECHO", "unseen"]);
        assert!(monitor.call(&["GET", "k"]).is_null());
        assert_eq!(field(&line_of(&mut c, ids[3]), "flags"), "N");
        flush(server);
    });
}

#[test]
fn too_many_clients_are_refused() {
    for shards in SHARDS {
        let server = Server::start(&["--save", "", "--shards", shards, "--maxclients", "5"]);
        // The connection that found out whether the server is up may still be closing.
        let mut clients: Vec<Client> = Vec::new();
        wait_until("five clients are served", || {
            let mut client = server.client();
            if client.try_call(&["PING"]).is_ok_and(|reply| !reply.is_error()) {
                clients.push(client);
            }
            clients.len() == 5
        });
        for _ in 0..20 {
            let mut refused = server.client();
            assert_eq!(error(refused.read().unwrap()), "ERR max number of clients reached");
            assert_closed(&mut refused);
        }
        assert_eq!(lines(&mut clients[0], &["CLIENT", "LIST"]).len(), 5);
        clients.pop();
        wait_until("there is room again", || {
            server.client().try_call(&["PING"]).is_ok_and(|reply| !reply.is_error())
        });
    }
}

#[test]
fn idle_clients_are_closed_and_monitors_are_not() {
    everywhere(&["--timeout", "1"], |server, resp| {
        let mut idle = crowd(server, resp);
        let mut monitor = server.client_resp(resp);
        assert_eq!(monitor.call(&["MONITOR"]), Value::ok());
        idle.iter_mut().for_each(assert_closed);
        server.client().call(&["ECHO", "x"]);
        assert!(matches!(monitor.read().unwrap(), Value::Simple(_)));
    });
}

#[test]
fn input_beyond_its_limit_closes_the_client_before_it_runs() {
    let value = "x".repeat(1 << 20);
    everywhere(&["--client-query-buffer-limit", "1mb"], |server, resp| {
        let mut admin = server.client_resp(resp);
        let before = text(admin.call(&["INFO", "stats"]));
        let mut greedy = server.client_resp(resp);
        // The server may close before all is sent.
        let _ = greedy.send(&["SET", "k", &value]);
        assert_closed(&mut greedy);
        assert!(admin.call(&["GET", "k"]).is_null());
        let count = |info: &str| -> u64 {
            let line =
                info.lines().find_map(|line| line.strip_prefix("client_query_buffer_limit_disconnections:"));
            line.expect("the field is there").parse().expect("it is a number")
        };
        let after = text(admin.call(&["INFO", "stats"]));
        assert_eq!(count(&after), count(&before) + 1);
    });
}

#[test]
fn renamed_commands_have_their_new_names_only() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("renamed.conf");
    std::fs::write(&path, "rename-command flushdb badger\nrename-command FLUSHALL \"\"\n")
        .expect("it is ours");
    let server = Server::start(&[path.as_os_str(), "--save".as_ref(), "".as_ref()]);
    let mut client = server.client();
    for gone in ["flushdb", "flushall"] {
        assert!(error(client.call(&[gone])).starts_with("ERR unknown command"), "{gone}");
    }
    assert_eq!(client.call(&["Badger"]), Value::ok());
}
