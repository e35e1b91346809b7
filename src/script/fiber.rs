//! Stacks of their own for scripts: a [`Fiber`] runs a function that can be suspended in its middle and resumed later, with
//! all its frames, those of Lua's interpreter included, in place.
//!
//! Whoever resumes a fiber lends it three things until it suspends or ends: its [`Task`], some input and a buffer for
//! output. The functions of this module reach them from anywhere below the fiber's own function.
//!
//! Invariants: a fiber runs on the thread that made it, and at most one runs at a time per thread and level: [`CURRENT`]
//! describes the innermost one while it runs. A suspended fiber must be resumed until it ends before it is dropped; there
//! is no other way to take Lua's frames down, so `Fiber`'s owner sees to it.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ptr;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use super::task::Task;

/// Size of a stack. Lua nests C calls 200 deep at most, of which each can hold a buffer of 8 KiB, and replies are converted
/// up to 8000 tables deep. Only pages that are touched take memory.
const STACK_BYTES: usize = 8 << 20;

/// What the running fiber was lent.
#[derive(Clone, Copy)]
struct Current {
    yielder: *const Yielder<(), ()>,
    task: *const Task,
    input: *const [u8],
    out: *mut Vec<u8>,
}

thread_local! {
    static CURRENT: Cell<Option<Current>> = const { Cell::new(None) };
}

/// See the module.
pub(super) struct Fiber {
    /// At rest between two functions.
    stack: Option<DefaultStack>,
    running: Option<Coroutine<(), (), ()>>,
    yielder: *const Yielder<(), ()>,
}

impl Fiber {
    /// A fiber with nothing to run.
    pub(super) fn new() -> std::io::Result<Fiber> {
        Ok(Fiber { stack: Some(DefaultStack::new(STACK_BYTES)?), running: None, yielder: ptr::null() })
    }

    /// Sets the function to run; nothing runs before [`Fiber::resume`]. The fiber is at rest.
    pub(super) fn begin(&mut self, body: impl FnOnce() + 'static) {
        let stack = self.stack.take().expect("the fiber is at rest");
        self.running = Some(Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
            let current = current();
            CURRENT.set(Some(Current { yielder, ..current }));
            body();
        }));
    }

    /// Whether there is a function that has not ended.
    pub(super) fn is_busy(&self) -> bool {
        self.running.is_some()
    }

    /// Whether the function has begun to run.
    pub(super) fn is_started(&self) -> bool {
        self.running.as_ref().is_some_and(Coroutine::started)
    }

    /// Takes back a function that has not begun to run.
    pub(super) fn cancel(&mut self) {
        if let Some(coroutine) = self.running.take() {
            assert!(!coroutine.started(), "a fiber that has begun can only be run to its end");
            let mut coroutine = coroutine;
            coroutine.force_unwind();
            self.stack = Some(coroutine.into_stack());
        }
    }

    /// Lets the function run until it suspends or ends; true if it ended.
    pub(super) fn resume(&mut self, task: &Task, input: &[u8], out: &mut Vec<u8>) -> bool {
        let coroutine = self.running.as_mut().expect("there is a function to resume");
        let outer =
            CURRENT.replace(Some(Current { yielder: self.yielder, task, input: ptr::from_ref(input), out }));
        let result = coroutine.resume(());
        let inner = CURRENT.replace(outer);
        match result {
            CoroutineResult::Yield(()) => {
                self.yielder = inner.expect("it was set above").yielder;
                false
            }
            CoroutineResult::Return(()) => {
                let coroutine = self.running.take().expect("it was resumed");
                self.stack = Some(coroutine.into_stack());
                self.yielder = ptr::null();
                true
            }
        }
    }
}

/// Whether the caller runs on a fiber.
pub(super) fn is_inside() -> bool {
    CURRENT.get().is_some()
}

/// Suspends the running fiber; returns when it is resumed.
pub(super) fn suspend() {
    let yielder = current().yielder;
    // SAFETY: `begin` has stored the address of the yielder of this very coroutine, which lives on its stack as long as its
    // function runs, and the caller runs on it.
    unsafe { (*yielder).suspend(()) }
}

/// The running fiber's task.
pub(super) fn task<R>(f: impl FnOnce(&Task) -> R) -> R {
    // SAFETY: `resume` holds a reference to it until the fiber suspends, and `f` does not suspend: it has no Lua state.
    f(unsafe { &*current().task })
}

/// What the fiber was given at its last resumption. `f` must not run Lua code, which could suspend.
pub(super) fn input<R>(f: impl FnOnce(&[u8]) -> R) -> R {
    // SAFETY: `resume` holds the reference until the fiber suspends; `f` does not suspend.
    f(unsafe { &*current().input })
}

/// Where the fiber's result goes. `f` must not run Lua code and not call this function.
pub(super) fn output<R>(f: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    // SAFETY: `resume` holds the only reference until the fiber suspends; `f` neither suspends nor makes a second one.
    f(unsafe { &mut *current().out })
}

fn current() -> Current {
    CURRENT.get().expect("called on a fiber")
}
