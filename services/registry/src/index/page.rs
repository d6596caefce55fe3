//! Pages of lists: a limit, a cursor that names the last item, a stable order.

use ostler_schemas::problem::Problem;

use crate::refusal::invalid;

/// What is asked for where nothing is said.
const USUAL: u32 = 100;
/// The most that is answered at once.
const MOST: u32 = 1_000;

/// A page of a list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page<T> {
    /// Its items, in the list's order.
    pub items: Vec<T>,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<String>,
}

/// How many items may be on a page; 0 stands for 100.
pub fn limit(asked: u32) -> Result<usize, Problem> {
    match asked {
        0 => Ok(usize::try_from(USUAL).expect("100 fits")),
        1..=MOST => Ok(usize::try_from(asked).expect("1000 fits")),
        _ => Err(invalid("limit", format!("{asked} is too many: 1 to {MOST}"))),
    }
}

impl<T> Page<T> {
    /// The first `limit` of these; each with what a cursor calls it.
    pub(super) fn of(items: impl Iterator<Item = (String, T)>, limit: usize) -> Self {
        let mut items = items.peekable();
        let mut page = Self { items: Vec::new(), next: None };
        while let Some((name, item)) = items.next() {
            page.items.push(item);
            if page.items.len() == limit {
                page.next = items.peek().is_some().then_some(name);
                break;
            }
        }
        page
    }
}
