//! What went wrong, as an exit code and a text that says what to do.

use std::error::Error;
use std::fmt::Display;
use std::process::ExitCode;

use ostler_schemas::problem::{Code, Problem};
use ostler_service::Chain;

/// Why a command did not do what was asked. The codes are documented in `ostler --help`.
#[derive(Debug)]
pub struct Failure {
    /// 1 failed, 2 usage, 3 refused, 4 unreachable, 5 partly done, or a command's own.
    pub code: u8,
    /// What is printed to stderr.
    pub text: String,
    /// What the fleet called it, if it answered.
    pub said: Option<Code>,
}

impl Failure {
    fn new(code: u8, text: impl Display) -> Self {
        Self { code, text: text.to_string(), said: None }
    }

    /// It was understood, and is not to be: policy, conflict, capacity.
    pub fn refused(text: impl Display) -> Self {
        Self::new(3, text)
    }

    /// The fleet answered that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        self.said == Some(Code::NotFound)
    }

    /// It was tried and did not succeed.
    pub fn failed(text: impl Display) -> Self {
        Self::new(1, text)
    }

    /// It was tried and did not succeed, for a cause that has causes.
    pub fn caused(error: impl Error + 'static) -> Self {
        Self::failed(Chain(&error))
    }

    /// It was asked for in a way that makes no sense.
    pub fn usage(text: impl Display) -> Self {
        Self::new(2, text)
    }

    /// Nobody answers.
    pub fn unreachable(text: impl Display) -> Self {
        Self::new(4, text)
    }

    /// What came of several things of which these failed: nothing, its own failure where all did for
    /// one reason, or each of them by name.
    pub fn of_some(mut failed: Vec<(String, Self)>, all: usize, what: &str) -> Result<(), Self> {
        if failed.len() == 1 && all == 1 {
            return failed.pop().map_or(Ok(()), |(_, failure)| Err(failure));
        }
        let Some((_, first)) = failed.first() else { return Ok(()) };
        let code = if failed.len() == all { first.code } else { 5 };
        let lines = failed.iter().map(|(name, failure)| format!("\n  {name}: {}", failure.text));
        Err(Self::new(code, format!("{what}:{}", lines.collect::<String>())))
    }

    /// Prints it; the exit code of the program.
    pub fn report(&self) -> ExitCode {
        eprintln!("error: {}", self.text);
        ExitCode::from(self.code)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let code = match problem.code {
            Code::Malformed | Code::Invalid => 2,
            Code::NotFound | Code::Timeout | Code::Internal => 1,
            Code::Conflict
            | Code::RevisionMismatch
            | Code::Infeasible
            | Code::LimitExceeded
            | Code::Forbidden => 3,
            Code::Unavailable => 4,
        };
        let mut text = problem.detail.clone();
        for error in &problem.errors {
            let line = error.line.map(|line| format!("line {line}: ")).unwrap_or_default();
            text.push_str(&format!("\n  {line}{}: {}", error.field, error.message));
        }
        for (reason, count) in &problem.reasons {
            text.push_str(&format!("\n  {reason}: {count} nodes"));
        }
        if problem.code == Code::Internal && !problem.trace_id.is_empty() {
            text.push_str(&format!(" (trace {})", problem.trace_id));
        }
        Self { code, text, said: Some(problem.code) }
    }
}
