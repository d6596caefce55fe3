//! Start order: whether workloads wait for each other in a circle.

use std::collections::BTreeSet;

use super::Workload;
use crate::id::WorkloadName;

/// The circle in which this workload would wait for itself, if there is one: it, whom it waits for,
/// whom that waits for, and so on. `after` says whom another workload of its namespace waits for.
pub fn cycle(
    workload: &Workload,
    after: impl Fn(&WorkloadName) -> Vec<WorkloadName>,
) -> Option<Vec<WorkloadName>> {
    let mut seen = BTreeSet::new();
    let mut paths: Vec<Vec<WorkloadName>> = vec![vec![workload.name.clone()]];
    while let Some(path) = paths.pop() {
        let last = path.last().expect("paths have a beginning");
        let next = if path.len() == 1 { workload.after.clone() } else { after(last) };
        // The first one named is looked at first.
        for name in next.into_iter().rev() {
            if name == workload.name {
                return Some(path);
            }
            if seen.insert(name.clone()) {
                let mut longer = path.clone();
                longer.push(name);
                paths.push(longer);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a: b c, b: a`: each with those that it waits for; the first is asked about.
    fn circle(text: &str) -> Option<String> {
        let lines: Vec<(WorkloadName, Vec<WorkloadName>)> = text
            .split(", ")
            .map(|line| {
                let (name, after) = line.split_once(':').expect("a colon");
                let after = after.split_whitespace().map(|one| one.parse().expect("a name"));
                (name.parse().expect("a name"), after.collect())
            })
            .collect();
        let json = format!(r#"{{"name":"{}","driver":"sim"}}"#, lines[0].0);
        let mut workload: Workload = serde_json::from_str(&json).expect("reads");
        workload.after.clone_from(&lines[0].1);
        let after = |name: &WorkloadName| {
            let line = lines.iter().find(|(one, _)| one == name);
            line.map(|(_, after)| after.clone()).unwrap_or_default()
        };
        let names = cycle(&workload, after)?;
        Some(names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_circle_is_found_however_long_and_named_in_order() {
        assert_eq!(circle("a: b, b: a").as_deref(), Some("a b"));
        assert_eq!(circle("a: x b, x: y, b: c, c: d, d: a").as_deref(), Some("a b c d"));
        assert_eq!(circle("a: b, b: c"), None);
        assert_eq!(circle("a: b c, b: d, c: d"), None, "two ways are no circle");
        assert_eq!(circle("a: b, b: c, c: b"), None, "a circle of others is not ours");
    }
}
