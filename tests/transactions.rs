//! `MULTI`, `EXEC`, `DISCARD`, `WATCH` and `UNWATCH` over the socket, on 1, 2 and 8 shards and in RESP2 and RESP3: what is
//! queued and refused, what runs, what others see of it, and which changes of a watched key count.

mod support;

use std::io::ErrorKind;
use std::time::Duration;

use support::client::{Client, await_that};
use support::resp::Value;
use support::server::Server;

const ABORTED: &str = "EXECABORT Transaction discarded because of previous errors.";
const NOT_ALLOWED: &str = "ERR Command not allowed inside a transaction";
const NO_NUMBER: &str = "ERR value is not an integer or out of range";
const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

/// Runs a test on servers of every number of shards, in both protocol versions.
fn everywhere(args: &[&str], test: impl Fn(&Server, u8)) {
    for shards in ["1", "2", "8"] {
        let server = Server::start(&[&["--save", "", "--shards", shards], args].concat());
        for resp in [2, 3] {
            test(&server, resp);
            server.client().call(&["FLUSHALL"]);
        }
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn call(client: &mut Client, line: &str) -> Value {
    client.call(&words(line))
}

fn send(client: &mut Client, lines: &[&str]) {
    lines.iter().for_each(|line| client.send(&words(line)).expect("the command is sent"));
}

/// Sends everything at once and returns all replies.
fn pipeline(client: &mut Client, lines: &[&str]) -> Vec<Value> {
    send(client, lines);
    client.read_many(lines.len()).expect("every command is answered")
}

/// Runs a transaction and returns the reply to `EXEC`.
fn exec(client: &mut Client, lines: &[&str]) -> Value {
    let mut replies = pipeline(client, &[&["MULTI"], lines, &["EXEC"]].concat());
    let last = replies.pop().expect("EXEC is answered");
    assert_eq!(replies.remove(0), Value::ok());
    assert!(replies.iter().all(|reply| *reply == queued()), "{replies:?}");
    last
}

fn queued() -> Value {
    Value::Simple(b"QUEUED".to_vec())
}

fn array(values: &[Value]) -> Value {
    Value::Array(values.to_vec())
}

fn bulks(texts: &[&str]) -> Value {
    Value::Array(texts.iter().map(Value::bulk).collect())
}

fn pong() -> Value {
    Value::Simple(b"PONG".to_vec())
}

/// What `EXEC` answers when a watched key has changed.
fn refused(resp: u8) -> Value {
    if resp == 3 { Value::Null } else { Value::NullArray }
}

fn text(value: Value) -> String {
    let bytes = match value {
        Value::Bulk(bytes) => bytes,
        Value::Verbatim(bytes) => bytes.strip_prefix(b"txt:").expect("a plain text").to_vec(),
        other => panic!("{other} is no text"),
    };
    String::from_utf8(bytes).expect("the text is ASCII here")
}

fn int(value: Value) -> i64 {
    let Value::Int(n) = value else { panic!("{value} is no number") };
    n
}

/// One figure of `INFO`.
fn figure(client: &mut Client, name: &str) -> String {
    let info = text(client.call(&["INFO", "everything"]));
    let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {name} in {info}")).to_string()
}

/// Waits until a figure of `INFO` is as it should be.
fn wait_for(client: &mut Client, name: &str, value: &str) {
    let found = (0..5000).any(|_| {
        let there = figure(client, name) == value;
        if !there {
            std::thread::sleep(Duration::from_millis(2));
        }
        there
    });
    assert!(found, "{name} is never {value}");
}

#[test]
fn all_commands_run_in_their_order_and_replies_come_together() {
    everywhere(&[], |server, resp| {
        let mut client = server.client_resp(resp);
        let null = if resp == 3 { Value::Null } else { Value::NullBulk };
        let replies = exec(
            &mut client,
            &[
                "MSET a 1 b 2 c 3",
                "INCR a",
                "GET nothing",
                "MGET a b c",
                "RENAME a z",
                "EXISTS a z",
                "DEL b c",
            ],
        );
        let got = bulks(&["2", "2", "3"]);
        let expected = [Value::ok(), Value::Int(2), null, got, Value::ok(), Value::Int(1), Value::Int(2)];
        assert_eq!(replies, array(&expected));
        assert_eq!(exec(&mut client, &[]), array(&[]));
        let whole = ["DBSIZE", "KEYS *", "RANDOMKEY", "FLUSHDB", "DBSIZE", "SET k v", "SWAPDB 0 1"];
        let Value::Array(replies) = exec(&mut client, &whole) else { panic!("it has run") };
        assert_eq!(
            replies[..5],
            [Value::Int(1), bulks(&["z"]), Value::bulk("z"), Value::ok(), Value::Int(0)]
        );
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|name| format!("OBJECT ENCODING {name}"));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let looks =
            exec(&mut client, &[&["KEYS *", "MSET a 1 b 2 c 3 d 4 e 5 f 6 g 7 h 8"], &names[..]].concat());
        let Value::Array(looks) = looks else { panic!("it has run") };
        assert_eq!(looks[2..], vec![Value::bulk("int"); 8]);
        let twice = exec(&mut client, &["SELECT 1", "GET k", "SELECT 0", "EXISTS k"]);
        assert_eq!(twice, array(&[Value::ok(), Value::bulk("v"), Value::ok(), Value::Int(0)]));
        call(&mut client, "FLUSHALL");
    });
}

#[test]
fn errors_while_it_runs_end_nothing() {
    everywhere(&[], |server, resp| {
        let mut client = server.client_resp(resp);
        let replies = exec(&mut client, &["SET a x", "INCR a", "LPUSH a 1", "RENAME no a", "SET b 1"]);
        let errors = [NO_NUMBER, WRONG_TYPE, "ERR no such key"].map(Value::error);
        let [first, second, third] = errors;
        assert_eq!(replies, array(&[Value::ok(), first, second, third, Value::ok()]));
        assert_eq!(call(&mut client, "MGET a b"), bulks(&["x", "1"]));
    });
}

#[test]
fn what_cannot_be_queued_aborts() {
    everywhere(&[], |server, resp| {
        let mut client = server.client_resp(resp);
        let refusals = [
            ("NOPE", "ERR unknown command 'NOPE', with args beginning with: "),
            ("SET a", "ERR wrong number of arguments for 'set' command"),
            ("CLIENT NOPE", "ERR unknown subcommand 'NOPE'. Try CLIENT HELP."),
            ("CLIENT", "ERR wrong number of arguments for 'client' command"),
            ("MULTI x", "ERR wrong number of arguments for 'multi' command"),
            ("WATCH", "ERR wrong number of arguments for 'watch' command"),
            ("DISCARD x", "ERR wrong number of arguments for 'discard' command"),
            ("SHUTDOWN NOSAVE", NOT_ALLOWED),
        ];
        for (line, refusal) in refusals {
            let replies = pipeline(&mut client, &["MULTI", "SET a 1", line, "SET b 1", "EXEC", "EXISTS a b"]);
            let expected = [
                Value::ok(),
                queued(),
                Value::error(refusal),
                queued(),
                Value::error(ABORTED),
                Value::Int(0),
            ];
            assert_eq!(replies, expected, "{line}");
        }
        assert_eq!(call(&mut client, "EXEC"), Value::error("ERR EXEC without MULTI"));
        assert_eq!(call(&mut client, "DISCARD"), Value::error("ERR DISCARD without MULTI"));
    });
}

#[test]
fn exec_with_arguments_ends_a_transaction() {
    everywhere(&[], |server, resp| {
        let mut client = server.client_resp(resp);
        let refusal = Value::error(
            "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command",
        );
        let replies = pipeline(&mut client, &["EXEC x", "MULTI", "SET a 1", "EXEC x", "EXEC", "EXISTS a"]);
        let without = Value::error("ERR EXEC without MULTI");
        assert_eq!(replies, [refusal.clone(), Value::ok(), queued(), refusal, without, Value::Int(0)]);
    });
}

#[test]
fn nested_multi_and_watch_are_refused_and_abort_nothing() {
    everywhere(&[], |server, resp| {
        let mut client = server.client_resp(resp);
        let replies = pipeline(&mut client, &["MULTI", "MULTI", "WATCH a b c", "SET a 1", "EXEC"]);
        let expected = [
            Value::ok(),
            Value::error("ERR MULTI calls can not be nested"),
            Value::error("ERR WATCH inside MULTI is not allowed"),
            queued(),
            array(&[Value::ok()]),
        ];
        assert_eq!(replies, expected);
    });
}

#[test]
fn discard_reset_and_quit_forget_everything() {
    everywhere(&[], |server, resp| {
        let mut client = server.client_resp(resp);
        let mut viewer = server.client();
        for end in ["DISCARD", "RESET"] {
            let replies = pipeline(&mut client, &["WATCH a b c d", "MULTI", "SET a 1", end, "EXISTS a"]);
            assert_eq!(replies[1..3], [Value::ok(), queued()]);
            let reply = if end == "RESET" { Value::Simple(b"RESET".to_vec()) } else { Value::ok() };
            assert_eq!(replies[3..], [reply, Value::Int(0)]);
            // Nothing is watched any more.
            call(&mut viewer, "MSET a 2 b 2 c 2 d 2");
            assert_eq!(exec(&mut client, &["PING"]), array(&[pong()]));
            call(&mut viewer, "FLUSHALL");
        }
        let replies = pipeline(&mut client, &["MULTI", "SET a 1", "QUIT"]);
        assert_eq!(replies, [Value::ok(), queued(), Value::ok()]);
        assert_eq!(client.read().map_err(|error| error.kind()), Err(ErrorKind::UnexpectedEof));
        assert_eq!(call(&mut viewer, "EXISTS a"), Value::Int(0));
    });
}

#[test]
fn blocking_commands_answer_at_once() {
    everywhere(&[], |server, resp| {
        let mut client = server.client_resp(resp);
        let lines = [
            "BLPOP l 0",
            "BLMOVE l m LEFT LEFT 0",
            "BRPOPLPUSH l m 0",
            "BLMPOP 0 1 l LEFT",
            "BZPOPMIN z 0",
            "BZMPOP 0 2 z zz MIN",
            "XREAD BLOCK 0 STREAMS s $",
            "RPUSH l 1",
            "BLMOVE l m LEFT LEFT 0",
            "BLPOP l m 0",
        ];
        let Value::Array(replies) = exec(&mut client, &lines) else { panic!("it has run") };
        let nulls = match resp {
            3 => [const { Value::Null }; 7],
            _ => [
                Value::NullArray,
                Value::NullBulk,
                Value::NullBulk,
                Value::NullArray,
                Value::NullArray,
                Value::NullArray,
                Value::NullArray,
            ],
        };
        assert_eq!(replies[..7], nulls);
        assert_eq!(replies[7..], [Value::Int(1), Value::bulk("1"), bulks(&["m", "1"])]);
        assert_eq!(call(&mut client, "DBSIZE"), Value::Int(0));
    });
}

#[test]
fn waiters_are_served_when_a_transaction_is_over() {
    everywhere(&[], |server, resp| {
        let mut client = server.client_resp(resp);
        let mut waiters: Vec<Client> = (0..3)
            .map(|n| {
                let mut waiter = server.client();
                send(&mut waiter, &["BLPOP l gone 0"]);
                wait_for(&mut client, "blocked_clients", &(n + 1).to_string());
                waiter
            })
            .collect();
        let replies = exec(&mut client, &["RPUSH l a", "RPUSH gone x", "LPUSH l b", "DEL gone", "LLEN l"]);
        assert_eq!(replies, array(&[1, 1, 2, 1, 2].map(Value::Int)));
        for (waiter, element) in waiters.iter_mut().zip(["b", "a"]) {
            assert_eq!(waiter.read().expect("it is served"), bulks(&["l", element]));
        }
        wait_for(&mut client, "blocked_clients", "1");
        assert_eq!(call(&mut client, "DBSIZE"), Value::Int(0));
        drop(waiters);
        wait_for(&mut client, "blocked_clients", "0");
    });
}

#[test]
fn commands_about_the_session_take_effect_as_they_run() {
    everywhere(&[], |server, resp| {
        let mut client = server.client_resp(resp);
        let id = call(&mut client, "CLIENT ID");
        let lines = [
            "SELECT 3",
            "SET here 1",
            "CLIENT SETNAME me",
            "CLIENT GETNAME",
            "CLIENT ID",
            "CLIENT LIST",
            "INCR here",
            "CLIENT INFO",
            "INFO keyspace",
            "CONFIG GET databases",
            "PING hello",
        ];
        let Value::Array(mut replies) = exec(&mut client, &lines) else { panic!("it has run") };
        assert_eq!(replies[..5], [Value::ok(), Value::ok(), Value::ok(), Value::bulk("me"), id]);
        assert_eq!(replies[6], Value::Int(2));
        assert_eq!(replies.pop(), Some(Value::bulk("hello")));
        assert!(text(replies[5].clone()).contains(" name=me "));
        assert!(
            text(replies[7].clone()).contains(" name=me ") && text(replies[7].clone()).contains(" db=3 ")
        );
        assert!(text(replies[8].clone()).contains("db3:keys=1"), "{}", replies[8]);
        assert_eq!(call(&mut client, "GET here"), Value::bulk("2"), "the database stays selected");
        let other = if resp == 3 { 2 } else { 3 };
        let Value::Array(replies) =
            exec(&mut client, &["GET nothing", &format!("HELLO {other}"), "GET nothing"])
        else {
            panic!("it has run")
        };
        let nulls = [Value::NullBulk, Value::Null];
        let at = usize::from(resp == 3);
        assert_eq!([&replies[0], &replies[2]], [&nulls[at], &nulls[1 - at]]);
    });
}

#[test]
fn others_see_who_is_in_a_transaction() {
    everywhere(&[], |server, resp| {
        let (mut client, mut viewer) = (server.client_resp(resp), server.client());
        let line = |viewer: &mut Client, id: &Value| {
            text(viewer.call(&["CLIENT", "LIST", "ID", &id.to_string()[1..]]))
        };
        let id = call(&mut client, "CLIENT ID");
        assert!(line(&mut viewer, &id).contains(" multi=-1 watch=0 "));
        pipeline(&mut client, &["WATCH a b a", "MULTI", "SET a 1"]);
        let seen = line(&mut viewer, &id);
        assert!(seen.contains(" flags=x ") && seen.contains(" multi=1 watch=2 "), "{seen}");
        call(&mut client, "DISCARD");
        assert!(line(&mut viewer, &id).contains(" multi=-1 watch=0 "));
    });
}

#[test]
fn muted_clients_run_transactions() {
    everywhere(&[], |server, resp| {
        let mut client = server.client_resp(resp);
        send(&mut client, &["CLIENT REPLY OFF", "MULTI", "SET a 1", "SET b 2", "EXEC", "CLIENT REPLY ON"]);
        assert_eq!(client.read().expect("a reply"), Value::ok());
        assert_eq!(call(&mut client, "MGET a b"), bulks(&["1", "2"]));
        send(&mut client, &["CLIENT REPLY SKIP", "MULTI", "SET a 3"]);
        assert_eq!(client.read().expect("a reply"), queued());
        send(&mut client, &["EXEC", "CLIENT REPLY SKIP", "MULTI", "SET b 4"]);
        assert_eq!(client.read().expect("a reply"), array(&[Value::ok()]));
        assert_eq!(client.read().expect("a reply"), queued());
        assert_eq!(call(&mut client, "EXEC"), array(&[Value::ok()]));
        assert_eq!(call(&mut client, "MGET a b"), bulks(&["3", "4"]));
        // Mutes its own transaction, too. Redis sends the head of an array and what was before; nobody can use that.
        send(
            &mut client,
            &["MULTI", "SET a 5", "CLIENT REPLY OFF", "SET b 6", "EXEC", "GET a", "CLIENT REPLY ON"],
        );
        let replies = client.read_many(5).expect("replies");
        assert_eq!(replies, [Value::ok(), queued(), queued(), queued(), Value::ok()]);
        assert_eq!(call(&mut client, "MGET a b"), bulks(&["5", "6"]));
    });
}

#[test]
fn a_pause_of_writes_holds_transactions_that_write() {
    everywhere(&[], |server, resp| {
        let (mut writer, mut reader, mut viewer) =
            (server.client_resp(resp), server.client_resp(resp), server.client());
        pipeline(&mut writer, &["SET a 0", "MULTI", "SET a 1", "SET b 1"]);
        pipeline(&mut reader, &["MULTI", "MGET a b"]);
        call(&mut viewer, "CLIENT PAUSE 100000 WRITE");
        send(&mut writer, &["EXEC"]);
        wait_for(&mut viewer, "blocked_clients", "1");
        let before = Value::Array(vec![Value::bulk("0"), Value::NullBulk]);
        assert_eq!(call(&mut viewer, "MGET a b"), before);
        let Value::Array(seen) = call(&mut reader, "EXEC") else { panic!("it has run") };
        assert_eq!(seen[0].clone().with_one_null(), before.with_one_null());
        call(&mut viewer, "CLIENT UNPAUSE");
        assert_eq!(writer.read().expect("a reply"), array(&[Value::ok(), Value::ok()]));
        assert_eq!(call(&mut viewer, "MGET a b"), bulks(&["1", "1"]));
    });
}

#[test]
fn monitors_see_commands_as_they_run() {
    everywhere(&[], |server, resp| {
        let (mut monitor, mut client) = (server.client(), server.client_resp(resp));
        assert_eq!(call(&mut monitor, "MONITOR"), Value::ok());
        for lines in [&["SET a 1", "SET b 2"][..], &["NOPE"], &["SELECT 0", "KEYS *"]] {
            send(&mut client, &[&["MULTI"], lines, &["EXEC"]].concat());
            client.read_many(lines.len() + 2).expect("all are answered");
        }
        pipeline(&mut client, &["MULTI", "SET a 1", "DISCARD", "WATCH a b", "UNWATCH"]);
        let commands = [
            r#""MULTI""#,
            r#""SET" "a" "1""#,
            r#""SET" "b" "2""#,
            r#""EXEC""#,
            r#""MULTI""#,
            r#""EXEC""#,
            r#""MULTI""#,
            r#""SELECT" "0""#,
            r#""KEYS" "*""#,
            r#""EXEC""#,
            r#""MULTI""#,
            r#""DISCARD""#,
            r#""WATCH" "a" "b""#,
            r#""UNWATCH""#,
        ];
        for command in commands {
            let Ok(Value::Simple(line)) = monitor.read() else { panic!("a line about {command}") };
            let line = String::from_utf8(line).expect("the line is ASCII");
            assert_eq!(line.split_once("] ").map(|(_, command)| command), Some(command));
        }
    });
}

#[test]
fn the_slow_log_and_the_counts_hold_the_commands_and_not_exec() {
    everywhere(&["--slowlog-log-slower-than", "0"], |server, resp| {
        let mut client = server.client_resp(resp);
        call(&mut client, "CONFIG RESETSTAT");
        call(&mut client, "SLOWLOG RESET");
        exec(&mut client, &["SET a 1", "MGET a b", "LPUSH a x"]);
        let Value::Array(entries) = call(&mut client, "SLOWLOG GET 10") else { panic!("a list of entries") };
        let logged: Vec<&Value> = entries
            .iter()
            .map(|entry| match entry {
                Value::Array(fields) => &fields[3],
                other => panic!("{other} is no entry"),
            })
            .collect();
        let lines = ["LPUSH a x", "MGET a b", "SET a 1", "MULTI"];
        let expected: Vec<Value> = lines.iter().map(|line| bulks(&words(line))).collect();
        assert_eq!(logged[..4], expected.iter().collect::<Vec<_>>());
        let calls = |client: &mut Client, name: &str| figure(client, &format!("cmdstat_{name}"));
        for name in ["multi", "exec", "set", "mget"] {
            assert!(calls(&mut client, name).starts_with("calls=1,"), "{name}");
            assert!(calls(&mut client, name).ends_with("rejected_calls=0,failed_calls=0"), "{name}");
        }
        assert!(calls(&mut client, "lpush").ends_with("rejected_calls=0,failed_calls=1"));
        assert_eq!(figure(&mut client, "errorstat_WRONGTYPE"), "count=1");
        pipeline(&mut client, &["MULTI", "NOPE", "EXEC", "EXEC"]);
        assert!(calls(&mut client, "exec").ends_with("rejected_calls=0,failed_calls=2"));
        assert_eq!(figure(&mut client, "errorstat_EXECABORT"), "count=1");
    });
}

#[test]
fn queued_commands_count_as_input() {
    everywhere(&["--client-query-buffer-limit", "1mb"], |server, resp| {
        let (mut client, mut viewer) = (server.client_resp(resp), server.client());
        assert_eq!(call(&mut client, "MULTI"), Value::ok());
        let value = "v".repeat(100_000);
        let closed = (0..40).any(|_| client.try_call(&["SET", "a", &value]).is_err());
        assert!(closed, "4 MB are queued");
        assert_eq!(call(&mut viewer, "EXISTS a"), Value::Int(0));
        assert_eq!(call(&mut viewer, "PING"), pong());
    });
}

#[test]
fn who_leaves_in_the_middle_leaves_nothing_behind() {
    everywhere(&[], |server, resp| {
        let mut viewer = server.client();
        for lines in [&["WATCH a b c d"][..], &["WATCH a b c d", "MULTI", "SET a 1", "SET b 2"]] {
            let mut client = server.client_resp(resp);
            pipeline(&mut client, lines);
            wait_for(&mut viewer, "total_watched_keys", "4");
            assert_eq!(figure(&mut viewer, "watching_clients"), "1");
            drop(client);
            wait_for(&mut viewer, "total_watched_keys", "0");
            assert_eq!(figure(&mut viewer, "watching_clients"), "0");
        }
        for _ in 0..50 {
            let mut client = server.client_resp(resp);
            send(&mut client, &["MULTI", "INCR a", "CLIENT LIST", "KEYS *", "INCR b", "EXEC"]);
        }
        wait_for(&mut viewer, "connected_clients", "1");
        let Value::Array(sums) = call(&mut viewer, "MGET a b") else { panic!("two values") };
        assert_eq!(sums[0], sums[1], "all of a transaction runs, or nothing");
        let Value::Array(left) = exec(&mut viewer, &["DEL a b", "DBSIZE"]) else { panic!("it has run") };
        assert_eq!(left[1], Value::Int(0));
    });
}

#[test]
fn who_leaves_in_the_middle_has_selected_its_database_all_the_same() {
    everywhere(&["--enable-debug-command", "yes"], |server, resp| {
        let mut viewers = [0, 1].map(|db| {
            let mut viewer = server.client();
            assert_eq!(call(&mut viewer, &format!("SELECT {db}")), Value::ok());
            viewer
        });
        viewers.iter_mut().for_each(|viewer| assert_eq!(call(viewer, "SET kept 1"), Value::ok()));
        let [mut listener, mut client] = [server.client(), server.client_resp(resp)];
        call(&mut listener, "SUBSCRIBE begun");
        // While it waits for all cores, which sleep, its client goes.
        let before = ["MULTI", "INCR a", "PUBLISH begun 1", "DEBUG SLEEP 0.1", "DEBUG SLEEP 0.1"];
        send(&mut client, &[&before[..], &["SELECT 1", "INCR a", "DEL kept", "INCR b", "EXEC"]].concat());
        listener.read().expect("the transaction begins");
        client.reset();
        let is_done = |viewer: &mut Client| call(viewer, "EXISTS b") == Value::Int(1);
        await_that("the transaction is to end", || viewers.iter_mut().any(is_done));
        let [first, second] = viewers.each_mut().map(|viewer| call(viewer, "MGET a b kept"));
        assert_eq!(first, array(&[Value::bulk("1"), Value::NullBulk, Value::bulk("1")]));
        assert_eq!(second, array(&[Value::bulk("1"), Value::bulk("1"), Value::NullBulk]));
    });
}

/// What happens between WATCH and EXEC, with what was there before, and whether EXEC is refused then. The keys are on
/// different shards.
const CHANGES: &[(&str, &str, bool)] = &[
    // before; between; refused
    ("", "PING", false),
    ("", "SET k 1", true),
    ("", "DEL k", false),
    ("", "SET other 1", false),
    ("", "FLUSHALL", false),
    ("", "FLUSHDB", false),
    ("", "SWAPDB 0 1", false),
    ("", "SELECT 1; SET k 1", false),
    ("", "SELECT 1; SET k 1; SWAPDB 0 1", true),
    ("", "SELECT 1; SET other 1; SWAPDB 0 1", false),
    ("", "SETNX k 1", true),
    ("", "MSET other 1 k 1", true),
    ("", "MSETNX other 1 k 1", true),
    ("SET other 1", "MSETNX other 1 k 1", false),
    ("SET other 1", "RENAME other k", true),
    ("SET other 1", "COPY other k", true),
    ("", "RPUSH other x; LMOVE other k LEFT LEFT", true),
    ("", "SADD other x; SMOVE other k y", false),
    ("", "SADD other x; SMOVE other k x", true),
    ("", "SADD other x; SUNIONSTORE k other", true),
    ("", "SINTERSTORE k other", false),
    ("", "RPUSH other 2 1; SORT other STORE k", true),
    ("", "LPUSHX k x", false),
    ("", "GETEX k PERSIST", false),
    ("", "EXPIRE k 100", false),
    ("", "XGROUP CREATE k g $ MKSTREAM", true),
    ("", "SETBIT k 7 0", true),
    ("", "APPEND k x", true),
    ("", "INCR k", true),
    ("SET k 1", "PING", false),
    ("SET k 1", "GET k", false),
    ("SET k 1", "TOUCH k; OBJECT ENCODING k; TTL k; STRLEN k; EXISTS k; DUMP k", false),
    ("SET k 1", "SET k 1", true),
    ("SET k 1", "SETNX k 2", false),
    ("SET k 1", "SET k 2 NX", false),
    ("SET k 1", "GETSET k 1", true),
    ("SET k 1", "GETDEL k", true),
    ("SET k 1", "GETEX k", false),
    ("SET k 1", "GETEX k EX 100", true),
    ("SET k 1", "GETEX k PERSIST", false),
    ("SET k 1 EX 100", "GETEX k PERSIST", true),
    ("SET k 1", "INCR k", true),
    ("SET k 1", "INCRBY k 0", true),
    ("SET k x", "INCR k", false),
    ("SET k 1", "INCRBYFLOAT k 1", true),
    ("SET k 1", "APPEND k x", true),
    ("SET k 1", "SETRANGE k 0 y", true),
    ("SET k 1", "SETRANGE k 0 ", false),
    ("SET k 1", "SETBIT k 1 1", true),
    ("SET k 1", "BITFIELD k GET u8 0", false),
    ("SET k 1", "BITFIELD k SET u8 0 1", true),
    ("SET k 1", "LPUSH k x", false),
    ("SET k 1", "EXPIRE k 100", true),
    ("SET k 1", "EXPIRE k -1", true),
    ("SET k 1", "EXPIRE k 100 XX", false),
    ("SET k 1", "PERSIST k", false),
    ("SET k 1 EX 100", "PERSIST k", true),
    ("SET k 1", "DEL k", true),
    ("SET k 1", "UNLINK k", true),
    ("SET k 1", "RENAME k other", true),
    ("SET k 1; SET other 1", "RENAMENX k other", false),
    ("SET k 1", "MOVE k 1", true),
    ("SET k 1", "COPY k other", false),
    ("SET k 1; SET other 2", "COPY other k", false),
    ("SET k 1; SET other 2", "COPY other k REPLACE", true),
    ("SET k 1", "FLUSHALL", true),
    ("SET k 1", "FLUSHDB", true),
    ("SET k 1", "SELECT 1; FLUSHDB", false),
    ("SET k 1", "SWAPDB 0 1", true),
    ("SET k 1", "SWAPDB 1 2", false),
    ("SET k 1", "BITOP NOT k k", true),
    ("SET k 1", "BITOP OR k none other", true),
    ("RPUSH k a b c", "LPUSH k x", true),
    ("RPUSH k a b c", "LPUSHX k x", true),
    ("RPUSH k a b c", "RPOP k", true),
    ("RPUSH k a b c", "LPOP k 0", false),
    ("RPUSH k a b c", "LSET k 0 z", true),
    ("RPUSH k a b c", "LREM k 0 none", false),
    ("RPUSH k a b c", "LREM k 0 b", true),
    ("RPUSH k a b c", "LINSERT k BEFORE b x", true),
    ("RPUSH k a b c", "LINSERT k BEFORE none x", false),
    ("RPUSH k a b c", "LTRIM k 0 1", true),
    ("RPUSH k a b c", "LMOVE k other LEFT LEFT", true),
    ("RPUSH k a b c", "BLMPOP 0 2 none k LEFT", true),
    ("RPUSH k a b c", "LRANGE k 0 -1; LPOS k b; SORT k ALPHA", false),
    ("SADD k a b", "SADD k a", false),
    ("SADD k a b", "SADD k c", true),
    ("SADD k a b", "SREM k c", false),
    ("SADD k a b", "SREM k a", true),
    ("SADD k a b", "SPOP k", true),
    ("SADD k a b", "SRANDMEMBER k; SMEMBERS k; SCARD k", false),
    ("SADD k a b", "SDIFFSTORE k k none", true),
    ("SADD k a b", "SINTERSTORE k k none", true),
    ("ZADD k 1 a 2 b", "ZADD k 1 a", false),
    ("ZADD k 1 a 2 b", "ZADD k 3 a", true),
    ("ZADD k 1 a 2 b", "ZADD k NX 3 a", false),
    ("ZADD k 1 a 2 b", "ZINCRBY k 1 a", true),
    ("ZADD k 1 a 2 b", "ZREM k c", false),
    ("ZADD k 1 a 2 b", "ZPOPMIN k", true),
    ("ZADD k 1 a 2 b", "ZREMRANGEBYRANK k 5 6", false),
    ("ZADD k 1 a 2 b", "ZREMRANGEBYRANK k 0 0", true),
    ("ZADD k 1 a 2 b", "ZRANGESTORE other k 0 -1", false),
    ("ZADD k 1 a 2 b", "ZUNIONSTORE k 2 k other", true),
    ("HSET k f 1", "HSET k f 1", true),
    ("HSET k f 1", "HSETNX k f 2", false),
    ("HSET k f 1", "HINCRBY k f 1", true),
    ("HSET k f 1", "HDEL k none", false),
    ("HSET k f 1", "HDEL k f", true),
    ("HSET k f 1", "HPERSIST k FIELDS 1 f", false),
    ("HSET k f 1", "HEXPIRE k 100 FIELDS 1 f", true),
    ("HSET k f 1", "HGETALL k; HLEN k; HSCAN k 0", false),
    ("XADD k 1-1 f v", "XADD k 2-1 f v", true),
    ("XADD k 1-1 f v", "XDEL k 5-5", false),
    ("XADD k 1-1 f v", "XDEL k 1-1", true),
    ("XADD k 1-1 f v", "XTRIM k MAXLEN 5", false),
    ("XADD k 1-1 f v", "XTRIM k MAXLEN 0", true),
    ("XADD k 1-1 f v", "XRANGE k - +; XREAD STREAMS k 0; XINFO STREAM k", false),
    ("PFADD k a", "PFADD k a", false),
    ("PFADD k a", "PFADD k b", true),
    ("GEOADD k 1 1 a", "GEOADD k 1 1 a", false),
    ("GEOADD k 1 1 a", "GEOADD k 2 2 a", true),
];

#[test]
fn changes_of_watched_keys_count_and_nothing_else_does() {
    everywhere(&[], |server, resp| {
        let (mut client, mut other) = (server.client_resp(resp), server.client());
        let run = |client: &mut Client, lines: &str| {
            for line in lines.split("; ").filter(|line| !line.is_empty()) {
                call(client, line);
            }
        };
        for &(before, between, refusal) in CHANGES {
            // By somebody else, and by oneself, and in a transaction.
            for way in 0..3 {
                run(&mut other, before);
                call(&mut client, "WATCH k");
                match way {
                    0 => run(&mut other, between),
                    1 => run(&mut client, &format!("{between}; SELECT 0")),
                    _ => drop(exec(&mut other, &between.split("; ").collect::<Vec<_>>())),
                }
                let reply = exec(&mut client, &["PING"]);
                let expected = if refusal { refused(resp) } else { array(&[pong()]) };
                assert_eq!(reply, expected, "{before} / {between}, way {way}");
                pipeline(&mut other, &["SELECT 0", "FLUSHALL"]);
            }
        }
    });
}

#[test]
fn every_watched_key_counts_wherever_it_is() {
    everywhere(&[], |server, resp| {
        let (mut client, mut other) = (server.client_resp(resp), server.client());
        for n in 0..16 {
            call(&mut client, "WATCH k0 k1 k2 k3 k4 k5 k6 k7");
            call(&mut client, "WATCH k8 k9 k10 k11 k12 k13 k14 k15 k0");
            assert_eq!(call(&mut other, &format!("INCR k{n}")), Value::Int(1));
            assert_eq!(exec(&mut client, &["SET k0 wrong"]), refused(resp));
            assert_eq!(exec(&mut client, &["PING"]), array(&[pong()]), "only once");
        }
        // The database that was selected when it was watched.
        pipeline(&mut client, &["WATCH k", "SELECT 1"]);
        call(&mut other, "SET k 1");
        assert_eq!(exec(&mut client, &["PING"]), refused(resp));
        pipeline(&mut client, &["SELECT 1", "WATCH k", "SELECT 0"]);
        call(&mut other, "SET k 1");
        assert_eq!(exec(&mut client, &["PING"]), array(&[pong()]));
        pipeline(&mut client, &["WATCH k", "UNWATCH"]);
        call(&mut other, "SET k 1");
        assert_eq!(exec(&mut client, &["PING"]), array(&[pong()]));
        // It is as it was, but not all the time.
        call(&mut client, "WATCH new");
        pipeline(&mut other, &["SET new 1", "DEL new"]);
        assert_eq!(exec(&mut client, &["PING"]), refused(resp));
    });
}

#[test]
fn a_transaction_that_is_aborted_watches_no_more() {
    everywhere(&[], |server, resp| {
        let (mut client, mut other) = (server.client_resp(resp), server.client());
        for end in ["EXEC", "EXEC x", "DISCARD"] {
            pipeline(&mut client, &["WATCH a b c", "MULTI", "NOPE", end]);
            call(&mut other, "MSET a 1 b 1 c 1");
            assert_eq!(exec(&mut client, &["PING"]), array(&[pong()]), "{end}");
        }
    });
}

#[test]
fn a_watched_key_whose_time_ends_has_changed() {
    everywhere(&["--enable-debug-command", "yes"], |server, resp| {
        let (mut client, mut other) = (server.client_resp(resp), server.client());
        for active in ["0", "1"] {
            call(&mut other, &format!("DEBUG SET-ACTIVE-EXPIRE {active}"));
            // It must not end before it is watched.
            let in_time = |client: &mut Client, other: &mut Client| {
                call(other, "SET k v PX 50");
                pipeline(client, &["UNWATCH", "WATCH k"]);
                int(call(other, "PTTL k")) > 0
            };
            while !in_time(&mut client, &mut other) {}
            while int(call(&mut other, "DBSIZE")) > 0 && int(call(&mut other, "PTTL k")) >= 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
            assert_eq!(exec(&mut client, &["PING"]), refused(resp), "active expiry {active}");
        }
        // A key whose time is over already is as good as gone.
        call(&mut other, "DEBUG SET-ACTIVE-EXPIRE 0");
        call(&mut other, "SET k v PX 1");
        std::thread::sleep(Duration::from_millis(20));
        call(&mut client, "WATCH k");
        assert_eq!(call(&mut other, "EXISTS k"), Value::Int(0));
        assert_eq!(exec(&mut client, &["PING"]), array(&[pong()]));
        call(&mut other, "DEBUG SET-ACTIVE-EXPIRE 1");
    });
}

#[test]
fn pipelined_requests_keep_their_order_around_transactions() {
    everywhere(&[], |server, resp| {
        let mut client = server.client_resp(resp);
        let mut lines = Vec::new();
        for n in 0..40 {
            let key = |i: usize| format!("k{}", (n * 3 + i) % 11);
            lines.extend([
                format!("SET {} {n}", key(0)),
                "MULTI".into(),
                format!("GET {}", key(0)),
                format!("SET {} {n}.1", key(1)),
                "EXEC".into(),
                format!("GET {}", key(1)),
            ]);
        }
        let replies = pipeline(&mut client, &lines.iter().map(String::as_str).collect::<Vec<_>>());
        for (n, replies) in replies.chunks(6).enumerate() {
            let each = array(&[Value::bulk(n.to_string()), Value::ok()]);
            assert_eq!(replies[4..], [each, Value::bulk(format!("{n}.1"))]);
        }
    });
}

#[test]
fn large_transactions_run() {
    everywhere(&[], |server, resp| {
        let mut client = server.client_resp(resp);
        let lines: Vec<String> = (0..5000).map(|n| format!("SET k{n} {n}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!(exec(&mut client, &lines), array(&vec![Value::ok(); 5000]));
        assert_eq!(call(&mut client, "DBSIZE"), Value::Int(5000));
        assert_eq!(call(&mut client, "GET k4999"), Value::bulk("4999"));
    });
}

#[test]
fn scripts_run_once_in_transactions_whatever_keys_they_use() {
    everywhere(&[], |server, resp| {
        let mut client = server.client_resp(resp);
        let script = "redis.call('INCR', ARGV[1]) return redis.call('INCR', KEYS[1])";
        for n in 1..=3 {
            send(&mut client, &["MULTI", "INCR a"]);
            client.send(&["EVAL", script, "1", "b", "c"]).expect("the command is sent");
            send(&mut client, &["INCR d", "EXEC"]);
            let replies = client.read_many(5).expect("every command is answered");
            assert_eq!(replies[4], array(&[n; 3].map(Value::Int)));
        }
        assert_eq!(call(&mut client, "MGET a b c d"), bulks(&["3"; 4]));
        // What a client watches is nothing to a script outside of transactions.
        call(&mut client, "WATCH a");
        call(&mut server.client(), "INCR a");
        assert_eq!(client.call(&["EVAL", "return redis.call('GET', KEYS[1])", "1", "a"]), Value::bulk("4"));
        assert_eq!(exec(&mut client, &["PING"]), refused(resp));
    });
}

#[test]
fn exec_runs_under_another_name() {
    for shards in ["1", "2"] {
        let server = Server::start(&["--save", "", "--shards", shards, "--rename-command", "EXEC", "run"]);
        let mut client = server.client();
        for line in [&["MULTI"][..], &["MSET", "a", "1", "b", "2", "c", "3"], &["DBSIZE"]] {
            client.call(line);
        }
        let replies = vec![Value::ok(), Value::Int(3)];
        assert_eq!(client.call(&["RUN"]), Value::Array(replies), "{shards} shards");
        assert!(matches!(client.call(&["EXEC"]), Value::Error(_)), "{shards} shards");
    }
}
