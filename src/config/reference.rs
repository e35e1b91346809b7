//! The reference of all parameters in Markdown, printed from the table. `docs/configuration.md` holds it.

use std::fmt::Write;

use super::table::{self, Flags, Kind, Parameter, Unit};

/// What stands above the tables.
const PREFACE: &str = "\
# Configuration

Corelane reads `redis.conf` files and takes the command line of redis-server 7.4. Every parameter of Redis 7.4
is known. Those in the first table have an effect. Those in the second have none: they are checked, kept, shown
by `CONFIG GET`, and a start with a file that changes one logs a warning.

*Fixed* parameters cannot be changed while the server runs, *protected* ones only as `enable-protected-configs`
allows. This page is printed from the table in `src/config/table/`; a test compares them.
";

/// The page.
pub fn markdown() -> String {
    let mut page = PREFACE.to_owned();
    for (title, has_effect) in [("With an effect", true), ("Known to Redis, without effect here", false)] {
        let _ = write!(page, "\n## {title}\n\n| Parameter | Value | Default | For |\n|---|---|---|---|\n");
        for parameter in table::parameters().filter(|row| row.has_effect() == has_effect) {
            let names = parameter.names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let default =
                if parameter.default.is_empty() { String::new() } else { format!("`{}`", parameter.default) };
            let note = note(parameter.flags);
            let _ =
                writeln!(page, "| {names} | {} | {default} | {}{note} |", values(parameter), parameter.doc());
        }
    }
    page
}

fn note(flags: Flags) -> &'static str {
    match flags {
        _ if flags.contains(Flags::FIXED) => " *Fixed.*",
        _ if flags.contains(Flags::PROTECTED) => " *Protected.*",
        _ => "",
    }
}

fn values(parameter: &Parameter) -> String {
    match &parameter.kind {
        Kind::YesNo { .. } => "yes, no".to_owned(),
        Kind::Choice { names, .. } => names.join(", "),
        Kind::Text { .. } => "text".to_owned(),
        Kind::Special { .. } | Kind::SpecialKept { .. } => "own form".to_owned(),
        Kind::Number { unit, min, max, .. } => numbers(*unit, *min, *max),
    }
}

fn numbers(unit: Unit, min: i128, max: i128) -> String {
    let unbounded = [i128::from(i32::MAX), i128::from(u32::MAX), i128::from(i64::MAX), i128::from(u64::MAX)];
    let name = match unit {
        Unit::Plain => "number",
        Unit::Octal => return format!("octal number, {min:o} to {max:o}"),
        Unit::Memory => "size",
        Unit::MemoryOrPercent => return "size or per cent".to_owned(),
    };
    match (min, unbounded.contains(&max)) {
        (_, false) => format!("{name}, {min} to {max}"),
        (0, true) => name.to_owned(),
        (min, true) if min == i128::from(i32::MIN) => name.to_owned(),
        (min, true) => format!("{name}, from {min}"),
    }
}

#[cfg(test)]
mod tests {
    /// After a change of the table: `UPDATE_DOCS=1 cargo test configuration_page`.
    #[test]
    fn configuration_page_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
        let page = super::markdown();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), page);
    }
}
