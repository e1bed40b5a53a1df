//! What a run found, in markdown.

use crate::budgets::{Budget, MEMORY_KIB};
use crate::measure::{Contender, Outcome, Work, percentile};
use crate::memory::{CONTAINERS, Helpers};
use crate::peers::{Absent, Peer};
use crate::table::Table;
use std::fmt::Write as _;
use std::time::Duration;

const SAMPAN: &str = "sampan";

/// The versions of who took part, and why others did not.
pub(crate) fn peers(peers: &[Box<dyn Peer>], others: &[Absent]) -> String {
    let versions: Vec<String> = peers.iter().map(|peer| peer.version()).collect();
    format!("Versions: {}\n\n", versions.join("; ")) + &absent(others)
}

/// Who is not in the tables, and why.
pub(crate) fn absent(all: &[Absent]) -> String {
    all.iter()
        .map(|Absent { peer, why }| format!("Not measured: {peer}: {}\n\n", why.replace('\n', " ")))
        .collect()
}

/// Times and ratios, then the budgets.
pub(crate) fn times(contenders: &[Contender], outcomes: &[Outcome], budgets: &[Budget]) -> String {
    let median = |peer: &str, work: Work| {
        let found = contenders.iter().position(|other| other.peer == peer && other.work == work)?;
        percentile(outcomes[found].as_ref().ok()?, 50)
    };
    // The same work where crun does it; else a runtime at its barest, with a bundle.
    let crun = |work| median("crun", work).or(median("crun", Work::Bundle)).or(median("crun", Work::Exec));
    let mut table = Table::new(["who, what", "median ms", "fastest", "90 %", "× crun", "× sampan"]);
    let mut failed = String::new();
    for (Contender { peer, work, .. }, outcome) in contenders.iter().zip(outcomes) {
        match outcome {
            Ok(times) => {
                let [own, least, most] = [50, 0, 90].map(|percent| percentile(times, percent));
                table.row([
                    format!("{peer} {}", work.words()),
                    milliseconds(own),
                    milliseconds(least),
                    milliseconds(most),
                    ratio(own, crun(*work)),
                    ratio(own, median(SAMPAN, *work).or(median(SAMPAN, Work::NoNetwork))),
                ]);
            }
            Err(why) => {
                let _infallible = writeln!(failed, "Failed: {peer} {}: {why}", work.words());
            }
        }
    }
    let rounds = outcomes.iter().flatten().map(Vec::len).max().unwrap_or_default();
    let mut text = format!("{rounds} rounds, interleaved; wall time from spawn to the end\n\n");
    text += &table.render();
    if !failed.is_empty() {
        text += &failed;
        text.push('\n');
    }
    let mut table = Table::new(["budget", "at most", "here", "met"]);
    for Budget { ours, peer, theirs, share, words } in budgets {
        let (own, other) = (median(SAMPAN, *ours), median(peer, *theirs));
        let met = own.zip(other).map(|(own, other)| own <= other.mul_f64(*share));
        table.row([
            format!("sampan {} / {peer} {}", ours.words(), theirs.words()),
            (*words).to_owned(),
            ratio(own, other),
            verdict(met).to_owned(),
        ]);
    }
    text + &table.render()
}

/// The memory of helpers, against the budget.
pub(crate) fn memory(all: &[Helpers]) -> String {
    let mut text =
        format!("Proportional set size of helper processes; {CONTAINERS} idle containers each\n\n");
    let mut table = Table::new(["who, beside a container", "KiB each", "KiB once (daemons)"]);
    for Helpers { peer, programs, each_kib, once_kib } in all {
        let programs: Vec<&str> = programs.iter().map(String::as_str).collect();
        let programs = if programs.is_empty() { "nothing".to_owned() } else { programs.join(", ") };
        table.row([format!("{peer}: {programs}"), each_kib.to_string(), once_kib.to_string()]);
    }
    text += &table.render();
    let own = all.iter().find(|helpers| helpers.peer == SAMPAN);
    let mut table = Table::new(["budget", "at most", "here", "met"]);
    table.row([
        "sampan helpers of a container, KiB".to_owned(),
        MEMORY_KIB.to_string(),
        own.map_or("-".to_owned(), |own| own.each_kib.to_string()),
        verdict(own.map(|own| own.each_kib <= MEMORY_KIB)).to_owned(),
    ]);
    text + &table.render()
}

fn milliseconds(time: Option<Duration>) -> String {
    time.map_or("-".to_owned(), |time| format!("{:.1}", time.as_secs_f64() * 1e3))
}

/// How many times the other's time this is; a dash when one of them was not measured.
fn ratio(own: Option<Duration>, other: Option<Duration>) -> String {
    own.zip(other).map_or("-".to_owned(), |(own, other)| {
        let times = own.as_secs_f64() / other.as_secs_f64();
        if times < 0.5 { format!("1/{:.1}", 1.0 / times) } else { format!("{times:.2}") }
    })
}

fn verdict(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not measured",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budgets::START;

    fn contender(peer: &'static str, work: Work) -> Contender {
        Contender { peer, work, words: Vec::new() }
    }

    #[test]
    fn budgets_are_judged_by_medians_and_the_failed_are_named() {
        let contenders = [
            contender("sampan", Work::NoNetwork),
            contender("sampan", Work::Published),
            contender("crun", Work::Bundle),
            contender("docker", Work::Published),
        ];
        let one = |ms: u64| Ok(vec![Duration::from_millis(ms)]);
        let outcomes = [one(9), one(12), one(10), Err("no bridge".to_owned())];
        let text = times(&contenders, &outcomes, START);
        for expected in [
            "|     0.8 | 0.90 |           no |",
            "|     1.6 | 1.20 |          yes |",
            "|    1/15 |    - | not measured |",
            "Failed: docker run, port published: no bridge\n",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }

    #[test]
    fn small_ratios_read_as_fractions() {
        let [one, thirty] = [1, 30].map(|ms| Some(Duration::from_millis(ms)));
        assert_eq!(ratio(one, thirty), "1/30.0");
        assert_eq!(ratio(thirty, one), "30.00");
        assert_eq!(ratio(one, None), "-");
    }
}
