//! `SAVE`, `BGSAVE`, `BGREWRITEAOF` and `LASTSAVE`. Taking a snapshot is the core's business: the handlers only say what is wanted.

use crate::admin::{Cx, Flow, SnapshotCommand};
use crate::protocol::Error;
use crate::snapshots::SnapshotPurpose;

/// `SAVE`. Unlike Redis's it keeps nobody waiting but its client.
///
/// # Errors
/// None here; the snapshot may fail.
pub fn save(_: &mut Cx<'_>) -> Result<Flow, Error> {
    Ok(Flow::Snapshot(SnapshotCommand::Save))
}

/// `BGSAVE [SCHEDULE]`
///
/// # Errors
/// For another argument; the snapshot may fail.
pub fn bgsave(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let scheduled = match cx.args[1..] {
        [] => false,
        [option] if option.eq_ignore_ascii_case(b"schedule") => true,
        _ => return Err(Error::Syntax),
    };
    let snapshots = &cx.core.shared.snapshots;
    let other = snapshots.current().is_some_and(|run| run.plan.purpose == SnapshotPurpose::AofBase);
    if scheduled && other {
        snapshots.schedule(true);
        cx.reply.status("Background saving scheduled");
        return Ok(Flow::Done);
    }
    Ok(Flow::Snapshot(SnapshotCommand::Bgsave))
}

/// `BGREWRITEAOF`
///
/// # Errors
/// If one is under way, or files cannot be worked on.
pub fn bgrewriteaof(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let rewrite = cx.core.ask_for_rewrite(cx.in_program)?;
    cx.reply.status(rewrite.text());
    Ok(Flow::Done)
}

/// `LASTSAVE`: when the last snapshot succeeded, Unix seconds.
///
/// # Errors
/// None.
pub fn lastsave(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    cx.reply.int(cx.core.shared.snapshots.figures().last_save_s);
    Ok(Flow::Done)
}
