//! The image of an instance: there, pulled, or loaded from an artifact.

use bollard::query_parameters as query;
use futures::StreamExt as _;
use ostler_core::id::InstanceId;
use ostler_core::workload::{DockerSection, Pull};
use tokio::io::AsyncReadExt as _;
use tracing::info;

use super::engine::{Engine, EngineError};
use crate::artifact::Artifacts;
use crate::supervise::Blame;

/// Makes sure that the image is there.
pub(super) async fn ensure(
    engine: &Engine,
    artifacts: Option<&Artifacts>,
    (id, section): (InstanceId, &DockerSection),
) -> Result<(), (String, Blame)> {
    let image = section.image.as_str();
    let there = is_there(engine, image).await.map_err(|error| (error.to_string(), Blame::Node))?;
    if there && section.pull != Pull::Always {
        return Ok(());
    }
    if let Some(artifact) = &section.artifact {
        load(engine, artifacts, (id, artifact)).await?;
        return match is_there(engine, image).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                let why = format!("artifact `{artifact}` holds no image `{image}`");
                Err((why, Blame::Instance))
            }
            Err(error) => Err((error.to_string(), Blame::Node)),
        };
    }
    if section.pull == Pull::Never {
        let why = format!("image `{image}` is not here, and `pull` is `never`");
        return Err((why, Blame::Node));
    }
    pull(engine, image).await.map_err(|error| {
        let why = format!("cannot pull `{image}`: {error}");
        (why, Blame::Node)
    })
}

async fn is_there(engine: &Engine, image: &str) -> Result<bool, EngineError> {
    match engine.api.inspect_image(image).await.map_err(EngineError::of) {
        Ok(_) => Ok(true),
        Err(EngineError::Refused { status: 404, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn pull(engine: &Engine, image: &str) -> Result<(), EngineError> {
    let tagged = image.rsplit('/').next().unwrap_or(image).contains([':', '@']);
    let options = query::CreateImageOptions {
        from_image: Some(image.to_owned()),
        // Without a tag all of them would be pulled.
        tag: (!tagged).then(|| "latest".to_owned()),
        ..Default::default()
    };
    let mut pulling = engine.api.create_image(Some(options), None, None);
    while let Some(step) = pulling.next().await {
        step.map_err(EngineError::of)?;
    }
    info!("image `{image}` was pulled");
    Ok(())
}

async fn load(
    engine: &Engine,
    artifacts: Option<&Artifacts>,
    (id, artifact): (InstanceId, &str),
) -> Result<(), (String, Blame)> {
    let Some(artifacts) = artifacts else {
        return Err(("this executor keeps no artifacts".to_owned(), Blame::Node));
    };
    let path = artifacts.hold(id, artifact).await.map_err(|error| {
        let blame = if error.is_of_this_node() { Blame::Node } else { Blame::Instance };
        (error.to_string(), blame)
    })?;
    let loaded = load_file(engine, &path).await;
    // The daemon has it now.
    artifacts.release(id);
    loaded.map_err(|why| (format!("cannot load artifact `{artifact}`: {why}"), Blame::Instance))
}

async fn load_file(engine: &Engine, path: &std::path::Path) -> Result<(), String> {
    let file = tokio::fs::File::open(path).await.map_err(|error| error.to_string())?;
    let parts = futures::stream::unfold(file, |mut file| async move {
        let mut buffer = vec![0; 256 * 1024];
        match file.read(&mut buffer).await {
            Ok(0) => None,
            Ok(length) => {
                buffer.truncate(length);
                Some((Ok::<_, std::io::Error>(bytes::Bytes::from(buffer)), file))
            }
            Err(error) => Some((Err(error), file)),
        }
    });
    let body = bollard::body_try_stream(parts);
    let options = query::ImportImageOptions { quiet: true, ..Default::default() };
    let mut loading = std::pin::pin!(engine.api.import_image(options, body, None));
    while let Some(step) = loading.next().await {
        let step = step.map_err(|error| EngineError::of(error).to_string())?;
        if let Some(error) = step.error_detail.and_then(|detail| detail.message) {
            return Err(error);
        }
    }
    Ok(())
}
