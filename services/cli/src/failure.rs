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
}

impl Failure {
    /// It was tried and did not succeed.
    pub fn failed(text: impl Display) -> Self {
        Self { code: 1, text: text.to_string() }
    }

    /// It was tried and did not succeed, for a cause that has causes.
    pub fn caused(error: impl Error + 'static) -> Self {
        Self::failed(Chain(&error))
    }

    /// It was asked for in a way that makes no sense.
    pub fn usage(text: impl Display) -> Self {
        Self { code: 2, text: text.to_string() }
    }

    /// Nobody answers.
    pub fn unreachable(text: impl Display) -> Self {
        Self { code: 4, text: text.to_string() }
    }

    /// Some of it was done.
    pub fn partly(text: impl Display) -> Self {
        Self { code: 5, text: text.to_string() }
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
        Self { code, text }
    }
}
