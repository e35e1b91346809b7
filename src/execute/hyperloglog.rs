//! HyperLogLog commands (redis.io/docs/latest/commands/?group=hyperloglog). A sketch is a string in the form of
//! [`types::hyperloglog`](crate::types::hyperloglog), and stays a buffer that can be changed once one of these
//! commands has used it.

use super::strings;
use super::{Class, Exec};
use crate::execute::arguments::shown;
use crate::protocol::Error;
use crate::shard::{Item, Key, Shard};
use crate::types::hyperloglog::{self, Encoding, Registers, Sketch, View};

/// `PFADD key [element ...]`
pub fn pfadd(cx: &mut Exec<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let created = create_if_absent(cx.shard, cx.db, &key)?;
    let mut sketch = stored(cx.shard, cx.db, &key)?;
    let mut changed = u64::from(created);
    for element in &cx.args[2..] {
        match sketch.add(element) {
            Ok(raised) => changed += u64::from(raised),
            Err(error) => {
                // What was added before stays.
                cx.value_effect(cx.db, &key);
                return Err(error);
            }
        }
    }
    if changed > 0 {
        sketch.invalidate_cache();
        cx.wrote(Class::STRING, "pfadd", &key);
    }
    cx.changes += changed;
    cx.reply.int(i64::from(changed > 0));
    Ok(())
}

/// `PFCOUNT key [key ...]`. The estimate of a single key is stored with it.
pub fn pfcount(cx: &mut Exec<'_>) -> Result<(), Error> {
    let count = match cx.args.len() {
        2 => count_one(cx)?,
        len => union(cx, 1..len)?.registers.count(),
    };
    cx.reply.int(count as i64);
    Ok(())
}

fn count_one(cx: &mut Exec<'_>) -> Result<u64, Error> {
    let key = cx.key(1);
    if strings::read(cx.shard, cx.db, &key)?.is_none() {
        return Ok(0);
    }
    let mut sketch = stored(cx.shard, cx.db, &key)?;
    if let Some(count) = sketch.view().cached() {
        return Ok(count);
    }
    let count = sketch.view().count()?;
    sketch.set_cache(count);
    cx.modified(&key);
    cx.changes += 1;
    Ok(count)
}

/// `PFMERGE destkey [sourcekey ...]`
pub fn pfmerge(cx: &mut Exec<'_>) -> Result<(), Error> {
    let Union { registers, any_dense } = union(cx, 1..cx.args.len())?;
    let key = cx.key(1);
    create_if_absent(cx.shard, cx.db, &key)?;
    let mut sketch = stored(cx.shard, cx.db, &key)?;
    if any_dense {
        sketch.make_dense()?;
    }
    for (index, value) in registers.non_zero() {
        sketch.raise(index, value)?;
    }
    sketch.invalidate_cache();
    cx.wrote(Class::STRING, "pfadd", &key);
    cx.value_effect(cx.db, &key);
    cx.changes += 1;
    cx.reply.ok();
    Ok(())
}

/// `PFDEBUG GETREG|DECODE|ENCODING|TODENSE key`
pub fn pfdebug(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (name, key) = (cx.args[1], cx.key(2));
    if strings::write(cx.shard, cx.db, &key)?.is_none() {
        return Err(Error::text("ERR The specified key does not exist"));
    }
    let mut sketch = stored(cx.shard, cx.db, &key)?;
    let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
    if is("getreg") {
        cx.changes += u64::from(sketch.make_dense()?);
        cx.reply.array(hyperloglog::REGISTERS);
        for value in sketch.view().dense_registers() {
            cx.reply.int(i64::from(value));
        }
    } else if is("decode") {
        if sketch.view().encoding() != Encoding::Sparse {
            return Err(Error::text("ERR HLL encoding is not sparse"));
        }
        cx.reply.bulk(sketch.view().describe_runs());
    } else if is("encoding") {
        cx.reply.status(sketch.view().encoding().name());
    } else if is("todense") {
        let converted = sketch.make_dense()?;
        cx.changes += u64::from(converted);
        cx.reply.int(i64::from(converted));
    } else {
        return Err(format!("ERR Unknown PFDEBUG subcommand '{}'", shown(name)).into());
    }
    if cx.changes > 0 {
        cx.arguments_effect(&key);
    }
    Ok(())
}

/// `PFSELFTEST`
pub fn pfselftest(cx: &mut Exec<'_>) -> Result<(), Error> {
    let seed = cx.shard.rng.next_u64();
    hyperloglog::self_test(seed, cx.shard.settings.hll_sparse_max_bytes)?;
    cx.reply.ok();
    Ok(())
}

/// The union of several sketches.
#[derive(Default)]
struct Union {
    registers: Registers,
    any_dense: bool,
}

/// The union of the sketches at the keys among these arguments. Missing ones are empty.
fn union(cx: &mut Exec<'_>, keys: std::ops::Range<usize>) -> Result<Union, Error> {
    let mut union = Union::default();
    for index in keys {
        let key = cx.key(index);
        let Some(value) = strings::read(cx.shard, cx.db, &key)? else { continue };
        value.with_bytes(|bytes| {
            let sketch = View::of(bytes)?;
            union.any_dense |= sketch.encoding() == Encoding::Dense;
            union.registers.merge(sketch)
        })?;
    }
    Ok(union)
}

/// Makes an empty sketch where no key is. Says whether it did.
fn create_if_absent(shard: &mut Shard, db: usize, key: &Key<'_>) -> Result<bool, Error> {
    let absent = strings::write(shard, db, key)?.is_none();
    if absent {
        shard.insert(db, key, Item::heap(key.bytes, Sketch::empty(), None));
    }
    Ok(absent)
}

/// The sketch at a key that is there and holds a string.
fn stored<'s>(shard: &'s mut Shard, db: usize, key: &Key<'_>) -> Result<Sketch<'s>, Error> {
    const THERE: &str = "the key was just found or inserted";
    let item = shard.dbs.of(db, key).get(key).expect(THERE);
    // What is no sketch stays stored as it is.
    item.str().with_bytes(|bytes| View::of(bytes).map(drop))?;
    let max_bytes = shard.settings.hll_sparse_max_bytes;
    Sketch::of(shard.dbs.of_mut(db, key).string_mut(key).expect(THERE), max_bytes)
}

#[cfg(test)]
mod tests {
    use crate::execute::strings::testing::Bench;

    #[test]
    fn adding_and_counting() {
        let mut bench = Bench::new();
        for (line, reply, changes) in [
            ("pfcount h", ":0", 0),
            ("pfadd h", ":1", 1),
            ("pfadd h", ":0", 0),
            ("pfcount h", ":0", 1),
            ("pfadd h a b c a", ":1", 3),
            ("pfadd h a", ":0", 0),
            ("pfcount h", ":3", 1),
            ("pfcount h", ":3", 0),
            ("pfadd i c d", ":1", 3),
            ("pfcount h i none", ":4", 0),
            ("pfmerge t h i", "+OK", 1),
            ("pfcount t", ":4", 1),
            ("pfmerge new", "+OK", 1),
            ("pfcount new", ":0", 1),
            ("pfdebug encoding t", "+sparse", 0),
            ("pfdebug todense i", ":1", 1),
            ("pfdebug todense i", ":0", 0),
            ("pfmerge t i", "+OK", 1),
            ("pfdebug encoding t", "+dense", 0),
            ("pfcount t", ":4", 1),
        ] {
            assert_eq!(bench.line(line), reply, "{line}");
            assert_eq!(bench.changes, changes, "{line}");
        }
    }

    #[test]
    fn what_is_no_sketch() {
        const NOT: &str = "-WRONGTYPE Key is not a valid HyperLogLog string value.";
        const INVALID: &str = "-INVALIDOBJ Corrupted HLL object detected";
        let mut bench = Bench::new();
        bench.expect(&[
            ("set n 1", "+OK"),
            ("pfadd n a", NOT),
            ("pfcount n", NOT),
            ("pfcount n none", NOT),
            ("pfmerge n", NOT),
            ("pfmerge t n", NOT),
            ("pfdebug decode n", NOT),
            ("pfdebug decode none", "-ERR The specified key does not exist"),
            ("pfadd h a b c", ":1"),
            ("pfdebug none h", "-ERR Unknown PFDEBUG subcommand 'none'"),
            ("append h hello", ":32"),
            ("pfcount h", INVALID),
            ("pfcount h t", INVALID),
            ("pfmerge t h", INVALID),
            ("pfdebug getreg h", INVALID),
            ("pfdebug todense h", INVALID),
        ]);
        assert_eq!(bench.item("n").unwrap().encoding().name(), "int");
        assert!(bench.item("t").is_none());
    }

    #[test]
    fn limits_apply_to_what_is_added() {
        let mut bench = Bench::new();
        bench.expect(&[("pfadd h a b c d e f", ":1"), ("pfdebug encoding h", "+sparse")]);
        bench.shard.settings.hll_sparse_max_bytes = 30;
        bench.expect(&[
            ("pfdebug encoding h", "+sparse"),
            ("pfadd h g", ":1"),
            ("pfdebug encoding h", "+dense"),
            ("pfdebug decode h", "-ERR HLL encoding is not sparse"),
            ("pfcount h", ":7"),
        ]);
    }

    #[test]
    fn the_self_test_passes() {
        Bench::new().expect(&[("pfselftest", "+OK")]);
    }

    #[test]
    fn runs_as_text() {
        Bench::new().expect(&[
            ("pfadd h", ":1"),
            ("pfdebug decode h", "$7 Z:16384"),
            ("pfadd h a b c", ":1"),
            ("pfdebug decode h", "$44 Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603"),
        ]);
    }
}
