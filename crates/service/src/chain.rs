//! An error with all its causes, for the one place where it is logged or printed.

use std::error::Error;
use std::fmt;

/// Shows an error and its causes on one line: `cannot write 3 rows: pool timed out`.
#[derive(Debug, Clone, Copy)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0, f)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot write 3 rows")]
    struct Outer(#[source] std::fmt::Error);

    #[test]
    fn an_error_is_told_with_its_cause() {
        let text = Chain(&Outer(std::fmt::Error)).to_string();
        assert!(text.starts_with("cannot write 3 rows: an error occurred"), "{text}");
    }
}
