//! The table of configuration parameters and what one row of it can do.
//!
//! Everything about a parameter stands in its row: name, aliases, kind, default, flags, the field of [`Config`]
//! that holds it, and a line of documentation. `redis.conf`, the command line, `CONFIG GET`, `SET` and
//! `REWRITE`, the defaults and the printed reference are derived from the rows.
//!
//! Rows with a field have an effect (`effective.rs`). Rows without one (`accepted.rs`) are Redis parameters that
//! have none here: their values are checked and kept as text in `Config`, so that tools can set and read them.
//! Invariant: a row's default is what its own parser and printer make of it, so kept values that equal the
//! default need not be stored.

mod accepted;
mod check;
mod effective;
mod special;

use std::sync::OnceLock;

use ahash::AHashMap;
use bitflags::bitflags;

use super::Config;
use super::types::Reason;
use super::value::{memory_with_unit, octal, quoted, yes_or_no};
use crate::base::number::{parse_i64, parse_memory};

bitflags! {
    /// What is special about a parameter.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Flags: u8 {
        /// Cannot be changed while the server runs.
        const FIXED = 1;
        /// Can be changed while the server runs only if `enable-protected-configs` allows it.
        const PROTECTED = 1 << 1;
        /// `CONFIG GET` shows it only by its exact name.
        const HIDDEN = 1 << 2;
        /// A secret: not to be shown in logs, the slow log or `MONITOR`.
        const SENSITIVE = 1 << 3;
        /// Takes several words.
        const MULTI = 1 << 4;
        /// Cannot be changed while a data set is being loaded.
        const NOT_LOADING = 1 << 5;
    }
}

/// Where a value of type `T` lives.
pub enum Place<T> {
    /// In a field of [`Config`], because something acts on it.
    Field {
        /// Reads the field.
        get: fn(&Config) -> T,
        /// Writes the field.
        set: fn(&mut Config, T),
    },
    /// Among the texts that are only kept.
    Kept,
}

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// As a decimal number.
    Plain,
    /// As an octal number (file modes).
    Octal,
    /// As a memory size in bytes.
    Memory,
    /// As a memory size in bytes, or a percentage, which is held as a negative number.
    MemoryOrPercent,
}

/// The kind of a parameter: how words become its value and where that is put.
pub enum Kind {
    /// `yes` or `no`.
    YesNo {
        /// Refuses values that cannot be had.
        check: fn(bool) -> Result<(), Reason>,
        /// Where it is put.
        place: Place<bool>,
    },
    /// An integer within bounds.
    Number {
        /// How it is written.
        unit: Unit,
        /// Smallest value.
        min: i128,
        /// Largest value.
        max: i128,
        /// Where it is put.
        place: Place<i128>,
    },
    /// One of several words; the value is its position.
    Choice {
        /// The words.
        names: &'static [&'static str],
        /// Where it is put.
        place: Place<usize>,
    },
    /// Any bytes.
    Text {
        /// Refuses values that make no sense.
        check: fn(&[u8]) -> Result<(), Reason>,
        /// Where it is put.
        place: Place<Vec<u8>>,
    },
    /// A grammar of its own.
    Special {
        /// Reads the words into the configuration.
        set: SetWords,
        /// Shows the value, words separated by one blank.
        show: fn(&Config) -> Vec<u8>,
    },
    /// A grammar of its own, whose value is only kept.
    SpecialKept {
        /// Checks the words and makes one text of them.
        canonical: Canonical,
    },
}

/// Reads words into the configuration.
pub type SetWords = fn(&mut Config, &[Vec<u8>], Mode) -> Result<(), Reason>;
/// Checks words and makes one text of them.
pub type Canonical = fn(&[Vec<u8>]) -> Result<Vec<u8>, Reason>;

/// What a line of configuration does to the value that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Replaces it.
    Replace,
    /// Adds to it, if the parameter is one that adds up (`save` lines of one file).
    Append,
}

/// One row of the table.
pub struct Parameter {
    /// Name, lower case.
    pub name: &'static str,
    /// Other names for it, mostly from before replicas were called so.
    pub aliases: &'static [&'static str],
    /// Kind and place.
    pub kind: Kind,
    /// Default, as `CONFIG GET` shows it.
    pub default: &'static str,
    /// Flags.
    pub flags: Flags,
    doc: &'static str,
}

/// Makes the rows of a table out of lines of the form
/// `/// doc` `"name" | "alias": kind(arguments) = "default", FLAG => field;`. A row without field is kept only.
macro_rules! rows {
    ($($(#[doc = $doc:literal])+ $name:literal $(| $alias:literal)* : $kind:ident $(($($arg:tt)*))?
        = $default:literal $(, $flag:ident)* $(=> $field:ident)? ;)+) => {
        &[$($crate::config::table::Parameter {
            name: $name,
            aliases: &[$($alias),*],
            kind: $crate::config::table::kind!($kind ($($($arg)*)?) $($field)?),
            default: $default,
            flags: $crate::config::table::Flags::empty()$(.union($crate::config::table::Flags::$flag))*,
            doc: concat!($($doc),+),
        }),+]
    };
}

/// The [`Kind`] for one row.
macro_rules! kind {
    (yes_no () $($field:ident)?) => { $crate::config::table::kind!(yes_no (|_| Ok(())) $($field)?) };
    (yes_no ($check:expr)) => { Kind::YesNo { check: $check, place: Place::Kept } };
    (yes_no ($check:expr) $field:ident) => {
        Kind::YesNo {
            check: $check,
            place: Place::Field { get: |config| config.$field, set: |config, value| config.$field = value },
        }
    };
    (number ($min:expr, $max:expr) $($field:ident)?) => {
        $crate::config::table::kind!(@number Plain $min, $max $(, $field)?)
    };
    (octal ($min:expr, $max:expr) $($field:ident)?) => {
        $crate::config::table::kind!(@number Octal $min, $max $(, $field)?)
    };
    (memory ($min:expr, $max:expr) $($field:ident)?) => {
        $crate::config::table::kind!(@number Memory $min, $max $(, $field)?)
    };
    (memory_or_percent ($min:expr, $max:expr)) => {
        $crate::config::table::kind!(@number MemoryOrPercent $min, $max)
    };
    (@number $unit:ident $min:expr, $max:expr) => {
        Kind::Number { unit: Unit::$unit, min: $min as i128, max: $max as i128, place: Place::Kept }
    };
    (@number $unit:ident $min:expr, $max:expr, $field:ident) => {
        Kind::Number {
            unit: Unit::$unit,
            min: $min as i128,
            max: $max as i128,
            // The bounds lie within the field's type: a test stores both.
            place: Place::Field {
                get: |config| config.$field as i128,
                set: |config, value| config.$field = value as _,
            },
        }
    };
    (choice ($($name:literal),+)) => { Kind::Choice { names: &[$($name),+], place: Place::Kept } };
    (choice ($choices:ident) $field:ident) => {
        Kind::Choice {
            names: $choices::NAMES,
            place: Place::Field {
                get: |config| config.$field as usize,
                set: |config, index| config.$field = $choices::ALL[index],
            },
        }
    };
    (text () $($field:ident)?) => { $crate::config::table::kind!(text (|_| Ok(())) $($field)?) };
    (text ($check:expr)) => { Kind::Text { check: $check, place: Place::Kept } };
    (text ($check:expr) $field:ident) => {
        Kind::Text {
            check: $check,
            place: Place::Field { get: |config| config.$field.clone(), set: |config, text| config.$field = text },
        }
    };
    (path () $field:ident) => { $crate::config::table::kind!(path (|_| Ok(())) $field) };
    (path ($check:expr) $field:ident) => {
        Kind::Text {
            check: $check,
            place: Place::Field {
                get: |config| config.$field.as_os_str().as_bytes().to_vec(),
                set: |config, text| config.$field = OsString::from_vec(text).into(),
            },
        }
    };
    (special ($module:ident)) => { Kind::Special { set: special::$module::set, show: special::$module::show } };
    (kept ($canonical:path)) => { Kind::SpecialKept { canonical: $canonical } };
}
use {kind, rows};

/// All parameters, those with an effect first.
pub fn parameters() -> impl Iterator<Item = &'static Parameter> {
    effective::PARAMETERS.iter().chain(accepted::PARAMETERS)
}

/// The parameter with this name or alias, whatever the case.
pub fn find(name: &[u8]) -> Option<&'static Parameter> {
    static BY_NAME: OnceLock<AHashMap<&'static [u8], &'static Parameter>> = OnceLock::new();
    let by_name = BY_NAME.get_or_init(|| {
        parameters().flat_map(|row| row.names().map(move |name| (name.as_bytes(), row))).collect()
    });
    by_name.get(name.to_ascii_lowercase().as_slice()).copied()
}

impl Parameter {
    /// Name and aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// What it is for, in one line.
    pub fn doc(&self) -> &'static str {
        self.doc.trim()
    }

    /// Whether anything acts on the value; if not, it is only kept.
    pub fn has_effect(&self) -> bool {
        match &self.kind {
            Kind::YesNo { place, .. } => !matches!(place, Place::Kept),
            Kind::Number { place, .. } => !matches!(place, Place::Kept),
            Kind::Choice { place, .. } => !matches!(place, Place::Kept),
            Kind::Text { place, .. } => !matches!(place, Place::Kept),
            Kind::Special { .. } => true,
            Kind::SpecialKept { .. } => false,
        }
    }

    /// The value, as `CONFIG GET` shows it.
    pub fn show(&self, config: &Config) -> Vec<u8> {
        match &self.kind {
            Kind::YesNo { place, .. } => self.read(config, place, show_yes_no),
            Kind::Number { unit, place, .. } => self.read(config, place, |value| show_number(*unit, value)),
            Kind::Choice { names, place } => self.read(config, place, |index| names[index].into()),
            Kind::Text { place, .. } => self.read(config, place, |text| text),
            Kind::Special { show, .. } => show(config),
            Kind::SpecialKept { .. } => self.kept(config),
        }
    }

    /// Whether the value is the default. `dir` never is: it is held as an absolute path, so that a rewritten file
    /// names it wherever the server is started next.
    pub fn is_default(&self, config: &Config) -> bool {
        self.show(config) == self.default.as_bytes()
    }

    /// The line of `redis.conf` that sets the value.
    pub(super) fn line(&self, config: &Config) -> Vec<u8> {
        let value = self.show(config);
        let value = match &self.kind {
            Kind::Text { .. } => quoted(&value),
            Kind::Number { unit: Unit::Memory | Unit::MemoryOrPercent, .. } => with_unit(value),
            _ if value.is_empty() => b"\"\"".to_vec(),
            Kind::Special { .. } if !self.flags.contains(Flags::MULTI) => quoted(&value),
            _ => value,
        };
        [self.name.as_bytes(), b" ", &value].concat()
    }

    /// Reads the value from words and puts it where it belongs. On an error nothing has changed.
    pub(super) fn set(&self, config: &mut Config, args: &[Vec<u8>], mode: Mode) -> Result<(), Reason> {
        match &self.kind {
            Kind::YesNo { check, place } => {
                let value = yes_or_no(single(args)?).ok_or("argument must be 'yes' or 'no'")?;
                check(value)?;
                self.write(config, place, value, show_yes_no);
            }
            Kind::Number { unit, min, max, place } => {
                let value = read_number(*unit, *min, *max, single(args)?)?;
                self.write(config, place, value, |value| show_number(*unit, value));
            }
            Kind::Choice { names, place } => {
                let word = single(args)?;
                let index = names.iter().position(|name| word.eq_ignore_ascii_case(name.as_bytes()));
                self.write(config, place, index.ok_or_else(|| must_be_one_of(names))?, |index| {
                    names[index].into()
                });
            }
            Kind::Text { check, place } => {
                let text = single(args)?;
                check(text)?;
                self.write(config, place, text.to_vec(), |text| text);
            }
            Kind::Special { set, .. } => set(config, args, mode)?,
            Kind::SpecialKept { canonical } => {
                let text = canonical(args)?;
                self.keep(config, text);
            }
        }
        Ok(())
    }

    /// Sets the default.
    pub(super) fn set_default(&self, config: &mut Config) {
        let args = match self.flags.contains(Flags::MULTI) {
            true => self.default.split(' ').map(|word| word.as_bytes().to_vec()).collect(),
            false => vec![self.default.as_bytes().to_vec()],
        };
        self.set(config, &args, Mode::Replace).expect("every default is a value: a test walks the table");
    }

    fn read<T>(&self, config: &Config, place: &Place<T>, show: impl Fn(T) -> Vec<u8>) -> Vec<u8> {
        match place {
            Place::Field { get, .. } => show(get(config)),
            Place::Kept => self.kept(config),
        }
    }

    fn write<T>(&self, config: &mut Config, place: &Place<T>, value: T, show: impl Fn(T) -> Vec<u8>) {
        match place {
            Place::Field { set, .. } => set(config, value),
            Place::Kept => self.keep(config, show(value)),
        }
    }

    fn kept(&self, config: &Config) -> Vec<u8> {
        config.kept.get(self.name).cloned().unwrap_or_else(|| self.default.into())
    }

    fn keep(&self, config: &mut Config, text: Vec<u8>) {
        match text == self.default.as_bytes() {
            true => config.kept.remove(self.name),
            false => config.kept.insert(self.name, text),
        };
    }
}

/// Redis's message for a word that is none of `names`.
fn must_be_one_of(names: &[&str]) -> Reason {
    format!("argument(s) must be one of the following: {}", names.join(", ")).into()
}

fn single(args: &[Vec<u8>]) -> Result<&[u8], Reason> {
    match args {
        [only] => Ok(only),
        _ => Err("wrong number of arguments".into()),
    }
}

fn show_yes_no(value: bool) -> Vec<u8> {
    if value { b"yes".to_vec() } else { b"no".to_vec() }
}

fn show_number(unit: Unit, value: i128) -> Vec<u8> {
    match unit {
        Unit::Octal => format!("{value:o}").into_bytes(),
        Unit::MemoryOrPercent if value < 0 => format!("{}%", -value).into_bytes(),
        _ => value.to_string().into_bytes(),
    }
}

fn with_unit(shown: Vec<u8>) -> Vec<u8> {
    match parse_memory(&shown) {
        Some(bytes) => memory_with_unit(i128::from(bytes)).into_bytes(),
        None => shown,
    }
}

fn read_number(unit: Unit, min: i128, max: i128, word: &[u8]) -> Result<i128, Reason> {
    let (value, complaint) = match unit {
        Unit::Plain => (parse_i64(word).map(i128::from), "argument couldn't be parsed into an integer"),
        Unit::Octal => (octal(word), "argument couldn't be parsed as an octal number"),
        Unit::Memory => (parse_memory(word).map(i128::from), "argument must be a memory value"),
        Unit::MemoryOrPercent => (
            parse_memory(word).map(i128::from).or_else(|| percent(word)),
            "argument must be a memory or percent value",
        ),
    };
    let value = value.ok_or(complaint)?;
    match unit {
        _ if (min..=max).contains(&value) => Ok(value),
        Unit::MemoryOrPercent if value < 0 => {
            Err(format!("percentage argument must be less or equal to {}", -min).into())
        }
        Unit::Octal => Err(format!("argument must be between {min:o} and {max:o} inclusive").into()),
        _ => Err(format!("argument must be between {min} and {max} inclusive").into()),
    }
}

fn percent(word: &[u8]) -> Option<i128> {
    parse_i64(word.strip_suffix(b"%")?).filter(|value| *value >= 0).map(|value| -i128::from(value))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_lower_case() {
        let mut names = BTreeSet::new();
        for name in parameters().flat_map(Parameter::names) {
            assert!(names.insert(name), "{name}");
            assert_eq!(name, name.to_ascii_lowercase());
            assert!(find(name.to_ascii_uppercase().as_bytes()).is_some());
        }
    }

    #[test]
    fn defaults_and_their_lines_round_trip() {
        let default = Config::default();
        assert!(default.kept.is_empty());
        for row in parameters() {
            assert_eq!(row.is_default(&default), row.name != "dir", "{}", row.name);
            assert!(!row.doc().is_empty(), "{}", row.name);
            let line = crate::config::file::split_line(&row.line(&default)).unwrap();
            let mut again = Config::default();
            crate::config::file::set_from_line(&mut again, row, &line[1..], Mode::Replace).unwrap();
            assert_eq!(again, default, "{}", row.name);
        }
    }

    #[test]
    fn redis_parameters_and_defaults_are_all_there() {
        let mut own: BTreeSet<&str> = parameters().flat_map(Parameter::names).collect();
        assert!(own.remove("dir"), "its default depends on where the server is started");
        let default = Config::default();
        for line in include_str!("table/redis_7_4_defaults.txt").lines() {
            let (name, value) = line.split_once('\t').unwrap();
            assert!(own.remove(name), "{name} is missing");
            assert_eq!(find(name.as_bytes()).unwrap().show(&default), value.as_bytes(), "{name}");
        }
        let corelane = [
            "aof-dir",
            "aof-direct-io",
            "aof-segment-size",
            "aof-sync-interval-ms",
            "aof-sync-method",
            "aof-unsynced-max-bytes",
            "aof-writes-in-flight",
            "busy-poll-us",
            "core-list",
            "shards",
        ];
        assert_eq!(own.into_iter().collect::<Vec<_>>(), corelane);
    }

    #[test]
    fn fields_hold_every_number_within_bounds() {
        for row in parameters() {
            let Kind::Number { unit, min, max, .. } = &row.kind else { continue };
            let smallest = if *unit == Unit::MemoryOrPercent { 0 } else { *min };
            for number in [smallest, *max] {
                let mut config = Config::default();
                row.set(&mut config, &[show_number(*unit, number)], Mode::Replace).unwrap();
                assert_eq!(row.show(&config), show_number(*unit, number), "{}", row.name);
            }
            // Larger sizes than 64 bits hold count as the largest.
            let too_large = if *max == i128::from(u64::MAX) { min - 1 } else { max + 1 };
            for number in [min - 1, too_large] {
                let set = row.set(&mut Config::default(), &[show_number(*unit, number)], Mode::Replace);
                assert!(set.is_err(), "{} {number}", row.name);
            }
        }
    }

    #[test]
    fn every_choice_can_be_made() {
        for row in parameters() {
            let Kind::Choice { names, .. } = &row.kind else { continue };
            for name in *names {
                let mut config = Config::default();
                row.set(&mut config, &[name.to_ascii_uppercase().into_bytes()], Mode::Replace).unwrap();
                assert_eq!(row.show(&config), name.as_bytes(), "{}", row.name);
            }
        }
    }

    #[test]
    fn values_that_would_mislead_are_refused() {
        for (name, value) in [
            ("daemonize", "yes"),
            ("aclfile", "users.acl"),
            ("activedefrag", "yes"),
            ("dbfilename", "a/b"),
            ("appenddirname", ""),
            ("cluster-announce-hostname", "a_b"),
            ("proc-title-template", "a {nothing}"),
            ("proc-title-template", "{title}"),
            ("proc-title-template", "{port"),
            ("dir", "/etc/passwd"),
            ("oom-score-adj-values", "1 2"),
            ("shutdown-on-sigint", "save nosave"),
        ] {
            let row = find(name.as_bytes()).unwrap();
            let args: Vec<_> = value.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            let mut config = Config::default();
            assert!(row.set(&mut config, &args, Mode::Replace).is_err(), "{name} {value}");
            assert_eq!(config, Config::default());
        }
    }
}
