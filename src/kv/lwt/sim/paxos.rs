//! The coordinator's side of a lightweight transaction: prepare, finish what others began, read,
//! propose, learn, each with each replica apart, as Cassandra does it (CASSANDRA-5062, -12126).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::partitions::{Applied, Batch, Condition, Failure, Partition, Row, Select};
use super::cluster::{Cluster, QUORUM, REPLICAS};
use super::replica::{Ballot, Promise, Proposal, Rows, Update, holds, live, merge};

const ALL: [usize; REPLICAS] = [0, 1, 2];
/// Ballots tried before a coordinator gives up.
const TRIES_MAX: usize = 12;

/// How a round of proposals ended.
enum Proposed {
    Accepted,
    /// By all: nobody has it.
    Refused,
    /// Somebody may have it.
    Unknown,
}

impl Cluster {
    /// A conditional batch.
    pub async fn cas(self: &Arc<Self>, batch: Batch) -> Result<Applied, Failure> {
        let partition = &batch.partition;
        for attempt in 0..TRIES_MAX {
            let Some(ballot) = self.begin(partition).await? else {
                self.back_off(attempt).await;
                continue;
            };
            let rows = self.read_named(partition, &batch.conditions).await?;
            let applies = batch.conditions.iter().all(|c| holds(&rows, c));
            let proposal = if applies { Update::of(&batch) } else { Proposal::default() };
            match self.propose(partition, ballot, &proposal).await {
                Proposed::Accepted if !applies => return Ok(Applied::No),
                Proposed::Accepted => {
                    return match self.learn(partition, ballot, &proposal).await {
                        true => Ok(Applied::Yes),
                        false => Err(Failure::Uncertain),
                    };
                }
                Proposed::Unknown if applies => return Err(Failure::Uncertain),
                Proposed::Refused | Proposed::Unknown => self.back_off(attempt).await,
            }
        }
        Err(Failure::Unavailable)
    }

    /// A read that is in order with all conditional batches of the partition.
    pub async fn serial_read(
        self: &Arc<Self>,
        partition: &Partition,
        select: Select,
    ) -> Result<Vec<Row>, Failure> {
        for attempt in 0..TRIES_MAX {
            let Some(ballot) = self.begin(partition).await? else {
                self.back_off(attempt).await;
                continue;
            };
            let (asked, what) = (partition.clone(), select.clone());
            let replies = self.send(&ALL, move |r| r.select(&asked, &what));
            let (replies, whole) = self.gather(replies, |got| got.len() >= QUORUM).await;
            if !whole {
                return Err(Failure::Unavailable);
            }
            if let Proposed::Accepted = self.propose(partition, ballot, &Proposal::default()).await
            {
                let mut merged = Rows::new();
                replies.iter().for_each(|(_, rows)| merge(&mut merged, rows));
                return Ok(merged.iter().filter_map(|(key, row)| live(key, row)).collect());
            }
            self.back_off(attempt).await;
        }
        Err(Failure::Unavailable)
    }

    async fn back_off(&self, attempt: usize) {
        // Long enough for another coordinator to get through, where there are several.
        let round = 200 + 6 * self.faults().delay.as_micros() as u64;
        let longest = round * (attempt as u64 + 1).min(16);
        self.env.sleep(Duration::from_micros(self.random(longest))).await;
    }

    /// Gets a quorum's promises, with all earlier batches finished and known to a quorum. None:
    /// another ballot was in the way.
    async fn begin(self: &Arc<Self>, partition: &Partition) -> Result<Option<Ballot>, Failure> {
        let mut above = 0;
        let asked = partition.clone();
        let ballot = self.ballot(above);
        let replies = self.send(&ALL, move |r| r.prepare(&asked, ballot));
        let (replies, whole) = self
            .gather(replies, |got| {
                let refused = got.iter().filter(|(_, p)| p.refused_for.is_some()).count();
                got.len() - refused >= QUORUM || refused > REPLICAS - QUORUM
            })
            .await;
        let promised = || replies.iter().filter(|(_, p)| p.refused_for.is_none());
        for (_, promise) in &replies {
            above = above.max(promise.refused_for.unwrap_or(0));
        }
        if promised().count() < QUORUM {
            self.ballot(above);
            return if whole { Ok(None) } else { Err(Failure::Unavailable) };
        }
        let newest = promised().filter_map(|(_, p)| p.committed.clone()).max_by_key(|c| c.0);
        let committed = newest.as_ref().map_or(0, |(ballot, _)| *ballot);
        let begun = promised().filter_map(|(_, p)| p.accepted.clone()).max_by_key(|a| a.0);
        let open = begun.filter(|(ballot, what)| *ballot > committed && !what.is_empty());
        if let Some((_, proposal)) = open {
            // Someone began it and a quorum may have it: finish it first.
            if let Proposed::Accepted = self.propose(partition, ballot, &proposal).await
                && !self.learn(partition, ballot, &proposal).await
            {
                return Err(Failure::Unavailable);
            }
            return Ok(None);
        }
        let Some((ballot_done, proposal)) = newest else { return Ok(Some(ballot)) };
        let behind = |p: &Promise| p.committed.as_ref().map_or(0, |c| c.0) < ballot_done;
        let behind: Vec<usize> = promised().filter(|(_, p)| behind(p)).map(|(n, _)| *n).collect();
        if !behind.is_empty() {
            let (asked, needed) = (partition.clone(), behind.len());
            let acks = self.send(&behind, move |r| r.learn(&asked, ballot_done, &proposal));
            if !self.gather(acks, |got| got.len() >= needed).await.1 {
                return Err(Failure::Unavailable);
            }
        }
        Ok(Some(ballot))
    }

    async fn read_named(
        self: &Arc<Self>,
        partition: &Partition,
        conditions: &[Condition],
    ) -> Result<Rows, Failure> {
        let (asked, what) = (partition.clone(), conditions.to_vec());
        let replies = self.send(&ALL, move |r| r.named(&asked, &what));
        let (replies, whole) = self.gather(replies, |got| got.len() >= QUORUM).await;
        if !whole {
            return Err(Failure::Unavailable);
        }
        let mut merged = Rows::new();
        replies.iter().for_each(|(_, rows)| merge(&mut merged, rows));
        Ok(merged)
    }

    async fn propose(
        self: &Arc<Self>,
        partition: &Partition,
        ballot: Ballot,
        proposal: &Proposal,
    ) -> Proposed {
        let (asked, what) = (partition.clone(), proposal.clone());
        let replies = self.send(&ALL, move |r| r.accept(&asked, ballot, &what));
        let (replies, _) = self
            .gather(replies, |got| {
                let accepted = got.iter().filter(|(_, yes)| *yes).count();
                accepted >= QUORUM || got.len() == REPLICAS
            })
            .await;
        let accepted: BTreeSet<usize> =
            replies.iter().filter(|(_, yes)| *yes).map(|(n, _)| *n).collect();
        match accepted.len() {
            n if n >= QUORUM => Proposed::Accepted,
            0 if replies.len() == REPLICAS => Proposed::Refused,
            _ => Proposed::Unknown,
        }
    }

    async fn learn(
        self: &Arc<Self>,
        partition: &Partition,
        ballot: Ballot,
        proposal: &Proposal,
    ) -> bool {
        let (asked, what) = (partition.clone(), proposal.clone());
        let acks = self.send(&ALL, move |r| r.learn(&asked, ballot, &what));
        self.gather(acks, |got| got.len() >= QUORUM).await.1
    }
}
