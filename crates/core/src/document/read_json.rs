//! JSON into a document, with lines.

use serde_json::Number;

use super::{Lines, Problem, Tree, Value};

/// Whether `// …` to the end of a line is allowed between values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comments {
    /// As in scenario files.
    Allowed,
    /// As in JSON.
    Refused,
}

const DEEPEST: usize = 80;

/// Reads JSON. The first syntax error ends it.
pub fn json(text: &str, comments: Comments) -> Result<Tree, Problem> {
    let mut reader = Reader { text, at: 0, lines: Lines::of(text), comments };
    let tree = reader.value(0).and_then(|tree| {
        reader.blank();
        if reader.at == text.len() { Ok(tree) } else { Err("something follows the value") }
    });
    tree.map_err(|fault| {
        let (line, column) = (reader.lines.line(reader.at), reader.lines.column(reader.at));
        Problem::new("", format!("not JSON: {fault} (column {column})")).at(Some(line))
    })
}

struct Reader<'t> {
    text: &'t str,
    /// The next byte; where it went wrong, after an error.
    at: usize,
    lines: Lines,
    comments: Comments,
}

type Fault = &'static str;

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn blank(&mut self) {
        loop {
            let blank = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r');
            self.at += self.rest().len() - self.rest().trim_start_matches(blank).len();
            if self.comments == Comments::Refused || !self.rest().starts_with("//") {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    fn eat(&mut self, sign: &str) -> bool {
        self.blank();
        let found = self.rest().starts_with(sign);
        if found {
            self.at += sign.len();
        }
        found
    }

    fn line(&mut self) -> Option<usize> {
        self.blank();
        Some(self.lines.line(self.at))
    }

    fn value(&mut self, depth: usize) -> Result<Tree, Fault> {
        let line = self.line();
        if depth > DEEPEST {
            return Err("nested too deep");
        }
        let value = match self.rest().bytes().next() {
            None => Err("it ends too early"),
            Some(b'{') => self.table(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.string().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => self.word(),
        };
        value.map(|value| Tree::new(line, value))
    }

    fn table(&mut self, depth: usize) -> Result<Value, Fault> {
        let mut entries = Vec::new();
        self.eat("{");
        if self.eat("}") {
            return Ok(Value::Table(entries));
        }
        loop {
            let line = self.line();
            if !self.rest().starts_with('"') {
                return Err("a key in double quotes is missing");
            }
            let key = self.string()?;
            if !self.eat(":") {
                return Err("`:` is missing after a key");
            }
            let tree = self.value(depth + 1)?;
            entries.push((key, Tree { line, ..tree }));
            if self.eat("}") {
                return Ok(Value::Table(entries));
            }
            if !self.eat(",") {
                return Err("`,` or `}` is missing after a value");
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, Fault> {
        let mut items = Vec::new();
        self.eat("[");
        if self.eat("]") {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.eat("]") {
                return Ok(Value::List(items));
            }
            if !self.eat(",") {
                return Err("`,` or `]` is missing after a value");
            }
        }
    }

    fn string(&mut self) -> Result<String, Fault> {
        let rest = self.rest();
        let mut escaped = false;
        let end = rest.bytes().skip(1).position(|byte| {
            let closes = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            closes
        });
        let quoted = &rest[..end.ok_or("a quote is not closed")? + 2];
        let text = serde_json::from_str(quoted);
        let text = text.map_err(|_| "a control character or a bad escape in a string")?;
        self.at += quoted.len();
        Ok(text)
    }

    fn number(&mut self) -> Result<Value, Fault> {
        let belongs = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let rest = self.rest();
        let digits = &rest[..rest.find(|c| !belongs(c)).unwrap_or(rest.len())];
        let number: Number = serde_json::from_str(digits).map_err(|_| "this is no number")?;
        self.at += digits.len();
        Ok(Value::Number(number))
    }

    fn word(&mut self) -> Result<Value, Fault> {
        let words =
            [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))];
        let found = words.into_iter().find(|(word, _)| self.eat(word));
        found.map(|(_, value)| value).ok_or("a value is missing")
    }
}
