//! Runs command lines through the handlers of strings and bitmaps.

use super::*;
use crate::base::quote::split_args;
use crate::execute::{Exec, Handler, bitmaps, dump, hyperloglog};
use crate::protocol::resp::{Reply, Resp};
use crate::shard::Hasher;

/// A shard of its own and what commands have done to it.
pub(in crate::execute) struct Bench {
    pub(in crate::execute) shard: Shard,
    pub(in crate::execute) resp: Resp,
    /// Changes made by the last command.
    pub(in crate::execute) changes: u64,
    /// Handlers that are looked for before those of strings.
    family: &'static [(&'static str, Handler)],
}

impl Bench {
    /// Time stands at 1,000,000 ms.
    pub(in crate::execute) fn new() -> Bench {
        Bench::of(&[])
    }

    /// For the commands of one more family.
    pub(in crate::execute) fn of(family: &'static [(&'static str, Handler)]) -> Bench {
        let mut shard = Shard::new(1, Hasher::from_seed(7), 7);
        shard.now_ms = 1_000_000;
        Bench { shard, resp: Resp::V2, changes: 0, family }
    }

    /// Answers a command, which fits its arity, with RESP.
    pub(in crate::execute) fn run(&mut self, args: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut cx = Exec::new(args, &mut self.shard, 0, Reply::new(&mut out, self.resp), None);
        // What failed has its error in the reply.
        let _ = cx.run_at_once(choice(args[0], self.family).unwrap_or_else(|| handler(args[0])));
        self.changes = cx.changes;
        out
    }

    /// Answers a command line as it is typed into redis-cli with RESP, in which spaces stand for line ends.
    pub(in crate::execute) fn line(&mut self, line: &str) -> String {
        let args = split_args(line.as_bytes()).expect(line);
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let reply = self.run(&args);
        String::from_utf8_lossy(&reply).trim_end().replace("\r\n", " ")
    }

    /// Runs lines and compares their replies.
    #[track_caller]
    pub(in crate::execute) fn expect(&mut self, table: &[(&str, &str)]) {
        for (line, reply) in table {
            assert_eq!(self.line(line), *reply, "{line}");
        }
    }

    /// The item of a key.
    pub(in crate::execute) fn item(&self, key: &str) -> Option<&Item> {
        self.shard.peek(0, &self.shard.key(key.as_bytes()))
    }
}

fn handler(name: &[u8]) -> Handler {
    const HANDLERS: [(&str, Handler); 36] = [
        ("append", append),
        ("bitcount", bitmaps::bitcount),
        ("bitfield", bitmaps::bitfield),
        ("bitfield_ro", bitmaps::bitfield_ro),
        ("bitop", bitmaps::bitop),
        ("bitpos", bitmaps::bitpos),
        ("decr", decr),
        ("decrby", decrby),
        ("get", get),
        ("getbit", bitmaps::getbit),
        ("dump", dump::dump),
        ("getdel", getdel),
        ("getex", getex),
        ("getrange", getrange),
        ("getset", getset),
        ("incr", incr),
        ("incrby", incrby),
        ("incrbyfloat", incrbyfloat),
        ("lcs", lcs),
        ("mget", mget),
        ("mset", mset),
        ("msetnx", msetnx),
        ("pfadd", hyperloglog::pfadd),
        ("pfcount", hyperloglog::pfcount),
        ("pfdebug", hyperloglog::pfdebug),
        ("pfmerge", hyperloglog::pfmerge),
        ("pfselftest", hyperloglog::pfselftest),
        ("psetex", psetex),
        ("restore", dump::restore),
        ("set", set),
        ("setbit", bitmaps::setbit),
        ("setex", setex),
        ("setnx", setnx),
        ("setrange", setrange),
        ("strlen", strlen),
        ("substr", substr),
    ];
    choice(name, &HANDLERS).unwrap_or_else(|| panic!("{} is no command", name.escape_ascii()))
}
