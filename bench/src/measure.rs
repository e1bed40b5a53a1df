//! Wall time of commands, from spawn to the end.

use crate::programs::{output, quiet};
use anyhow::{Context as _, Result};
use std::time::{Duration, Instant};

/// What a contender does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// An OCI runtime's `run` of a bundle: no image, no log, no record of the container.
    Bundle,
    /// An OCI runtime's `create`, `start` and `delete`, one after the other.
    Cycle,
    /// An OCI runtime's `run` of a hundred bundles at once.
    Hundred,
    /// An engine's `run` without network.
    NoNetwork,
    /// An engine's `run` with an address and a published port.
    Published,
    /// A command in a container that runs.
    Exec,
}

impl Work {
    /// What a reader of the table sees.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Bundle => "run of a bundle",
            Self::Cycle => "create, start, delete",
            Self::Hundred => "run of 100 at once",
            Self::NoNetwork => "run, no network",
            Self::Published => "run, port published",
            Self::Exec => "exec",
        }
    }
}

/// One peer at one work.
#[derive(Debug, Clone)]
pub(crate) struct Contender {
    /// The peer's name.
    pub(crate) peer: &'static str,
    /// What it does.
    pub(crate) work: Work,
    /// The command that does it.
    pub(crate) words: Vec<String>,
}

/// What came of one contender: its times in ascending order, or why it fell out.
pub(crate) type Outcome = Result<Vec<Duration>, String>;

/// Runs all contenders once a round, one after the other, so that a slow minute of the machine hits all alike; `warm_up` rounds come
/// first and do not count. A contender whose command fails falls out, with what it said.
pub(crate) fn interleaved(contenders: &[Contender], rounds: u32, warm_up: u32) -> Result<Vec<Outcome>> {
    let mut outcomes: Vec<Outcome> = contenders.iter().map(|_| Ok(Vec::new())).collect();
    for round in 0..warm_up + rounds {
        for (contender, outcome) in contenders.iter().zip(&mut outcomes) {
            let Ok(times) = outcome else { continue };
            match once(contender)? {
                Some(time) if round >= warm_up => times.push(time),
                Some(_) => {}
                None => *outcome = Err(why_it_fails(contender)),
            }
        }
        if (round + 1) % 10 == 0 {
            eprintln!("bench: {} of {} rounds", round + 1, warm_up + rounds);
        }
    }
    outcomes.iter_mut().flatten().for_each(|times| times.sort_unstable());
    Ok(outcomes)
}

/// The time of one run, none when the command failed.
fn once(contender: &Contender) -> Result<Option<Duration>> {
    let mut command = quiet(&contender.words)?;
    let begin = Instant::now();
    let status = command.status().with_context(|| format!("cannot run `{}`", contender.words.join(" ")))?;
    let time = begin.elapsed();
    Ok(status.success().then_some(time))
}

/// Runs a command that failed once more, to hear what it says.
fn why_it_fails(contender: &Contender) -> String {
    match output(&contender.words) {
        Ok(_) => "failed once, then worked".to_owned(),
        Err(error) => error.to_string().replace('\n', " "),
    }
}

/// The value below which `percent` of the ascending values lie: 50 is the median.
pub(crate) fn percentile(ascending: &[Duration], percent: usize) -> Option<Duration> {
    let last = ascending.len().checked_sub(1)?;
    let (low, rest) = (last * percent / 100, last * percent % 100);
    let between = ascending.get(low + 1).unwrap_or(&ascending[low]).saturating_sub(ascending[low]);
    Some(ascending[low] + between.mul_f64(rest as f64 / 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contender(words: &[&str]) -> Contender {
        Contender {
            peer: "test",
            work: Work::Exec,
            words: words.iter().map(|word| (*word).to_owned()).collect(),
        }
    }

    #[test]
    fn a_median_of_an_even_count_lies_between() {
        let times = [1, 2, 4, 9].map(Duration::from_millis);
        assert_eq!(percentile(&times, 50), Some(Duration::from_millis(3)));
        assert_eq!(percentile(&times[..3], 50), Some(Duration::from_millis(2)));
        assert_eq!(percentile(&times, 0), Some(Duration::from_millis(1)));
        assert_eq!(percentile(&times, 100), Some(Duration::from_millis(9)));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn who_fails_falls_out_with_the_reason_and_the_others_go_on() {
        let contenders = [contender(&["true"]), contender(&["sh", "-c", "echo no luck >&2; exit 3"])];
        let outcomes = interleaved(&contenders, 4, 1).unwrap();
        assert_eq!(outcomes[0].as_ref().unwrap().len(), 4);
        let why = outcomes[1].as_ref().unwrap_err();
        assert!(why.contains("exit status: 3: no luck"), "{why}");
    }
}
