//! Clients that wait for keys, over the socket, on 1, 2 and 8 shards: who is served, in which order, with what, and how else
//! a wait can end.

mod support;

use std::time::{Duration, Instant};

use support::client::{Client, TIMEOUT};
use support::resp::Value;
use support::server::Server;

/// Runs a test on servers of every number of shards.
fn everywhere(test: impl Fn(&Server)) {
    for shards in ["1", "2", "8"] {
        test(&Server::start(&["--save", "", "--shards", shards]));
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn call(client: &mut Client, line: &str) -> Value {
    client.call(&words(line))
}

fn bulks(texts: &[&str]) -> Value {
    Value::Array(texts.iter().map(Value::bulk).collect())
}

fn int(value: Value) -> i64 {
    let Value::Int(n) = value else { panic!("{value} is no number") };
    n
}

/// One figure of `INFO clients`.
fn figure(client: &mut Client, name: &str) -> usize {
    let Value::Bulk(text) = client.call(&["INFO", "clients"]) else { panic!("INFO is a text") };
    let text = String::from_utf8(text).expect("INFO is ASCII");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
}

fn wait_for_blocked(viewer: &mut Client, count: usize) {
    wait_for(viewer, "blocked_clients", count);
}

/// Waits for a figure: other shards learn a little later than the client that its wait is over.
fn wait_for(viewer: &mut Client, name: &str, value: usize) {
    let deadline = Instant::now() + TIMEOUT;
    while figure(viewer, name) != value {
        assert!(Instant::now() < deadline, "{name} is never {value}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A client that waits by this command.
fn waiting(server: &Server, viewer: &mut Client, line: &str) -> Client {
    let before = figure(viewer, "blocked_clients");
    let mut client = server.client();
    client.send(&words(line)).expect("the command is sent");
    wait_for_blocked(viewer, before + 1);
    client
}

fn read(client: &mut Client) -> Value {
    client.read().expect("a reply")
}

#[test]
fn one_push_serves_as_many_as_it_has_elements_in_their_order() {
    everywhere(|server| {
        let mut viewer = server.client();
        for key in ["a", "b", "c", "d"] {
            let line = format!("BLPOP {key} 0");
            let mut waiters: Vec<Client> = (0..5).map(|_| waiting(server, &mut viewer, &line)).collect();
            wait_for(&mut viewer, "total_blocking_keys", 1);
            viewer.send(&["RPUSH", key, "0", "1", "2"]).expect("sent");
            viewer.send(&["LLEN", key]).expect("sent");
            assert_eq!(viewer.read_many(2).expect("two replies"), [Value::Int(3), Value::Int(0)]);
            assert_eq!(call(&mut viewer, &format!("LPUSH {key} 3 4 5")), Value::Int(3));
            // The latter push puts 5 in front.
            for (waiter, element) in waiters.iter_mut().zip(["0", "1", "2", "5", "4"]) {
                assert_eq!(read(waiter), bulks(&[key, element]));
            }
            assert_eq!(call(&mut viewer, &format!("LRANGE {key} 0 -1")), bulks(&["3"]));
            wait_for(&mut viewer, "total_blocking_keys", 0);
        }
    });
}

#[test]
fn who_is_served_by_another_ones_pop_takes_nothing_that_is_for_others() {
    everywhere(|server| {
        let mut viewer = server.client();
        for round in 0..20 {
            let keys = |line: &str| line.replace("{}", &format!("{{{round}}}"));
            let mut mover = waiting(server, &mut viewer, &keys("BRPOPLPUSH a{} c{} 0"));
            let mut popper = waiting(server, &mut viewer, &keys("BLPOP b{} 0"));
            let mut last = waiting(server, &mut viewer, &keys("BLMPOP 0 2 b{} c{} LEFT COUNT 1"));
            for line in ["MULTI", "LPUSH a{} 1", "LPUSH b{} 2", "EXEC"] {
                call(&mut viewer, &keys(line));
            }
            assert_eq!(read(&mut mover), Value::bulk("1"));
            assert_eq!(read(&mut popper), bulks(&[&keys("b{}"), "2"]));
            let element = Value::Array(vec![Value::bulk(keys("c{}")), bulks(&["1"])]);
            assert_eq!(read(&mut last), element);
        }
    });
}

#[test]
fn whoever_waits_for_several_keys_gets_one_element() {
    everywhere(|server| {
        let mut viewer = server.client();
        let mut many = waiting(server, &mut viewer, "BLPOP a b c d e f 0");
        let mut popper = waiting(server, &mut viewer, "BLMPOP 0 3 x y d LEFT COUNT 9");
        wait_for(&mut viewer, "total_blocking_keys", 8);
        call(&mut viewer, "RPUSH d 1 2");
        assert_eq!(read(&mut many), bulks(&["d", "1"]));
        assert_eq!(read(&mut popper), Value::Array(vec![Value::bulk("d"), bulks(&["2"])]));
        for key in ["d", "c"] {
            call(&mut viewer, &format!("RPUSH {key} 1 2"));
        }
        assert_eq!(call(&mut viewer, "LRANGE d 0 -1"), bulks(&["1", "2"]));
        assert_eq!(call(&mut viewer, "LRANGE c 0 -1"), bulks(&["1", "2"]));
        wait_for_blocked(&mut viewer, 0);
    });
}

#[test]
fn elements_run_along_chains() {
    everywhere(|server| {
        let mut viewer = server.client();
        let mut first = waiting(server, &mut viewer, "BLMOVE a b LEFT RIGHT 0");
        let mut second = waiting(server, &mut viewer, "BRPOPLPUSH b c 0");
        let mut third = waiting(server, &mut viewer, "BRPOP c 0");
        let mut rotating = waiting(server, &mut viewer, "BLMOVE r r LEFT RIGHT 0");
        assert_eq!(call(&mut viewer, "RPUSH a x"), Value::Int(1));
        assert_eq!([read(&mut first), read(&mut second)], [Value::bulk("x"), Value::bulk("x")]);
        assert_eq!(read(&mut third), bulks(&["c", "x"]));
        assert_eq!(call(&mut viewer, "EXISTS a b c"), Value::Int(0));
        assert_eq!(call(&mut viewer, "RPUSH r 1 2"), Value::Int(2));
        assert_eq!(read(&mut rotating), Value::bulk("1"));
        assert_eq!(call(&mut viewer, "LRANGE r 0 -1"), bulks(&["2", "1"]));
        // The target is no list: that is an error, and the element stays.
        let mut wrong = waiting(server, &mut viewer, "BLMOVE a t LEFT RIGHT 0");
        call(&mut viewer, "SET t text");
        call(&mut viewer, "RPUSH a x");
        assert!(read(&mut wrong).to_string().contains("WRONGTYPE"));
        assert_eq!(call(&mut viewer, "LLEN a"), Value::Int(1));
    });
}

/// Whoever waits on one shard's keys is served before the next command, although the keys of a chain are more than
/// the first of it has reserved.
#[test]
fn nobody_comes_in_between_a_chain_on_one_shard() {
    everywhere(|server| {
        let mut viewer = server.client();
        for _ in 0..20 {
            let mut first = waiting(server, &mut viewer, "BLMOVE a{t} b{t} LEFT RIGHT 0");
            let mut second = waiting(server, &mut viewer, "BLMOVE b{t} c{t} LEFT RIGHT 0");
            for request in [&["RPUSH", "a{t}", "x"][..], &["LLEN", "b{t}"]] {
                viewer.send(request).expect("sent");
            }
            // Whoever asks for a key on the way waits until the chain has ended.
            assert_eq!(viewer.read_many(2).expect("two replies"), [Value::Int(1), Value::Int(0)]);
            assert_eq!(call(&mut viewer, "LPOP c{t}"), Value::bulk("x"));
            assert_eq!([read(&mut first), read(&mut second)], [Value::bulk("x"), Value::bulk("x")]);
        }
    });
}

#[test]
fn replies_to_earlier_requests_do_not_wait() {
    everywhere(|server| {
        let mut viewer = server.client();
        let mut first = waiting(server, &mut viewer, "BLPOP list 0");
        let mut second = server.client();
        let pipeline: [&[&str]; 4] =
            [&["SET", "a", "1"], &["GET", "a"], &["LPUSH", "list", "1"], &["BLPOP", "list", "0"]];
        for request in pipeline {
            second.send(request).expect("sent");
        }
        assert_eq!(
            second.read_many(3).expect("three replies"),
            [Value::ok(), Value::bulk("1"), Value::Int(1)]
        );
        assert_eq!(read(&mut first), bulks(&["list", "1"]));
        wait_for_blocked(&mut viewer, 1);
        call(&mut viewer, "LPUSH list 2");
        assert_eq!(read(&mut second), bulks(&["list", "2"]));
    });
}

#[test]
fn keys_become_ready_by_whatever_makes_a_list() {
    everywhere(|server| {
        let mut viewer = server.client();
        let ways: [&[&str]; 5] = [
            &["RPUSH s q", "RENAME s k"],
            &["RPUSH s q", "COPY s k", "DEL s"],
            &["SET k text", "DEL k", "RPUSH k q"],
            &["SELECT 1", "RPUSH k q", "SELECT 0", "SWAPDB 0 1"],
            &["SELECT 1", "RPUSH k q", "MOVE k 0", "SELECT 0"],
        ];
        for way in ways {
            let mut waiter = waiting(server, &mut viewer, "BLPOP k l m n 0");
            for line in way {
                assert!(!call(&mut viewer, line).is_error(), "{line}");
            }
            assert_eq!(read(&mut waiter), bulks(&["k", "q"]), "{way:?}");
            assert_eq!(call(&mut viewer, "DBSIZE"), Value::Int(0));
        }
    });
}

#[test]
fn waits_end_by_themselves_and_by_others() {
    everywhere(|server| {
        let mut viewer = server.client();
        let mut client = server.client();
        let id = int(call(&mut client, "CLIENT ID"));
        for line in ["BLPOP a 0.05", "BLMOVE a b LEFT LEFT 0.05", "BLMPOP 0.05 2 a b LEFT"] {
            let begun = Instant::now();
            assert_eq!(call(&mut client, line), Value::NullArray, "{line}");
            assert!(begun.elapsed() >= Duration::from_millis(50), "{line}");
        }
        let block = |client: &mut Client, viewer: &mut Client| {
            client.send(&words("BLPOP a b c d 30")).expect("sent");
            client.send(&["PING"]).expect("sent");
            wait_for_blocked(viewer, 1);
            wait_for(viewer, "clients_in_timeout_table", 1);
            let list = call(viewer, &format!("CLIENT LIST ID {id}")).to_string();
            assert!(list.contains(" flags=b "), "{list}");
        };
        for (how, reply) in [
            ("", Value::NullArray),
            (" TIMEOUT", Value::NullArray),
            (" ERROR", Value::error("UNBLOCKED client unblocked via CLIENT UNBLOCK")),
        ] {
            block(&mut client, &mut viewer);
            assert_eq!(call(&mut viewer, &format!("CLIENT UNBLOCK {id}{how}")), Value::Int(1));
            assert_eq!(read(&mut client), reply);
            assert_eq!(read(&mut client), Value::Simple(b"PONG".to_vec()));
        }
        assert_eq!(call(&mut viewer, &format!("CLIENT UNBLOCK {id}")), Value::Int(0));
        block(&mut client, &mut viewer);
        assert_eq!(call(&mut viewer, &format!("CLIENT KILL ID {id}")), Value::Int(1));
        wait_for_blocked(&mut viewer, 0);
        drop(waiting(server, &mut viewer, "BLPOP a b c d 0"));
        wait_for_blocked(&mut viewer, 0);
        assert_eq!(call(&mut viewer, "RPUSH a x"), Value::Int(1));
        assert_eq!(call(&mut viewer, "LLEN a"), Value::Int(1));
        for name in ["total_blocking_keys", "clients_in_timeout_table"] {
            wait_for(&mut viewer, name, 0);
        }
    });
}

#[test]
fn nobody_is_served_while_clients_are_paused() {
    everywhere(|server| {
        let mut viewer = server.client();
        let mut waiter = waiting(server, &mut viewer, "BLPOP a b 0");
        {
            let mut paused = server.client();
            let id = int(call(&mut paused, "CLIENT ID"));
            assert_eq!(call(&mut viewer, "CLIENT PAUSE 100000 WRITE"), Value::ok());
            paused.send(&words("RPUSH a x")).expect("sent");
            wait_for_blocked(&mut viewer, 2);
            // Only those who wait for keys can be unblocked.
            assert_eq!(call(&mut viewer, &format!("CLIENT UNBLOCK {id}")), Value::Int(0));
            assert_eq!(call(&mut viewer, "CLIENT UNPAUSE"), Value::ok());
            assert_eq!(read(&mut paused), Value::Int(1));
        }
        assert_eq!(read(&mut waiter), bulks(&["a", "x"]));
    });
}

fn bulk(text: &str) -> Value {
    Value::bulk(text)
}

fn array<const N: usize>(items: [Value; N]) -> Value {
    Value::Array(items.into())
}

/// An entry of a stream with one field.
fn entry(id: &str, field: &str, value: &str) -> Value {
    array([bulk(id), bulks(&[field, value])])
}

fn double(text: &str) -> Value {
    Value::Double(text.as_bytes().to_vec())
}

#[test]
fn every_command_answers_in_both_protocols() {
    let streams = |entries: Value| array([array([bulk("s"), entries])]);
    let map = |entries: Value| Value::Map(vec![(bulk("s"), entries)]);
    let new = || array([entry("1-1", "f", "v")]);
    let members = || array([array([bulk("m"), bulk("1.5")]), array([bulk("n"), bulk("2")])]);
    let members3 = || array([array([bulk("m"), double("1.5")]), array([bulk("n"), double("2")])]);
    let same = |line: &'static str, by: &'static str, reply: Value| (line, by, reply.clone(), reply);
    let expected = [
        same("BLPOP l x y 0", "RPUSH l 1 2", bulks(&["l", "1"])),
        same("BRPOP l x y 0", "RPUSH l 1 2", bulks(&["l", "2"])),
        same("BLMOVE l x LEFT RIGHT 0", "RPUSH l 1 2", bulk("1")),
        same("BRPOPLPUSH l x 0", "RPUSH l 1 2", bulk("2")),
        same("BLMPOP 0 3 x l y RIGHT COUNT 2", "RPUSH l 1 2", array([bulk("l"), bulks(&["2", "1"])])),
        (
            "BZPOPMIN z x y 0",
            "ZADD z 1.5 m 2 n",
            bulks(&["z", "m", "1.5"]),
            array([bulk("z"), bulk("m"), double("1.5")]),
        ),
        (
            "BZPOPMAX z x y 0",
            "ZADD z 1.5 m 2 n",
            bulks(&["z", "n", "2"]),
            array([bulk("z"), bulk("n"), double("2")]),
        ),
        (
            "BZMPOP 0 3 x z y MIN COUNT 3",
            "ZADD z 1.5 m 2 n",
            array([bulk("z"), members()]),
            array([bulk("z"), members3()]),
        ),
        ("XREAD BLOCK 0 STREAMS s x y $ $ $", "XADD s 1-1 f v", streams(new()), map(new())),
        ("XREADGROUP GROUP g c BLOCK 0 STREAMS t s > >", "XADD s 1-1 f v", streams(new()), map(new())),
    ];
    everywhere(|server| {
        let mut viewer = server.client();
        for (line, by, reply2, reply3) in &expected {
            for (resp, reply) in [(2, reply2), (3, reply3)] {
                call(&mut viewer, "FLUSHALL");
                if line.starts_with("XREADGROUP") {
                    call(&mut viewer, "XGROUP CREATE s g $ MKSTREAM");
                    call(&mut viewer, "XGROUP CREATE t g $ MKSTREAM");
                }
                let mut waiter = server.client_resp(resp);
                waiter.send(&words(line)).expect("sent");
                wait_for_blocked(&mut viewer, 1);
                assert!(!call(&mut viewer, by).is_error(), "{by}");
                assert_eq!(read(&mut waiter), *reply, "{line}, RESP{resp}");
                wait_for_blocked(&mut viewer, 0);
                // Nobody is left who would take what comes next.
                call(&mut viewer, "FLUSHALL");
                call(&mut viewer, by);
                assert_eq!(call(&mut waiter, "PING"), Value::Simple(b"PONG".to_vec()), "{line}");
            }
        }
    });
}

#[test]
fn time_is_over_with_a_null_array_for_every_command() {
    everywhere(|server| {
        let mut viewer = server.client();
        call(&mut viewer, "XGROUP CREATE s g $ MKSTREAM");
        for (resp, null) in [(2, Value::NullArray), (3, Value::Null)] {
            let mut client = server.client_resp(resp);
            for line in [
                "BLPOP a b c 0.01",
                "BRPOP a 0.01",
                "BLMOVE a b LEFT LEFT 0.01",
                "BRPOPLPUSH a b 0.01",
                "BLMPOP 0.01 2 a b LEFT",
                "BZPOPMIN a b 0.01",
                "BZPOPMAX a b 0.01",
                "BZMPOP 0.01 2 a b MIN",
                "XREAD BLOCK 10 STREAMS a b $ 0-0",
                "XREADGROUP GROUP g c BLOCK 10 STREAMS s >",
            ] {
                assert_eq!(call(&mut client, line), null, "{line}, RESP{resp}");
            }
            for line in ["BLPOP a -1", "BZPOPMIN a x", "XREAD BLOCK -1 STREAMS a $"] {
                assert!(call(&mut client, line).is_error(), "{line}");
            }
        }
        wait_for(&mut viewer, "total_blocking_keys", 0);
    });
}

#[test]
fn readers_of_a_stream_all_get_what_is_new() {
    everywhere(|server| {
        let mut viewer = server.client();
        call(&mut viewer, "XADD s 1-1 old 1");
        let mut readers: Vec<Client> = ["XREAD BLOCK 0 STREAMS s $", "XREAD BLOCK 0 STREAMS q s $ $"]
            .map(|line| waiting(server, &mut viewer, line))
            .into();
        assert_eq!(call(&mut viewer, "XADD s 1-2 new 2"), bulk("1-2"));
        for reader in &mut readers {
            assert_eq!(read(reader), array([array([bulk("s"), array([entry("1-2", "new", "2")])])]));
        }
        // A list of that name is nothing to them, and they are nothing to it.
        let mut reader = waiting(server, &mut viewer, "XREAD BLOCK 0 STREAMS k 0");
        let mut popper = waiting(server, &mut viewer, "BLPOP k 0");
        call(&mut viewer, "RPUSH k x");
        assert_eq!(read(&mut popper), bulks(&["k", "x"]));
        call(&mut viewer, "XADD k 5-5 f v");
        assert_eq!(read(&mut reader), array([array([bulk("k"), array([entry("5-5", "f", "v")])])]));
    });
}

#[test]
fn members_of_a_group_share_what_is_new_and_learn_its_end() {
    everywhere(|server| {
        let mut viewer = server.client();
        for (end, error) in [
            ("DEL s", "NOGROUP"),
            ("XGROUP DESTROY s g", "NOGROUP"),
            ("SET s text", "WRONGTYPE"),
            ("FLUSHALL", "NOGROUP"),
            ("SWAPDB 0 1", "NOGROUP"),
            ("RENAME s other", "NOGROUP"),
            ("PEXPIRE s 1", "NOGROUP"),
        ] {
            call(&mut viewer, "FLUSHALL");
            call(&mut viewer, "XGROUP CREATE s g $ MKSTREAM");
            let mut members: Vec<Client> = ["a", "b", "c"]
                .map(|name| {
                    waiting(server, &mut viewer, &format!("XREADGROUP GROUP g {name} BLOCK 0 STREAMS s >"))
                })
                .into();
            wait_for(&mut viewer, "total_blocking_keys_on_nokey", 1);
            call(&mut viewer, "XADD s 1-1 f v");
            let first = read(&mut members[0]);
            assert_eq!(first, array([array([bulk("s"), array([entry("1-1", "f", "v")])])]), "{end}");
            wait_for(&mut viewer, "blocked_clients", 2);
            assert!(!call(&mut viewer, end).is_error(), "{end}");
            for member in &mut members[1..] {
                let reply = read(member).to_string();
                assert!(reply.contains(error), "{end}: {reply}");
            }
            wait_for_blocked(&mut viewer, 0);
        }
    });
}

#[test]
fn whoever_waits_is_not_idle_and_goes_with_the_server() {
    for shards in ["1", "2", "8"] {
        let mut server = Server::start(&["--save", "", "--shards", shards, "--timeout", "1"]);
        let mut viewer = server.client();
        let mut waiters: Vec<Client> = ["BLPOP a 0", "BLPOP a b c d 0", "XREAD BLOCK 0 STREAMS s $"]
            .map(|line| waiting(&server, &mut viewer, line))
            .into();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(2500) {
            wait_for(&mut viewer, "blocked_clients", 3);
            std::thread::sleep(Duration::from_millis(200));
        }
        call(&mut viewer, "RPUSH a x");
        assert_eq!(read(&mut waiters[0]), bulks(&["a", "x"]));
        viewer.send(&["SHUTDOWN", "NOSAVE"]).expect("sent");
        assert!(server.wait(TIMEOUT).success());
        for waiter in &mut waiters {
            assert_eq!(waiter.read_to_close().expect("an end"), b"");
        }
    }
}

#[test]
fn no_element_is_lost_or_delivered_twice_among_many() {
    everywhere(|server| {
        let mut viewer = server.client();
        let address = server.address();
        let popper = |n: usize| {
            std::thread::spawn(move || {
                let mut client = Client::connect(address).expect("a connection");
                let line = ["BLPOP a b c 5", "BRPOP b a 5", "BLMPOP 5 2 c b LEFT", "BLPOP a 5"][n % 4];
                let mut found = Vec::new();
                loop {
                    let reply = call(&mut client, line);
                    let text = reply.to_string();
                    if text.contains("end") || reply.is_null() {
                        return found;
                    }
                    found.push(text);
                }
            })
        };
        let poppers: Vec<_> = (0..8).map(popper).collect();
        for n in 0..600 {
            call(&mut viewer, &format!("RPUSH {} e{n}e", ["a", "b", "c"][n % 3]));
        }
        while call(&mut viewer, "EXISTS a b c") != Value::Int(0) {
            std::thread::sleep(Duration::from_millis(5));
        }
        for key in ["a", "b", "c"] {
            call(&mut viewer, &format!("RPUSH {key}{}", " end".repeat(8)));
        }
        let found: Vec<String> =
            poppers.into_iter().flat_map(|popper| popper.join().expect("a popper")).collect();
        assert_eq!(found.len(), 600);
        for n in 0..600 {
            let name = format!("e{n}e");
            assert_eq!(found.iter().filter(|text| text.contains(&name)).count(), 1, "{name}");
        }
    });
}
