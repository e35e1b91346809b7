//! Messages between threads: one bounded single-producer single-consumer queue per ordered pair of cores, and
//! one flag per core that says whether it sleeps.
//!
//! Invariant (no lost wake-up): a sleeper sets its flag, then looks at its queues once more; a sender queues its
//! message, then looks at the flag. Both do so in sequentially consistent order, so at least one sees the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use crate::runtime::io::{CoreId, Mailbox};

/// Messages that one core can have under way to one other.
const CAPACITY: usize = 1024;

/// A flag on a cache line of its own.
#[repr(align(128))]
#[derive(Debug, Default)]
struct SleepFlag(AtomicBool);

/// The mailbox of one thread.
#[derive(Debug)]
pub struct ThreadMailbox<M> {
    core: CoreId,
    /// By target; `None` for this core itself.
    to: Vec<Option<rtrb::Producer<M>>>,
    /// By sender; `None` for this core itself.
    from: Vec<Option<rtrb::Consumer<M>>>,
    /// The sender to look at first, so that none is starved.
    next_sender: usize,
    asleep: Arc<[SleepFlag]>,
}

impl<M> ThreadMailbox<M> {
    /// The connected mailboxes of `cores` cores, in order.
    pub fn mesh(cores: usize) -> Vec<ThreadMailbox<M>> {
        let asleep: Arc<[SleepFlag]> = (0..cores).map(|_| SleepFlag::default()).collect();
        let mut mailboxes: Vec<_> = (0..cores)
            .map(|core| ThreadMailbox {
                core: CoreId(core as u16),
                to: (0..cores).map(|_| None).collect(),
                from: (0..cores).map(|_| None).collect(),
                next_sender: 0,
                asleep: Arc::clone(&asleep),
            })
            .collect();
        for from in 0..cores {
            for to in (0..cores).filter(|&to| to != from) {
                let (producer, consumer) = rtrb::RingBuffer::new(CAPACITY);
                mailboxes[from].to[to] = Some(producer);
                mailboxes[to].from[from] = Some(consumer);
            }
        }
        mailboxes
    }
}

impl<M> Mailbox<M> for ThreadMailbox<M> {
    fn cores(&self) -> usize {
        self.to.len()
    }

    fn send(&mut self, to: CoreId, message: M) -> Result<(), M> {
        let queue = self.to[to.index()].as_mut().expect("a core sends nothing to itself");
        queue.push(message).map_err(|rtrb::PushError::Full(message)| message)
    }

    fn needs_doorbell(&mut self, core: CoreId) -> bool {
        fence(Ordering::SeqCst);
        let flag = &self.asleep[core.index()].0;
        flag.load(Ordering::Relaxed) && flag.swap(false, Ordering::SeqCst)
    }

    #[inline]
    fn has_mail(&self) -> bool {
        self.from.iter().flatten().any(|queue| queue.slots() > 0)
    }

    #[inline]
    fn receive(&mut self) -> Option<(CoreId, M)> {
        for offset in 0..self.from.len() {
            let sender = (self.next_sender + offset) % self.from.len();
            let Some(queue) = &mut self.from[sender] else { continue };
            if let Ok(message) = queue.pop() {
                self.next_sender = sender + 1;
                return Some((CoreId(sender as u16), message));
            }
        }
        None
    }

    fn prepare_sleep(&mut self) -> bool {
        self.asleep[self.core.index()].0.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let empty = !self.has_mail();
        if !empty {
            self.awake();
        }
        empty
    }

    fn awake(&mut self) {
        self.asleep[self.core.index()].0.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_queues_give_the_message_back() {
        let mut mesh = ThreadMailbox::mesh(2);
        for n in 0..CAPACITY {
            mesh[0].send(CoreId(1), n).unwrap();
        }
        assert_eq!(mesh[0].send(CoreId(1), 7), Err(7));
        assert_eq!(mesh[1].receive(), Some((CoreId(0), 0)));
        assert_eq!(mesh[0].send(CoreId(1), 7), Ok(()));
    }

    #[test]
    fn a_sleeper_is_woken_once_and_never_sleeps_over_a_message() {
        let mut mesh = ThreadMailbox::mesh(2);
        assert!(!mesh[0].needs_doorbell(CoreId(1)));
        assert!(mesh[1].prepare_sleep());
        mesh[0].send(CoreId(1), ()).unwrap();
        assert!(mesh[0].needs_doorbell(CoreId(1)));
        assert!(!mesh[0].needs_doorbell(CoreId(1)));
        assert!(!mesh[1].prepare_sleep());
    }

    /// Two threads pass a token back and forth and sleep in between; a lost wake-up would hang until the bound.
    #[test]
    fn no_wake_up_is_lost_between_threads() {
        let mesh = ThreadMailbox::mesh(2);
        let threads: Vec<_> = mesh.iter().map(|_| std::sync::mpsc::channel::<()>()).collect();
        let (bells, doors): (Vec<_>, Vec<_>) = threads.into_iter().unzip();
        let run = |mut mailbox: ThreadMailbox<u32>,
                   door: std::sync::mpsc::Receiver<()>,
                   bells: Vec<std::sync::mpsc::Sender<()>>| {
            let other = CoreId(1 - mailbox.core.0);
            let mut last = 0;
            while last < 20_000 {
                if let Some((_, n)) = mailbox.receive() {
                    last = n;
                    mailbox.send(other, n + 1).unwrap();
                    if mailbox.needs_doorbell(other) {
                        bells[other.index()].send(()).ok();
                    }
                } else if mailbox.prepare_sleep() {
                    let woken = door.recv_timeout(std::time::Duration::from_secs(20));
                    mailbox.awake();
                    if woken.is_err() && last < 19_990 {
                        panic!("slept over a message after {last}");
                    }
                }
            }
        };
        let mut mesh = mesh;
        mesh[0].send(CoreId(1), 1).unwrap();
        std::thread::scope(|scope| {
            for (mailbox, door) in mesh.into_iter().zip(doors) {
                let bells = bells.clone();
                scope.spawn(move || run(mailbox, door, bells));
            }
        });
    }
}
