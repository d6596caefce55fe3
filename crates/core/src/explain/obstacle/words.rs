//! An obstacle in words, with its numbers.

use std::fmt;

use super::{Obstacle, Quantity, Shortage, for_people, place_name, rounded_down};
use crate::node::Admin;
use crate::placement::Reason;

impl fmt::Display for Obstacle {
    /// A clause without a subject, with numbers: `needs 512MiB of memory, 300MiB are free`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pool { needs, is } => write!(f, "is in pool `{is}`, not `{needs}`"),
            Self::Liveness { is, since } => {
                write!(f, "has been {} for {}", is.as_str(), for_people(*since))
            }
            Self::Unknown => f.write_str("has not joined"),
            Self::Removed => f.write_str("was removed from the fleet"),
            Self::Settling { kept } => {
                let (what, are) =
                    if *kept == 1 { ("instance", "is") } else { ("instances", "are") };
                write!(f, "is back, and {kept} {what} that it kept {are} being settled")
            }
            Self::Admin { is } => write!(f, "is {}", admin_words(*is)),
            Self::Pin { to } => write!(f, "is not `{to}`, to which the workload is pinned"),
            Self::Driver { needs, has } => {
                write!(f, "lacks driver `{needs}`, has {}", listed(has))
            }
            Self::Require { unknown: Some(name), expression, .. } => {
                write!(f, "`{expression}`: no node can have `{name}`")
            }
            Self::Require { expression, is: Some(is), .. } => {
                write!(f, "needs `{expression}`, is `{is}`")
            }
            Self::Require { expression, is: None, .. } => {
                write!(f, "needs `{expression}`, has nothing of it")
            }
            Self::Affinity { workload, scope } => {
                write!(f, "nothing of `{workload}` is {}", place_name(*scope))
            }
            Self::MaxInstances { has, limit } => {
                let what = if *has == 1 { "instance" } else { "instances" };
                write!(f, "has {has} {what}, of at most {limit}")
            }
            Self::Short(Shortage { of, needs, free, by_use, .. }) => {
                let (needs, free) = (of.amount(*needs), amount_alone(*of, *free));
                let why = if *by_use { " by live use of the host" } else { "" };
                write!(f, "needs {needs}, {free} free{why}")
            }
            Self::Port { port, held_by: Some(who), .. } => {
                write!(f, "port {port} is held by {who}")
            }
            Self::Port { port, held_by: None, .. } => write!(f, "port {port} is taken"),
            Self::Ports { needs, range: (first, last) } => {
                let (what, lacks) = match needs {
                    1 => ("port", "none"),
                    _ => ("ports", "too few"),
                };
                write!(f, "needs {needs} dynamic {what}, {lacks} of {first} to {last} are free")
            }
            Self::AntiAffinity { group, scope, with } => {
                let who = with.as_deref().unwrap_or("another member");
                write!(f, "{who} of group `{group}` is {}", place_name(*scope))
            }
            Self::MaxPer { attribute, value, has, limit } => {
                let are = if *has == 1 { "is" } else { "are" };
                write!(f, "{has} {are} where `{attribute}` is `{value}`, at most {limit} may be")
            }
            Self::Excluded { after, times, left } => {
                let what = if *after == Reason::Declined { "was declined" } else { "failed" };
                let left = for_people(*left);
                write!(f, "{what} there {}, passed over for {left} more", often(*times))
            }
            Self::Refused { why } => write!(f, "declined by the node: {why}"),
            Self::Other { reason } => write!(f, "ruled out: {}", reason.as_str()),
        }
    }
}

fn often(times: u32) -> String {
    match times {
        0 | 1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn amount_alone(of: Quantity, number: u64) -> String {
    match of {
        Quantity::Cpu | Quantity::Network => number.to_string(),
        Quantity::Memory | Quantity::Disk => rounded_down(number).to_string(),
    }
}

const fn admin_words(admin: Admin) -> &'static str {
    match admin {
        Admin::Active => "active",
        Admin::Cordoned => "cordoned",
        Admin::Draining => "being drained",
        Admin::Maintenance => "in maintenance",
    }
}
