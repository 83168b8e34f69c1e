//! Tests that docs/monitor.md, docs/alerts.md, the alert rules and the dashboard agree with the
//! table of metrics and cover all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use promql_parser::parser::{Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use serde_json::Value;

use super::{ALL, BUILD, Kind, Metric};

/// The metrics of the process's collector on Linux.
const PROCESS: [&str; 8] = [
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_threads",
    "process_virtual_memory_bytes",
    "process_virtual_memory_max_bytes",
];
/// Metrics without an alert: any value is normal, or another metric covers the problem.
const WITHOUT_ALERT: [&str; 18] = [
    super::BATCHES,
    super::BATCH_EVENTS,
    super::BATCH_ITEMS,
    super::BROADCASTS_HELD_BACK,
    super::CONNECTIONS,
    super::MESSAGES,
    super::PUBLISHED,
    super::RECONNECTS,
    super::REQUEST_SECONDS,
    super::STANDING_BY,
    super::STREAMS,
    super::SWEPT,
    super::SWEEPS_SKIPPED,
    BUILD,
    "process_cpu_seconds_total",
    "process_threads",
    "process_virtual_memory_bytes",
    "process_virtual_memory_max_bytes",
];

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every metric's labels.
fn labels() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let ours = ALL.iter().map(|metric| (metric.name, metric.labels.iter().copied().collect()));
    ours.chain(PROCESS.map(|name| (name, BTreeSet::new()))).collect()
}

/// The names in a query: its metrics with the labels they are selected by, and the labels it groups
/// by.
#[derive(Default)]
struct Asked {
    metrics: Vec<(String, Vec<String>)>,
    grouped: BTreeSet<String>,
}

impl ExprVisitor for Asked {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, part: &Expr) -> Result<bool, Self::Error> {
        match part {
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(selector) => self.selector(&selector.vs),
            Expr::Aggregate(aggregate) => {
                self.grouped
                    .extend(aggregate.modifier.iter().flat_map(|by| by.labels().labels.clone()));
            }
            _ => (),
        }
        Ok(true)
    }
}

impl Asked {
    fn of(what: &str, query: &str) -> Self {
        // Grafana replaces its variable with a duration.
        let parsed = promql_parser::parser::parse(&query.replace("$__rate_interval", "1m"));
        let parsed = parsed.unwrap_or_else(|error| panic!("{what}: {error} in {query}"));
        let mut asked = Self::default();
        let Ok(_) = walk_expr(&mut asked, &parsed);
        asked
    }

    fn selector(&mut self, selector: &VectorSelector) {
        let labels = selector.matchers.matchers.iter().map(|matcher| matcher.name.clone());
        self.metrics.push((base(selector.name.as_deref().unwrap_or_default()), labels.collect()));
    }
}

/// A histogram's name without the suffix of its series.
fn base(name: &str) -> String {
    let is_histogram = |name: &str| {
        ALL.iter().any(|metric| metric.name == name && matches!(metric.kind, Kind::Histogram(_)))
    };
    ["_bucket", "_sum", "_count"]
        .iter()
        .filter_map(|end| name.strip_suffix(end))
        .find(|name| is_histogram(name))
        .unwrap_or(name)
        .to_owned()
}

/// Labels that Prometheus adds, and a histogram's own.
const ADDED: [&str; 3] = ["instance", "job", "le"];

/// Returns the metrics in a query; fails if the query has an unknown metric or label.
fn check(what: &str, query: &str) -> BTreeSet<String> {
    let mut there = labels();
    there.insert("up", BTreeSet::new());
    let Asked { metrics, grouped } = Asked::of(what, query);
    let mut groups: BTreeSet<&str> = ADDED.into();
    for (name, asked) in &metrics {
        let labels = there
            .get(name.as_str())
            .unwrap_or_else(|| panic!("{what}: there is no metric {name} in {query}"));
        let unknown: Vec<_> = asked
            .iter()
            .filter(|label| !labels.contains(label.as_str()) && !ADDED.contains(&label.as_str()))
            .collect();
        assert!(unknown.is_empty(), "{what}: {name} has no labels {unknown:?}");
        groups.extend(labels);
    }
    assert!(
        grouped.iter().all(|label| groups.contains(label.as_str())),
        "{what}: nothing to group by in {grouped:?}"
    );
    metrics.into_iter().map(|(name, _)| name).collect()
}

/// The anchors that GitHub makes of the headings.
fn anchors(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix('#'))
        .map(|heading| {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            heading
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                .collect::<String>()
                .replace(' ', "-")
        })
        .collect()
}

#[test]
fn a_metric_has_one_description_and_a_conventional_name() {
    let names: BTreeSet<_> = ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), ALL.len());
    for Metric { name, kind, about, .. } in ALL {
        assert!(name.starts_with("bindery_") && about.ends_with('.'), "{name}");
        assert_eq!(
            *kind == Kind::Counter,
            name.ends_with("_total"),
            "{name}: counters and only they end with _total"
        );
    }
}

#[test]
fn monitor_md_describes_every_metric_and_no_other() {
    let text = file("docs/monitor.md");
    let (_, section) = text.split_once("\n## Metrics\n").expect("a section Metrics");
    let section = section.split("\n## ").next().unwrap_or_default();
    let mut documented = BTreeMap::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let (name, labels) =
            cells[0].trim_matches('`').split_once('{').unwrap_or((cells[0].trim_matches('`'), ""));
        let labels = labels
            .trim_end_matches('}')
            .split(',')
            .map(str::trim)
            .filter(|label| !label.is_empty());
        assert!(!cells[2].is_empty(), "{name} is described");
        let kind = cells[1].to_owned();
        assert!(
            documented
                .insert(name.to_owned(), (labels.map(str::to_owned).collect::<Vec<_>>(), kind))
                .is_none(),
            "{name} twice"
        );
    }
    for Metric { name, kind, labels, .. } in ALL {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let (found, found_kind) =
            documented.remove(*name).unwrap_or_else(|| panic!("{name} is not described"));
        assert_eq!(
            (found.iter().map(String::as_str).collect::<Vec<_>>(), found_kind.as_str()),
            (labels.to_vec(), kind),
            "{name}"
        );
    }
    let rest: Vec<_> = documented.keys().map(String::as_str).collect();
    assert_eq!(rest, PROCESS, "described, and not there");
}

#[test]
fn every_alert_uses_existing_metrics_and_names_a_remedy() {
    let rules: Value = serde_norway::from_str(&file("deploy/prometheus/alerts.yml")).unwrap();
    let page = file("docs/alerts.md");
    let anchors = anchors(&page);
    let mut watched = BTreeSet::new();
    let mut names = BTreeSet::new();
    for rule in rules["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
    {
        let name = rule["alert"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{name} twice");
        watched.extend(check(name, rule["expr"].as_str().unwrap()));
        for part in ["summary", "description"] {
            assert!(
                rule["annotations"][part].as_str().is_some_and(|text| text.len() > 20),
                "{name}: no {part}"
            );
        }
        assert!(
            ["page", "ticket"].contains(&rule["labels"]["severity"].as_str().unwrap_or_default()),
            "{name}"
        );
        let book =
            rule["annotations"]["runbook"].as_str().unwrap_or_else(|| panic!("{name}: no runbook"));
        let anchor =
            book.strip_prefix("docs/alerts.md#").unwrap_or_else(|| panic!("{name}: {book}"));
        assert_eq!(anchor, name.to_lowercase(), "{name}: a section of its own");
        assert!(anchors.contains(anchor), "{name}: docs/alerts.md has no section {anchor}");
    }
    let unwatched: BTreeSet<_> =
        labels().into_keys().filter(|name| !watched.contains(*name)).collect();
    assert_eq!(
        unwatched,
        BTreeSet::from(WITHOUT_ALERT),
        "each metric has a rule, or is in the list of those that need none"
    );
    let described = anchors
        .iter()
        .filter(|anchor| anchor.starts_with("bindery"))
        .cloned()
        .collect::<BTreeSet<_>>();
    assert_eq!(
        described,
        names.iter().map(|name| name.to_lowercase()).collect(),
        "a section an alert, and no other"
    );
}

#[test]
fn the_dashboard_shows_all_metrics_and_no_others() {
    let dashboard: Value = serde_json::from_str(&file("deploy/grafana/bindery.json")).unwrap();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    assert!(
        variables
            .iter()
            .any(|variable| variable["type"] == "datasource" && variable["query"] == "prometheus")
    );
    let known: BTreeSet<&str> =
        variables.iter().filter_map(|variable| variable["name"].as_str()).collect();
    assert!(dashboard["id"].is_null(), "an imported dashboard gets its number from Grafana");
    let mut shown = BTreeSet::new();
    for variable in variables.iter().filter(|variable| variable["type"] == "query") {
        let definition = variable["definition"].as_str().unwrap();
        let inside =
            definition.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (metric, label) = inside
            .and_then(|inside| inside.split_once(", "))
            .unwrap_or_else(|| panic!("{definition}"));
        shown.extend(check(definition, &format!("count by ({label}) ({metric})")));
    }
    let (mut ids, mut places) = (BTreeSet::new(), BTreeMap::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is another's");
        let at = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        for (x, y) in (at("x")..at("x") + at("w"))
            .flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
        {
            assert!(x < 24, "{title} is too wide");
            assert_eq!(places.insert((x, y), title), None, "{title} covers another panel");
        }
        if panel["type"] == "row" {
            continue;
        }
        assert!(
            panel["description"].as_str().is_some_and(|text| !text.is_empty()),
            "{title}: no description"
        );
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title}: nothing is asked");
        for asker in targets.iter().chain([panel]) {
            assert_eq!(asker["datasource"]["uid"], "${datasource}", "{title}");
        }
        for target in targets {
            let query = target["expr"].as_str().unwrap();
            let names = check(title, query);
            assert!(!names.is_empty(), "{title}: {query}");
            shown.extend(names);
            for used in query.split('$').skip(1) {
                let name: String =
                    used.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                assert!(
                    known.contains(name.as_str()) || name.starts_with("__"),
                    "{title}: no variable ${name}"
                );
            }
        }
    }
    let missing: Vec<_> = labels()
        .into_keys()
        .filter(|name| {
            !shown.contains(*name)
                && !["process_virtual_memory_bytes", "process_virtual_memory_max_bytes"]
                    .contains(name)
        })
        .collect();
    assert!(missing.is_empty(), "not shown: {missing:?}");
}
