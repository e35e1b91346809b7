//! Files of Redis: commands one after the other, with annotations in between.
//!
//! Only their form is checked, as far as Redis does so before it runs them. A file may end in the middle of a command, or
//! between `MULTI` and `EXEC`; what is complete before that is valid.

use std::io;

use super::window::{Source, Window};
use crate::aof::frame::{self, Header, LINE_MAX};
use crate::base::number;

/// What stands between the beginning and the end of a file's commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    /// The offset behind the last command that is complete and part of no unfinished transaction.
    pub valid: u64,
    /// Lines of commands up to where reading stopped, and one more: the number of the line that is wrong.
    pub line: u64,
    /// How it ends.
    pub end: End,
}

/// How the commands of a file end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With the file.
    Complete,
    /// The file ends in the middle of a command. The text says what was to be read, and the offset where.
    Short(u64, String),
    /// The file ends between MULTI and EXEC, at this offset.
    Multi(u64),
    /// There is something that is no command, at this offset.
    Bad(u64, String),
    /// An annotation with a later time than what was asked for, at this offset.
    Later(u64),
}

/// What a scan stops at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Stop before the first annotation with a time after this, in seconds since 1970.
    pub until: Option<i64>,
    /// Stop at this offset, which is that of a command or annotation.
    pub end: Option<u64>,
}

/// A line or command that cannot be read.
enum Fault {
    Io(io::Error),
    End(End),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Io(error)
    }
}

fn bad<T>(at: u64, text: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::End(End::Bad(at, text.into())))
}

fn short<T>(at: u64, text: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::End(End::Short(at, text.into())))
}

/// Checks everything from the window's position on.
///
/// # Errors
/// What the file system says.
pub fn scan<S: Source>(window: &mut Window<S>, options: Options) -> io::Result<Plain> {
    let mut scan = Scan { window, options, line: 1, valid: 0, multi: false };
    scan.valid = scan.window.at();
    let end = loop {
        if options.end.is_some_and(|end| scan.window.at() >= end) {
            break End::Complete;
        }
        match scan.next() {
            Ok(true) => {}
            Ok(false) if scan.multi => break End::Multi(scan.window.at()),
            Ok(false) => break End::Complete,
            Err(Fault::End(end)) => break end,
            Err(Fault::Io(error)) => return Err(error),
        }
    };
    Ok(Plain { valid: scan.valid, line: scan.line, end })
}

struct Scan<'a, S> {
    window: &'a mut Window<S>,
    options: Options,
    line: u64,
    valid: u64,
    multi: bool,
}

impl<S: Source> Scan<'_, S> {
    /// Passes one command or annotation; `false` at the end.
    fn next(&mut self) -> Result<bool, Fault> {
        match self.window.ahead(1)?.first() {
            None => return Ok(false),
            Some(b'#') => self.annotation()?,
            Some(b'*') => self.command()?,
            Some(&other) => {
                return bad(self.window.at(), format!("Expected prefix '*', got: '{}'", char::from(other)));
            }
        }
        if !self.multi {
            self.valid = self.window.at();
        }
        Ok(true)
    }

    fn annotation(&mut self) -> Result<(), Fault> {
        let at = self.window.at();
        let ahead = self.window.ahead(LINE_MAX)?;
        let ahead = &ahead[..ahead.len().min(LINE_MAX)];
        let line = frame::line(ahead).unwrap_or(ahead);
        if Header::parse(line).is_some() {
            return bad(at, "A frame of a log whose first line is missing");
        }
        if let (Some(until), Some(text)) = (self.options.until, line.strip_prefix(b"#TS:")) {
            let time = text.strip_suffix(b"\r\n").and_then(number::parse_i64);
            match time {
                None => return bad(at, "Invalid timestamp annotation"),
                Some(time) if time > until => return Err(Fault::End(End::Later(at))),
                Some(_) => {}
            }
        }
        let len = line.len() as u64;
        self.window.skip(len);
        Ok(())
    }

    fn command(&mut self) -> Result<(), Fault> {
        let at = self.window.at();
        let count = self.number(b'*')?;
        if count < 1 {
            return bad(at, format!("Expected the number of arguments, got: {count}"));
        }
        for index in 0..count {
            // MULTI and EXEC are short enough to be seen as a whole.
            let mut name = [0; 5];
            let len = self.argument(if index == 0 { &mut name } else { &mut [] })?;
            if index == 0 && len == 5 && name.eq_ignore_ascii_case(b"multi") {
                if self.multi {
                    return bad(at, "Unexpected MULTI");
                }
                self.multi = true;
            } else if index == 0 && len == 4 && name[..4].eq_ignore_ascii_case(b"exec") {
                if !self.multi {
                    return bad(at, "Unexpected EXEC");
                }
                self.multi = false;
            }
        }
        Ok(())
    }

    /// Passes an argument; its first bytes go to `head`. Returns its length.
    fn argument(&mut self, head: &mut [u8]) -> Result<u64, Fault> {
        let at = self.window.at();
        let len = self.number(b'$')?;
        let Ok(len) = u64::try_from(len) else {
            return bad(at, format!("Expected the length of an argument, got: {len}"));
        };
        let at = self.window.at();
        if self.window.left() < len.saturating_add(2) {
            let (wanted, left) = (len.saturating_add(2), self.window.left());
            return short(at, format!("Expected to read {wanted} bytes, got {left} bytes"));
        }
        if !head.is_empty() {
            let ahead = self.window.ahead(head.len())?;
            let len = head.len().min(ahead.len());
            head[..len].copy_from_slice(&ahead[..len]);
        }
        self.window.skip(len);
        self.line_break(at)?;
        Ok(len)
    }

    fn line_break(&mut self, at: u64) -> Result<(), Fault> {
        match *self.window.ahead(2)? {
            [b'\r', b'\n', ..] => {}
            [first, second, ..] => return bad(at, format!("Expected \\r\\n, got: {first:02x}{second:02x}")),
            _ => return short(at, "Expected \\r\\n"),
        }
        self.window.skip(2);
        self.line += 1;
        Ok(())
    }

    /// Passes a line with a number.
    fn number(&mut self, prefix: u8) -> Result<i64, Fault> {
        /// Longer than any line with a number.
        const LINE: usize = 32;
        let at = self.window.at();
        let ahead = self.window.ahead(LINE)?;
        let Some(&first) = ahead.first() else {
            return short(at, format!("Expected prefix '{}'", char::from(prefix)));
        };
        if first != prefix {
            let (prefix, first) = (char::from(prefix), char::from(first));
            return bad(at, format!("Expected prefix '{prefix}', got: '{first}'"));
        }
        let digits = ahead[1..].iter().take_while(|byte| matches!(byte, b'-' | b'0'..=b'9')).count();
        if digits + 1 == ahead.len() {
            return short(at, "Expected \\r\\n");
        }
        let number = number::parse_i64(&ahead[1..=digits]);
        self.window.skip(digits as u64 + 1);
        self.line_break(at)?;
        match number {
            Some(number) => Ok(number),
            None => bad(at, "Expected a number"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &[u8]) -> Plain {
        of_until(text, None)
    }

    fn of_until(text: &[u8], until: Option<i64>) -> Plain {
        scan(&mut Window::new(text, 8).unwrap(), Options { until, end: None }).unwrap()
    }

    const SET: &[u8] = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhello\r\n";
    const MULTI: &[u8] = b"*1\r\n$5\r\nmulti\r\n";
    const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";

    #[test]
    fn whole_files_are_valid_throughout() {
        for file in [&b""[..], SET, b"# note\r\n", &[b"#TS:12\r\n", SET, b"#\n", MULTI, SET, EXEC].concat()] {
            let plain = of(file);
            assert_eq!((plain.valid, plain.end), (file.len() as u64, End::Complete));
        }
        assert_eq!(of(SET).line, 8);
        assert_eq!(of(&[SET, b"!!!"].concat()).line, 8);
    }

    #[test]
    fn a_cut_anywhere_leaves_what_was_complete() {
        let file = [SET, MULTI, SET, EXEC, SET].concat();
        let bounds = [0, SET.len(), file.len() - SET.len(), file.len()];
        for cut in 0..file.len() {
            let plain = of(&file[..cut]);
            let valid = bounds.into_iter().rfind(|&bound| bound <= cut).unwrap();
            assert_eq!(plain.valid, valid as u64, "cut at {cut}");
            assert_eq!(plain.end == End::Complete, valid == cut, "cut at {cut}: {:?}", plain.end);
            assert!(!matches!(plain.end, End::Bad(..)), "cut at {cut}: {:?}", plain.end);
        }
    }

    #[test]
    fn what_is_no_command_is_found_where_it_is() {
        let bad_at = |text: &[u8]| match of(&[SET, text].concat()).end {
            End::Bad(at, text) => (at - SET.len() as u64, text),
            other => panic!("{other:?}"),
        };
        assert_eq!(bad_at(b"!!!"), (0, "Expected prefix '*', got: '!'".into()));
        assert_eq!(bad_at(b"\0\0\0").0, 0);
        assert_eq!(bad_at(b"*0\r\n").0, 0);
        assert_eq!(bad_at(b"*x\r\n"), (0, "Expected \\r\\n, got: 780d".into()));
        assert_eq!(bad_at(b"*1\r\n:1\r\n"), (4, "Expected prefix '$', got: ':'".into()));
        assert_eq!(bad_at(b"*1\r\n$-1\r\n").0, 4);
        assert_eq!(bad_at(b"*1\r\n$1\r\nabc"), (8, "Expected \\r\\n, got: 6263".into()));
        assert_eq!(bad_at(EXEC), (0, "Unexpected EXEC".into()));
        assert_eq!(bad_at(&[MULTI, MULTI].concat()), (MULTI.len() as u64, "Unexpected MULTI".into()));
        let header = format!("#F {:08x} {:016x} {:016x} {:08x}\n", 0, 0, 0, 0);
        assert_eq!(bad_at(header.as_bytes()), (0, "A frame of a log whose first line is missing".into()));
        let huge = format!("*1\r\n${}\r\n", i64::MAX);
        assert!(matches!(of(huge.as_bytes()).end, End::Short(..)));
    }

    #[test]
    fn annotations_tell_when_to_stop() {
        let file = [b"#TS:10\r\n", SET, b"#TS:12\r\n", SET].concat();
        let second = 8 + SET.len() as u64;
        assert_eq!(of_until(&file, Some(12)).end, End::Complete);
        assert_eq!(of_until(&file, Some(11)), Plain { valid: second, line: 8, end: End::Later(second) });
        assert_eq!(of_until(&file, Some(9)).end, End::Later(0));
        assert!(matches!(of_until(b"#TS:1x\r\n", Some(9)).end, End::Bad(0, _)));
    }
}
