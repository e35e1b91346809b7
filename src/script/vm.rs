//! A Lua VM with the sandbox, a fiber to run on, and what it has compiled.
//!
//! A VM runs one program at a time; [`Vm::prepare`] puts its arguments on the stack, and the fiber takes them from there. The
//! outermost protected call of a run turns everything that can happen into a reply.
//!
//! Compiled scripts and loaded functions stay in the VM under the ids of their programs. What belongs to programs that are
//! gone is thrown out when the VM holds twice as much as after the last time.

use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use ahash::AHashMap;
use mlua::state::{GcIncParams, GcMode};
use mlua::{Lua, LuaOptions, StdLib};

use super::Logger;
use super::base::{INSTRUCTIONS, is_compiled, on_count};
use super::convert::{write_error, write_reply};
use super::fiber::{self, Fiber};
use super::lib::LIBRARIES;
use super::program::{Function, Library, Program, Registered, Script};
use super::sandbox::{self, Slot};
use super::state::{Anchor, GLOBALS, Kind, Raise, State};
use super::task::{Loading, Pause, Task};
use crate::protocol::Error;
use crate::protocol::resp::{Reply, Resp};

/// What one VM may allocate, in bytes; beyond that scripts get Lua's "not enough memory". A script may hold a value of the
/// longest length (512 MB) and make another of it.
const MEMORY_MAX: usize = if cfg!(test) { 64 << 20 } else { 2 << 30 };
/// A cycle of the garbage collector begins when a VM has allocated so much of what was live after the last one.
const GC_PAUSE_PERCENT: i32 = 150;
/// Compiled programs that are kept without asking whether they are still there.
const PROGRAMS_MIN: usize = 1024;
/// How long a library may take to register its functions.
const LOAD_TIME: Duration = Duration::from_millis(500);

/// See the module.
pub(super) struct Vm {
    /// What the VM may be used for; see [`super::shared::Scripts::generation`].
    pub(super) generation: u64,
    pub(super) task: Rc<Task>,
    fiber: Fiber,
    anchor: Anchor,
    programs: AHashMap<u64, Owner>,
    programs_max: usize,
    /// Last, so that nothing above outlives it.
    lua: Lua,
}

/// What something compiled belongs to.
enum Owner {
    Script(Weak<Script>),
    Library(Weak<Library>),
}

impl Owner {
    fn is_there(&self) -> bool {
        match self {
            Owner::Script(script) => script.strong_count() > 0,
            Owner::Library(library) => library.strong_count() > 0,
        }
    }
}

impl Vm {
    /// # Errors
    /// If there is no memory for it.
    pub(super) fn new(generation: u64, logger: Logger) -> Result<Vm, Error> {
        let fiber = Fiber::new().map_err(|error| format!("ERR no stack for scripts: {error}"))?;
        let (lua, anchor) = Vm::sandbox().map_err(|error| format!("ERR no Lua VM for scripts: {error}"))?;
        let seed = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos() as u64);
        Ok(Vm {
            generation,
            task: Rc::new(Task::new(seed, logger)),
            fiber,
            anchor,
            programs: AHashMap::new(),
            programs_max: PROGRAMS_MIN,
            lua,
        })
    }

    fn sandbox() -> mlua::Result<(Lua, Anchor)> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::OS;
        let lua = Lua::new_with(libraries, LuaOptions::default())?;
        let tables = LIBRARIES.iter().map(|(_, table)| table(&lua)).collect::<mlua::Result<Vec<_>>>()?;
        let anchor = Anchor::new(&lua, mlua::Variadic::from_iter(tables), sandbox::build)?;
        lua.set_memory_limit(MEMORY_MAX)?;
        // What is live is little and does not change, so that a cycle is cheap.
        lua.gc_set_mode(GcMode::Incremental(GcIncParams::default().pause(GC_PAUSE_PERCENT)));
        Ok((lua, anchor))
    }

    /// Bytes that Lua has allocated.
    pub(super) fn memory_bytes(&self) -> usize {
        self.lua.used_memory()
    }

    /// Compiles a script that the VM does not know.
    ///
    /// # Errors
    /// What is wrong with it, in Redis's words.
    pub(super) fn compile(&mut self, script: &Arc<Script>) -> Result<(), Error> {
        if self.programs.contains_key(&script.id) {
            return Ok(());
        }
        self.make_room();
        let compiled = self.anchor.protected(0, 0, &mut |s| {
            s.push_number(script.id as f64);
            load(s, script.code(), c"@user_script")?;
            s.raw_set(Slot::Scripts.index());
            Ok(0)
        });
        if compiled.is_err() {
            return Err(self.take_error("ERR Error compiling script (new function): "));
        }
        self.programs.insert(script.id, Owner::Script(Arc::downgrade(script)));
        Ok(())
    }

    /// Throws out what belongs to programs that are gone, if there is much.
    fn make_room(&mut self) {
        if self.programs.len() < self.programs_max {
            return;
        }
        let gone: Vec<u64> =
            self.programs.iter().filter(|(_, owner)| !owner.is_there()).map(|(id, _)| *id).collect();
        for id in &gone {
            self.programs.remove(id);
        }
        self.programs_max = (2 * self.programs.len()).max(PROGRAMS_MIN);
        let forgotten = self.anchor.protected(0, 0, &mut |s| {
            for id in &gone {
                for table in [Slot::Scripts, Slot::Functions] {
                    s.push_number(*id as f64);
                    s.push_nil();
                    s.raw_set(table.index());
                }
            }
            Ok(0)
        });
        if forgotten.is_err() {
            self.anchor.main().pop(1);
        }
    }

    /// Takes the error off the stack, as text.
    fn take_error(&self, head: &str) -> Error {
        let s = self.anchor.main();
        let text = match s.kind(-1) {
            Kind::String => String::from_utf8_lossy(s.bytes(-1).unwrap_or_default()).into_owned(),
            _ => "unknown error".to_owned(),
        };
        s.pop(1);
        format!("{head}{text}").into()
    }

    /// Gets everything ready to run a program.
    ///
    /// # Errors
    /// If the script does not compile, or there is no memory for the arguments.
    pub(super) fn prepare(
        &mut self,
        program: &Program,
        keys: &[&[u8]],
        args: &[&[u8]],
        client: Resp,
    ) -> Result<(), Error> {
        match program {
            Program::Script(script) => self.compile(script)?,
            Program::Function(function) => {
                self.make_room();
                let library = &function.library;
                for at in 0..library.functions.len() as u64 {
                    let owner = Owner::Library(Arc::downgrade(library));
                    self.programs.entry(library.first_id + at).or_insert(owner);
                }
            }
        }
        self.task.reset();
        let pushed = self.anchor.protected(0, 2, &mut |s| {
            push_array(s, keys);
            push_array(s, args);
            Ok(2)
        });
        if pushed.is_err() {
            return Err(self.take_error("ERR Error running script, "));
        }
        let (anchor, program) = (self.anchor, program.clone());
        self.fiber.begin(move || run(anchor, &program, client));
        Ok(())
    }

    /// Tries a library; what it registers is in the task when the fiber ends without output, otherwise the error is there.
    fn prepare_trial(&mut self, code: Arc<[u8]>) {
        self.task.reset();
        *self.task.loading.borrow_mut() = Some(Loading::Trial(Vec::new()));
        self.task.limit(LOAD_TIME, "FUNCTION LOAD timeout");
        let anchor = self.anchor;
        self.fiber.begin(move || {
            let loaded = anchor.protected(0, 1, &mut |s| {
                s.every(INSTRUCTIONS, on_count);
                let failed = load_library(s, &code);
                if failed.is_ok() {
                    s.push_nil();
                }
                Ok(1)
            });
            let s = anchor.main();
            if loaded.is_err() || s.kind(-1) != Kind::Nil {
                fiber::output(|out| out.extend_from_slice(s.bytes(-1).unwrap_or(b"not enough memory")));
            }
            s.pop(1);
        });
    }

    /// Loads a library to see which functions it registers.
    ///
    /// # Errors
    /// Redis's for code that does not compile, fails or takes too long.
    pub(super) fn functions_of(&mut self, code: &[u8]) -> Result<Vec<Registered>, Error> {
        self.prepare_trial(code.into());
        let mut error = Vec::new();
        while !self.fiber.resume(&self.task, &[], &mut error) {}
        match self.task.loading.take() {
            Some(Loading::Trial(functions)) if error.is_empty() => Ok(functions),
            _ => Err(format!("ERR {}", String::from_utf8_lossy(&error)).into()),
        }
    }

    /// Lets the program run on; `None` when it has ended and its reply is in `out`.
    pub(super) fn resume(&mut self, input: &[u8], out: &mut Vec<u8>) -> Option<Pause> {
        self.task.resumed();
        if self.fiber.resume(&self.task, input, out) { None } else { Some(self.task.pause.get()) }
    }

    /// Whether a program is under way or ready to run.
    pub(super) fn is_busy(&self) -> bool {
        self.fiber.is_busy()
    }

    /// Ends whatever runs.
    pub(super) fn stop(&mut self, error: &'static str) {
        if self.fiber.is_busy() && !self.fiber.is_started() {
            self.fiber.cancel();
            self.anchor.main().set_top(0);
        }
        self.task.kill(error);
        while self.fiber.is_busy() {
            self.fiber.resume(&self.task, &[], &mut Vec::new());
        }
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.stop("The server stops");
    }
}

fn push_array(s: State, elements: &[&[u8]]) {
    s.new_table(elements.len(), 0);
    for (index, element) in elements.iter().enumerate() {
        s.push_bytes(element);
        s.raw_set_index(-2, index as i32 + 1);
    }
}

/// Compiles text and pushes the function or, as an error, what is wrong.
fn load(s: State, code: &[u8], chunk: &'static std::ffi::CStr) -> Result<(), Raise> {
    if !is_compiled(code) {
        return s.load(code, chunk);
    }
    // The parser is to refuse it.
    s.push_bytes(b" ");
    s.push_bytes(code);
    s.concat(2);
    let loaded = s.load(s.bytes(-1).unwrap_or_default(), chunk);
    s.remove(-2);
    loaded
}

/// Runs on the fiber: calls a program with the two arrays on the stack and writes its reply.
fn run(anchor: Anchor, program: &Program, client: Resp) {
    let before = fiber::output(|out| out.len());
    let finished = anchor.protected(2, 0, &mut |s| {
        s.every(INSTRUCTIONS, on_count);
        let called = call(s, program);
        let script = fiber::task(|task| task.resp.get());
        fiber::output(|out| {
            let mut reply = Reply::new(out, client);
            match called {
                Ok(()) => write_reply(s, script, &mut reply),
                Err(Raise) => write_failure(s, program, &mut reply),
            }
        });
        Ok(0)
    });
    if finished.is_err() {
        // Lua had no memory left to describe what happened.
        fiber::output(|out| {
            out.truncate(before);
            let s = anchor.main();
            let text = s.bytes(-1).unwrap_or(b"execution failure");
            write_error(
                &mut Reply::new(out, client),
                &[b"ERR Error running script ", program.name(), b", ", text],
            );
        });
        anchor.main().pop(1);
    }
}

/// Calls a program with the two arrays on the stack; leaves its result, or the error.
fn call(s: State, program: &Program) -> Result<(), Raise> {
    Slot::Handler.push(s);
    s.insert(1);
    match program {
        Program::Script(script) => {
            Slot::ScriptEnvironment.push(s);
            s.replace(GLOBALS);
            Slot::Argv.push(s);
            s.insert(-2);
            s.raw_set(Slot::ScriptGlobals.index());
            Slot::Keys.push(s);
            s.insert(-2);
            s.raw_set(Slot::ScriptGlobals.index());
            s.push_number(script.id as f64);
            s.raw_get(Slot::Scripts.index());
            // An earlier run may have changed it.
            Slot::ScriptEnvironment.push(s);
            s.set_environment(-2);
            s.call_protected(0, 1, 1)
        }
        Program::Function(function) => {
            Slot::FunctionEnvironment.push(s);
            s.replace(GLOBALS);
            push_function(s, function)?;
            s.insert(2);
            s.call_protected(2, 1, 1)
        }
    }
}

/// Pushes a function, loading its library if the VM has not done that yet; or pushes the error.
fn push_function(s: State, function: &Function) -> Result<(), Raise> {
    let look_up = || {
        s.push_number(function.id() as f64);
        s.raw_get(Slot::Functions.index());
        s.kind(-1) == Kind::Function
    };
    if look_up() {
        return Ok(());
    }
    s.pop(1);
    fiber::task(|task| *task.loading.borrow_mut() = Some(Loading::Known(Arc::clone(&function.library))));
    let loaded = load_library(s, function.library.code());
    fiber::task(|task| task.loading.take());
    loaded?;
    if look_up() {
        return Ok(());
    }
    s.push_bytes(b"the library did not register the function again");
    Err(Raise)
}

/// Runs a library in the environment for that; pushes a text if it fails.
fn load_library(s: State, code: &[u8]) -> Result<(), Raise> {
    if load(s, code, c"@user_function").is_err() {
        return fail(s, b"Error compiling function: ");
    }
    Slot::FunctionEnvironment.push(s);
    s.set_environment(-2);
    Slot::FunctionEnvironment.push(s);
    s.replace(GLOBALS);
    show(s, Slot::LoadGlobals);
    let called = s.call_protected(0, 0, 0);
    show(s, Slot::FunctionGlobals);
    if called.is_ok() {
        return Ok(());
    }
    if s.kind(-1) == Kind::Table {
        Slot::Err.push(s);
        s.raw_get(-2);
        s.remove(-2);
    } else {
        s.push_bytes(b"ERR ");
        s.insert(-2);
        if !matches!(s.kind(-1), Kind::String | Kind::Number) {
            s.pop(1);
            s.push_bytes(b"unknown error");
        }
        s.concat(2);
    }
    fail(s, b"Error registering functions: ")
}

/// Puts a text before the one on top.
fn fail(s: State, head: &[u8]) -> Result<(), Raise> {
    s.push_bytes(head);
    s.insert(-2);
    if s.kind(-1) != Kind::String {
        s.pop(1);
        s.push_bytes(b"unknown error");
    }
    s.concat(2);
    Err(Raise)
}

/// Leads the environment of functions to other globals.
fn show(s: State, globals: Slot) {
    Slot::Index.push(s);
    globals.push(s);
    s.raw_set(Slot::FunctionMetatable.index());
}

/// Writes the reply for the error on top of the stack.
fn write_failure(s: State, program: &Program, reply: &mut Reply<'_>) {
    if s.kind(-1) != Kind::Table {
        // It came past the handler.
        let text = s.bytes(-1).unwrap_or(b"execution failure");
        let text = &text[..text.len().min(100)];
        return write_error(reply, &[b"ERR Error running script ", program.name(), b", ", text]);
    }
    let table = s.top();
    for name in [&b"err"[..], b"source", b"line"] {
        s.raw_get_field(table, name);
    }
    let is_text = |index| matches!(s.kind(index), Kind::String | Kind::Number);
    // Text of numbers is made here: below, nothing of Lua's may fail.
    for index in table + 1..=table + 3 {
        let _ = is_text(index) && s.bytes(index).is_some();
    }
    let text = if is_text(table + 1) { s.bytes(table + 1).unwrap_or_default() } else { b"ERR unknown error" };
    if !is_text(table + 2) || !is_text(table + 3) {
        return write_error(reply, &[text]);
    }
    let (source, line) = (s.bytes(table + 2).unwrap_or_default(), s.bytes(table + 3).unwrap_or_default());
    write_error(reply, &[text, b" script: ", program.name(), b", on ", source, b":", line, b"."]);
}
