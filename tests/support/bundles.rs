//! Several commands as one operation of a history: transactions, optimistic ones, scripts.
//!
//! Each is a request of its own form, which the checker's model executes and which [`wire`] turns into what is sent:
//!
//! | Request | Meaning | Sent as |
//! |---|---|---|
//! | `EXEC` *bundle* | a transaction | `MULTI`, the commands, `EXEC` |
//! | `WATCH key ...` | watches keys and reads them | `WATCH key ...`, `MGET key ...` |
//! | `CAS n key seen ...` *bundle* | a transaction that runs only if these keys are as seen | `MULTI`, the commands, `EXEC` |
//! | `EVAL all\|some\|none` *bundle* | a script that declares all, some or none of its keys | `EVAL` |
//!
//! A *bundle* is its commands one after the other, each behind the number of its words. What was *seen* is `-` for a missing
//! key, and else the value behind a `=`. The reply of an operation is that to the last request sent.

use super::model::{Footprint, footprint};
use super::resp::Value;
use super::{Request, request};

/// Runs the commands in ARGV, each behind the number of its words, and returns their replies.
const SCRIPT: &str = "\
    local replies, at = {}, 1 \
    while at <= #ARGV do \
        local count = tonumber(ARGV[at]) \
        replies[#replies + 1] = redis.pcall(unpack(ARGV, at + 1, at + count)) \
        at = at + 1 + count \
    end \
    return replies";

/// What an operation of several commands consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Keys, and what they must hold for anything to run: nothing, or this value.
    pub seen: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// What runs.
    pub commands: Vec<Request>,
}

/// How many of its keys a script declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    All,
    Some,
    None,
}

fn joined(mut head: Request, commands: &[Request]) -> Request {
    for command in commands {
        head.push(command.len().to_string().into_bytes());
        head.extend_from_slice(command);
    }
    head
}

/// A transaction of these commands.
pub fn exec(commands: &[Request]) -> Request {
    joined(request(&["EXEC"]), commands)
}

/// A transaction of these commands that runs only if these keys, which are watched, hold what was seen.
pub fn cas(keys: &[Vec<u8>], seen: &[Value], commands: &[Request]) -> Request {
    let mut head = request(&["CAS", &keys.len().to_string()]);
    for (key, value) in keys.iter().zip(seen) {
        let value = match value {
            Value::Bulk(bytes) => [b"=", bytes.as_slice()].concat(),
            other => {
                assert!(other.is_null(), "MGET answers values, not {other}");
                b"-".to_vec()
            }
        };
        head.extend([key.clone(), value]);
    }
    joined(head, commands)
}

/// A script that runs these commands.
pub fn eval(declared: Declared, commands: &[Request]) -> Request {
    let declared = match declared {
        Declared::All => "all",
        Declared::Some => "some",
        Declared::None => "none",
    };
    joined(request(&["EVAL", declared]), commands)
}

/// What an operation consists of; `None` for a plain command.
pub fn bundle(request: &[Vec<u8>]) -> Option<Bundle> {
    let (watched, first) = match request[0].as_slice() {
        b"EXEC" => (0, 1),
        b"EVAL" => (0, 2),
        b"CAS" => (count(&request[1]), 2),
        _ => return None,
    };
    let (pairs, mut rest) = request[first..].split_at(2 * watched);
    let seen = pairs.chunks(2).map(|pair| (pair[0].clone(), pair[1].strip_prefix(b"=").map(<[u8]>::to_vec)));
    let seen = seen.collect();
    let mut commands = Vec::new();
    while let Some((words, more)) = rest.split_first() {
        let (command, more) = more.split_at(count(words));
        commands.push(command.to_vec());
        rest = more;
    }
    Some(Bundle { seen, commands })
}

fn count(word: &[u8]) -> usize {
    std::str::from_utf8(word).ok().and_then(|text| text.parse().ok()).expect("a number of words")
}

impl Bundle {
    /// The commands, each with the database that is selected when it runs.
    pub fn commands_with_databases(&self, mut db: usize) -> impl Iterator<Item = (usize, &Request)> {
        self.commands.iter().map(move |command| {
            if command[0] == b"SELECT" {
                db = count(&command[1]);
            }
            (db, command)
        })
    }

    /// The keys that are read and written, each once, whatever their databases.
    fn keys(&self, db: usize) -> Vec<Vec<u8>> {
        let prints = self.commands_with_databases(db).map(|(db, command)| footprint(db, command));
        let mut keys: Vec<Vec<u8>> = prints
            .filter_map(|print| match print {
                Footprint::Keys(keys) => Some(keys),
                Footprint::Everything => None,
            })
            .flatten()
            .map(|(_, key)| key)
            .collect();
        keys.sort();
        keys.dedup();
        keys
    }
}

/// The requests that carry out an operation. Their replies but the last say only that all is well.
pub fn wire(operation: &[Vec<u8>]) -> Vec<Request> {
    if operation[0] == b"WATCH" {
        let mut read = operation.to_vec();
        read[0] = b"MGET".to_vec();
        return vec![operation.to_vec(), read];
    }
    let Some(bundle) = bundle(operation) else { return vec![operation.to_vec()] };
    if operation[0] == b"EVAL" {
        let mut keys = bundle.keys(0);
        match operation[1].as_slice() {
            b"all" => {}
            b"some" => keys.truncate(keys.len() / 2),
            _ => keys.clear(),
        }
        let mut script = request(&["EVAL", SCRIPT, &keys.len().to_string()]);
        script.extend(keys);
        script.extend_from_slice(&operation[2..]);
        return vec![script];
    }
    let mut requests = vec![request(&["MULTI"])];
    // Scripts can be among them.
    requests.extend(bundle.commands.iter().flat_map(|command| wire(command)));
    requests.push(request(&["EXEC"]));
    requests
}

/// Whether a reply but the last of an operation's requests is as it must be.
pub fn is_acknowledged(reply: &Value) -> bool {
    *reply == Value::ok() || *reply == Value::Simple(b"QUEUED".to_vec())
}
