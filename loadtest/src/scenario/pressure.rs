//! `pressure`: something asks for far too much; how long does everybody else wait meanwhile?
//!
//! Beside each pressure two probes go on as before: one starts and ends a small workload, one reads.
//! Each case has a fleet of its own, and the same probes on it before anything presses.

mod press;
mod probe;

use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};

use crate::args::Servers;
use crate::fleet::{Fleet, Setup};
use crate::report::{Report, Values, count};
use crate::scenario::window::rest;
use press::Press;
use probe::Probe;

/// What presses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// Far more slots at once than there is room for.
    Slots,
    /// A workload that fails 1,000 times a minute on every node.
    Poison,
    /// A client that asks as fast as it can, on many connections.
    Flood,
    /// Followers of events, and of the whole bus, that never read.
    Deaf,
}

/// What is measured.
#[derive(Debug, Clone, ClapArgs)]
pub struct Args {
    /// What presses; all of them one after the other unless said.
    #[arg(long, value_enum)]
    pub case: Vec<Case>,
    /// How many simulated nodes there are.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub nodes: u32,
    /// How many slots are submitted at once.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub slots: u32,
    /// How many connections the client floods, and how many followers never read.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub clients: u32,
    /// For how many seconds the probes go on, each time.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// Which NATS.
    #[command(flatten)]
    pub servers: Servers,
}

/// Measures what was asked for.
pub async fn measure(args: &Args) -> anyhow::Result<Report> {
    let mut report = Report::new("pressure");
    report.setup("nodes", args.nodes);
    report.setup("slots", args.slots);
    report.setup("clients", args.clients);
    report.setup("seconds", args.seconds);
    let all = [Case::Slots, Case::Poison, Case::Flood, Case::Deaf];
    for case in if args.case.is_empty() { &all[..] } else { &args.case } {
        let setup = Setup { nodes: args.nodes, servers: args.servers.clone(), ..Setup::default() };
        // What each of its processes used is of interest only where nothing presses.
        let mut own = Report::new("pressure");
        let measure = async |fleet: &mut Fleet, _: &mut Report| one(args, *case, fleet).await;
        let measured = Fleet::with(&setup, &mut own, measure).await?;
        measured.tell(*case, &mut report);
        for (process, bytes) in own.peaks {
            let most = report.peaks.entry(process).or_default();
            *most = bytes.max(*most);
        }
    }
    report.note("start: a workload of one instance, from the request to its report; one at a time");
    report.note("read: a page of 100 instances or a workload, every 20 ms");
    Ok(report)
}

/// What the probes waited, without pressure and with it, and what the fleet counted.
struct Measured {
    before: Probe,
    pressed: Probe,
    counted: Vec<(String, f64)>,
}

async fn one(args: &Args, case: Case, fleet: &mut Fleet) -> anyhow::Result<Measured> {
    let seconds = Duration::from_secs(args.seconds);
    probe::stand(fleet).await?;
    rest("seconds to settle", Duration::from_secs(3)).await;
    let before = Probe::run(fleet, seconds).await?;
    let mut press = Press::begin(args, case, fleet).await?;
    let pressed = tokio::select! {
        pressed = Probe::run(fleet, seconds) => pressed?,
        failed = press.go_on(fleet) => {
            failed?;
            anyhow::bail!("the pressure ended before the probes did")
        }
    };
    let counted = press.counted(fleet).await?;
    Ok(Measured { before, pressed, counted })
}

impl Measured {
    fn tell(&self, case: Case, report: &mut Report) {
        let name = case.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned());
        for (what, before, pressed) in [
            ("start", &self.before.starts, &self.pressed.starts),
            ("read", &self.before.reads, &self.pressed.reads),
        ] {
            for (key, share) in [("p50", 0.5), ("p99", 0.99)] {
                let (usual, now) = (before.percentile(share), pressed.percentile(share));
                report.figure(&format!("{name}: {what} usually {key}"), usual, "ms");
                report.figure(&format!("{name}: {what} pressed {key}"), now, "ms");
                report.figure(
                    &format!("{name}: {what} {key}, times the usual"),
                    now / usual.max(f64::MIN_POSITIVE),
                    "×",
                );
            }
            report.figure(&format!("{name}: {what}s that were probed"), probes(pressed), "");
        }
        for (what, value) in &self.counted {
            report.figure(&format!("{name}: {what}"), *value, "");
        }
    }
}

fn probes(values: &Values) -> f64 {
    count(values.len())
}
