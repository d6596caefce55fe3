//! Rust text with its comments and literals blanked, line by line, so that a rule about code does
//! not trip over prose.

/// Where the reader is, between two characters.
enum State {
    Code,
    LineComment,
    /// Depth: block comments nest.
    BlockComment(usize),
    /// The literal ends with `"` and this many `#`; escapes count only where `escapes`.
    Text {
        hashes: usize,
        escapes: bool,
    },
}

/// The code alone, with as many lines as `source`.
pub fn code_lines(source: &str) -> Vec<String> {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    let mut state = State::Code;
    while let Some(first) = rest.chars().next() {
        let (next, kept, eaten) = step(&state, rest, first);
        let (taken, left) = rest.split_at(eaten);
        out.extend(taken.chars().map(|c| if kept || c == '\n' { c } else { ' ' }));
        rest = left;
        state = next;
    }
    out.split('\n').map(str::to_owned).collect()
}

/// Whether `word` stands in `code` and is not part of a longer name.
pub fn has_word(code: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(word).any(|(at, _)| {
        let after = code[at + word.len()..].chars().next();
        !part(code[..at].chars().next_back()) && (word.ends_with(':') || !part(after))
    })
}

/// The state after the next token of `rest`, whether the token is code, and its length in bytes.
fn step(state: &State, rest: &str, first: char) -> (State, bool, usize) {
    match *state {
        State::Code => in_code(rest, first),
        State::LineComment if first == '\n' => (State::Code, true, 1),
        State::LineComment => (State::LineComment, false, first.len_utf8()),
        State::BlockComment(depth) => in_block_comment(rest, first, depth),
        State::Text { hashes, escapes } => in_text(rest, first, hashes, escapes),
    }
}

fn in_code(rest: &str, first: char) -> (State, bool, usize) {
    if rest.starts_with("//") {
        return (State::LineComment, false, 2);
    }
    if rest.starts_with("/*") {
        return (State::BlockComment(1), false, 2);
    }
    if let Some(length) = char_literal(rest) {
        return (State::Code, false, length);
    }
    if let Some((hashes, length)) = raw_start(rest) {
        return (State::Text { hashes, escapes: false }, false, length);
    }
    if first == '"' {
        return (State::Text { hashes: 0, escapes: true }, false, 1);
    }
    // A word is taken whole, so that the `r` of `for"…"` is no raw string's.
    let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    (State::Code, true, word.max(first.len_utf8()))
}

fn in_block_comment(rest: &str, first: char, depth: usize) -> (State, bool, usize) {
    if rest.starts_with("/*") {
        return (State::BlockComment(depth + 1), false, 2);
    }
    if rest.starts_with("*/") {
        let state = if depth == 1 { State::Code } else { State::BlockComment(depth - 1) };
        return (state, false, 2);
    }
    (State::BlockComment(depth), false, first.len_utf8())
}

fn in_text(rest: &str, first: char, hashes: usize, escapes: bool) -> (State, bool, usize) {
    if escapes && first == '\\' {
        let escaped = rest[1..].chars().next().map_or(0, char::len_utf8);
        return (State::Text { hashes, escapes }, false, 1 + escaped);
    }
    let closed = rest
        .strip_prefix('"')
        .is_some_and(|r| r.bytes().take_while(|&b| b == b'#').count() >= hashes);
    if closed {
        return (State::Code, false, 1 + hashes);
    }
    (State::Text { hashes, escapes }, false, first.len_utf8())
}

/// The length of a character literal at the start; a lifetime is none.
fn char_literal(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('\'')?;
    if let Some(escape) = inside.strip_prefix('\\') {
        let skipped = escape.chars().next()?.len_utf8();
        return escape[skipped..].find('\'').map(|end| 2 + skipped + end + 1);
    }
    let length = inside.chars().next()?.len_utf8();
    inside[length..].starts_with('\'').then_some(length + 2)
}

/// The hashes and the length of `r#"`, `br"` and the like.
fn raw_start(rest: &str) -> Option<(usize, usize)> {
    let prefix = ["br", "cr", "r"].into_iter().find(|prefix| rest.starts_with(prefix))?;
    let hashes = rest[prefix.len()..].bytes().take_while(|&b| b == b'#').count();
    rest[prefix.len() + hashes..].starts_with('"').then_some((hashes, prefix.len() + hashes + 1))
}

#[cfg(test)]
mod tests {
    use super::code_lines;

    #[test]
    fn comments_and_literals_are_blank_and_code_is_not() {
        for (source, code) in [
            ("a // b", "a     "),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("x \" y") g"#, r"f(        ) g"),
            (r##"r#"a"b"# c"##, "         c"),
            ("'\\'' x 'y' <'a>", "     x     <'a>"),
            (r#"for"x" y"#, "for    y"),
            ("'é' z", "    z"),
        ] {
            assert_eq!(code_lines(source), [code], "{source}");
        }
    }

    #[test]
    fn lines_keep_their_numbers() {
        assert_eq!(code_lines("a\n\"b\nc\" d\n// e\nf"), ["a", "  ", "   d", "    ", "f"]);
    }
}
