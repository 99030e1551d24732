//! Checks histories of list appends for cycles (Kingsbury and Alvaro, Elle, 2020): every read
//! shows a list whose elements name their writers, so the order of versions is seen, not guessed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// How a transaction ended, for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Committed,
    Refused,
    Unknown,
}

/// One transaction as its client saw it.
#[derive(Clone, Debug)]
pub struct Observed {
    pub begun: Duration,
    pub ended: Duration,
    pub how: Ended,
    pub reads: Vec<(u64, Vec<u64>)>,
    pub appends: Vec<(u64, u64)>,
}

/// What must not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Anomaly {
    /// Two reads of a key that are not one the beginning of the other, or an element twice.
    Incompatible,
    /// An element of a transaction that was refused.
    G1a,
    /// Some but not all of what a transaction appended to a key.
    G1b,
    /// An acknowledged append that a later read does not show.
    Lost,
    /// A cycle of writes.
    G0,
    /// A cycle of writes and reads of them.
    G1c,
    /// A cycle with one read of something that was overwritten.
    GSingle,
    /// A cycle with several.
    G2Item,
    /// A cycle with an edge of real time.
    RealTime,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Edge {
    Ww,
    Wr,
    Rw,
    Rt,
}

/// Every anomaly of a history.
pub fn check(history: &[Observed]) -> BTreeSet<Anomaly> {
    let mut found = BTreeSet::new();
    let mut writer: HashMap<(u64, u64), usize> = HashMap::new();
    for (n, txn) in history.iter().enumerate() {
        for append in &txn.appends {
            writer.insert(*append, n);
        }
    }
    let counts = |t: &&Observed| t.how == Ended::Committed;
    let mut longest: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for (key, list) in history.iter().filter(counts).flat_map(|t| &t.reads) {
        let known = longest.entry(*key).or_default();
        let (short, long) =
            if list.len() > known.len() { (&*known, list) } else { (list, &*known) };
        if !long.starts_with(short) {
            found.insert(Anomaly::Incompatible);
        }
        if list.len() > known.len() {
            known.clone_from(list);
        }
    }
    for (key, list) in &longest {
        let distinct: BTreeSet<&u64> = list.iter().collect();
        if distinct.len() < list.len() {
            found.insert(Anomaly::Incompatible);
        }
        let writers: Vec<Option<&usize>> = list.iter().map(|e| writer.get(&(*key, *e))).collect();
        if writers.iter().any(|w| w.is_none_or(|w| history[*w].how == Ended::Refused)) {
            found.insert(Anomaly::G1a);
        }
    }
    check_parts(history, &mut found);
    let edges = edges(history, &longest, &writer);
    check_cycles(history.len(), &edges, &mut found);
    found
}

fn check_parts(history: &[Observed], found: &mut BTreeSet<Anomaly>) {
    for reader in history.iter().filter(|t| t.how == Ended::Committed) {
        for (key, list) in &reader.reads {
            for txn in history {
                let of = txn.appends.iter().filter(|(k, _)| k == key);
                let of: Vec<bool> = of.map(|(_, e)| list.contains(e)).collect();
                if of.contains(&true) && of.contains(&false) {
                    found.insert(Anomaly::G1b);
                }
                let acknowledged = txn.how == Ended::Committed && txn.ended < reader.begun;
                if acknowledged && of.contains(&false) {
                    found.insert(Anomaly::Lost);
                }
            }
        }
    }
}

fn edges(
    history: &[Observed],
    longest: &BTreeMap<u64, Vec<u64>>,
    writer: &HashMap<(u64, u64), usize>,
) -> BTreeSet<(usize, usize, Edge)> {
    let mut edges = BTreeSet::new();
    let mut seen: BTreeSet<usize> = BTreeSet::new();
    let mut add = |from: Option<&usize>, to: Option<&usize>, edge: Edge| {
        if let (Some(&from), Some(&to)) = (from, to)
            && from != to
        {
            edges.insert((from, to, edge));
        }
    };
    for (key, list) in longest {
        seen.extend(list.iter().filter_map(|e| writer.get(&(*key, *e))));
        for pair in list.windows(2) {
            add(writer.get(&(*key, pair[0])), writer.get(&(*key, pair[1])), Edge::Ww);
        }
    }
    for (n, txn) in history.iter().enumerate().filter(|(_, t)| t.how == Ended::Committed) {
        for (key, list) in &txn.reads {
            let whole = &longest[key];
            add(list.last().and_then(|e| writer.get(&(*key, *e))), Some(&n), Edge::Wr);
            if whole.starts_with(list) {
                let next = whole.get(list.len());
                add(Some(&n), next.and_then(|e| writer.get(&(*key, *e))), Edge::Rw);
            }
        }
    }
    let happened = |n: usize| history[n].how == Ended::Committed || seen.contains(&n);
    for before in (0..history.len()).filter(|n| history[*n].how == Ended::Committed) {
        for after in (0..history.len()).filter(|n| happened(*n)) {
            if history[before].ended < history[after].begun {
                edges.insert((before, after, Edge::Rt));
            }
        }
    }
    edges
}

/// Whether `to` can be reached from `from` over edges that `allowed` allows.
fn reaches(
    count: usize,
    edges: &BTreeSet<(usize, usize, Edge)>,
    from: usize,
    to: usize,
    allowed: impl Fn(Edge) -> bool,
) -> bool {
    let mut seen = vec![false; count];
    let mut stack = vec![from];
    while let Some(at) = stack.pop() {
        if at == to {
            return true;
        }
        if std::mem::replace(&mut seen[at], true) {
            continue;
        }
        let next = edges.range((at, 0, Edge::Ww)..(at + 1, 0, Edge::Ww));
        stack.extend(next.filter(|(_, _, e)| allowed(*e)).map(|(_, next, _)| *next));
    }
    false
}

fn check_cycles(
    count: usize,
    edges: &BTreeSet<(usize, usize, Edge)>,
    found: &mut BTreeSet<Anomaly>,
) {
    let (mut real, mut any) = (false, false);
    for &(from, to, edge) in edges {
        let back = |allowed: fn(Edge) -> bool| reaches(count, edges, to, from, allowed);
        let cycle = match edge {
            Edge::Ww if back(|e| e == Edge::Ww) => Some(Anomaly::G0),
            Edge::Wr if back(|e| e <= Edge::Wr) => Some(Anomaly::G1c),
            Edge::Rw if back(|e| e <= Edge::Wr) => Some(Anomaly::GSingle),
            Edge::Rw if back(|e| e <= Edge::Rw) => Some(Anomaly::G2Item),
            Edge::Rt => {
                real |= back(|_| true);
                None
            }
            _ => None,
        };
        any |= cycle.is_some();
        found.extend(cycle);
    }
    if real && !any {
        found.insert(Anomaly::RealTime);
    }
}

/// A transaction of a made-up history, in its own piece of time.
fn txn(at: u64, reads: &[(u64, &[u64])], appends: &[(u64, u64)]) -> Observed {
    Observed {
        begun: Duration::from_millis(at),
        ended: Duration::from_millis(at + 1000),
        how: Ended::Committed,
        reads: reads.iter().map(|(key, list)| (*key, list.to_vec())).collect(),
        appends: appends.to_vec(),
    }
}

fn anomalies(history: &[Observed]) -> Vec<Anomaly> {
    check(history).into_iter().collect()
}

#[test]
fn good_histories_pass() {
    let history = [
        txn(0, &[(1, &[])], &[(1, 10), (2, 20)]),
        txn(1, &[(1, &[10]), (2, &[20])], &[(1, 11)]),
        txn(2, &[(1, &[10]), (2, &[20])], &[]),
        txn(3000, &[(1, &[10, 11]), (2, &[20])], &[]),
    ];
    assert_eq!(anomalies(&history), []);
}

#[test]
fn known_anomalies_are_found() {
    // Two writers whose appends interleave differently in two keys.
    let reader = txn(1, &[(1, &[10, 11]), (2, &[21, 20])], &[]);
    let writers = [txn(0, &[], &[(1, 10), (2, 20)]), txn(0, &[], &[(1, 11), (2, 21)])];
    let [first, second] = writers.clone();
    assert!(anomalies(&[first, second, reader]).contains(&Anomaly::G0));
    // A refused write, seen.
    let refused = Observed { how: Ended::Refused, ..txn(0, &[], &[(1, 10)]) };
    assert_eq!(anomalies(&[refused, txn(0, &[(1, &[10])], &[])]), [Anomaly::G1a]);
    // Half of what was appended.
    let twice = txn(0, &[], &[(1, 10), (1, 11)]);
    assert!(anomalies(&[twice, txn(0, &[(1, &[10])], &[])]).contains(&Anomaly::G1b));
    // Each reads what the other wrote.
    let circular = [txn(0, &[(2, &[20])], &[(1, 10)]), txn(0, &[(1, &[10])], &[(2, 20)])];
    assert_eq!(anomalies(&circular), [Anomaly::G1c]);
    // A torn read: one key before a commit, the other after it.
    let torn = [
        txn(0, &[], &[(1, 10), (2, 20)]),
        txn(0, &[(1, &[10]), (2, &[])], &[]),
        txn(0, &[(2, &[20])], &[]),
    ];
    assert_eq!(anomalies(&torn), [Anomaly::GSingle]);
    // Write skew.
    let skew = [
        txn(0, &[(1, &[]), (2, &[])], &[(1, 10)]),
        txn(0, &[(1, &[]), (2, &[])], &[(2, 20)]),
        txn(0, &[(1, &[10]), (2, &[20])], &[]),
    ];
    assert_eq!(anomalies(&skew), [Anomaly::G2Item]);
    // An acknowledged write that is not there any more, and a stale read of it.
    let lost = [txn(0, &[], &[(1, 10)]), txn(5000, &[(1, &[])], &[])];
    assert!(anomalies(&lost).contains(&Anomaly::Lost));
    let stale = [
        txn(0, &[], &[(1, 10)]),
        txn(0, &[(1, &[10])], &[(2, 20)]),
        txn(5000, &[(2, &[20]), (1, &[])], &[]),
    ];
    assert!(anomalies(&stale).contains(&Anomaly::GSingle));
    // In order for everybody, but not with real time: seen, then not there yet.
    let early = [
        txn(0, &[(1, &[10])], &[]),
        Observed { how: Ended::Unknown, ..txn(500, &[], &[(1, 10)]) },
        txn(2000, &[(1, &[])], &[]),
        txn(9000, &[(1, &[10])], &[]),
    ];
    assert_eq!(anomalies(&early), [Anomaly::RealTime]);
    // Two orders of one list.
    let orders = [
        txn(0, &[], &[(1, 10)]),
        txn(0, &[], &[(1, 11)]),
        txn(0, &[(1, &[10, 11])], &[]),
        txn(0, &[(1, &[11])], &[]),
    ];
    assert!(anomalies(&orders).contains(&Anomaly::Incompatible));
}
