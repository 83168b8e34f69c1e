//! From single states to one graph: where edges lead, whether it ends, and where each state starts.

use std::collections::{HashMap, VecDeque};

use super::parse::{Pipeline, Written};
use super::{Faults, MAX_STATES, MIN_STATES};
use crate::machine::{Edge, Machine, closure};

/// The machine; `None` if the states do not form a graph, with the reasons in the faults.
pub(super) fn link(pipeline: Pipeline, faults: &mut Faults) -> Option<Machine> {
    let Pipeline { mut states, auto_advance } = pipeline;
    lead_to_the_following(&mut states);
    let index_of: HashMap<&str, usize> = states
        .iter()
        .enumerate()
        .filter(|(_, written)| written.named)
        .map(|(index, written)| (written.state.name.as_str(), index))
        .collect();
    let resolved = targets_exist(&states, &index_of, faults);
    let weights = states.iter().map(|written| written.state.weight).sum::<f64>();
    if weights <= 0.0 && !states.is_empty() && states.iter().all(|written| written.weight_known) {
        faults.add("$.states", "expected at least one state of a weight above 0");
    }
    // Values with own faults would only cause follow-on faults here.
    let fits = (MIN_STATES..=MAX_STATES).contains(&states.len())
        && states.iter().all(|written| written.named && written.edges_known);
    if !(resolved && fits) {
        return None;
    }
    let direct: Vec<u64> = states
        .iter()
        .map(|written| {
            written.state.next.iter().fold(0, |set, edge| set | 1 << index_of[edge.to.as_str()])
        })
        .collect();
    let back: Vec<Vec<usize>> = states
        .iter()
        .map(|written| written.state.rework.iter().map(|name| index_of[name.as_str()]).collect())
        .collect();
    let reach = closure(&direct);
    check_graph(&states, &direct, &reach, &back, faults);
    if !faults.0.is_empty() {
        return None;
    }
    let total_weight = fill_starts(&mut states, &direct, &reach);
    let states = states.into_iter().map(|written| written.state).collect();
    Machine::build(states, total_weight, auto_advance)
        .map_err(|error| faults.add("$", error.to_string()))
        .ok()
}

/// A state without `next` leads to the one below it.
fn lead_to_the_following(states: &mut [Written]) {
    for index in 1..states.len() {
        let following = states[index].named.then(|| states[index].state.name.clone());
        let written = &mut states[index - 1];
        if let (false, Some(to)) = (written.has_next, following) {
            written.state.next.push(Edge { to, guard: None });
        }
    }
}

/// Whether every edge leads to an existing state.
fn targets_exist(states: &[Written], index_of: &HashMap<&str, usize>, faults: &mut Faults) -> bool {
    let before = faults.0.len();
    for (index, Written { state, .. }) in states.iter().enumerate() {
        let forward = state.next.iter().map(|edge| ("next", &edge.to));
        let back = state.rework.iter().map(|name| ("rework", name));
        for (key, name) in
            forward.chain(back).filter(|(_, name)| !index_of.contains_key(name.as_str()))
        {
            faults.add(
                format!("$.states[{index}].{key}"),
                format!("{name} is no state of this pipeline"),
            );
        }
    }
    faults.0.len() == before
}

fn check_graph(
    states: &[Written],
    direct: &[u64],
    reach: &[u64],
    back: &[Vec<usize>],
    faults: &mut Faults,
) {
    let name = |index: usize| states[index].state.name.as_str();
    let last = states.len() - 1;
    let reaches = |from: usize, to: usize| reach[from] & (1 << to) != 0;
    let mut in_a_known_cycle = 0_u64;
    for index in 0..states.len() {
        let path = format!("$.states[{index}]");
        if reaches(index, index) && in_a_known_cycle & (1 << index) == 0 {
            let cycle = cycle_through(index, direct);
            in_a_known_cycle |= cycle.iter().fold(0, |set, &state| set | 1 << state);
            let names: Vec<&str> =
                cycle.iter().map(|&state| name(state)).chain([name(index)]).collect();
            let problem = format!(
                "forward edges lead in a circle: {}; a way back belongs into rework",
                names.join(" -> ")
            );
            faults.add(format!("{path}.next"), problem);
        }
        if index != 0 && !reaches(0, index) {
            faults.add(
                &path,
                format!(
                    "{} cannot be reached from {}, where every book begins",
                    name(index),
                    name(0)
                ),
            );
        }
        if index != last && states[index].state.next.is_empty() {
            faults.add(
                format!("{path}.next"),
                "expected at least one state that may follow; only the last state is final",
            );
        } else if index != last && !reaches(index, last) {
            faults.add(
                format!("{path}.next"),
                format!("{}, the final state, cannot be reached from here", name(last)),
            );
        }
        for &target in &back[index] {
            if !reaches(target, index) {
                let problem = format!(
                    "expected states from which {} is reached; {} is none",
                    name(index),
                    name(target)
                );
                faults.add(format!("{path}.rework"), problem);
            }
        }
    }
}

/// A shortest way along forward edges from a state back to itself, without the return.
fn cycle_through(start: usize, direct: &[u64]) -> Vec<usize> {
    let mut came_from = vec![start; direct.len()];
    let mut seen = 0_u64;
    let mut queue = VecDeque::from([start]);
    while let Some(here) = queue.pop_front() {
        if direct[here] & (1 << start) != 0 {
            let back = |&state: &usize| (state != start).then(|| came_from[state]);
            let mut cycle: Vec<usize> = std::iter::successors(Some(here), back).collect();
            cycle.reverse();
            return cycle;
        }
        for to in (0..direct.len()).filter(|to| direct[here] & (1 << to) != 0) {
            if seen & (1 << to) == 0 {
                seen |= 1 << to;
                came_from[to] = here;
                queue.push_back(to);
            }
        }
    }
    vec![start]
}

/// Gives each state the heaviest weight that can lie before it; returns the weight before the last
/// state, which is the whole.
fn fill_starts(states: &mut [Written], direct: &[u64], reach: &[u64]) -> f64 {
    // A state has more states ahead of it than any state ahead of it has, so this order follows the
    // edges.
    let mut order: Vec<usize> = (0..states.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(reach[index].count_ones()));
    for &from in &order {
        let end = states[from].state.start + states[from].state.weight;
        for to in (0..states.len()).filter(|to| direct[from] & (1 << to) != 0) {
            let start = &mut states[to].state.start;
            *start = start.max(end);
        }
    }
    states[states.len() - 1].state.start
}
