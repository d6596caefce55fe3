//! `deploy/ostler.toml` is TOML as it stands, and so is each setting that it shows commented out.

use toml::Table;

use super::{Finding, Rule, Tree};

const FILE: &str = "deploy/ostler.toml";

/// Refuses a file that is missing, does not parse, or shows a setting that would not.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.text(FILE) else {
        let advice = "write it: every setting with its default, unit and meaning";
        return vec![Finding::new(Rule::Settings, FILE, 1, advice)];
    };
    let whole = text.parse::<Table>().err().map(|error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        Finding::new(Rule::Settings, FILE, line, error.message().to_owned())
    });
    whole.into_iter().chain(text.lines().enumerate().filter_map(judge)).collect()
}

fn judge((index, line): (usize, &str)) -> Option<Finding> {
    let setting = commented_setting(line)?;
    let error = setting.parse::<Table>().err()?;
    let advice = format!("`{setting}` is not TOML: {}", error.message());
    Some(Finding::new(Rule::Settings, FILE, index + 1, advice))
}

/// The `key = …` of a line `#key = …` or `# key = …`; prose has more than one word before `=`.
fn commented_setting(line: &str) -> Option<&str> {
    let setting = line.trim_start().strip_prefix('#')?.trim();
    let (key, _) = setting.split_once('=')?;
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c);
    let key = key.trim_end();
    (!key.is_empty() && key.chars().all(word)).then_some(setting)
}

#[cfg(test)]
mod tests {
    use super::{super::finding::said, check};

    #[track_caller]
    fn check_file(text: &str, want: &str) {
        assert_eq!(said(check, &[("deploy/ostler.toml", text)]), want);
    }

    #[test]
    fn settings_comments_and_commented_settings_parse() {
        check_file(
            "# Where = to listen.\n[gateway]\nlisten = \"a\" # why\n#ca = { file = \"x\" }\n",
            "",
        );
    }

    #[test]
    fn the_line_of_an_error_is_named() {
        check_file(
            "[gateway]\nlisten = \"a\nx = 1\n",
            "deploy/ostler.toml:2: settings: invalid basic string, expected `\"`",
        );
    }

    #[test]
    fn a_commented_setting_that_would_not_parse_is_refused() {
        check_file(
            "[gateway]\n# listen = 127.0.0.1:8000\n",
            "deploy/ostler.toml:2: settings: `listen = 127.0.0.1:8000` is not TOML: \
             invalid float, expected nothing",
        );
    }

    #[test]
    fn the_file_must_be_there() {
        assert!(said(check, &[("a.rs", "")]).contains("write it"));
    }
}
