use super::*;
use std::{io::Write, os::unix::net::UnixStream};

#[test]
fn frames_and_their_descriptors_stay_together() {
    let (one, two) = UnixStream::pair().unwrap();
    let file = tempfile::tempfile().unwrap();
    send(&one, b"first", &[]).unwrap();
    send(&one, b"second", &[file.as_fd(), file.as_fd()]).unwrap();
    send(&one, b"", &[]).unwrap();
    drop(one);
    let first = recv(&two).unwrap().unwrap();
    let second = recv(&two).unwrap().unwrap();
    let third = recv(&two).unwrap().unwrap();
    assert_eq!((first.bytes.as_slice(), first.fds.len()), (&b"first"[..], 0));
    assert_eq!((second.bytes.as_slice(), second.fds.len()), (&b"second"[..], 2));
    assert!(third.bytes.is_empty());
    assert!(recv(&two).unwrap().is_none());
}

#[test]
fn a_frame_arrives_piece_by_piece() {
    let (mut one, two) = UnixStream::pair().unwrap();
    two.set_nonblocking(true).unwrap();
    let mut reader = FrameReader::new();
    for piece in [&[0u8, 0][..], &[0, 3, b'a'], b"b"] {
        one.write_all(piece).unwrap();
        assert!(matches!(reader.read(&two).unwrap(), Progress::Partial));
    }
    one.write_all(b"c").unwrap();
    let Progress::Frame(frame) = reader.read(&two).unwrap() else { panic!("no frame") };
    assert_eq!(frame.bytes, b"abc");
    drop(one);
    assert!(matches!(reader.read(&two).unwrap(), Progress::Closed));
}

#[test]
fn a_large_frame_passes_a_full_socket() {
    let (one, two) = UnixStream::pair().unwrap();
    one.set_nonblocking(true).unwrap();
    let bytes = vec![7u8; 3 << 20];
    let sender = std::thread::spawn(move || send(&one, &bytes, &[]));
    assert_eq!(recv(&two).unwrap().unwrap().bytes.len(), 3 << 20);
    sender.join().unwrap().unwrap();
}

#[test]
fn bad_frames_are_refused() {
    let (mut one, two) = UnixStream::pair().unwrap();
    one.write_all(&u32::MAX.to_be_bytes()).unwrap();
    assert_eq!(recv(&two).unwrap_err().kind(), io::ErrorKind::InvalidData);
    let (mut one, two) = UnixStream::pair().unwrap();
    one.write_all(&[0, 0, 0, 9, 1]).unwrap();
    drop(one);
    assert_eq!(recv(&two).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    let file = tempfile::tempfile().unwrap();
    let fds = [file.as_fd(); MAX_FDS + 1];
    assert_eq!(send(&two, b"", &fds).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}
