//! Files on their way to the cores: the thread of a loading reads them, and passes on *portions*.
//!
//! An RDB file is cut into [`Piece`]s of complete records. All cores share the bytes of a piece, and each gets the places of the
//! records that concern it: the keys of its own slots, and what is said of databases; the first core gets the rest. So
//! one thread goes through the whole file, and nobody reads what is another's. A log goes to one core, as it is.
//!
//! Pieces have about `CHUNK_BYTES`, unless one record is longer; such a piece goes alone, and so what is under way is bounded by
//! some pieces and the longest record.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use flume::Sender;

use super::{Kind, LoadPlan, LogPart, Setup};
use crate::net::client::Scope;
use crate::rdb::scan::{Damage, Record, Scanner};
use crate::route::ShardMap;
use crate::runtime::io::CoreId;
use crate::shard::Slot;

/// Bytes read at once.
const CHUNK_BYTES: usize = 256 << 10;

/// What a core gets next.
#[derive(Debug)]
pub enum Portion {
    /// An RDB file begins.
    Rdb(Kind, Arc<Path>),
    /// The next records of it.
    Records(Share),
    /// It cannot be read any further.
    Damaged(Damage),
    /// A log begins.
    Log {
        /// The file.
        path: Arc<Path>,
        /// Where in the file.
        from: u64,
        /// What it says of whole databases.
        scope: Scope,
    },
    /// The next bytes of it.
    Bytes(Vec<u8>),
    /// The file ends.
    End,
    /// A part ends: the next begins when all cores have come here.
    Together,
    /// Nothing comes any more.
    Over,
    /// A file cannot be read, for this reason.
    Failed(String),
}

/// A part of an RDB file. See the module.
#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    /// Where in the file it begins.
    start: u64,
    /// Disconnected when nobody has the piece any more.
    _in_use: Option<Sender<()>>,
}

/// Where in a piece a record begins, and the slot of its key.
#[derive(Debug, Clone, Copy)]
struct Place {
    at: usize,
    slot: Slot,
}

/// What concerns a core in a piece of an RDB file.
#[derive(Debug)]
pub struct Share {
    piece: Arc<Piece>,
    places: std::vec::IntoIter<Place>,
}

/// A record that concerns a core.
#[derive(Debug, Clone, Copy)]
pub struct Located<'a> {
    /// Where in the file it begins.
    pub offset: u64,
    /// Its bytes, and others behind them.
    pub bytes: &'a [u8],
    /// The slot of its key, if it has one.
    pub slot: Slot,
}

impl Share {
    /// The next record, for [`Record::read`].
    #[inline]
    pub fn next_record(&mut self) -> Option<Located<'_>> {
        let Place { at, slot } = self.places.next()?;
        Some(Located { offset: self.piece.start + at as u64, bytes: &self.piece.bytes[at..], slot })
    }

    /// How long the piece is that it is a share of, in bytes.
    pub fn piece_len(&self) -> u64 {
        self.piece.bytes.len() as u64
    }
}

/// Why nothing more is read.
pub(super) enum Trouble {
    /// The server ends, so nobody takes anything any more.
    Gone,
    /// A file cannot be read.
    Io(io::Error),
    /// A file cannot be understood.
    Damage(Damage),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Io(error)
    }
}

impl From<Damage> for Trouble {
    fn from(damage: Damage) -> Trouble {
        Trouble::Damage(damage)
    }
}

/// The ways to the cores.
pub(super) struct Feeds {
    senders: Vec<Sender<Portion>>,
    setup: Setup,
}

impl Feeds {
    pub(super) fn new(senders: Vec<Sender<Portion>>, setup: Setup) -> Feeds {
        Feeds { senders, setup }
    }

    /// Says why nothing more comes.
    pub(super) fn tell(&self, trouble: Trouble) {
        // Who is gone need not know.
        match trouble {
            Trouble::Gone => Ok(()),
            Trouble::Io(error) => self.all(|| Portion::Failed(error.to_string())),
            Trouble::Damage(damage) => self.all(|| Portion::Damaged(damage.clone())),
        }
        .ok();
    }

    /// Sends to every core.
    fn all(&self, portion: impl Fn() -> Portion) -> Result<(), Trouble> {
        self.setup.map.all().try_for_each(|core| self.to(core, portion()))
    }

    fn to(&self, core: CoreId, portion: Portion) -> Result<(), Trouble> {
        self.senders[core.index()].send(portion).map_err(|_| Trouble::Gone)
    }

    /// Reads all files of a plan.
    pub(super) fn read(&self, plan: &LoadPlan) -> Result<(), Trouble> {
        if let Some((kind, path)) = &plan.base {
            let end = self.read_rdb(*kind, path)?;
            if *kind == Kind::Preamble {
                let (path, range) = (path.clone(), end..u64::MAX);
                self.read_log(CoreId(0), &LogPart { core: None, scope: Scope::Everything, path, range })?;
                self.all(|| Portion::Together)?;
            }
        }
        for part in plan.logs.chunk_by(|a, b| a.core.is_some() && b.core.is_some()) {
            thread::scope(|scope| {
                let own = |core| part.iter().filter(move |log| log.core.unwrap_or(CoreId(0)) == core);
                let cores = self.setup.map.all();
                let threads: Vec<_> = cores
                    .filter(|&core| own(core).next().is_some())
                    .map(|core| scope.spawn(move || own(core).try_for_each(|log| self.read_log(core, log))))
                    .collect();
                threads.into_iter().try_for_each(|thread| thread.join().expect("panics end the process"))
            })?;
            self.all(|| Portion::Together)?;
        }
        self.all(|| Portion::Over)
    }

    fn read_log(&self, core: CoreId, log: &LogPart) -> Result<(), Trouble> {
        let from = log.range.start;
        self.to(core, Portion::Log { path: log.path.as_path().into(), from, scope: log.scope })?;
        let mut file = Part::open(&log.path, &log.range)?;
        loop {
            let mut chunk = Vec::new();
            if file.read_on(&mut chunk)? == 0 {
                return self.to(core, Portion::End);
            }
            self.to(core, Portion::Bytes(chunk))?;
        }
    }

    /// Reads an RDB file. Returns where it ends.
    fn read_rdb(&self, kind: Kind, path: &Path) -> Result<u64, Trouble> {
        let shared: Arc<Path> = path.into();
        self.all(|| Portion::Rdb(kind, Arc::clone(&shared)))?;
        let mut file = Part::open(path, &(0..u64::MAX))?;
        let mut scanner = Scanner::new(self.setup.verify);
        let mut finder = Finder::new(self.setup.map);
        let mut window = Vec::new();
        loop {
            let more = file.read_on(&mut window)?;
            let start = scanner.offset();
            let found = finder.find(&mut scanner, &window);
            let read = scanner.leave(&window);
            if read > 0 {
                let mut next = Vec::with_capacity(window.len() - read + CHUNK_BYTES);
                next.extend(window.drain(read..));
                self.pass(std::mem::replace(&mut window, next), start, &mut finder)?;
            }
            if found? {
                self.all(|| Portion::End)?;
                self.all(|| Portion::Together)?;
                return Ok(scanner.offset());
            }
            if more == 0 {
                scanner.finish(&window)?;
            }
        }
    }

    /// Passes a piece on, with what was found in it.
    fn pass(&self, bytes: Vec<u8>, start: u64, finder: &mut Finder) -> Result<(), Trouble> {
        let is_long = bytes.len() > 2 * CHUNK_BYTES;
        let (in_use, gone) = flume::bounded(0);
        let piece = Arc::new(Piece { bytes, start, _in_use: is_long.then_some(in_use) });
        for (core, places) in self.setup.map.all().zip(&mut finder.places) {
            let next = Vec::with_capacity(places.len());
            let places = std::mem::replace(places, next).into_iter();
            self.to(core, Portion::Records(Share { piece: Arc::clone(&piece), places }))?;
        }
        drop(piece);
        // Nothing is ever sent, so this waits for the last owner of the other end.
        gone.recv().ok();
        Ok(())
    }
}

/// Finds out whom the records of an RDB file concern.
struct Finder {
    map: ShardMap,
    /// By core: where in the present window its records are.
    places: Vec<Vec<Place>>,
}

impl Finder {
    fn new(map: ShardMap) -> Finder {
        Finder { map, places: vec![Vec::new(); map.shards()] }
    }

    /// Finds all records in a window. Returns whether the file has come to its end.
    fn find(&mut self, scanner: &mut Scanner, window: &[u8]) -> Result<bool, Damage> {
        loop {
            let at = scanner.consumed();
            let Some(record) = scanner.next(window)? else { return Ok(false) };
            let anywhere = Place { at, slot: Slot::FIRST };
            match record {
                Record::Entry(entry) => {
                    let slot = Slot::of(&entry.key);
                    self.places[self.map.owner(slot).index()].push(Place { at, slot });
                }
                Record::Select(_) | Record::Sizes { .. } => {
                    self.places.iter_mut().for_each(|places| places.push(anywhere));
                }
                Record::Aux { .. } | Record::Library(_) => self.places[0].push(anywhere),
                Record::Version(_) => {}
                Record::End => return Ok(true),
            }
        }
    }
}

/// A part of a file that is read from front to back.
struct Part<'a> {
    file: io::Take<File>,
    path: &'a Path,
}

impl Part<'_> {
    fn open<'a>(path: &'a Path, range: &Range<u64>) -> io::Result<Part<'a>> {
        let begin = || {
            let mut file = File::open(path)?;
            let len = range.end.min(file.metadata()?.len()).saturating_sub(range.start);
            file.seek(SeekFrom::Start(range.start))?;
            Ok(file.take(len))
        };
        begin().map(|file| Part { file, path }).map_err(|error| named(path, error))
    }

    /// Appends [`CHUNK_BYTES`], fewer only at the end. Returns how many.
    fn read_on(&mut self, to: &mut Vec<u8>) -> io::Result<usize> {
        let len = self.file.limit().min(CHUNK_BYTES as u64);
        to.reserve(len as usize);
        self.file.by_ref().take(len).read_to_end(to).map_err(|error| named(self.path, error))
    }
}

/// Tells which file an error is about.
pub(super) fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
pub(super) fn told(mut share: Share) -> String {
    let mut records = Vec::new();
    while let Some(Located { offset, bytes, .. }) = share.next_record() {
        records.push(match Record::read(bytes).unwrap() {
            Record::Entry(entry) => format!("{offset}: {}", String::from_utf8_lossy(&entry.key)),
            Record::Aux { name, value } => {
                format!(
                    "{offset}: Aux {}={}",
                    String::from_utf8_lossy(&name),
                    String::from_utf8_lossy(&value)
                )
            }
            other => format!("{offset}: {}", format!("{other:?}").replace(['(', ')'], " ").trim()),
        });
    }
    records.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::temp_folder::TempFolder;
    use crate::rdb::file::{self, Sum, Usage};
    use crate::rdb::scan::Problem;
    use crate::shard::{Item, Str};
    use crate::shared::load::{Load, LoadMode};

    const SHARDS: u16 = 3;

    /// Loads a file. Returns the keys that each core gets, with their lengths, and the damage.
    fn keys_of(file: &[u8]) -> (Vec<Vec<(String, usize)>>, Option<Damage>) {
        let folder = TempFolder::empty();
        let plan = LoadPlan::of_snapshot(folder.write("dump", file));
        let map = ShardMap::new(SHARDS);
        let setup = Setup { map, verify: true, now_ms: 0 };
        let load = Load::begin(plan, LoadMode { flush: false, replace: false }, setup).unwrap();
        let keys_of = |core: CoreId| {
            let (mut keys, mut damage) = (Vec::new(), None);
            for portion in load.portions(core).unwrap() {
                match portion {
                    Portion::Records(mut share) => {
                        while let Some(Located { offset, bytes, slot }) = share.next_record() {
                            assert!(file[offset as usize..].starts_with(bytes));
                            if let Record::Entry(entry) = Record::read(bytes).unwrap() {
                                assert_eq!((slot, map.owner(slot)), (Slot::of(&entry.key), core));
                                let text = entry.about.expire_at_ms.map_or(0, |at| at as usize);
                                keys.push((String::from_utf8_lossy(&entry.key).into_owned(), text));
                            }
                        }
                    }
                    Portion::Damaged(found) => damage = Some(found),
                    _ => {}
                }
            }
            (keys, damage)
        };
        thread::scope(|scope| {
            let threads: Vec<_> = map.all().map(|core| scope.spawn(move || keys_of(core))).collect();
            let found: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            assert!(found.iter().all(|(_, damage)| *damage == found[0].1), "all hear of it");
            let damage = found[0].1.clone();
            (found.into_iter().map(|(keys, _)| keys).collect(), damage)
        })
    }

    #[test]
    fn every_key_goes_to_one_core_whatever_its_length() {
        let mut body = Vec::new();
        let lengths = [3, CHUNK_BYTES - 30, 10, 5 * CHUNK_BYTES, 0, CHUNK_BYTES, 7, 2 * CHUNK_BYTES, 1];
        for number in 0..300 {
            // Each expires when its number says, so that what is said about it has to come with it.
            let (name, value) = (format!("key:{number}"), vec![b'v'; lengths[number % lengths.len()]]);
            let item = Item::new(name.as_bytes(), Str::Bytes(&value), Some(number as i64));
            file::entry(&mut body, &item, Usage::Untold, false);
        }
        let sum = Sum::of(&body, 9);
        let whole = [&file::head(9)[..], &body, &file::tail(&sum, true)].concat();
        let (keys, damage) = keys_of(&whole);
        assert_eq!(damage, None);
        assert!(keys.iter().all(|keys| keys.len() > 50 && keys.is_sorted_by_key(|(_, number)| *number)));
        let mut all = keys.concat();
        all.sort_by_key(|(_, number)| *number);
        assert!(
            all.iter().enumerate().all(|(at, (name, number))| *number == at && *name == format!("key:{at}"))
        );
        assert_eq!(all.len(), 300);
        let (keys, damage) = keys_of(&whole[..whole.len() - 1]);
        assert_eq!(damage.unwrap(), Damage { offset: whole.len() as u64 - 1, problem: Problem::EndsEarly });
        assert_eq!(keys.concat().len(), 300, "what comes before damage is passed on");
    }
}
