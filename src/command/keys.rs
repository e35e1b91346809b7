//! Where the keys of a call are, derived from the key specs of its command.
//!
//! [`KeyPlan`] is the short form, computed once per command: nearly all commands have one key at a fixed
//! place or a regular range of keys, and routing needs no more than the positions. [`keys_of`] works for
//! every command and also tells what happens to each key; `COMMAND GETKEYS` and ACL checks use it.

use smallvec::SmallVec;

use crate::base::number;
use crate::command::spec::{BeginSearch, FindKeys, Flags, KeyFlags, KeyPos, KeySpec, Spec};
use crate::protocol::Error;

/// Positions of keys at regular distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRange {
    /// First key.
    pub first: usize,
    /// Last key; negative counts from behind, -1 being the last argument.
    pub last: isize,
    /// Distance between two keys.
    pub step: usize,
}

impl KeyRange {
    /// The positions in a call of `argc` arguments, all of them below `argc`.
    #[inline]
    pub fn positions(self, argc: usize) -> impl Iterator<Item = usize> {
        (self.first..self.end(argc)).step_by(self.step)
    }

    /// Whether a call of `argc` arguments lacks what belongs to its last key (the value in `MSET`).
    #[inline]
    pub fn is_torn(self, argc: usize) -> bool {
        !self.end(argc).saturating_sub(self.first).is_multiple_of(self.step)
    }

    #[inline]
    fn end(self, argc: usize) -> usize {
        let end = if self.last < 0 {
            argc.saturating_sub(self.last.unsigned_abs() - 1)
        } else {
            self.last as usize + 1
        };
        end.min(argc)
    }
}

/// How to find the keys of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPlan {
    /// It has none.
    None,
    /// The one key is this argument.
    One(usize),
    /// Keys at regular distances.
    Range(KeyRange),
    /// The arguments have to be searched: [`keys_of`].
    Search,
}

impl KeyPlan {
    /// The plan for a command.
    pub fn of(spec: &Spec) -> KeyPlan {
        if !has_keys(spec) {
            return KeyPlan::None;
        }
        match regular_range(spec.keys) {
            (_, true) | (None, _) => KeyPlan::Search,
            (Some(KeyRange { first, last, .. }), _) if last == first as isize => KeyPlan::One(first),
            (Some(range), _) => KeyPlan::Range(range),
        }
    }
}

/// Whether a command may have key arguments.
pub fn has_keys(spec: &Spec) -> bool {
    spec.keys.iter().any(|key| !key.flags.contains(KeyFlags::NOT_KEY))
}

/// The one range that covers all keys, as the old form of `COMMAND INFO` has it, and whether it misses some
/// (the `movablekeys` flag). Adjacent ranges of step 1 are joined.
pub fn regular_range(keys: &[KeySpec]) -> (Option<KeyRange>, bool) {
    let mut joined: Option<KeyRange> = None;
    let mut movable = false;
    for key in keys {
        movable |= key.flags.contains(KeyFlags::INCOMPLETE);
        let (BeginSearch::Index(first), FindKeys::Range { last, step, .. }) = (key.begin, key.find) else {
            movable = true;
            continue;
        };
        let last = if last < 0 { last } else { first as isize + last };
        joined = match joined {
            None if step == 1 || keys.len() == 1 => Some(KeyRange { first, last, step }),
            Some(range) if step == 1 && range.last + 1 == first as isize => Some(KeyRange { last, ..range }),
            other => {
                movable = true;
                other
            }
        };
    }
    (joined, movable)
}

/// All keys of a call, in the order of the key specs. `args` begins with the command's name (and the
/// container's before it) and fits the arity.
///
/// # Errors
/// The text of `COMMAND GETKEYS` if the arguments do not say where the keys are.
pub fn keys_of(spec: &Spec, args: &[&[u8]]) -> Result<SmallVec<[KeyPos; 4]>, Error> {
    if let Some(finder) = spec.key_finder {
        return Ok(finder(args));
    }
    let mut found = SmallVec::new();
    for key in spec.keys.iter().filter(|key| !key.flags.contains(KeyFlags::NOT_KEY)) {
        let positions = find(key, args).filter(|_| !key.flags.contains(KeyFlags::INCOMPLETE));
        let Some(positions) = positions else {
            if spec.flags.contains(Flags::NO_MANDATORY_KEYS) {
                return Ok(SmallVec::new());
            }
            return Err(Error::text("ERR Invalid arguments specified for command"));
        };
        let flags = spec.variable_flags.map_or(key.flags, |flags_of| flags_of(args));
        found.extend(positions.positions(args.len()).map(|index| KeyPos { index, flags }));
    }
    Ok(found)
}

/// The keys of one spec: an empty range if its keyword is absent, `None` if the arguments are malformed.
fn find(key: &KeySpec, args: &[&[u8]]) -> Option<KeyRange> {
    let argc = args.len() as isize;
    let begin = match key.begin {
        BeginSearch::Index(index) => index,
        BeginSearch::Keyword { keyword, from } => match find_keyword(keyword, from, args) {
            Some(index) => index + 1,
            None => return Some(KeyRange { first: 1, last: 0, step: 1 }),
        },
        BeginSearch::Unknown => return None,
    };
    let (first, last, step) = match key.find {
        FindKeys::Range { last, step, .. } if last >= 0 => (begin, begin as isize + last, step),
        FindKeys::Range { last, step, limit: 0 } => (begin, argc + last, step),
        FindKeys::Range { last, step, limit } => {
            (begin, begin as isize + args.len().saturating_sub(begin) as isize / limit as isize + last, step)
        }
        FindKeys::KeyNum { count, first, step } => {
            let number = u32::try_from(number::parse_i64(args.get(begin + count)?)?).ok()?;
            (begin + first, (begin + first) as isize + number as isize - 1, step)
        }
        FindKeys::Unknown => return None,
    };
    (first as isize <= last && last < argc).then_some(KeyRange { first, last, step })
}

/// The argument that equals `keyword`, looked for from `from` on: forwards, or backwards if that is negative.
/// The last argument and the first behind the name are left out, as there no key could follow or come before.
fn find_keyword(keyword: &str, from: isize, args: &[&[u8]]) -> Option<usize> {
    let is_keyword = |index: &usize| args[*index].eq_ignore_ascii_case(keyword.as_bytes());
    if from > 0 {
        (from as usize..args.len().saturating_sub(1)).find(is_keyword)
    } else {
        (2..args.len().saturating_sub(from.unsigned_abs()) + 1).rev().find(is_keyword)
    }
}

/// What `SET` does with its key: it reads the old value only with `GET`.
pub fn set_key_flags(args: &[&[u8]]) -> KeyFlags {
    if args.iter().skip(3).any(|arg| arg.eq_ignore_ascii_case(b"get")) {
        KeyFlags::RW | KeyFlags::ACCESS | KeyFlags::UPDATE
    } else {
        KeyFlags::OW | KeyFlags::UPDATE
    }
}

/// What `BITFIELD` does with its key: it only reads if there is nothing but `GET`. A syntax error counts as
/// a write.
pub fn bitfield_key_flags(args: &[&[u8]]) -> KeyFlags {
    let mut rest = args.get(2..).unwrap_or_default();
    let mut read_only = true;
    while let Some((operation, after)) = rest.split_first() {
        let operands = match operation.to_ascii_lowercase().as_slice() {
            b"get" => 2,
            b"overflow" => 1,
            _ => usize::MAX,
        };
        let Some(after) = after.get(operands..) else {
            read_only = false;
            break;
        };
        rest = after;
    }
    if read_only {
        KeyFlags::RO | KeyFlags::ACCESS
    } else {
        KeyFlags::RW | KeyFlags::ACCESS | KeyFlags::UPDATE
    }
}

/// The keys of `SORT`: what it sorts, and behind the last `STORE` its destination.
pub fn sort_keys(args: &[&[u8]]) -> SmallVec<[KeyPos; 4]> {
    let mut keys = sort_ro_keys(args);
    let mut at = 2;
    while let Some(option) = args.get(at) {
        let operands = match option.to_ascii_lowercase().as_slice() {
            b"limit" => 2,
            b"by" | b"get" => 1,
            b"store" => {
                keys.truncate(1);
                let flags = KeyFlags::OW | KeyFlags::UPDATE;
                keys.extend((at + 1 < args.len()).then_some(KeyPos { index: at + 1, flags }));
                1
            }
            _ => 0,
        };
        at += 1 + operands;
    }
    keys
}

/// The key of `SORT_RO`.
pub fn sort_ro_keys(_: &[&[u8]]) -> SmallVec<[KeyPos; 4]> {
    SmallVec::from_slice(&[KeyPos { index: 1, flags: KeyFlags::RO | KeyFlags::ACCESS }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::spec::Group;

    fn spec(keys: &'static [KeySpec]) -> Spec {
        Spec::new("test", -2, Group::Generic).keys(keys)
    }

    fn split(text: &str) -> Vec<&[u8]> {
        text.split(' ').map(str::as_bytes).collect()
    }

    fn indexes(spec: &Spec, text: &str) -> Result<Vec<usize>, Error> {
        keys_of(spec, &split(text)).map(|keys| keys.iter().map(|key| key.index).collect())
    }

    #[test]
    fn a_key_without_its_value_is_noticed() {
        let pairs = KeyRange { first: 1, last: -1, step: 2 };
        assert_eq!([3, 4, 5, 6].map(|argc| pairs.is_torn(argc)), [false, true, false, true]);
        let single = KeyRange { step: 1, ..pairs };
        assert!((2..9).all(|argc| !single.is_torn(argc)));
    }

    #[test]
    fn plans() {
        const RO: &[KeyFlags] = &[KeyFlags::RO];
        static ONE: [KeySpec; 1] = [KeySpec::at(1, RO)];
        static PAIRS: [KeySpec; 1] = [KeySpec::range(1, -1, 2, RO)];
        static TWO: [KeySpec; 2] = [KeySpec::at(1, RO), KeySpec::at(2, RO)];
        static TARGET_AND_SOURCES: [KeySpec; 2] = [KeySpec::at(2, RO), KeySpec::from(3, RO)];
        static APART: [KeySpec; 2] = [KeySpec::at(1, RO), KeySpec::at(3, RO)];
        let plan = |keys| KeyPlan::of(&spec(keys));
        assert_eq!(plan(&[]), KeyPlan::None);
        assert_eq!(plan(&ONE), KeyPlan::One(1));
        assert_eq!(plan(&PAIRS), KeyPlan::Range(KeyRange { first: 1, last: -1, step: 2 }));
        assert_eq!(plan(&TWO), KeyPlan::Range(KeyRange { first: 1, last: 2, step: 1 }));
        assert_eq!(plan(&TARGET_AND_SOURCES), KeyPlan::Range(KeyRange { first: 2, last: -1, step: 1 }));
        assert_eq!(plan(&APART), KeyPlan::Search);
    }

    #[test]
    fn ranges_stay_within_the_arguments() {
        let range = |first, last, step| {
            move |argc| KeyRange { first, last, step }.positions(argc).collect::<Vec<_>>()
        };
        assert_eq!(range(1, -1, 2)(5), [1, 3]);
        assert_eq!(range(1, -1, 2)(4), [1, 3]);
        assert_eq!(range(1, -2, 1)(4), [1, 2]);
        assert_eq!(range(1, 2, 1)(2), [1]);
        assert_eq!(range(2, -1, 1)(1), [0; 0]);
    }

    #[test]
    fn counted_and_announced_keys() {
        const ANNOUNCED: KeySpec = KeySpec {
            flags: KeyFlags::RO,
            begin: BeginSearch::Keyword { keyword: "STREAMS", from: 1 },
            find: FindKeys::Range { last: -1, step: 1, limit: 2 },
            notes: "",
        };
        const COUNTED: KeySpec = KeySpec {
            begin: BeginSearch::Index(1),
            find: FindKeys::KeyNum { count: 0, first: 1, step: 1 },
            ..ANNOUNCED
        };
        const FROM_BEHIND: KeySpec = KeySpec {
            begin: BeginSearch::Keyword { keyword: "KEYS", from: -2 },
            find: FindKeys::Range { last: -1, step: 1, limit: 0 },
            ..ANNOUNCED
        };
        assert_eq!(indexes(&spec(&[ANNOUNCED]), "xread block 0 streams a b 0 0"), Ok(vec![4, 5]));
        assert_eq!(indexes(&spec(&[ANNOUNCED]), "xread a b"), Ok(vec![]));
        assert_eq!(indexes(&spec(&[COUNTED]), "x 2 a b c"), Ok(vec![2, 3]));
        assert!(indexes(&spec(&[COUNTED]), "x 2 a").is_err());
        assert!(indexes(&spec(&[COUNTED]), "x -1 a").is_err());
        assert!(indexes(&spec(&[COUNTED]), "x 01 a").is_err());
        assert_eq!(indexes(&spec(&[COUNTED]).flags(&[Flags::NO_MANDATORY_KEYS]), "x 0"), Ok(vec![]));
        assert_eq!(indexes(&spec(&[FROM_BEHIND]), "migrate h p keys a b"), Ok(vec![4, 5]));
        assert_eq!(indexes(&spec(&[ANNOUNCED]), "xread streams"), Ok(vec![]));
        assert_eq!(indexes(&spec(&[FROM_BEHIND]), "x"), Ok(vec![]));
    }

    #[test]
    fn the_destination_of_sort() {
        let spec = spec(&[]).key_finder(sort_keys);
        for (call, wanted) in [
            ("sort a", vec![1]),
            ("sort a by store get store store b alpha", vec![1, 7]),
            ("sort a store b store c", vec![1, 5]),
            ("sort a limit store 1 desc", vec![1]),
            ("sort a store", vec![1]),
        ] {
            assert_eq!(indexes(&spec, call), Ok(wanted), "{call}");
        }
    }

    #[test]
    fn flags_that_depend_on_the_arguments() {
        let read = KeyFlags::RO | KeyFlags::ACCESS;
        let write = KeyFlags::RW | KeyFlags::ACCESS | KeyFlags::UPDATE;
        assert_eq!(set_key_flags(&split("set get v")), KeyFlags::OW | KeyFlags::UPDATE);
        assert_eq!(set_key_flags(&split("set k v EX 1 Get")), write);
        assert_eq!(bitfield_key_flags(&split("bitfield k")), read);
        assert_eq!(bitfield_key_flags(&split("bitfield k get u8 0 overflow sat GET u8 8")), read);
        assert_eq!(bitfield_key_flags(&split("bitfield k get u8 0 set u8 0 1")), write);
        assert_eq!(bitfield_key_flags(&split("bitfield k get u8")), write);
    }
}
