//! Tests of [`super`]: changes of an item against a plain model of it.

use super::*;
use proptest::prelude::*;

fn bytes_of(item: &Item) -> Vec<u8> {
    item.str().with_bytes(<[u8]>::to_vec)
}

#[test]
fn a_short_key_and_value_take_forty_bytes() {
    let item = Item::string(&[b'k'; 16], &[b'v'; 16], None);
    assert_eq!(item.memory_usage_bytes(), 40);
    assert_eq!(Item::string(&[b'k'; 16], &[b'v'; 16], Some(1)).memory_usage_bytes(), 48);
}

#[test]
fn encodings_are_those_of_redis() {
    let encoding = |value: &[u8]| Item::string(b"key", value, None).encoding();
    for number in ["0", "-1", "10", "9223372036854775807", "-9223372036854775808"] {
        assert_eq!(encoding(number.as_bytes()), Encoding::Int, "{number}");
    }
    for other in ["", "-", "-0", "00", "01", "+1", " 1", "1 ", "9223372036854775808", "-9223372036854775809"]
    {
        assert_eq!(encoding(other.as_bytes()), Encoding::Embstr, "{other}");
    }
    assert_eq!(encoding(&[b'1'; 20]), Encoding::Embstr);
    assert_eq!(encoding(&[b'x'; 44]), Encoding::Embstr);
    assert_eq!(encoding(&[b'x'; 45]), Encoding::Raw);
    assert_eq!(encoding(&[b'x'; INLINE_MAX + 1]), Encoding::Raw);
    let mut item = Item::string(b"key", b"12", None);
    item.string_mut().push(b'3');
    assert_eq!((item.encoding(), bytes_of(&item)), (Encoding::Raw, b"123".to_vec()));
}

#[test]
fn tags_survive_every_change() {
    let mut item = Item::string(b"key", b"value", None);
    item.set_tag(0xabcd);
    item.set_expire_at_ms(Some(5));
    item.set_str(Str::Bytes(&[b'x'; 100]));
    item.string_mut().extend_from_slice(&[b'y'; 5000]);
    item.overwrite(b"key", Str::Int(3), None, 7);
    assert_eq!((item.tag(), item.lru(), item.str()), (0xabcd, 7, Str::Int(3)));
    assert_eq!(item.renamed(b"other").tag(), 0xabcd);
}

#[test]
fn a_wide_key_is_aligned_and_kept() {
    let key = vec![b'k'; 300];
    let mut item = Item::string(&key, b"value", Some(9));
    assert!(item.key_is(&key) && !item.key_is(&key[1..]));
    item.set_expire_at_ms(None);
    let item = item.renamed(b"short").renamed(&key);
    assert_eq!((item.key(), bytes_of(&item)), (&key[..], b"value".to_vec()));
}

#[derive(Debug, Clone)]
enum Change {
    Overwrite(Vec<u8>, Option<i64>),
    SetStr(Vec<u8>),
    Append(Vec<u8>),
    Expire(Option<i64>),
    Rename(Vec<u8>),
    Clone(Vec<u8>),
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..70),
        2 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        1 => (INLINE_MAX - 2..INLINE_MAX + 3).prop_map(|len| vec![b'z'; len]),
    ]
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => proptest::collection::vec(any::<u8>(), 0..40), 1 => (250usize..260).prop_map(|n| vec![b'k'; n])]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (value(), any::<Option<i64>>()).prop_map(|(value, at)| Change::Overwrite(value, at)),
        value().prop_map(Change::SetStr),
        value().prop_map(Change::Append),
        any::<Option<i64>>().prop_map(Change::Expire),
        key().prop_map(Change::Rename),
        key().prop_map(Change::Clone),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 10 } else { 256 }))]
    #[test]
    fn changes_do_what_they_say(
        mut name in key(),
        mut bytes in value(),
        mut at in any::<Option<i64>>(),
        changes in proptest::collection::vec(change(), 0..20),
    ) {
        let mut item = Item::string(&name, &bytes, at);
        item.set_lru(0x12_3456);
        for change in changes {
            match change {
                Change::Overwrite(value, expiry) => {
                    item.overwrite(&name, Str::classify(&value), expiry, 0x12_3456);
                    (bytes, at) = (value, expiry);
                }
                Change::SetStr(value) => {
                    item.set_str(Str::classify(&value));
                    bytes = value;
                }
                Change::Append(more) => {
                    item.string_mut().extend_from_slice(&more);
                    bytes.extend_from_slice(&more);
                }
                Change::Expire(expiry) => {
                    item.set_expire_at_ms(expiry);
                    at = expiry;
                }
                Change::Rename(key) => {
                    item = item.renamed(&key);
                    name = key;
                }
                Change::Clone(key) => {
                    item = item.clone_as(&key);
                    name = key;
                }
            }
            prop_assert_eq!(item.key(), &name[..]);
            prop_assert_eq!(bytes_of(&item), bytes.clone());
            prop_assert_eq!(item.expire_at_ms(), at);
            prop_assert_eq!(item.lru(), 0x12_3456);
            prop_assert!(item.memory_usage_bytes() >= 8 + name.len());
        }
    }

    #[test]
    fn equality_of_bytes(a in proptest::collection::vec(0u8..2, 0..40), b in proptest::collection::vec(0u8..2, 0..40), flip in any::<prop::sample::Index>()) {
        prop_assert_eq!(same_bytes(&a, &b), a == b);
        let mut c = a.clone();
        prop_assert!(same_bytes(&a, &c));
        if !c.is_empty() {
            let at = flip.index(c.len());
            c[at] ^= 1;
            prop_assert!(!same_bytes(&a, &c));
        }
    }
}
