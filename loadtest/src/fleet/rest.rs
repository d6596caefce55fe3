//! What scenarios ask of the gateway.

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::Fleet;

impl Fleet {
    /// Puts a workload of this name.
    pub async fn put(&self, name: &str, workload: &Value) -> anyhow::Result<()> {
        let mut body = workload.clone();
        body["name"] = name.into();
        check(self.client.put(self.workload(name)).json(&body).send().await).await.map(drop)
    }

    /// Deletes it.
    pub async fn remove(&self, name: &str) -> anyhow::Result<()> {
        check(self.client.delete(self.workload(name)).send().await).await.map(drop)
    }

    /// Reads a path and how many bytes are there, which are not looked at.
    pub async fn read(&self, path: &str) -> anyhow::Result<usize> {
        let text = check(self.client.get(format!("{}{path}", self.api)).send().await).await?;
        Ok(text.len())
    }

    /// Reads what is at a path, such as `/v1/instances?limit=100`.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let text = check(self.client.get(format!("{}{path}", self.api)).send().await).await?;
        Ok(serde_json::from_str(&text)?)
    }

    fn workload(&self, name: &str) -> String {
        format!("{}/v1/workloads/default/{name}", self.api)
    }
}

async fn check(answer: reqwest::Result<reqwest::Response>) -> anyhow::Result<String> {
    let answer = answer.context("the gateway does not answer")?;
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    ensure!(status.is_success(), "the gateway says {status}: {text}");
    Ok(text)
}
