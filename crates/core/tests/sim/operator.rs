//! What people and fate do: one act after the other, from a chance of their own, so that fewer acts
//! are the beginning of the same story.

use ostler_core::command::Order;
use ostler_core::head::Head;
use ostler_core::id::{NodeName, PoolName, Version};
use ostler_core::node::{Admin, Kept, Liveness};
use ostler_core::time::Span;
use ostler_core::workload::Workload;

use crate::host::Host;
use crate::registry::{Registry, drain, removing};
use crate::scheduler::Replica;
use crate::world::{Cut, Ev, Who, World, say};

mod pressure;

impl World {
    /// Pools, nodes and services, all well.
    pub fn people(&mut self) {
        let pools = if self.fate.percent(25) { 2 } else { 1 };
        let pools: Vec<PoolName> = ["default", "edge"][..pools]
            .iter()
            .map(|name| name.parse().expect("a pool's name"))
            .collect();
        let nodes = self.fate.between(3, 9);
        for n in 0..nodes {
            let name: NodeName = format!("n{n}").parse().expect("a node's name");
            let pool = if n >= 3 && self.fate.percent(40) { pools.last() } else { pools.first() };
            let skew = Span::from_millis(self.fate.between(0, 7_200_000));
            let mut host = Host::new(name, pool.expect("there is one").clone(), skew);
            host.cpu = 100 * self.fate.between(4, 10);
            host.labels.insert("rack".to_owned(), format!("r{}", n % 3));
            self.hosts.push(host);
        }
        for pool in &pools {
            for _ in 0..2 {
                self.schedulers.push(Replica::new(pool.clone()));
            }
        }
        self.registries = vec![Registry::new(), Registry::new()];
        (0..self.registries.len()).for_each(|g| self.registry_start(g));
        (0..self.schedulers.len()).for_each(|r| self.scheduler_start(r));
        (0..self.hosts.len()).for_each(|h| self.host_start(h));
        self.later(3_000, Ev::Act);
    }

    /// The next act, and the one after it.
    pub fn act(&mut self) {
        if self.calm || self.acts >= self.plan.steps {
            return;
        }
        self.acts += 1;
        match self.fate.index(100) {
            0..=23 => self.submit(),
            24..=32 => self.change_workload(),
            33..=46 => self.change_node(),
            47..=54 => self.order_instance(),
            55..=59 => self.tune(),
            60..=79 => self.host_fault(),
            80..=92 => self.service_fault(),
            93..=96 => self.behave(),
            _rarely => self.outage(),
        }
        let wait = self.fate.between(50, 4_000);
        self.later(wait, Ev::Act);
    }

    fn submit(&mut self) {
        let Some(g) = self.registry_there() else { return };
        let n = self.fate.index(6);
        let text = self.text(n);
        let spec: Workload = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let problems = spec.check();
        assert!(problems.is_empty(), "{text}: {problems:?}");
        if self.api_put(g, spec) {
            say!(self, "put {text}");
        }
    }

    /// A workload: its kind and rules belong to its name, the rest is new each time.
    fn text(&mut self, n: usize) -> String {
        let fate = &mut self.fate;
        let kind = if n == 4 {
            "job"
        } else if n == 5 {
            "system"
        } else {
            "service"
        };
        let loss = match n {
            3 => r#","on_node_loss":"fence""#,
            2 => r#","disconnected_for":"5s""#,
            _others => "",
        };
        let canary = if n == 1 { r#","canary":1"# } else { "" };
        let placement = match (n, fate.index(4)) {
            (0, 0) => r#""anti_affinity":{"group":"w0","scope":"node","mode":"hard"}"#,
            (0, _) => r#""spread":{"attribute":"node.labels.rack"}"#,
            (2, 0 | 1) => r#""require":["node.labels.rack != r2"]"#,
            (1, 0) => r#""max_per":{"node.labels.rack":2}"#,
            (_, _) => "",
        };
        let ports = match n {
            0 => r#","ports":[{"name":"http"}]"#,
            1 => r#","ports":[{"name":"http","static":8080}]"#,
            _others => "",
        };
        let pool = match self.schedulers.last() {
            Some(last) if fate.percent(30) => last.pool.to_string(),
            Some(_) | None => "default".to_owned(),
        };
        let (count, version) = (fate.between(0, 5), fate.between(1, 3));
        let (parallel, cpu) = (fate.between(0, 2), 100 * fate.between(1, 2));
        let ready = if fate.percent(50) { r#","ready_after":"1s""# } else { "" };
        let priority = 10 * fate.between(2, 7);
        format!(
            r#"{{"name":"w{n}","driver":"sim","kind":"{kind}","count":{count},"pool":"{pool}",
            "priority":{priority},"resources":{{"cpu":{cpu}}},
            "sim":{{"start_after":"{version}ms"{ready}}},"stop":{{"grace":"3s"}}{ports},
            "update":{{"max_parallel":{parallel},"min_ready":"1s","deadline":"20s"{canary}}},
            "restart":{{"attempts":1,"backoff":{{"initial":"200ms","max":"2s"}}}},
            "reschedule":{{"backoff":{{"initial":"1s","max":"5s"}}{loss}}},
            "placement":{{{placement}}}}}"#
        )
        .replace("\n            ", "")
    }

    fn change_workload(&mut self) {
        let (Some(g), heads) = (self.registry_there(), self.server.heads()) else { return };
        let Some(head) = self.fate.pick(&heads) else { return };
        let key = head.key();
        let choice = self.fate.index(9);
        if head.deleted {
            return;
        }
        say!(self, "change {choice} of {key} v{}", head.version);
        let updated_at = self.now;
        match choice {
            0 | 1 => {
                let count = u32::try_from(self.fate.between(0, 6)).expect("small");
                self.api_put(g, Workload { count, ..head.spec });
            }
            2 | 3 => self.write_head(Head { deleted: true, updated_at, ..head }),
            4 => {
                let head = Head { stopped: !head.stopped, updated_at, ..head };
                if self.within_quota(&head) {
                    self.write_head(head);
                }
            }
            5 | 6 => {
                let restart_generation = head.restart_generation.next();
                self.write_head(Head { restart_generation, updated_at, ..head });
            }
            7 => self.order(&head.spec.pool.clone(), Order::Promote { workload: key.to_string() }),
            _roll => {
                let good = Version(head.version.0.saturating_sub(1));
                self.api_rollback(&key, good, head.version);
            }
        }
    }

    fn change_node(&mut self) {
        let Some(g) = self.registry_there() else { return };
        let nodes = self.server.nodes();
        let Some(node) = self.fate.pick(&nodes) else { return };
        let (name, pool) = (node.name.clone(), node.pool.clone());
        let choice = self.fate.index(11);
        say!(self, "change {choice} of {name}");
        let until = self.now.plus(Span::from_secs(self.fate.between(10, 60)));
        let active = |node: &mut ostler_core::node::Node| {
            (node.admin, node.drain_deadline) = (Admin::Active, None);
            node.kept = Kept { removing: false, ..node.kept.clone() };
        };
        match choice {
            0 | 1 => {
                let force = self.fate.percent(20);
                self.administer(&name, |node| drain(node, until));
                self.order(&pool, Order::Drain { node: name, force });
            }
            2 => {
                self.administer(&name, |node| {
                    drain(node, until);
                    node.admin = Admin::Maintenance;
                });
                self.order(&pool, Order::Drain { node: name, force: false });
            }
            3 if node.admin == Admin::Active => {
                self.administer(&name, |node| node.admin = Admin::Cordoned);
            }
            4..=8 => drop(self.administer(&name, active)),
            9 if self.registries[g].instances_on(&name) == 0 => self.remove_node(&name),
            10 => {
                self.administer(&name, removing);
                self.order(&pool, Order::Evacuate { node: name });
            }
            _nothing => {}
        }
    }

    /// `node.remove` of one that is empty, as far as the registry has heard.
    fn remove_node(&mut self, name: &NodeName) {
        say!(self, "{name} is removed");
        self.ledger.removed.insert(name.clone());
        self.server.stream(&crate::bus::Bucket::Nodes).put(name.as_str(), None);
        self.written(&crate::bus::Bucket::Nodes);
    }

    fn order_instance(&mut self) {
        let pools = self.pools();
        let Some(pool) = self.fate.pick(&pools) else { return };
        let manifests = self.server.manifests(&pool);
        let groups = manifests.iter().flat_map(|(_, manifest)| &manifest.groups);
        let ids: Vec<_> = groups.flat_map(|group| &group.entries).map(|entry| entry.id).collect();
        let Some(instance) = self.fate.pick(&ids) else { return };
        let nodes: Vec<NodeName> = self.nodes_of(&pool).into_iter().collect();
        let order = match self.fate.index(4) {
            0 => Order::StopInstance { instance },
            1 => Order::RestartInstance { instance },
            _move => {
                let node = self.fate.pick(&nodes).filter(|_| self.fate.percent(50));
                Order::MoveInstance { instance, node }
            }
        };
        self.order(&pool, order);
    }

    fn host_fault(&mut self) {
        let h = self.fate.index(self.hosts.len());
        let who = Who::Host(h);
        let (choice, short, long) =
            (self.fate.index(10), self.fate.between(100, 4_000), self.fate.between(3_000, 40_000));
        let wait = if self.fate.percent(60) { short } else { long };
        if !self.body(who).up {
            return;
        }
        say!(self, "fault {choice} of n{h} for {wait} ms");
        let life = self.life(who);
        match choice {
            0..=2 => {
                self.host_dies(h);
                self.later(wait, Ev::Start(who, life));
            }
            3 | 4 => {
                self.host_reboots(h);
                self.later(wait, Ev::Start(who, life));
            }
            5 => self.pause(who, wait),
            6 => {
                if self.registry_there().is_some() {
                    self.leave(h);
                }
                self.host_dies(h);
                self.later(wait, Ev::Start(who, life));
            }
            _cut => self.cut(who, wait),
        }
    }

    fn pause(&mut self, who: Who, wait: u64) {
        let until = self.now.plus(Span::from_millis(wait));
        self.body(who).paused = Some(until);
        self.at(until, Ev::Resume(who));
    }

    fn cut(&mut self, who: Who, wait: u64) {
        let cuts = [Cut::Both, Cut::Both, Cut::In, Cut::Out, Cut::None];
        let cut = self.fate.pick(&cuts).expect("there are some");
        let slow = self.fate.between(50, 900);
        let body = self.body(who);
        body.cut = cut;
        if cut == Cut::None {
            body.slow = slow;
        }
        if let Who::Registry(g) = who {
            let (life, notices) = (self.life(who), self.fate.between(0, 3_000));
            self.later(notices, Ev::Deaf(g, life));
        }
        self.later(wait, Ev::Heal(who));
    }

    /// A link is well again; who was away looks and tells anew.
    pub fn heal(&mut self, who: Who) {
        let body = self.body(who);
        (body.cut, body.slow) = (Cut::None, 0);
        let life = self.life(who);
        match who {
            Who::Registry(g) => self.later(100, Ev::Hearing(g, life)),
            Who::Host(h) => self.host_linked(h),
            Who::Scheduler(_) => {}
        }
    }

    fn service_fault(&mut self) {
        let (schedulers, registries) = (self.schedulers.len(), self.registries.len());
        let leader = (0..schedulers).find(|r| self.schedulers[*r].reign().is_some());
        let who = match (self.fate.index(10), leader) {
            (0..=5, Some(r)) => Who::Scheduler(r),
            (6 | 7, _) => Who::Registry(self.fate.index(registries)),
            (_, _) => Who::Scheduler(self.fate.index(schedulers)),
        };
        let (choice, wait) = (self.fate.index(3), self.fate.between(100, 12_000));
        if !self.body(who).up {
            return;
        }
        say!(self, "fault {choice} of {who:?} for {wait} ms");
        match choice {
            0 => {
                let body = self.body(who);
                (body.up, body.paused) = (false, None);
                let life = self.life(who);
                self.later(wait, Ev::Start(who, life));
            }
            1 => self.pause(who, wait),
            _cut => self.cut(who, wait),
        }
    }

    /// Nodes decline or fail what they did not, and the other way round.
    fn behave(&mut self) {
        let (h, n) = (self.fate.index(self.hosts.len()), self.fate.index(6));
        let name = format!("w{n}");
        let host = &mut self.hosts[h];
        let which = if self.fate.percent(50) { &mut host.declines } else { &mut host.fails };
        if !which.remove(&name) {
            which.insert(name);
        }
        say!(self, "n{h} behaves otherwise with w{n}");
    }

    /// The server is away for everybody.
    fn outage(&mut self) {
        let wait = self.fate.between(500, 15_000);
        say!(self, "the server is away for {wait} ms");
        let all: Vec<Who> = self.bodies.keys().copied().collect();
        for who in all {
            self.body(who).cut = Cut::Both;
            if let Who::Registry(g) = who {
                let life = self.life(who);
                self.later(500, Ev::Deaf(g, life));
            }
            let heal = wait + self.fate.between(0, 2_000);
            self.later(heal, Ev::Heal(who));
        }
    }

    /// What was down begins again, unless it did.
    pub fn start(&mut self, who: Who, life: u32) {
        let body = self.body(who);
        if body.up || body.life != life {
            return;
        }
        say!(self, "{who:?} starts");
        match who {
            Who::Scheduler(r) => self.scheduler_start(r),
            Who::Registry(g) => self.registry_start(g),
            Who::Host(h) => self.host_start(h),
        }
    }

    /// All faults are over, everything that was down starts.
    pub fn calm_down(&mut self) {
        self.calm = true;
        let nodes: Vec<NodeName> = self.server.nodes().into_iter().map(|node| node.name).collect();
        let all: Vec<Who> = self.bodies.keys().copied().collect();
        for who in all {
            self.body(who).paused = None;
            self.heal(who);
            let life = self.life(who);
            self.start(who, life);
        }
        for host in &mut self.hosts {
            (host.declines, host.fails) = Default::default();
        }
        say!(self, "all is calm, nodes {nodes:?}");
        let left = self.server.nodes().into_iter().filter(|n| n.liveness == Liveness::Left).count();
        say!(self, "{left} have left");
    }
}
