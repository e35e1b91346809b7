//! A client's side of RESP2 and RESP3: encoding of commands, incremental decoding of replies.
//!
//! The decoder keeps bytes until they make up a whole reply. It tells the three spellings of null apart,
//! because which one a server sends is a part of its compatibility; [`Value::is_null`] is for whoever does
//! not care.

use std::fmt;

/// One decoded reply.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// `+text`
    Simple(Vec<u8>),
    /// `-text`
    Error(Vec<u8>),
    /// `:n`
    Int(i64),
    /// `$n`
    Bulk(Vec<u8>),
    /// `$-1`
    NullBulk,
    /// `*-1`
    NullArray,
    /// `_` (RESP3)
    Null,
    /// `*n`
    Array(Vec<Value>),
    /// `%n` (RESP3), pairs in the order sent
    Map(Vec<(Value, Value)>),
    /// `~n` (RESP3), elements in the order sent
    Set(Vec<Value>),
    /// `>n` (RESP3)
    Push(Vec<Value>),
    /// `,text` (RESP3), as the server wrote it
    Double(Vec<u8>),
    /// `#t` or `#f` (RESP3)
    Bool(bool),
    /// `(digits` (RESP3)
    BigNumber(Vec<u8>),
    /// `=n` (RESP3), the three-letter format and its colon included
    Verbatim(Vec<u8>),
    /// `!n` (RESP3)
    BulkError(Vec<u8>),
    /// `|n` (RESP3): pairs that come before the value they describe
    Attribute(Vec<(Value, Value)>, Box<Value>),
}

impl Value {
    /// `+OK`
    pub fn ok() -> Value {
        Value::Simple(b"OK".to_vec())
    }

    /// A bulk string.
    pub fn bulk(bytes: impl AsRef<[u8]>) -> Value {
        Value::Bulk(bytes.as_ref().to_vec())
    }

    /// An error from its whole text.
    pub fn error(text: &str) -> Value {
        Value::Error(text.as_bytes().to_vec())
    }

    /// Whether this is a null in any of the three spellings.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null | Value::NullBulk | Value::NullArray)
    }

    /// Whether this is an error.
    pub fn is_error(&self) -> bool {
        matches!(self, Value::Error(_) | Value::BulkError(_))
    }

    /// The same value with every null, nested ones included, as [`Value::Null`]: replies in RESP2 and
    /// RESP3 to the commands that have no other difference become equal.
    pub fn with_one_null(self) -> Value {
        match self {
            Value::NullBulk | Value::NullArray => Value::Null,
            Value::Array(items) => Value::Array(items.into_iter().map(Value::with_one_null).collect()),
            other => other,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, open: &str, items: &[Value]| {
            f.write_str(open)?;
            for (i, item) in items.iter().enumerate() {
                write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
            }
            f.write_str("]")
        };
        let pairs = |f: &mut fmt::Formatter<'_>, pairs: &[(Value, Value)]| {
            f.write_str("{")?;
            for (i, (key, value)) in pairs.iter().enumerate() {
                write!(f, "{}{key}: {value}", if i == 0 { "" } else { ", " })?;
            }
            f.write_str("}")
        };
        match self {
            Value::Simple(text) => write!(f, "+{}", text.escape_ascii()),
            Value::Error(text) => write!(f, "-{}", text.escape_ascii()),
            Value::BulkError(text) => write!(f, "!{}", text.escape_ascii()),
            Value::Int(n) => write!(f, ":{n}"),
            Value::Bulk(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Value::Verbatim(bytes) => write!(f, "=\"{}\"", bytes.escape_ascii()),
            Value::NullBulk => f.write_str("(nil bulk)"),
            Value::NullArray => f.write_str("(nil array)"),
            Value::Null => f.write_str("(nil)"),
            Value::Double(text) => write!(f, ",{}", text.escape_ascii()),
            Value::BigNumber(text) => write!(f, "({}", text.escape_ascii()),
            Value::Bool(value) => write!(f, "#{value}"),
            Value::Array(items) => list(f, "[", items),
            Value::Set(items) => list(f, "~[", items),
            Value::Push(items) => list(f, ">[", items),
            Value::Map(items) => pairs(f, items),
            Value::Attribute(attributes, value) => {
                f.write_str("|")?;
                pairs(f, attributes)?;
                write!(f, " {value}")
            }
        }
    }
}

/// Appends `request` to `out` as an array of bulk strings.
pub fn encode<T: AsRef<[u8]>>(out: &mut Vec<u8>, request: &[T]) {
    out.extend_from_slice(format!("*{}\r\n", request.len()).as_bytes());
    for word in request {
        let word = word.as_ref();
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// The bytes are not RESP; the text says what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub String);

/// Turns a stream of bytes into replies.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    start: usize,
}

impl Decoder {
    /// A decoder that has seen nothing.
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Adds bytes that arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..std::mem::take(&mut self.start));
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes that arrived and belong to no whole reply yet.
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The next whole reply, `None` until more bytes come.
    pub fn next(&mut self) -> Result<Option<Value>, Malformed> {
        let mut cursor = Cursor { rest: &self.bytes[self.start..] };
        let Some(value) = cursor.value()? else { return Ok(None) };
        self.start = self.bytes.len() - cursor.rest.len();
        Ok(Some(value))
    }
}

/// What is left to parse. `Ok(None)` of any method means that the bytes end too early.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn line(&mut self) -> Option<Vec<u8>> {
        let end = self.rest.windows(2).position(|pair| pair == b"\r\n")?;
        let line = self.rest[..end].to_vec();
        self.rest = &self.rest[end + 2..];
        Some(line)
    }

    fn body(&mut self, length: usize) -> Result<Option<Vec<u8>>, Malformed> {
        if self.rest.len() < length + 2 {
            return Ok(None);
        }
        let (body, rest) = self.rest.split_at(length);
        if !rest.starts_with(b"\r\n") {
            return Err(Malformed(format!("no CRLF after {length} bytes of \"{}\"", body.escape_ascii())));
        }
        self.rest = &rest[2..];
        Ok(Some(body.to_vec()))
    }

    fn values(&mut self, count: usize) -> Result<Option<Vec<Value>>, Malformed> {
        let mut values = Vec::new();
        for _ in 0..count {
            let Some(value) = self.value()? else { return Ok(None) };
            values.push(value);
        }
        Ok(Some(values))
    }

    fn pairs(&mut self, count: usize) -> Result<Option<Vec<(Value, Value)>>, Malformed> {
        let Some(flat) = self.values(2 * count)? else { return Ok(None) };
        let mut flat = flat.into_iter();
        Ok(Some(std::iter::from_fn(|| Some((flat.next()?, flat.next()?))).collect()))
    }

    fn value(&mut self) -> Result<Option<Value>, Malformed> {
        let Some(line) = self.line() else { return Ok(None) };
        let Some((&marker, text)) = line.split_first() else {
            return Err(Malformed("an empty line where a reply begins".into()));
        };
        let bad = || Malformed(format!("bad reply line \"{}\"", line.escape_ascii()));
        let integer = || std::str::from_utf8(text).ok().and_then(|t| t.parse::<i64>().ok()).ok_or_else(bad);
        let length = || integer().and_then(|n| usize::try_from(n).map_err(|_| bad()));
        Ok(match marker {
            b'+' => Some(Value::Simple(text.to_vec())),
            b'-' => Some(Value::Error(text.to_vec())),
            b':' => Some(Value::Int(integer()?)),
            b',' => Some(Value::Double(text.to_vec())),
            b'(' => Some(Value::BigNumber(text.to_vec())),
            b'_' if text.is_empty() => Some(Value::Null),
            b'#' if text == b"t" || text == b"f" => Some(Value::Bool(text == b"t")),
            b'$' if text == b"-1" => Some(Value::NullBulk),
            b'*' if text == b"-1" => Some(Value::NullArray),
            b'$' => self.body(length()?)?.map(Value::Bulk),
            b'=' => self.body(length()?)?.map(Value::Verbatim),
            b'!' => self.body(length()?)?.map(Value::BulkError),
            b'*' => self.values(length()?)?.map(Value::Array),
            b'~' => self.values(length()?)?.map(Value::Set),
            b'>' => self.values(length()?)?.map(Value::Push),
            b'%' => self.pairs(length()?)?.map(Value::Map),
            b'|' => {
                let Some(attributes) = self.pairs(length()?)? else { return Ok(None) };
                self.value()?.map(|value| Value::Attribute(attributes, Box::new(value)))
            }
            _ => return Err(bad()),
        })
    }
}
