//! What all cores share of scripting: the cache of scripts and the function libraries.
//!
//! A core looks things up in copies of its own and takes a lock only for what it does not know ([`super::Engine`]); two
//! versions tell it when its copies are out of date.
//!
//! Scripts that came by `EVAL` are evicted when there are more than 500 of them, the one first that was not used for the
//! longest time. Cores note a use in the script itself, without a lock; `by_use` is put right lazily: an entry whose script
//! was used since goes back to where it belongs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ahash::AHashMap;

use super::program::{Function, Library, Registered, Script, Sha, parse_sha};
use crate::protocol::Error;

/// How many scripts of `EVAL` are kept.
const EVAL_SCRIPTS_MAX: usize = 500;

/// Function libraries at one moment.
#[derive(Debug, Clone, Default)]
pub struct Libraries {
    by_name: BTreeMap<Box<[u8]>, Arc<Library>>,
    /// By name in lower case.
    functions: AHashMap<Box<[u8]>, Function>,
}

impl Libraries {
    /// The function of a name, in any case.
    pub fn function(&self, name: &[u8]) -> Option<&Function> {
        match name.iter().any(u8::is_ascii_uppercase) {
            true => self.functions.get(name.to_ascii_lowercase().as_slice()),
            false => self.functions.get(name),
        }
    }

    /// The library of a name.
    pub fn get(&self, name: &[u8]) -> Option<&Arc<Library>> {
        self.by_name.get(name)
    }

    /// How many libraries and functions there are.
    pub fn counts(&self) -> (usize, usize) {
        (self.by_name.len(), self.by_name.values().map(|library| library.functions.len()).sum())
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Library>> {
        self.by_name.values()
    }

    pub(super) fn contains(&self, name: &[u8]) -> bool {
        self.by_name.contains_key(name)
    }

    fn remove(&mut self, name: &[u8]) -> bool {
        let Some(library) = self.by_name.remove(name) else { return false };
        for function in &library.functions {
            self.functions.remove(function.name.to_ascii_lowercase().as_slice());
        }
        true
    }

    /// Whether a library can be added, in the place of one of the same name if it `replaces` that.
    fn check(&self, library: &Library, replaces: bool) -> Result<(), Error> {
        if !replaces && self.contains(&library.name) {
            let name = String::from_utf8_lossy(&library.name);
            return Err(format!("ERR Library {name} already exists").into());
        }
        for Registered { name, .. } in &library.functions {
            let other = self.function(name).filter(|function| function.library.name != library.name);
            if other.is_some() {
                return Err(format!("ERR Function {} already exists", String::from_utf8_lossy(name)).into());
            }
        }
        Ok(())
    }

    fn add(&mut self, library: &Arc<Library>) -> Result<(), Error> {
        for (index, Registered { name, .. }) in library.functions.iter().enumerate() {
            let function = Function { library: Arc::clone(library), index };
            if self.functions.insert(name.to_ascii_lowercase().into(), function).is_some() {
                return Err(format!("ERR Function {} already exists", String::from_utf8_lossy(name)).into());
            }
        }
        self.by_name.insert(library.name.clone(), Arc::clone(library));
        Ok(())
    }
}

/// What to do with libraries whose names exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// All existing libraries go.
    Flush,
    /// It is an error.
    Append,
    /// They are replaced.
    Replace,
}

/// Numbers for `INFO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// `number_of_cached_scripts`.
    pub scripts: usize,
    /// `evicted_scripts`, since the start or `CONFIG RESETSTAT`.
    pub evicted: u64,
    /// `used_memory_scripts_eval`, in bytes, estimated.
    pub scripts_bytes: usize,
    /// `number_of_libraries`.
    pub libraries: usize,
    /// `number_of_functions`.
    pub functions: usize,
    /// `used_memory_functions`, in bytes, estimated.
    pub libraries_bytes: usize,
}

#[derive(Debug, Default)]
struct Cache {
    scripts: AHashMap<Sha, Arc<Script>>,
    /// Scripts of `EVAL` by when they were used last; a use since may not be in it. Moments are unique.
    by_use: BTreeMap<u64, Sha>,
    evicted: u64,
    bytes: usize,
}

impl Cache {
    /// The first moment from `at` on that is not taken.
    fn free_moment(&self, at: u64) -> u64 {
        let taken =
            self.by_use.range(at..).zip(at..).take_while(|((moment, _), expected)| *moment == expected);
        at + taken.count() as u64
    }
}

/// See the module.
#[derive(Debug)]
pub struct Scripts {
    cache: Mutex<Cache>,
    libraries: Mutex<Arc<Libraries>>,
    /// Grows when scripts leave the cache.
    scripts_version: AtomicU64,
    /// Grows when the libraries change.
    libraries_version: AtomicU64,
    /// Grows when `SCRIPT FLUSH` or `FUNCTION FLUSH` asks for new VMs.
    generation: AtomicU64,
    last_id: AtomicU64,
    started: Instant,
}

impl Default for Scripts {
    fn default() -> Scripts {
        Scripts {
            cache: Mutex::default(),
            libraries: Mutex::default(),
            scripts_version: AtomicU64::new(1),
            libraries_version: AtomicU64::new(1),
            generation: AtomicU64::new(0),
            last_id: AtomicU64::new(0),
            started: Instant::now(),
        }
    }
}

/// A panic ends the process, so a poisoned lock is not seen outside of tests.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scripts {
    /// Which scripts there are: as long as it stays the same, none has gone.
    pub(super) fn scripts_version(&self) -> u64 {
        self.scripts_version.load(Ordering::Acquire)
    }

    /// Which libraries there are.
    pub(super) fn libraries_version(&self) -> u64 {
        self.libraries_version.load(Ordering::Acquire)
    }

    /// VMs of an older generation are not used any more.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The clock of uses, in nanoseconds.
    pub(super) fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    pub(super) fn next_ids(&self, count: usize) -> u64 {
        self.last_id.fetch_add(count as u64, Ordering::Relaxed) + 1
    }

    /// The script of a SHA-1.
    pub(super) fn script(&self, sha: &Sha) -> Option<Arc<Script>> {
        lock(&self.cache).scripts.get(sha).cloned()
    }

    /// Keeps a script, unless there is one with its SHA-1; returns the one that is kept. Unless it is `loaded` by
    /// `SCRIPT LOAD`, it may be evicted.
    pub(super) fn keep(&self, script: Arc<Script>, loaded: bool) -> Arc<Script> {
        let mut cache = lock(&self.cache);
        if let Some(known) = cache.scripts.get(&script.sha) {
            return Arc::clone(known);
        }
        cache.bytes += script.memory_bytes();
        cache.scripts.insert(script.sha, Arc::clone(&script));
        if !loaded {
            self.evict(&mut cache);
            let now = cache.free_moment(self.now_ns());
            script.use_at(|| now);
            cache.by_use.insert(now, script.sha);
        }
        script
    }

    /// Makes room for one more script of `EVAL`.
    fn evict(&self, cache: &mut Cache) {
        while cache.by_use.len() >= EVAL_SCRIPTS_MAX {
            let Some((at, sha)) = cache.by_use.pop_first() else { return };
            let Some(script) = cache.scripts.get(&sha) else { continue };
            let used = script.used_ns.load(Ordering::Relaxed);
            if script.kept.load(Ordering::Relaxed) {
                continue;
            }
            if used > at {
                let used = cache.free_moment(used);
                cache.by_use.insert(used, sha);
                continue;
            }
            cache.bytes -= script.memory_bytes();
            cache.scripts.remove(&sha);
            cache.evicted += 1;
            self.scripts_version.fetch_add(1, Ordering::Release);
        }
    }

    /// `SCRIPT EXISTS`: whether a SHA-1 that a client sent names a script.
    pub fn exists(&self, sha: &[u8]) -> bool {
        parse_sha(sha).is_some_and(|sha| lock(&self.cache).scripts.contains_key(&sha))
    }

    /// `SCRIPT FLUSH`
    pub fn flush_scripts(&self) {
        let mut cache = lock(&self.cache);
        *cache = Cache { evicted: cache.evicted, ..Cache::default() };
        self.scripts_version.fetch_add(1, Ordering::Release);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// `CONFIG RESETSTAT`: forgets how many scripts were evicted.
    pub fn reset_figures(&self) {
        lock(&self.cache).evicted = 0;
    }

    /// Numbers for `INFO`.
    pub fn figures(&self) -> Figures {
        let libraries = self.libraries();
        let (library_count, functions) = libraries.counts();
        let cache = lock(&self.cache);
        Figures {
            scripts: cache.scripts.len(),
            evicted: cache.evicted,
            scripts_bytes: cache.bytes,
            libraries: library_count,
            functions,
            libraries_bytes: libraries.all().map(|library| library.memory_bytes()).sum(),
        }
    }

    /// The libraries.
    pub fn libraries(&self) -> Arc<Libraries> {
        Arc::clone(&lock(&self.libraries))
    }

    /// Adds libraries, all or none.
    ///
    /// # Errors
    /// If a name is taken by a library that is not to be replaced, or by a function of one.
    pub(super) fn add_libraries(&self, new: &[Arc<Library>], policy: Policy) -> Result<(), Error> {
        let mut current = lock(&self.libraries);
        if let ([library], Policy::Append | Policy::Replace) = (new, policy) {
            // Changed in place, unless a core looks at it: libraries may be many.
            current.check(library, policy == Policy::Replace)?;
            let libraries = Arc::make_mut(&mut current);
            libraries.remove(&library.name);
            libraries.add(library)?;
            self.libraries_version.fetch_add(1, Ordering::Release);
            return Ok(());
        }
        let mut libraries =
            if policy == Policy::Flush { Libraries::default() } else { Libraries::clone(&current) };
        for library in new {
            if policy == Policy::Replace {
                libraries.remove(&library.name);
            } else if libraries.contains(&library.name) {
                let name = String::from_utf8_lossy(&library.name);
                return Err(format!("ERR Library {name} already exists").into());
            }
        }
        new.iter().try_for_each(|library| libraries.add(library))?;
        *current = Arc::new(libraries);
        self.libraries_version.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// `FUNCTION DELETE`
    ///
    /// # Errors
    /// If there is no such library.
    pub fn delete_library(&self, name: &[u8]) -> Result<(), Error> {
        let mut current = lock(&self.libraries);
        if !Arc::make_mut(&mut current).remove(name) {
            return Err(Error::text("ERR Library not found"));
        }
        self.libraries_version.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// `FUNCTION FLUSH`
    pub fn flush_libraries(&self) {
        *lock(&self.libraries) = Arc::default();
        self.libraries_version.fetch_add(1, Ordering::Release);
        self.generation.fetch_add(1, Ordering::Release);
    }
}
