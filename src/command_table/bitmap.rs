//! The commands on the bits of strings.

use super::words::*;
use crate::execute::bitmaps;

pub(super) static ROWS: &[Entry] = &[
    Entry::new(
        Spec::new("bitcount", -2, Group::Bitmap)
            .flags(&[READONLY])
            .categories(Categories::BITMAP)
            .keys(KEY_READ)
            .spread(Keys)
            .docs("Counts the bits that are 1, in all of a string or a range of it.", "2.6.0", "O(N)")
            .syntax("key range: [start end unit: [BYTE | BIT]@7.0.0]")
            .history(&[("7.0.0", "Added the `BYTE|BIT` option.")]),
    )
    .keys(bitmaps::bitcount),
    Entry::new(
        Spec::new("bitfield", -2, Group::Bitmap)
            .flags(&[WRITE, DENYOOM])
            .categories(Categories::BITMAP)
            .keys(&[KeySpec::at(1, &[RW, UPDATE, ACCESS, VARIABLE_FLAGS])
                .notes("This command allows both access and modification of the key")])
            .variable_flags(bitfield_key_flags)
            .spread(Keys)
            .docs(
                "Reads, writes and increments integers of any width inside a string.",
                "3.2.0",
                "O(1) for each subcommand specified",
            )
            .syntax(
                "key operation: [get-block: GET encoding offset | write: <[overflow-block: \
                 OVERFLOW <WRAP | SAT | FAIL>] write-operation: <set-block: SET encoding \
                 offset value/integer | incrby-block: INCRBY encoding offset increment>> ...]",
            ),
    )
    .keys(bitmaps::bitfield),
    Entry::new(
        Spec::new("bitfield_ro", -2, Group::Bitmap)
            .flags(&[READONLY, FAST])
            .categories(Categories::BITMAP)
            .keys(KEY_READ)
            .spread(Keys)
            .docs(
                "Reads integers of any width inside a string.",
                "6.0.0",
                "O(1) for each subcommand specified",
            )
            .syntax("key [GET encoding offset get-block: [GET encoding offset ...]]"),
    )
    .keys(bitmaps::bitfield_ro),
    Entry::new(
        Spec::new("bitop", -4, Group::Bitmap)
            .flags(&[WRITE, DENYOOM])
            .categories(Categories::BITMAP)
            .keys(&[KeySpec::at(2, &[OW, UPDATE]), KeySpec::from(3, &[RO, ACCESS])])
            .spread(Keys)
            .docs("Combines strings bit by bit and stores the outcome.", "2.6.0", "O(N)")
            .syntax("operation: <AND | OR | XOR | NOT> destkey key [key ...]"),
    )
    .keys(bitmaps::bitop),
    Entry::new(
        Spec::new("bitpos", -3, Group::Bitmap)
            .flags(&[READONLY])
            .categories(Categories::BITMAP)
            .keys(KEY_READ)
            .spread(Keys)
            .docs("Finds the first bit that is 0, or 1, in a string.", "2.8.7", "O(N)")
            .syntax("key bit range: [start end-unit-block: [end unit: [BYTE | BIT]@7.0.0]]")
            .history(&[("7.0.0", "Added the `BYTE|BIT` option.")]),
    )
    .keys(bitmaps::bitpos),
    Entry::new(
        Spec::new("getbit", 3, Group::Bitmap)
            .flags(&[READONLY, FAST])
            .categories(Categories::BITMAP)
            .keys(KEY_READ)
            .spread(Keys)
            .docs("Reads one bit of a string.", "2.2.0", "O(1)")
            .syntax("key offset"),
    )
    .keys(bitmaps::getbit),
    Entry::new(
        Spec::new("setbit", 4, Group::Bitmap)
            .flags(&[WRITE, DENYOOM])
            .categories(Categories::BITMAP)
            .keys(KEY_MODIFY)
            .spread(Keys)
            .docs("Writes one bit of a string, growing it where needed.", "2.2.0", "O(1)")
            .syntax("key offset value/integer"),
    )
    .keys(bitmaps::setbit),
];
