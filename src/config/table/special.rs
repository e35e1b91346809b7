//! Parameters with a grammar of their own: how their words are read and how they are shown.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::{Mode, must_be_one_of, single};
use crate::base::event_classes::EventClasses;
use crate::base::number::parse_f64;
use crate::config::Config;
use crate::config::types::{BusyPoll, CoreList, Reason, SavePoint};
use crate::config::value::{plain_message, words};

/// `bind`: addresses, at most 16.
pub(super) mod bind {
    use super::*;

    pub(in super::super) fn set(config: &mut Config, args: &[Vec<u8>], _: Mode) -> Result<(), Reason> {
        if args.len() > 16 {
            return Err("Too many bind addresses specified.".into());
        }
        config.bind = match args {
            [only] if only.is_empty() => Vec::new(),
            _ => args.iter().map(|address| String::from_utf8_lossy(address).into_owned()).collect(),
        };
        Ok(())
    }

    pub(in super::super) fn show(config: &Config) -> Vec<u8> {
        config.bind.join(" ").into_bytes()
    }
}

/// `save`: pairs of seconds and changes; lines of one file add up.
pub(super) mod save {
    use super::*;

    pub(in super::super) fn set(config: &mut Config, args: &[Vec<u8>], mode: Mode) -> Result<(), Reason> {
        let points = SavePoint::parse_all(args)?;
        if mode == Mode::Replace || points.is_empty() {
            config.save.clear();
        }
        config.save.extend(points);
        Ok(())
    }

    pub(in super::super) fn show(config: &Config) -> Vec<u8> {
        words(config.save.iter().map(|point| format!("{} {}", point.seconds, point.changes))).into_bytes()
    }
}

/// `client-output-buffer-limit`: groups of class, hard limit, soft limit, seconds.
pub(super) mod output_limits {
    use super::*;

    pub(in super::super) fn set(config: &mut Config, args: &[Vec<u8>], _: Mode) -> Result<(), Reason> {
        config.client_output_buffer_limits = config.client_output_buffer_limits.with(args)?;
        Ok(())
    }

    pub(in super::super) fn show(config: &Config) -> Vec<u8> {
        config.client_output_buffer_limits.show().into_bytes()
    }
}

/// `latency-tracking-info-percentiles`: percentiles from 0 to 100.
pub(super) mod percentiles {
    use super::*;

    pub(in super::super) fn set(config: &mut Config, args: &[Vec<u8>], _: Mode) -> Result<(), Reason> {
        let args = if matches!(args, [only] if only.is_empty()) { &[] } else { args };
        config.latency_tracking_info_percentiles =
            args.iter().map(|arg| percentile(arg)).collect::<Result<_, _>>()?;
        Ok(())
    }

    fn percentile(arg: &[u8]) -> Result<f64, Reason> {
        match parse_f64(arg) {
            None => Err("Invalid latency-tracking-info-percentiles parameters".into()),
            Some(number) if (0.0..=100.0).contains(&number) => Ok(number),
            Some(_) => {
                Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".into())
            }
        }
    }

    pub(in super::super) fn show(config: &Config) -> Vec<u8> {
        words(config.latency_tracking_info_percentiles.iter().map(|number| {
            let text = format!("{number:.6}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }))
        .into_bytes()
    }
}

/// `notify-keyspace-events`: letters for classes of events.
pub(super) mod notify {
    use super::*;

    pub(in super::super) fn set(config: &mut Config, args: &[Vec<u8>], _: Mode) -> Result<(), Reason> {
        let classes = EventClasses::parse(single(args)?);
        config.notify_keyspace_events =
            classes.ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?;
        Ok(())
    }

    pub(in super::super) fn show(config: &Config) -> Vec<u8> {
        config.notify_keyspace_events.letters().into_bytes()
    }
}

/// `dir`: a folder, held as an absolute path and checked when it is set.
pub(super) mod dir {
    use super::*;

    pub(in super::super) fn set(config: &mut Config, args: &[Vec<u8>], _: Mode) -> Result<(), Reason> {
        let path = PathBuf::from(std::ffi::OsString::from_vec(single(args)?.to_vec()));
        let path = config.dir.join(path);
        // The trailing dot makes this fail for files and for folders that may not be entered.
        let folder = std::fs::metadata(path.join(".")).and_then(|_| path.canonicalize());
        config.dir = folder.map_err(|error| plain_message(&error))?;
        Ok(())
    }

    pub(in super::super) fn show(config: &Config) -> Vec<u8> {
        config.dir.as_os_str().as_bytes().to_vec()
    }
}

/// `busy-poll-us`: `auto` or microseconds.
pub(super) mod busy_poll {
    use super::*;

    pub(in super::super) fn set(config: &mut Config, args: &[Vec<u8>], _: Mode) -> Result<(), Reason> {
        config.busy_poll = BusyPoll::parse(single(args)?)?;
        Ok(())
    }

    pub(in super::super) fn show(config: &Config) -> Vec<u8> {
        config.busy_poll.show().into_bytes()
    }
}

/// `core-list`: cores as `taskset -c` takes them.
pub(super) mod core_list {
    use super::*;

    pub(in super::super) fn set(config: &mut Config, args: &[Vec<u8>], _: Mode) -> Result<(), Reason> {
        config.core_list = CoreList::parse(single(args)?)?;
        Ok(())
    }

    pub(in super::super) fn show(config: &Config) -> Vec<u8> {
        config.core_list.show().into_bytes()
    }
}

/// `oom-score-adj`: `relative` is another word for `yes`.
pub(super) fn oom_score_adj(args: &[Vec<u8>]) -> Result<Vec<u8>, Reason> {
    match single(args)?.to_ascii_lowercase().as_slice() {
        b"yes" | b"relative" => Ok(b"yes".to_vec()),
        word @ (b"no" | b"absolute") => Ok(word.to_vec()),
        _ => Err(must_be_one_of(&["no", "yes", "relative", "absolute"])),
    }
}

/// `oom-score-adj-values`: three numbers from -2000 to 2000.
pub(super) fn oom_score_adj_values(args: &[Vec<u8>]) -> Result<Vec<u8>, Reason> {
    if args.len() != 3 {
        return Err("wrong number of arguments".into());
    }
    let numbers = args.iter().map(|arg| {
        let number = std::str::from_utf8(arg).ok().and_then(|text| text.parse::<i32>().ok());
        number.filter(|number| (-2000..=2000).contains(number))
    });
    let numbers: Option<Vec<i32>> = numbers.collect();
    let numbers = numbers.ok_or("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")?;
    Ok(words(numbers).into_bytes())
}

/// `replicaof host port` or `replicaof no one`.
pub(super) fn replica_of(args: &[Vec<u8>]) -> Result<Vec<u8>, Reason> {
    match args {
        [only] if only.is_empty() => Ok(Vec::new()),
        [no, one] if no.eq_ignore_ascii_case(b"no") && one.eq_ignore_ascii_case(b"one") => Ok(Vec::new()),
        [host, port] => {
            let number = std::str::from_utf8(port).ok().and_then(|text| text.parse::<u16>().ok());
            let number = number.ok_or("Invalid master port")?;
            Ok([host.as_slice(), b" ", number.to_string().as_bytes()].concat())
        }
        _ => Err("wrong number of arguments".into()),
    }
}

/// `shutdown-on-sigint` and `shutdown-on-sigterm`: a set of words, shown in a fixed order; `default` is none.
pub(super) fn shutdown_options(args: &[Vec<u8>]) -> Result<Vec<u8>, Reason> {
    const NAMES: [&str; 5] = ["default", "save", "nosave", "now", "force"];
    let mut given = [false; NAMES.len()];
    for arg in args {
        let index = NAMES.iter().position(|name| arg.eq_ignore_ascii_case(name.as_bytes()));
        given[index.ok_or_else(|| must_be_one_of(&NAMES))?] = true;
    }
    match given {
        [false, false, false, false, false] => Err(must_be_one_of(&NAMES)),
        [_, true, true, ..] => Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into()),
        [_, false, false, false, false] => Ok(b"default".to_vec()),
        _ => Ok(words((1..NAMES.len()).filter(|i| given[*i]).map(|i| NAMES[i])).into_bytes()),
    }
}
