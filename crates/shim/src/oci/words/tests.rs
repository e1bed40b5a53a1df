use super::*;

const FLAGS: &[Flag] = &[
    Flag::text("bundle", "").short("b"),
    Flag::switch("detach", "").short("d"),
    Flag::new(Kind::List, "env", "").short("e"),
    Flag::new(Kind::Integer, "preserve-fds", ""),
    Flag::new(Kind::Duration, "interval", ""),
];

fn parse(order: Order, line: &str) -> Result<Words, String> {
    let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
    Words::parse(FLAGS, order, &words)
}

#[test]
fn every_way_to_write_an_option() {
    for line in
        ["--bundle /b id", "-bundle /b id", "--bundle=/b id", "-b /b id", "-b=/b id", "id --bundle /b"]
    {
        let words = parse(Order::Anywhere, line).unwrap();
        assert_eq!((words.text("bundle"), words.id()), (Some("/b"), "id"), "{line}");
    }
    let words = parse(Order::Anywhere, "--detach id --detach=false -e A=1 --env B=-x=2 -b --detach").unwrap();
    assert!(!words.switch("detach"), "the last one counts");
    assert_eq!(words.all("env").collect::<Vec<_>>(), ["A=1", "B=-x=2"]);
    assert_eq!(words.text("bundle"), Some("--detach"), "what follows is the value, whatever it looks like");
    assert!(parse(Order::Anywhere, "-d=T id").unwrap().switch("detach"));
}

#[test]
fn after_the_id_of_exec_all_belongs_to_the_program() {
    let words = parse(Order::First, "-d id ls -d --bundle x -- y").unwrap();
    assert!(words.switch("detach") && !words.has("bundle"));
    assert_eq!(words.arguments, ["id", "ls", "-d", "--bundle", "x", "--", "y"]);
    assert_eq!(parse(Order::Anywhere, "-- -d").unwrap().arguments, ["-d"]);
    assert_eq!(parse(Order::Anywhere, "id -9").unwrap().arguments, ["id", "-9"]);
    assert_eq!(parse(Order::Anywhere, "id -").unwrap().arguments, ["id", "-"]);
}

#[test]
fn what_is_wrong_is_told_in_gos_words() {
    for (line, told) in [
        ("--foo id", "flag provided but not defined: -foo"),
        ("-x", "flag provided but not defined: -x"),
        ("--bundle", "flag needs an argument: -bundle"),
        ("id -b", "flag needs an argument: -b"),
        ("--detach=foo id", "invalid boolean value \"foo\" for -detach: parse error"),
        ("--preserve-fds x id", "invalid value \"x\" for flag -preserve-fds: parse error"),
        ("--interval foo id", "invalid value \"foo\" for flag -interval: parse error"),
        ("--=x", "bad flag syntax: --=x"),
        ("---x", "bad flag syntax: ---x"),
    ] {
        assert_eq!(parse(Order::Anywhere, line).unwrap_err(), told, "{line}");
    }
}

#[test]
fn the_help_is_asked_for_among_the_options_only() {
    for line in ["--help", "-h", "id -h"] {
        assert!(parse(Order::Anywhere, line).unwrap().help, "{line}");
    }
    assert!(!parse(Order::First, "id -h").unwrap().help);
}

#[test]
fn integers_are_gos() {
    for (text, value) in [
        ("0", Some(0)),
        ("-1", Some(-1)),
        ("+7", Some(7)),
        ("0x1F", Some(31)),
        ("017", Some(15)),
        ("0b11", Some(3)),
    ] {
        assert_eq!(integer(text), value, "{text}");
    }
    for text in ["", "-", "x", "1x", "0x", "--1", "0x-1", "9223372036854775808", "1.5"] {
        assert_eq!(integer(text), None, "{text}");
    }
}
