//! Streams: their nodes as Redis has them, what is known about the entries, and the groups with what is pending.

use std::collections::BTreeMap;

use super::{Error, Output, Reader, Writer, packed, types};
use crate::shard::values::Stream;
use crate::types::stream::{Consumer, Counters, Group, Id};

/// What stands for a count that is not known.
const UNKNOWN: u64 = u64::MAX;
/// What stands for a time that has not come.
const NEVER: i64 = -1;

const CORRUPT: Error = Error::Corrupt("a stream that contradicts itself");
const BAD_TIME: Error = Error::Corrupt("a time before 1970");

/// Redis wrote when a consumer was last active from 7.2 on only; what was written before is read as if that were the
/// time that it was last seen.
pub(super) fn type_of(stream: &Stream) -> u8 {
    let is_plain = |consumer: &Consumer| consumer.active_ms == Some(consumer.seen_ms);
    let is_plain = stream.groups().values().flat_map(|group| group.consumers().values()).all(is_plain);
    if is_plain { types::STREAM_2 } else { types::STREAM_3 }
}

pub(super) fn write(stream: &Stream, writer: &mut Writer<impl Output>) {
    let has_active = type_of(stream) == types::STREAM_3;
    let nodes = stream.log().nodes();
    writer.length(nodes.len() as u64);
    for (id, pack) in nodes {
        writer.blob(&raw_id(id));
        writer.blob(pack.as_bytes());
    }
    let counters = stream.counters();
    writer.length(counters.len);
    write_id(counters.last_id, writer);
    write_id(counters.first_id, writer);
    write_id(counters.max_deleted_id, writer);
    writer.length(counters.entries_added);
    writer.length(stream.groups().len() as u64);
    for (name, group) in stream.groups() {
        writer.blob(name);
        write_group(group, has_active, writer);
    }
}

fn write_group(group: &Group, has_active: bool, writer: &mut Writer<impl Output>) {
    write_id(group.last_id, writer);
    writer.length(group.entries_read.map_or(UNKNOWN, |count| count as u64));
    writer.length(group.pending().len() as u64);
    for (id, pending) in group.pending() {
        writer.raw(&raw_id(*id));
        writer.millis(pending.delivered_ms);
        writer.length(pending.deliveries);
    }
    writer.length(group.consumers().len() as u64);
    for (name, consumer) in group.consumers() {
        writer.blob(name);
        writer.millis(consumer.seen_ms);
        if has_active {
            writer.millis(consumer.active_ms.unwrap_or(NEVER));
        }
        writer.length(consumer.pending().len() as u64);
        consumer.pending().iter().for_each(|id| writer.raw(&raw_id(*id)));
    }
}

pub(super) fn read(kind: u8, reader: &mut Reader<'_>) -> Result<Stream, Error> {
    let mut nodes = Vec::new();
    for _ in 0..reader.length()? {
        let id = reader.blob()?;
        let id = Reader::new(&id).array().ok().filter(|_| id.len() == size_of::<Id>()).ok_or(CORRUPT)?;
        nodes.push((id_of(id), packed::raw_listpack(reader)?));
    }
    let mut stream = Stream::from_nodes(nodes).ok_or(CORRUPT)?;
    let counters = read_counters(kind, reader, stream.counters())?;
    if !stream.set_counters(counters) {
        return Err(CORRUPT);
    }
    for _ in 0..reader.length()? {
        let name = reader.blob()?;
        let group = read_group(kind, reader, &counters)?;
        if !stream.create_group(&name, group) {
            return Err(Error::Corrupt("a stream with a group twice"));
        }
    }
    Ok(stream)
}

/// What is known about the entries, of which `found` have been read. The first of them is known from there.
fn read_counters(kind: u8, reader: &mut Reader<'_>, found: &Counters) -> Result<Counters, Error> {
    let (len, last_id) = (reader.length()?, read_id(reader)?);
    let mut counters =
        Counters { len, first_id: found.first_id, last_id, max_deleted_id: Id::MIN, entries_added: len };
    if kind != types::STREAM {
        read_id(reader)?;
        counters.max_deleted_id = read_id(reader)?;
        counters.entries_added = reader.length()?;
    }
    Ok(counters)
}

fn read_group(kind: u8, reader: &mut Reader<'_>, counters: &Counters) -> Result<Group, Error> {
    let last_id = read_id(reader)?;
    let entries_read = match kind {
        types::STREAM => counters.entries_up_to(last_id),
        _ => Some(reader.length()?).filter(|&count| count != UNKNOWN).map(|count| count as i64),
    };
    let mut pending = BTreeMap::new();
    for _ in 0..reader.length()? {
        let id = id_of(reader.array()?);
        let delivery = (past(reader)?, reader.length()?);
        if pending.insert(id, delivery).is_some() {
            return Err(Error::Corrupt("an entry that is pending twice"));
        }
    }
    let mut group = Group::new(last_id, entries_read);
    for _ in 0..reader.length()? {
        let name = reader.blob()?;
        let seen_ms = past(reader)?;
        let active_ms = match kind {
            types::STREAM_3 => Some(reader.millis()?).filter(|&at| at != NEVER),
            _ => Some(seen_ms),
        };
        if active_ms.is_some_and(|at| at < 0) {
            return Err(BAD_TIME);
        }
        if !group.create_consumer(&name, seen_ms) {
            return Err(Error::Corrupt("a group with a consumer twice"));
        }
        if let Some(consumer) = group.consumer_mut(&name) {
            consumer.active_ms = active_ms;
        }
        for _ in 0..reader.length()? {
            let id = id_of(reader.array()?);
            let (delivered_ms, deliveries) = pending.remove(&id).ok_or(CORRUPT)?;
            group.assign(id, &name, delivered_ms, deliveries);
        }
    }
    if pending.is_empty() { Ok(group) } else { Err(Error::Corrupt("an entry that is pending for nobody")) }
}

/// A time in Unix milliseconds when something happened.
fn past(reader: &mut Reader<'_>) -> Result<i64, Error> {
    reader.millis().and_then(|at| if at < 0 { Err(BAD_TIME) } else { Ok(at) })
}

/// An ID as it names a node or a pending entry.
fn raw_id(id: Id) -> [u8; 16] {
    (u128::from(id.ms) << 64 | u128::from(id.seq)).to_be_bytes()
}

fn id_of(raw: [u8; 16]) -> Id {
    let both = u128::from_be_bytes(raw);
    Id::new((both >> 64) as u64, both as u64)
}

fn write_id(id: Id, writer: &mut Writer<impl Output>) {
    writer.length(id.ms);
    writer.length(id.seq);
}

fn read_id(reader: &mut Reader<'_>) -> Result<Id, Error> {
    Ok(Id::new(reader.length()?, reader.length()?))
}
