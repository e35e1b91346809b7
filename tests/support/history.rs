//! A checker of recorded histories: is there one order of all operations that respects real time and in which
//! a plain single-threaded server would have given every reply? (Strict serializability; for
//! single-key operations that is linearizability.)
//!
//! The search is Wing and Gong's with Lowe's memoization: operations are tried one after the other on
//! the [`Model`], and a combination of *which operations took effect* and *what the keyspace
//! holds* that has failed once is not tried again. Three things keep it small:
//! - only an operation that began before every other outstanding one ended can be next;
//! - an operation whose reply fits and says that it changed nothing is taken at once, without an
//!   alternative: whatever order exists with it later exists with it now;
//! - operations that share no keys, directly or through others, are checked apart (linearizability is local).

use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::model::{Footprint, Model, changed_nothing, footprint, is_read, is_refused_swap, may_be_refused};
use super::resp::Value;
use super::{Request, shown};

/// One operation of one client. Times are of any one clock, in any unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The connection it was sent on. A client that connects anew is another client.
    pub client: usize,
    /// The selected database.
    pub db: usize,
    /// When it was sent.
    pub invoked_at: u64,
    /// When its reply was there. `None` if the outcome is unknown (the connection broke): it may have happened
    /// at any later time, or never.
    pub completed_at: Option<u64>,
    /// The command.
    pub request: Request,
    /// The reply; without meaning if `completed_at` is `None`.
    pub reply: Value,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = shown(&self.request);
        match self.completed_at {
            Some(end) => write!(f, "[{:>6} ..{:>6}]", self.invoked_at, end)?,
            None => write!(f, "[{:>6} ..      ]", self.invoked_at)?,
        }
        write!(f, " client {} db {}: {request}", self.client, self.db)?;
        match self.completed_at {
            Some(_) => write!(f, " -> {}", self.reply),
            None => f.write_str(" -> unknown"),
        }
    }
}

/// What is required beyond real-time order.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Operations of one client that share a key take effect in the order sent, even where they overlap
    /// because they were pipelined. "Sent" is the order of `invoked_at`, and of the history where that is equal.
    pub program_order: bool,
    /// States to look at before the search gives up, for each group of operations that share keys.
    pub budget: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { program_order: true, budget: 2_000_000 }
    }
}

/// Why a history was not accepted.
#[derive(Debug, Clone)]
pub enum Failure {
    /// No order explains the replies.
    Violation {
        /// The operations that the contradiction needs, by time: the shortest failing beginning of the
        /// history, without the reads whose removal leaves a contradiction.
        window: Vec<Operation>,
        /// The operation without whose reply there would be an order.
        culprit: Operation,
    },
    /// A transaction did not run, although nobody else can have written to the keys that it watched.
    Unprovoked {
        /// The transaction.
        refused: Operation,
    },
    /// The budget ended before the search.
    Undecided {
        /// How many operations the group has.
        operations: usize,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Violation { window, culprit } => {
                writeln!(f, "no order of these operations explains their replies:")?;
                for operation in window {
                    let mark = if operation == culprit { "=>" } else { "  " };
                    writeln!(f, "{mark} {operation}")?;
                }
                write!(f, "(=> is the first reply that fits no order)")
            }
            Failure::Unprovoked { refused } => {
                write!(f, "nobody has changed what this transaction watched: {refused}")
            }
            Failure::Undecided { operations } => {
                write!(f, "undecided: {operations} operations overlap too much for the budget")
            }
        }
    }
}

/// Checks a history that began with an empty server.
pub fn check(history: &[Operation], options: Options) -> Result<(), Failure> {
    check_refusals(history)?;
    groups(history).iter().try_for_each(|group| check_group(group, options))
}

/// Parts of the history that share no key with each other, each in the order sent.
fn groups(history: &[Operation]) -> Vec<Vec<Operation>> {
    let mut groups: Vec<(Footprint, Vec<usize>)> = Vec::new();
    for (i, operation) in history.iter().enumerate() {
        let mut print = footprint(operation.db, &operation.request);
        let mut members = vec![i];
        let mut apart = Vec::new();
        for (other, indices) in groups {
            if print.overlaps(&other) {
                print = print.union(other);
                members.extend(indices);
            } else {
                apart.push((other, indices));
            }
        }
        apart.push((print, members));
        groups = apart;
    }
    let in_order = |(_, mut members): (Footprint, Vec<usize>)| -> Vec<Operation> {
        members.sort_by_key(|&i| (history[i].invoked_at, i));
        members.into_iter().map(|i| history[i].clone()).collect()
    };
    groups.into_iter().map(in_order).collect()
}

/// A transaction must not be refused without cause: since its keys were watched, somebody else must have written to them.
fn check_refusals(history: &[Operation]) -> Result<(), Failure> {
    for (at, refused) in history.iter().enumerate() {
        if refused.completed_at.is_none() || !is_refused_swap(&refused.request, &refused.reply) {
            continue;
        }
        let watch = history[..at]
            .iter()
            .rfind(|earlier| earlier.client == refused.client && earlier.request[0] == b"WATCH")
            .expect("keys are watched before");
        let watched = footprint(watch.db, &watch.request);
        let provoked = history.iter().any(|other| {
            other.client != refused.client
                && other.completed_at.is_none_or(|end| {
                    end >= watch.invoked_at && !changed_nothing(&other.request, &other.reply)
                })
                && Some(other.invoked_at) <= refused.completed_at
                && !is_read(&other.request)
                && footprint(other.db, &other.request).overlaps(&watched)
        });
        if !provoked {
            return Err(Failure::Unprovoked { refused: refused.clone() });
        }
    }
    Ok(())
}

fn check_group(group: &[Operation], options: Options) -> Result<(), Failure> {
    match Search::new(group, options).run() {
        Outcome::Explained => Ok(()),
        Outcome::Exhausted => Err(Failure::Undecided { operations: group.len() }),
        Outcome::Contradiction => Err(explain(group, options)),
    }
}

/// Reduces a failing group to what a person needs to see.
fn explain(group: &[Operation], options: Options) -> Failure {
    let fails = |group: &[Operation]| Search::new(group, options).run() == Outcome::Contradiction;
    // The shortest failing beginning. Beginnings of accepted histories are accepted, so bisection works.
    let mut ends: Vec<u64> = group.iter().filter_map(|operation| operation.completed_at).collect();
    ends.sort_unstable();
    let first_failing = ends.partition_point(|&end| !fails(&beginning(group, end)));
    let end = ends[first_failing.min(ends.len() - 1)];
    let mut window = beginning(group, end);
    let culprit = window.iter().find(|operation| operation.completed_at == Some(end));
    let culprit = culprit.expect("some operation ended then").clone();
    // Leaving out a read only removes constraints. A write stays: without it, the replies of others would
    // seem wrong.
    for i in (0..window.len()).rev() {
        if window[i] != culprit && is_read(&window[i].request) {
            let removed = window.remove(i);
            if !fails(&window) {
                window.insert(i, removed);
            }
        }
    }
    // Without those reads, the rest may fall apart into groups that share no key.
    let window = groups(&window).into_iter().find(|part| fails(part)).expect("the window fails");
    Failure::Violation { window, culprit }
}

/// What was known at time `end`: later replies have not been seen, later requests not been sent.
fn beginning(group: &[Operation], end: u64) -> Vec<Operation> {
    let begun = group.iter().filter(|operation| operation.invoked_at <= end).cloned();
    begun
        .map(|operation| match operation.completed_at {
            Some(at) if at > end => Operation { completed_at: None, reply: Value::Null, ..operation },
            _ => operation,
        })
        .collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Explained,
    Contradiction,
    Exhausted,
}

/// Which operations have taken effect: all below `first`, and those in `later` (sorted).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Done {
    first: usize,
    later: Vec<usize>,
}

impl Done {
    fn contains(&self, i: usize) -> bool {
        i < self.first || self.later.binary_search(&i).is_ok()
    }

    fn insert(&mut self, i: usize) {
        let at = self.later.partition_point(|&other| other < i);
        self.later.insert(at, i);
        let run = self.later.iter().enumerate().take_while(|&(n, &i)| i == self.first + n).count();
        self.later.drain(..run);
        self.first += run;
    }
}

#[derive(Debug, Clone, Hash, Default)]
struct State {
    /// Among operations with known replies.
    done: Done,
    /// Among operations with unknown outcome.
    happened: Done,
    model: Model,
}

impl State {
    /// 128 bits: enough that two different states never meet in one search.
    fn fingerprint(&self) -> (u64, u64) {
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            salt.hash(&mut hasher);
            self.hash(&mut hasher);
            hasher.finish()
        };
        (half(1), half(2))
    }
}

/// An operation with what the search asks about it again and again.
struct Candidate<'a> {
    operation: &'a Operation,
    reply: Value,
    /// Operations that must take effect before, by program order: places in `known` and in `unknown`.
    after_known: Vec<usize>,
    after_unknown: Vec<usize>,
}

struct Search<'a> {
    /// Operations with replies, by invocation.
    known: Vec<Candidate<'a>>,
    /// Writes of unknown outcome, by invocation. Unknown reads do not matter, nor do transactions that did not run.
    unknown: Vec<Candidate<'a>>,
    budget: usize,
}

impl<'a> Search<'a> {
    fn new(group: &'a [Operation], options: Options) -> Search<'a> {
        let mut search = Search { known: Vec::new(), unknown: Vec::new(), budget: options.budget };
        for operation in group {
            let matters = match operation.completed_at {
                Some(_) => !is_refused_swap(&operation.request, &operation.reply),
                None => !is_read(&operation.request),
            };
            if !matters {
                continue;
            }
            let earlier = |list: &[Candidate<'_>]| -> Vec<usize> {
                let print = footprint(operation.db, &operation.request);
                let precedes = |other: &Candidate<'_>| {
                    options.program_order
                        && other.operation.client == operation.client
                        && print.overlaps(&footprint(other.operation.db, &other.operation.request))
                };
                (0..list.len()).filter(|&i| precedes(&list[i])).collect()
            };
            let candidate = Candidate {
                operation,
                reply: operation.reply.clone().with_one_null(),
                after_known: earlier(&search.known),
                after_unknown: earlier(&search.unknown),
            };
            let list = if operation.completed_at.is_some() { &mut search.known } else { &mut search.unknown };
            list.push(candidate);
        }
        search
    }

    fn run(&self) -> Outcome {
        let mut seen = HashSet::new();
        let mut stack = vec![State::default()];
        while let Some(state) = stack.pop() {
            if state.done.first == self.known.len() {
                return Outcome::Explained;
            }
            if !seen.insert(state.fingerprint()) {
                continue;
            }
            if seen.len() > self.budget {
                return Outcome::Exhausted;
            }
            self.expand(&state, &mut stack);
        }
        Outcome::Contradiction
    }

    /// Pushes the states that can follow, the most likely one last. One that changes nothing comes alone.
    fn expand(&self, state: &State, stack: &mut Vec<State>) {
        let begin = stack.len();
        let (enabled, deadline) = self.enabled(state);
        for (i, candidate) in self.unknown.iter().enumerate().rev() {
            // One that begins later cannot have come before the operation that ends at the deadline.
            let possible = candidate.operation.invoked_at <= deadline && !state.happened.contains(i);
            if possible && self.is_next_of_its_client(candidate, state) {
                let mut next = state.clone();
                next.happened.insert(i);
                if may_be_refused(&candidate.operation.request) {
                    stack.push(next.clone());
                }
                next.model.execute(candidate.operation.db, &candidate.operation.request);
                stack.push(next);
            }
        }
        for &i in enabled.iter().rev() {
            let candidate = &self.known[i];
            let mut next = state.clone();
            let expected = next.model.execute(candidate.operation.db, &candidate.operation.request);
            if !expected.allows(&candidate.reply) {
                continue;
            }
            next.done.insert(i);
            if changed_nothing(&candidate.operation.request, &candidate.reply) {
                stack.truncate(begin);
                stack.push(next);
                return;
            }
            stack.push(next);
        }
    }

    /// The operations that real time and program order allow next, those that end first in front, and the time
    /// before which one of them must take effect.
    fn enabled(&self, state: &State) -> (Vec<usize>, u64) {
        let mut deadline = u64::MAX;
        let mut enabled = Vec::new();
        for (i, candidate) in self.known.iter().enumerate().skip(state.done.first) {
            if candidate.operation.invoked_at > deadline {
                break;
            }
            if !state.done.contains(i) {
                deadline = deadline.min(candidate.operation.completed_at.unwrap_or(u64::MAX));
                enabled.push(i);
            }
        }
        enabled.retain(|&i| self.known[i].operation.invoked_at <= deadline);
        enabled.retain(|&i| self.is_next_of_its_client(&self.known[i], state));
        enabled.sort_by_key(|&i| self.known[i].operation.completed_at);
        (enabled, deadline)
    }

    fn is_next_of_its_client(&self, candidate: &Candidate<'_>, state: &State) -> bool {
        candidate.after_known.iter().all(|&i| state.done.contains(i))
            && candidate.after_unknown.iter().all(|&i| state.happened.contains(i))
    }
}
