//! The argument grammar of a command, parsed from [`Spec::syntax`](crate::command::spec::Spec::syntax) into
//! the tree that `COMMAND DOCS` prints and `HELP` abridges.
//!
//! The notation is redis.io's. A lower-case word is a value, any other word a keyword; `[...]` is optional,
//! `<...>` is not, `|` separates alternatives. A keyword at the head of a group or an alternative belongs to
//! what follows it (`[EX seconds]`). `key [key ...]` is repetition: a group that ends in `...` and equals
//! what stands before it; any other group that ends in `...` may itself occur several times. Three things
//! are written besides, because clients see them in `COMMAND DOCS`:
//!
//! - `name: item` gives the item a name. A value keeps the word as its display text. A keyword's name belongs
//!   to what the keyword heads, and is its lower-case form by default. That of a repetition is the name of
//!   the repeated block.
//! - `item@7.0.0` is the version that added the item, `item!2.8.12` the one that deprecated it.
//! - `value/integer` gives the type where it does not follow from the word (see [`Kind::of`]).
//!
//! The table is checked by a test, so a malformed grammar panics.

/// What an argument is, as `COMMAND DOCS` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the documentation
pub enum Kind {
    String,
    Integer,
    Double,
    Key,
    Pattern,
    UnixTime,
    PureToken,
    OneOf,
    Block,
}

impl Kind {
    const NAMES: [(Kind, &'static str); 9] = [
        (Kind::String, "string"),
        (Kind::Integer, "integer"),
        (Kind::Double, "double"),
        (Kind::Key, "key"),
        (Kind::Pattern, "pattern"),
        (Kind::UnixTime, "unix-time"),
        (Kind::PureToken, "pure-token"),
        (Kind::OneOf, "oneof"),
        (Kind::Block, "block"),
    ];

    /// The name in `COMMAND DOCS`.
    pub fn name(self) -> &'static str {
        Kind::NAMES.iter().find(|(kind, _)| *kind == self).expect("every kind has a name").1
    }

    fn named(name: &str) -> Kind {
        Kind::NAMES.iter().find(|(_, n)| *n == name).unwrap_or_else(|| panic!("no type {name}")).0
    }

    /// The type of a value whose word has no type of its own.
    fn of(word: &str) -> Kind {
        match word {
            _ if word.starts_with("key") || word.ends_with("key") => Kind::Key,
            _ if word.starts_with("unix-time") => Kind::UnixTime,
            "pattern" => Kind::Pattern,
            "bit" | "client-id" | "count" | "cursor" | "db" | "decrement" | "destination-db" | "end"
            | "increment" | "index" | "index1" | "index2" | "maxage" | "milliseconds" | "min-match-len"
            | "offset" | "protover" | "seconds" | "start" | "timeout" | "version" => Kind::Integer,
            _ => Kind::String,
        }
    }
}

/// One argument, or a group of arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// Name, lower case.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// How a value is shown to users; the name if there is nothing better.
    pub display: String,
    /// The keyword that introduces it.
    pub token: Option<&'static str>,
    /// Version that added it to the command.
    pub since: Option<&'static str>,
    /// Version that deprecated it.
    pub deprecated_since: Option<&'static str>,
    /// Whether it may be left out.
    pub optional: bool,
    /// Whether it may be given several times.
    pub multiple: bool,
    /// Whether the keyword is given again with each repetition.
    pub multiple_token: bool,
    /// Index of its key spec, for a key.
    pub key_spec: Option<usize>,
    /// Members of a block or a one-of.
    pub args: Vec<Arg>,
}

/// Parses `syntax`. Keys are numbered in order: the first belongs to key spec 0 and so on; keys beyond the
/// last of `key_specs` specs belong to that one.
pub fn parse(syntax: &'static str, key_specs: usize) -> Vec<Arg> {
    let mut parser = Parser { tokens: tokens(syntax), at: 0 };
    let Body { mut alternatives, repeated } = parser.body();
    assert!(parser.at == parser.tokens.len() && alternatives.len() == 1 && !repeated, "grammar: {syntax}");
    let mut args: Vec<Arg> = alternatives.remove(0).into_iter().map(|item| item.arg).collect();
    if key_specs > 0 {
        number_keys(&mut args, &mut 0, key_specs - 1);
    }
    args
}

fn number_keys(args: &mut [Arg], next: &mut usize, last: usize) {
    for arg in args {
        if arg.kind == Kind::Key {
            arg.key_spec = Some(*next);
            *next = last.min(*next + 1);
        }
        number_keys(&mut arg.args, next, last);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Open { optional: bool },
    Close { marks: Marks },
    Bar,
    Dots,
    Label(&'static str),
    Word { text: &'static str, marks: Marks },
}

/// The versions behind `@` and `!`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Marks {
    since: Option<&'static str>,
    deprecated_since: Option<&'static str>,
}

fn marks(text: &'static str) -> (&'static str, Marks) {
    let (text, deprecated_since) = match text.split_once('!') {
        Some((text, version)) => (text, Some(version)),
        None => (text, None),
    };
    let (text, since) = match text.split_once('@') {
        Some((text, version)) => (text, Some(version)),
        None => (text, None),
    };
    (text, Marks { since, deprecated_since })
}

fn tokens(syntax: &'static str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for chunk in syntax.split_ascii_whitespace() {
        let word = chunk.trim_start_matches(['[', '<']);
        let opening = &chunk[..chunk.len() - word.len()];
        tokens.extend(opening.chars().map(|bracket| Token::Open { optional: bracket == '[' }));
        let (word, mut closing) = word.split_at(word.find([']', '>']).unwrap_or(word.len()));
        match word {
            "" => {}
            "|" => tokens.push(Token::Bar),
            "..." => tokens.push(Token::Dots),
            _ if word.ends_with(':') => tokens.push(Token::Label(word.trim_end_matches(':'))),
            _ => {
                let (text, marks) = marks(word);
                tokens.push(Token::Word { text, marks });
            }
        }
        while !closing.is_empty() {
            let end = closing[1..].find([']', '>']).map_or(closing.len(), |i| i + 1);
            tokens.push(Token::Close { marks: marks(&closing[1..end]).1 });
            closing = &closing[end..];
        }
    }
    tokens
}

/// An argument while its surroundings are still being read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    arg: Arg,
    /// A name was given, not derived.
    labelled: bool,
}

/// What stands between two brackets.
struct Body {
    alternatives: Vec<Vec<Item>>,
    /// It ended in `...`.
    repeated: bool,
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).copied();
        self.at += usize::from(token.is_some());
        token
    }

    /// Reads up to the closing bracket, which it leaves, or to the end.
    fn body(&mut self) -> Body {
        let mut body = Body { alternatives: vec![Vec::new()], repeated: false };
        let mut label = None;
        while let Some(token) = self.next() {
            let sequence = body.alternatives.last_mut().expect("never empty");
            match token {
                Token::Close { .. } => {
                    self.at -= 1;
                    break;
                }
                Token::Bar => body.alternatives.push(Vec::new()),
                Token::Dots => body.repeated = true,
                Token::Label(name) => label = Some(name),
                Token::Word { text, marks } => sequence.push(word(text, marks, label.take())),
                Token::Open { optional } => self.group(optional, label.take(), sequence),
            }
        }
        body
    }

    /// Reads a group and adds it to the sequence it stands in.
    fn group(&mut self, optional: bool, label: Option<&'static str>, sequence: &mut Vec<Item>) {
        let Body { mut alternatives, repeated } = self.body();
        let Some(Token::Close { marks }) = self.next() else { panic!("an open bracket in a grammar") };
        if repeated && alternatives.len() == 1 && sequence.ends_with(&alternatives[0]) {
            let start = sequence.len() - alternatives[0].len();
            let items = sequence.split_off(start);
            let multiple_token = items.len() > 1 && items[0].arg.kind == Kind::PureToken;
            let mut item = bind(items, label);
            item.arg.multiple = true;
            item.arg.multiple_token = multiple_token;
            sequence.push(item);
            return;
        }
        let mut item = if alternatives.len() == 1 {
            bind(alternatives.remove(0), label)
        } else {
            let args = alternatives.into_iter().map(|items| bind(items, None).arg).collect();
            composite(Kind::OneOf, args, label)
        };
        item.arg.optional |= optional;
        item.arg.multiple |= repeated;
        item.arg.since = marks.since.or(item.arg.since);
        item.arg.deprecated_since = marks.deprecated_since.or(item.arg.deprecated_since);
        sequence.push(item);
    }
}

fn word(text: &'static str, marks: Marks, label: Option<&str>) -> Item {
    let keyword = !text.starts_with(|c: char| c.is_ascii_lowercase());
    let (word, kind) = match text.split_once('/') {
        _ if keyword => (text, Kind::PureToken),
        Some((word, kind)) => (word, Kind::named(kind)),
        None => (text, Kind::of(text)),
    };
    let name = label.map_or_else(|| word.to_ascii_lowercase(), str::to_owned);
    let arg = Arg {
        display: if keyword { name.clone() } else { word.to_owned() },
        name,
        kind,
        token: keyword.then_some(word),
        since: marks.since,
        deprecated_since: marks.deprecated_since,
        optional: false,
        multiple: false,
        multiple_token: false,
        key_spec: None,
        args: Vec::new(),
    };
    Item { arg, labelled: label.is_some() }
}

fn composite(kind: Kind, args: Vec<Arg>, label: Option<&str>) -> Item {
    let name = label.unwrap_or_default().to_owned();
    let arg = Arg {
        display: name.clone(),
        name,
        kind,
        token: None,
        since: None,
        deprecated_since: None,
        optional: false,
        multiple: false,
        multiple_token: false,
        key_spec: None,
        args,
    };
    Item { arg, labelled: label.is_some() }
}

/// Makes one argument of a group's members: a keyword at the head is tied to the rest, several members
/// become a block.
fn bind(mut items: Vec<Item>, label: Option<&str>) -> Item {
    // A keyword whose followers may all be left out stands for itself.
    let followed = items.iter().skip(1).any(|item| !item.arg.optional);
    let headed = followed && items[0].arg.kind == Kind::PureToken && !items[0].arg.optional;
    let keyword = headed.then(|| items.remove(0));
    let mut item = if items.len() == 1 {
        items.remove(0)
    } else {
        composite(Kind::Block, items.into_iter().map(|item| item.arg).collect(), None)
    };
    if let Some(keyword) = keyword {
        if keyword.labelled || item.arg.name.is_empty() {
            item.arg.name = keyword.arg.name;
        }
        item.arg.token = keyword.arg.token;
        item.arg.since = keyword.arg.since;
        item.arg.deprecated_since = keyword.arg.deprecated_since;
    }
    if let Some(label) = label {
        item.arg.name = label.to_owned();
        item.labelled = true;
    }
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_types_names_and_display_texts() {
        let args = parse("key value/integer addr: ip:port unix-time-seconds", 1);
        let seen: Vec<_> = args.iter().map(|a| (a.name.as_str(), a.kind, a.display.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("key", Kind::Key, "key"),
                ("value", Kind::Integer, "value"),
                ("addr", Kind::String, "ip:port"),
                ("unix-time-seconds", Kind::UnixTime, "unix-time-seconds"),
            ]
        );
        assert_eq!(args[0].key_spec, Some(0));
    }

    #[test]
    fn a_keyword_heads_its_group() {
        let args = parse("[EX@2.6.12 seconds] [GET] [AUTH username password] [kind: TYPE <A | B>]", 0);
        assert_eq!(
            (args[0].token, args[0].name.as_str(), args[0].since),
            (Some("EX"), "seconds", Some("2.6.12"))
        );
        assert_eq!((args[1].kind, args[1].optional), (Kind::PureToken, true));
        assert_eq!((args[2].kind, args[2].name.as_str(), args[2].args.len()), (Kind::Block, "auth", 2));
        assert_eq!((args[3].kind, args[3].name.as_str(), args[3].token), (Kind::OneOf, "kind", Some("TYPE")));
        let args = parse("full-block: [FULL [COUNT count]]", 0);
        assert_eq!((args[0].kind, args[0].token, args[0].args.len()), (Kind::Block, None, 2));
    }

    #[test]
    fn repetition_takes_in_what_it_repeats() {
        let args = parse("key [key ...]", 1);
        assert_eq!((args.len(), args[0].multiple, args[0].optional), (1, true, false));
        let args = parse("[section [section ...]]", 0);
        assert_eq!((args.len(), args[0].multiple, args[0].optional), (1, true, true));
        let args = parse("key value data: [key value ...]", 1);
        assert_eq!((args[0].name.as_str(), args[0].kind, args[0].multiple), ("data", Kind::Block, true));
        let args = parse("[GET encoding offset get-block: [GET encoding offset ...]]", 0);
        assert_eq!((args[0].name.as_str(), args[0].token), ("get-block", Some("GET")));
        assert!(args[0].optional && args[0].multiple && args[0].multiple_token);
        let args = parse("[ID client-id [client-id ...]]", 0);
        assert!(args[0].optional && args[0].multiple && !args[0].multiple_token);
        let args = parse("op: [GET offset | SET offset ...]@7.0.0", 0);
        assert_eq!((args[0].kind, args[0].multiple, args[0].since), (Kind::OneOf, true, Some("7.0.0")));
    }

    #[test]
    fn keys_beyond_the_last_spec_share_it() {
        let specs = |args: &[Arg]| args.iter().map(|a| a.key_spec).collect::<Vec<_>>();
        assert_eq!(specs(&parse("key1 key2", 1)), [Some(0), Some(0)]);
        assert_eq!(specs(&parse("destkey key", 2)), [Some(0), Some(1)]);
    }

    #[test]
    #[should_panic(expected = "open bracket")]
    fn an_open_bracket_is_refused() {
        parse("[a", 0);
    }
}
