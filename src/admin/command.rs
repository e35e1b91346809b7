//! `COMMAND` and its subcommands, and `HELP` of every container (redis.io/docs/latest/commands/command).

use crate::admin::{Cx, Flow};
use crate::command::{help, introspect};
use crate::protocol::Error;

/// Declares session handlers that answer from the command table alone.
macro_rules! from_the_table {
    ($($(#[doc = $doc:literal])+ $name:ident = $answer:path;)+) => {
        $(
            $(#[doc = $doc])+
            ///
            /// # Errors
            /// Redis's for arguments that do not fit.
            pub fn $name(cx: &mut Cx<'_>) -> Result<Flow, Error> {
                $answer(cx.args, &mut cx.reply)?;
                Ok(Flow::Done)
            }
        )+
    };
}

from_the_table! {
    /// `COMMAND`
    command = introspect::command;
    /// `COMMAND COUNT`
    command_count = introspect::count;
    /// `COMMAND DOCS [command-name ...]`
    command_docs = introspect::docs;
    /// `COMMAND GETKEYS command [arg ...]`
    command_getkeys = introspect::get_keys;
    /// `COMMAND GETKEYSANDFLAGS command [arg ...]`
    command_getkeysandflags = introspect::get_keys_and_flags;
    /// `COMMAND INFO [command-name ...]`
    command_info = introspect::info;
    /// `COMMAND LIST [FILTERBY <MODULE name | ACLCAT category | PATTERN pattern>]`
    command_list = introspect::list;
    /// `<container> HELP`
    help = help::help;
}
