//! Any tree that can be written into an archive comes out of it the same.

use super::{
    Place,
    archives::Tar,
    tree::{self, Seen, What},
};
use proptest::{collection, prelude::*};
use std::{collections::BTreeMap, os::unix::fs::MetadataExt};
use tar::EntryType;

#[derive(Debug, Clone)]
enum Node {
    Leaf(What),
    Directory(BTreeMap<String, (Node, Attributes)>),
}

#[derive(Debug, Clone)]
struct Attributes {
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, i64),
    xattrs: BTreeMap<String, Vec<u8>>,
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let xattrs = collection::btree_map("user\\.[a-z]{1,5}", collection::vec(any::<u8>(), 1..20), 0..3);
    let id = || prop_oneof![Just(0u32), 1..70_000u32, Just(u32::MAX - 1)];
    (0..0o10000u32, (id(), id()), (-1_000_000_000..4_000_000_000i64, 0..1_000_000_000i64), xattrs)
        .prop_map(|(mode, owner, mtime, xattrs)| Attributes { mode, owner, mtime, xattrs })
}

fn leaf() -> impl Strategy<Value = What> {
    prop_oneof![
        4 => collection::vec(any::<u8>(), 0..2000).prop_map(What::File),
        1 => "[a-z./]{1,20}".prop_map(What::Link),
        1 => Just(What::Fifo),
        1 => (prop_oneof![Just('c'), Just('b')], 1..200u64).prop_map(|(kind, minor)| What::Device(kind, (1 << 8) | minor)),
    ]
}

fn directory() -> impl Strategy<Value = BTreeMap<String, (Node, Attributes)>> {
    let name = "[a-zA-Zä. ]{1,12}".prop_filter("not a name", |name| !matches!(name.as_str(), "." | ".."));
    let node = leaf().prop_map(Node::Leaf).prop_recursive(3, 40, 6, move |inner| {
        collection::btree_map(name.clone(), (inner, attributes()), 0..6).prop_map(Node::Directory)
    });
    collection::btree_map("[a-z]{1,8}", (node, attributes()), 0..8)
}

/// Writes the tree, and says what is to be seen of it.
fn write(
    mut tar: Tar,
    prefix: &str,
    tree: &BTreeMap<String, (Node, Attributes)>,
    seen: &mut BTreeMap<String, Seen>,
) -> Tar {
    for (name, (node, attributes)) in tree {
        let path = format!("{prefix}{name}");
        let what = match node {
            Node::Leaf(what) => what.clone(),
            Node::Directory(_) => What::Directory,
        };
        tar = write_one(tar, &path, &what, attributes);
        let is_plain = matches!(what, What::File(_) | What::Directory);
        seen.insert(
            path.clone(),
            Seen {
                mode: if matches!(what, What::Link(_)) { 0o777 } else { attributes.mode },
                owner: attributes.owner,
                mtime: attributes.mtime,
                xattrs: if is_plain { attributes.xattrs.clone() } else { BTreeMap::new() },
                what,
            },
        );
        if let Node::Directory(children) = node {
            tar = write(tar, &format!("{path}/"), children, seen);
        }
    }
    tar
}

fn write_one(tar: Tar, path: &str, what: &What, attributes: &Attributes) -> Tar {
    let (seconds, nanoseconds) = attributes.mtime;
    let mtime = match (seconds, nanoseconds) {
        (seconds, nanoseconds) if seconds < 0 && nanoseconds > 0 => {
            format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanoseconds)
        }
        (seconds, nanoseconds) => format!("{seconds}.{nanoseconds:09}"),
    };
    let (uid, gid) = (attributes.owner.0.to_string(), attributes.owner.1.to_string());
    let mut records: Vec<(String, Vec<u8>)> = vec![
        ("path".into(), path.into()),
        ("mtime".into(), mtime.into()),
        ("uid".into(), uid.into()),
        ("gid".into(), gid.into()),
    ];
    if matches!(what, What::File(_) | What::Directory) {
        // Attributes of users are for files and directories alone (xattr(7)).
        let xattr = |(name, value): (&String, &Vec<u8>)| (format!("SCHILY.xattr.{name}"), value.clone());
        records.extend(attributes.xattrs.iter().map(xattr));
    }
    let records: Vec<(&str, &[u8])> =
        records.iter().map(|(key, value)| (key.as_str(), value.as_slice())).collect();
    let tar = tar.pax(&records);
    let (kind, content, link, device) = match what {
        What::Directory => (EntryType::Directory, &[][..], "", 0),
        What::File(content) => (EntryType::Regular, content.as_slice(), "", 0),
        What::Link(target) => (EntryType::Symlink, &[][..], target.as_str(), 0),
        What::Fifo => (EntryType::Fifo, &[][..], "", 0),
        What::Device('c', device) => (EntryType::Char, &[][..], "", *device),
        What::Device(_, device) => (EntryType::Block, &[][..], "", *device),
    };
    tar.entry("short", kind, link, content, |header| {
        header.set_mode(attributes.mode);
        header.set_device_major((device >> 8) as u32).unwrap();
        header.set_device_minor((device & 0xff) as u32).unwrap();
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn trees_come_back(tree in directory(), links in collection::vec((any::<prop::sample::Index>(), "L[0-9]{1,3}"), 0..4)) {
        let mut expected = BTreeMap::new();
        let mut tar = write(Tar::default(), "", &tree, &mut expected);
        let files: Vec<_> = expected.iter().filter(|(_, seen)| matches!(seen.what, What::File(_))).map(|(path, seen)| (path.clone(), seen.clone())).collect();
        let mut linked = Vec::new();
        for (index, name) in links.iter().filter(|_| !files.is_empty()) {
            let (path, seen) = index.get(&files);
            if !expected.contains_key(name) {
                expected.insert(name.clone(), seen.clone());
                tar = tar.pax(&[("linkpath", path.as_bytes())]).hard_link(name, "");
                linked.push((name.clone(), path.clone()));
            }
        }
        let mut place = Place::new();
        place.apply(&tar.end()).unwrap();
        prop_assert_eq!(tree::read(place.top()), expected);
        for (name, path) in linked {
            let inode = |name: &str| std::fs::metadata(place.top().join(name)).unwrap().ino();
            prop_assert_eq!(inode(&name), inode(&path));
        }
    }

    #[test]
    fn damage_never_leaves_the_tree(tree in directory(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut layer = write(Tar::default(), "", &tree, &mut BTreeMap::new()).end();
        let at = at.index(layer.len());
        layer[at] = byte;
        // Whatever comes of it: `apply` checks that nothing outside has changed.
        let _ = Place::new().apply(&layer);
    }
}
