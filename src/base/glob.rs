//! Glob patterns as `KEYS`, `SCAN ... MATCH`, `PSUBSCRIBE` and `CONFIG GET` take them.
//!
//! `*` is any run of bytes, `?` one byte, `[...]` a class with ranges and `^` for its complement, `\`
//! takes the next byte literally. Redis's corner cases are kept, because patterns exist that rely
//! on them: an unclosed class ends with the pattern, a range's ends may stand in either order, ranges
//! compare bytes as signed, and an empty string is matched by an empty pattern only.
//!
//! Every item but `*` takes exactly one byte, so only the latest `*` ever needs another try: the
//! matcher is a loop with one place to go back to, and its time is at most pattern times string.

/// Patterns that go through more `*` than this match nothing.
const MAX_STARS: usize = 1000;

/// Whether `string` matches `pattern` as a whole. `nocase` folds ASCII letters.
pub fn matches(pattern: &[u8], string: &[u8], nocase: bool) -> bool {
    if string.is_empty() {
        return pattern.is_empty();
    }
    let (mut rest, mut at) = (pattern, 0);
    // The pattern after the latest star, and where in the string to try it next.
    let mut retry: Option<(&[u8], usize)> = None;
    let mut stars = 0;
    loop {
        if let [b'*', after @ ..] = rest {
            rest = skip_stars(after);
            if rest.is_empty() {
                return true;
            }
            stars += 1;
            if stars > MAX_STARS {
                return false;
            }
            retry = Some((rest, at + 1));
        } else if let Some(after) = match_item(rest, string[at], nocase) {
            (rest, at) = (after, at + 1);
            if at == string.len() {
                // If more of the pattern is left, starting later would leave even less string for it.
                return skip_stars(rest).is_empty();
            }
        } else {
            match retry {
                Some((after, next)) if next < string.len() => {
                    retry = Some((after, next + 1));
                    (rest, at) = (after, next);
                }
                _ => return false,
            }
        }
    }
}

fn skip_stars(pattern: &[u8]) -> &[u8] {
    let stars = pattern.iter().take_while(|&&b| b == b'*').count();
    &pattern[stars..]
}

/// Matches the first item of `pattern`, which is no star, against a byte: the rest of the pattern.
fn match_item(pattern: &[u8], byte: u8, nocase: bool) -> Option<&[u8]> {
    let (literal, rest) = match pattern {
        [] => return None,
        [b'?', rest @ ..] => return Some(rest),
        [b'[', class @ ..] => {
            let (matched, rest) = match_class(class, byte, nocase);
            return matched.then_some(rest);
        }
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => (literal, rest),
    };
    same(*literal, byte, nocase).then_some(rest)
}

/// Matches a class from behind its `[`: the result and the pattern behind its `]`.
fn match_class(class: &[u8], byte: u8, nocase: bool) -> (bool, &[u8]) {
    let (complement, mut rest) = match class {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut matched = false;
    loop {
        (matched, rest) = match rest {
            [] => return (matched != complement, rest),
            [b']', rest @ ..] => return (matched != complement, rest),
            // An escaped byte stands for itself even where case is ignored.
            [b'\\', literal, rest @ ..] => (matched || *literal == byte, rest),
            [start, b'-', end, rest @ ..] => (matched || in_range(*start, *end, byte, nocase), rest),
            [literal, rest @ ..] => (matched || same(*literal, byte, nocase), rest),
        };
    }
}

fn same(a: u8, b: u8, nocase: bool) -> bool {
    if nocase { a.eq_ignore_ascii_case(&b) } else { a == b }
}

fn in_range(start: u8, end: u8, byte: u8, nocase: bool) -> bool {
    // The ends are put in order before their case is folded, as Redis does.
    let (start, end) = if start as i8 > end as i8 { (end, start) } else { (start, end) };
    let fold = |b: u8| if nocase { b.to_ascii_lowercase() } else { b } as i8;
    (fold(start)..=fold(end)).contains(&fold(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(pattern: &str, string: &str) -> bool {
        matches(pattern.as_bytes(), string.as_bytes(), false)
    }

    #[test]
    fn plain_items() {
        assert!(check("h?llo", "hello") && check("h*llo", "heeello") && check("h*llo", "hllo"));
        assert!(check("h[ae]llo", "hallo") && !check("h[ae]llo", "hillo"));
        assert!(check("h[^e]llo", "hallo") && !check("h[^e]llo", "hello"));
        assert!(check("h[a-b]llo", "hbllo") && check("h[b-a]llo", "hallo"));
        assert!(check(r"a\*", "a*") && !check(r"a\*", "ab"));
        assert!(check("*ab*cd*e", "xxabyycdabcdze") && !check("*ab*cd*e", "xxabyycdabcdz"));
    }

    #[test]
    fn an_empty_string_is_matched_by_an_empty_pattern_only() {
        assert!(check("", "") && !check("*", "") && !check("", "a"));
        assert!(check("a*", "a") && check("a***", "a") && check("***", "a"));
    }

    #[test]
    fn odd_classes_are_read_as_redis_reads_them() {
        assert!(check("[abc", "b") && !check("[abc", "d"), "an unclosed class ends with the pattern");
        assert!(check("[^", "x") && !check("[", "["));
        assert!(check("[a-]", "_") && !check("[a-]", "-"), "a range may swallow the bracket");
        assert!(check(r"[\]]", "]") && check("[a-", "-"));
        assert!(!check("[]", "x") && !check("[]a]", "a]"), "an empty class matches nothing");
        assert!(check(r"x\", r"x\") && check(r"\", r"\"), "a last backslash is itself");
        // Bytes above 127 are negative: they lie below the letters.
        assert!(matches(b"[a-\xff]", b"A", false) && !matches(b"[a-\xff]", b"z", false));
    }

    #[test]
    fn case_folding_has_its_limits() {
        assert!(matches(b"FoO[A-C]", b"fOob", true));
        assert!(!matches(br"[\A]", b"a", true), "not for escapes in classes");
        assert!(!matches(b"[Z-a]", b"z", true), "not before the ends are ordered");
    }

    #[test]
    fn hostile_patterns_take_no_exponential_time() {
        let pattern = "a*".repeat(900) + "b";
        assert!(!check(&pattern, &"a".repeat(3000)));
        assert!(check(&"a*".repeat(1001), &"a".repeat(3000)), "the last star is not counted");
        assert!(!check(&"a*".repeat(1002), &"a".repeat(3000)));
    }

    /// Backtracking over every star.
    fn model(pattern: &[u8], string: &[u8]) -> bool {
        match (pattern, string) {
            ([], _) => string.is_empty(),
            ([b'*', rest @ ..], _) => (0..=string.len()).any(|skip| model(rest, &string[skip..])),
            (_, []) => false,
            (_, [byte, string @ ..]) => {
                match_item(pattern, *byte, false).is_some_and(|rest| model(rest, string))
            }
        }
    }

    proptest! {
        #[test]
        fn going_back_to_the_latest_star_is_enough(pattern in "[ab*?\\[\\]^\\\\-]{0,12}", string in "[ab^\\]-]{1,12}") {
            prop_assert_eq!(check(&pattern, &string), model(pattern.as_bytes(), string.as_bytes()));
        }
    }
}
