//! `SCRIPT` and `FUNCTION`, as far as they concern the cache of scripts and the function libraries
//! (redis.io/docs/latest/commands/script-load, redis.io/docs/latest/commands/function-load). Both are one for all cores.

use crate::admin::{Cx, Flow};
use crate::base::glob;
use crate::command::help::subcommand_error;
use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::route::message::Query;
use crate::script::program::Library;
use crate::script::{Libraries, Policy};

/// `SCRIPT LOAD script`
///
/// # Errors
/// If the script does not compile.
pub fn script_load(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let script = cx.core.engine.load_script(cx.args[2])?;
    cx.reply.bulk(script.sha());
    Ok(Flow::Done)
}

/// `SCRIPT EXISTS sha1 [sha1 ...]`
///
/// # Errors
/// None.
pub fn script_exists(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let shas = &cx.args[2..];
    cx.reply.array(shas.len());
    for sha in shas {
        cx.reply.int(i64::from(cx.core.engine.shared().exists(sha)));
    }
    Ok(Flow::Done)
}

/// `SCRIPT FLUSH [ASYNC | SYNC]`: there is nothing to wait for in either.
///
/// # Errors
/// Redis's for another option.
pub fn script_flush(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    if cx.args.len() > 3 || !is_flush_mode(&cx.args[2..]) {
        return Err(Error::text("ERR SCRIPT FLUSH only support SYNC|ASYNC option"));
    }
    cx.core.engine.shared().flush_scripts();
    cx.reply.ok();
    Ok(Flow::Done)
}

fn is_flush_mode(args: &[&[u8]]) -> bool {
    args.iter().all(|mode| mode.eq_ignore_ascii_case(b"sync") || mode.eq_ignore_ascii_case(b"async"))
}

/// `FUNCTION LOAD [REPLACE] function-code`
///
/// # Errors
/// Redis's for an unknown option, and for a library that is wrong or whose name or functions exist.
pub fn function_load(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let Some((code, options)) = cx.args[2..].split_last() else {
        return Err(Error::text("ERR Function code is missing"));
    };
    if let Some(unknown) = options.iter().find(|option| !option.eq_ignore_ascii_case(b"replace")) {
        return Err(format!("ERR Unknown option given: {}", String::from_utf8_lossy(unknown)).into());
    }
    let name = cx.core.engine.load_library(code, !options.is_empty())?;
    cx.reply.bulk(name);
    Ok(logged(cx))
}

/// Libraries have changed: the reply waits until that is logged, if there is a log.
fn logged(cx: &mut Cx<'_>) -> Flow {
    if !cx.core.config.appendonly || cx.core.loading.is_some() {
        return Flow::Done;
    }
    let always = cx.core.hot.always;
    let durable = cx.client().session.durable.unwrap_or(always);
    Flow::Ask(Query::LogLibraries { durable }, |_, _| Ok(()))
}

/// `FUNCTION DELETE library-name`
///
/// # Errors
/// If there is no such library.
pub fn function_delete(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    cx.core.engine.shared().delete_library(cx.args[2])?;
    cx.reply.ok();
    Ok(logged(cx))
}

/// `FUNCTION LIST [LIBRARYNAME library-name-pattern] [WITHCODE]`
///
/// # Errors
/// Redis's for arguments that do not fit.
pub fn function_list(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let (pattern, with_code) = list_options(&cx.args[2..])?;
    let libraries: std::sync::Arc<Libraries> = cx.core.engine.shared().libraries();
    let matches = |library: &&std::sync::Arc<Library>| {
        pattern.is_none_or(|pattern| glob::matches(pattern, library.name(), true))
    };
    let shown: Vec<_> = libraries.all().filter(matches).collect();
    cx.reply.array(shown.len());
    for library in shown {
        write_library(&mut cx.reply, library, with_code);
    }
    Ok(Flow::Done)
}

/// The pattern, and whether code is wanted.
fn list_options<'a>(args: &[&'a [u8]]) -> Result<(Option<&'a [u8]>, bool), Error> {
    let (mut pattern, mut with_code) = (None, false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if !with_code && arg.eq_ignore_ascii_case(b"withcode") {
            with_code = true;
        } else if pattern.is_none() && arg.eq_ignore_ascii_case(b"libraryname") {
            let given = args.next().ok_or(Error::text("ERR library name argument was not given"))?;
            pattern = Some(*given);
        } else {
            return Err(format!("ERR Unknown argument {}", String::from_utf8_lossy(arg)).into());
        }
    }
    Ok((pattern, with_code))
}

fn write_library(reply: &mut Reply<'_>, library: &Library, with_code: bool) {
    reply.map(if with_code { 4 } else { 3 });
    reply.bulk("library_name");
    reply.bulk(library.name());
    reply.bulk("engine");
    reply.bulk("LUA");
    reply.bulk("functions");
    reply.array(library.functions().len());
    for function in library.functions() {
        reply.map(3);
        reply.bulk("name");
        reply.bulk(&function.name);
        reply.bulk("description");
        match &function.description {
            Some(description) => reply.bulk(description),
            None => reply.null(),
        }
        reply.bulk("flags");
        let flags = function.flags.names();
        reply.set(flags.clone().count());
        flags.for_each(|flag| reply.status(flag));
    }
    if with_code {
        reply.bulk("library_code");
        reply.bulk(library.text());
    }
}

/// `FUNCTION DUMP`
///
/// # Errors
/// None.
pub fn function_dump(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    cx.reply.bulk(cx.core.engine.shared().dump_libraries());
    Ok(Flow::Done)
}

/// `FUNCTION RESTORE serialized-value [FLUSH | APPEND | REPLACE]`
///
/// # Errors
/// Redis's for an unknown policy, a payload that is wrong, and libraries that cannot be added.
pub fn function_restore(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let policy = match &cx.args[3..] {
        [] => Policy::Append,
        [policy] if policy.eq_ignore_ascii_case(b"append") => Policy::Append,
        [policy] if policy.eq_ignore_ascii_case(b"replace") => Policy::Replace,
        [policy] if policy.eq_ignore_ascii_case(b"flush") => Policy::Flush,
        [_] => {
            return Err(Error::text(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ));
        }
        _ => return Err(subcommand_error(cx.args)),
    };
    cx.core.engine.restore_libraries(cx.args[2], policy)?;
    cx.reply.ok();
    Ok(logged(cx))
}

/// `FUNCTION FLUSH [ASYNC | SYNC]`: there is nothing to wait for in either.
///
/// # Errors
/// Redis's for another option.
pub fn function_flush(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    if cx.args.len() > 3 {
        return Err(subcommand_error(cx.args));
    }
    if !is_flush_mode(&cx.args[2..]) {
        return Err(Error::text("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"));
    }
    cx.core.engine.shared().flush_libraries();
    cx.reply.ok();
    Ok(logged(cx))
}
