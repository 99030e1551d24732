//! The column path: Parquet views of tables, exact at any snapshot.
//!
//! ```text
//! store.segments(at) ─▶ export ─▶ view: Parquet files + key indexes + masks + manifest
//! store.changes(…)   ─▶ delta  ─▶ changed keys, their versions        │
//!                          └───────────▶ query: ViewTable ◀───────────┘
//! bound tree ─▶ lower ─▶ LogicalPlan over ViewTable and RowTable ─▶ Engine::run ─▶ batches
//! ```
//!
//! How a lowered scan gets its table: for each table of the query, the session awaits
//! [`engine::Engine::provider`] with a [`engine::ScanRequest`] (descriptor, the transaction's
//! held snapshot, its own writes to the table, the columns in the scan's order). The answer is a
//! `TableProvider` whose fields are `c0`, `c1`, … with the Arrow types of [`values::arrow_type`];
//! 55000 means that no view can show that snapshot now, and the scan becomes a
//! [`query::RowTable`] over the transaction's own row stream. Both kinds may stand in one plan,
//! because both show the same snapshot. The plan then runs with [`engine::Engine::run`] in a
//! [`engine::Engine::context`].
//!
//! Invariants: what a manifest names never changes and is verified when read; a query sees exactly
//! its snapshot, whatever its view's age; a failure here fails a query, never the gateway.
//!
//! [`delta`] and [`view`] know no plans, [`export`] knows no generations, and nothing here reads
//! through a transaction. [`sstable`] and [`exchange`] stand beside all of it: the one reads
//! Cassandra's own files, the other reads and writes Parquet for others. [`iceberg`] shows a
//! generation to readers of that format.

mod annotate;
pub mod delta;
pub mod engine;
pub mod exchange;
pub mod export;
pub mod files;
#[cfg(test)]
pub(crate) mod fixture;
pub mod iceberg;
pub mod lower;
pub mod manifest;
pub mod mask;
pub mod query;
pub mod replicas;
pub mod rows;
pub mod shared;
pub mod spread;
pub mod sstable;
pub mod values;
pub mod view;
