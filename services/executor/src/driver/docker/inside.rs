//! A command inside a container, by the daemon's own exec.

use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use bollard::query_parameters as query;
use futures::StreamExt as _;
use ostler_core::instance::Exit;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncWriteExt as _;

use super::create::variables;
use super::engine::{Engine, EngineError, name};
use crate::driver::Launch;
use crate::driver::process::environment::expand;
use crate::driver::session::{Exec, Input, Inside, Output, PIECE, Size};

/// Runs it to its end, or until nobody wants its output any more.
pub(super) async fn run(engine: &Engine, launch: &Launch, (exec, mut inside): (Exec, Inside)) {
    let output = inside.output.clone();
    let id = match create(engine, launch, &exec).await {
        Ok(id) => id,
        Err(error) => {
            // Who asked may have gone.
            drop(output.send(Output::Refused(error.to_string())).await);
            return;
        }
    };
    let last = tokio::select! {
        ended = converse(engine, &id, &exec, &mut inside) => match ended {
            Ok(exit) => Output::Ended(exit),
            Err(error) => Output::Refused(error.to_string()),
        },
        () = output.closed() => return end(engine, &id).await,
    };
    // Who asked may have gone.
    drop(output.send(last).await);
}

/// Nobody wants its output any more. The API cannot end it; its pid, as the host counts, can.
async fn end(engine: &Engine, id: &str) {
    let Ok(found) = engine.api.inspect_exec(id).await else { return };
    let pid = found.pid.filter(|pid| *pid > 0 && found.running == Some(true));
    let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended just now.
        kill_process(pid, Signal::KILL).ok();
    }
}

async fn create(engine: &Engine, launch: &Launch, exec: &Exec) -> Result<String, EngineError> {
    let variables = variables(launch);
    let section = launch.spec.sections.docker.clone().unwrap_or_default();
    let config = ExecConfig {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(exec.terminal.is_some()),
        cmd: Some(exec.words.iter().map(|word| expand(word, &variables)).collect()),
        user: section.user,
        ..ExecConfig::default()
    };
    let created = engine.api.create_exec(&name(launch.id), config).await;
    Ok(created.map_err(EngineError::of)?.id)
}

async fn converse(
    engine: &Engine,
    id: &str,
    exec: &Exec,
    inside: &mut Inside,
) -> Result<Exit, EngineError> {
    let options = StartExecOptions { tty: exec.terminal.is_some(), ..Default::default() };
    let started = engine.api.start_exec(id, Some(options)).await.map_err(EngineError::of)?;
    let StartExecResults::Attached { mut output, mut input } = started else {
        return Err(EngineError::Unavailable("it was not attached".to_owned()));
    };
    if let Some(size) = exec.terminal {
        resize(engine, id, size).await;
    }
    let mut open = true;
    loop {
        tokio::select! {
            piece = output.next() => match piece {
                None => break,
                Some(piece) => pass_on(piece.map_err(EngineError::of)?, inside).await,
            },
            said = inside.input.recv(), if open => match said {
                Some(Input::Bytes(bytes)) => open = input.write_all(&bytes).await.is_ok(),
                Some(Input::Resize(size)) => resize(engine, id, size).await,
                Some(Input::End) | None => {
                    if exec.terminal.is_some() {
                        // As if it were typed.
                        drop(input.write_all(&[4]).await);
                    } else {
                        drop(input.shutdown().await);
                    }
                    open = false;
                }
            },
        }
    }
    let ended = engine.api.inspect_exec(id).await.map_err(EngineError::of)?;
    let code = ended.exit_code.and_then(|code| i32::try_from(code).ok());
    Ok(match code {
        None => Exit::Unknown,
        Some(code @ 129..=192) => Exit::Signal(code - 128),
        Some(code) => Exit::Code(code),
    })
}

async fn resize(engine: &Engine, id: &str, size: Size) {
    let options = query::ResizeExecOptions { h: size.rows.into(), w: size.columns.into() };
    // It may have ended.
    drop(engine.api.resize_exec(id, options).await);
}

async fn pass_on(piece: LogOutput, inside: &Inside) {
    let (bytes, errors) = match piece {
        LogOutput::StdErr { message } => (message, true),
        LogOutput::StdOut { message }
        | LogOutput::Console { message }
        | LogOutput::StdIn { message } => (message, false),
    };
    for part in bytes.chunks(PIECE) {
        let part = part.to_vec();
        let output = if errors { Output::Stderr(part) } else { Output::Stdout(part) };
        // Who asked may have gone.
        drop(inside.output.send(output).await);
    }
}
