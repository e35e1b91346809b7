//! Reading and writing single words of a configuration: yes or no, numbers, memory sizes, quoted strings.

use crate::base::quote::repr;

/// Reads `yes` or `no`, whatever the case.
pub(super) fn yes_or_no(word: &[u8]) -> Option<bool> {
    match word {
        _ if word.eq_ignore_ascii_case(b"yes") => Some(true),
        _ if word.eq_ignore_ascii_case(b"no") => Some(false),
        _ => None,
    }
}

/// Reads an octal number such as a file mode.
pub(super) fn octal(word: &[u8]) -> Option<i128> {
    i64::from_str_radix(std::str::from_utf8(word).ok()?, 8).ok().map(i128::from)
}

/// Writes bytes with the largest binary unit that divides them, as `CONFIG REWRITE` does.
pub(super) fn memory_with_unit(bytes: i128) -> String {
    for (unit, size) in [("gb", 1 << 30), ("mb", 1 << 20), ("kb", 1 << 10)] {
        if bytes != 0 && bytes % size == 0 {
            return format!("{}{unit}", bytes / size);
        }
    }
    bytes.to_string()
}

/// Words with one blank between them.
pub(super) fn words<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(" ")
}

/// A word in double quotes, as `redis.conf` takes it.
pub(super) fn quoted(word: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    repr(&mut text, word);
    text
}

/// The message of an I/O error without the number that the standard library adds to it.
pub(super) fn plain_message(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_takes_the_largest_unit_that_divides_it() {
        for (bytes, text) in [(3 << 30, "3gb"), (3 << 20, "3mb"), (1 << 10, "1kb"), (1025, "1025"), (0, "0")]
        {
            assert_eq!(memory_with_unit(bytes), text);
        }
    }

    #[test]
    fn system_messages_lose_their_number() {
        assert_eq!(plain_message(&std::io::Error::from_raw_os_error(2)), "No such file or directory");
        assert_eq!(plain_message(&std::io::Error::other("full")), "full");
    }
}
