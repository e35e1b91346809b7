//! Transactions.

use super::words::*;
use crate::admin::transactions;

pub(super) static ROWS: &[Entry] = &[
    Entry::new(
        Spec::new("discard", 1, Group::Transactions)
            .flags(&[NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY, UNQUEUED])
            .categories(Categories::TRANSACTION)
            .docs(
                "Forgets the queued commands of a transaction.",
                "2.0.0",
                "O(N), when N is the number of queued commands",
            ),
    )
    .session(transactions::discard),
    Entry::new(
        Spec::new("exec", 1, Group::Transactions)
            .flags(&[NOSCRIPT, LOADING, STALE, SKIP_SLOWLOG, UNQUEUED])
            .categories(Categories::TRANSACTION)
            .docs(
                "Runs the queued commands of a transaction as one.",
                "1.2.0",
                "Depends on commands in the transaction",
            ),
    )
    .exec(),
    Entry::new(
        Spec::new("multi", 1, Group::Transactions)
            .flags(&[NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY, UNQUEUED])
            .categories(Categories::TRANSACTION)
            .docs("Begins a transaction: commands are queued until EXEC.", "1.2.0", "O(1)"),
    )
    .session(transactions::multi),
    Entry::new(
        Spec::new("unwatch", 1, Group::Transactions)
            .flags(&[NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY])
            .categories(Categories::TRANSACTION)
            .docs("Forgets which keys the connection watches.", "2.2.0", "O(1)"),
    )
    .session(transactions::unwatch),
    Entry::new(
        Spec::new("watch", -2, Group::Transactions)
            .flags(&[NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY, UNQUEUED])
            .categories(Categories::TRANSACTION)
            .keys(KEYS_LOOK)
            .docs(
                "Has the next transaction run only if none of these keys changes before.",
                "2.2.0",
                "O(1) for every key.",
            )
            .syntax("key [key ...]"),
    )
    .session(transactions::watch),
];
