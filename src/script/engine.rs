//! What a core has of scripting: a few Lua VMs and copies of what all cores share, and the runs that use them.
//!
//! A VM runs one program at a time, so while one is suspended, another program gets another VM: there are up to
//! [`VMS_MAX`]. Idle VMs stay. A run takes its VM out of the pool and gives it back when it ends or is dropped.

use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;

use ahash::{AHashMap, AHashSet};

use super::Logger;
use super::program::{Function, Library, Program, Script, Sha, parse_sha, read_metadata, sha_of};
use super::shared::{Libraries, Policy, Scripts};
use super::task::Pause;
use super::vm::Vm;
use crate::protocol::Error;
use crate::protocol::resp::Resp;
use crate::rdb::opcodes::{FUNCTION_PRE_GA, FUNCTION2};
use crate::rdb::{Reader, Writer, file, payload};

/// How many programs can be under way on a core.
const VMS_MAX: usize = 8;

/// VMs of a core.
struct Pool {
    idle: RefCell<Vec<Vm>>,
    busy: Cell<usize>,
    logger: Logger,
}

/// See the module.
pub struct Engine {
    scripts: Arc<Scripts>,
    pool: Rc<Pool>,
    /// Scripts that this core has met, by SHA-1 and by text.
    known: AHashMap<Sha, Arc<Script>>,
    by_text: AHashSet<ByText>,
    scripts_version: u64,
    libraries: Arc<Libraries>,
    libraries_version: u64,
}

/// A script that is found by its text.
struct ByText(Arc<Script>);

impl Borrow<[u8]> for ByText {
    fn borrow(&self) -> &[u8] {
        self.0.body()
    }
}

impl Hash for ByText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.body().hash(state);
    }
}

impl PartialEq for ByText {
    fn eq(&self, other: &ByText) -> bool {
        self.0.body() == other.0.body()
    }
}

impl Eq for ByText {}

/// Why a program does not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Too many are under way on this core; it can start when one of them has ended.
    Busy,
    /// The reply.
    Error(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Error(error)
    }
}

impl Engine {
    /// An engine without VMs; they are made when they are needed.
    pub fn new(scripts: Arc<Scripts>, logger: Logger) -> Engine {
        Engine {
            libraries: scripts.libraries(),
            libraries_version: 0,
            scripts_version: scripts.scripts_version(),
            scripts,
            pool: Rc::new(Pool { idle: RefCell::default(), busy: Cell::new(0), logger }),
            known: AHashMap::new(),
            by_text: AHashSet::new(),
        }
    }

    /// What all cores share.
    pub fn shared(&self) -> &Arc<Scripts> {
        &self.scripts
    }

    /// Bytes that the Lua VMs which run nothing have allocated, as for `used_memory_lua`.
    pub fn vm_bytes(&self) -> usize {
        self.pool.idle.borrow().iter().map(|vm| vm.memory_bytes()).sum()
    }

    fn refresh_scripts(&mut self) {
        let version = self.scripts.scripts_version();
        if version != self.scripts_version {
            self.scripts_version = version;
            self.known.clear();
            self.by_text.clear();
        }
    }

    /// The script of `EVAL`; a new one is compiled and kept.
    ///
    /// # Errors
    /// Redis's for a wrong shebang line or code that does not compile.
    pub fn script(&mut self, text: &[u8]) -> Result<Arc<Script>, Error> {
        self.refresh_scripts();
        if let Some(ByText(script)) = self.by_text.get(text) {
            script.use_at(|| self.scripts.now_ns());
            return Ok(Arc::clone(script));
        }
        let script = self.intern(text, false)?;
        self.by_text.insert(ByText(Arc::clone(&script)));
        Ok(script)
    }

    /// `SCRIPT LOAD`: compiles a script and keeps it.
    ///
    /// # Errors
    /// Those of [`Engine::script`].
    pub fn load_script(&mut self, text: &[u8]) -> Result<Arc<Script>, Error> {
        self.refresh_scripts();
        self.intern(text, true)
    }

    fn intern(&mut self, text: &[u8], loaded: bool) -> Result<Arc<Script>, Error> {
        let sha = sha_of(text);
        let script = match self.scripts.script(&sha) {
            Some(script) => {
                script.use_at(|| self.scripts.now_ns());
                script
            }
            None => {
                let script = Arc::new(Script::new(self.scripts.next_ids(1), sha, text)?);
                self.with_vm(|vm| vm.compile(&script))?;
                self.scripts.keep(script, loaded)
            }
        };
        if loaded {
            script.never_evict();
        }
        // Keeping it may have sent another away.
        self.refresh_scripts();
        self.known.insert(sha, Arc::clone(&script));
        Ok(script)
    }

    /// The script of `EVALSHA`.
    ///
    /// # Errors
    /// If there is none.
    pub fn script_by_sha(&mut self, sha: &[u8]) -> Result<Arc<Script>, Error> {
        const NO_SCRIPT: Error = Error::text("NOSCRIPT No matching script. Please use EVAL.");
        self.refresh_scripts();
        let sha = parse_sha(sha).ok_or(NO_SCRIPT)?;
        if let Some(script) = self.known.get(&sha) {
            script.use_at(|| self.scripts.now_ns());
            return Ok(Arc::clone(script));
        }
        let script = self.scripts.script(&sha).ok_or(NO_SCRIPT)?;
        script.use_at(|| self.scripts.now_ns());
        self.known.insert(sha, Arc::clone(&script));
        Ok(script)
    }

    /// The function of `FCALL`.
    ///
    /// # Errors
    /// If there is none.
    pub fn function(&mut self, name: &[u8]) -> Result<Function, Error> {
        let version = self.scripts.libraries_version();
        if version != self.libraries_version {
            self.libraries = self.scripts.libraries();
            self.libraries_version = version;
        }
        self.libraries.function(name).cloned().ok_or(Error::text("ERR Function not found"))
    }

    /// Makes a program ready to run; its arguments are taken over. The reply will be encoded for `client`.
    ///
    /// # Errors
    /// [`Refusal::Busy`], or the reply if the script does not compile or there is no memory.
    pub fn start(
        &mut self,
        program: &Program,
        keys: &[&[u8]],
        args: &[&[u8]],
        client: Resp,
    ) -> Result<Run, Refusal> {
        if self.pool.busy.get() >= VMS_MAX {
            return Err(Refusal::Busy);
        }
        let mut vm = self.pool.take(self.scripts.generation())?;
        if let Err(error) = vm.prepare(program, keys, args, client) {
            self.pool.give_back(vm);
            return Err(error.into());
        }
        Ok(Run { vm: Some(vm), pool: Rc::clone(&self.pool) })
    }

    /// `FUNCTION LOAD`: returns the library's name.
    ///
    /// # Errors
    /// Redis's for a library that is wrong, or whose name or functions exist.
    pub fn load_library(&mut self, text: &[u8], replace: bool) -> Result<Box<[u8]>, Error> {
        let (name, _) = read_metadata(text)?;
        if !replace && self.scripts.libraries().contains(&name) {
            return Err(already_exists(&name));
        }
        let library = self.library(text)?;
        let policy = if replace { Policy::Replace } else { Policy::Append };
        self.scripts.add_libraries(&[library], policy)?;
        Ok(name)
    }

    /// A library with the functions that its code registers.
    fn library(&mut self, text: &[u8]) -> Result<Arc<Library>, Error> {
        let (name, code_at) = read_metadata(text)?;
        let functions = self.with_vm(|vm| vm.functions_of(&text[code_at..]))?;
        if functions.is_empty() {
            return Err(Error::text("ERR No functions registered"));
        }
        let first_id = self.scripts.next_ids(functions.len());
        Ok(Arc::new(Library { first_id, name, text: text.into(), code_at, functions }))
    }

    /// `FUNCTION RESTORE`: adds the libraries of a payload of `FUNCTION DUMP`, all or none.
    ///
    /// # Errors
    /// Redis's for a payload that is wrong, and those of [`Engine::load_library`].
    pub fn restore_libraries(&mut self, dumped: &[u8], policy: Policy) -> Result<(), Error> {
        let body =
            payload::opened(dumped).ok_or(Error::text("ERR DUMP payload version or checksum are wrong"))?;
        let mut reader = Reader::new(body);
        let mut libraries: Vec<Arc<Library>> = Vec::new();
        while !reader.rest().is_empty() {
            match reader.byte() {
                Ok(FUNCTION2) => {}
                Ok(FUNCTION_PRE_GA) => {
                    return Err(Error::text("ERR Pre-GA function format not supported"));
                }
                _ => return Err(Error::text("ERR given type is not a function")),
            }
            let text = reader.blob().map_err(|_| Error::text("ERR Failed loading library payload"))?;
            let library = self.library(&text)?;
            if libraries.iter().any(|other| other.name == library.name) {
                return Err(already_exists(&library.name));
            }
            libraries.push(library);
        }
        self.scripts.add_libraries(&libraries, policy)
    }

    /// Uses a VM for something that is over at once, even if there are as many as there may be.
    fn with_vm<R>(&self, f: impl FnOnce(&mut Vm) -> Result<R, Error>) -> Result<R, Error> {
        let mut vm = self.pool.take(self.scripts.generation())?;
        let result = f(&mut vm);
        self.pool.give_back(vm);
        result
    }
}

fn already_exists(name: &[u8]) -> Error {
    format!("ERR Library '{}' already exists", String::from_utf8_lossy(name)).into()
}

impl Scripts {
    /// `FUNCTION DUMP`: all libraries as RDB files have them, with the oldest version that knows them.
    pub fn dump_libraries(&self) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), true);
        for library in self.libraries().all() {
            writer.byte(FUNCTION2);
            writer.blob(&library.text);
        }
        payload::sealed(writer.into_output(), file::VERSION_OF_LIBRARIES)
    }
}

impl Pool {
    fn take(&self, generation: u64) -> Result<Vm, Error> {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|vm| vm.generation == generation);
        let vm = match idle.pop() {
            Some(vm) => vm,
            None => Vm::new(generation, Rc::clone(&self.logger))?,
        };
        self.busy.set(self.busy.get() + 1);
        Ok(vm)
    }

    fn give_back(&self, vm: Vm) {
        self.busy.set(self.busy.get() - 1);
        self.idle.borrow_mut().push(vm);
    }
}

/// What a run goes on with.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// The beginning.
    Begin,
    /// The complete reply of the command that it asked for, in the protocol that it asked for.
    Reply(&'a [u8]),
    /// After a slice, more time.
    Go,
    /// Its end by an error, a text without its code (such as [`super::KILLED`]), which the script cannot catch: the run is
    /// done then.
    Kill(&'static str),
}

/// What a run wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The command in [`Run::args`] is to be run, and its reply encoded for this protocol.
    Command {
        /// What `redis.setresp` has chosen.
        resp: Resp,
    },
    /// It has run for a while, and others may be waiting.
    Slice,
    /// It has ended. Its reply, maybe an error, is in the buffer.
    Done,
}

/// A program under way. Dropping it ends the program.
pub struct Run {
    /// `None` when it has ended.
    vm: Option<Vm>,
    pool: Rc<Pool>,
}

impl Run {
    /// Lets the program run until it wants something. When it is done, its reply has been appended to `out`.
    ///
    /// # Panics
    /// If it has ended.
    pub fn resume(&mut self, input: Input<'_>, out: &mut Vec<u8>) -> Step {
        let vm = self.vm.as_mut().expect("the program has not ended");
        let reply = match input {
            Input::Begin | Input::Go => &[],
            Input::Reply(reply) => reply,
            Input::Kill(error) => {
                vm.task.kill(error);
                &[][..]
            }
        };
        match vm.resume(reply, out) {
            Some(Pause::Command) => Step::Command { resp: vm.task.resp.get() },
            Some(Pause::Slice) => Step::Slice,
            None => {
                self.end();
                Step::Done
            }
        }
    }

    /// Hands the arguments of the command that it waits for to `f`, the command's name first.
    pub fn with_args<R>(&self, f: impl FnOnce(&[&[u8]]) -> R) -> R {
        match &self.vm {
            Some(vm) => f(vm.task.args.borrow().get()),
            None => f(&[]),
        }
    }

    fn end(&mut self) {
        if let Some(mut vm) = self.vm.take() {
            if vm.is_busy() {
                vm.stop("The script was abandoned");
            }
            self.pool.give_back(vm);
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.end();
    }
}
