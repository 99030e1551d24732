//! The gateways' rows, as one read found them.

use super::partitions::{Column, Row};
use super::published::{GatewayState, Open};
use super::rows::*;
use crate::clock::Timestamp;
use crate::error::Result;

/// How far a gateway's retirement has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Retired {
    /// It may commit.
    No,
    /// It must not commit any more; what it had announced is being settled.
    Sealed,
    /// All it had announced is settled.
    Settled,
}

/// A gateway as its row shows it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Which.
    pub incarnation: Incarnation,
    /// What it published last.
    pub state: GatewayState,
    /// Whether it is gone.
    pub retired: Retired,
}

impl Peer {
    /// Whether it announces an attempt and does not say that it is decided.
    pub fn is_undecided(&self, attempt: Attempt) -> bool {
        self.state.open.iter().any(|open| open.attempt == attempt && !open.decided)
    }
}

/// All gateways, as one read found them.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// By incarnation.
    pub peers: Vec<Peer>,
}

impl View {
    /// A gateway's row.
    pub fn peer(&self, incarnation: Incarnation) -> Option<&Peer> {
        self.peers.iter().find(|p| p.incarnation == incarnation)
    }

    /// The gateways beside this one that may still do something.
    pub fn others(&self, me: Incarnation) -> impl Iterator<Item = &Peer> {
        self.peers.iter().filter(move |p| p.incarnation != me && p.retired < Retired::Settled)
    }

    /// At or above every acknowledged commit.
    pub fn high(&self) -> Timestamp {
        self.peers.iter().map(|p| p.state.high).max().unwrap_or_default()
    }

    /// Versions superseded at or below this are read by nobody.
    pub fn horizon(&self) -> Timestamp {
        let active = self.peers.iter().filter(|p| p.retired < Retired::Settled);
        active.map(|p| p.state.low).min().unwrap_or_default()
    }

    /// At or above every change of the schema at or below [`View::high`].
    pub fn schema(&self) -> Timestamp {
        self.peers.iter().map(|p| p.state.schema).max().unwrap_or_default()
    }

    /// What is announced and not settled.
    pub fn open(&self) -> impl Iterator<Item = &Open> {
        let active = self.peers.iter().filter(|p| p.retired < Retired::Settled);
        active.flat_map(|p| &p.state.open)
    }

    /// Whether an attempt is still announced by a gateway that may go on with it.
    pub fn is_open(&self, attempt: Attempt) -> bool {
        self.peer(attempt.incarnation).is_some_and(|p| {
            p.retired == Retired::No && p.state.open.iter().any(|o| o.attempt == attempt)
        })
    }
}

/// A gateway's row, taken apart.
pub fn read_peer(row: &Row) -> Result<Peer> {
    let incarnation = read_number(Some(&row.key.key))?;
    let state = match row.get(Column::St) {
        Some(cell) => GatewayState::decode(cell, incarnation)?,
        None => GatewayState::default(),
    };
    let retired = match read_number(row.get(Column::Rt))? {
        0 => Retired::No,
        1 => Retired::Sealed,
        _ => Retired::Settled,
    };
    Ok(Peer { incarnation, state, retired })
}
