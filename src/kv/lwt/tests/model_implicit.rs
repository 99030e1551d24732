//! Commits without a verdict on the way, as a model, all of whose states are looked at: one over
//! two partitions, a single batch of another gateway in one of them, a reader, resolvers, and a
//! sealer at any time, whether the gateway is gone or only slow.
//!
//! A conditional batch, once sent, takes effect at any time, whether its sender lives or not. The
//! single batch is one step: its own dangers are in the other model. What was written for a gateway
//! that was taken for gone may be written over and pruned before that gateway looks for it.

use std::collections::BTreeSet;

use stateright::{Model, Property};

use super::model::{broken, check};

/// What is left out, to see that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    Nothing,
    /// The announcement before the timestamp is chosen.
    Announcement,
    /// A look for the seal after the announcement.
    LookForSeal,
    /// The fence before the sealer looks.
    Fence,
    /// A look at all partitions: the sealer takes one for all.
    AllPlaced,
    /// The verdict on record before anybody finishes the rows, who knows it or not.
    RecordFirst,
    /// Resolvers that leave alone what is announced.
    Patience,
    /// The question for a verdict before intents are taken back.
    Question,
}

struct Protocol(Without);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Verdict {
    Committed,
    Aborted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    New,
    Announced,
    /// The timestamp is chosen, the batches are on their way.
    Placing,
    Acknowledged,
    /// Its intents are being taken back.
    Failed,
    Over,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Part {
    /// `gd`
    number: u8,
    /// `fe`
    fenced: bool,
    intent: bool,
    /// When the commit is a version here.
    finished: bool,
    /// When that version cannot be found any more, though what followed is built on it.
    pruned: bool,
    /// When the other one is.
    other: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    high: u8,
    phase: Phase,
    announced: bool,
    /// The outcome is told to all.
    decided: bool,
    crashed: bool,
    sealed: bool,
    ts: u8,
    record: Option<Verdict>,
    /// Batches on their way.
    sent: BTreeSet<Sent>,
    parts: [Part; 2],
    contradiction: bool,
    reader: Reader,
}

/// A batch: its partition, and what it demands to be as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Sent {
    key: u8,
    fenced: bool,
    other: bool,
}

/// What a reader saw of a row: the commit, the other's.
type Seen = (bool, bool);

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Reader {
    at: Option<u8>,
    /// It was acknowledged before the reader began.
    owed: bool,
    /// Whether it was announced and undecided when the reader looked.
    open: Option<bool>,
    seen: Vec<Seen>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Announce,
    Send,
    Tell,
    Deliver(Sent),
    Learn,
    TakeBack(u8),
    Decide,
    Record,
    Finish(u8),
    Withdraw,
    Crash,
    Seal,
    Settle,
    Abort,
    Other,
    Prune(u8),
    Begin,
    Look,
    Read,
}

/// Rows are read in this order.
const READS: [usize; 3] = [0, 1, 0];

impl State {
    /// Whether nothing shows that the batch of a partition took effect.
    fn is_missing(&self, key: usize) -> bool {
        let part = &self.parts[key];
        !part.intent && (!part.finished || part.pruned)
    }

    fn decide(&mut self, wanted: Verdict) {
        self.record.get_or_insert(wanted);
    }
}

impl Protocol {
    /// The steps of its gateway.
    fn own(&self, state: &mut State, action: Action) -> bool {
        match action {
            Action::Announce => {
                state.announced = true;
                state.phase = Phase::Announced;
            }
            Action::Send => {
                if state.sealed && self.0 != Without::LookForSeal {
                    state.phase = Phase::Over;
                    state.announced = false;
                    return true;
                }
                let above = state.parts.iter().map(|p| p.number).fold(state.high, u8::max);
                state.ts = above + 1;
                state.sent = (0..2u8)
                    .map(|key| {
                        let part = &state.parts[usize::from(key)];
                        Sent { key, fenced: part.fenced, other: part.other.is_some() }
                    })
                    .collect();
                state.phase = Phase::Placing;
            }
            Action::Tell => state.high = state.high.max(state.ts),
            Action::Learn => {
                let refused = |key: usize| {
                    state.is_missing(key)
                        && (state.parts[key].number >= state.ts || state.parts[key].fenced)
                };
                if (0..2).all(|key| !state.is_missing(key)) {
                    state.high = state.high.max(state.ts);
                    state.phase = Phase::Acknowledged;
                    state.contradiction |= state.record == Some(Verdict::Aborted);
                } else if state.sent.is_empty() && (0..2).any(refused) {
                    // They will not take effect any more.
                    state.phase = Phase::Failed;
                    if self.0 != Without::Question {
                        state.decide(Verdict::Aborted);
                        if state.record == Some(Verdict::Committed) {
                            state.high = state.high.max(state.ts);
                            state.phase = Phase::Acknowledged;
                        }
                    }
                } else {
                    return false;
                }
            }
            Action::TakeBack(key) => state.parts[usize::from(key)].intent = false,
            Action::Decide => state.decided = true,
            Action::Record => {
                state.decide(Verdict::Committed);
                state.contradiction |= state.record == Some(Verdict::Aborted);
            }
            Action::Withdraw => {
                state.announced = false;
                state.phase = Phase::Over;
            }
            Action::Crash => state.crashed = true,
            _ => return false,
        }
        true
    }

    /// What others do about it.
    fn others(&self, state: &mut State, action: Action) -> bool {
        match action {
            Action::Seal => state.sealed = true,
            Action::Settle => {
                if self.0 != Without::Fence {
                    state.parts.iter_mut().for_each(|part| part.fenced = true);
                }
                let placed = state.parts.iter().filter(|part| part.intent).count();
                let enough = if self.0 == Without::AllPlaced { 1 } else { 2 };
                let found = if placed >= enough { Verdict::Committed } else { Verdict::Aborted };
                state.decide(found);
                state.announced = false;
            }
            Action::Abort => state.decide(Verdict::Aborted),
            Action::Finish(key) => {
                let committed = match state.record {
                    Some(verdict) => verdict == Verdict::Committed,
                    None => true,
                };
                let part = &mut state.parts[usize::from(key)];
                (part.intent, part.finished) = (false, committed);
            }
            Action::Prune(key) => state.parts[usize::from(key)].pruned = true,
            Action::Other => {
                let part = &mut state.parts[1];
                if part.intent {
                    return false;
                }
                let ts = state.high.max(part.number) + 1;
                (part.other, part.number) = (Some(ts), ts);
                state.high = ts;
            }
            Action::Deliver(sent) => {
                state.sent.remove(&sent);
                let part = &mut state.parts[usize::from(sent.key)];
                let same = part.other.is_some() == sent.other && part.fenced == sent.fenced;
                if same && part.number < state.ts {
                    (part.intent, part.number) = (true, state.ts);
                }
            }
            _ => return false,
        }
        true
    }

    fn read(&self, state: &mut State, action: Action) -> bool {
        match action {
            Action::Begin => {
                state.reader.at = Some(state.high);
                state.reader.owed = state.phase == Phase::Acknowledged;
            }
            Action::Look => state.reader.open = Some(state.announced && !state.decided),
            Action::Read => {
                let Some(at) = state.reader.at else { return false };
                let open = state.reader.open == Some(true);
                if open && state.announced && !state.decided {
                    return false;
                }
                let part = &state.parts[READS[state.reader.seen.len()]];
                let other = part.other.is_some_and(|ts| ts <= at);
                let committed = match (part.intent && state.ts <= at, state.record) {
                    // Its verdict is waited for.
                    (true, None) => return false,
                    (true, Some(verdict)) => verdict == Verdict::Committed,
                    (false, _) => part.finished && state.ts <= at,
                };
                state.reader.seen.push((committed, other));
            }
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
            phase: Phase::New,
            announced: false,
            decided: false,
            crashed: false,
            sealed: false,
            ts: 0,
            record: None,
            sent: BTreeSet::new(),
            parts: Default::default(),
            contradiction: false,
            reader: Reader::default(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if !state.crashed {
            let finished = state.parts.iter().all(|part| !part.intent);
            match state.phase {
                Phase::New if self.0 == Without::Announcement => actions.push(Action::Send),
                Phase::New => actions.push(Action::Announce),
                Phase::Announced => actions.extend([Action::Send, Action::Crash]),
                Phase::Placing => {
                    actions.extend((state.high < state.ts).then_some(Action::Tell));
                    actions.extend([Action::Learn, Action::Crash]);
                }
                Phase::Acknowledged => {
                    actions.push(Action::Crash);
                    actions.extend((!state.decided).then_some(Action::Decide));
                    actions.extend(state.record.is_none().then_some(Action::Record));
                    actions.extend(finished.then_some(Action::Withdraw));
                }
                Phase::Failed => {
                    let placed = (0..2u8).filter(|key| state.parts[usize::from(*key)].intent);
                    actions.extend(placed.map(Action::TakeBack));
                    actions.extend(finished.then_some(Action::Withdraw));
                }
                Phase::Over => {}
            }
        }
        if state.announced {
            // Whether it is gone, or slow.
            actions.push(if state.sealed { Action::Settle } else { Action::Seal });
        }
        let patient = state.announced && self.0 != Without::Patience;
        let met = state.parts.iter().any(|part| part.intent);
        actions.extend((met && !patient && state.record.is_none()).then_some(Action::Abort));
        // Versions are kept for who may still look for them.
        let over = |key: &u8| {
            let part = &state.parts[usize::from(*key)];
            state.sealed && part.finished && !part.pruned
        };
        actions.extend((0..2u8).filter(over).map(Action::Prune));
        let early = self.0 == Without::RecordFirst && state.phase == Phase::Acknowledged;
        if state.record.is_some() || early {
            let placed = (0..2u8).filter(|key| state.parts[usize::from(*key)].intent);
            actions.extend(placed.map(Action::Finish));
        }
        actions.extend(state.sent.iter().map(|sent| Action::Deliver(*sent)));
        actions.extend(state.parts[1].other.is_none().then_some(Action::Other));
        let reader = &state.reader;
        match (reader.at, reader.open) {
            (None, _) => actions.push(Action::Begin),
            (_, None) => actions.push(Action::Look),
            _ if reader.seen.len() < READS.len() => actions.push(Action::Read),
            _ => {}
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let happened = self.own(&mut state, action)
            || self.others(&mut state, action)
            || self.read(&mut state, action);
        happened.then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no torn read, and a snapshot stays", |_, state: &State| {
                state.reader.seen.windows(2).all(|pair| pair[0].0 == pair[1].0)
            }),
            Property::always("no acknowledged write is lost", |_, state: &State| {
                !state.reader.owed || state.reader.seen.iter().all(|seen| seen.0)
            }),
            Property::always("one outcome", |_, state: &State| !state.contradiction),
            Property::sometimes("both commit and are read", |_, state: &State| {
                state.reader.seen == [(true, false), (true, true), (true, false)]
            }),
            Property::sometimes("it is settled for a gateway that is gone", |_, state: &State| {
                state.crashed && state.reader.seen == [(true, false), (true, false), (true, false)]
            }),
        ]
    }
}

#[test]
fn the_protocol_holds() {
    check(Protocol(Without::Nothing));
}

#[test]
fn each_step_is_needed() {
    let cases = [
        Without::Announcement,
        Without::LookForSeal,
        Without::Fence,
        Without::AllPlaced,
        Without::RecordFirst,
        Without::Patience,
        Without::Question,
    ];
    for without in cases {
        assert!(!broken(Protocol(without)).is_empty(), "without {without:?} it holds too");
    }
}
