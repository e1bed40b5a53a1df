//! `logs`.

use crate::render;
use clap::Args;
use sampan_engine::Engine;
use sampan_types::{
    Error, ErrorKind, Result,
    ops::{Execute, InspectContainer, OpenLogs},
};
use serde::Deserialize;
use std::{
    fs::File,
    io::{BufRead, BufReader, Write, stderr, stdout},
    path::Path,
    time::Duration,
};

/// How often a followed log is looked at.
const INTERVAL: Duration = Duration::from_millis(100);

/// Show the output of a container.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Go on showing what is added, until the container ends
    #[arg(short = 'f', long)]
    follow: bool,
    /// Begin with the last lines only
    #[arg(short = 'n', long, value_name = "LINES", default_value = "all")]
    tail: String,
    /// Show when each line was written
    #[arg(short = 't', long)]
    timestamps: bool,
    /// Name or id
    container: String,
}

#[derive(Deserialize)]
struct Line {
    log: String,
    stream: String,
    time: String,
}

impl Logs {
    pub(crate) fn run(self, engine: &Engine) -> Result<u8> {
        let tail = match self.tail.as_str() {
            "all" => None,
            number => Some(number.parse::<usize>().map_err(|_| {
                Error::new(ErrorKind::InvalidInput, format!("invalid number of lines {number:?}"))
                    .hint("--tail 20, or all")
            })?),
        };
        let container = self.container.clone();
        let path = engine.execute(OpenLogs { container })?;
        let mut log = BufReader::new(open(&path)?);
        let mut pending = String::new();
        let mut shown = Vec::new();
        while let Some(line) = next(&mut log, &mut pending, &path)? {
            match tail {
                Some(0) => {}
                _ => shown.push(line),
            }
            match tail {
                // Twice the wanted lines at most are kept, so that a long log does not fill memory.
                Some(count) if shown.len() >= 2 * count.max(1) => drop(shown.drain(..shown.len() - count)),
                None => self.show(&shown.split_off(0))?,
                _ => {}
            }
        }
        let skip = tail.map_or(0, |count| shown.len().saturating_sub(count));
        self.show(&shown[skip..])?;
        if self.follow { self.follow(engine, &mut log, &mut pending, &path) } else { Ok(0) }
    }

    fn follow(
        &self,
        engine: &Engine,
        log: &mut BufReader<File>,
        pending: &mut String,
        path: &Path,
    ) -> Result<u8> {
        loop {
            // Looked at before reading: what was written before the end is still shown.
            let container = self.container.clone();
            let runs =
                engine.execute(InspectContainer { container }).is_ok_and(|details| details.pid.is_some());
            while let Some(line) = next(log, pending, path)? {
                self.show(&[line])?;
            }
            if !runs {
                return Ok(0);
            }
            std::thread::sleep(INTERVAL);
        }
    }

    fn show(&self, lines: &[Line]) -> Result<()> {
        let (mut out, mut err) = (stdout().lock(), stderr().lock());
        for line in lines {
            let time =
                if self.timestamps { format!("{} ", render::printable(&line.time)) } else { String::new() };
            let target: &mut dyn Write = if line.stream == "stderr" { &mut err } else { &mut out };
            match write!(target, "{time}{}", line.log) {
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
                result => result.map_err(|source| Error::io("cannot write to standard output", source))?,
            }
        }
        out.flush().map_err(|source| Error::io("cannot write to standard output", source))
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|source| Error::io(format!("cannot read log {}", path.display()), source))
}

/// The next whole line; `None` where there is none yet. A line of which only a part has been written waits in `pending`.
fn next(log: &mut BufReader<File>, pending: &mut String, path: &Path) -> Result<Option<Line>> {
    log.read_line(pending)
        .map_err(|source| Error::io(format!("cannot read log {}", path.display()), source))?;
    if !pending.ends_with('\n') {
        return Ok(None);
    }
    let text = std::mem::take(pending);
    let line = serde_json::from_str(&text).map_err(|error| {
        Error::new(ErrorKind::Internal, format!("cannot understand log {}", path.display())).because(error)
    })?;
    Ok(Some(line))
}
