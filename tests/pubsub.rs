//! Publish and subscribe over the socket, on 1, 2 and 8 shards and in RESP2 and RESP3: who gets what, in which order, when a
//! subscription holds, what a client that listens may do, and what stops one that does not read.

mod support;

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::client::{Client, TIMEOUT};
use support::resp::{Value, encode};
use support::server::Server;

/// Runs a test on servers of every number of shards, with both protocol versions.
fn everywhere(test: impl Fn(&Server, u8)) {
    for shards in ["1", "2", "8"] {
        for resp in [2, 3] {
            test(&Server::start(&["--save", "", "--shards", shards]), resp);
        }
    }
}

/// The same for what concerns one version only.
fn everywhere_in_resp3(test: impl Fn(&Server)) {
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

fn read(client: &mut Client) -> Value {
    client.read().expect("something to read")
}

/// What has the form of a message, a number at its end if it can be read as one.
fn push(resp: u8, line: &str) -> Value {
    let mut items: Vec<Value> = words(line).iter().map(Value::bulk).collect();
    if let Some(Ok(number)) = words(line).last().map(|word| word.parse())
        && !line.contains("message")
    {
        items.pop();
        items.push(Value::Int(number));
    }
    if resp == 3 { Value::Push(items) } else { Value::Array(items) }
}

fn null(resp: u8) -> Value {
    if resp == 3 { Value::Null } else { Value::NullBulk }
}

fn listener(server: &Server, resp: u8, line: &str) -> Client {
    let mut client = server.client_resp(resp);
    let first = words(line);
    assert_eq!(call(&mut client, line), push(resp, &format!("{} {} 1", first[0].to_lowercase(), first[1])));
    (2..first.len()).for_each(|_| drop(read(&mut client)));
    client
}

fn info(client: &mut Client, name: &str) -> u64 {
    let text = match client.call(&["INFO"]) {
        Value::Bulk(text) | Value::Verbatim(text) => String::from_utf8(text).expect("INFO is text"),
        other => panic!("INFO answered {other}"),
    };
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} does not come true");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn assert_closed(client: &mut Client) {
    let error = loop {
        if let Err(error) = client.read() {
            break error.kind();
        }
    };
    assert!(matches!(error, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{error}");
}

/// Runs a test while others publish to channel `x`.
fn while_others_publish(server: &Server, publishers: usize, test: impl FnOnce()) {
    /// Ends the others even if the test fails.
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _done = Done(&done);
        for _ in 0..publishers {
            scope.spawn(|| {
                let mut publisher = server.client();
                while !done.load(Ordering::Relaxed) {
                    call(&mut publisher, "PUBLISH x 1");
                }
            });
        }
        test();
    });
}

#[test]
fn a_publishers_messages_keep_their_order_over_all_channels() {
    everywhere(|server, resp| {
        const MESSAGES: usize = 3000;
        let mut listeners: Vec<Client> =
            (0..10).map(|_| listener(server, resp, "SUBSCRIBE a b c d")).collect();
        let mut matching: Vec<Client> = (0..3).map(|_| listener(server, resp, "PSUBSCRIBE [ac] ?")).collect();
        std::thread::scope(|scope| {
            for publisher in 0..3 {
                scope.spawn(move || {
                    let requests: Vec<_> = (0..MESSAGES)
                        .map(|n| {
                            support::request(&[
                                "PUBLISH",
                                ["a", "b", "c", "d"][n % 4],
                                &format!("{publisher}:{n}"),
                            ])
                        })
                        .collect();
                    let receivers = server.client_resp(resp).pipeline(&requests).expect("all are answered");
                    for (n, count) in receivers.into_iter().enumerate() {
                        assert_eq!(count, Value::Int(if n % 2 == 0 { 16 } else { 13 }), "message {n}");
                    }
                });
            }
            for client in &mut listeners {
                scope.spawn(move || {
                    let mut next = [0; 3];
                    for _ in 0..3 * MESSAGES {
                        let got = read(client);
                        let (Value::Push(items) | Value::Array(items)) = &got else { panic!("{got}") };
                        let Value::Bulk(text) = &items[2] else { panic!("{got}") };
                        let publisher = usize::from(text[0] - b'0');
                        let n = next[publisher];
                        let channel = ["a", "b", "c", "d"][n % 4];
                        assert_eq!(got, push(resp, &format!("message {channel} {publisher}:{n}")));
                        next[publisher] += 1;
                    }
                });
            }
        });
        for client in &mut matching {
            let mut by_pattern = [0; 2];
            for _ in 0..3 * (MESSAGES + MESSAGES / 2) {
                let (Value::Push(items) | Value::Array(items)) = read(client) else { panic!("no message") };
                assert_eq!(items[0], Value::bulk("pmessage"));
                by_pattern[usize::from(items[1] == Value::bulk("?"))] += 1;
            }
            assert_eq!(by_pattern, [3 * MESSAGES / 2, 3 * MESSAGES]);
        }
    });
}

#[test]
fn a_subscription_holds_from_its_confirmation_to_the_end_of_it() {
    everywhere(|server, resp| {
        let mut listeners: Vec<Client> = (0..4).map(|_| server.client_resp(resp)).collect();
        let mut publishers: Vec<Client> = (0..9).map(|_| server.client()).collect();
        for round in 0..60 {
            let client = &mut listeners[round % 4];
            let (begin, end, send, word) = [
                ("subscribe", "unsubscribe", "publish", "message x"),
                ("ssubscribe", "sunsubscribe", "spublish", "smessage x"),
                ("psubscribe", "punsubscribe", "publish", "pmessage x x"),
            ][round % 3];
            assert_eq!(call(client, &format!("{begin} x")), push(resp, &format!("{begin} x 1")));
            for (n, publisher) in publishers.iter_mut().enumerate() {
                assert_eq!(call(publisher, &format!("{send} x {n}")), Value::Int(1), "round {round}");
            }
            let mut got: Vec<Value> = (0..publishers.len()).map(|_| read(client)).collect();
            // They come from several publishers, so in any order.
            got.sort();
            let wanted: Vec<Value> =
                (0..publishers.len()).map(|n| push(resp, &format!("{word} {n}"))).collect();
            assert_eq!(got, wanted);
            assert_eq!(call(client, &format!("{end} x")), push(resp, &format!("{end} x 0")));
            for publisher in &mut publishers {
                assert_eq!(call(publisher, &format!("{send} x late")), Value::Int(0), "round {round}");
            }
            assert_eq!(call(client, "PING"), Value::Simple(b"PONG".to_vec()), "nothing came late");
        }
    });
}

#[test]
fn no_message_comes_before_the_confirmation() {
    everywhere(|server, resp| {
        while_others_publish(server, 2, || {
            for _ in 0..100 {
                let mut client = server.client_resp(resp);
                client.send(&["SUBSCRIBE", "x", "y"]).expect("sent");
                assert_eq!(read(&mut client), push(resp, "subscribe x 1"));
                assert_eq!(read(&mut client), push(resp, "subscribe y 2"));
            }
        });
    });
}

#[test]
fn only_cores_with_listeners_get_messages() {
    everywhere_in_resp3(|server| {
        let mut publishers: Vec<Client> = (0..8).map(|_| server.client()).collect();
        let sent = |publishers: &mut [Client], line: &str, receivers| {
            let before = info(&mut publishers[0], "remote_messages");
            for publisher in publishers.iter_mut() {
                (0..10).for_each(|_| assert_eq!(call(publisher, line), Value::Int(receivers), "{line}"));
            }
            info(&mut publishers[0], "remote_messages") - before
        };
        assert_eq!(sent(&mut publishers, "PUBLISH x 1", 0), 0, "nobody listens at all");
        let mut client = listener(server, 3, "SUBSCRIBE x y");
        call(&mut client, "PSUBSCRIBE p*");
        assert_eq!(sent(&mut publishers, "PUBLISH z 1", 0), 0);
        assert_eq!(sent(&mut publishers, "SPUBLISH x 1", 0), 0);
        let alone = info(&mut publishers[0], "shards") == 1;
        for (line, receivers) in [("PUBLISH x 1", 1), ("PUBLISH parrot 1", 1)] {
            let count = sent(&mut publishers, line, receivers);
            assert!(if alone { count == 0 } else { (10..=80).contains(&count) }, "{line}: {count}");
        }
        client.read_many(160).expect("all messages");
        // However many listen on a core, and by however many patterns.
        assert_eq!(call(&mut client, "PSUBSCRIBE x*"), push(3, "psubscribe x* 4"));
        let count = sent(&mut publishers, "PUBLISH x 1", 2);
        assert!(count <= 80, "{count}");
        drop(client);
        wait_until("the listener is gone everywhere", || {
            publishers.iter_mut().all(|publisher| call(publisher, "PUBLISH x 1") == Value::Int(0))
        });
        assert_eq!(sent(&mut publishers, "PUBLISH x 1", 0), 0);
    });
}

#[test]
fn a_client_that_listens_in_resp2_may_do_little_else() {
    everywhere(|server, resp| {
        let mut other = server.client();
        let mut client = listener(server, resp, "SUBSCRIBE x");
        if resp == 2 {
            for (line, name) in
                [("GET k", "get"), ("PUBLISH x 1", "publish"), ("CONFIG GET port", "config|get")]
            {
                let text = format!(
                    "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
                     allowed in this context"
                );
                assert_eq!(call(&mut client, line), Value::error(&text));
            }
            assert_eq!(call(&mut client, "PING"), Value::Array(vec![Value::bulk("pong"), Value::bulk("")]));
            assert_eq!(
                call(&mut client, "PING hi"),
                Value::Array(vec![Value::bulk("pong"), Value::bulk("hi")])
            );
        } else {
            assert_eq!(call(&mut client, "GET k"), Value::Null);
            assert_eq!(call(&mut client, "PING"), Value::Simple(b"PONG".to_vec()));
            assert_eq!(call(&mut client, "PING hi"), Value::bulk("hi"));
        }
        assert!(call(&mut client, "PING a b").is_error());
        // Shard channels count as well, but not together with the others.
        assert_eq!(call(&mut client, "SSUBSCRIBE s"), push(resp, "ssubscribe s 1"));
        assert_eq!(call(&mut client, "UNSUBSCRIBE"), push(resp, "unsubscribe x 0"));
        assert_eq!(call(&mut client, "GET k").is_error(), resp == 2);
        assert_eq!(call(&mut client, "RESET"), Value::Simple(b"RESET".to_vec()));
        for line in ["PUBLISH x 1", "SPUBLISH s 1"] {
            assert_eq!(call(&mut other, line), Value::Int(0));
        }
        assert_eq!(call(&mut client, "GET k"), Value::NullBulk, "RESET goes back to RESP2");
        assert_eq!(call(&mut client, "PSUBSCRIBE *"), push(2, "psubscribe * 1"));
        client.send(&["QUIT"]).expect("sent");
        assert_eq!(read(&mut client), Value::ok());
        assert_closed(&mut client);
    });
}

#[test]
fn the_protocol_may_change_while_a_client_listens() {
    everywhere_in_resp3(|server| {
        let mut client = listener(server, 3, "SUBSCRIBE x");
        let mut publisher = server.client();
        assert!(!call(&mut client, "HELLO 2").is_error());
        assert_eq!(call(&mut publisher, "PUBLISH x 1"), Value::Int(1));
        assert_eq!(read(&mut client), push(2, "message x 1"));
        assert!(call(&mut client, "HELLO 3").is_error(), "it may only listen now");
    });
}

#[test]
fn confirmations_count_and_name_what_ends() {
    everywhere(|server, resp| {
        let mut client = server.client_resp(resp);
        for line in ["unsubscribe", "punsubscribe", "sunsubscribe"] {
            let none = vec![Value::bulk(line), null(resp), Value::Int(0)];
            let none = if resp == 3 { Value::Push(none) } else { Value::Array(none) };
            assert_eq!(call(&mut client, line), none);
            assert_eq!(call(&mut client, &format!("{line} x")), push(resp, &format!("{line} x 0")));
        }
        client.send(&["SUBSCRIBE", "b", "a", "b", ""]).expect("sent");
        for line in ["subscribe b 1", "subscribe a 2", "subscribe b 2", "subscribe  3"] {
            assert_eq!(read(&mut client), push(resp, line));
        }
        assert_eq!(call(&mut client, "PSUBSCRIBE a"), push(resp, "psubscribe a 4"));
        assert_eq!(call(&mut client, "SSUBSCRIBE a"), push(resp, "ssubscribe a 1"));
        client.send(&["UNSUBSCRIBE"]).expect("sent");
        for line in ["unsubscribe  3", "unsubscribe a 2", "unsubscribe b 1"] {
            assert_eq!(read(&mut client), push(resp, line));
        }
        client.send(&["PUNSUBSCRIBE", "x", "a", "a"]).expect("sent");
        for line in ["punsubscribe x 1", "punsubscribe a 0", "punsubscribe a 0"] {
            assert_eq!(read(&mut client), push(resp, line));
        }
        assert_eq!(call(&mut client, "SUNSUBSCRIBE"), push(resp, "sunsubscribe a 0"));
    });
}

#[test]
fn a_publisher_that_listens_gets_the_reply_first() {
    everywhere_in_resp3(|server| {
        let mut client = listener(server, 3, "SUBSCRIBE x");
        let requests = ["PUBLISH x 1", "PING", "PUBLISH x 2", "PUBLISH y 3", "UNSUBSCRIBE x", "PUBLISH x 4"];
        let mut bytes = Vec::new();
        requests.iter().for_each(|line| encode(&mut bytes, &words(line)));
        client.send_raw(&bytes).expect("sent");
        for wanted in [
            Value::Int(1),
            push(3, "message x 1"),
            Value::Simple(b"PONG".to_vec()),
            Value::Int(1),
            push(3, "message x 2"),
            Value::Int(0),
            push(3, "unsubscribe x 0"),
            Value::Int(0),
        ] {
            assert_eq!(read(&mut client), wanted);
        }
    });
}

#[test]
fn what_a_transaction_publishes_to_its_own_client_comes_after_its_reply() {
    everywhere_in_resp3(|server| {
        while_others_publish(server, 2, || {
            let mut client = listener(server, 3, "SUBSCRIBE y");
            for _ in 0..50 {
                // CLIENT LIST waits for other cores, while others' commands run.
                for line in ["MULTI", "PUBLISH y 1", "CLIENT LIST", "PUBLISH y 2"] {
                    assert!(matches!(call(&mut client, line), Value::Simple(_)), "{line}");
                }
                let Value::Array(replies) = call(&mut client, "EXEC") else { panic!("no replies") };
                assert_eq!((&replies[0], &replies[2]), (&Value::Int(1), &Value::Int(1)));
                assert_eq!(read(&mut client), push(3, "message y 1"));
                assert_eq!(read(&mut client), push(3, "message y 2"));
            }
            // Whoever begins to listen in a transaction gets the messages of others after its reply, too.
            for _ in 0..20 {
                let mut beginner = server.client_resp(3);
                for line in ["MULTI", "SUBSCRIBE x", "CLIENT LIST", "PUBLISH x 2"] {
                    assert!(matches!(call(&mut beginner, line), Value::Simple(_)), "{line}");
                }
                let Value::Array(replies) = call(&mut beginner, "EXEC") else { panic!("no replies") };
                assert_eq!(replies[0], push(3, "subscribe x 1"));
                while read(&mut beginner) != push(3, "message x 2") {}
            }
            client.send(&["SUBSCRIBE", "a", "b"]).expect("sent");
            client.read_many(2).expect("confirmations");
            assert_eq!(call(&mut client, "MULTI"), Value::ok());
            for line in ["UNSUBSCRIBE a", "SSUBSCRIBE s", "PUBLISH a 1"] {
                assert!(matches!(call(&mut client, line), Value::Simple(_)), "{line}");
            }
            let wanted = vec![push(3, "unsubscribe a 2"), push(3, "ssubscribe s 1"), Value::Int(0)];
            assert_eq!(call(&mut client, "EXEC"), Value::Array(wanted));
        });
    });
}

#[test]
fn messages_come_between_replies_and_while_a_command_waits() {
    everywhere_in_resp3(|server| {
        let (mut client, mut publisher) = (listener(server, 3, "SUBSCRIBE x"), server.client());
        for key in ["a", "b", "c", "d", "e"] {
            client.send(&["BLPOP", key, "0"]).expect("sent");
            wait_until("the client waits", || info(&mut publisher, "blocked_clients") == 1);
            assert_eq!(call(&mut publisher, "PUBLISH x 1"), Value::Int(1));
            assert_eq!(read(&mut client), push(3, "message x 1"));
            assert_eq!(call(&mut publisher, &format!("LPUSH {key} 2")), Value::Int(1));
            assert_eq!(read(&mut client), Value::Array(vec![Value::bulk(key), Value::bulk("2")]));
        }
        const COUNT: usize = 5000;
        std::thread::scope(|scope| {
            let publishing = scope.spawn(|| {
                let requests: Vec<_> =
                    (0..COUNT).map(|n| support::request(&["PUBLISH", "x", &n.to_string()])).collect();
                publisher.pipeline(&requests).expect("all are answered")
            });
            let mut bytes = Vec::new();
            (0..COUNT).for_each(|n| encode(&mut bytes, &["SET", &format!("key:{n}"), &n.to_string(), "GET"]));
            (0..COUNT).for_each(|n| encode(&mut bytes, &["GET", &format!("key:{n}")]));
            client.send_raw(&bytes).expect("sent");
            let (mut replies, mut messages) = (0, 0);
            while replies < 2 * COUNT || messages < COUNT {
                let got = read(&mut client);
                if let Value::Push(_) = got {
                    assert_eq!(got, push(3, &format!("message x {messages}")));
                    messages += 1;
                } else {
                    let wanted = if replies < COUNT {
                        Value::Null
                    } else {
                        Value::bulk((replies - COUNT).to_string())
                    };
                    assert_eq!(got, wanted);
                    replies += 1;
                }
            }
            assert!(publishing.join().expect("no panic").iter().all(|reply| *reply == Value::Int(1)));
        });
    });
}

#[test]
fn client_reply_does_not_silence_messages() {
    everywhere_in_resp3(|server| {
        let (mut client, mut publisher) = (server.client_resp(3), server.client());
        client.send(&["CLIENT", "REPLY", "OFF"]).expect("sent");
        client.send(&["PING"]).expect("sent");
        assert_eq!(call(&mut client, "SUBSCRIBE x"), push(3, "subscribe x 1"));
        assert_eq!(call(&mut publisher, "PUBLISH x 1"), Value::Int(1));
        assert_eq!(read(&mut client), push(3, "message x 1"));
        assert_eq!(call(&mut client, "CLIENT REPLY ON"), Value::ok());
        client.send(&["CLIENT", "REPLY", "SKIP"]).expect("sent");
        assert_eq!(call(&mut client, "UNSUBSCRIBE x"), push(3, "unsubscribe x 0"));
        assert_eq!(
            call(&mut client, "PING"),
            Value::Simple(b"PONG".to_vec()),
            "only one command was skipped"
        );
    });
}

#[test]
fn all_cores_tell_who_listens() {
    everywhere(|server, resp| {
        let mut viewers: Vec<Client> = (0..5).map(|_| server.client()).collect();
        let mut listeners: Vec<Client> =
            (0..5).map(|n| listener(server, resp, &format!("SUBSCRIBE all c{n}"))).collect();
        for client in &mut listeners[..2] {
            call(client, "PSUBSCRIBE same*");
            call(client, "SSUBSCRIBE shard");
        }
        let bulks = |texts: &[&str]| Value::Array(texts.iter().map(Value::bulk).collect());
        for viewer in &mut viewers {
            let Value::Array(mut names) = call(viewer, "PUBSUB CHANNELS") else { panic!("no list") };
            names.sort();
            assert_eq!(Value::Array(names), bulks(&["all", "c0", "c1", "c2", "c3", "c4"]));
            assert_eq!(call(viewer, "PUBSUB CHANNELS *3"), bulks(&["c3"]));
            assert_eq!(call(viewer, "PUBSUB SHARDCHANNELS"), bulks(&["shard"]));
            assert_eq!(call(viewer, "PUBSUB SHARDCHANNELS x"), bulks(&[]));
            assert_eq!(
                call(viewer, "PUBSUB NUMSUB all none c1"),
                Value::Array(vec![
                    Value::bulk("all"),
                    Value::Int(5),
                    Value::bulk("none"),
                    Value::Int(0),
                    Value::bulk("c1"),
                    Value::Int(1)
                ])
            );
            assert_eq!(call(viewer, "PUBSUB NUMSUB"), bulks(&[]));
            assert_eq!(
                call(viewer, "PUBSUB SHARDNUMSUB shard"),
                Value::Array(vec![Value::bulk("shard"), Value::Int(2)])
            );
            assert_eq!(call(viewer, "PUBSUB NUMPAT"), Value::Int(1));
            for (name, count) in [
                ("pubsub_channels", 6),
                ("pubsub_patterns", 1),
                ("pubsubshard_channels", 1),
                ("pubsub_clients", 5),
            ] {
                assert_eq!(info(viewer, name), count, "{name}");
            }
        }
        let list = |viewer: &mut Client, line: &str| match call(viewer, line) {
            Value::Bulk(text) => String::from_utf8(text).expect("text"),
            other => panic!("{other}"),
        };
        let lines = list(&mut viewers[0], "CLIENT LIST TYPE pubsub");
        assert_eq!(lines.lines().count(), 5, "{lines}");
        assert!(lines.lines().all(|line| line.contains(" flags=P ")), "{lines}");
        assert_eq!(lines.matches(" sub=2 psub=1 ssub=1 ").count(), 2, "{lines}");
        assert_eq!(lines.matches(" sub=2 psub=0 ssub=0 ").count(), 3, "{lines}");
        assert!(!list(&mut viewers[0], "CLIENT LIST TYPE normal").contains("flags=P"));
        assert_eq!(call(&mut viewers[0], "CLIENT KILL TYPE pubsub"), Value::Int(5));
        listeners.iter_mut().for_each(assert_closed);
        wait_until("all cores know", || {
            viewers.iter_mut().all(|viewer| {
                info(viewer, "pubsub_clients") == 0
                    && info(viewer, "pubsub_channels") == 0
                    && call(viewer, "PUBSUB NUMPAT") == Value::Int(0)
                    && call(viewer, "PUBSUB NUMSUB all")
                        == Value::Array(vec![Value::bulk("all"), Value::Int(0)])
            })
        });
        assert!(call(&mut viewers[0], "PUBSUB NUMPAT x").is_error());
        let too_many = "ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP.";
        assert_eq!(call(&mut viewers[0], "PUBSUB CHANNELS a b"), Value::error(too_many));
        assert!(call(&mut viewers[0], "PUBSUB NONE").is_error());
        let Value::Array(help) = call(&mut viewers[0], "PUBSUB HELP") else { panic!("no help") };
        assert_eq!(help.len(), 13);
    });
}

#[test]
fn who_does_not_read_messages_is_closed_at_the_limit_of_its_class() {
    everywhere(|server, resp| {
        let mut publisher = server.client();
        for limit in ["pubsub 4mb 0 0", "pubsub 0 2mb 1"] {
            let before = info(&mut publisher, "client_output_buffer_limit_disconnections");
            assert_eq!(publisher.call(&["CONFIG", "SET", "client-output-buffer-limit", limit]), Value::ok());
            let mut idle = listener(server, resp, "SUBSCRIBE x");
            let mut reading = listener(server, resp, "SUBSCRIBE y");
            let message = "m".repeat(64 << 10);
            // The kernel takes some of them.
            wait_until("the limit is passed", || {
                let receivers = publisher.call(&["PUBLISH", "x", &message]);
                receivers == Value::Int(0)
            });
            assert_eq!(
                info(&mut publisher, "client_output_buffer_limit_disconnections"),
                before + 1,
                "{limit}"
            );
            assert_closed(&mut idle);
            for _ in 0..20 {
                assert_eq!(publisher.call(&["PUBLISH", "y", &message]), Value::Int(1));
                assert!(!read(&mut reading).is_error());
            }
        }
        // The limit of other clients is none of theirs.
        let limits = "normal 1mb 0 0 pubsub 0 0 0";
        assert_eq!(publisher.call(&["CONFIG", "SET", "client-output-buffer-limit", limits]), Value::ok());
        let mut idle = listener(server, resp, "SUBSCRIBE x");
        let message = "m".repeat(1 << 20);
        (0..30).for_each(|_| assert_eq!(publisher.call(&["PUBLISH", "x", &message]), Value::Int(1)));
        (0..30).for_each(|_| assert!(!read(&mut idle).is_error()));
    });
}

#[test]
fn who_sends_nothing_more_gets_the_confirmation_and_is_closed() {
    everywhere(|server, resp| {
        while_others_publish(server, 1, || {
            for _ in 0..10 {
                let mut client = server.client_resp(resp);
                client.send(&["SUBSCRIBE", "x"]).expect("sent");
                client.finish_sending().expect("half a connection");
                assert_eq!(read(&mut client), push(resp, "subscribe x 1"));
                assert_closed(&mut client);
            }
        });
        let mut viewer = server.client();
        wait_until("none of them is left", || call(&mut viewer, "PUBLISH x 1") == Value::Int(0));
    });
}

#[test]
fn who_listens_may_be_silent_for_longer_than_the_timeout() {
    let server = Server::start(&["--save", "", "--shards", "2", "--timeout", "1"]);
    let mut listeners: Vec<Client> = (0..2).map(|_| listener(&server, 2, "SUBSCRIBE x")).collect();
    let mut idle = server.client();
    assert_closed(&mut idle);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(call(&mut server.client(), "PUBLISH x 1"), Value::Int(2));
    listeners.iter_mut().for_each(|client| assert_eq!(read(client), push(2, "message x 1")));
}

#[test]
fn a_hundred_thousand_channels_cost_bounded_memory() {
    const COUNT: usize = 100_000;
    everywhere_in_resp3(|server| {
        let (mut client, mut viewer) = (server.client(), server.client());
        let names: Vec<String> = (0..COUNT).map(|n| format!("channel:{n:06}")).collect();
        let before = info(&mut viewer, "used_memory");
        let shards = info(&mut viewer, "shards");
        for part in names.chunks(1000) {
            client.send(&[&["SUBSCRIBE".to_owned()], part].concat()).expect("sent");
            client.read_many(part.len()).expect("confirmations");
        }
        assert_eq!(info(&mut viewer, "pubsub_channels"), COUNT as u64);
        let bytes = (info(&mut viewer, "used_memory") - before) / COUNT as u64;
        // A name, its place among those of the client, and a topic on each core.
        assert!(bytes <= 150 + 200 * shards, "{bytes} bytes for each subscription");
        assert_eq!(call(&mut viewer, "PUBLISH channel:077777 1"), Value::Int(1));
        assert_eq!(read(&mut client), push(2, "message channel:077777 1"));
        client.send(&["UNSUBSCRIBE"]).expect("sent");
        let last = client.read_many(COUNT).expect("confirmations").pop().expect("many");
        assert_eq!(last, push(2, "unsubscribe channel:099999 0"));
        assert_eq!(info(&mut viewer, "pubsub_channels"), 0);
        wait_until("the memory is given back", || info(&mut viewer, "used_memory") < before + (8 << 20));
    });
}
