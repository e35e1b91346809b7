//! The libraries that Redis 7.4 gives to scripts beside Lua's own: `cjson`, `cmsgpack`, `bit` and `struct`
//! (<https://redis.io/docs/latest/develop/interact/programmability/lua-api/>), with its functions, defaults and error
//! texts. Each module's `table` makes the library's table.
//!
//! All are safe Rust on values of `mlua`; [`raise`] holds what makes their errors plain Lua errors. Nesting is followed on
//! heaps, never on the native stack, and what the libraries allocate is linear in what they are given and answer.

pub mod bit;
pub mod call;
pub mod cjson;
pub mod cmsgpack;
mod raise;
pub mod structs;

/// Makes the table of a library.
pub type MakeTable = fn(&mlua::Lua) -> mlua::Result<mlua::Table>;

/// The libraries: the name of the global, and what makes its table.
pub const LIBRARIES: [(&str, MakeTable); 4] =
    [("cjson", cjson::table), ("struct", structs::table), ("cmsgpack", cmsgpack::table), ("bit", bit::table)];

/// The stack slots that Lua gives to one native function. The reference libraries keep what they work on there, so this
/// bounds how deeply they nest and how many values they answer.
const SLOTS: usize = 8000;

/// What C makes of a double as a 64-bit integer on x86-64: without its fraction, and what does not fit is the least one.
fn to_i64(number: f64) -> i64 {
    const END: f64 = -(i64::MIN as f64);
    if (-END..END).contains(&number) { number as i64 } else { i64::MIN }
}

/// The same for 32 bits.
fn to_i32(number: f64) -> i32 {
    let integer = to_i64(number);
    i32::try_from(integer).unwrap_or(i32::MIN)
}

/// The same for 64 bits without a sign, where negative numbers wrap around.
fn to_u64(number: f64) -> u64 {
    const HALF: f64 = (1u64 << 63) as f64;
    if number >= HALF { to_i64(number - HALF) as u64 ^ (1 << 63) } else { to_i64(number) as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlua::{Lua, MultiValue, Value};

    /// A Lua state with all libraries.
    pub(super) fn state() -> Lua {
        let lua = Lua::new();
        for (name, table) in LIBRARIES {
            lua.globals().set(name, table(&lua).expect("the library's table")).expect("a new global");
        }
        lua
    }

    /// What `source` answers: values in Lua's notation with commas, or `!` and the error.
    pub(super) fn run(lua: &Lua, source: &str) -> String {
        let guarded = "local source = ... return pcall(assert(loadstring(source, '@user_script')))";
        let answers: MultiValue = lua.load(guarded).call(source).expect("the call is guarded");
        let mut answers = answers.into_iter();
        let fine = answers.next() == Some(Value::Boolean(true));
        let texts: Vec<String> = answers.map(|value| show(&value)).collect();
        if fine { texts.join(", ") } else { format!("!{}", texts.join(", ")) }
    }

    fn show(value: &Value) -> String {
        match value {
            Value::Nil => "nil".into(),
            Value::Boolean(flag) => flag.to_string(),
            Value::Integer(number) => number.to_string(),
            Value::Number(number) => crate::base::number::format_f64_17(*number),
            Value::String(text) => {
                text.as_bytes().escape_ascii().to_string().replace("\\'", "'").replace("\\\"", "\"")
            }
            Value::LightUserData(_) => "null".into(),
            other => other.type_name().into(),
        }
    }

    /// Checks a table of sources and answers.
    pub(super) fn check(cases: &[(&str, &str)]) {
        let lua = state();
        for (source, expected) in cases {
            assert_eq!(run(&lua, source), *expected, "{source}");
        }
    }

    #[test]
    fn doubles_become_integers_as_in_c() {
        for (number, signed, unsigned) in [
            (0.9, 0, 0),
            (-1.9, -1, u64::MAX),
            (9.0e18, 9_000_000_000_000_000_000, 9_000_000_000_000_000_000),
            (9223372036854775808.0, i64::MIN, 1 << 63),
            (18446744073709549568.0, i64::MIN, 18446744073709549568),
            (1e300, i64::MIN, 0),
            (-1e300, i64::MIN, 1 << 63),
            (f64::NAN, i64::MIN, 1 << 63),
            (f64::INFINITY, i64::MIN, 0),
        ] {
            assert_eq!((to_i64(number), to_u64(number)), (signed, unsigned), "{number}");
        }
        assert_eq!([to_i32(-3.5), to_i32(2147483648.0), to_i32(f64::NAN)], [-3, i32::MIN, i32::MIN]);
    }
}
