//! Append-only files: folders with a manifest, and single files, of Redis and of Corelane.
//!
//! Files of Redis are checked one by one, as `redis-check-aof` does: only the last one may be cut. Logs of Corelane are
//! checked together, with the rules by which the server recovers them ([`corelane::aof::recover`]). What the server cuts off
//! by itself when it starts (room that was not used, transactions that were not completed, what was being written) is not
//! valid here, because Redis does not load it; after `--fix` it does. Logs that are cut at a time are cut by the same rules, and
//! that is cut off as well.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use corelane::aof::frame::{LINE_MAX, Opening, Segment};
use corelane::aof::manifest::{self, Entry, Folder, LoadError, Manifest};
use corelane::aof::recover::{self, Cut, End, PlainOptions, Plan, Rules, Source, WINDOW_BYTES, Window};

use crate::input::{self, Input};
use crate::{AofArgs, Failure, rdb};

/// What became of a file.
enum Outcome {
    Valid,
    Empty,
    Truncated,
    TruncatedTo(i64),
}

impl Outcome {
    fn print(&self, kind: &str, name: &Path) {
        let name = name.display();
        match self {
            Outcome::Valid => println!("{kind} {name} is valid"),
            Outcome::Empty => println!("{kind} {name} is empty"),
            Outcome::Truncated => println!("Successfully truncated AOF {name}"),
            Outcome::TruncatedTo(time) => println!("Successfully truncated AOF {name} to timestamp {time}"),
        }
    }
}

/// Checks a folder or a file.
pub(crate) fn check(args: &AofArgs) -> Result<(), Failure> {
    match input::manifest(&args.file)? {
        Some(manifest) => check_folder(&manifest, args),
        None if is_log(&args.file)? => check_log_file(args),
        None => {
            println!("Start checking Old-Style AOF");
            let outcome = check_plain(&args.file, &args.file, true, args)?;
            outcome.print("AOF", &args.file);
            Ok(())
        }
    }
}

/// Whether a file is a segment of a log.
fn is_log(path: &Path) -> Result<bool, Failure> {
    Ok(!matches!(Segment::decode(&beginning(path)?), Opening::Other))
}

fn beginning(path: &Path) -> Result<Vec<u8>, Failure> {
    let input = Input::open(path)?;
    let mut room = vec![0; LINE_MAX];
    let len = input.read_at(&mut room, 0).map_err(|error| unreadable(path, &error))?;
    room.truncate(len);
    Ok(room)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure(format!("Failed to read from AOF {}: {error}, aborting...", path.display()))
}

fn check_folder(path: &Path, args: &AofArgs) -> Result<(), Failure> {
    println!("Start checking Multi Part AOF");
    let manifest = manifest::load(path).map_err(|error| match error {
        LoadError::Bad(bad) => Failure(bad.log_lines().join("")),
        error => Failure(error.to_string()),
    })?;
    let mut logs = false;
    for entry in &manifest.increments {
        logs |= is_log(&path.with_file_name(&entry.name))?;
    }
    let files = manifest.data().count();
    if let Some(base) = &manifest.base {
        let file = path.with_file_name(&base.name);
        let format = if is_rdb(&file)? { "RDB" } else { "RESP" };
        println!("Start to check BASE AOF ({format} format).");
        let outcome = check_plain(&file, Path::new(&base.name), files == 1, args)?;
        outcome.print("BASE AOF", Path::new(&base.name));
    }
    if !manifest.increments.is_empty() {
        println!("Start to check INCR files.");
    }
    if logs {
        check_logs(path, &manifest, args)?;
    } else {
        for (nth, entry) in manifest.increments.iter().enumerate() {
            let file = path.with_file_name(&entry.name);
            let is_last = nth + 1 == manifest.increments.len();
            let outcome = check_plain(&file, Path::new(&entry.name), is_last, args)?;
            outcome.print("INCR AOF", Path::new(&entry.name));
        }
    }
    println!("All AOF files and manifest are valid");
    Ok(())
}

fn is_rdb(path: &Path) -> Result<bool, Failure> {
    Ok(beginning(path)?.starts_with(b"REDIS"))
}

/// Checks a file of Redis, which may begin with an RDB file.
fn check_plain(path: &Path, name: &Path, is_last: bool, args: &AofArgs) -> Result<Outcome, Failure> {
    let shown = name.display();
    let preamble = is_rdb(path)?;
    let input = Input::open(path)?;
    let size = input.size().map_err(|error| unreadable(name, &error))?;
    if size == 0 {
        return Ok(Outcome::Empty);
    }
    let mut start = 0;
    if preamble {
        let Ok(end) = rdb::check_beginning(path, &input)? else {
            return Err(Failure("RDB preamble of AOF file is not sane, aborting.".into()));
        };
        println!("RDB preamble is OK, proceeding with AOF tail...");
        start = end;
    }
    let until = args.truncate_to_timestamp;
    let plain = Window::new(input, WINDOW_BYTES)
        .and_then(|mut window| {
            window.go(start);
            recover::scan_plain(&mut window, PlainOptions { until, end: None })
        })
        .map_err(|error| unreadable(name, &error))?;
    if let (End::Later(at), Some(until)) = (&plain.end, until) {
        return truncate_to(path, name, *at, until, is_last);
    }
    match &plain.end {
        End::Short(at, text) => println!("0x{at:16x}: {text}"),
        End::Multi(at) => println!("0x{at:16x}: Reached EOF before reading EXEC for MULTI"),
        End::Bad(at, text) => {
            println!("AOF {shown} format error");
            println!("0x{at:16x}: {text}");
        }
        End::Complete | End::Later(_) => {}
    }
    let (valid, line, diff) = (plain.valid, plain.line, size - plain.valid);
    if let (Some(until), 0) = (until, diff) {
        println!("Truncate nothing in AOF {shown} to timestamp {until}");
        return Ok(Outcome::Valid);
    }
    println!(
        "AOF analyzed: filename={shown}, size={size}, ok_up_to={valid}, ok_up_to_line={line}, diff={diff}"
    );
    if diff == 0 {
        return Ok(Outcome::Valid);
    }
    if !args.fix {
        return Err(not_valid(name));
    }
    if !is_last {
        return Err(Failure(format!("Failed to truncate AOF {shown} because it is not the last file")));
    }
    println!("This will shrink the AOF {shown} from {size} bytes, with {diff} bytes, to {valid} bytes");
    input::confirm(args.yes)?;
    input::cut(path, |file| file.set_len(valid))?;
    Ok(Outcome::Truncated)
}

fn not_valid(name: &Path) -> Failure {
    Failure(format!("AOF {} is not valid. Use the --fix option to try fixing it.", name.display()))
}

fn truncate_to(path: &Path, name: &Path, at: u64, until: i64, is_last: bool) -> Result<Outcome, Failure> {
    let shown = name.as_os_str().to_owned();
    if at == 0 {
        return Err(Failure(recover::Error::NothingBefore { name: shown, until }.to_string()));
    }
    if !is_last {
        return Err(Failure(recover::Error::EarlierFollows { name: shown, at, until }.to_string()));
    }
    input::cut(path, |file| file.set_len(at))?;
    Ok(Outcome::TruncatedTo(until))
}

/// Checks a single segment. Whether its transactions are complete, only the whole folder tells.
fn check_log_file(args: &AofArgs) -> Result<(), Failure> {
    println!("Start checking a log of Corelane");
    if args.truncate_to_timestamp.is_some() {
        return Err(Failure(
            "A log of Corelane can't be truncated to a timestamp by itself: those of other shards have to end at the same time. \
             Name the manifest file, aborting..."
                .into(),
        ));
    }
    let name = args.file.file_name().unwrap_or_default().to_owned();
    let manifest = Manifest { increments: vec![Entry { name, seq: 1 }], ..Manifest::default() };
    check_increments(&args.file, &manifest, Rules::new(true).without_transactions(), args)
}

/// Checks the increments of a folder some of which are logs.
fn check_logs(path: &Path, manifest: &Manifest, args: &AofArgs) -> Result<(), Failure> {
    let manifest = Manifest { base: None, ..manifest.clone() };
    check_increments(path, &manifest, Rules::new(true), args)
}

/// Checks files in the folder of `path` by the rules of recovery.
fn check_increments(path: &Path, manifest: &Manifest, rules: Rules, args: &AofArgs) -> Result<(), Failure> {
    let until = args.truncate_to_timestamp;
    let rules = until.map_or(rules, |time| rules.until(time));
    let dir = path.parent().unwrap_or(Path::new(""));
    let folder = Folder::new(dir, OsStr::new(""), OsStr::new(""));
    let read = |rules| recover::plan_with(manifest, rules, |entry| Input::try_open(&folder.file(entry)));
    let plan = match read(rules) {
        Ok(plan) => plan,
        Err(error @ (recover::Error::NothingBefore { .. } | recover::Error::EarlierFollows { .. })) => {
            return Err(Failure(error.to_string()));
        }
        Err(error) => {
            tell(&error);
            if !args.fix {
                return Err(not_valid(&name_of(&error)));
            }
            read(rules.keeping_the_undamaged()).map_err(|error| {
                Failure(format!("Failed to truncate AOF {}: {error}", name_of(&error).display()))
            })?
        }
    };
    for entry in &manifest.increments {
        analyze(entry, &plan, until, &folder)?;
    }
    if let (true, Some(until)) = (plan.later, until) {
        return make_cuts(&plan, &Outcome::TruncatedTo(until), &folder);
    }
    if plan.cuts.is_empty() {
        return Ok(());
    }
    if !args.fix {
        let first = plan.cuts.iter().min_by_key(|cut| cut.entry.seq).unwrap_or(&plan.cuts[0]);
        return Err(not_valid(Path::new(&first.entry.name)));
    }
    for Cut { entry, at, size, .. } in &plan.cuts {
        let (name, diff) = (entry.name.display(), size - at);
        println!("This will shrink the AOF {name} from {size} bytes, with {diff} bytes, to {at} bytes");
    }
    input::confirm(args.yes)?;
    make_cuts(&plan, &Outcome::Truncated, &folder)
}

fn make_cuts(plan: &Plan, outcome: &Outcome, folder: &Folder) -> Result<(), Failure> {
    for cut in &plan.cuts {
        input::cut(&folder.file(&cut.entry), |file| cut.make(file))?;
        outcome.print("INCR AOF", Path::new(&cut.entry.name));
    }
    Ok(())
}

/// Prints how much of a file is valid.
fn analyze(entry: &Entry, plan: &Plan, until: Option<i64>, folder: &Folder) -> Result<(), Failure> {
    let name = Path::new(&entry.name);
    let cut = plan.cuts.iter().find(|cut| cut.entry == *entry);
    let size = match cut {
        Some(cut) => cut.size,
        None => Input::open(&folder.file(entry))?.size().map_err(|error| unreadable(name, &error))?,
    };
    let valid = cut.map_or(size, |cut| cut.at);
    cut.iter().flat_map(|cut| &cut.log).for_each(|line| println!("{line}"));
    let (shown, diff) = (name.display(), size - valid);
    match (until, cut) {
        (Some(until), None) => println!("Truncate nothing in AOF {shown} to timestamp {until}"),
        _ => println!("AOF analyzed: filename={shown}, size={size}, ok_up_to={valid}, diff={diff}"),
    }
    match (cut, size) {
        (None, 0) => Outcome::Empty.print("INCR AOF", name),
        (None, _) => Outcome::Valid.print("INCR AOF", name),
        (Some(_), _) => {}
    }
    Ok(())
}

/// Prints what is wrong, and where.
fn tell(error: &recover::Error) {
    use recover::Error;
    match error {
        Error::Damaged { at, reason, .. } => println!("0x{at:16x}: {reason}"),
        Error::Format { at, reason, name } => {
            println!("AOF {} format error", name.display());
            println!("0x{at:16x}: {reason}");
        }
        other => println!("{other}"),
    }
}

fn name_of(error: &recover::Error) -> PathBuf {
    use recover::Error;
    match error {
        Error::Open { name, .. }
        | Error::Read { name, .. }
        | Error::Damaged { name, .. }
        | Error::Format { name, .. }
        | Error::Short { name, .. }
        | Error::NotLast { name, .. }
        | Error::NothingBefore { name, .. }
        | Error::EarlierFollows { name, .. } => name.into(),
    }
}
