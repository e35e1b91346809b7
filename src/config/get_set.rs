//! `CONFIG GET` and `CONFIG SET`, without their effects.

use super::Config;
use super::table::{self, Flags, Mode, Parameter};
use crate::base::glob;
use crate::protocol::Error;

/// What `CONFIG SET` has to know about who asks and when.
#[derive(Debug, Clone, Copy, Default)]
pub struct Caller {
    /// The connection comes from this machine.
    pub local: bool,
    /// A data set is being loaded.
    pub loading: bool,
}

impl Config {
    /// The parameters that any of `patterns` names or matches (globs, any case), with their values, each
    /// once. A name is repeated as it was asked for. Hidden parameters have to be named exactly.
    pub fn get<P: AsRef<[u8]>>(&self, patterns: &[P]) -> Vec<(String, Vec<u8>)> {
        let mut found: Vec<(String, Vec<u8>)> = Vec::new();
        let mut add = |name: &str, parameter: &Parameter| {
            if !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                found.push((name.to_owned(), parameter.show(self)));
            }
        };
        for pattern in patterns.iter().map(AsRef::as_ref) {
            if !pattern.iter().any(|byte| b"[*?".contains(byte)) {
                if let Some(parameter) = table::find(pattern) {
                    add(&String::from_utf8_lossy(pattern), parameter);
                }
                continue;
            }
            for parameter in table::parameters().filter(|row| !row.flags.contains(Flags::HIDDEN)) {
                let names = parameter.names().filter(|name| glob::matches(pattern, name.as_bytes(), true));
                names.for_each(|name| add(name, parameter));
            }
        }
        found
    }

    /// Sets parameters from alternating names and values, all or none: the new configuration, and the names
    /// of the parameters whose values differ. The caller applies the difference, and answers [`set_failed`]
    /// if it cannot.
    pub fn set<A: AsRef<[u8]>>(
        &self,
        pairs: &[A],
        caller: Caller,
    ) -> Result<(Config, Vec<&'static str>), Error> {
        if !pairs.len().is_multiple_of(2) {
            return Err(Error::Syntax);
        }
        let pairs: Vec<(&[u8], &[u8])> =
            pairs.chunks_exact(2).map(|pair| (pair[0].as_ref(), pair[1].as_ref())).collect();
        let parameters = self.settable(&pairs, caller)?;
        let mut config = self.clone();
        for (parameter, (name, value)) in parameters.iter().zip(&pairs) {
            let args = match parameter.flags.contains(Flags::MULTI) {
                true => split_at_blanks(value),
                false => vec![value.to_vec()],
            };
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            parameter.set(&mut config, &args, Mode::Replace).map_err(|reason| set_failed(&name, &reason))?;
        }
        config.settle();
        let mut changed = Vec::new();
        for parameter in parameters {
            if parameter.show(&config) != parameter.show(self) && !changed.contains(&parameter.name) {
                changed.push(parameter.name);
            }
        }
        Ok((config, changed))
    }

    /// The parameters that `pairs` name, if each is known, may be set now by this caller, and comes once.
    fn settable(&self, pairs: &[(&[u8], &[u8])], caller: Caller) -> Result<Vec<&'static Parameter>, Error> {
        let mut parameters: Vec<&'static Parameter> = Vec::with_capacity(pairs.len());
        for (name, _) in pairs {
            let shown = String::from_utf8_lossy(name);
            let Some(parameter) = table::find(name) else {
                return Err(
                    format!("ERR Unknown option or number of arguments for CONFIG SET - '{shown}'").into()
                );
            };
            if parameter.flags.contains(Flags::FIXED) {
                return Err(set_failed(&shown, "can't set immutable config"));
            }
            if parameter.flags.contains(Flags::PROTECTED)
                && !self.enable_protected_configs.permits(caller.local)
            {
                return Err(set_failed(&shown, "can't set protected config"));
            }
            if parameter.flags.contains(Flags::NOT_LOADING) && caller.loading {
                return Err(Error::text("LOADING Redis is loading the dataset in memory"));
            }
            // As in Redis a name and its alias do not clash: the later one counts.
            if pairs[..parameters.len()].iter().any(|(earlier, _)| earlier.eq_ignore_ascii_case(name)) {
                return Err(set_failed(&shown, "duplicate parameter"));
            }
            parameters.push(parameter);
        }
        Ok(parameters)
    }
}

/// The answer to a `CONFIG SET` that failed at `argument`; nothing has changed then.
pub fn set_failed(argument: &str, reason: &str) -> Error {
    format!("ERR CONFIG SET failed (possibly related to argument '{argument}') - {reason}").into()
}

/// Whether the value of this parameter must not be shown (slow log, `MONITOR`, log).
pub fn is_sensitive(name: &[u8]) -> bool {
    table::find(name).is_some_and(|parameter| parameter.flags.contains(Flags::SENSITIVE))
}

/// `CONFIG SET` knows no quotes: every single blank separates.
fn split_at_blanks(value: &[u8]) -> Vec<Vec<u8>> {
    if value.is_empty() {
        return Vec::new();
    }
    value.split(|byte| *byte == b' ').map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(config: &Config, words: &[&str]) -> Result<(Config, Vec<&'static str>), String> {
        config.set(words, Caller::default()).map_err(|error| error.to_string())
    }

    fn value(config: &Config, name: &str) -> String {
        String::from_utf8(config.get(&[name]).remove(0).1).unwrap()
    }

    #[test]
    fn get_takes_names_and_globs() {
        let config = Config::default();
        assert_eq!(config.get(&["MaxMemory"]), [("MaxMemory".to_owned(), b"0".to_vec())]);
        let names =
            |patterns: &[&str]| config.get(patterns).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(
            names(&["slave-read-onl?", "*-read-only", "REPLICA-READ-ONLY"]),
            ["slave-read-only", "replica-read-only"]
        );
        assert_eq!(names(&["watchdog*"]), Vec::<String>::new());
        assert_eq!(names(&["watchdog-period"]), ["watchdog-period"]);
        assert_eq!(names(&["nothing", ""]), Vec::<String>::new());
    }

    #[test]
    fn set_is_all_or_nothing() {
        let config = Config::default();
        let (changed, names) =
            set(&config, &["maxmemory", "1mb", "hz", "10", "slave-priority", "7"]).unwrap();
        assert_eq!(names, ["maxmemory", "replica-priority"]);
        assert_eq!((changed.maxmemory_bytes, value(&changed, "replica-priority")), (1 << 20, "7".to_owned()));
        let error = set(&config, &["maxmemory", "1mb", "hz", "x"]).unwrap_err();
        assert_eq!(
            error,
            "ERR CONFIG SET failed (possibly related to argument 'hz') - argument couldn't be parsed into an integer"
        );
        assert_eq!(config, Config::default());
    }

    #[test]
    fn set_takes_a_name_and_its_alias() {
        let pairs = ["slave-priority", "1", "replica-priority", "2"];
        let (config, names) = set(&Config::default(), &pairs).unwrap();
        assert_eq!((value(&config, "slave-priority"), names), ("2".to_owned(), vec!["replica-priority"]));
    }

    #[test]
    fn set_errors() {
        let config = Config::default();
        let failed = |argument: &str, reason: &str| {
            format!("ERR CONFIG SET failed (possibly related to argument '{argument}') - {reason}")
        };
        for (words, error) in [
            (vec!["hz"], "ERR syntax error".to_owned()),
            (vec!["foo", "1"], "ERR Unknown option or number of arguments for CONFIG SET - 'foo'".to_owned()),
            (vec!["Databases", "1"], failed("Databases", "can't set immutable config")),
            (vec!["dir", "/"], failed("dir", "can't set protected config")),
            (vec!["hz", "1", "HZ", "2"], failed("HZ", "duplicate parameter")),
            (
                vec!["Slave-Priority", "x"],
                failed("slave-priority", "argument couldn't be parsed into an integer"),
            ),
            (vec!["port", "65536"], failed("port", "argument must be between 0 and 65535 inclusive")),
            (vec!["maxmemory", "-1"], failed("maxmemory", "argument must be a memory value")),
            (
                vec!["maxmemory-clients", "101%"],
                failed("maxmemory-clients", "percentage argument must be less or equal to 100"),
            ),
            (vec!["protected-mode", "maybe"], failed("protected-mode", "argument must be 'yes' or 'no'")),
            (
                vec!["appendfsync", "never"],
                failed("appendfsync", "argument(s) must be one of the following: everysec, always, no"),
            ),
            (vec!["save", "60"], failed("save", "Invalid save parameters")),
        ] {
            assert_eq!(set(&config, &words).unwrap_err(), error);
        }
    }

    #[test]
    fn special_values() {
        let config = Config::default();
        for (name, given, shown) in [
            ("save", "", ""),
            ("save", "60 1 5 2", "60 1 5 2"),
            ("bind", "127.0.0.1 -::1", "127.0.0.1 -::1"),
            ("hz", "100000", "500"),
            ("busy-poll-us", "50", "50"),
            ("maxmemory-clients", "5%", "5%"),
            ("oom-score-adj", "relative", "yes"),
            ("shutdown-on-sigterm", "force now", "now force"),
            ("latency-tracking-info-percentiles", "50 99.990 100", "50 99.99 100"),
            (
                "client-output-buffer-limit",
                "pubsub 1mb 0 0",
                "normal 0 0 0 slave 268435456 67108864 60 pubsub 1048576 0 0",
            ),
        ] {
            assert_eq!(value(&set(&config, &[name, given]).unwrap().0, name), shown, "{name} {given}");
        }
    }

    #[test]
    fn protected_and_loading() {
        let local = Caller { local: true, loading: false };
        let config = Config { enable_protected_configs: crate::config::Allowed::Local, ..Config::default() };
        assert_eq!(config.set(&["dir", "/"], local).unwrap().0.dir, std::path::Path::new("/"));
        assert!(config.set(&["dir", "/"], Caller::default()).is_err());
        let error = config.set(&["dir", "/nowhere"], local).unwrap_err().to_string();
        assert!(error.ends_with("'dir') - No such file or directory"), "{error}");
        let error = config.set(&["dir", "/"], Caller { local: true, loading: true }).unwrap_err();
        assert!(error.to_string().starts_with("LOADING "));
    }
}
