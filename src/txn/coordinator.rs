//! The coordinator's side of one transaction over several shards, as a state machine without I/O: messages of
//! participants go in, messages to participants come out.
//!
//! ```text
//!            everybody granted                             all performed
//! Trying ----------------------------> Performing -----------------------> Done    (independent keys)
//!   |                            \---> Borrowed: the caller runs the handler, then `give_back`,
//!   |                                 or asks for further entries: Fetching, and Borrowed again
//!   | somebody refused: release, ask in order of shards
//!   v
//! Ordered(i) --granted--> Ordered(i + 1) ... last one: as above
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::command::spec::Merge;
use crate::route::message::{Access, Aftermath, Call, Loan, Message, OwnedArgs, ReplyTo, TxnId};
use crate::runtime::io::CoreId;
use crate::txn::merge::Partial;

/// How the work of a transaction is done once everything is reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Every participant runs the command on its own keys.
    Each(Merge),
    /// The coordinator borrows the entries and runs the command itself.
    Borrow,
}

/// One shard that takes part.
#[derive(Debug)]
pub struct Participant {
    /// The shard.
    pub shard: CoreId,
    /// What is reserved there.
    pub access: Access,
    /// For [`Work::Each`] the arguments of its part, for [`Work::Borrow`] the keys to lend.
    pub args: OwnedArgs,
    /// Places of its keys among all keys of the command.
    pub places: Vec<usize>,
    granted: bool,
    loan: Loan,
    partial: Option<(Vec<u8>, u64)>,
}

impl Participant {
    /// A participant that nothing was asked of yet.
    pub fn new(shard: CoreId, access: Access, args: OwnedArgs, places: Vec<usize>) -> Participant {
        Participant { shard, access, args, places, granted: false, loan: Loan::new(), partial: None }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// All were asked at once; so many answers are missing.
    Trying { missing: usize, refused: bool },
    /// The participant with this index was asked and stands in line.
    Ordered(usize),
    /// All hold; so many results are missing.
    Performing { missing: usize },
    /// The entries are here.
    Borrowed,
    /// So many shards have yet to lend further entries.
    Fetching { missing: usize },
}

/// What the caller has to do next.
#[derive(Debug)]
pub enum Step {
    /// Send these and wait. Nothing to send means just wait.
    Send(Vec<(CoreId, Message)>),
    /// Run the command on these entries, then call [`Txn::give_back`].
    RunBorrowed(Loan),
    /// Merge these replies for the client; the transaction is over.
    Finish(Vec<Partial>),
}

/// A transaction under way.
#[derive(Debug)]
pub struct Txn {
    /// Its name.
    pub id: TxnId,
    /// Whom the reply is for.
    pub to: ReplyTo,
    /// The command.
    pub call: Call,
    /// Its arguments.
    pub args: OwnedArgs,
    /// How it works.
    pub work: Work,
    /// When the client's request was taken up, in ticks of the coordinator's clock.
    pub started_ticks: u64,
    /// Keys whose entries were asked for after the first ones had come.
    pub fetched: BTreeSet<Vec<u8>>,
    /// It is another attempt of a client that waits for keys.
    pub again: bool,
    shared: bool,
    participants: Vec<Participant>,
    stage: Stage,
}

impl Txn {
    /// A transaction over `participants`, in ascending order of their shards, and the messages that start it.
    #[allow(clippy::too_many_arguments)] // each is one field of the record
    pub fn start(
        id: TxnId,
        to: ReplyTo,
        call: Call,
        args: OwnedArgs,
        work: Work,
        shared: bool,
        started_ticks: u64,
        participants: Vec<Participant>,
    ) -> (Txn, Vec<(CoreId, Message)>) {
        debug_assert!(participants.is_sorted_by_key(|participant| participant.shard));
        let stage = Stage::Trying { missing: participants.len(), refused: false };
        let fetched = BTreeSet::new();
        let again = false;
        let txn =
            Txn { id, to, call, args, work, started_ticks, fetched, again, shared, participants, stage };
        let messages = (0..txn.participants.len()).map(|at| txn.ask(at, false)).collect();
        (txn, messages)
    }

    fn ask(&self, at: usize, wait: bool) -> (CoreId, Message) {
        let participant = &self.participants[at];
        let lend = (self.work == Work::Borrow).then(|| Box::new(participant.args.clone()));
        let access = Box::new(participant.access.clone());
        (participant.shard, Message::Acquire { txn: self.id, access, shared: self.shared, wait, lend })
    }

    fn participant(&mut self, shard: CoreId) -> &mut Participant {
        let at = self.participants.binary_search_by_key(&shard, |participant| participant.shard);
        &mut self.participants[at.expect("only participants answer")]
    }

    /// A participant has granted its part.
    pub fn on_granted(&mut self, shard: CoreId, loan: Loan) -> Step {
        let participant = self.participant(shard);
        participant.granted = true;
        participant.loan.extend(loan);
        match self.stage {
            Stage::Trying { missing, refused } => self.after_try(missing - 1, refused),
            Stage::Ordered(at) if at + 1 < self.participants.len() => {
                self.stage = Stage::Ordered(at + 1);
                Step::Send(vec![self.ask(at + 1, true)])
            }
            Stage::Ordered(_) => self.all_granted(),
            Stage::Fetching { missing: 1 } => self.all_granted(),
            Stage::Fetching { missing } => {
                self.stage = Stage::Fetching { missing: missing - 1 };
                Step::Send(Vec::new())
            }
            Stage::Performing { .. } | Stage::Borrowed => unreachable!("nothing was asked for"),
        }
    }

    /// A participant has refused its part.
    pub fn on_refused(&mut self) -> Step {
        let Stage::Trying { missing, .. } = self.stage else { unreachable!("who may wait is not refused") };
        self.after_try(missing - 1, true)
    }

    fn after_try(&mut self, missing: usize, refused: bool) -> Step {
        self.stage = Stage::Trying { missing, refused };
        if missing > 0 {
            return Step::Send(Vec::new());
        }
        if !refused {
            return self.all_granted();
        }
        let id = self.id;
        let mut messages = Vec::new();
        for held in self.participants.iter_mut().filter(|participant| participant.granted) {
            held.granted = false;
            let loan = std::mem::take(&mut held.loan);
            messages.push((held.shard, Message::Release { txn: id, loan, after: None }));
        }
        self.stage = Stage::Ordered(0);
        messages.push(self.ask(0, true));
        Step::Send(messages)
    }

    fn all_granted(&mut self) -> Step {
        if self.work == Work::Borrow {
            self.stage = Stage::Borrowed;
            return Step::RunBorrowed(
                self.participants
                    .iter_mut()
                    .flat_map(|participant| std::mem::take(&mut participant.loan))
                    .collect(),
            );
        }
        self.stage = Stage::Performing { missing: self.participants.len() };
        let (txn, call) = (self.id, self.call);
        Step::Send(
            self.participants
                .iter_mut()
                .map(|participant| {
                    let args = Box::new(std::mem::take(&mut participant.args));
                    (participant.shard, Message::Perform { txn, call, args })
                })
                .collect(),
        )
    }

    /// Keeps the borrowed entries and asks for more of shards that are reserved as a whole; `keys` names at least one.
    pub fn fetch(&mut self, loan: Loan, keys: BTreeMap<CoreId, Vec<Vec<u8>>>) -> Vec<(CoreId, Message)> {
        self.participants[0].loan = loan;
        self.stage = Stage::Fetching { missing: keys.len() };
        let ask = |(shard, keys): (CoreId, Vec<Vec<u8>>)| {
            let names: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
            let message = Message::Lend { txn: self.id, keys: Box::new(OwnedArgs::new(&names)) };
            self.fetched.extend(keys);
            (shard, message)
        };
        keys.into_iter().map(ask).collect()
    }

    /// A participant has done its part.
    pub fn on_performed(&mut self, shard: CoreId, reply: Vec<u8>, keys: u64) -> Step {
        self.participant(shard).partial = Some((reply, keys));
        let Stage::Performing { missing } = &mut self.stage else {
            unreachable!("nothing was to be performed")
        };
        *missing -= 1;
        if *missing > 0 {
            return Step::Send(Vec::new());
        }
        Step::Finish(
            self.participants
                .drain(..)
                .map(|participant| {
                    let (reply, keys) = participant.partial.expect("all have performed");
                    Partial { reply, keys, places: participant.places }
                })
                .collect(),
        )
    }

    /// The messages that give borrowed entries back, each to the shard that `owner` names for its key, with what
    /// `after` has for the shard.
    pub fn give_back(
        self,
        loan: Loan,
        owner: impl Fn(&[u8]) -> CoreId,
        mut after: impl FnMut(CoreId) -> Option<Box<Aftermath>>,
    ) -> Vec<(CoreId, Message)> {
        let mut loans: Vec<(CoreId, Loan)> =
            self.participants.iter().map(|participant| (participant.shard, Loan::new())).collect();
        for entry in loan {
            let shard = owner(entry.1.key());
            let at = loans.binary_search_by_key(&shard, |(shard, _)| *shard);
            loans[at.expect("a command writes to its own keys only")].1.push(entry);
        }
        let txn = self.id;
        loans
            .into_iter()
            .map(|(shard, loan)| (shard, Message::Release { txn, loan, after: after(shard) }))
            .collect()
    }
}
