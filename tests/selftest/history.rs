//! Tests of `support::history`.

use crate::support::Request;
use crate::support::bundles::{cas, exec};
use crate::support::history::*;
use crate::support::model::Model;
use crate::support::resp::Value;
use crate::support::rng::Rng;
use crate::support::workload::{Bundles, Workload};

/// An operation in one line: `client from..to command -> reply`.
fn operation(client: usize, from: u64, to: u64, line: &str, reply: Value) -> Operation {
    let words: Vec<&str> = line.split(' ').collect();
    let request = crate::support::request(&words);
    Operation { client, db: 0, invoked_at: from, completed_at: Some(to), request, reply }
}

fn accepted(history: &[Operation]) -> bool {
    match check(history, Options::default()) {
        Ok(()) => true,
        Err(failure @ Failure::Violation { .. }) => {
            eprintln!("{failure}");
            false
        }
        Err(undecided) => panic!("{undecided}"),
    }
}

fn bulk(text: &str) -> Value {
    Value::bulk(text)
}

#[test]
fn accepts_either_order_of_overlapping_operations() {
    for seen in ["1", "2"] {
        assert!(accepted(&[
            operation(1, 0, 10, "SET a 1", Value::ok()),
            operation(2, 0, 10, "SET a 2", Value::ok()),
            operation(3, 11, 12, "GET a", bulk(seen)),
            operation(1, 13, 14, "GET a", bulk(seen)),
        ]));
    }
}

#[test]
fn rejects_a_stale_read() {
    assert!(!accepted(&[
        operation(1, 0, 1, "SET a 1", Value::ok()),
        operation(1, 2, 3, "SET a 2", Value::ok()),
        operation(2, 4, 5, "GET a", bulk("1")),
    ]));
}

#[test]
fn rejects_readers_that_disagree_on_the_order_of_two_writes() {
    assert!(!accepted(&[
        operation(1, 0, 20, "SET a 1", Value::ok()),
        operation(2, 0, 20, "SET a 2", Value::ok()),
        operation(3, 1, 2, "GET a", bulk("1")),
        operation(3, 3, 4, "GET a", bulk("2")),
        operation(4, 5, 6, "GET a", bulk("1")),
    ]));
}

#[test]
fn rejects_a_lost_update() {
    assert!(!accepted(&[
        operation(1, 0, 5, "INCR n", Value::Int(1)),
        operation(2, 0, 5, "INCR n", Value::Int(1)),
    ]));
    assert!(!accepted(&[
        operation(1, 0, 5, "INCR n", Value::Int(1)),
        operation(2, 0, 5, "INCR n", Value::Int(2)),
        operation(1, 6, 7, "GET n", bulk("1")),
    ]));
}

#[test]
fn rejects_a_half_visible_mset() {
    let history = |second: Value| {
        [
            operation(1, 0, 10, "MSET a 1 b 1", Value::ok()),
            operation(2, 1, 2, "GET a", bulk("1")),
            operation(2, 3, 4, "GET b", second),
        ]
    };
    assert!(accepted(&history(bulk("1"))));
    assert!(!accepted(&history(Value::Null)));
}

#[test]
fn rejects_a_fractured_mget() {
    let history = |seen: [&str; 2]| {
        let reply = Value::Array(seen.map(bulk).to_vec());
        [
            operation(1, 0, 1, "MSET a 0 b 0", Value::ok()),
            operation(1, 2, 10, "MSET a 1 b 1", Value::ok()),
            operation(2, 2, 10, "MGET a b", reply),
        ]
    };
    assert!(accepted(&history(["0", "0"])) && accepted(&history(["1", "1"])));
    assert!(!accepted(&history(["0", "1"])) && !accepted(&history(["1", "0"])));
}

#[test]
fn rejects_a_rename_seen_under_both_names_or_none() {
    let history = |found: i64| {
        [
            operation(1, 0, 1, "SET a 1", Value::ok()),
            operation(1, 2, 10, "RENAME a b", Value::ok()),
            operation(2, 2, 10, "EXISTS a b", Value::Int(found)),
        ]
    };
    assert!(accepted(&history(1)));
    assert!(!accepted(&history(2)) && !accepted(&history(0)));
}

#[test]
fn rejects_an_order_against_real_time() {
    // Serializable (2 before 1), but client 2 began when client 1 had finished.
    assert!(!accepted(&[
        operation(1, 0, 1, "SET a 1", Value::ok()),
        operation(2, 2, 3, "SETNX a 2", Value::Int(1)),
    ]));
}

#[test]
fn requires_program_order_per_key_only_when_asked() {
    let history = [
        operation(1, 0, 10, "SET a 1", Value::ok()),
        operation(1, 0, 10, "GET a", Value::Null),
        operation(1, 0, 10, "GET b", Value::Null),
    ];
    let free = Options { program_order: false, ..Options::default() };
    assert!(check(&history, free).is_ok());
    assert!(!accepted(&history));
    assert!(accepted(&[
        operation(1, 0, 10, "SET a 1", Value::ok()),
        operation(1, 0, 10, "SET b 1", Value::ok()),
        operation(2, 1, 2, "GET b", bulk("1")),
        operation(2, 3, 4, "GET a", Value::NullBulk),
    ]));
}

#[test]
fn a_write_that_happens_to_change_nothing_may_still_come_later() {
    assert!(accepted(&[
        operation(1, 0, 1, "SET a 1", Value::ok()),
        operation(1, 2, 20, "SET a 1", Value::ok()),
        operation(2, 3, 4, "SET a 2", Value::ok()),
        operation(2, 21, 22, "GET a", bulk("1")),
    ]));
}

#[test]
fn an_unknown_outcome_may_happen_late_or_never_but_not_twice_or_early() {
    let unknown = Operation { completed_at: None, ..operation(1, 5, 0, "INCR n", Value::Null) };
    let with = |reads: &[(u64, Value)]| {
        let read = |(at, seen): &(u64, Value)| operation(2, *at, at + 1, "GET n", seen.clone());
        let mut history = vec![unknown.clone()];
        history.extend(reads.iter().map(read));
        history
    };
    assert!(accepted(&with(&[(10, Value::Null)])));
    assert!(accepted(&with(&[(10, Value::Null), (90, bulk("1"))])));
    assert!(!accepted(&with(&[(10, bulk("1")), (90, Value::Null)])));
    assert!(!accepted(&with(&[(10, bulk("2"))])));
    assert!(!accepted(&with(&[(1, bulk("1"))])));
}

#[test]
fn the_counterexample_names_the_culprit_and_leaves_out_the_rest() {
    let mut history: Vec<Operation> =
        (0..50).map(|i| operation(7, 2 * i, 2 * i + 1, &format!("SET other {i}"), Value::ok())).collect();
    history.extend([
        operation(1, 0, 1, "SET a 1", Value::ok()),
        operation(1, 10, 11, "GET a", bulk("1")),
        operation(2, 20, 21, "GET a", bulk("2")),
        operation(2, 30, 31, "SET a 2", Value::ok()),
    ]);
    let Err(Failure::Violation { window, culprit }) = check(&history, Options::default()) else {
        panic!("accepted or undecided");
    };
    assert_eq!(culprit, history[52]);
    assert_eq!(window, [history[50].clone(), history[52].clone()]);
}

/// A transaction in one line, its commands apart by `;`: `client from..to -> replies`.
fn transaction(client: usize, from: u64, to: u64, lines: &str, replies: &[Value]) -> Operation {
    bundled(client, from, to, &exec(&commands(lines)), Value::Array(replies.to_vec()))
}

fn bundled(client: usize, from: u64, to: u64, request: &Request, reply: Value) -> Operation {
    Operation { request: request.clone(), ..operation(client, from, to, "", reply) }
}

fn commands(lines: &str) -> Vec<Request> {
    lines.split("; ").map(|line| crate::support::request(&line.split(' ').collect::<Vec<_>>())).collect()
}

#[test]
fn rejects_a_transaction_that_others_see_in_parts() {
    let history = |seen: [&str; 2]| {
        [
            operation(1, 0, 1, "MSET a 0 b 0", Value::ok()),
            transaction(1, 2, 10, "SET a 1; SET b 1", &[Value::ok(), Value::ok()]),
            transaction(2, 2, 10, "GET a; GET b", &seen.map(bulk)),
        ]
    };
    assert!(accepted(&history(["0", "0"])) && accepted(&history(["1", "1"])));
    assert!(!accepted(&history(["0", "1"])) && !accepted(&history(["1", "0"])));
}

#[test]
fn rejects_a_command_between_those_of_a_transaction() {
    let history = |sum: i64| {
        [
            transaction(1, 0, 10, "INCR n; INCR n", &[Value::Int(1), Value::Int(sum)]),
            operation(2, 0, 10, "INCR n", Value::Int(if sum == 2 { 3 } else { 2 })),
        ]
    };
    assert!(accepted(&history(2)));
    assert!(!accepted(&history(3)));
}

#[test]
fn errors_within_a_transaction_do_not_end_it() {
    let no_number = Value::error("ERR value is not an integer or out of range");
    let history = |last: Value| {
        [
            operation(1, 0, 1, "SET a x", Value::ok()),
            transaction(1, 2, 3, "INCR a; SET b 1", &[no_number.clone(), Value::ok()]),
            operation(1, 4, 5, "GET b", last),
        ]
    };
    assert!(accepted(&history(bulk("1"))));
    assert!(!accepted(&history(Value::Null)));
}

#[test]
fn commands_over_the_whole_keyspace_and_of_the_session_count_within_transactions() {
    let keys = |names: &[&str]| Value::Array(names.iter().map(Value::bulk).collect());
    let history = |listed: Value, there: i64| {
        let pong = Value::Simple(b"PONG".to_vec());
        let lines = "PING; KEYS *; SELECT 1; SET c 1; FLUSHDB; SELECT 0; RANDOMKEY; CLIENT LIST";
        let replies =
            [pong, listed, Value::ok(), Value::ok(), Value::ok(), Value::ok(), bulk("b"), bulk("id=1")];
        [
            operation(1, 0, 1, "MSET a 1 b 2", Value::ok()),
            transaction(1, 2, 3, lines, &replies),
            operation(1, 4, 5, "EXISTS a b c", Value::Int(there)),
        ]
    };
    assert!(accepted(&history(keys(&["b", "a"]), 2)));
    assert!(!accepted(&history(keys(&["b"]), 2)));
    assert!(!accepted(&history(keys(&["b", "a"]), 0)));
}

/// Client 1 watches and reads `a`, client 2 writes to it at some time or not, then client 1 tries to change it.
fn swap(write: Option<(u64, u64)>, reply: Value) -> Vec<Operation> {
    let watch = operation(1, 10, 11, "WATCH a", Value::Array(vec![Value::Null]));
    let request = cas(&[b"a".to_vec()], &[Value::Null], &commands("SET a 1"));
    let mut history = vec![watch, bundled(1, 20, 21, &request, reply)];
    history.extend(write.map(|(from, to)| operation(2, from, to, "SET a 2", Value::ok())));
    history
}

#[test]
fn rejects_a_swap_of_a_value_that_has_changed() {
    let done = || Value::Array(vec![Value::ok()]);
    assert!(accepted(&swap(None, done())));
    assert!(accepted(&swap(Some((15, 30)), done())), "the write may come after");
    assert!(!accepted(&swap(Some((15, 16)), done())));
    let mut history = swap(None, done());
    history.push(operation(2, 30, 31, "GET a", Value::Null));
    assert!(!accepted(&history), "it has run");
}

#[test]
fn a_swap_of_unknown_outcome_may_have_been_refused() {
    let history = |seen: [Value; 2]| {
        let mut history = swap(None, Value::Null);
        let later = operation(1, 22, 23, "MSET a 3 b 3", Value::ok());
        let read = operation(2, 50, 51, "MGET a b", Value::Array(seen.to_vec()));
        history.extend([later, read]);
        history[1..3].iter_mut().for_each(|operation| operation.completed_at = None);
        history
    };
    assert!(accepted(&history([Value::Null, Value::Null])));
    assert!(accepted(&history([bulk("1"), Value::Null])));
    assert!(accepted(&history([bulk("3"), bulk("3")])));
    assert!(!accepted(&history([Value::Null, bulk("3")])));
    assert!(!accepted(&history([bulk("1"), bulk("3")])));
}

#[test]
fn rejects_a_refused_swap_without_a_cause() {
    for (write, right) in
        [(None, false), (Some((1, 2)), false), (Some((22, 23)), false), (Some((1, 10)), true)]
    {
        let refused = check(&swap(write, Value::NullArray), Options::default());
        assert_eq!(refused.is_ok(), right, "{write:?}: {refused:?}");
        assert!(right || matches!(refused, Err(Failure::Unprovoked { .. })));
    }
    let mut history = swap(Some((15, 16)), Value::NullArray);
    history.push(operation(1, 30, 31, "GET a", bulk("1")));
    assert!(!accepted(&history), "it has not run");
}

/// A history of `clients` that a single-threaded server could have produced: operations take effect at
/// random points between their ends.
fn simulated(seed: u64, clients: usize, operations: usize) -> Vec<Operation> {
    let mut rng = Rng::new(seed);
    let bundles =
        Bundles { exec: 10, eval: 10, whole_keyspace: seed.is_multiple_of(2), session: true, watch: 0 };
    let mut workload = Workload::new(seed, 6).with_bundles(bundles);
    let mut model = Model::new();
    let mut free_at = vec![0; clients];
    let mut effects = Vec::new();
    for _ in 0..operations {
        let client = rng.below(clients);
        let begin = free_at[client] + 1 + rng.next() % 10;
        let effect = begin + rng.next() % 20;
        let end = effect + rng.next() % 20;
        free_at[client] = end;
        let (db, request) = workload.next();
        effects.push((
            effect,
            Operation { client, db, invoked_at: begin, completed_at: Some(end), request, reply: Value::Null },
        ));
    }
    effects.sort_by_key(|(effect, _)| *effect);
    for (_, operation) in &mut effects {
        operation.reply = model.execute(operation.db, &operation.request).some();
    }
    effects.into_iter().map(|(_, operation)| operation).collect()
}

#[test]
fn accepts_what_a_correct_server_produces() {
    for seed in 0..60 {
        let clients = 1 + seed as usize % 8;
        let history = simulated(seed, clients, 200);
        let verdict = check(&history, Options::default());
        assert!(verdict.is_ok(), "seed {seed}, {clients} clients: {}", verdict.unwrap_err());
    }
}

#[test]
fn rejects_the_same_histories_with_one_reply_of_a_value_never_written() {
    let mut altered = 0;
    for seed in 0..30 {
        let mut history = simulated(seed, 8, 200);
        let is_get = |operation: &&mut Operation| operation.request[0] == b"GET";
        if let Some(operation) = history.iter_mut().filter(is_get).nth(3) {
            operation.reply = bulk("never written");
            assert!(!accepted(&history), "seed {seed}");
            altered += 1;
        }
    }
    assert!(altered > 20, "only {altered} histories had a GET to alter");
}
