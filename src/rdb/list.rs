//! Lists: the nodes of a quicklist, each a listpack or one large element by itself. Redis writes a short list as one node.

use super::{Error, Output, Reader, Rules, Writer, old, packed, types};
use crate::shard::values::List;
use crate::types::quicklist::{End, OwnedPart, Part};

/// What a node is.
const PLAIN: u64 = 1;
const PACKED: u64 = 2;

pub(super) fn write(list: &List, writer: &mut Writer<impl Output>) {
    writer.length(list.parts().count() as u64);
    for part in list.parts() {
        let (container, bytes) = match part {
            Part::Plain(bytes) => (PLAIN, bytes),
            Part::Packed(bytes) => (PACKED, bytes),
        };
        writer.length(container);
        writer.blob(bytes);
    }
}

pub(super) fn read(kind: u8, reader: &mut Reader<'_>, rules: &Rules) -> Result<List, Error> {
    let limits = rules.settings.list_limits();
    let mut list = List::default();
    match kind {
        types::LIST => {
            for _ in 0..reader.count()? {
                reader.string()?.str().with_bytes(|element| list.push(End::Back, &[element], limits));
            }
        }
        types::LIST_ZIPLIST => {
            for element in old::ziplist(&reader.blob()?)? {
                element.with_bytes(|element| list.push(End::Back, &[element], limits));
            }
        }
        _ => {
            let mut parts = Vec::new();
            for _ in 0..reader.count()? {
                parts.push(part(kind, reader)?);
            }
            list = List::from_parts(parts, limits);
        }
    }
    Ok(list)
}

fn part(kind: u8, reader: &mut Reader<'_>) -> Result<OwnedPart, Error> {
    if kind == types::LIST_QUICKLIST {
        return packed::ziplist(reader).map(OwnedPart::Packed);
    }
    match reader.length()? {
        PACKED => packed::listpack(reader).map(OwnedPart::Packed),
        PLAIN => match reader.blob()? {
            bytes if bytes.is_empty() => Err(Error::Corrupt("a node without an element")),
            bytes => Ok(OwnedPart::Plain(bytes.into_owned())),
        },
        _ => Err(Error::Corrupt("an unknown kind of node")),
    }
}
