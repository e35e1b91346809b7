//! Tests of `support::model`.

use crate::support::bundles::wire;
use crate::support::model::*;
use crate::support::redis;
use crate::support::resp::Value;
use crate::support::workload::{Bundles, Workload};
use crate::support::{Request, shown};

/// Runs `commands` (words separated by blanks) on a new model and returns the last reply.
fn run(commands: &[&str]) -> Expected {
    let mut model = Model::new();
    let execute = |line: &&str| {
        let words: Vec<&str> = line.split(' ').collect();
        model.execute(0, &crate::support::request(&words))
    };
    commands.iter().map(execute).last().expect("at least one command")
}

fn exactly(value: Value) -> Expected {
    Expected::Exactly(value)
}

#[test]
fn answers_as_redis_does() {
    assert_eq!(run(&["SET a x", "APPEND a yz", "GET a"]), exactly(Value::bulk("xyz")));
    assert_eq!(run(&["MSET a 1 b 2", "MSETNX b 3 c 3", "EXISTS a b c"]), exactly(Value::Int(2)));
    assert_eq!(run(&["SET a 5", "INCRBY a -7", "GET a"]), exactly(Value::bulk("-2")));
    assert_eq!(
        run(&["SET a 05", "INCR a"]),
        exactly(Value::error("ERR value is not an integer or out of range"))
    );
    assert_eq!(run(&["SET a 1", "RENAME a b", "MGET a b"]), {
        exactly(Value::Array(vec![Value::Null, Value::bulk("1")]))
    });
    assert_eq!(run(&["SET a ab", "SET b A", "BITOP XOR c a b", "GET c"]), exactly(Value::bulk(" b")));
    assert_eq!(run(&["MSET a ohmytext b mynewtext", "LCS a b"]), exactly(Value::bulk("mytext")));
    assert_eq!(run(&["SET a 1", "SWAPDB 0 3", "DBSIZE"]), exactly(Value::Int(0)));
    assert_eq!(run(&["SET a 1", "COPY a b DB 2", "SWAPDB 2 0", "GET b"]), exactly(Value::bulk("1")));
    assert_eq!(run(&["SET a 1", "DEL a", "RANDOMKEY"]), Expected::OneOf(vec![]));
}

#[test]
fn accepts_keys_in_any_order_and_any_existing_random_key() {
    let keys = run(&["MSET a 1 b 2", "KEYS *"]);
    assert!(keys.allows(&Value::Array(vec![Value::bulk("b"), Value::bulk("a")])));
    assert!(!keys.allows(&Value::Array(vec![Value::bulk("b"), Value::bulk("b")])));
    assert!(!keys.allows(&Value::Array(vec![Value::bulk("b")])));
    let random = run(&["MSET a 1 b 2", "RANDOMKEY"]);
    assert!(random.allows(&Value::bulk("b")));
    assert!(!random.allows(&Value::bulk("c")) && !random.allows(&Value::Null));
    assert!(run(&["RANDOMKEY"]).allows(&Value::Null));
}

#[test]
fn models_of_equal_contents_are_equal() {
    let mut model = Model::new();
    model.execute(3, &crate::support::request(&["SET", "a", "1"]));
    model.execute(3, &crate::support::request(&["DEL", "a"]));
    assert_eq!(model, Model::new());
}

/// The model is only worth something if it is Redis: the workload's commands against the real one.
#[test]
fn agrees_with_stock_redis() {
    let server = redis::start::<&str>(&[]);
    let mut client = server.client();
    let mut model = Model::new();
    let bundles = Bundles { exec: 10, watch: 10, eval: 10, whole_keyspace: true, session: true };
    let mut workload = Workload::new(11, 6).with_databases(3).with_bundles(bundles);
    let mut watch: Option<(usize, Request, Value)> = None;
    for _ in 0..20_000 {
        let (db, operation) = match watch.take() {
            Some((db, watch, Value::Array(seen))) => (db, workload.swap(db, &watch, &seen)),
            _ => workload.next(),
        };
        let mut requests = vec![crate::support::request(&["SELECT", &db.to_string()])];
        requests.extend(wire(&operation));
        let reply =
            client.pipeline(&requests).expect("replies from redis-server").pop().expect("at least one");
        let reply = reply.with_one_null();
        let expected = model.execute(db, &operation);
        assert!(expected.allows(&reply), "{}: {expected:?}, but Redis says {reply}", shown(&operation));
        if operation[0] == b"WATCH" {
            watch = Some((db, operation, reply));
        }
    }
}
