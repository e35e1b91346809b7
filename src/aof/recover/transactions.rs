//! Transactions over several shards: what of a run's logs is complete.
//!
//! The logs are read side by side. A transaction is *final* when all of its parts were found and each is the first of its
//! log that is not final: nothing before it can be cut, so it cannot be cut either, and is forgotten. Locks are held on all
//! shards together, so the parts have the same order in all logs, and little is remembered at a time.

use std::collections::HashMap;
use std::io;

use super::Error;
use super::chain::{Chain, Part, Stop, TxnId};
use super::window::Source;

/// A log that was cut before a part of a transaction.
#[derive(Debug)]
pub(super) struct Incomplete {
    /// Which of the folder's files ends where.
    pub(super) file: usize,
    pub(super) at: u64,
    pub(super) id: TxnId,
    /// A participant whose log holds no part.
    pub(super) lacks: u16,
}

/// Transactions that are not final.
pub(super) type Opened = HashMap<TxnId, Open>;

/// One of them.
#[derive(Debug)]
pub(super) struct Open {
    participants: Vec<u16>,
    /// Shards whose part was found.
    found: Vec<u16>,
}

impl Open {
    fn lacks(&self) -> Option<u16> {
        self.participants.iter().copied().find(|shard| !self.found.contains(shard))
    }
}

/// Reads all logs to their ends; only parts of transactions that are not final are left in them.
pub(super) fn read<S: Source>(
    chains: &mut [Chain<S>],
    open: &impl Fn(usize) -> io::Result<S>,
    read_error: impl Fn(usize, io::Error) -> Error,
    judge: impl Fn(&Chain<S>, &Stop) -> Result<(), Error>,
) -> Result<Opened, Error> {
    let mut opened = Opened::new();
    while let Some(index) = next(chains, &opened) {
        let chain = &mut chains[index];
        let shard = chain.identity.shard;
        let txn = chain.next(open).map_err(|error| read_error(chain.links[0].file, error))?;
        if let Some(txn) = txn {
            let id = (txn.coordinator, txn.number);
            let fresh = || Open { participants: txn.participants, found: Vec::new() };
            opened.entry(id).or_insert_with(fresh).found.push(shard);
            forget_final(chains, &mut opened, index);
        } else if let Some(stop) = &chain.stop {
            judge(chain, stop)?;
        }
    }
    Ok(opened)
}

/// Which log to read on: one that the first transaction of another one needs, or any.
fn next<S>(chains: &[Chain<S>], opened: &Opened) -> Option<usize> {
    let readable = |shard: u16| chains.iter().position(|chain| chain.identity.shard == shard && !chain.ended);
    let needed = |chain: &Chain<S>| {
        let open = opened.get(&chain.parts.front()?.id)?;
        let mut missing = open.participants.iter().filter(|shard| !open.found.contains(shard));
        missing.find_map(|&shard| readable(shard))
    };
    chains.iter().find_map(needed).or_else(|| chains.iter().position(|chain| !chain.ended))
}

fn forget_final<S>(chains: &mut [Chain<S>], opened: &mut Opened, changed: usize) {
    let mut look_at = vec![changed];
    while let Some(index) = look_at.pop() {
        let Some(id) = chains[index].parts.front().map(|part| part.id) else { continue };
        if opened.get(&id).is_none_or(|open| open.lacks().is_some()) {
            continue;
        }
        let holds = |chain: &Chain<S>| opened[&id].found.contains(&chain.identity.shard);
        let is_first = |chain: &Chain<S>| chain.parts.front().is_some_and(|part| part.id == id);
        if chains.iter().all(|chain| !holds(chain) || is_first(chain)) {
            for (at, chain) in chains.iter_mut().enumerate() {
                if is_first(chain) {
                    chain.parts.pop_front();
                    look_at.push(at);
                }
            }
            opened.remove(&id);
        }
    }
}

/// Cuts the logs until every transaction in them has all of its parts. Returns why, for each log that was cut.
pub(super) fn cut<S: Source>(chains: &mut [Chain<S>], mut opened: Opened) -> Vec<Incomplete> {
    let mut reasons: Vec<Option<Incomplete>> = chains.iter().map(|_| None).collect();
    loop {
        let mut changed = false;
        for (chain, reason) in chains.iter_mut().zip(&mut reasons) {
            let lacking = |part: &Part| opened.get(&part.id).and_then(Open::lacks);
            let Some(first) = chain.parts.iter().position(|part| lacking(part).is_some()) else { continue };
            let lacks = lacking(&chain.parts[first]).expect("it was just found");
            let shard = chain.identity.shard;
            let lost = chain.parts.split_off(first);
            for part in &lost {
                if let Some(open) = opened.get_mut(&part.id) {
                    open.found.retain(|other| *other != shard);
                }
            }
            let Part { id, segment, at } = lost[0];
            chain.cut(segment, at);
            let file = chain.links[segment].file;
            *reason = Some(Incomplete { file, at, id, lacks });
            changed = true;
        }
        if !changed {
            return reasons.into_iter().flatten().collect();
        }
    }
}
