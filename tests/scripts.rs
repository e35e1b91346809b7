//! Scripts and functions over the socket, on 1, 2 and 8 shards: keys declared and not, several of them at once, those that
//! run for long, and those that ask for too much.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use support::client::Client;
use support::resp::Value;
use support::server::Server;

fn everywhere(test: impl Fn(&Server)) {
    for shards in ["1", "2", "8"] {
        test(&Server::start(&["--save", "", "--shards", shards]));
    }
}

fn eval(client: &mut Client, script: &str, keys: &[&str], args: &[&str]) -> Value {
    let count = keys.len().to_string();
    client.call(&[&["EVAL", script, &count], keys, args].concat())
}

fn error(reply: &Value) -> String {
    let Value::Error(text) = reply else { panic!("{reply} is no error") };
    String::from_utf8_lossy(text).into_owned()
}

fn figure(client: &mut Client, name: &str) -> u64 {
    let Value::Bulk(text) = client.call(&["INFO", "corelane"]) else { panic!("no INFO") };
    let text = String::from_utf8(text).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

#[test]
fn keys_may_be_on_any_shard_and_undeclared() {
    everywhere(|server| {
        let mut client = server.client();
        let keys = ["a", "b", "c", "d", "e"];
        let declared = "for i = 1, #KEYS do redis.call('incrby', KEYS[i], ARGV[1]) end return redis.call('mget', unpack(KEYS))";
        let expected = |n: &str| Value::Array(vec![Value::bulk(n); 5]);
        assert_eq!(eval(&mut client, declared, &keys, &["2"]), expected("2"));
        // The first key is declared, the others are found on the way, after a write.
        let undeclared = "redis.call('incrby', KEYS[1], 1) for _, k in ipairs(ARGV) do redis.call('incrby', k, 1) end \
            return redis.call('mget', KEYS[1], unpack(ARGV))";
        for n in ["3", "4", "5"] {
            assert_eq!(eval(&mut client, undeclared, &keys[..1], &keys[1..]), expected(n));
        }
        assert_eq!(eval(&mut client, "return redis.call('dbsize')", &[], &[]), Value::Int(5));
        assert_eq!(eval(&mut client, "return #redis.call('keys', '*')", &["a"], &[]), Value::Int(5));
        let shards = figure(&mut client, "shards");
        let counted = figure(&mut client, "scripts_with_undeclared_keys");
        assert_eq!(counted > 0, shards > 1, "{counted} of them on {shards} shards");
        // Each of the three scripts has begun anew once at most.
        assert!(figure(&mut client, "scripts_begun_anew") <= 3);
        let flush = "redis.call('set', KEYS[1], 'x') redis.call('flushall') return redis.call('dbsize')";
        assert_eq!(eval(&mut client, flush, &["a"], &[]), Value::Int(0));
    });
}

#[test]
fn a_script_that_begins_anew_has_done_everything_once() {
    everywhere(|server| {
        let mut client = server.client();
        let mut listener = server.client_resp(3);
        listener.call(&["SUBSCRIBE", "news"]);
        // Each round is another script: none is known to reach further than it says.
        for round in 0..20 {
            let script = format!(
                "redis.call('rpush', KEYS[1], 'x') redis.call('publish', 'news', '{round}') redis.call('setrange', KEYS[2], 0, 'ab') \
                 redis.call('pexpire', KEYS[2], 100000) return redis.call('rpush', ARGV[1], 'y')"
            );
            let (list, other) = (format!("list{}", round % 3), format!("other{round}"));
            let reply = eval(&mut client, &script, &[&list, "text"], &[&other]);
            assert_eq!(reply, Value::Int(1), "round {round}");
            let message = listener.read().expect("a message");
            assert_eq!(
                message,
                Value::Push(vec![
                    Value::bulk("message"),
                    Value::bulk("news"),
                    Value::bulk(round.to_string())
                ])
            );
        }
        let lengths: i64 = (0..3)
            .map(|n| match client.call(&["LLEN", &format!("list{n}")]) {
                Value::Int(len) => len,
                other => panic!("{other}"),
            })
            .sum();
        assert_eq!(lengths, 20);
        // Large values are not copied: the script begins anew before it changes one.
        let many: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        let fill: Vec<&str> = ["RPUSH", "large"].into_iter().chain(many.iter().map(String::as_str)).collect();
        client.call(&fill);
        let script =
            "redis.call('rpop', KEYS[1]) redis.call('incr', KEYS[2]) return redis.call('llen', KEYS[1])";
        assert_eq!(eval(&mut client, script, &["large", "count"], &[]), Value::Int(999));
        assert_eq!(client.call(&["GET", "count"]), Value::bulk("1"));
    });
}

#[test]
fn locks_are_exact_under_contention() {
    const ROUNDS: usize = 40;
    everywhere(|server| {
        let release = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end";
        std::thread::scope(|scope| {
            for worker in 0..6 {
                let mut client = server.client();
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let token = format!("{worker}:{round}");
                        while client.call(&["SET", "lock", &token, "NX", "PX", "20000"]) != Value::ok() {
                            std::thread::yield_now();
                        }
                        // Not atomic: two at a time would lose an increment.
                        let seen = match client.call(&["GET", "guarded"]) {
                            Value::Bulk(text) => String::from_utf8(text).unwrap().parse().unwrap(),
                            _ => 0,
                        };
                        client.call(&["SET", "guarded", &(seen + 1).to_string()]);
                        assert_eq!(
                            eval(&mut client, release, &["lock"], &["somebody else's"]),
                            Value::Int(0)
                        );
                        assert_eq!(eval(&mut client, release, &["lock"], &[&token]), Value::Int(1));
                    }
                });
            }
        });
        let mut client = server.client();
        assert_eq!(client.call(&["GET", "guarded"]), Value::bulk((6 * ROUNDS).to_string()));
    });
}

#[test]
fn transactions_may_hold_scripts() {
    everywhere(|server| {
        let mut client = server.client();
        for line in [
            &["MULTI"][..],
            &["SET", "a", "1"],
            &["EVAL", "return redis.call('incr', 'a')", "0"],
            &["GET", "a"],
        ] {
            client.call(line);
        }
        let replies = vec![Value::ok(), Value::Int(2), Value::bulk("2")];
        assert_eq!(client.call(&["EXEC"]), Value::Array(replies));
        client.call(&["FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function(k, a) return redis.call('append', k[1], a[1]) end)"]);
        for line in [
            &["MULTI"][..],
            &["FCALL", "f", "1", "b", "xyz"],
            &["FCALL_RO", "f", "1", "b", "xyz"],
            &["nosuch"],
        ] {
            client.call(line);
        }
        assert!(error(&client.call(&["EXEC"])).starts_with("EXECABORT"));
        for line in [&["MULTI"][..], &["FCALL", "f", "1", "b", "xyz"], &["FCALL_RO", "f", "1", "b", "xyz"]] {
            client.call(line);
        }
        let Value::Array(replies) = client.call(&["EXEC"]) else { panic!("no array") };
        assert_eq!(replies[0], Value::Int(3));
        assert!(
            error(&replies[1]).contains("Can not execute a script with write flag using *_ro command."),
            "{}",
            replies[1]
        );
    });
}

/// A script that has run for `busy-reply-threshold`; others get an error until it is killed.
#[test]
fn a_runaway_script_is_told_of_and_killed() {
    everywhere(|server| {
        let mut others: Vec<Client> = (0..3).map(|_| server.client()).collect();
        others[0].call(&["CONFIG", "SET", "busy-reply-threshold", "50"]);
        assert!(error(&others[0].call(&["SCRIPT", "KILL"])).starts_with("NOTBUSY"));
        for script in ["while true do end", "while true do pcall(redis.call, 'ping') end"] {
            let mut runaway = server.client();
            runaway.send(&["EVAL", script, "1", "k"]).unwrap();
            for client in &mut others {
                // Until then they are served, or wait.
                while !matches!(client.call(&["PING"]), Value::Error(_)) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                assert!(
                    error(&client.call(&["GET", "k"])).starts_with("BUSY Redis is busy running a script.")
                );
            }
            assert!(error(&others[1].call(&["FUNCTION", "KILL"])).starts_with("BUSY"));
            assert_eq!(others[2].call(&["SCRIPT", "KILL"]), Value::ok());
            let reply = error(&runaway.read().expect("the script's error"));
            assert!(reply.contains("Script killed by user with SCRIPT KILL"), "{reply}");
            while others.iter_mut().any(|client| client.call(&["PING"]) != Value::Simple(b"PONG".to_vec())) {}
        }
        // One that has written cannot be killed; the server can be stopped.
        let mut runaway = server.client();
        runaway.send(&["EVAL", "redis.call('set', KEYS[1], 1) while true do end", "1", "k"]).unwrap();
        while !matches!(others[0].call(&["PING"]), Value::Error(_)) {}
        assert!(error(&others[1].call(&["SCRIPT", "KILL"])).starts_with("UNKILLABLE"));
        others[2].send(&["SHUTDOWN", "NOSAVE"]).unwrap();
        assert!(others[2].read().is_err(), "the server stops");
    });
}

#[test]
fn others_are_served_while_a_script_runs_for_long() {
    for shards in ["2", "8"] {
        let server = Server::start(&["--save", "", "--shards", shards]);
        let mut client = server.client();
        let mut slow = server.client();
        // Some key on each shard; the slow script holds one of them.
        let names: BTreeSet<String> = (0..40).map(|n| format!("key{n}")).collect();
        slow.send(&[
            "EVAL",
            "local n = 0 for i = 1, 60000000 do n = n + 1 end return redis.call('incr', KEYS[1])",
            "1",
            "held",
        ])
        .unwrap();
        for name in &names {
            assert_eq!(client.call(&["SET", name, "1"]), Value::ok());
        }
        // This one waits for its turn.
        assert_eq!(client.call(&["INCR", "held"]), Value::Int(2));
        assert_eq!(slow.read().unwrap(), Value::Int(1));
    }
}

#[test]
fn what_asks_for_too_much_gets_an_error() {
    // Replies of thousands of levels are read here, level by level.
    let thread = std::thread::Builder::new().stack_size(256 << 20).spawn(ask_for_too_much);
    thread.expect("a thread").join().expect("no panic");
}

fn ask_for_too_much() {
    let server = Server::start(&["--save", "", "--shards", "2"]);
    let mut client = server.client();
    client.set_timeout(Duration::from_secs(60)).unwrap();
    let large = "x".repeat(100 << 20);
    assert_eq!(eval(&mut client, "return #ARGV[1]", &[], &[&large]), Value::Int(100 << 20));
    assert_eq!(eval(&mut client, "return redis.sha1hex(ARGV[1]):len()", &[], &[&large]), Value::Int(40));
    drop(large);
    let nested = "local t = {} local top = t for i = 1, 10000 do t[1] = {} t = t[1] end ";
    for (code, expected) in [
        ("return cjson.encode(top)", "Cannot serialise, excessive nesting"),
        ("return cjson.decode(('['):rep(10000) .. (']'):rep(10000))", "too many nested"),
        ("return #cmsgpack.unpack(cmsgpack.pack(top))", ""),
        ("return top", "reached lua stack limit"),
        ("local s = ('x'):rep(1000000) while true do s = s .. s end", "not enough memory"),
        ("local function f() return 1 + f() end return f()", "stack overflow"),
        ("return redis.call('nosuch')", "Unknown Redis command called from script"),
        ("return redis.call('get')", "Wrong number of args calling Redis command from script"),
        ("return redis.call('config', 'get', 'x')", "This Redis command is not allowed from script"),
        ("return redis.call('incr', 'text')", "value is not an integer or out of range"),
    ] {
        client.call(&["SET", "text", "abc"]);
        let reply = eval(&mut client, &format!("{nested}{code}"), &[], &[]);
        let text = reply.to_string();
        assert!(text.contains(expected), "{code}: {}", &text[..text.len().min(300)]);
        assert_eq!(client.call(&["PING"]), Value::Simple(b"PONG".to_vec()));
    }
}

#[test]
fn a_client_that_leaves_takes_nothing_along() {
    everywhere(|server| {
        let mut client = server.client();
        for n in 0..10 {
            let mut leaver = server.client();
            let script = format!(
                "for i = 1, 3000000 do end redis.call('incr', KEYS[1]) return redis.call('incr', 'other{n}')"
            );
            leaver.send(&["EVAL", &script, "1", "k"]).unwrap();
            drop(leaver);
        }
        // Whatever they had begun is done, and what they had reserved is free.
        assert!(matches!(client.call(&["INCR", "k"]), Value::Int(1..=11)));
        let is_quiet = (0..200).any(|_| {
            client.call(&["FLUSHALL"]);
            std::thread::sleep(Duration::from_millis(20));
            client.call(&["DBSIZE"]) == Value::Int(0)
        });
        assert!(is_quiet, "the scripts come to an end");
    });
}
