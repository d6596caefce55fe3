//! What goes back: bodies with their revision, accepted commands, problems.

mod page;
mod refusal;

pub use page::{Accepted, Digested, Tagged};
pub use refusal::{Refusal, problem_response, status_problem};

/// What a handler returns.
pub type Answer<T> = Result<T, Refusal>;
