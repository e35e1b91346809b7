//! The coordinator's side of one transaction over several shards, as a state machine without I/O: messages of
//! participants go in, messages to participants come out.
//!
//! ```text
//!            everybody granted                             all performed
//! Trying ----------------------------> Performing -----------------------> Done    (independent keys)
//!   |                            \---> Borrowed: the caller runs what is to be run, then `give_back`
//!   |
//!   | somebody refused: release, ask in order of shards
//!   v
//! Ordered(i) --granted--> Ordered(i + 1) ... last one: as above
//! ```

use crate::command::spec::Merge;
use crate::route::message::{
    Access, Acquire, Aftermath, Call, Lend, Loan, Message, OwnedArgs, Performance, ReplyTo, TxnId,
};
use crate::runtime::io::CoreId;
use crate::shard::{Slot, Wing};
use crate::txn::merge::Partial;

/// How the work of a transaction is done once everything is reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Every participant runs the command on its own keys.
    Each(Merge),
    /// The coordinator borrows the entries and runs the command itself.
    Borrow,
    /// The coordinator borrows all databases.
    Whole,
    /// Every participant begins its part of a snapshot.
    Cut,
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
    wing: Option<Box<Wing>>,
    partial: Option<(Vec<u8>, u64)>,
}

impl Participant {
    /// A participant that nothing was asked of yet.
    pub fn new(shard: CoreId, access: Access, args: OwnedArgs, places: Vec<usize>) -> Participant {
        Participant {
            shard,
            access,
            args,
            places,
            granted: false,
            loan: Loan::new(),
            wing: None,
            partial: None,
        }
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
}

/// What the caller has to do next.
#[derive(Debug)]
pub enum Step {
    /// Send these and wait. Nothing to send means just wait.
    Send(Vec<(CoreId, Message)>),
    /// Run the command on these entries or with these databases, then call [`Txn::give_back`].
    RunBorrowed(Loan, Vec<Wing>),
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
    /// It is another attempt of a client that waits for keys.
    pub again: bool,
    /// The number of the program that it is for, if it is not for a single command.
    pub program: Option<u64>,
    /// The client whose watched keys must not have changed.
    pub watcher: Option<u64>,
    /// Nothing of it is told before it is safe.
    pub durable: bool,
    /// Whether they have not, as far as participants have granted their parts.
    pub unchanged: bool,
    shared: bool,
    participants: Vec<Participant>,
    stage: Stage,
}

impl Txn {
    /// A transaction over `participants`, in ascending order of their shards; [`Txn::start`] sets it going.
    #[allow(clippy::too_many_arguments)] // each is one field of the record
    pub fn new(
        id: TxnId,
        to: ReplyTo,
        call: Call,
        args: OwnedArgs,
        work: Work,
        shared: bool,
        started_ticks: u64,
        participants: Vec<Participant>,
    ) -> Txn {
        debug_assert!(participants.is_sorted_by_key(|participant| participant.shard));
        let stage = Stage::Trying { missing: participants.len(), refused: false };
        Txn {
            id,
            to,
            call,
            args,
            work,
            started_ticks,
            again: false,
            program: None,
            watcher: None,
            durable: false,
            unchanged: true,
            shared,
            participants,
            stage,
        }
    }

    /// The messages that ask all participants.
    pub fn start(&self) -> Vec<(CoreId, Message)> {
        (0..self.participants.len()).map(|at| self.ask(at, false)).collect()
    }

    /// The names of the keys whose entries are borrowed.
    pub fn borrowed(&self) -> impl Iterator<Item = &[u8]> {
        self.participants.iter().flat_map(|participant| participant.args.slices())
    }

    fn ask(&self, at: usize, wait: bool) -> (CoreId, Message) {
        let participant = &self.participants[at];
        let lend = match self.work {
            Work::Borrow => Lend::Keys(participant.args.clone()),
            // The coordinator's own databases stay where they are.
            Work::Whole if participant.shard != self.id.coordinator => Lend::All,
            Work::Whole | Work::Each(_) | Work::Cut => Lend::Nothing,
        };
        let acquire = Acquire {
            txn: self.id,
            access: participant.access.clone(),
            shared: self.shared,
            lend,
            watcher: self.watcher,
            durable: self.durable,
        };
        (participant.shard, Message::Acquire { acquire: Box::new(acquire), wait })
    }

    fn participant(&mut self, shard: CoreId) -> &mut Participant {
        let at = self.participants.binary_search_by_key(&shard, |participant| participant.shard);
        &mut self.participants[at.expect("only participants answer")]
    }

    /// A participant has granted its part.
    pub fn on_granted(
        &mut self,
        shard: CoreId,
        loan: Loan,
        wing: Option<Box<Wing>>,
        unchanged: bool,
    ) -> Step {
        self.unchanged &= unchanged;
        let participant = self.participant(shard);
        participant.granted = true;
        (participant.loan, participant.wing) = (loan, wing);
        match self.stage {
            Stage::Trying { missing, refused } => self.after_try(missing - 1, refused),
            Stage::Ordered(at) if at + 1 < self.participants.len() => {
                self.stage = Stage::Ordered(at + 1);
                Step::Send(vec![self.ask(at + 1, true)])
            }
            Stage::Ordered(_) => self.all_granted(),
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
            let (loan, wing) = (std::mem::take(&mut held.loan), held.wing.take());
            messages.push((held.shard, Message::Release { txn: id, loan, wing, after: None }));
        }
        self.stage = Stage::Ordered(0);
        messages.push(self.ask(0, true));
        Step::Send(messages)
    }

    fn all_granted(&mut self) -> Step {
        if let Work::Borrow | Work::Whole = self.work {
            self.stage = Stage::Borrowed;
            let (mut loan, mut wings) = (Loan::new(), Vec::new());
            for participant in &mut self.participants {
                loan.append(&mut participant.loan);
                wings.extend(participant.wing.take().map(|wing| *wing));
            }
            return Step::RunBorrowed(loan, wings);
        }
        self.stage = Stage::Performing { missing: self.participants.len() };
        let (txn, of, call) = (self.id, self.to, self.call);
        if self.work == Work::Cut {
            let participants = self.participants.iter();
            return Step::Send(participants.map(|held| (held.shard, Message::Cut { txn })).collect());
        }
        let participants: Vec<u16> =
            self.participants.iter().map(|participant| participant.shard.0).collect();
        Step::Send(
            self.participants
                .iter_mut()
                .map(|participant| {
                    let args = std::mem::take(&mut participant.args);
                    let performance = Box::new(Performance { args, participants: participants.clone() });
                    (participant.shard, Message::Perform { txn, of, call, performance })
                })
                .collect(),
        )
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

    /// The messages that give borrowed entries and databases back, each to the shard that `owner` names for its key, with
    /// what `after` has for the shard.
    pub fn give_back(
        self,
        loan: Loan,
        mut wings: Vec<Wing>,
        owner: impl Fn(Slot) -> CoreId,
        mut after: impl FnMut(CoreId) -> Option<Box<Aftermath>>,
    ) -> Vec<(CoreId, Message)> {
        let mut loans: Vec<(CoreId, Loan)> =
            self.participants.iter().map(|participant| (participant.shard, Loan::new())).collect();
        for entry in loan {
            let shard = owner(Slot::of(entry.1.key()));
            let at = loans.binary_search_by_key(&shard, |(shard, _)| *shard);
            loans[at.expect("a command writes to its own keys only")].1.push(entry);
        }
        let txn = self.id;
        loans
            .into_iter()
            .map(|(shard, loan)| {
                let lent = wings.iter().position(|wing| owner(wing.first()) == shard);
                let wing = lent.map(|at| Box::new(wings.swap_remove(at)));
                (shard, Message::Release { txn, loan, wing, after: after(shard) })
            })
            .collect()
    }
}
