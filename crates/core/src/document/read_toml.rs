//! TOML into a document.

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};
use serde_json::Number;

use super::{Lines, Problem, Tree, Value};

/// Reads TOML. All its syntax errors are named; the document is then empty.
pub fn toml(text: &str) -> Result<Tree, Vec<Problem>> {
    let lines = Lines::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(errors.iter().map(|error| syntax(error, &lines)).collect());
    }
    let entries = entries(table.into_inner(), &lines);
    Ok(Tree::new(Some(1), Value::Table(entries)))
}

fn syntax(error: &::toml::de::Error, lines: &Lines) -> Problem {
    let message = error.message().replace('\n', ", ");
    match error.span() {
        Some(span) => {
            let column = lines.column(span.start);
            let message = format!("not TOML: {message} (column {column})");
            Problem::new("", message).at(Some(lines.line(span.start)))
        }
        None => Problem::new("", format!("not TOML: {message}")),
    }
}

fn entries(table: DeTable<'_>, lines: &Lines) -> Vec<(String, Tree)> {
    let tree = |(key, value): (Spanned<_>, Spanned<DeValue<'_>>)| {
        let line = lines.line(key.span().start);
        let key: std::borrow::Cow<'_, str> = key.into_inner();
        (key.into_owned(), Tree::new(Some(line), value_of(value.into_inner(), lines)))
    };
    table.into_iter().map(tree).collect()
}

fn value_of(value: DeValue<'_>, lines: &Lines) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(integer) => whole(integer.as_str(), integer.radix()),
        DeValue::Float(float) => {
            let number = serde_json::from_str::<Number>(float.as_str());
            number.map_or(Value::Strange("a number that is not finite"), Value::Number)
        }
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Datetime(_) => Value::Strange("a date or time without quotes"),
        DeValue::Array(items) => Value::List(
            items
                .into_iter()
                .map(|item| {
                    let line = lines.line(item.span().start);
                    Tree::new(Some(line), value_of(item.into_inner(), lines))
                })
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(entries(table, lines)),
    }
}

fn whole(digits: &str, radix: u32) -> Value {
    let unsigned = u64::from_str_radix(digits, radix).map(Number::from);
    let number = unsigned.or_else(|_| i64::from_str_radix(digits, radix).map(Number::from));
    number.map_or(Value::Strange("a number that is too large"), Value::Number)
}
