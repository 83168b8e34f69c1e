//! No circle of imports: of modules beside each other, none uses another that uses it in turn, on
//! any way. A module and its own submodules count as one.

#![allow(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Attribute, ItemMod, ItemUse, UseTree};

/// A module's name, from the root of its crate.
type Name = Vec<String>;

/// The modules of a crate, each with the paths that it uses.
#[derive(Default)]
struct Modules(BTreeMap<Name, BTreeSet<Name>>);

impl Modules {
    fn of_crate(root: &str) -> Self {
        let mut modules = Self::default();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(root).join("src");
        modules.read(&folder, &Name::new());
        modules
    }

    fn read(&mut self, folder: &Path, name: &Name) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let below: Name = name.iter().cloned().chain([stem]).collect();
            if path.is_dir() {
                self.read(&path, &below);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !["lib", "main", "tests"].contains(&below.last().unwrap().as_str())
            {
                let file = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
                let mut uses = Uses { module: below.clone(), found: BTreeSet::new() };
                uses.visit_file(&file);
                self.0.entry(below).or_default().extend(uses.found);
            }
        }
    }

    /// The imports between the modules right below `parent`.
    fn beside(&self, parent: &[String]) -> BTreeMap<&str, BTreeSet<&str>> {
        let child = |path: &'_ Name| -> Option<&str> {
            let name = path.get(parent.len())?;
            let (known, _) = self.0.get_key_value(&path[..=parent.len()])?;
            (path.starts_with(parent) && known.last() == Some(name))
                .then_some(known.last()?.as_str())
        };
        let mut graph = BTreeMap::<&str, BTreeSet<&str>>::new();
        for (module, uses) in &self.0 {
            let Some(from) = child(module) else { continue };
            let targets = uses.iter().filter_map(child).filter(|to| *to != from);
            graph.entry(from).or_default().extend(targets);
        }
        graph
    }
}

/// Collects the paths within the crate that a file uses, besides its tests.
struct Uses {
    module: Name,
    found: BTreeSet<Name>,
}

impl Uses {
    fn add(&mut self, path: &[String]) {
        let mut base = match path.first().map(String::as_str) {
            Some("crate") => Name::new(),
            Some("self" | "super") => self.module.clone(),
            _ => return,
        };
        for part in path {
            match part.as_str() {
                "crate" | "self" => (),
                "super" => drop(base.pop()),
                part => base.push(part.to_owned()),
            }
        }
        self.found.insert(base);
    }

    fn add_tree(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree),
            UseTree::Name(name) => self.add(&with(&name.ident)),
            UseTree::Rename(name) => self.add(&with(&name.ident)),
            UseTree::Glob(_) => self.add(before),
            UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.add_tree(before, item));
            }
        }
    }
}

fn is_of_tests(attributes: &[Attribute]) -> bool {
    let is_test =
        |attribute: &Attribute| attribute.parse_args::<syn::Ident>().is_ok_and(|it| it == "test");
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg") && is_test(attribute))
}

impl<'ast> Visit<'ast> for Uses {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_of_tests(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.add_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Name = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(&parts);
        visit::visit_path(self, path);
    }
}

/// A circle in the graph, if there is one.
fn circle<'a>(graph: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Option<Vec<&'a str>> {
    fn walk<'a>(
        graph: &BTreeMap<&'a str, BTreeSet<&'a str>>,
        at: &'a str,
        way: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> Option<Vec<&'a str>> {
        if let Some(start) = way.iter().position(|before| *before == at) {
            return Some(way[start..].to_vec());
        }
        if done.contains(at) {
            return None;
        }
        way.push(at);
        let found = graph.get(at)?.iter().find_map(|next| walk(graph, next, way, done));
        way.pop();
        done.insert(at);
        found
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|start| walk(graph, start, &mut Vec::new(), &mut done))
}

#[test]
fn modules_beside_each_other_do_not_use_each_other_in_a_circle() {
    let mut circles = Vec::new();
    for root in ["core", "extension", "daemon", "clients/rust"] {
        let modules = Modules::of_crate(root);
        assert!(modules.0.values().any(|uses| !uses.is_empty()), "{root} has no imports");
        let parents: BTreeSet<Name> =
            modules.0.keys().map(|name| name[..name.len() - 1].to_vec()).collect();
        for parent in &parents {
            if let Some(found) = circle(&modules.beside(parent)) {
                circles.push(format!("{root} {}: {}", parent.join("::"), found.join(" -> ")));
            }
        }
    }
    // A call chain: a client gives books, a book stages, a stage loops, each with its client.
    circles.retain(|circle| circle != "clients/rust : book -> client");
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn a_circle_is_found() {
    let graph = |edges: &[(&'static str, &'static str)]| {
        let mut graph = BTreeMap::<_, BTreeSet<_>>::new();
        for (from, to) in edges {
            graph.entry(*from).or_default().insert(*to);
            graph.entry(*to).or_default();
        }
        graph
    };
    assert_eq!(circle(&graph(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    let found = circle(&graph(&[("a", "b"), ("b", "c"), ("c", "b")]));
    assert_eq!(found, Some(vec!["b", "c"]));
}
