//! The append-only folder as the server writes it: new segments, ends of old ones, new bases. All of this may take long, and
//! is done by the storage thread.
//!
//! Order on disk: a segment is in the manifest before anything is logged to it; a base takes the place of the segments that it
//! covers in one replacement of the manifest, and only then are they removed. So whatever the instant of a crash, the files that
//! the manifest names hold all that was logged.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::aof::device;
use crate::aof::frame::Segment;
use crate::aof::manifest::{Folder, Format, Manifest};
use crate::runtime::blocks::{BLOCK_BYTES, Blocks};

/// Bytes that are written at a time to make room.
const ZEROES: usize = 1 << 20;

/// See the module.
#[derive(Debug)]
pub struct Store {
    folder: Folder,
    manifest: Manifest,
    /// Bytes of the base.
    base_bytes: u64,
    /// Bytes of the segments that are complete.
    complete: BTreeMap<i64, u64>,
    /// The manifest on disk is that of an earlier time, and stays until there is a new base.
    detached: bool,
    /// Increments of that time.
    former: Vec<i64>,
    /// See [`device::writes_through`].
    writes_through: bool,
}

/// A segment that is ready to be written to.
#[derive(Debug)]
pub struct Prepared {
    /// Its number.
    pub seq: u32,
    /// The file.
    pub file: File,
    /// Bytes that room was made for.
    pub size: u64,
}

impl Store {
    /// A folder with the files that its manifest names. It is created if it is not there.
    ///
    /// # Errors
    /// What the file system says.
    pub fn new(folder: Folder, manifest: Manifest) -> io::Result<Store> {
        folder.create()?;
        let len = |name: &OsString| fs::metadata(folder.path().join(name)).map_or(0, |about| about.len());
        let base_bytes = manifest.base.as_ref().map_or(0, |base| len(&base.name));
        let complete = manifest.increments.iter().map(|entry| (entry.seq, len(&entry.name))).collect();
        let writes_through = device::writes_through(folder.path());
        Ok(Store {
            folder,
            manifest,
            base_bytes,
            complete,
            detached: false,
            former: Vec::new(),
            writes_through,
        })
    }

    /// A folder whose files are all of an earlier time: they are named until a base takes their place, and new segments are
    /// not before that.
    ///
    /// # Errors
    /// As [`Store::new`].
    pub fn detached(folder: Folder, manifest: Manifest) -> io::Result<Store> {
        let mut store = Store::new(folder, manifest)?;
        store.detached = true;
        store.former = store.manifest.increments.iter().map(|entry| entry.seq).collect();
        Ok(store)
    }

    /// Whether the device makes writes durable as a part of them.
    pub fn writes_through(&self) -> bool {
        self.writes_through
    }

    /// Whether the manifest on disk is still that of an earlier time.
    pub fn is_detached(&self) -> bool {
        self.detached
    }

    fn store(&self, manifest: &Manifest) -> io::Result<()> {
        if self.detached { Ok(()) } else { self.folder.store(manifest) }
    }

    /// Takes over a manifest after an attempt to put it on disk. If that failed late it may be there all the same, and after a crash
    /// the one before: then the files of both stay.
    fn adopt(&mut self, manifest: Manifest, stored: io::Result<()>) -> io::Result<()> {
        if stored.is_ok() || self.folder.load().is_ok_and(|there| there == manifest) {
            self.manifest = manifest;
        }
        stored
    }

    /// Makes a segment of `size` bytes with its first line, and a start if it is to be the first of a log, and room for them on the disk; the manifest names it when this returns.
    ///
    /// # Errors
    /// What the file system says; if the manifest names it then, it stays unused.
    pub fn add_segment(
        &mut self,
        identity: Segment,
        start: bool,
        size: u64,
        direct: bool,
    ) -> io::Result<Prepared> {
        self.folder.create()?;
        let mut manifest = self.manifest.clone();
        let entry = manifest.add_increment(self.folder.filename());
        let path = self.folder.file(&entry);
        let made = make_room(&path, identity, start, size).and_then(|()| {
            let file = open(&path, direct)?;
            let seq = entry.seq.try_into().map_err(|_| io::Error::other("too many segments"))?;
            let stored = self.store(&manifest);
            self.adopt(manifest, stored)?;
            Ok(Prepared { seq, file, size })
        });
        if made.is_err() && !self.manifest.increments.contains(&entry) {
            fs::remove_file(&path).ok();
        }
        made
    }

    /// Makes a segment for each of these logs to begin in, as [`Store::add_segment`] does it: all of them or none.
    ///
    /// # Errors
    /// As [`Store::add_segment`].
    pub fn add_segments(&mut self, logs: &[Segment], size: u64, direct: bool) -> io::Result<Vec<Prepared>> {
        let mut made = Vec::new();
        for &log in logs {
            match self.add_segment(log, true, size, direct) {
                Ok(segment) => made.push(segment),
                Err(error) => {
                    // The disk may be full: nothing is left there that nobody uses. What stays all the same does no harm.
                    let unused: Vec<u32> = made.iter().map(|segment| segment.seq).collect();
                    self.drop_segments(&unused).ok();
                    return Err(error);
                }
            }
        }
        Ok(made)
    }

    /// Cuts a segment off at its end, behind which there is nothing but room.
    ///
    /// # Errors
    /// What the file system says.
    pub fn complete(&mut self, seq: u32, end: u64) -> io::Result<()> {
        let Some(entry) = self.manifest.increments.iter().find(|entry| entry.seq == i64::from(seq)) else {
            return Ok(());
        };
        let file = OpenOptions::new().write(true).open(self.folder.file(entry))?;
        file.set_len(end)?;
        file.sync_all()?;
        self.complete.insert(i64::from(seq), end);
        Ok(())
    }

    /// Where a base is written before it has a name.
    pub fn temporary_base(&self) -> PathBuf {
        self.folder.path().join(format!("temp-rewriteaof-bg-{}.aof", std::process::id()))
    }

    /// Puts a base, which is complete and on stable storage, in the place of the present one and of these segments. Their files
    /// are removed unless `keep` is set; then the manifest names them as history.
    ///
    /// # Errors
    /// What the file system says; nothing is removed then.
    pub fn replace_base(
        &mut self,
        written: &Path,
        covered: impl Fn(i64) -> bool,
        keep: bool,
    ) -> io::Result<()> {
        let mut manifest = self.manifest.clone();
        let former = self.former.clone();
        let is_covered = |seq: i64| covered(seq) || former.contains(&seq);
        let entry = manifest.replace_base(self.folder.filename(), Format::Rdb, is_covered);
        fs::rename(written, self.folder.file(&entry))?;
        let stored = self.folder.store(&manifest);
        let stored = self.adopt(manifest, stored);
        if self.manifest.base.as_ref() == Some(&entry) {
            self.base_bytes = fs::metadata(self.folder.file(&entry)).map_or(0, |about| about.len());
            self.complete.retain(|seq, _| !is_covered(*seq));
            (self.detached, self.former) = (false, Vec::new());
        }
        stored?;
        if keep { Ok(()) } else { self.remove_history() }
    }

    /// Removes what the manifest names as history.
    ///
    /// # Errors
    /// What the file system says.
    pub fn remove_history(&mut self) -> io::Result<()> {
        self.folder.remove_history(&mut self.manifest)?;
        Ok(())
    }

    /// At a clean stop: cuts the segments in which logs end there, and drops those that nobody has used. Where the end is not known
    /// the segment stays as it is.
    ///
    /// # Errors
    /// What the file system says.
    pub fn finish(&mut self, ends: &[(u32, Option<u64>)]) -> io::Result<()> {
        for (seq, end) in ends {
            if let Some(end) = end {
                self.complete(*seq, *end)?;
            }
        }
        let is_used = |seq: i64| {
            self.complete.get(&seq).is_some_and(|&end| end > 0)
                || ends.iter().any(|(used, end)| end.is_none() && i64::from(*used) == seq)
        };
        let all = self.manifest.increments.iter().map(|entry| entry.seq);
        let unused: Vec<u32> = all.filter(|&seq| !is_used(seq)).map(|seq| seq as u32).collect();
        self.drop_segments(&unused)
    }

    /// Drops segments that hold nothing.
    ///
    /// # Errors
    /// What the file system says.
    pub fn drop_segments(&mut self, empty: &[u32]) -> io::Result<()> {
        let (gone, kept) = std::mem::take(&mut self.manifest.increments)
            .into_iter()
            .partition(|entry| empty.iter().any(|&seq| i64::from(seq) == entry.seq));
        self.manifest.increments = kept;
        self.store(&self.manifest)?;
        let gone: Vec<_> = gone;
        for entry in gone {
            fs::remove_file(self.folder.file(&entry))?;
        }
        Ok(())
    }

    /// Bytes of the base, and of the segments that are complete.
    pub fn bytes(&self) -> (u64, u64) {
        (self.base_bytes, self.complete.values().sum())
    }
}

/// Writes the first line and zeroes, so that what is written there later changes nothing but data: neither size nor extents,
/// which would cost a further write each time it is made stable. Past the page cache if that can be had: the zeroes are not
/// worth a place there, nor the time to copy them.
fn make_room(path: &Path, identity: Segment, start: bool, size: u64) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    let mut file = open(path, true)?;
    let mut first = Vec::new();
    match start {
        true => identity.encode_with_start(0, &mut first),
        false => identity.encode(&mut first),
    }
    let mut left = (size as usize).next_multiple_of(BLOCK_BYTES);
    while left > 0 {
        let mut blocks = Blocks::with_room(left.min(ZEROES));
        blocks.extend(&std::mem::take(&mut first));
        blocks.fill();
        file.write_all(blocks.bytes())?;
        left -= blocks.len();
    }
    file.sync_all()
}

/// Opens a segment to be written, past the page cache if that is wanted and the file system can do it.
fn open(path: &Path, direct: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true);
    if direct && let Ok(file) = options.clone().custom_flags(libc::O_DIRECT).open(path) {
        return Ok(file);
    }
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aof::manifest::FOLDER_SYNCS_FAIL;
    use crate::base::temp_folder::TempFolder;
    use std::ffi::OsStr;

    fn folder(dir: &Path) -> Folder {
        Folder::new(dir, OsStr::new("aof"), OsStr::new("a.aof"))
    }

    #[test]
    fn segments_are_made_for_all_logs_or_for_none() {
        let dir = TempFolder::empty();
        let folder = folder(&dir);
        let mut store = Store::new(folder.clone(), Manifest::default()).unwrap();
        let logs = [0, 1, 2].map(|shard| Segment { run: 1, shard, shards: 3 });
        // A folder is in the way of the third.
        let obstacle = folder.path().join("a.aof.3.incr.aof");
        fs::create_dir(&obstacle).unwrap();
        store.add_segments(&logs, 5000, false).unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "the manifest, and what is in the way");
        assert!(folder.load().unwrap().is_empty());
        fs::remove_dir(&obstacle).unwrap();
        assert_eq!(store.add_segments(&logs, 5000, false).unwrap().len(), 3);
        assert_eq!(folder.load().unwrap().data().count(), 3);
    }

    #[test]
    fn the_files_of_both_manifests_stay_when_it_is_not_known_which_one_a_crash_leaves() {
        let dir = TempFolder::empty();
        let folder = folder(&dir);
        let mut store = Store::new(folder.clone(), Manifest::default()).unwrap();
        let log = Segment { run: 1, shard: 0, shards: 1 };
        let all_there = |manifest: &Manifest| manifest.data().all(|entry| folder.file(entry).exists());
        store.add_segment(log, true, 5000, false).unwrap();
        let before = folder.load().unwrap();
        FOLDER_SYNCS_FAIL.set(true);
        store.add_segment(log, false, 5000, false).unwrap_err();
        assert!(all_there(&before) && all_there(&folder.load().unwrap()));
        fs::write(store.temporary_base(), b"base").unwrap();
        let before = folder.load().unwrap();
        store.replace_base(&store.temporary_base(), |seq| seq == 1, false).unwrap_err();
        assert!(all_there(&before) && all_there(&folder.load().unwrap()));
        assert_eq!(store.bytes(), (4, 0));
        FOLDER_SYNCS_FAIL.set(false);
        assert_eq!(store.add_segment(log, false, 5000, false).unwrap().seq, 3);
        store.remove_history().unwrap();
        let manifest = folder.load().unwrap();
        let names: Vec<_> = manifest.data().map(|entry| entry.name.clone()).collect();
        assert_eq!(names, ["a.aof.1.base.rdb", "a.aof.2.incr.aof", "a.aof.3.incr.aof"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4, "and the manifest");
    }

    #[test]
    fn a_base_takes_the_place_of_what_it_covers() {
        let dir = TempFolder::empty();
        let folder = folder(&dir);
        let mut store = Store::new(folder.clone(), Manifest::default()).unwrap();
        let made: Vec<u32> = (0..4)
            .map(|_| store.add_segment(Segment { run: 1, shard: 0, shards: 1 }, true, 5000, true).unwrap())
            .map(|made| made.seq)
            .collect();
        assert_eq!(made, [1, 2, 3, 4]);
        for seq in [1, 3] {
            store.complete(seq, 10 + u64::from(seq)).unwrap();
        }
        assert_eq!(store.bytes(), (0, 24));
        fs::write(store.temporary_base(), b"base").unwrap();
        store.replace_base(&store.temporary_base(), |seq| [1, 3].contains(&seq), false).unwrap();
        assert_eq!(store.bytes(), (4, 0));
        store.drop_segments(&[4]).unwrap();
        let manifest = folder.load().unwrap();
        let names: Vec<_> = manifest.data().map(|entry| entry.name.clone()).collect();
        assert_eq!(names, ["a.aof.1.base.rdb", "a.aof.2.incr.aof"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "and the manifest");
    }
}
