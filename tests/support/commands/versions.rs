//! What Redis 7.0, which Debian 12 has, answers in another way than Redis 7.4: the commands that are not sent to it.

/// Whether the two answer a command in different ways.
pub(super) fn differs_in_7_0(words: &[String]) -> bool {
    let upper: Vec<String> = words.iter().map(|word| word.to_uppercase()).collect();
    let has = |word: &str| upper.iter().any(|other| other == word);
    match upper[0].as_str() {
        // WITHSCORE came with 7.2.
        "ZRANK" | "ZREVRANK" => words.len() != 3,
        // The ID `+` came with 7.4, and the error about unbalanced lists names the command since 7.2.
        "XREAD" | "XREADGROUP" => {
            let behind = upper.iter().position(|word| word == "STREAMS").map_or(1, |at| words.len() - at - 1);
            behind % 2 == 1 || has("+")
        }
        // Which of several errors is told.
        "XSETID" => true,
        // The form that results of sorted set operations take; and short lists have one of their own since 7.2.
        "OBJECT" => {
            ["z", "list", "queue"].iter().any(|part| words[1..].iter().any(|word| word.contains(part)))
        }
        // The least integer has no absolute value.
        "LREM" | "LPOS" => has("-9223372036854775808"),
        // Arguments are checked before the key is looked at since 7.2.
        "BITCOUNT" => !is_range(&upper[2.min(upper.len())..], false),
        "BITPOS" => words.len() < 3 || !["0", "1"].contains(&&*words[2]) || !is_range(&upper[3..], true),
        _ => false,
    }
}

fn is_range(args: &[String], start_alone: bool) -> bool {
    let (indexes, unit) = args.split_at(args.len().min(2));
    indexes.iter().all(|index| index.parse::<i64>().is_ok_and(|number| number.to_string() == *index))
        && (args.len() != 1 || start_alone)
        && matches!(unit, [] | [_])
        && unit.iter().all(|unit| unit == "BIT" || unit == "BYTE")
}
