//! Tests of `support::resp`.

use crate::support::resp::*;

const STREAM: &[u8] = b"+OK\r\n-ERR no\r\n:-12\r\n$3\r\na\r\n\r\n$-1\r\n*-1\r\n_\r\n*2\r\n:1\r\n*0\r\n\
    %1\r\n+k\r\n#t\r\n~1\r\n,1.5\r\n>1\r\n(123\r\n=5\r\ntxt:a\r\n|1\r\n+a\r\n:1\r\n:2\r\n";

fn expected() -> Vec<Value> {
    vec![
        Value::ok(),
        Value::error("ERR no"),
        Value::Int(-12),
        Value::bulk("a\r\n"),
        Value::NullBulk,
        Value::NullArray,
        Value::Null,
        Value::Array(vec![Value::Int(1), Value::Array(vec![])]),
        Value::Map(vec![(Value::Simple(b"k".to_vec()), Value::Bool(true))]),
        Value::Set(vec![Value::Double(b"1.5".to_vec())]),
        Value::Push(vec![Value::BigNumber(b"123".to_vec())]),
        Value::Verbatim(b"txt:a".to_vec()),
        Value::Attribute(vec![(Value::Simple(b"a".to_vec()), Value::Int(1))], Box::new(Value::Int(2))),
    ]
}

#[test]
fn decodes_every_type_however_the_bytes_are_cut() {
    for step in 1..=STREAM.len() {
        let mut decoder = Decoder::new();
        let mut values = Vec::new();
        for piece in STREAM.chunks(step) {
            decoder.feed(piece);
            while let Some(value) = decoder.next().unwrap() {
                values.push(value);
            }
        }
        assert_eq!(values, expected(), "in pieces of {step} bytes");
        assert!(decoder.pending().is_empty());
    }
}

#[test]
fn refuses_what_is_not_resp() {
    for bad in ["hello\r\n", "$x\r\n", "$2\r\nabc\r\n", "*-2\r\n", "#x\r\n", "\r\n"] {
        let mut decoder = Decoder::new();
        decoder.feed(bad.as_bytes());
        assert!(decoder.next().is_err(), "{bad:?}");
    }
}

#[test]
fn encodes_binary_safe_commands() {
    let mut out = Vec::new();
    encode(&mut out, &[&b"SET"[..], b"k", b"\r\n"]);
    assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\n\r\n\r\n");
}
