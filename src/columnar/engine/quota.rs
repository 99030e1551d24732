//! What the columnar queries of one role may take of the engine: how many run at once, their
//! memory together, the time of each. Superusers set them
//! (`ALTER ROLE … SET sluice.analytics_queries = 2`).

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::functions::AnalyticsLimits;

/// A role and its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Whose.
    pub role: String,
    /// What its queries may take: turns are waited for, memory is spilled beyond and then 53200,
    /// time is 57014.
    pub limits: AnalyticsLimits,
}

/// What a role has of the engine.
#[derive(Clone)]
pub(super) struct Share {
    quota: Quota,
    /// Its queries take turns here, before they wait for the engine's.
    pub admission: Arc<Semaphore>,
    /// With its memory.
    pub environment: Arc<RuntimeEnv>,
}

/// The shares of roles that have limits.
#[derive(Default)]
pub(super) struct Shares(Mutex<HashMap<String, Share>>);

impl Shares {
    /// A role's share. One whose limits have changed begins anew; what runs goes on as it began.
    pub fn of(&self, quota: &Quota, engine: &Arc<RuntimeEnv>) -> Result<Share> {
        let mut shares = self.0.lock();
        if let Some(share) = shares.get(&quota.role)
            && share.quota == *quota
        {
            return Ok(share.clone());
        }
        let turns = match quota.limits.queries {
            0 => Semaphore::MAX_PERMITS,
            queries => queries,
        };
        let share = Share {
            quota: quota.clone(),
            admission: Arc::new(Semaphore::new(turns)),
            environment: match quota.limits.memory_bytes {
                0 => engine.clone(),
                bytes => Arc::new(within(bytes, engine)?),
            },
        };
        shares.insert(quota.role.clone(), share.clone());
        Ok(share)
    }
}

/// The engine's environment with less memory.
fn within(bytes: usize, engine: &Arc<RuntimeEnv>) -> Result<RuntimeEnv> {
    let pool = Part { own: FairSpillPool::new(bytes), whole: engine.memory_pool.clone() };
    let mut part = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool)).build()?;
    part.disk_manager = engine.disk_manager.clone();
    part.cache_manager = engine.cache_manager.clone();
    part.object_store_registry = engine.object_store_registry.clone();
    Ok(part)
}

/// A part of a memory pool: what is taken of it is taken of the whole too.
#[derive(Debug)]
struct Part {
    own: FairSpillPool,
    whole: Arc<dyn MemoryPool>,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a role's part of the analytical memory")
    }
}

impl MemoryPool for Part {
    fn name(&self) -> &str {
        "part"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.own.register(consumer);
        self.whole.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.own.unregister(consumer);
        self.whole.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.own.grow(reservation, additional);
        self.whole.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.own.shrink(reservation, shrink);
        self.whole.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.own.try_grow(reservation, additional)?;
        self.whole
            .try_grow(reservation, additional)
            .inspect_err(|_| self.own.shrink(reservation, additional))
    }

    fn reserved(&self) -> usize {
        self.own.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.own.memory_limit()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};

    use super::*;
    use crate::columnar::engine::tests::engine;
    use crate::columnar::engine::{BatchStream, Engine};
    use crate::columnar::fixture::Table;
    use crate::columnar::lower::from_datafusion;
    use crate::error::SqlState;
    use crate::types::SqlType;

    fn quota(role: &str, limits: AnalyticsLimits) -> Quota {
        Quota { role: role.to_owned(), limits }
    }

    /// 100 to the power of `times` rows.
    fn many(times: usize) -> LogicalPlan {
        let hundred = || {
            let rows = (0..100).map(|n| vec![lit(n)]).collect();
            LogicalPlanBuilder::values(rows).unwrap()
        };
        let named = |n: usize| hundred().alias(format!("t{n}")).unwrap();
        let joined = |plan: LogicalPlanBuilder, n| plan.cross_join(named(n).build().unwrap());
        (1..times).fold(named(0), |plan, n| joined(plan, n).unwrap()).build().unwrap()
    }

    fn run(engine: &Engine, quota: &Quota, plan: LogicalPlan) -> BatchStream {
        engine.run(engine.turn(quota, 1).unwrap(), plan)
    }

    async fn code(mut stream: BatchStream) -> Option<SqlState> {
        while let Some(batch) = stream.next().await {
            if let Err(error) = batch {
                let error = from_datafusion(error);
                assert_ne!(error.code(), SqlState::INTERNAL_ERROR, "{error:?}");
                return Some(error.code());
            }
        }
        None
    }

    #[tokio::test]
    async fn a_roles_queries_wait_for_each_other_and_for_nobody_else() {
        let table = Table::new(&[SqlType::INT4, SqlType::TEXT], 1, 11);
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(&table, dir.path(), |_| {});
        let one = AnalyticsLimits { queries: 1, ..AnalyticsLimits::default() };
        let (analyst, other) = (quota("analyst", one), quota("other", one));
        // Not read to its end, it holds the role's only turn.
        let mut first = run(&engine, &analyst, many(4));
        assert!(first.next().await.unwrap().is_ok());
        let mut second = run(&engine, &analyst, many(1));
        let waits = tokio::time::timeout(Duration::from_millis(300), second.next()).await;
        assert!(waits.is_err());
        assert_eq!(code(run(&engine, &other, many(1))).await, None);
        drop(first);
        assert!(second.next().await.unwrap().is_ok());
        // Without a limit there are no turns.
        let free = quota("analyst", AnalyticsLimits::default());
        assert_eq!(code(run(&engine, &free, many(1))).await, None);
    }

    #[tokio::test]
    async fn a_role_has_its_own_memory_and_time() {
        let table = Table::new(&[SqlType::INT4, SqlType::TEXT], 1, 11);
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(&table, dir.path(), |o| o.spill_bytes = 1);
        let sorted = || {
            let order = many(3).schema().columns()[0].clone();
            let order = Expr::Column(order).sort(false, false);
            LogicalPlanBuilder::from(many(3)).sort([order]).unwrap().build().unwrap()
        };
        let small = AnalyticsLimits { memory_bytes: 40_000, ..AnalyticsLimits::default() };
        let memory = quota("memory", small);
        // Beyond its memory it spills, of which there is nothing to be had either.
        let full = Some(SqlState::CONFIGURATION_LIMIT_EXCEEDED);
        assert_eq!(code(run(&engine, &memory, sorted())).await, full);
        assert_eq!(code(run(&engine, &quota("free", <_>::default()), sorted())).await, None);
        // What a failed query's tasks hold goes with them, soon.
        for _ in 0..500 {
            if engine.environment.memory_pool.reserved() == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(engine.environment.memory_pool.reserved(), 0);
        let time = Some(Duration::from_millis(50));
        let short = quota("time", AnalyticsLimits { time, ..AnalyticsLimits::default() });
        assert_eq!(code(run(&engine, &short, many(6))).await, Some(SqlState::QUERY_CANCELED));
        assert_eq!(code(run(&engine, &short, many(1))).await, None);
    }
}
