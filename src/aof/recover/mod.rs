//! What of a folder's files can be loaded, and what has to be cut off before anything is added.
//!
//! A log is written by several writes at a time, so after a crash a frame may be missing while a later one is there. Each
//! shard's log is read up to the first place where it does not go on. A later frame whose `safe` is beyond that place
//! proves that something is missing that had been on stable storage: that is *damage*, an error. Without one, what follows
//! the place never counted, and is cut off (a *torn tail*). Then logs are cut before the first part of a transaction that
//! lacks a part elsewhere, until there is no such part.
//!
//! Only the last run can have torn tails: it was recovered before another began. Files of Redis are checked for their form,
//! and the last one may end early if `aof-load-truncated` allows it. Redis may also have appended to the last segment:
//! commands without frames, which begin with SELECT.
//!
//! What the writer has to keep to: the first line of a segment is on stable storage before the manifest names the segment,
//! and so is, for the first segments of a run, a frame that tells where the log begins; a run begins only when the cuts of
//! the one before are on stable storage. If the first segment of a log in the manifest has no such frame, the log begins
//! with the first frame that is found.
//!
//! On request what is later than a time is cut off instead (the module `later`).
//!
//! Files are read in order with bounded memory. Logs of a run are read side by side, each as far as a transaction of the
//! others needs it, so that only transactions around the present places are remembered.

mod chain;
mod frames;
mod later;
#[cfg(test)]
mod later_tests;
mod plain;
#[cfg(test)]
mod tests;
mod transactions;
mod window;

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use chain::{Chain, Link};
pub use plain::{End, Options as PlainOptions, Plain, scan as scan_plain};
pub use window::{Source, Window};

use super::frame::{self, HEADER_LEN, LINE_MAX, Opening, Segment};
use super::manifest::{Entry, Folder, Manifest};

/// Bytes of a file that are held at a time.
pub const WINDOW_BYTES: usize = 1 << 20;
/// The same for a run of many shards, whose logs are read at the same time.
const SMALL_WINDOW_BYTES: usize = 64 << 10;
/// How many shards are many.
const MANY_SHARDS: u16 = 64;

/// What to load.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// All pieces with data, in the order in which they can be loaded one after the other.
    pub pieces: Vec<Piece>,
    /// What has to be cut off, in the order in which it has to be done.
    pub cuts: Vec<Cut>,
    /// Whether something is cut off because it is later than the time that was asked for.
    pub later: bool,
}

/// Data in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The file.
    pub entry: Entry,
    /// What kind of data it is.
    pub content: Content,
    /// Where in the file.
    pub bytes: Range<u64>,
}

/// Kinds of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A base that begins like an RDB file; commands may follow, and neither has been checked.
    Rdb,
    /// Commands of Redis, on any keys, with MULTI and EXEC.
    Plain,
    /// Commands on the keys of one shard. Pieces of one run follow each other in [`Plan::pieces`]; those of different
    /// shards can be loaded at the same time.
    Log(Segment),
}

/// A file that has to end earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The file.
    pub entry: Entry,
    /// Where it will end.
    pub at: u64,
    /// Where it ends now.
    pub size: u64,
    /// What has to change of what is left.
    pub reseal: Option<Reseal>,
    /// What to log: nothing if only unused room is given back.
    pub log: Vec<String>,
}

/// A frame that loses a part of its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reseal {
    /// Where it begins.
    pub at: u64,
    /// Its header line from then on.
    pub header: [u8; HEADER_LEN],
}

impl Cut {
    /// Makes the file end there. A crash in the middle leaves a torn tail at worst.
    ///
    /// # Errors
    /// What the file system says.
    pub fn make(&self, file: &File) -> io::Result<()> {
        file.set_len(self.at)?;
        if let Some(Reseal { at, header }) = &self.reseal {
            file.sync_all()?;
            file.write_all_at(header, *at)?;
        }
        file.sync_all()
    }
}

/// Why a folder cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that the manifest names is not there, or cannot be opened.
    #[error("Fatal error: can't open the append log file {} for reading: {error}", .name.display())]
    Open {
        /// The file.
        name: OsString,
        /// What the file system says.
        error: io::Error,
    },
    /// A file cannot be read.
    #[error("Unrecoverable error reading the append only file {}: {error}", .name.display())]
    Read {
        /// The file.
        name: OsString,
        /// What the file system says.
        error: io::Error,
    },
    /// Something is not there, or has changed, that had been on stable storage.
    #[error(
        "Damaged append only file {} at offset {at}: {reason}. Make a backup of your AOF files, then use \
         corelane-check aof --fix <filename.manifest> to cut off everything from there on",
        .name.display()
    )]
    Damaged {
        /// The file.
        name: OsString,
        /// Where the damage begins.
        at: u64,
        /// What is wrong, and how one knows.
        reason: String,
    },
    /// A file of Redis holds something that is no command.
    #[error(
        "Bad file format reading the append only file {}: make a backup of your AOF file, then use \
         ./redis-check-aof --fix <filename.manifest>",
        .name.display()
    )]
    Format {
        /// The file.
        name: OsString,
        /// Where.
        at: u64,
        /// What is wrong.
        reason: String,
    },
    /// A file of Redis ends early, and `aof-load-truncated` is off.
    #[error(
        "Unexpected end of file reading the append only file {}. You can: 1) Make a backup of your AOF file, then use \
         ./redis-check-aof --fix <filename.manifest>. 2) Alternatively you can set the 'aof-load-truncated' \
         configuration option to yes and restart the server.",
        .name.display()
    )]
    Short {
        /// The file.
        name: OsString,
        /// Where its last complete command ends.
        at: u64,
    },
    /// Nothing that is there is known to be from before the time that was asked for.
    #[error("AOF {} has nothing before timestamp {until}, aborting...", .name.display())]
    NothingBefore {
        /// The file that begins with something later.
        name: OsString,
        /// The time.
        until: i64,
    },
    /// Something that may be earlier follows what is later than the time that was asked for.
    #[error(
        "Failed to truncate AOF {} to timestamp {until} to offset {at} because it is not the last file.\n\
         If you insist, please delete all files after this file according to the manifest file and delete the \
         corresponding records in manifest file manually. Then re-run redis-check-aof.",
        .name.display()
    )]
    EarlierFollows {
        /// The file in which something later was found first.
        name: OsString,
        /// Where.
        at: u64,
        /// The time.
        until: i64,
    },
    /// A file of Redis ends early, and it is not the last one.
    #[error("Fatal error: the truncated file is not the last file")]
    NotLast {
        /// The file.
        name: OsString,
        /// Where its last complete command ends.
        at: u64,
    },
}

impl Plan {
    /// The pieces in groups: those of a group hold different keys unless they are of the same shard, whose pieces are in
    /// order. A group has to be loaded before the next one.
    pub fn groups(&self) -> impl Iterator<Item = &[Piece]> {
        self.pieces.chunk_by(|a, b| match (a.content, b.content) {
            (Content::Log(a), Content::Log(b)) => a.run == b.run,
            _ => false,
        })
    }
}

/// How a folder is read.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    load_truncated: bool,
    cuts_transactions: bool,
    keeps_the_undamaged: bool,
    until: Option<i64>,
}

impl Rules {
    /// With the parameter `aof-load-truncated`.
    pub fn new(load_truncated: bool) -> Rules {
        Rules { load_truncated, cuts_transactions: true, keeps_the_undamaged: false, until: None }
    }

    /// Cuts logs of the last run where they are damaged, so that what was logged before can be loaded. What is cut off was
    /// promised to last.
    pub fn keeping_the_undamaged(self) -> Rules {
        Rules { keeps_the_undamaged: true, ..self }
    }

    /// Cuts off what is later than a time, seconds since 1970, as far as times were written down.
    pub fn until(self, time: i64) -> Rules {
        Rules { until: Some(time), ..self }
    }

    /// For a single file, of which other files with parts of its transactions are not at hand.
    pub fn without_transactions(self) -> Rules {
        Rules { cuts_transactions: false, ..self }
    }
}

/// Finds out what can be loaded from a folder. Nothing is changed.
///
/// # Errors
/// [`Error`], with Redis' text where Redis knows such an error.
pub fn plan(folder: &Folder, manifest: &Manifest, rules: Rules) -> Result<Plan, Error> {
    plan_with(manifest, rules, |entry| File::open(folder.file(entry)))
}

/// The same for files that `open` opens.
///
/// # Errors
/// As [`plan`].
pub fn plan_with<S: Source>(
    manifest: &Manifest,
    rules: Rules,
    open: impl Fn(&Entry) -> io::Result<S>,
) -> Result<Plan, Error> {
    let mut files = Vec::new();
    for entry in manifest.data() {
        let file = Listed::look_at(entry, manifest.base.as_ref() == Some(entry), &open)?;
        if file.kind == Kind::Unreadable {
            return Err(file.damaged(0, "its first line is not readable"));
        }
        files.push(file);
    }
    let mut planner =
        Planner { files: &files, rules, open: &open, plan: Plan::default(), holds: false, later: None };
    planner.run()?;
    Ok(planner.plan)
}

/// Makes the cuts, each on stable storage before the next: a later part of a log is cut first, so that a crash in between
/// leaves something that is recovered to the same.
///
/// # Errors
/// What the file system says; calling again after [`plan`] goes on.
pub fn apply(folder: &Folder, plan: &Plan) -> io::Result<()> {
    for cut in &plan.cuts {
        cut.make(&OpenOptions::new().write(true).open(folder.file(&cut.entry))?)?;
    }
    Ok(())
}

/// A file and what its beginning says.
#[derive(Debug)]
struct Listed {
    entry: Entry,
    size: u64,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing has been written to it: no bytes, or zeroes.
    Unused,
    Rdb,
    Plain,
    /// A segment with a first line of so many bytes.
    Log(Segment, u64),
    /// A segment whose first line is damaged.
    Unreadable,
}

impl Listed {
    fn look_at<S: Source>(
        entry: &Entry,
        is_base: bool,
        open: &impl Fn(&Entry) -> io::Result<S>,
    ) -> Result<Listed, Error> {
        let name = &entry.name;
        let source = open(entry).map_err(|error| Error::Open { name: name.clone(), error })?;
        let found = Window::new(source, SMALL_WINDOW_BYTES).and_then(|mut window| {
            let kind = Listed::kind(&mut window, is_base)?;
            Ok(Listed { entry: entry.clone(), size: window.size(), kind })
        });
        found.map_err(|error| Error::Read { name: name.clone(), error })
    }

    fn kind<S: Source>(window: &mut Window<S>, is_base: bool) -> io::Result<Kind> {
        let ahead = window.ahead(LINE_MAX)?;
        if is_base && ahead.starts_with(b"REDIS") {
            return Ok(Kind::Rdb);
        }
        Ok(match Segment::decode(ahead) {
            Opening::Segment(segment, len) => Kind::Log(segment, len as u64),
            Opening::Unreadable => Kind::Unreadable,
            Opening::Other if ahead.first().is_some_and(|&byte| byte != 0) => Kind::Plain,
            Opening::Other if window.skip_zeroes()? => Kind::Unused,
            Opening::Other => Kind::Unreadable,
        })
    }

    fn run(&self) -> Option<u128> {
        match self.kind {
            Kind::Log(segment, _) => Some(segment.run),
            _ => None,
        }
    }

    fn damaged(&self, at: u64, reason: impl Into<String>) -> Error {
        Error::Damaged { name: self.entry.name.clone(), at, reason: reason.into() }
    }

    fn read_error(&self, error: io::Error) -> Error {
        Error::Read { name: self.entry.name.clone(), error }
    }
}

/// Whether the files are those of one run, or nothing was written to them.
fn is_one_run(files: &[Listed]) -> bool {
    let mut runs = files.iter().filter(|file| file.kind != Kind::Unused).map(Listed::run);
    let first = runs.next();
    first != Some(None) && runs.all(|run| Some(run) == first)
}

struct Planner<'a, O> {
    files: &'a [Listed],
    rules: Rules,
    open: &'a O,
    plan: Plan,
    /// Whether anything was read that is not later than the time that was asked for.
    holds: bool,
    /// Where the first thing that is later was found: which file, and the offset.
    later: Option<(usize, u64)>,
}

impl<S: Source, O: Fn(&Entry) -> io::Result<S>> Planner<'_, O> {
    fn run(&mut self) -> Result<(), Error> {
        let files = self.files;
        let mut seen = Vec::new();
        let mut at = 0;
        while at < files.len() {
            let first = &files[at];
            // Files that nothing was written to belong to the run around them.
            let mut len = 1;
            if let Some(run) = first.run() {
                let same = |file: &Listed| file.kind == Kind::Unused || file.run() == Some(run);
                len = files[at..].iter().take_while(|file| same(file)).count();
                if seen.contains(&run) {
                    return Err(first.damaged(0, "its run was over before the file ahead of it was begun"));
                }
                seen.push(run);
            }
            let is_last = match first.kind {
                Kind::Unused => is_one_run(&files[at..]),
                _ => at + len == files.len(),
            };
            match first.kind {
                Kind::Unused => self.unused(at, is_last)?,
                Kind::Rdb => self.piece(at, Content::Rdb, 0..first.size),
                Kind::Plain => self.plain(at, 0, is_last)?,
                Kind::Log(..) => self.log_run(at..at + len, is_last)?,
                Kind::Unreadable => {}
            }
            at += len;
            if let Some((file, _)) = self.later {
                return self.end_before(file, at);
            }
        }
        Ok(())
    }

    fn piece(&mut self, file: usize, content: Content, bytes: Range<u64>) {
        if bytes.is_empty() {
            return;
        }
        let entry = self.files[file].entry.clone();
        self.plan.pieces.push(Piece { entry, content, bytes });
    }

    fn cut(&mut self, file: usize, at: u64, log: Vec<String>) {
        self.cut_within(file, at, None, log);
    }

    fn cut_within(&mut self, file: usize, at: u64, reseal: Option<Reseal>, log: Vec<String>) {
        let Listed { entry, size, .. } = &self.files[file];
        if at < *size {
            self.plan.cuts.push(Cut { entry: entry.clone(), at, size: *size, reseal, log });
        }
    }

    /// A file of zeroes, or without a byte.
    fn unused(&mut self, file: usize, is_last: bool) -> Result<(), Error> {
        if self.files[file].size > 0 && !is_last {
            return Err(self.files[file].damaged(0, "it holds nothing but zeroes"));
        }
        self.cut(file, 0, Vec::new());
        Ok(())
    }

    /// Commands of Redis from an offset on.
    fn plain(&mut self, file: usize, from: u64, is_last: bool) -> Result<(), Error> {
        let listed = &self.files[file];
        let plain = self.scan_plain(file, from).map_err(|error| listed.read_error(error))?;
        let name = listed.entry.name.clone();
        let shown = name.display();
        let mut log = Vec::new();
        let at = plain.valid;
        self.holds |= at > from;
        match plain.end {
            End::Complete => {}
            End::Later(later) => {
                self.later = Some((file, later));
                self.piece(file, Content::Plain, from..at);
                self.cut(file, at, vec![self.later_line(file, at)]);
                return Ok(());
            }
            End::Bad(at, reason) => return Err(Error::Format { name, at, reason }),
            _ if !self.rules.load_truncated => return Err(Error::Short { name, at }),
            _ if !is_last => return Err(Error::NotLast { name, at }),
            end => {
                if matches!(end, End::Multi(_)) {
                    log.push(format!("Revert incomplete MULTI/EXEC transaction in AOF file {shown}"));
                }
                log.push(format!("!!! Warning: short read while loading the AOF file {shown}!!!"));
                log.push(format!("!!! Truncating the AOF {shown} at offset {at} !!!"));
                log.push(format!("AOF {shown} loaded anyway because aof-load-truncated is enabled"));
            }
        }
        let end = if log.is_empty() { listed.size } else { at };
        self.piece(file, Content::Plain, from..end);
        self.cut(file, end, log);
        Ok(())
    }

    fn scan_plain(&self, file: usize, from: u64) -> io::Result<Plain> {
        let mut window = Window::new((self.open)(&self.files[file].entry)?, WINDOW_BYTES)?;
        window.go(from);
        scan_plain(&mut window, PlainOptions { until: self.rules.until, end: None })
    }

    /// The segments of one run.
    fn log_run(&mut self, range: Range<usize>, is_last: bool) -> Result<(), Error> {
        let mut chains = self.chains(range.clone())?;
        let open = |file: usize| (self.open)(&self.files[file].entry);
        let read_error = |file: usize, error| self.files[file].read_error(error);
        let opened = transactions::read(&mut chains, &open, read_error, |chain, stop| {
            self.judge(chain, stop, range.end, is_last)
        })?;
        self.holds |= chains.iter().any(|chain| chain.holds);
        self.later = later::of_run(&chains);
        // What is later goes, in this run and behind it.
        let is_last = is_last || self.later.is_some();
        let mut log: Vec<Vec<String>> = range.clone().map(|_| Vec::new()).collect();
        for chain in &chains {
            if let Some((segment, _)) = chain.later {
                let Link { file, valid, .. } = chain.links[segment];
                log[file - range.start].push(self.later_line(file, valid));
            }
            if let Some(stop) = &chain.stop
                && !self.is_appended(chain, stop, range.end)
            {
                let file = chain.links[stop.segment].file;
                let name = self.files[file].entry.name.display();
                let known = match stop.proof {
                    Some(_) => "what follows was on stable storage, and is lost",
                    None => "nothing from there on was on stable storage",
                };
                let what = format!("{}, and {known}", stop.torn);
                log[file - range.start]
                    .push(format!("Truncating the AOF {name} at offset {}: {what}", stop.at));
            }
        }
        let missing =
            if self.rules.cuts_transactions { transactions::cut(&mut chains, opened) } else { Vec::new() };
        for cut in missing {
            let listed = &self.files[cut.file];
            let (coordinator, number) = cut.id;
            let what = format!("transaction {coordinator}.{number} has no part on shard {}", cut.lacks);
            if !is_last {
                return Err(listed.damaged(cut.at, what));
            }
            let name = listed.entry.name.display();
            log[cut.file - range.start]
                .push(format!("Truncating the AOF {name} at offset {}: {what}", cut.at));
        }
        self.take_over(range, &chains, is_last, log)
    }

    /// The logs of a run, one for each shard that has one.
    fn chains(&self, range: Range<usize>) -> Result<Vec<Chain<S>>, Error> {
        let mut chains: Vec<Chain<S>> = Vec::new();
        let mut of_run = None;
        for file in range {
            let listed = &self.files[file];
            let Kind::Log(segment, first_line) = listed.kind else { continue };
            let shards = *of_run.get_or_insert(segment.shards);
            if shards != segment.shards {
                return Err(listed.damaged(0, format!("it is of {} shards, not of {shards}", segment.shards)));
            }
            let link = Link { file, first_line, valid: 0 };
            match chains.iter_mut().find(|chain| chain.identity == segment) {
                Some(chain) => chain.links.push(link),
                None => {
                    let room = if shards > MANY_SHARDS { SMALL_WINDOW_BYTES } else { WINDOW_BYTES };
                    chains.push(Chain::new(segment, vec![link], room, self.rules.until));
                }
            }
        }
        Ok(chains)
    }

    /// Whether what reading stopped at is an error.
    fn judge(&self, chain: &Chain<S>, stop: &chain::Stop, end: usize, is_last: bool) -> Result<(), Error> {
        if self.is_appended(chain, stop, end) {
            return Ok(());
        }
        let listed = &self.files[chain.links[stop.segment].file];
        if let Some((segment, at)) = stop.proof
            && !(is_last && self.rules.keeps_the_undamaged)
        {
            let proof = self.files[chain.links[segment].file].entry.name.display();
            let how = format!("the frame at offset {at} of {proof} shows that it was on stable storage");
            return Err(listed.damaged(stop.at, format!("{}, but {how}", stop.torn)));
        }
        if !is_last {
            return Err(listed.damaged(stop.at, format!("{}, although its run was recovered", stop.torn)));
        }
        Ok(())
    }

    /// Whether Redis has appended to the last segment of a run, which ends before file `end`.
    fn is_appended(&self, chain: &Chain<S>, stop: &chain::Stop, end: usize) -> bool {
        /// What Redis appends first, but for the time.
        const SELECT: &[u8] = b"*2\r\n$6\r\nSELECT\r\n";
        let link = &chain.links[stop.segment];
        if !matches!(stop.first_byte, Some(b'*' | b'#')) || link.file + 1 != end || stop.proof.is_some() {
            return false;
        }
        let selects = || -> io::Result<bool> {
            let mut window = Window::new((self.open)(&self.files[link.file].entry)?, LINE_MAX)?;
            window.go(stop.at);
            let ahead = window.ahead(LINE_MAX)?;
            let time = if ahead.starts_with(b"#TS:") { frame::line(ahead).map_or(0, <[u8]>::len) } else { 0 };
            Ok(ahead[time..].starts_with(SELECT))
        };
        let is_plain =
            || Ok::<_, io::Error>(!matches!(self.scan_plain(link.file, stop.at)?.end, End::Bad(..)));
        selects().unwrap_or(false) && is_plain().unwrap_or(false)
    }

    /// Makes pieces and cuts of what was read of a run.
    fn take_over(
        &mut self,
        range: Range<usize>,
        chains: &[Chain<S>],
        is_last: bool,
        mut log: Vec<Vec<String>>,
    ) -> Result<(), Error> {
        let mut valid: Vec<Option<(Segment, u64)>> = range.clone().map(|_| None).collect();
        let mut reseals: Vec<Option<Reseal>> = range.clone().map(|_| None).collect();
        let mut appended = None;
        for chain in chains {
            for link in &chain.links {
                valid[link.file - range.start] = Some((chain.identity, link.valid));
            }
            if let (Some((segment, _)), Some(reseal)) = (chain.later, chain.reseal) {
                reseals[chain.links[segment].file - range.start] = Some(reseal);
            }
            if let Some(stop) = &chain.stop
                && self.is_appended(chain, stop, range.end)
                && chain.links[stop.segment].valid == stop.at
            {
                appended = Some((chain.links[stop.segment].file, stop.at));
            }
        }
        for file in range.clone() {
            let Some((segment, valid)) = valid[file - range.start] else { continue };
            if valid > 0 {
                self.piece(file, Content::Log(segment), 0..valid);
            }
        }
        if let (Some((file, from)), Some(_)) = (appended, self.later) {
            self.goes_as_a_whole(file, from)?;
            appended = None;
        }
        if let Some((file, from)) = appended {
            self.plain(file, from, is_last)?;
        }
        for file in range.clone().rev() {
            let size = self.files[file].size;
            match valid[file - range.start] {
                None => self.unused(file, is_last)?,
                Some(_) if appended.is_some_and(|(other, _)| other == file) => {}
                Some((_, valid)) if valid < size && !is_last => {
                    return Err(self.files[file].damaged(valid, "zeroes, although its run was recovered"));
                }
                Some((_, valid)) => {
                    let at = file - range.start;
                    self.cut_within(file, valid, reseals[at], std::mem::take(&mut log[at]));
                }
            }
        }
        Ok(())
    }
}
