//! What once went wrong or easily could, one directed test each.

use std::time::Duration;

use corelane::route::message::Message;
use corelane::runtime::io::CoreId;
use corelane::runtime::sim::Faults;

use crate::cluster::{Cluster, key_on};
use crate::support::request;
use crate::support::resp::Value;

#[test]
fn a_refused_connection_is_told_why() {
    let mut cluster = Cluster::with_config(2, 1, Faults::none(), |config| config.maxclients = 1);
    let mut served = cluster.user(0);
    assert_eq!(cluster.ask(&mut served, "GET a"), Value::NullBulk);
    let mut refused = cluster.user(1);
    cluster.rest();
    assert_eq!(cluster.hear(&mut refused), [Value::error("ERR max number of clients reached")]);
    assert!(cluster.world.is_over(refused.link));
    assert_eq!(cluster.ask(&mut served, "GET a"), Value::NullBulk);
}

#[test]
fn a_client_that_stops_reading_goes_on_when_it_reads_again() {
    const COUNT: usize = 12;
    for shards in [1, 2] {
        let key = key_on(shards, shards - 1, "k");
        let mut cluster = Cluster::new(shards, 3, Faults { window_bytes: 1 << 20, ..Faults::none() });
        let mut user = cluster.user(0);
        let set = request(&["SET", &key, &"v".repeat(600 << 10)]);
        cluster.say_request(&user, &set);
        cluster.rest();
        assert_eq!(cluster.hear(&mut user), [Value::ok()]);
        cluster.world.set_reading(user.link, false);
        (0..COUNT).for_each(|_| cluster.say(&user, &format!("GET {key}")));
        while cluster.step() {}
        let held: usize =
            cluster.cores.iter().flat_map(|core| core.state.clients.iter()).map(|c| c.output_bytes()).sum();
        assert!(shards > 1 || held < 4 << 20, "{held} bytes are held");
        cluster.rest();
        assert_eq!(cluster.hear(&mut user).len(), COUNT);
        cluster.assert_nothing_left();
    }
}

#[test]
fn expiries_go_along_over_shards_and_end_there() {
    let (from, to, copy) = (key_on(3, 0, "a"), key_on(3, 1, "b"), key_on(3, 2, "c"));
    let mut cluster = Cluster::new(3, 5, Faults::none());
    let mut user = cluster.user(0);
    cluster.ask(&mut user, &format!("SET {from} v PX 5000"));
    let at = cluster.ask(&mut user, &format!("PEXPIRETIME {from}"));
    cluster.ask(&mut user, &format!("SET {to} old"));
    assert_eq!(cluster.ask(&mut user, &format!("RENAME {from} {to}")), Value::ok());
    assert_eq!(cluster.ask(&mut user, &format!("COPY {to} {copy}")), Value::Int(1));
    for key in [&to, &copy] {
        assert_eq!(cluster.ask(&mut user, &format!("PEXPIRETIME {key}")), at);
    }
    cluster.rest_for(Duration::from_millis(6000));
    cluster.rest_for(Duration::from_millis(200));
    let left: usize = cluster.cores.iter().map(|core| core.state.shard.dbs[0].len()).sum();
    assert_eq!(left, 0, "keys that nobody has asked for are removed, too");
    assert_eq!(cluster.ask(&mut user, &format!("RENAME {to} {from}")), Value::error("ERR no such key"));
    assert_eq!(cluster.ask(&mut user, &format!("COPY {copy} {from}")), Value::Int(0));
    cluster.assert_nothing_left();
}

#[test]
fn a_source_that_expires_while_it_is_lent_is_gone() {
    let (from, to) = (key_on(2, 0, "a"), key_on(2, 1, "b"));
    let mut outcomes = [0; 2];
    for seed in 0..50 {
        let mut cluster = Cluster::new(2, seed, Faults { breaks: 0, ..Faults::drawn(seed) });
        let mut user = cluster.user(1);
        cluster.say(&user, &format!("SET {from} v PX 40"));
        cluster.say(&user, &format!("RENAME {from} {to}"));
        cluster.say(&user, &format!("EXISTS {from} {to}"));
        for _ in 0..400 {
            cluster.step();
        }
        cluster.rest_for(Duration::from_secs(1));
        let replies = cluster.hear(&mut user);
        let renamed = replies[1] == Value::ok();
        assert!(renamed || replies[1] == Value::error("ERR no such key"), "seed {seed}: {replies:?}");
        assert!(renamed || replies[2] == Value::Int(0), "seed {seed}: {replies:?}");
        outcomes[usize::from(renamed)] += 1;
        assert_eq!(cluster.ask(&mut user, &format!("EXISTS {from} {to}")), Value::Int(0));
        cluster.assert_nothing_left();
    }
    assert!(outcomes.iter().all(|&count| count > 3), "{outcomes:?}");
}

#[test]
fn a_large_request_behind_a_command_over_shards_is_read_to_its_end() {
    let keys = [0, 1].map(|shard| key_on(2, shard, "k"));
    for seed in 0..8 {
        let faults = Faults { piece_max_bytes: 3 << 20, ..Faults::none() };
        let mut cluster = Cluster::new(2, seed, faults);
        let mut user = cluster.user(0);
        cluster.say(&user, &format!("MGET {} {}", keys[0], keys[1]));
        let value = vec![b'v'; 6 << 20];
        cluster.say_request(&user, &vec![b"SET".to_vec(), keys[0].clone().into_bytes(), value]);
        cluster.rest();
        let replies = cluster.hear(&mut user);
        assert_eq!(replies.len(), 2, "seed {seed}: {replies:?}");
        cluster.assert_nothing_left();
    }
}

#[test]
fn a_client_that_meets_a_full_outbox_goes_on_when_it_is_sent() {
    let mut cluster = Cluster::new(2, 1, Faults::none());
    let mut user = cluster.user(0);
    let key = key_on(2, 1, "k");
    assert_eq!(cluster.ask(&mut user, &format!("SET {key} 1")), Value::ok());
    // Stays full until there is a message to send.
    cluster.cores[0].state.outboxes[1].bytes.resize(17 << 20, 0);
    cluster.say(&user, &format!("GET {key}"));
    while cluster.cores[0].state.stats.reads < 2 {
        cluster.step();
    }
    (0..20).for_each(|_| assert!(cluster.step()));
    assert_eq!(cluster.cores[0].state.stats.remote_commands, 1, "the GET waits");
    cluster.cores[0].state.send(CoreId(1), Message::Monitor { line: Vec::new() });
    cluster.rest();
    assert_eq!(cluster.hear(&mut user), [Value::bulk("1")]);
    cluster.assert_nothing_left();
}

#[test]
fn a_client_that_has_finished_sending_gets_all_its_replies() {
    let keys = [0, 1].map(|shard| key_on(2, shard, "k"));
    for seed in 0..20 {
        let mut cluster = Cluster::new(2, seed, Faults { breaks: 0, ..Faults::drawn(seed) });
        let mut user = cluster.user(0);
        for line in ["SET A 1", "GET B", "MSET A 2 B 3", "GET B", "MGET A B", "DEL A B", "GET A"] {
            cluster.say(&user, &line.replace('A', &keys[0]).replace('B', &keys[1]));
        }
        cluster.world.send(user.link, b"*2\r\n$3\r\nGET\r\n");
        cluster.world.finish(user.link);
        cluster.rest();
        let both = Value::Array(vec![Value::bulk("2"), Value::bulk("3")]);
        let expected = [
            Value::ok(),
            Value::NullBulk,
            Value::ok(),
            Value::bulk("3"),
            both,
            Value::Int(2),
            Value::NullBulk,
        ];
        assert_eq!(cluster.hear(&mut user), expected, "seed {seed}");
        assert!(cluster.world.is_over(user.link), "seed {seed}");
        cluster.assert_nothing_left();
    }
}

#[test]
fn what_a_transaction_has_modified_before_it_asks_all_cores_is_told_when_it_is_over() {
    let [here, there] = [0, 1].map(|shard| key_on(2, shard, "k"));
    for lines in [["SET THERE 1", "CLIENT LIST", "KEYS *"], ["MSET HERE 1 THERE 1", "CLIENT LIST", "PING"]] {
        for seed in 0..30 {
            let mut cluster = Cluster::new(2, seed, Faults { breaks: 0, ..Faults::drawn(seed) });
            let [mut watcher, mut waiter, mut writer] = [1, 1, 0].map(|core| cluster.user(core));
            assert_eq!(cluster.ask(&mut watcher, &format!("WATCH {there}")), Value::ok());
            cluster.say(&waiter, &format!("BLPOP {{{there}}}.list 0"));
            cluster.rest();
            let push = format!("RPUSH {{{there}}}.list x");
            for line in ["MULTI", &push, lines[0], lines[1], lines[2], "EXEC"] {
                cluster.say(&writer, &line.replace("THERE", &there).replace("HERE", &here));
            }
            // Others are served meanwhile.
            for _ in 0..20 {
                cluster.say(&writer, &format!("MGET {here} {there}"));
            }
            cluster.rest();
            assert_eq!(cluster.hear(&mut writer).len(), 26);
            assert_eq!(cluster.hear(&mut waiter).len(), 1, "seed {seed}");
            ["MULTI", "PING"].iter().for_each(|line| drop(cluster.ask(&mut watcher, line)));
            assert_eq!(cluster.ask(&mut watcher, "EXEC"), Value::NullArray, "seed {seed}");
            cluster.assert_nothing_left();
        }
    }
}

#[test]
fn emptying_everything_in_a_transaction_is_told_to_all_shards() {
    for shards in [2, 3, 8] {
        let mut cluster = Cluster::new(shards, 1, Faults::none());
        let keys: Vec<String> = (0..shards).map(|shard| key_on(shards, shard, "k")).collect();
        let mut watchers: Vec<_> = (0..shards).map(|core| cluster.user(core)).collect();
        let mut writer = cluster.user(0);
        for change in ["FLUSHALL", "SWAPDB 0 1", "FLUSHDB"] {
            for (watcher, key) in watchers.iter_mut().zip(&keys) {
                cluster.ask(watcher, &format!("SET {key} 1"));
                cluster.ask(watcher, &format!("WATCH {key}"));
            }
            for line in ["MULTI", change, "EXEC"] {
                cluster.ask(&mut writer, line);
            }
            for watcher in &mut watchers {
                cluster.ask(watcher, "MULTI");
                assert_eq!(cluster.ask(watcher, "EXEC"), Value::NullArray, "{change} on {shards} shards");
            }
        }
    }
}

#[test]
fn a_program_goes_on_in_its_database_when_its_client_is_gone() {
    // Both stop at each question to all cores.
    let transaction = "MULTI;INCR KEY;CLIENT LIST;CLIENT LIST;CLIENT LIST;SELECT 1;CLIENT LIST;INCR KEY;EXEC";
    let script = "redis.call('incr', KEYS[1]) for i = 1, 3 do redis.call('info') end redis.call('select', 1) \
                  redis.call('info') return redis.call('incr', KEYS[1])";
    let mut gone = 0;
    for (seed, killed) in (0..40).flat_map(|seed| [(seed, false), (seed, true)]) {
        let key = key_on(2, seed as u16 / 2 % 2, "k");
        let mut cluster = Cluster::new(2, seed, Faults { breaks: 0, ..Faults::drawn(seed) });
        let (leaver, killer) = (cluster.user(0), cluster.user(1));
        match seed % 2 {
            0 => transaction.split(';').for_each(|line| cluster.say(&leaver, &line.replace("KEY", &key))),
            _ => cluster.say_request(&leaver, &request(&["EVAL", script, "1", &key])),
        }
        step_until(&mut cluster, has_program);
        match killed {
            true => cluster.say(&killer, "CLIENT KILL TYPE normal"),
            false => cluster.world.close(leaver.link),
        }
        let mut is_gone = false;
        step_until(&mut cluster, |cluster| {
            let connections =
                cluster.cores.iter().map(|core| core.state.clients.iter().count()).sum::<usize>();
            is_gone |= has_program(cluster) && connections == 1;
            !has_program(cluster)
        });
        cluster.rest();
        let mut viewer = cluster.user(1);
        let found = [0, 1].map(|db| {
            cluster.ask(&mut viewer, &format!("SELECT {db}"));
            cluster.ask(&mut viewer, &format!("GET {key}"))
        });
        // It may have waited for its keys when the client went: then nothing of it is done.
        let ran = found == [Value::bulk("1"), Value::bulk("1")];
        assert!(ran || found == [Value::NullBulk, Value::NullBulk], "seed {seed}: {found:?}");
        gone += usize::from(ran && is_gone);
        cluster.assert_nothing_left();
    }
    assert!(gone > 20, "{gone} programs have ended without their clients");
}

fn has_program(cluster: &Cluster) -> bool {
    cluster.cores.iter().any(|core| !core.state.programs.is_empty())
}

fn step_until(cluster: &mut Cluster, mut is_so: impl FnMut(&Cluster) -> bool) {
    let end = cluster.world.steps() + 100_000;
    while !is_so(cluster) {
        cluster.step();
        assert!(cluster.world.steps() < end, "it comes to nothing");
    }
}
