//! The commit protocol as a model, all of whose states are looked at: two gateways that each
//! write both of two partitions, one that writes a third by a single batch, a reader, resolvers
//! at any time, crashes at any point. Paxos is a conditional batch that, once sent, can take
//! effect at any time, any number of times, whether its sender lives or not. Records of finished
//! commits are removed at any time, also between a row and its verdict as the reader asks for them.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;

use stateright::{Checker, Expectation, HasDiscoveries, Model, Property};

/// What is left out, to see that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    Nothing,
    /// Intents in place before the timestamp is chosen.
    IntentsFirst,
    /// `high` at a quorum before the acknowledgement.
    HighFirst,
    /// The announcement of single batches.
    Announcement,
    /// The fence before a dead gateway's announcement goes.
    Fence,
    /// Verdicts that only the first one gives.
    FirstVerdict,
    /// A look whether the intent of what was aborted is still there.
    SecondLook,
}

struct Protocol(Without);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Verdict {
    Committed(u8),
    Aborted,
}

/// A conditional batch on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Sent {
    Intent { txn: u8, key: u8, head: u8, number: u8 },
    Verdict { txn: u8, ts: u8 },
    Single { head: u8, ts: u8 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    New,
    Placing,
    Deciding(u8),
    Acknowledged(u8),
    Over,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Part {
    /// `gd`
    number: u8,
    intent: Option<u8>,
    /// Timestamps and writers, ascending.
    versions: Vec<(u8, u8)>,
}

impl Part {
    fn head(&self) -> u8 {
        self.versions.last().map_or(0, |(ts, _)| *ts)
    }
}

/// The writer of single batches.
const SINGLE: u8 = 2;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    high: u8,
    txns: [Phase; 2],
    crashed: [bool; 3],
    records: [Option<Verdict>; 2],
    /// Whose records are removed: what is written there is not seen.
    removed: [bool; 2],
    /// Somebody was told a second verdict.
    two_verdicts: bool,
    /// The last one is the single batch's.
    parts: [Part; 3],
    sent: BTreeSet<Sent>,
    single: Phase,
    announced: bool,
    reader: Reader,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Reader {
    at: Option<u8>,
    /// Acknowledged before it began.
    owed: Vec<u8>,
    /// Whether the single batch was announced when it looked.
    open: Option<bool>,
    met: Option<Met>,
    first: Option<Vec<u8>>,
    second: Option<Vec<u8>>,
    third: Option<Vec<u8>>,
    third_again: Option<Vec<u8>>,
}

/// A row that was read with an intent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Met {
    which: u8,
    seen: Vec<u8>,
    txn: u8,
    aborted: bool,
}

impl Reader {
    fn show(&mut self, which: u8, mut seen: Vec<u8>) {
        seen.sort_unstable();
        match which {
            0 => self.first = Some(seen),
            1 => self.second = Some(seen),
            2 => self.third = Some(seen),
            _ => self.third_again = Some(seen),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Place(u8),
    Choose(u8),
    /// `high` told while the batch that decides is on its way.
    Tell(u8),
    Learn(u8),
    Crash(u8),
    Deliver(Sent),
    Abort(u8),
    Finish(u8),
    Announce,
    SendSingle,
    LearnSingle,
    Retire,
    Begin,
    Look,
    Read(u8),
    /// The reader asks for the verdict of an intent that it met, or aborts it.
    Resolve,
    LookAgain,
    Remove(u8),
}

impl Protocol {
    /// Reads a row at the reader's snapshot; none: it waits.
    fn visible(&self, state: &mut State, which: u8) -> Option<()> {
        let at = state.reader.at?;
        let open = state.reader.open?;
        let key = usize::from(which.min(2));
        if key == 2 && open && state.announced && self.0 != Without::Announcement {
            return None;
        }
        let part = &state.parts[key];
        let seen = part.versions.iter().filter(|(ts, _)| *ts <= at).map(|(_, txn)| *txn).collect();
        match part.intent {
            Some(txn) => state.reader.met = Some(Met { which, seen, txn, aborted: false }),
            None => state.reader.show(which, seen),
        }
        Some(())
    }

    fn resolve(&self, state: &mut State) -> Option<()> {
        let (at, mut met) = (state.reader.at?, state.reader.met.take()?);
        let removed = state.removed[usize::from(met.txn)];
        let record = &mut state.records[usize::from(met.txn)];
        match record.filter(|_| !removed) {
            Some(Verdict::Committed(ts)) => {
                met.seen.extend((ts <= at).then_some(met.txn));
                state.reader.show(met.which, met.seen);
                return Some(());
            }
            None if !removed => *record = Some(Verdict::Aborted),
            _ => {}
        }
        state.reader.met = Some(Met { aborted: true, ..met });
        Some(())
    }

    fn look_again(&self, state: &mut State) -> Option<()> {
        let Met { which, seen, txn, .. } = state.reader.met.take()?;
        let there = state.parts[usize::from(which)].intent == Some(txn);
        if there || self.0 == Without::SecondLook {
            state.reader.show(which, seen);
        }
        Some(())
    }

    fn deliver(&self, state: &mut State, sent: Sent) -> bool {
        match sent {
            Sent::Intent { txn, key, head, number } => {
                let part = &mut state.parts[key as usize];
                let holds = part.head() == head && part.intent.is_none() && part.number < number;
                if holds {
                    part.intent = Some(txn);
                    part.number = number;
                }
                holds
            }
            Sent::Verdict { txn, ts } => {
                let record = &mut state.records[txn as usize];
                let overwrites = self.0 == Without::FirstVerdict && record.is_some();
                state.two_verdicts |= overwrites && *record != Some(Verdict::Committed(ts));
                let holds = record.is_none() || overwrites;
                if holds {
                    *record = Some(Verdict::Committed(ts));
                }
                holds
            }
            Sent::Single { head, ts } => {
                let part = &mut state.parts[2];
                let holds = part.head() == head && part.number < ts;
                if holds {
                    part.versions.push((ts, SINGLE));
                    part.number = ts;
                }
                holds
            }
        }
    }

    /// A gateway's own steps of a commit over both partitions.
    fn step(&self, state: &mut State, action: Action) -> bool {
        match action {
            Action::Place(txn) => {
                if state.parts.iter().any(|p| p.intent.is_some()) {
                    return false;
                }
                for key in 0..2u8 {
                    let part = &state.parts[key as usize];
                    let (head, number) = (part.head(), part.number.max(part.head()) + 1);
                    state.sent.insert(Sent::Intent { txn, key, head, number });
                }
                state.txns[txn as usize] = Phase::Placing;
                if self.0 == Without::IntentsFirst {
                    state.txns[txn as usize] = Phase::Deciding(state.high + 1);
                }
                true
            }
            Action::Choose(txn) => {
                if state.parts[..2].iter().any(|p| p.intent != Some(txn)) {
                    return false;
                }
                let above = state.parts[..2].iter().map(|p| p.number.max(p.head()));
                let above = above.fold(state.high, u8::max);
                let ts = match state.txns[txn as usize] {
                    Phase::Deciding(early) => early.max(above.min(early)),
                    _ => above + 1,
                };
                state.sent.insert(Sent::Verdict { txn, ts });
                state.txns[txn as usize] = Phase::Deciding(ts);
                true
            }
            Action::Learn(txn) => {
                match state.records[txn as usize] {
                    Some(Verdict::Committed(ts)) => {
                        if self.0 != Without::HighFirst {
                            state.high = state.high.max(ts);
                        }
                        state.txns[txn as usize] = Phase::Acknowledged(ts);
                    }
                    Some(Verdict::Aborted) => state.txns[txn as usize] = Phase::Over,
                    None => return false,
                }
                true
            }
            _ => false,
        }
    }

    fn step_single(&self, state: &mut State, action: Action) -> bool {
        let ts_of = |state: &State| state.parts[2].versions.first().copied();
        match action {
            Action::Announce => {
                state.announced = true;
                state.single = Phase::Placing;
            }
            Action::SendSingle => {
                let part = &state.parts[2];
                let ts = state.high.max(part.number).max(part.head()) + 1;
                state.sent.insert(Sent::Single { head: part.head(), ts });
                state.single = Phase::Deciding(ts);
            }
            Action::LearnSingle => {
                let Phase::Deciding(number) = state.single else { return false };
                match ts_of(state) {
                    Some((ts, _)) => {
                        state.high = state.high.max(ts);
                        state.single = Phase::Acknowledged(ts);
                    }
                    None if state.parts[2].number >= number => state.single = Phase::Over,
                    None => return false,
                }
                state.announced = false;
            }
            Action::Retire => {
                if self.0 != Without::Fence {
                    // Whatever was prepared for the partition does not pass any more.
                    state.sent.retain(|s| !matches!(s, Sent::Single { .. }));
                }
                state.announced = false;
            }
            _ => return false,
        }
        true
    }

    fn read(&self, state: &mut State, action: Action) -> bool {
        match action {
            Action::Begin => {
                state.reader.at = Some(state.high);
                let mut owed: Vec<u8> = (0..2u8)
                    .filter(|t| matches!(state.txns[*t as usize], Phase::Acknowledged(_)))
                    .collect();
                owed.extend(matches!(state.single, Phase::Acknowledged(_)).then_some(SINGLE));
                state.reader.owed = owed;
            }
            Action::Look => state.reader.open = Some(state.announced),
            Action::Read(which) => return self.visible(state, which).is_some(),
            Action::Resolve => return self.resolve(state).is_some(),
            Action::LookAgain => return self.look_again(state).is_some(),
            _ => return false,
        }
        true
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            high: 1,
            txns: [Phase::New; 2],
            crashed: [false; 3],
            records: [None; 2],
            removed: [false; 2],
            two_verdicts: false,
            parts: Default::default(),
            sent: BTreeSet::new(),
            single: Phase::New,
            announced: false,
            reader: Reader::default(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for txn in 0..2u8 {
            let n = txn as usize;
            if !state.crashed[n] {
                match state.txns[n] {
                    Phase::New => actions.push(Action::Place(txn)),
                    Phase::Placing => actions.push(Action::Choose(txn)),
                    Phase::Deciding(ts) => {
                        if !state.sent.contains(&Sent::Verdict { txn, ts }) {
                            actions.push(Action::Choose(txn));
                        }
                        actions.extend((state.high < ts).then_some(Action::Tell(txn)));
                        actions.push(Action::Learn(txn));
                    }
                    _ => {}
                }
                // The other one is the same.
                if txn == 0 && matches!(state.txns[n], Phase::Placing | Phase::Deciding(_)) {
                    actions.push(Action::Crash(txn));
                }
            }
            let met = state.parts.iter().any(|p| p.intent == Some(txn));
            if met && state.records[n].is_none() {
                actions.push(Action::Abort(txn));
            }
            // The other one is the same.
            let finished = txn == 0 && !met && matches!(state.txns[n], Phase::Acknowledged(_));
            actions.extend((finished && !state.removed[n]).then_some(Action::Remove(txn)));
        }
        if !state.crashed[2] {
            match state.single {
                Phase::New => actions.push(Action::Announce),
                Phase::Placing => actions.push(Action::SendSingle),
                Phase::Deciding(ts) => {
                    actions.extend((state.high < ts).then_some(Action::Tell(SINGLE)));
                    actions.extend([Action::LearnSingle, Action::Crash(2)]);
                }
                _ => {}
            }
        } else if state.announced {
            actions.push(Action::Retire);
        }
        actions.extend(state.sent.iter().map(|sent| Action::Deliver(*sent)));
        let finish = |key: &u8| {
            let intent = state.parts[*key as usize].intent;
            intent.is_some_and(|txn| state.records[txn as usize].is_some())
        };
        actions.extend((0..2u8).filter(finish).map(Action::Finish));
        let reader = &state.reader;
        let reads = [&reader.first, &reader.second, &reader.third, &reader.third_again];
        let next = reads.iter().position(|read| read.is_none());
        match (reader.at, reader.open, &reader.met, next) {
            (None, ..) => actions.push(Action::Begin),
            (_, None, ..) => actions.push(Action::Look),
            (.., Some(met), _) if met.aborted => actions.push(Action::LookAgain),
            (.., Some(_), _) => actions.push(Action::Resolve),
            (.., Some(next)) => actions.push(Action::Read(next as u8)),
            _ => {}
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let happened = match action {
            Action::Place(_) | Action::Choose(_) | Action::Learn(_) => {
                self.step(&mut state, action)
            }
            Action::Tell(n) => {
                let phase = state.txns.get(n as usize).unwrap_or(&state.single);
                if let Phase::Deciding(ts) = *phase {
                    state.high = state.high.max(ts);
                }
                true
            }
            Action::Crash(n) => {
                state.crashed[n as usize] = true;
                true
            }
            Action::Deliver(sent) => self.deliver(&mut state, sent),
            Action::Abort(txn) => {
                state.records[txn as usize] = Some(Verdict::Aborted);
                true
            }
            Action::Finish(key) => {
                let part = &mut state.parts[key as usize];
                let txn = part.intent.take()?;
                if let Some(Verdict::Committed(ts)) = state.records[txn as usize] {
                    part.versions.push((ts, txn));
                }
                true
            }
            Action::Announce | Action::SendSingle | Action::LearnSingle | Action::Retire => {
                self.step_single(&mut state, action)
            }
            Action::Remove(txn) => {
                state.removed[txn as usize] = true;
                true
            }
            _ => self.read(&mut state, action),
        };
        happened.then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no torn read", |_, state: &State| {
                let Reader { first, second, .. } = &state.reader;
                second.is_none() || first == second
            }),
            Property::always("a snapshot stays", |_, state: &State| {
                let Reader { third, third_again, .. } = &state.reader;
                third_again.is_none() || third == third_again
            }),
            Property::always("no acknowledged write is lost", |_, state: &State| {
                let Reader { owed, first, third, .. } = &state.reader;
                owed.iter().all(|txn| {
                    let read = if *txn == SINGLE { third } else { first };
                    read.as_ref().is_none_or(|seen| seen.contains(txn))
                })
            }),
            Property::always("one verdict", |_, state: &State| !state.two_verdicts),
            Property::sometimes("all three commit before the reader ends", |_, state: &State| {
                let done = |phase: &Phase| matches!(phase, Phase::Acknowledged(_));
                state.txns.iter().all(done)
                    && done(&state.single)
                    && state.reader.third_again.is_some()
            }),
        ]
    }
}

/// What the checker asks of states and actions.
pub trait Value: Clone + Debug + PartialEq + Send + Sync + 'static {}

impl<T: Clone + Debug + PartialEq + Send + Sync + 'static> Value for T {}

/// Looks at all states of a model in which all its properties hold.
pub fn check<M>(model: M)
where
    M: Model<State: Value + Hash, Action: Value> + Send + Sync + 'static,
{
    let checker = model.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    assert!(checker.unique_state_count() > 1000, "{}", checker.unique_state_count());
}

/// The first properties of a model that are found not to hold, of those that always should.
pub fn broken<M>(model: M) -> Vec<&'static str>
where
    M: Model<State: Value + Hash, Action: Value> + Send + Sync + 'static,
{
    let until = HasDiscoveries::AnyFailures;
    let checker = model.checker().threads(2).finish_when(until).spawn_bfs().join();
    let always =
        |name: &&'static str| checker.model().property(name).expectation == Expectation::Always;
    checker.discoveries().into_keys().filter(always).collect()
}

#[test]
fn the_protocol_holds() {
    check(Protocol(Without::Nothing));
}

#[test]
fn each_step_is_needed() {
    let cases = [
        (Without::IntentsFirst, "no torn read"),
        (Without::HighFirst, "no acknowledged write is lost"),
        (Without::Announcement, "a snapshot stays"),
        (Without::Fence, "a snapshot stays"),
        (Without::FirstVerdict, "one verdict"),
        (Without::SecondLook, "no acknowledged write is lost"),
    ];
    for (without, property) in cases {
        let broken = broken(Protocol(without));
        assert!(broken.contains(&property), "without {without:?}: {broken:?}");
    }
}
