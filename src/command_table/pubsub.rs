//! The commands of publish and subscribe. Shard channels are routed like keys in a cluster, but are none.

use super::words::*;
use crate::admin::{self, pubsub};

/// Shard channels among the arguments.
const SHARD_CHANNELS: &[KeySpec] = &[KeySpec::from(1, &[NOT_KEY])];

pub(super) static ROWS: &[Entry] = &[
    Entry::new(
        Spec::new("psubscribe", -2, Group::PubSub)
            .flags(&[PUBSUB, NOSCRIPT, LOADING, STALE])
            .docs(
                "Listens to all channels that match patterns.",
                "2.0.0",
                "O(N) where N is the number of patterns to subscribe to.",
            )
            .syntax("pattern [pattern ...]"),
    )
    .session(pubsub::psubscribe),
    Entry::new(
        Spec::new("publish", 3, Group::PubSub)
            .flags(&[PUBSUB, LOADING, STALE, FAST, MAY_REPLICATE])
            .docs(
                "Sends a message to all that listen to a channel.",
                "2.0.0",
                "O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total \
                 number of subscribed patterns (by any client).",
            )
            .syntax("channel message"),
    )
    .session(pubsub::publish),
    Entry::new(Spec::new("pubsub", -2, Group::PubSub).docs(
        "Container of the commands about subscriptions.",
        "2.8.0",
        "Depends on subcommand.",
    ))
    .subcommands(PUBSUB_ROWS),
    Entry::new(
        Spec::new("punsubscribe", -1, Group::PubSub)
            .flags(&[PUBSUB, NOSCRIPT, LOADING, STALE])
            .docs(
                "Stops listening to channels that match patterns.",
                "2.0.0",
                "O(N) where N is the number of patterns to unsubscribe.",
            )
            .syntax("[pattern [pattern ...]]"),
    )
    .session(pubsub::punsubscribe),
    Entry::new(
        Spec::new("spublish", 3, Group::PubSub)
            .flags(&[PUBSUB, LOADING, STALE, FAST, MAY_REPLICATE])
            .keys(&[KeySpec::at(1, &[NOT_KEY])])
            .docs(
                "Sends a message to all that listen to a shard channel.",
                "7.0.0",
                "O(N) where N is the number of clients subscribed to the receiving shard channel.",
            )
            .syntax("shardchannel message"),
    )
    .session(pubsub::spublish),
    Entry::new(
        Spec::new("ssubscribe", -2, Group::PubSub)
            .flags(&[PUBSUB, NOSCRIPT, LOADING, STALE])
            .keys(SHARD_CHANNELS)
            .docs(
                "Listens to shard channels.",
                "7.0.0",
                "O(N) where N is the number of shard channels to subscribe to.",
            )
            .syntax("shardchannel [shardchannel ...]"),
    )
    .session(pubsub::ssubscribe),
    Entry::new(
        Spec::new("subscribe", -2, Group::PubSub)
            .flags(&[PUBSUB, NOSCRIPT, LOADING, STALE])
            .docs(
                "Listens to channels.",
                "2.0.0",
                "O(N) where N is the number of channels to subscribe to.",
            )
            .syntax("channel [channel ...]"),
    )
    .session(pubsub::subscribe),
    Entry::new(
        Spec::new("sunsubscribe", -1, Group::PubSub)
            .flags(&[PUBSUB, NOSCRIPT, LOADING, STALE])
            .keys(SHARD_CHANNELS)
            .docs(
                "Stops listening to shard channels.",
                "7.0.0",
                "O(N) where N is the number of shard channels to unsubscribe.",
            )
            .syntax("[shardchannel [shardchannel ...]]"),
    )
    .session(pubsub::sunsubscribe),
    Entry::new(
        Spec::new("unsubscribe", -1, Group::PubSub)
            .flags(&[PUBSUB, NOSCRIPT, LOADING, STALE])
            .docs(
                "Stops listening to channels.",
                "2.0.0",
                "O(N) where N is the number of channels to unsubscribe.",
            )
            .syntax("[channel [channel ...]]"),
    )
    .session(pubsub::unsubscribe),
];

static PUBSUB_ROWS: &[Entry] = &[
    Entry::new(
        Spec::new("channels", -2, Group::PubSub)
            .flags(&[PUBSUB, LOADING, STALE])
            .docs(
                "Lists the channels that somebody listens to.",
                "2.8.0",
                "O(N) where N is the number of active channels, and assuming constant time pattern matching \
                 (relatively short channels and patterns)",
            )
            .syntax("[pattern]"),
    )
    .session(pubsub::channels),
    Entry::new(
        Spec::new("help", 2, Group::PubSub)
            .flags(&[LOADING, STALE])
            .docs("Lists the subcommands.", "6.2.0", "O(1)"),
    )
    .session(admin::help),
    Entry::new(
        Spec::new("numpat", 2, Group::PubSub)
            .flags(&[PUBSUB, LOADING, STALE])
            .docs("Counts the different patterns that somebody listens to.", "2.8.0", "O(1)"),
    )
    .session(pubsub::numpat),
    Entry::new(
        Spec::new("numsub", -2, Group::PubSub)
            .flags(&[PUBSUB, LOADING, STALE])
            .docs(
                "Counts the subscribers of channels; patterns do not count.",
                "2.8.0",
                "O(N) for the NUMSUB subcommand, where N is the number of requested channels",
            )
            .syntax("[channel [channel ...]]"),
    )
    .session(pubsub::numsub),
    Entry::new(
        Spec::new("shardchannels", -2, Group::PubSub)
            .flags(&[PUBSUB, LOADING, STALE])
            .docs(
                "Lists the shard channels that somebody listens to.",
                "7.0.0",
                "O(N) where N is the number of active shard channels, and assuming constant time pattern matching \
                 (relatively short shard channels).",
            )
            .syntax("[pattern]"),
    )
    .session(pubsub::shardchannels),
    Entry::new(
        Spec::new("shardnumsub", -2, Group::PubSub)
            .flags(&[PUBSUB, LOADING, STALE])
            .docs(
                "Counts the subscribers of shard channels.",
                "7.0.0",
                "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels",
            )
            .syntax("[shardchannel [shardchannel ...]]"),
    )
    .session(pubsub::shardnumsub),
];
