//! Three servers in a cluster.

use std::process::Child;

use tempfile::TempDir;

use super::process;
use crate::ports::Ports;

/// Servers in one cluster, each with its own port and store. Killed on drop.
#[derive(Debug)]
pub struct NatsCluster {
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    start: process::Start,
    child: Option<Child>,
    _home: TempDir,
}

impl NatsCluster {
    /// Starts `size` servers (at most three: that many configurations there are) and waits until
    /// they have a leader.
    pub async fn start(size: usize) -> Self {
        let mut tries = 0;
        loop {
            tries += 1;
            match Self::try_start(size).await {
                Ok(cluster) => return cluster,
                // Somebody took a port between the draw and the start.
                Err(why) if tries == 3 => panic!("the nats-servers do not start: {why}"),
                Err(_) => {}
            }
        }
    }

    async fn try_start(size: usize) -> Result<Self, String> {
        let ports: Vec<u16> = (0..size).map(|_| Ports::free()).collect();
        let routes: Vec<String> =
            ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let mut cluster = Self { members: Vec::new() };
        for (number, route) in (1..).zip(&routes) {
            let home = process::home();
            let start = process::Start {
                config: process::config(&format!("cluster-{number}.conf")),
                home: home.path().to_owned(),
                store: home.path().join("store"),
                enter: Vec::new(),
                address: process::LOOPBACK,
                port: Ports::free(),
                monitor: Ports::free(),
                more: vec![
                    "--cluster_listen".to_owned(),
                    route.clone(),
                    "--routes".to_owned(),
                    routes.join(","),
                ],
            };
            let child = start.spawn().map_err(|error| error.to_string())?;
            cluster.members.push(Member { start, child: Some(child), _home: home });
        }
        for member in &mut cluster.members {
            let child = member.child.as_mut().expect("just started");
            member.start.ready(child).await?;
        }
        Ok(cluster)
    }

    /// Where clients reach it: all servers.
    #[must_use]
    pub fn url(&self) -> String {
        let urls: Vec<String> = (0..self.members.len()).map(|number| self.url_of(number)).collect();
        urls.join(",")
    }

    /// Where clients reach one of them.
    #[must_use]
    pub fn url_of(&self, number: usize) -> String {
        format!("nats://127.0.0.1:{}", self.members[number].start.port)
    }

    /// How many servers there are.
    #[must_use]
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// The process ids of those that run.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.members.iter().filter_map(|member| Some(member.child.as_ref()?.id())).collect()
    }

    /// Kills one with SIGKILL. Its store stays.
    pub fn kill(&mut self, number: usize) {
        self.members[number].kill();
    }

    /// Starts one again on the same port and store; kills it before if it runs.
    pub async fn restart(&mut self, number: usize) {
        let member = &mut self.members[number];
        member.kill();
        member.child = Some(member.start.run().await.expect("it ran before"));
    }

    /// Starts all again that were killed, together: one alone is not ready.
    pub async fn restart_all(&mut self) {
        for member in &mut self.members {
            member.kill();
            member.child = Some(member.start.spawn().expect("it ran before"));
        }
        for member in &mut self.members {
            let child = member.child.as_mut().expect("just started");
            member.start.ready(child).await.expect("it was ready before");
        }
    }

    /// Stops one with SIGSTOP.
    pub fn stop(&self, number: usize) {
        process::signal(self.members[number].child.as_ref(), rustix::process::Signal::STOP);
    }

    /// Lets one run again with SIGCONT.
    pub fn cont(&self, number: usize) {
        process::signal(self.members[number].child.as_ref(), rustix::process::Signal::CONT);
    }
}

impl Member {
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it is our child");
            child.wait().expect("it is our child");
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}
