//! What is written for which value, and what is refused. The bytes of every type are compared with those of Redis by
//! `tests/dump.rs`.

use proptest::prelude::*;

use super::payload::{opened, restore, sealed};
use super::*;
use crate::shard::values::{Set, SetRules, Typed};
use crate::shard::{Encoding, Hasher, Item, Settings, Str};
use crate::types::Listpack;

fn rules() -> Rules {
    Rules { settings: Settings::default(), hasher: Hasher::from_seed(3) }
}

fn read(body: &[u8]) -> Result<Item, Error> {
    restore(body, &rules()).map(|object| object.into_item(b"key", None))
}

fn written(item: &Item) -> Vec<u8> {
    let payload = payload::dump(item, true);
    opened(&payload).expect("a valid footer").to_vec()
}

fn set_of(members: &[&str]) -> Item {
    let rules = SetRules::new(&Settings::default(), &Hasher::from_seed(3));
    let mut set = Set::default();
    members.iter().for_each(|member| {
        set.insert(Str::classify(member.as_bytes()), &rules);
    });
    Item::collection(b"key", set.wrap(), None)
}

proptest! {
    #[test]
    fn elements_come_back(lengths: Vec<u64>, texts: Vec<Vec<u8>>, repeated in "[ab]{0,300}", compress: bool, shift in 0..64) {
        let mut writer = Writer::new(Vec::new(), compress);
        lengths.iter().for_each(|&length| writer.length(length >> shift));
        texts.iter().for_each(|text| writer.blob(text));
        lengths.iter().for_each(|&number| writer.string(Str::Int(number as i64 >> shift)));
        writer.blob(repeated.as_bytes());
        let bytes = writer.into_output();
        let mut reader = Reader::new(&bytes);
        for length in &lengths {
            prop_assert_eq!(reader.length(), Ok(length >> shift));
        }
        for text in &texts {
            prop_assert_eq!(&reader.blob().unwrap()[..], &text[..]);
        }
        for &number in &lengths {
            let text = reader.string().unwrap();
            prop_assert_eq!(text.str(), Str::Int(number as i64 >> shift));
        }
        prop_assert_eq!(&reader.blob().unwrap()[..], repeated.as_bytes());
        prop_assert!(reader.rest().is_empty());
    }

    #[test]
    fn a_value_that_is_cut_off_is_known_as_such(members in proptest::collection::btree_set("[a-z]{1,30}", 1..40), cut in 0usize..1000) {
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        let body = written(&set_of(&members));
        let cut = 1 + cut % (body.len() - 1);
        prop_assert_eq!(decode(body[0], &mut Reader::new(&body[1..cut]), &rules()).unwrap_err(), Error::Truncated);
    }
}

#[test]
fn a_set_is_written_so_that_its_encoding_comes_back() {
    for (members, kind, encoding) in [
        (vec!["1", "70000"], types::SET_INTSET, Encoding::Intset),
        (vec!["1", "a"], types::SET, Encoding::Listpack),
    ] {
        let item = set_of(&members);
        assert_eq!((written(&item)[0], item.encoding()), (kind, encoding));
        assert_eq!(read(&written(&item)).unwrap().encoding(), encoding);
    }
    // As a row of members it would become an array of numbers.
    let mut pack = Listpack::new();
    pack.push_back(Str::Int(1));
    let numbers = Item::collection(b"key", Set::Listpack(pack).wrap(), None);
    assert_eq!(written(&numbers), b"\x14\x09\x09\0\0\0\x01\0\x01\x01\xff");
    assert_eq!(read(&written(&numbers)).unwrap().encoding(), Encoding::Listpack);
}

#[test]
fn a_payload_names_the_version_that_its_type_is_from() {
    for (kind, version) in
        [(types::STRING, 9), (types::STREAM, 9), (types::STREAM_2, 10), (types::SET_LISTPACK, 11)]
    {
        assert_eq!(version_of(kind), version);
    }
    assert_eq!(version_of(types::HASH_LISTPACK_EX), VERSION);
    assert_eq!(opened(&sealed(b"body".to_vec(), VERSION)), Some(&b"body"[..]));
    assert_eq!(opened(&sealed(b"body".to_vec(), VERSION + 1)), None);
}

#[test]
fn fields_with_expiries_must_be_in_order() {
    let mut pack = Listpack::new();
    for (field, expire_at_ms) in [(b"a", 0), (b"b", 2000), (b"c", 1000)] {
        pack.extend(&[Str::Bytes(field), Str::Int(1), Str::Int(expire_at_ms)]);
    }
    let mut writer = Writer::new(vec![types::HASH_LISTPACK_EX_PRE_GA], false);
    writer.blob(pack.as_bytes());
    assert!(read(&writer.into_output()).is_err());
}

#[test]
fn what_contradicts_itself_is_refused() {
    let cases: [(&[u8], &str); 14] = [
        (b"\x06\x01a", "an unknown type"),
        (b"\x07\x01a", "an unknown type"),
        (b"\x00\xc4", "an unknown form of a string"),
        (b"\x00\x82", "an unknown form of a length"),
        (b"\x01\xc0", "a string in the place of a length"),
        (b"\x00\x01aa", "there is more than a value"),
        (b"\x00\xc3\x02\x05\x00a", "a string that cannot be decompressed"),
        (b"\x02\x02\x01a\x01a", "a set with a member twice"),
        (b"\x02\x02\x011\xc0\x01", "a set with a member twice"),
        (b"\x04\x02\x01a\x01b\x01a\x01c", "a hash with a field twice"),
        (b"\x05\x01\x01a\0\0\0\0\0\0\xf8\x7f", "a score that is no number"),
        (b"\x0b\x0c\x02\0\0\0\x02\0\0\0\x02\0\x01\0", "an array of numbers that is not in order"),
        (b"\x12\x01\x01\x00", "a node without an element"),
        (b"\x12\x01\x03\x01a", "an unknown kind of node"),
    ];
    for (body, problem) in cases {
        assert_eq!(read(body).unwrap_err(), Error::Corrupt(problem), "{}", body.escape_ascii());
    }
    for empty in [&b"\x01\x00"[..], b"\x02\x00", b"\x03\x00", b"\x04\x00", b"\x0e\x00", b"\x12\x00"] {
        assert_eq!(read(empty).unwrap_err(), Error::Empty);
    }
}

#[test]
fn lengths_without_bytes_take_no_memory() {
    for kind in (0..=25).filter(|kind| ![6, 7, 8].contains(kind)) {
        for length in [&b"\x81\xff\xff\xff\xff\xff\xff\xff\xff"[..], b"\x80\xff\xff\xff\xff"] {
            assert!(read(&[&[kind][..], length, b"\x01a\x01b"].concat()).is_err());
        }
    }
}
