use super::*;

fn drain(client: &OwnedFd) -> Vec<u8> {
    rustix::io::ioctl_fionbio(client, true).unwrap();
    let (mut all, mut buffer) = (Vec::new(), [0; 65_536]);
    while let Ok(count @ 1..) = rustix::io::read(client, &mut buffer) {
        all.extend_from_slice(&buffer[..count]);
    }
    all
}

#[test]
fn frames_are_dockers() {
    let (mut attacher, client) = Attacher::pair(Care::Observer, true, false).unwrap();
    attacher.deliver(Stream::Stderr, b"abc");
    assert_eq!(drain(&client), b"\x02\0\0\0\0\0\0\x03abc");
}

#[test]
fn an_observer_that_lags_is_dropped_and_never_holds_back() {
    let (mut attacher, _client) = Attacher::pair(Care::Observer, false, false).unwrap();
    while !attacher.is_gone() {
        attacher.deliver(Stream::Stdout, &[0; 32_768]);
        assert!(!attacher.holds_back());
        assert!(attacher.queue.len() <= LAGGING + 32_768);
    }
}

#[test]
fn the_foreground_holds_back_until_it_has_read() {
    let (mut attacher, client) = Attacher::pair(Care::Foreground, false, true).unwrap();
    let mut sent = 0;
    while !attacher.holds_back() {
        attacher.deliver(Stream::Stdout, &[1; 32_768]);
        sent += 32_768;
    }
    assert!(attacher.deadline().is_some());
    let mut received = 0;
    while received < sent {
        received += drain(&client).len();
        attacher.flush();
    }
    assert!(!attacher.holds_back() && !attacher.is_gone());
    assert_eq!(attacher.deadline(), None);
}

#[test]
fn the_end_of_input_is_not_the_end_of_the_client() {
    let (mut attacher, client) = Attacher::pair(Care::Foreground, false, true).unwrap();
    rustix::io::write(&client, b"hi").unwrap();
    shutdown(&client, Shutdown::Write).unwrap();
    let mut buffer = [0; 8];
    assert_eq!(attacher.receive(&mut buffer), Received::Bytes(2));
    assert_eq!(attacher.receive(&mut buffer), Received::End);
    assert!(!attacher.is_gone() && !attacher.is_reading());
    attacher.deliver(Stream::Stdout, b"still");
    assert_eq!(drain(&client), b"still");
}

#[test]
fn without_stdin_the_client_cannot_write() {
    let (_attacher, client) = Attacher::pair(Care::Observer, false, false).unwrap();
    let sent = rustix::net::send(&client, b"x", rustix::net::SendFlags::NOSIGNAL);
    assert_eq!(sent, Err(Errno::PIPE));
}

#[test]
fn the_rest_is_written_before_the_end() {
    let (mut attacher, client) = Attacher::pair(Care::Foreground, false, false).unwrap();
    attacher.deliver(Stream::Stdout, &vec![1; 500_000]);
    attacher.end();
    assert!(!attacher.is_gone());
    let mut received = 0;
    while !attacher.is_gone() {
        received += drain(&client).len();
        attacher.flush();
    }
    assert_eq!(received + drain(&client).len(), 500_000);
}

#[test]
fn what_was_written_before_hanging_up_is_still_read() {
    let (mut attacher, client) = Attacher::pair(Care::Foreground, false, true).unwrap();
    rustix::io::write(&client, b"last words").unwrap();
    drop(client);
    attacher.hang_up();
    assert!(attacher.interest(false).is_none() && attacher.interest(true).is_some());
    let mut buffer = [0; 64];
    assert_eq!(attacher.receive(&mut buffer), Received::Bytes(10));
    assert_eq!(attacher.receive(&mut buffer), Received::Gone);
    assert!(attacher.is_gone());
}
