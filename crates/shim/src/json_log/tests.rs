use super::*;
use proptest::{collection::vec, prelude::*};
use std::time::{Duration, UNIX_EPOCH};

const TIME: &str = "1970-01-01T00:00:01.000000000Z";

fn logged(chunks: &[(Stream, &[u8])]) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut log = JsonLog::open(&path).unwrap();
    let time = UNIX_EPOCH + Duration::from_secs(1);
    for (stream, bytes) in chunks {
        log.append(*stream, bytes, time);
    }
    log.finish(time);
    let text = std::fs::read_to_string(&path).unwrap();
    let entries = text.lines().map(|line| {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(entry["time"], TIME);
        (entry["stream"].as_str().unwrap().to_owned(), entry["log"].as_str().unwrap().to_owned())
    });
    entries.collect()
}

fn pair(stream: &str, log: &str) -> (String, String) {
    (stream.to_owned(), log.to_owned())
}

#[test]
fn an_entry_is_written_byte_for_byte_as_documented() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    JsonLog::open(&path).unwrap().append(Stream::Stdout, b"text\n", UNIX_EPOCH + Duration::from_secs(1));
    let expected = format!("{{\"log\":\"text\\n\",\"stream\":\"stdout\",\"time\":\"{TIME}\"}}\n");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
}

#[test]
fn lines_are_put_together_for_each_stream_apart() {
    let entries = logged(&[
        (Stream::Stdout, b"a"),
        (Stream::Stderr, b"E\nF"),
        (Stream::Stdout, b"b\nc\n\nlast"),
        (Stream::Stderr, b"G\n"),
    ]);
    let expected = [
        pair("stderr", "E\n"),
        pair("stdout", "ab\n"),
        pair("stdout", "c\n"),
        pair("stdout", "\n"),
        pair("stderr", "FG\n"),
        pair("stdout", "last"),
    ];
    assert_eq!(entries, expected);
}

#[test]
fn a_long_line_is_split_and_can_be_joined() {
    let mut line = vec![b'x'; 2 * PART + 10];
    line.push(b'\n');
    let entries = logged(&[(Stream::Stdout, &line)]);
    let lengths: Vec<_> = entries.iter().map(|(_, log)| log.len()).collect();
    assert_eq!(lengths, [PART, PART, 11]);
    assert!(entries[2].1.ends_with('\n') && !entries[1].1.ends_with('\n'));
}

#[test]
fn a_line_that_just_fits_is_one_entry() {
    let mut line = vec![b'x'; PART - 1];
    line.push(b'\n');
    assert_eq!(logged(&[(Stream::Stdout, &line)]).len(), 1);
}

#[test]
fn a_split_does_not_cut_a_character() {
    for lead in 0..4 {
        let text = format!("{}{}\n", "x".repeat(PART - lead), "😀".repeat(3));
        let entries = logged(&[(Stream::Stdout, text.as_bytes())]);
        let joined: String = entries.iter().map(|(_, log)| log.as_str()).collect();
        assert_eq!(joined, text, "{lead}");
    }
}

#[test]
fn what_json_cannot_carry_is_escaped_or_replaced() {
    let entries = logged(&[(Stream::Stdout, b"q\" b\\ t\t r\r nul\0 esc\x1b bad\xff\xc3( \xe2\x82\n")]);
    let expected = "q\" b\\ t\t r\r nul\0 esc\u{1b} bad\u{fffd}\u{fffd}( \u{fffd}\n";
    assert_eq!(entries, [pair("stdout", expected)]);
}

#[test]
fn bytes_without_any_character_do_not_stall() {
    let entries = logged(&[(Stream::Stdout, &[0x80; PART + 1])]);
    assert_eq!(entries.len(), 2);
}

#[test]
fn an_old_log_is_continued() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    for text in [b"a\n", b"b\n"] {
        JsonLog::open(&path).unwrap().append(Stream::Stdout, text, UNIX_EPOCH);
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
}

#[test]
fn a_log_that_cannot_be_opened_is_named() {
    let error = JsonLog::open(Path::new("/nowhere/log")).unwrap_err();
    assert_eq!(error.to_string(), "cannot open log /nowhere/log");
}

#[test]
fn after_a_torn_write_entries_start_on_a_new_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut log = JsonLog::open(&path).unwrap();
    log.file.write_all(b"{\"log\":\"to").unwrap();
    log.torn = true;
    log.append(Stream::Stdout, b"whole\n", UNIX_EPOCH);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(serde_json::from_str::<serde_json::Value>(lines[1]).is_ok(), "{lines:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the output is cut into reads, its entries joined are the output.
    #[test]
    fn joined_entries_are_the_output(parts in vec(("\\PC{0,40}|[\n\"\\\\\t😀]{1,20}", 1..900usize), 1..20), cut in 1..40_000usize) {
        let text: String = parts.iter().map(|(part, times)| part.repeat(*times)).collect();
        let chunks: Vec<_> = text.as_bytes().chunks(cut).map(|chunk| (Stream::Stdout, chunk)).collect();
        let entries = logged(&chunks);
        prop_assert!(entries.iter().all(|(_, log)| log.len() <= PART && log.find('\n').is_none_or(|at| at + 1 == log.len())));
        let joined: String = entries.into_iter().map(|(_, log)| log).collect();
        prop_assert!(joined == text, "{} and {} bytes", joined.len(), text.len());
    }
}
