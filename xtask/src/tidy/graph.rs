//! The packages and who depends on whom, as `cargo metadata` tells it.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The output of `cargo metadata --format-version=1`, as far as it is used here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    resolve: Resolve,
}

/// One package of the closure.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Package {
    /// Cargo's unique id.
    id: String,
    /// Its name.
    pub(super) name: String,
    /// Its version.
    pub(super) version: String,
    /// Its SPDX licence expression.
    pub(super) license: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

/// Packages by id, with the edges that end up in a program: neither tests' nor build scripts' dependencies.
pub(super) struct Graph {
    packages: BTreeMap<String, Package>,
    members: BTreeSet<String>,
    edges: BTreeMap<String, Vec<String>>,
    reached: BTreeSet<String>,
}

impl Graph {
    /// Reads cargo's JSON.
    pub(super) fn parse(json: &str) -> Result<Self> {
        let metadata: Metadata =
            serde_json::from_str(json).context("cannot read what `cargo metadata` says")?;
        let reached = reached(&metadata);
        let edges = metadata.resolve.nodes.into_iter().map(|node| (node.id, linked(node.deps))).collect();
        let packages = metadata.packages.into_iter().map(|package| (package.id.clone(), package)).collect();
        Ok(Self { packages, members: metadata.workspace_members, edges, reached })
    }

    /// Every package of the closure of the workspace, tests' and build scripts' dependencies included; not those that
    /// only stand in the lock file because of a feature nobody asked for.
    pub(super) fn packages(&self) -> impl Iterator<Item = &Package> {
        self.packages.values().filter(|package| self.reached.contains(&package.id))
    }

    /// The workspace's own packages.
    pub(super) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.values().filter(|package| self.members.contains(&package.id))
    }

    /// What a package uses directly.
    pub(super) fn direct(&self, package: &Package) -> Vec<&Package> {
        let ids = self.edges.get(&package.id).map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| self.packages.get(id)).collect()
    }

    /// The names of all that a package drags along, without itself.
    pub(super) fn closure(&self, package: &Package) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        let mut rest = self.direct(package);
        let mut seen = BTreeSet::new();
        while let Some(next) = rest.pop() {
            if seen.insert(&next.id) {
                names.insert(next.name.as_str());
                rest.extend(self.direct(next));
            }
        }
        names
    }
}

/// The ids that edges of any kind lead to from the workspace's own packages.
fn reached(metadata: &Metadata) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut rest: Vec<&String> = metadata.workspace_members.iter().collect();
    while let Some(next) = rest.pop() {
        if reached.insert(next.clone()) {
            let node = metadata.resolve.nodes.iter().find(|node| node.id == *next);
            rest.extend(node.into_iter().flat_map(|node| &node.deps).map(|edge| &edge.pkg));
        }
    }
    reached
}

/// The ids behind normal edges; an edge's kind is absent when it is normal.
fn linked(edges: Vec<Edge>) -> Vec<String> {
    let normal = |edge: &Edge| edge.dep_kinds.iter().any(|kind| kind.kind.is_none());
    edges.into_iter().filter(normal).map(|edge| edge.pkg).collect()
}

/// A graph for tests: each entry is a package and what it uses; those named `sampan…` are members.
#[cfg(test)]
pub(super) fn graph(entries: &[(&str, &[&str])]) -> Graph {
    let names: BTreeSet<&str> =
        entries.iter().flat_map(|(name, uses)| std::iter::once(*name).chain(uses.iter().copied())).collect();
    let package = |name: &str| Package {
        id: name.to_owned(),
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        license: Some("MIT".to_owned()),
    };
    Graph {
        packages: names.iter().map(|name| ((*name).to_owned(), package(name))).collect(),
        members: names
            .iter()
            .filter(|name| name.starts_with("sampan"))
            .map(|name| (*name).to_owned())
            .collect(),
        reached: names.iter().map(|name| (*name).to_owned()).collect(),
        edges: entries
            .iter()
            .map(|(name, uses)| ((*name).to_owned(), uses.iter().map(|used| (*used).to_owned()).collect()))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_of_tests_and_build_scripts_are_no_edges() {
        let json = r#"{"workspace_members":["a"],"packages":[
            {"id":"a","name":"a","version":"1.0.0","license":"MIT"},
            {"id":"b","name":"b","version":"1.0.0","license":"MIT"},
            {"id":"c","name":"c","version":"1.0.0","license":null}],
            "resolve":{"nodes":[
            {"id":"a","deps":[{"pkg":"b","dep_kinds":[{"kind":null}]},{"pkg":"c","dep_kinds":[{"kind":"dev"}]}]},
            {"id":"b","deps":[]},{"id":"c","deps":[]}]}}"#;
        let graph = Graph::parse(json).unwrap();
        let a = graph.members().next().unwrap();
        assert_eq!(graph.closure(a).into_iter().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn the_closure_reaches_through_others_and_ends_in_a_circle() {
        let graph = graph(&[("sampan-a", &["b"]), ("b", &["c"]), ("c", &["b"])]);
        let a = graph.members().next().unwrap();
        assert_eq!(graph.closure(a).into_iter().collect::<Vec<_>>(), ["b", "c"]);
    }
}
