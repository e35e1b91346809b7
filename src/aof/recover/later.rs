//! What is later than a time, and how a folder is cut in front of it.
//!
//! A log that notes times (`aof-timestamp-enabled`) begins each second, and each run and each segment after a rewrite, with an
//! annotation. Each log of a run is cut in front of the first one with a time after the one asked for. It stands
//! between two units, which may be in the same frame: then the frame is sealed anew and keeps what is in front of it. Logs
//! note the time each by itself, so the parts of a transaction may have different ones. It stays if all of its parts do;
//! otherwise logs are cut in front of its parts, as after a crash. So nothing later than the time stays, and what stays is
//! the data of one moment; what is behind such a part goes, although it may be a little earlier.
//!
//! Whatever follows the first run or file of which something is later has to go as a whole, and may only if it begins with
//! something later as well. A folder of which nothing is known to be earlier is left alone: its base, which tells no time,
//! may be later, too.

use std::io;
use std::ops::Range;

use super::chain::Chain;
use super::window::Source;
use super::{Cut, End, Entry, Error, Kind, Planner};

/// Where the first thing of a run that is later was found: which file, and the offset.
pub(super) fn of_run<S>(chains: &[Chain<S>]) -> Option<(usize, u64)> {
    let places =
        chains.iter().filter_map(|chain| chain.later.map(|(at, offset)| (chain.links[at].file, offset)));
    places.min()
}

impl<S: Source, O: Fn(&Entry) -> io::Result<S>> Planner<'_, O> {
    /// Cuts off all files from `next` on, which follow something later.
    pub(super) fn end_before(&mut self, file: usize, next: usize) -> Result<(), Error> {
        if !self.holds {
            let name = self.files[file].entry.name.clone();
            return Err(Error::NothingBefore { name, until: self.rules.until.unwrap_or_default() });
        }
        let mut from = next;
        while let Some(first) = self.files.get(from) {
            let mut len = 1;
            match first.run() {
                Some(run) => {
                    let of_run = |file: &&super::Listed| file.run() == Some(run);
                    len = self.files[from..].iter().take_while(of_run).count();
                    self.run_goes_as_a_whole(from..from + len)?;
                }
                None => self.goes_as_a_whole(from, 0)?,
            }
            from += len;
        }
        // The last ones first: what is left is always a folder whose last run ends somewhere.
        let mut cuts = Vec::new();
        for listed in self.files[next..].iter().rev().filter(|listed| listed.size > 0) {
            let log = vec![format!("Emptying the AOF {}: it is later", listed.entry.name.display())];
            cuts.push(Cut { entry: listed.entry.clone(), at: 0, size: listed.size, reseal: None, log });
        }
        cuts.append(&mut self.plan.cuts);
        self.plan.cuts = cuts;
        self.plan.later = true;
        Ok(())
    }

    /// Commands of Redis that follow something later.
    pub(super) fn goes_as_a_whole(&self, file: usize, from: u64) -> Result<(), Error> {
        let listed = &self.files[file];
        let goes = match listed.kind {
            Kind::Unused => true,
            _ => {
                let plain = self.scan_plain(file, from).map_err(|error| listed.read_error(error))?;
                plain.valid == from && matches!(plain.end, End::Later(_))
            }
        };
        if goes { Ok(()) } else { Err(self.earlier_follows()) }
    }

    /// Logs of a run that follow something later.
    fn run_goes_as_a_whole(&self, range: Range<usize>) -> Result<(), Error> {
        let open = |file: usize| (self.open)(&self.files[file].entry);
        for mut chain in self.chains(range.clone())? {
            while !chain.ended && !chain.holds {
                let first = &self.files[chain.links[0].file];
                chain.next(&open).map_err(|error| first.read_error(error))?;
            }
            if chain.holds {
                return Err(self.earlier_follows());
            }
            if let Some(stop) = &chain.stop
                && self.is_appended(&chain, stop, range.end)
            {
                self.goes_as_a_whole(chain.links[stop.segment].file, stop.at)?;
            }
        }
        Ok(())
    }

    fn earlier_follows(&self) -> Error {
        let (file, at) = self.later.unwrap_or_default();
        let name = self.files[file].entry.name.clone();
        Error::EarlierFollows { name, at, until: self.rules.until.unwrap_or_default() }
    }

    /// What to log of a cut in front of something later.
    pub(super) fn later_line(&self, file: usize, at: u64) -> String {
        let name = self.files[file].entry.name.display();
        format!("Truncating the AOF {name} at offset {at}: what follows is later")
    }
}
