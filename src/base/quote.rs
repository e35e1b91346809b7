//! Quoted text: how bytes are shown in `MONITOR`, `SLOWLOG` and `DEBUG`, and how a line of an inline
//! command or a config file is split into arguments. What [`repr`] writes, [`split_args`] reads.

/// A line with a quote that is not closed, or one that is closed in the middle of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unbalanced;

/// Appends `bytes` in double quotes, with escapes for what does not print.
pub fn repr(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(&[
                    b'\\',
                    b'x',
                    HEX[usize::from(byte >> 4)],
                    HEX[usize::from(byte & 15)],
                ]);
            }
        }
    }
    out.push(b'"');
}

/// Whether an argument has to be quoted to be read back: it holds blanks, quotes, backslashes or bytes
/// that do not print.
pub fn needs_repr(bytes: &[u8]) -> bool {
    !bytes.iter().all(|b| matches!(b, b'!'..=b'~') && !matches!(b, b'\\' | b'"'))
}

/// Splits a line at blanks. Double quotes keep blanks together and know the escapes of [`repr`], single
/// quotes know only `\'`; a closing quote ends its argument. The line ends at its first zero byte.
pub fn split_args(line: &[u8]) -> Result<Vec<Vec<u8>>, Unbalanced> {
    let mut rest = line.split(|&b| b == 0).next().unwrap_or_default();
    let mut args = Vec::new();
    loop {
        let Some(start) = rest.iter().position(|&b| !is_blank(b)) else {
            return Ok(args);
        };
        let mut arg = Vec::new();
        rest = read_arg(&rest[start..], &mut arg)?;
        args.push(arg);
    }
}

/// What C's `isspace` says in the locale "C".
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Reads one argument: what follows it.
fn read_arg<'a>(mut line: &'a [u8], arg: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        match line {
            // Vertical tabs and form feeds separate nothing inside an argument.
            [] | [b' ' | b'\n' | b'\r' | b'\t', ..] => return Ok(line),
            [b'"', quoted @ ..] => return after_quote(read_double_quoted(quoted, arg)?),
            [b'\'', quoted @ ..] => return after_quote(read_single_quoted(quoted, arg)?),
            [byte, rest @ ..] => {
                arg.push(*byte);
                line = rest;
            }
        }
    }
}

fn read_double_quoted<'a>(mut line: &'a [u8], arg: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        let (byte, rest) = match line {
            [] => return Err(Unbalanced),
            [b'"', rest @ ..] => return Ok(rest),
            [b'\\', b'x', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex(*high) << 4 | hex(*low), rest)
            }
            [b'\\', escaped, rest @ ..] => (unescape(*escaped), rest),
            [byte, rest @ ..] => (*byte, rest),
        };
        arg.push(byte);
        line = rest;
    }
}

fn read_single_quoted<'a>(mut line: &'a [u8], arg: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        let (byte, rest) = match line {
            [] => return Err(Unbalanced),
            [b'\'', rest @ ..] => return Ok(rest),
            [b'\\', b'\'', rest @ ..] => (b'\'', rest),
            [byte, rest @ ..] => (*byte, rest),
        };
        arg.push(byte);
        line = rest;
    }
}

/// A closing quote has to be followed by a blank or the end of the line.
fn after_quote(line: &[u8]) -> Result<&[u8], Unbalanced> {
    if line.first().is_none_or(|&b| is_blank(b)) { Ok(line) } else { Err(Unbalanced) }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'a' => 0x07,
        b'b' => 0x08,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn args(args: &[&[u8]]) -> Result<Vec<Vec<u8>>, Unbalanced> {
        Ok(args.iter().map(|arg| arg.to_vec()).collect())
    }

    #[test]
    fn blanks_separate() {
        assert_eq!(split_args(b" SET  a\tb\r\n"), args(&[b"SET", b"a", b"b"]));
        assert_eq!(split_args(b"  "), args(&[]));
        assert_eq!(
            split_args(b"\x0ba\x0bb"),
            args(&[b"a\x0bb"]),
            "a vertical tab does so only before an argument"
        );
        assert_eq!(split_args(b"a b\0c"), args(&[b"a", b"b"]));
    }

    #[test]
    fn quotes_keep_together() {
        assert_eq!(split_args(br#""a b" 'c d' e"f""#), args(&[b"a b", b"c d", b"ef"]));
        assert_eq!(split_args(br#""\x41\xfF\n\r\t\a\b\q\"\xg1""#), args(&[b"A\xff\n\r\t\x07\x08q\"xg1"]));
        assert_eq!(split_args(br"'\'\n'"), args(&[br"'\n"]));
        assert_eq!(split_args(br#""" ''"#), args(&[b"", b""]));
    }

    #[test]
    fn unbalanced_quotes_fail() {
        for line in [r#""a"#, "'a", r#""a"b"#, "'a'b", r#""a\"#, r#"""""#, "\"a\0\""] {
            assert_eq!(split_args(line.as_bytes()), Err(Unbalanced), "{line:?}");
        }
    }

    #[test]
    fn repr_escapes_what_does_not_print() {
        let mut out = Vec::new();
        repr(&mut out, b"a \"\\\n\r\t\x07\x08\0\x7f\xff");
        assert_eq!(out, br#""a \"\\\n\r\t\a\b\x00\x7f\xff""#);
        assert!(
            !needs_repr(b"plain-text_1'") && needs_repr(b"a b") && needs_repr(b"\"") && needs_repr(b"\xc3")
        );
    }

    proptest! {
        #[test]
        fn split_args_reads_what_repr_writes(input in prop::collection::vec(any::<Vec<u8>>(), 0..5)) {
            let mut line = Vec::new();
            for arg in &input {
                repr(&mut line, arg);
                line.push(b' ');
            }
            prop_assert_eq!(split_args(&line), Ok(input));
        }

        #[test]
        fn what_needs_no_repr_stays_as_it_is(arg in "[!-~]{1,8}") {
            prop_assume!(!needs_repr(arg.as_bytes()) && !arg.contains('\''));
            prop_assert_eq!(split_args(arg.as_bytes()), args(&[arg.as_bytes()]));
        }
    }
}
